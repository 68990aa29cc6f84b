"""`ffgrid watch`: how far a job is, on one line of a terminal, a line for each change, or as JSON."""

from __future__ import annotations

import json
from time import monotonic, sleep
from typing import Any, TextIO

from app.cli import progressbar
from app.cli.client import Client, Patience
from app.cli.terminal import CLEAR, columns, is_live, painted, printable, put, say
from app.state.lifecycle import DEAD, DONE, FAILED, FINAL, RUNNING
from app.wire.messages import job_path

Job = dict[str, Any]

LOOK_SECONDS = 0.5  # between two looks at a job
LINE_SECONDS = 2.0  # between two lines, where a line cannot be drawn again
COLOUR = {DONE: "green", FAILED: "red", DEAD: "red", RUNNING: "cyan"}
OTHER_COLOUR = "yellow"


def watch(client: Client, job_id: str, view: View) -> Job:
    """Shows how far a job is until it ends; the job as it ended."""
    patience = Patience(view.note)
    job: Job = client.get(job_path(job_id))
    try:
        while job["state"] not in FINAL:
            view.show(job)
            sleep(LOOK_SECONDS)
            job = client.get(job_path(job_id), patience)
    finally:
        view.clear()
    view.end(job)
    return job


class View:
    """Where a job is shown: a terminal gets a bar in its place, a file or a pipe gets lines."""

    def __init__(self, out: TextIO, client: Client, as_json: bool) -> None:
        self._out = out
        self._client = client
        self._as_json = as_json
        self._is_live = is_live(out) and not as_json
        self._last = ""
        self._next = 0.0

    def show(self, job: Job) -> None:
        """The job as it is now."""
        if self._is_live:
            ascii_only = not self._out.encoding.lower().startswith("utf")
            text = progressbar.line(job, columns(self._out) or 80, self._client.now, ascii_only)
            self._draw(self._painted(text, job))
        elif self._as_json or monotonic() >= self._next:
            self._next = monotonic() + LINE_SECONDS
            self._print(self._painted(self._text(job), job))

    def note(self, sentence: str) -> None:
        """Nobody answers."""
        if self._is_live:
            fits = "no coordinator answers, trying again"[: (columns(self._out) or 80) - 1]
            self._draw(painted(fits, OTHER_COLOUR, self._out))
        else:
            say(sentence)

    def clear(self) -> None:
        """Leaves an empty line to whoever writes next."""
        if self._is_live:
            self._draw("")

    def end(self, job: Job) -> None:
        """The last word, which stays."""
        self._print(self._painted(self._text(job), job))

    def _text(self, job: Job) -> str:
        return json.dumps(job) if self._as_json else printable(progressbar.plain(job, self._client.now))

    def _painted(self, text: str, job: Job) -> str:
        if self._as_json:
            return text
        return painted(text, COLOUR.get(job["state"], OTHER_COLOUR), self._out)

    def _print(self, text: str) -> None:
        if text != self._last:
            put(text, self._out)
            self._last = text

    def _draw(self, text: str) -> None:
        print(f"\r{text}{CLEAR}", end="", file=self._out, flush=True)
