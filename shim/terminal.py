"""The caller's terminal, in the mode that ffmpeg itself gives it: a key acts at once and is not shown.

ICRNL stays as it was, so that Enter ends the answer to ffmpeg's question whether to overwrite a file. In the
background nothing is touched: it would stop us.
"""

from __future__ import annotations

import _signal
import posix
import termios

TYPES = False
if TYPES:
    from types import FrameType
    from typing import Any

    Mode = list[Any]  # as the module termios has it

SUSPENDED = (_signal.SIGTSTP, _signal.SIGCONT)


class Terminal:
    """Descriptor 0, which must be a terminal. `leave` gives it back as it was found."""

    def __init__(self) -> None:
        self._before: Mode | None = None
        self._entered = False
        self.enter()
        for number, handler in zip(SUSPENDED, (self._suspend, self._go_on), strict=True):
            if _signal.getsignal(number) == _signal.SIG_DFL:
                _signal.signal(number, handler)

    @property
    def is_ours(self) -> bool:
        """Whether we are in the foreground. A terminal that is not the controlling one has no background."""
        try:
            return posix.tcgetpgrp(0) == posix.getpgrp()
        except OSError:
            return True

    def may_be_read(self) -> bool:
        """Whether we are in the foreground, or have come there: a shell does not tell a process that runs."""
        if self.is_ours and not self._entered:
            self.enter()
        return self.is_ours

    def enter(self) -> None:
        """Changes the mode, in the foreground. What it was is what the first change has found."""
        self._entered = False
        if self.is_ours:
            try:
                self._before = self._before or termios.tcgetattr(0)
                termios.tcsetattr(0, termios.TCSANOW, _of_ffmpeg(termios.tcgetattr(0)))
                self._entered = True
            except termios.error:  # it is gone
                return

    def leave(self) -> None:
        """Restores the mode, unless somebody else is in the foreground by now."""
        if self._entered and self._before and self.is_ours:
            self._entered = False
            try:
                termios.tcsetattr(0, termios.TCSANOW, self._before)
            except termios.error:
                return

    def close(self) -> None:
        """Restores the mode and catches nothing any more."""
        for number, handler in zip(SUSPENDED, (self._suspend, self._go_on), strict=True):
            if _signal.getsignal(number) == handler:
                _signal.signal(number, _signal.SIG_DFL)
        self.leave()

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Stops as every program does that knows nothing of it, but leaves the terminal in order."""
        self.leave()
        _signal.signal(number, _signal.SIG_DFL)
        posix.kill(posix.getpid(), number)  # here we stand until we are continued
        _signal.signal(number, self._suspend)
        self.enter()

    def _go_on(self, number: int, frame: FrameType | None) -> None:
        self.enter()


def _of_ffmpeg(mode: Mode) -> Mode:
    """The mode that ffmpeg sets (term_init in ffmpeg.c), but for ICRNL."""
    iflag, oflag, cflag, lflag, ispeed, ospeed, cc = mode
    off = termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
    iflag &= ~(off | termios.INLCR | termios.IGNCR | termios.IXON)
    lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN)
    cc = [*cc]
    cc[termios.VMIN], cc[termios.VTIME] = 1, 0
    cflag = (cflag & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
    return [iflag, oflag | termios.OPOST, cflag, lflag, ispeed, ospeed, cc]
