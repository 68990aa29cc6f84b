"""The first milliseconds of a call: it is answered from the cache, or made in earnest.

What is answered here loads no more than it must: no relay, no key, and no connection but once a minute.
"""

from __future__ import annotations

import posix
import sys

TYPES = False
if TYPES:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    from shim.answers import Answer, Answers
    from shim.questions import Question
    from shim.recording import Recording

    Remember = Callable[[Mapping[str, str]], Recording]

_SOURCE = "nullsrc="  # the input of a trial; every other input of ffmpeg makes a call that is no question
KEYS_SECONDS = 1.0  # how long a caller that may ask for the keys has to close its end


def main(binary: str, baked: Mapping[str, str]) -> NoReturn:
    """The launcher's one call."""
    remember = None
    folder, args = _folder(baked), sys.argv[1:]
    if folder and (binary == "ffprobe" or "-i" not in args or _SOURCE in " ".join(args)):
        from shim.questions import question

        asked = question(binary, args)
        if asked and (not asked.wants_keys or _reads_keys(asked)):
            remember = _answer(folder, asked, baked)
    from shim.main import main as call  # everything else, which takes longer than most answers

    call(binary, baked, remember, folder)


def _folder(baked: Mapping[str, str]) -> str:
    """Where answers are kept; "" for nowhere. Nothing is kept relative to wherever the caller is."""
    named = posix.environ.get(b"FFGRID_CACHE")
    folder = baked.get("cache", "") if named is None else named.decode("utf-8", "surrogateescape")
    return folder.rstrip("/") if folder.startswith("/") else ""


def _answer(folder: str, asked: Question, baked: Mapping[str, str]) -> Remember:
    """Answers and ends, or gives what makes something to remember the answer to come with."""
    from shim.answers import Answers

    urls = posix.environ.get(b"FFGRID_URL", b"").decode("utf-8", "surrogateescape") or baked.get("url", "")
    answers = Answers(folder, f"{urls}\n{baked.get('labels', '')}")
    known = _find(answers, asked, baked)
    if known:
        _give(known, asked.fragile)

    def remember(headers: Mapping[str, str]) -> Recording:
        from shim.recording import Recording  # the job has been queued: its program starts meanwhile

        return Recording(answers, asked, headers)

    return remember


def _find(answers: Answers, asked: Question, baked: Mapping[str, str]) -> Answer | None:
    """The answer of the fleet as it is now; as it last was, when no coordinator says."""
    fleet, is_old = answers.fleet()
    found = answers.find(asked.kind, asked.key, fleet) if fleet else None
    if found and is_old:
        from shim.fleet import ask

        answers.asked()  # before it is done: a coordinator that does not answer costs a minute's first call only
        now = ask(baked)
        if now and now != fleet:
            answers.heard(now)
            return answers.find(asked.kind, asked.key, now)
    return found


def _give(answer: Answer, fragile: bool) -> NoReturn:
    """Says what the program said. A reader that leaves ends it, if it ends the program."""
    if fragile:
        import _signal

        _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)  # Python ignores it
    _print(2, answer.stderr)
    _print(1, answer.stdout)
    posix._exit(answer.code)


def _print(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[posix.write(descriptor, view) :]
        except BlockingIOError:
            _wait_writable(descriptor)
        except OSError:  # nobody reads it, or the disk is full: the program would not care
            return


def _wait_writable(descriptor: int) -> None:
    from select import POLLOUT, poll

    waiting = poll()
    waiting.register(descriptor, POLLOUT)
    waiting.poll()


def _reads_keys(asked: Question) -> bool:
    """Whether the whole input is the "?" that asks for the keys. It is there again for whoever runs the call."""
    import select

    ended = select.POLLHUP | getattr(select, "POLLRDHUP", 0)  # a socket has the second, on Linux
    try:
        mode = posix.fstat(0).st_mode & 0o170000
        if mode not in (0o010000, 0o140000):  # a pipe or a socket
            return False
        waiting = select.poll()
        waiting.register(0, ended & ~select.POLLHUP)  # that all is written is seen without reading any of it
        if not any(what & ended for _, what in waiting.poll(KEYS_SECONDS * 1000)):
            return False
        return _take_all(asked)
    except OSError:
        return False


def _take_all(asked: Question) -> bool:
    data = b""
    while more := posix.read(0, 65_536):
        data += more
    again, into = posix.pipe()
    posix.set_blocking(into, False)
    posix.write(into, data)  # what does not fit are keys that a run of one second would never see
    posix.close(into)
    posix.dup2(again, 0)
    posix.close(again)
    asked.stdin = data
    return data in (b"?", b"?\n")
