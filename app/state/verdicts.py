"""What is to be said of a Redis server's settings, each with the command that mends it. Pure.

`info` is what INFO says, `config` what CONFIG GET says; it is empty where a server does not let one ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GOOD, WAIT, BAD = "good", "wait", "bad"  # as it should be, to be known, to be mended
OLDEST = {"redis": (7, 0), "valkey": (7, 2)}
FULL = 0.9  # part of its memory's limit from which it counts as nearly full
KEEP = "CONFIG REWRITE"


@dataclass(frozen=True)
class Verdict:
    """One line: about what, how it is, a sentence, and the command that mends it ("" if none is wrong)."""

    name: str
    tone: str
    sentence: str
    mend: str = ""


UNKNOWN = Verdict(
    "version",
    WAIT,
    "the user that ffgrid has there may not ask how it is set up",
    "let that user ask: ACL SETUSER NAME +info +config|get",
)


def verdicts(info: Mapping[str, Any], config: Mapping[str, str]) -> list[Verdict]:
    """The lines about a server: the same ones in the same order, or one where it says nothing about itself."""
    if not info:
        return [UNKNOWN]
    return [_version(info), _eviction(info), _memory(info), _persistence(info, config), _disk(info)]


def product(info: Mapping[str, Any]) -> tuple[str, str]:
    """What the server is, "redis" or "valkey", and its version."""
    if "valkey_version" in info:
        return "valkey", str(info["valkey_version"])
    return "redis", str(info.get("redis_version", "?"))


def _version(info: Mapping[str, Any]) -> Verdict:
    kind, version = product(info)
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if found >= OLDEST[kind]:
        return Verdict("version", GOOD, f"{kind.capitalize()} {version}")
    return Verdict(
        "version",
        BAD,
        f"{kind.capitalize()} {version} is too old: ffgrid needs Redis 7.0 or Valkey 7.2",
        "install a newer Redis or Valkey",
    )


def _eviction(info: Mapping[str, Any]) -> Verdict:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction":
        return Verdict("eviction", GOOD, "maxmemory-policy noeviction: it deletes nothing by itself")
    return Verdict(
        "eviction",
        BAD,
        f"maxmemory-policy {policy}: it throws away what it holds when its memory is full",
        _set(info, "maxmemory-policy noeviction"),
    )


def _memory(info: Mapping[str, Any]) -> Verdict:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not limit:
        return Verdict("memory", GOOD, f"{_mebibytes(used)} used, no limit of its own")
    sentence = f"{_mebibytes(used)} of {_mebibytes(limit)} used"
    if used < FULL * limit:
        return Verdict("memory", GOOD, sentence)
    return Verdict(
        "memory", BAD, f"{sentence}: it soon takes no new jobs", _set(info, f"maxmemory {2 * limit}")
    )


def _persistence(info: Mapping[str, Any], config: Mapping[str, str]) -> Verdict:
    mend = _set(info, "appendonly yes")
    if int(info.get("aof_enabled", 0)):
        how = config.get("appendfsync", "everysec")
        loses = {"always": "nothing that was answered", "no": "half a minute"}.get(how, "up to two seconds")
        sentence = f"appendonly yes, appendfsync {how}: a power cut loses {loses}"
        late = _set(info, "appendfsync everysec") if how == "no" else ""
        return Verdict("persistence", WAIT if late else GOOD, sentence, late)
    if config.get("save"):
        return Verdict(
            "persistence", WAIT, "snapshots only: a restart loses the jobs since the last one", mend
        )
    if config:
        return Verdict("persistence", BAD, "appendonly no, and no snapshots: a restart loses all jobs", mend)
    return Verdict("persistence", WAIT, "appendonly no: a restart may lose jobs", mend)


def _disk(info: Mapping[str, Any]) -> Verdict:
    names = {"aof_last_write_status": "its append-only file", "rdb_last_bgsave_status": "its snapshot"}
    failed = [what for name, what in names.items() if info.get(name, "ok") != "ok"]
    if not failed:
        return Verdict("disk", GOOD, "its last write to the disk went well")
    return Verdict(
        "disk",
        BAD,
        f"it could not write {' and '.join(failed)}",
        "make room on its disk, then look at its log",
    )


def _set(info: Mapping[str, Any], setting: str) -> str:
    command = f"{product(info)[0]}-cli"
    return f"{command} CONFIG SET {setting} && {command} {KEEP}"


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
