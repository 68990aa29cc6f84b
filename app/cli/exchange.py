"""One signed request to one coordinator, with Python's own HTTP and nothing else."""

from __future__ import annotations

import json
import secrets
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, RemoteDisconnected
from time import time
from typing import Any
from urllib.parse import urlsplit

from app.cli.errors import FAILED, NOT_ALLOWED, NOT_FOUND, TRY_AGAIN, UNREACHABLE, USAGE, Failure
from app.wire import keyfile, refusal, signing

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 15.0  # also how long a followed log may be silent before it is asked for anew
SOON_SECONDS = 2  # who asks to be asked again within that has not said no
DATE_SECONDS = 2.0  # a Date header has whole seconds: less than this is no difference between two clocks

EXIT = {
    **dict.fromkeys((400, 413, 422), USAGE),
    **dict.fromkeys((401, 403), NOT_ALLOWED),
    404: NOT_FOUND,
    **dict.fromkeys((429, 502, 503, 504), TRY_AGAIN),
}


class Unclear(Failure):
    """No answer, or one that is neither yes nor no: what was asked may have been done."""

    def __init__(self, sentence: str, status: int = UNREACHABLE) -> None:
        super().__init__(sentence, status)


class Silent(Exception):
    """Nobody could be asked; the text says why."""


class Cut(Silent):
    """Somebody was asked, and what he says is no answer, or half of one."""


class Exchange:
    """Asks as the owner of this key. Remembers what the coordinators' clocks say."""

    def __init__(self, key: keyfile.Key) -> None:
        self._key = key
        self._skew = 0.0
        self._behind: dict[str, float] = {}  # by how much our clock is put right, for which address

    @property
    def now(self) -> float:
        """The coordinator's time, in Unix seconds, as its last answer told it."""
        return time() - self._skew

    def json(self, url: str, method: str, target: str, body: bytes) -> Any:
        """What is said, if it is not no. Raises Failure for a refusal, Silent."""
        connection, response = self.open(url, method, target, body)
        with closing(connection), closing(response):
            try:
                return json.loads(response.read())
            except ValueError:
                raise Cut("it does not answer as a coordinator does") from None
            except (OSError, HTTPException) as error:
                raise Cut(why(error)) from None

    def open(self, url: str, method: str, target: str, body: bytes) -> tuple[HTTPConnection, HTTPResponse]:
        """A connection and the good answer on it. Raises Failure for a refusal, Silent."""
        for is_last in (False, True):
            connection, response = self._ask(url, method, target, body)
            if response.status < 300:
                break
            with closing(connection):
                if is_last or response.status != 401 or not self._learns_the_time(url, response):
                    raise _failure(url, response, self._time(url))
        return connection, response

    def _ask(self, url: str, method: str, target: str, body: bytes) -> tuple[HTTPConnection, HTTPResponse]:
        line, prefix = connection(url)
        try:
            line.connect()
        except OSError as error:
            raise Silent(why(error)) from None
        try:
            line.sock.settimeout(ANSWER_SECONDS)
            line.request(method, prefix + target, body, self._headers(url, method, prefix + target, body))
            response = line.getresponse()
        except (OSError, HTTPException) as error:
            line.close()
            raise Cut(why(error)) from None
        skew = refusal.skew(response.headers.get("Date", ""), time())
        self._skew = skew if abs(skew) > DATE_SECONDS else 0.0
        return line, response

    def _headers(self, url: str, method: str, target: str, body: bytes) -> dict[str, str]:
        nonce, created = signing.new_nonce(secrets.token_bytes(16)), int(self._time(url))
        key = self._key
        signed = signing.sign(key.id, key.secret, method, target, body, created=created, nonce=nonce)
        return {"Connection": "close", "Content-Type": "application/json", **dict(signed)}

    def _time(self, url: str) -> float:
        """That coordinator's time, as far as we had to learn it."""
        return time() + self._behind.get(url, 0.0)

    def _learns_the_time(self, url: str, response: HTTPResponse) -> bool:
        """Whether a refusal says that our clock is wrong: then it is put right for this coordinator."""
        date = response.headers.get("Date", "")
        found = refusal.correction(date, time(), self._behind.get(url, 0.0))
        if found is None:
            return False
        self._behind[url] = found
        return True


def check(url: str) -> str:
    """The address. Raises Failure if it cannot be one."""
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0 and not parts.query and not parts.fragment:
            return url
    except ValueError:
        pass
    raise Failure(f"FFGRID_URL: {url!r} is no address: expected http://host:port or https://host", USAGE)


def connection(url: str) -> tuple[HTTPConnection, str]:
    """A connection that is not open yet, and what the paths of this coordinator begin with."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=CONNECT_SECONDS), parts.path


def _failure(url: str, response: HTTPResponse, now: float) -> Failure:
    headers = response.headers
    if response.status < 400:
        elsewhere = headers.get("Location", "")
        return Failure(f"{url} sends to {elsewhere!r}: set FFGRID_URL to where the coordinator is", USAGE)
    try:
        body = response.read()
    except (OSError, HTTPException) as error:
        raise Cut(why(error)) from None
    sentence = refusal.sentence(response.status, body, headers.get("Date", ""), now)
    later = headers.get("Retry-After", "0")
    is_soon = later.isdigit() and int(later) <= SOON_SECONDS
    kind = Unclear if response.status >= 500 and is_soon else Failure
    return kind(sentence, EXIT.get(response.status, FAILED))


def why(error: Exception) -> str:
    """The reason for silence in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return "it closed the connection"
    if isinstance(error, OSError):
        said = getattr(error, "verify_message", "") or getattr(error, "reason", "") or error.strerror or error
        return str(said).lower().replace("_", " ")
    return "it does not speak HTTP"
