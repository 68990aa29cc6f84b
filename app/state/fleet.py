"""The fleet as a client sees it: one short id that changes when what its workers would answer may change. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from app.state.requirements import missing, requirement


def fleet(abouts: Iterable[Mapping[str, Any]], labels: Mapping[str, str]) -> tuple[str, int]:
    """The id (16 hex digits) of the workers that carry these labels, and how many they are; ("", 0) for none.

    `abouts` is what the live workers say of themselves. Equal builds count once: a worker more changes nothing.
    """
    needs = requirement("ffmpeg", (), labels, ())
    able = [about for about in abouts if not missing(needs, about)]
    builds = sorted({json.dumps(about.get("builds", {}), sort_keys=True) for about in able})
    return (sha256("\n".join(builds).encode()).hexdigest()[:16] if able else "", len(able))
