"""What a job needs and whether a worker has it: the class of a job. Pure.

A requirement is `{"binary", "roots", "labels", "encoders"}`. Jobs that need the same make one class, and a
worker reads the streams of exactly the classes it satisfies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

Requirement = dict[str, Any]


def requirement(
    binary: str, roots: Iterable[str], labels: Mapping[str, str], encoders: Iterable[str]
) -> Requirement:
    """The canonical form: equal needs give equal text."""
    return {
        "binary": binary,
        "encoders": sorted(set(encoders)),
        "labels": dict(sorted(labels.items())),
        "roots": sorted(set(roots)),
    }


def canonical(needs: Requirement) -> str:
    """The requirement as the text that names its class."""
    return json.dumps(needs, sort_keys=True, separators=(",", ":"))


def class_id(needs: Requirement) -> str:
    """The first 10 hex digits of the canonical form's SHA-256."""
    return sha256(canonical(needs).encode()).hexdigest()[:10]


def missing(needs: Requirement, about: Mapping[str, Any]) -> list[str]:
    """What a worker lacks for this requirement, as words; nothing when it qualifies."""
    lacks = []
    binaries = about.get("binaries", {})
    if needs["binary"] not in binaries:
        lacks.append(f"the program {needs['binary']}")
    silent = about.get("silent_roots", ())
    lacks += [
        f"the root {root}" + " (it does not answer)" * (root in silent)
        for root in needs["roots"]
        if root not in about.get("roots", ())
    ]
    lacks += [f"the encoder {name}" for name in needs["encoders"] if name not in about.get("encoders", ())]
    labels = about.get("labels", {})
    lacks += [
        f"the label {name}={value}" for name, value in needs["labels"].items() if labels.get(name) != value
    ]
    return lacks


def why_nobody(needs: Requirement, workers: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """One sentence that says why no live worker can run this, or "" if one can."""
    seen = [(name, missing(needs, about)) for name, about in workers]
    if not seen:
        return "no worker is alive"
    if any(not lacks for _, lacks in seen):
        return ""
    everywhere = set(seen[0][1]).intersection(*(lacks for _, lacks in seen))
    if everywhere:
        return f"no live worker has {' and '.join(sorted(everywhere))}"
    return "; ".join(f"{name} lacks {' and '.join(lacks)}" for name, lacks in seen[:5])
