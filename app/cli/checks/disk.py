"""Room on the disks that ffgrid itself writes to on this host."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from app.cli.checks.finding import BAD, OK, SKIPPED, WARN, Finding
from app.settings import Settings

LITTLE, NOTHING = 1 << 30, 1 << 27  # bytes: 1 GiB, 128 MiB


def disk(settings: Settings) -> Sequence[Finding]:
    """The data directory (`web --embedded`) and the stand-in's cache, each where it is used."""
    places = {"data": settings.data_dir, **({"cache": Path(settings.cache)} if settings.cache else {})}
    used = {what: path for what, path in places.items() if path.exists()}
    if not used:
        named = " nor ".join(map(str, places.values()))
        return [Finding("disk", SKIPPED, f"neither {named} is there: this host keeps nothing")]
    return [room(what, path, shutil.disk_usage(path).free) for what, path in used.items()]


def room(what: str, path: Path, free: int) -> Finding:
    """What so many free bytes mean."""
    sentence = f"{what}: {free / (1 << 30):.1f} GiB free at {path}"
    if free >= LITTLE:
        return Finding("disk", OK, sentence)
    return Finding(
        "disk", BAD if free < NOTHING else WARN, sentence, f"make room: du -xh {path} | sort -h | tail"
    )
