"""The coordinator's API as the command line asks it: signed, with Python's own HTTP and nothing else.

an answer          its JSON
a refusal          Failure: the coordinator's own sentence and the exit status for it
no answer          the next address is asked; Unreachable when there is none left
a log cut short    goes on at the next address behind the last entry: no line is lost or doubled
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, RemoteDisconnected
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, TypeVar
from urllib.parse import urlsplit

from app.cli.errors import FAILED, NOT_ALLOWED, NOT_FOUND, TRY_AGAIN, UNREACHABLE, USAGE, Failure
from app.settings import Settings
from app.wire import keyfile, refusal, signing
from app.wire.messages import job_path

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 15.0  # also how long a followed log may be silent before it is asked for anew
PATIENCE_SECONDS = 60.0  # how long a command that follows a job waits for a coordinator to come back
PAUSE = 0.3  # seconds between two tries
DATE_SECONDS = 2.0  # a Date header has whole seconds: less than this is no difference between two clocks

EXIT = {
    **dict.fromkeys((400, 413, 422), USAGE),
    **dict.fromkeys((401, 403), NOT_ALLOWED),
    404: NOT_FOUND,
    **dict.fromkeys((429, 502, 503, 504), TRY_AGAIN),
}

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

    def renew(self) -> None:
        """Somebody has answered."""
        self._until = None

    def wait(self, failure: Failure) -> None:
        """Waits a moment. Raises the failure when that cannot help, or has not for too long."""
        if failure.status not in (UNREACHABLE, TRY_AGAIN):
            raise failure
        if self._until is None:
            self._until = monotonic() + self._seconds
            self._tell(f"{failure}. Trying again for {self._seconds:.0f} s")
        elif monotonic() > self._until:
            raise failure
        sleep(PAUSE)


class Client:
    """Asks the coordinators at these addresses, first the one that answered last."""

    def __init__(self, urls: Iterable[str], key: keyfile.Key) -> None:
        """Raises Failure for an address that cannot be one."""
        self._urls = deque(_checked(url) for url in urls)
        self._key = key
        self._skew = 0.0

    @classmethod
    def of(cls, settings: Settings) -> Client:
        """The client that these settings describe. Raises Failure."""
        return cls(settings.urls, read_key(settings.key_file))

    @property
    def now(self) -> float:
        """The coordinator's time, in Unix seconds, as its last answer told it."""
        return time() - self._skew

    def get(self, target: str, patience: Patience | None = None) -> Any:
        """What is there. Raises Failure."""
        return self._patiently(lambda url: self._json(url, "GET", target, b""), patience)

    def post(self, target: str, fields: Any = None) -> Any:
        """Does something. What is posted twice, when an answer gets lost, must be harmless. Raises Failure."""
        body = b"" if fields is None else json.dumps(fields).encode()
        return self._patiently(lambda url: self._json(url, "POST", target, body), None)

    def log(self, job_id: str, patience: Patience) -> Log:
        """The log of a job."""
        return Log(self, job_path(job_id, "log"), patience)

    def lines(self, target: str) -> Iterator[Any]:
        """An answer that is a JSON object a line, as the lines come. Raises Failure, OSError, HTTPException."""
        connection, response = self._first(lambda url: self._open(url, "GET", target, b""))
        with closing(connection), closing(response):
            rest = b""
            while data := response.read1(65_536):
                *lines, rest = (rest + data).split(b"\n")
                yield from map(json.loads, lines)

    def turn(self) -> None:
        """Asks the next coordinator first."""
        self._urls.rotate(-1)

    def _patiently(self, ask: Callable[[str], T], patience: Patience | None) -> T:
        while True:
            try:
                answer = self._first(ask)
            except Failure as failure:
                if patience is None:
                    raise
                patience.wait(failure)
            else:
                if patience is not None:
                    patience.renew()
                return answer

    def _first(self, ask: Callable[[str], T]) -> T:
        """What the first coordinator says that can say something."""
        silent: list[str] = []
        busy: Failure | None = None
        for url in tuple(self._urls):
            try:
                return ask(url)
            except Failure as failure:
                if failure.status != TRY_AGAIN:
                    raise
                busy = failure
            except (OSError, HTTPException) as error:
                silent.append(f"{url} ({_why(error)})")
            self.turn()
        raise busy or Unreachable(
            f"no coordinator answers at {' or '.join(silent)}: start one with `ffgrid web`, "
            "or say with FFGRID_URL where one runs"
        )

    def _json(self, url: str, method: str, target: str, body: bytes) -> Any:
        connection, response = self._open(url, method, target, body)
        with closing(connection), closing(response):
            try:
                return json.loads(response.read())
            except ValueError:
                raise HTTPException("it does not answer as a coordinator does") from None

    def _open(self, url: str, method: str, target: str, body: bytes) -> tuple[HTTPConnection, HTTPResponse]:
        """A connection and the good answer on it. Raises Failure for a refusal."""
        connection, prefix = _connection(url)
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER_SECONDS)
            connection.request(method, prefix + target, body, self._headers(method, prefix + target, body))
            response = connection.getresponse()
            self._note_date(response)
            if response.status >= 300:
                raise _failure(url, response)
        except BaseException:
            connection.close()
            raise
        return connection, response

    def _headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        nonce = signing.new_nonce(secrets.token_bytes(16))
        key = self._key
        signed = signing.sign(key.id, key.secret, method, target, body, created=int(time()), nonce=nonce)
        return {"Connection": "close", "Content-Type": "application/json", **dict(signed)}

    def _note_date(self, response: HTTPResponse) -> None:
        skew = refusal.skew(response.headers.get("Date", ""), time())
        self._skew = skew if abs(skew) > DATE_SECONDS else 0.0


class Log:
    """A job's log. It remembers where it was read to: reading it again goes on there."""

    def __init__(self, client: Client, path: str, patience: Patience) -> None:
        self._client = client
        self._path = path
        self._patience = patience
        self._after = "0-0"

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
                sleep(PAUSE)
            self._client.turn()


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


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0 and not parts.query and not parts.fragment:
            return url
    except ValueError:
        pass
    raise Failure(f"FFGRID_URL: {url!r} is no address: expected http://host:port or https://host", USAGE)


def _connection(url: str) -> tuple[HTTPConnection, str]:
    """A connection that is not open yet, and what the paths of this coordinator begin with."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=CONNECT_SECONDS), parts.path


def _failure(url: str, response: HTTPResponse) -> Failure:
    if response.status < 400:
        elsewhere = response.headers.get("Location", "")
        return Failure(f"{url} sends to {elsewhere!r}: set FFGRID_URL to where the coordinator is", USAGE)
    date = response.headers.get("Date", "")
    sentence = refusal.sentence(response.status, response.read(), date, time())
    return Failure(sentence, EXIT.get(response.status, FAILED))


def _why(error: Exception) -> str:
    """The reason for silence in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return "it closed the connection"
    if isinstance(error, OSError):
        said = getattr(error, "verify_message", "") or getattr(error, "reason", "") or error.strerror or error
        return str(said).lower().replace("_", " ")
    return str(error) if type(error) is HTTPException else "it does not speak HTTP"
