"""A stream that the caller reads. Writing to it never waits, so that signals and the connection are not kept waiting.

The caller's own descriptor stays as it is: others may share it, and would not expect it to stop blocking.
"""

from __future__ import annotations

import _socket
from posix import O_CLOEXEC, O_NONBLOCK, O_WRONLY, dup, fstat, open, write

KIND, PIPE, SOCKET = 0o170000, 0o010000, 0o140000  # as in <sys/stat.h>


class Sink:
    """Standard output or standard error; `descriptor` can be polled for room."""

    __slots__ = ("_socket", "descriptor")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._socket: _socket.socket | None = None
        kind = fstat(descriptor).st_mode & KIND
        try:
            if kind == PIPE:  # opened once more: a description of our own
                self.descriptor = open(f"/proc/self/fd/{descriptor}", O_WRONLY | O_NONBLOCK | O_CLOEXEC)
            elif kind == SOCKET:
                self._socket = _socket.socket(fileno=dup(descriptor))
        except OSError:  # another user's pipe, or no /proc: it is written as it is, and may wait
            return

    def write(self, data: memoryview) -> int:
        """How many bytes it took. Raises BlockingIOError when it has no room, OSError when nobody reads."""
        if self._socket:
            return self._socket.send(data, _socket.MSG_DONTWAIT)
        return write(self.descriptor, data)
