"""The signals that a caller sends to its job, as bytes to be read: an event loop cannot miss one."""

from __future__ import annotations

import _signal
import _socket
import posix

TYPES = False
if TYPES:
    from collections.abc import Iterator

RELAYED = (
    *(_signal.SIGINT, _signal.SIGTERM, _signal.SIGQUIT, _signal.SIGHUP),
    *(_signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGXCPU),
)


class Signals:
    """From `catch` until `let_act` they are only noted. `descriptor` can be polled for them."""

    def __init__(self) -> None:
        self._woken, self._wake = _socket.socketpair()
        self.descriptor = self._woken.fileno()

    def catch(self) -> None:
        """Those that the caller ignores stay ignored."""
        self._wake.setblocking(False)
        _signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in RELAYED:
            if _signal.getsignal(number) != _signal.SIG_IGN:
                _signal.signal(number, _noted)

    def read(self) -> Iterator[int]:
        """What has come. Waits when nothing has."""
        return (
            number for number in self._woken.recv(64) if number in RELAYED
        )  # the terminal's are dealt with

    def let_act(self) -> None:
        """After the end: they act on this process again, and so does one that came too late for the job."""
        for number in RELAYED:
            if _signal.getsignal(number) == _noted:
                _signal.signal(number, _signal.SIG_DFL)
        _signal.set_wakeup_fd(-1)
        self._wake.close()
        for number in self.read():
            posix.kill(posix.getpid(), number)


def _noted(number: int, frame: object) -> None:
    """The wake-up descriptor has told the loop already."""
