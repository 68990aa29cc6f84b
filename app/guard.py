"""A process that outlives its parent just long enough to end what the parent has started.

Runs by itself (`python -I -S guard.py`) and reads lines from its standard input:

    +PGID SIGNAL   end this process group with this signal when the parent is gone
    -PGID          forget it
    .              the parent is well; once said, a silence of SILENCE seconds means that it is frozen

End of input means that the parent has died, however it died: the kernel closes its pipe.
Standard library only, so that it starts in milliseconds and stays small.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

SILENCE = 5.0


class Guard:
    """The parent's end of a guard process. Never raises: a guard that has died is replaced at the next word."""

    def __init__(self) -> None:
        self._groups: dict[int, int] = {}
        self._ticked = time.monotonic()
        self._struck = 0.0
        self._process = self._start()

    def watch(self, group: int, sig: int = signal.SIGKILL) -> None:
        """The process group ends with `sig` if this process dies."""
        self._groups[group] = sig
        self._say(f"+{group} {int(sig)}\n")

    def forget(self, group: int) -> None:
        """The process group has ended."""
        self._groups.pop(group, None)
        self._say(f"-{group}\n")

    def tick(self) -> None:
        """This process is well."""
        self._note_silence()
        self._ticked = time.monotonic()
        self._say(".\n")

    def has_struck(self, since: float) -> bool:
        """Whether this process was frozen so long after `since` (monotonic seconds) that the guard struck."""
        self._note_silence()
        return self._struck > since

    def close(self) -> None:
        """Ends the guard, and with it what it still watches."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()

    def _note_silence(self) -> None:
        now = time.monotonic()
        if now - self._ticked > SILENCE:
            self._struck = now

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", __file__]
        return subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def _say(self, line: str) -> None:
        if not self._write(line):
            self._process.wait()
            self._process = self._start()
            self._write("".join(f"+{group} {sig}\n" for group, sig in self._groups.items()))

    def _write(self, text: str) -> bool:
        assert self._process.stdin
        try:
            self._process.stdin.write(text.encode())
        except OSError:
            return False
        return True


def main() -> None:
    """The guard's own process."""
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(sig, signal.SIG_IGN)
    groups: dict[int, int] = {}
    heard: float | None = None
    rest = b""
    while True:
        ready, _, _ = select.select([0], [], [], 0.5 if heard else None)
        if ready:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                _obey(line, groups)
            heard = time.monotonic() if b"." in lines or heard else None
        elif heard and time.monotonic() - heard > SILENCE:
            _end(groups)
    _end(groups)


def _obey(line: bytes, groups: dict[int, int]) -> None:
    if line.startswith(b"+"):
        group, sig = line[1:].split()
        groups[int(group)] = int(sig)
    elif line.startswith(b"-"):
        groups.pop(int(line[1:]), None)


def _end(groups: dict[int, int]) -> None:
    for group, sig in groups.items():
        try:
            os.killpg(group, sig)
        except OSError:
            continue
    groups.clear()


if __name__ == "__main__":
    main()
