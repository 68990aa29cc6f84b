"""Everything that is observed in a run, a JSON object a line, as it is observed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Note = dict[str, Any]


class Journal:
    """Any thread may write. Each note says `what` it is, and `t`, the seconds since the beginning."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._lock = threading.Lock()
        self.begin()
        self.path = path

    def begin(self) -> None:
        """The run begins now."""
        self._began = time.monotonic()

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def note(self, what: str, **facts: Any) -> None:
        """Writes one down."""
        with self._lock:
            self._file.write(json.dumps({"what": what, "t": round(self.now, 3), **facts}) + "\n")

    def close(self) -> None:
        """Nothing more is observed."""
        self._file.close()


def read(path: Path) -> Iterable[Note]:
    """The notes of a journal."""
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)
