"""What a call through the relay says, remembered for the next one that asks the same."""

from __future__ import annotations

from time import time

from app.wire import attach
from app.wire.messages import FLEET_HEADER
from shim.answers import LIMIT, Answer, Answers
from shim.questions import identity

TYPES = False
if TYPES:
    from collections.abc import Mapping

    from shim.questions import Question

SETTLED_SECONDS = 5.0  # a file that was changed within these may be growing still
_LIST_OF_KEYS = b"show this help"  # what "?" prints; one that came too late is answered with nothing
_SNIFFED = 1024
# A text may be a list of other files (concat, HLS, DASH, SDP, cue ...), and those can change. Media are no text.
_NEVER_IN_TEXT = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1b")


class Recording:
    """Listens to a call. `keep` remembers it, if it was a whole answer to a question and nothing disturbed it."""

    def __init__(self, answers: Answers, asked: Question, headers: Mapping[str, str]) -> None:
        """`headers` (lower case) are those of the answer that took the job: they name the fleet it goes to."""
        self._answers = answers
        self._asked = asked
        self._fleet = headers.get(FLEET_HEADER.lower(), "")
        self._said: dict[bytes, list[bytes]] = {attach.STDOUT: [], attach.STDERR: []}
        self._size = 0
        self._sound = True
        answers.heard(self._fleet)

    def said(self, kind: bytes, payload: bytes) -> None:
        """The program has printed this."""
        self._size += len(payload)
        self._sound = self._sound and self._size <= LIMIT
        if self._sound:
            self._said[kind].append(payload)
        else:
            self._said = {attach.STDOUT: [], attach.STDERR: []}

    def told(self, kind: bytes, payload: bytes) -> None:
        """The caller tells the program something. All but its expected input may have changed the answer."""
        expected = kind in (attach.EOF, attach.WINDOW) or (
            kind == attach.STDIN and payload == self._asked.stdin
        )
        self._sound = self._sound and expected

    def keep(self, ending: attach.Exit) -> None:
        """The program has ended."""
        if not self._sound or not self._fleet or ending.code is None or ending.signal is not None:
            return
        out, err = (b"".join(self._said[kind]) for kind in (attach.STDOUT, attach.STDERR))
        asked = self._asked
        if asked.path and (ending.code != 0 or not is_still(asked, time())):
            return
        if asked.wants_keys and _LIST_OF_KEYS not in err:
            return
        self._answers.keep(asked.kind, asked.key, self._fleet, Answer(ending.code, out, err))


def is_still(asked: Question, now: float) -> bool:
    """Whether the probed file is what it was and has been so for a while, and names no other files.

    `now` is in Unix seconds. The times of a file that came by a rename are those of its content, but for one.
    """
    if identity(asked.path) != asked.identity:
        return False
    *_, modified, changed = map(int, asked.identity.split())
    return max(modified, changed) / 1e9 < now - SETTLED_SECONDS and _is_media(asked.path)


def _is_media(path: bytes) -> bool:
    if path.lower().endswith(b".mlv"):  # goes on in .M00, .M01 ...
        return False
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(_SNIFFED)
    except OSError:
        return False
    return head.translate(None, _NEVER_IN_TEXT) != head
