"""The coordinator's API as the command line asks it: signed, with Python's own HTTP and nothing else.

an answer          its JSON
a refusal          Failure: the coordinator's own sentence and the exit status for it
no answer          the next address is asked; Unreachable when there is none left
an unclear answer  all are asked again for a while: what was sent may have been done, and may be sent twice
a log cut short    goes on at the next address behind the last entry: no line is lost or doubled
a wrong clock      is put right by what the coordinator says the time is, once for each address
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from app.cli.errors import TRY_AGAIN, UNREACHABLE, USAGE, Failure
from app.cli.exchange import Cut, Exchange, Silent, Unclear, check
from app.settings import Settings
from app.wire import keyfile
from app.wire.messages import job_path

PATIENCE_SECONDS = 60.0  # how long a command that follows a job waits for a coordinator to come back
UNCLEAR_SECONDS = 10.0  # how long any command asks again that got no clear answer
CUT = "the coordinator that sent the log has gone: trying to go on behind the last line"
LAST = "9" * 19  # the number of an entry that nothing else of its millisecond comes after
PAUSE = 0.3  # seconds between two tries

T = TypeVar("T")


class Unreachable(Failure):
    """No coordinator answers; the text names the addresses and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, UNREACHABLE)


class Patience:
    """Waits while nobody answers, for a time. `tell` hears of each outage once."""

    def __init__(self, tell: Callable[[str], None], seconds: float = PATIENCE_SECONDS) -> None:
        self._tell = tell
        self._seconds = seconds
        self._until: float | None = None
        self._is_told = False

    def renew(self) -> None:
        """Somebody has answered."""
        self._until, self._is_told = None, False

    def tell(self, sentence: str) -> None:
        """Says it, if nothing has been said of this outage yet."""
        if not self._is_told:
            self._is_told = True
            self._tell(sentence)

    def wait(self, failure: Failure) -> None:
        """Waits a moment. Raises the failure when that cannot help, or has not for too long."""
        if not isinstance(failure, Unclear) and failure.status not in (UNREACHABLE, TRY_AGAIN):
            raise failure
        if self._until is None:
            self._until = monotonic() + self._seconds
            self.tell(f"{failure}. Trying again for {self._seconds:.0f} s")
        if monotonic() > self._until:
            raise failure
        sleep(PAUSE)


class Client:
    """Asks the coordinators at these addresses, first the one that answered last."""

    def __init__(self, urls: Iterable[str], key: keyfile.Key) -> None:
        """Raises Failure for an address that cannot be one."""
        self._urls = deque(check(url) for url in urls)
        self._exchange = Exchange(key)

    @classmethod
    def of(cls, settings: Settings) -> Client:
        """The client that these settings describe. Raises Failure."""
        return cls(settings.urls, read_key(settings.key_file))

    @property
    def now(self) -> float:
        """The coordinator's time, in Unix seconds, as its last answer told it."""
        return self._exchange.now

    def get(self, target: str, patience: Patience | None = None) -> Any:
        """What is there. Raises Failure."""
        return self._patiently(lambda url: self._exchange.json(url, "GET", target, b""), patience)

    def post(self, target: str, fields: Any = None) -> Any:
        """Does something. What is posted twice, when an answer gets lost, must be harmless. Raises Failure."""
        body = b"" if fields is None else json.dumps(fields).encode()
        return self._patiently(lambda url: self._exchange.json(url, "POST", target, body), None)

    def log(self, job_id: str, patience: Patience) -> Log:
        """The log of a job."""
        return Log(self, job_path(job_id, "log"), patience)

    def lines(self, target: str) -> Iterator[Any]:
        """An answer that is a JSON object a line, as the lines come. Raises Failure, OSError, HTTPException."""
        connection, response = self._first(lambda url: self._exchange.open(url, "GET", target, b""))
        with closing(connection), closing(response):
            rest = b""
            while data := response.read1(65_536):
                *lines, rest = (rest + data).split(b"\n")
                yield from map(json.loads, lines)

    def turn(self) -> None:
        """Asks the next coordinator first."""
        self._urls.rotate(-1)

    def _patiently(self, ask: Callable[[str], T], patience: Patience | None) -> T:
        began = monotonic()
        while True:
            try:
                answer = self._first(ask)
            except Failure as failure:
                if patience is None and isinstance(failure, Unclear):
                    patience = Patience(_say_nothing, began + UNCLEAR_SECONDS - monotonic())
                if patience is None:
                    raise
                patience.wait(failure)
            else:
                if patience is not None:
                    patience.renew()
                return answer

    def _first(self, ask: Callable[[str], T]) -> T:
        """What the first coordinator says that can say something. Raises Unclear if another may have done it."""
        silent: list[str] = []
        busy: Failure | None = None
        unclear = False
        for url in tuple(self._urls):
            try:
                return ask(url)
            except Silent as error:
                silent.append(f"{url} ({error})")
                unclear = unclear or isinstance(error, Cut)
            except Failure as failure:
                if not isinstance(failure, Unclear) and failure.status != TRY_AGAIN:
                    raise
                busy, unclear = failure, unclear or isinstance(failure, Unclear)
            self.turn()
        nobody = (
            f"no coordinator answers at {' or '.join(silent)}: start one with `ffgrid web`, "
            "or say with FFGRID_URL where one runs"
        )
        if unclear:
            raise Unclear(str(busy or nobody), busy.status if busy else UNREACHABLE)
        raise busy or Unreachable(nobody)


class Log:
    """A job's log. It remembers where it was read to: reading it again goes on there."""

    def __init__(self, client: Client, path: str, patience: Patience) -> None:
        self._client = client
        self._path = path
        self._patience = patience
        self._after = "0-0"

    def begin(self, at: float) -> None:
        """What was written before then (Unix seconds, by the clock of Redis) is not read."""
        self._after = f"{max(int(at * 1000) - 1, 0)}-{LAST}"

    def read(self, follow: bool) -> Iterator[dict[str, Any]]:
        """Its lines; the last one says "end". With `follow` it is the job's end. Raises Failure."""
        while True:
            target = f"{self._path}?follow={int(follow)}&after={self._after}"
            try:
                for line in self._client.lines(target):
                    self._patience.renew()
                    self._after = line.get("id", self._after)
                    yield line
                    if line["kind"] == "end":
                        return
            except Failure as failure:
                self._patience.wait(failure)
            except TimeoutError:
                pass  # the job says nothing, or this coordinator has stopped: another one will know
            except (OSError, HTTPException):
                self._patience.tell(CUT)
                sleep(PAUSE)
            self._client.turn()


def _say_nothing(sentence: str) -> None:
    return


def read_key(path: Path | None) -> keyfile.Key:
    """The key to sign with. Raises Failure."""
    if path is None:
        raise Failure(
            "no key to sign with: set FFGRID_KEY_FILE, or give --key-file, "
            "to the file that `ffgrid keys add NAME --role client --out FILE` wrote",
            USAGE,
        )
    try:
        if path.stat().st_mode & 0o077:
            raise Failure(f"others can read the key file {path}: run chmod 600 {path}", USAGE)
        return keyfile.parse(path.read_text("utf-8", "replace"))
    except OSError as error:
        raise Failure(f"cannot read the key file {path}: {error.strerror}", USAGE) from None
    except keyfile.BadKeyFile as error:
        raise Failure(f"{path}: {error}", USAGE) from None
