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
from types import MappingProxyType
from typing import Any

# What a line may have beside its message: of `about`, or as `extra` of the call.
FIELDS = ("job_id", "worker", "request_id", "method", "path", "status", "ms")

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


class Json(logging.Formatter):
    """One line a record. What is in no character set is escaped by the stream, which JSON reads as well."""

    def format(self, record: logging.LogRecord) -> str:
        """See the module."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "ts": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        told = {
            **_about.get(),
            **{name: value for name in FIELDS if (value := getattr(record, name, None)) is not None},
        }
        line |= {name: told[name] for name in FIELDS if name in told}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
