"""Loads the Lua scripts: each runs behind the generated tables of keys and moves, and PARTS."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from app.state import lifecycle, totals
from app.state.connect import Connection
from app.state.job import OWN
from app.state.keys import GROUP, REAPER, Keys
from app.wire.messages import LANES

# What stands before every script.
PARTS = ("tally", "prelude")

# Only a submission may be refused when Redis is full: what is running must be able to end.
DENIED_WHEN_FULL = frozenset({"submit"})

# What these answer, somebody relies on: it must not be lost with the one server that knows of it.
ACKNOWLEDGED = frozenset({"submit", "publish", "finish", "append", "user", "leave", "undertake", "renew"})


class Scripts:
    """The scripts of one namespace, called by file name: `await scripts.run("beat", keys, args)`."""

    def __init__(self, redis: Connection, keys: Keys, replicated: Connection | None = None) -> None:
        """`replicated` is for those whose answers are relied on: a client that waits for replicas, if there are any."""
        self._redis = redis
        self._replicated = replicated or redis
        self._sources = {name: source(name, keys) for name in names()}
        self._digests = {name: sha1(body).hexdigest() for name, body in self._sources.items()}  # noqa: S324 - Redis' own naming

    async def run(self, name: str, keys: Iterable[str], args: Iterable[Any] = ()) -> Any:
        """What the script returns. A server that has forgotten the script is told it again."""
        keys = list(keys)
        arguments = (len(keys), *keys, *args)
        redis = self._replicated if name in ACKNOWLEDGED else self._redis
        try:
            return await redis.execute_command("EVALSHA", self._digests[name], *arguments)
        except NoScriptError:
            return await redis.execute_command("EVAL", self._sources[name], *arguments)


def names() -> list[str]:
    """The names of all scripts."""
    folder = files("app.state.scripts").iterdir()
    return sorted(
        path.name[:-4] for path in folder if path.name.endswith(".lua") and path.name[:-4] not in PARTS
    )


def source(name: str, keys: Keys) -> bytes:
    """The whole text that the server runs for a script."""
    flags = "" if name in DENIED_WHEN_FULL else " flags=allow-oom"
    folder = files("app.state.scripts")
    parts = (
        f"#!lua{flags}",
        _tables(keys),
        *(folder.joinpath(part + ".lua").read_text() for part in (*PARTS, name)),
    )
    return "\n".join(parts).encode()


def _tables(keys: Keys) -> str:
    named = {
        "job": keys.job_prefix,
        "states": keys.states,
        "queue": keys.queue_prefix,
        "jobs": keys.jobs,
        "made": keys.made,
        "own": keys.own,
        "owned": keys.owned,
        "classes": keys.classes,
        "classes_used": keys.classes_used,
        "capable": keys.capable_prefix,
        "workers": keys.workers,
        "worker": keys.worker_prefix,
        "ended": keys.ended_prefix,
        "inbox": keys.inbox_prefix,
        "events": keys.events,
        "access": keys.access,
        "callers": keys.callers,
        "due": keys.due,
        "litter": keys.litter,
        "totals": keys.totals,
        "idem": keys.idem_prefix,
        "group": GROUP,
        "operations": keys.operations,
        "reaper_name": REAPER,
    }
    moves = {
        event: f"{{ from = {_set(sources)}, to = '{to}' }}"
        for event, (sources, to) in lifecycle.MOVES.items()
    }
    tables = {
        "K": _table({name: f'"{value}"' for name, value in named.items()}),
        "BOUNDS": _table({name: _list(map(str, bounds)) for name, bounds in totals.BOUNDS.items()}),
        "OWN": f'"{OWN}"',
        "LANES": _list(f'"{lane}"' for lane in LANES),
        "MOVES": _table(moves),
        "STATES": _set(lifecycle.STATES),
        "FINAL": _set(lifecycle.FINAL),
        "HELD": _set(lifecycle.HELD),
    }
    return "\n".join(f"local {name} = {table}" for name, table in tables.items())


def _table(items: dict[str, str]) -> str:
    return "{ " + ", ".join(f"{name} = {value}" for name, value in items.items()) + " }"


def _set(words: Iterable[str]) -> str:
    return _table(dict.fromkeys(sorted(words), "true"))


def _list(words: Iterable[str]) -> str:
    return "{ " + ", ".join(words) + " }"
