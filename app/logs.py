"""What the daemons log to stderr: lines for people at a terminal, and JSON objects, one a line, for everything else.

    {"ts": "2026-11-29T01:02:03.456Z", "level": "info", "logger": "ffgrid.worker", "msg": "...", "job_id": "01K..."}

A task that works for somebody says so with `about`: all lines that it logs carry that, and those of its children.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

# What a line may have beside its message: of `about`, or as `extra` of the call.
FIELDS = ("job_id", "worker", "request_id", "method", "path", "status", "ms")

_encode = json.JSONEncoder(ensure_ascii=False).encode
_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=MappingProxyType({}))


def about(**fields: str) -> None:
    """What the rest of this task is about: some of FIELDS. Empty ones say nothing."""
    _about.set({**_about.get(), **{name: value for name, value in fields.items() if value}})


def known(field: str) -> str:
    """What this task is about, "" if nobody said it."""
    return _about.get().get(field, "")


def setup(form: str, level: str) -> None:
    """Has everything logged in this form from this level on: words of the settings."""
    handler = logging.StreamHandler(sys.stderr)
    for_people = form == "text" or (form == "auto" and sys.stderr.isatty())
    text = logging.Formatter("%(asctime)s %(name)s %(message)s")
    handler.setFormatter(text if for_people else Json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Nothing of ours says these, and finding them out takes as long as all the rest of a line.
    logging._srcfile = None  # as logging's own documentation recommends
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class Json(logging.Formatter):
    """One line a record. What is in no character set is escaped by the stream, which JSON reads as well."""

    def format(self, record: logging.LogRecord) -> str:
        """See the module."""
        line: dict[str, Any] = {
            "ts": f"{_second(int(record.created))}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        about, extra = _about.get(), record.__dict__
        for name in FIELDS:
            if (value := extra.get(name, about.get(name))) is not None:
                line[name] = value
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return _encode(line)


@lru_cache(2)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
