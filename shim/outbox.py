"""What we have said to the job: numbered, and kept until the job has taken it, to be sent again after a cut."""

from __future__ import annotations

from app.wire import attach


class Outbox:
    """`waiting` are the bytes that are kept; `gave_input` whether the job has taken any of the standard input."""

    __slots__ = ("_ended", "_kept", "_number", "gave_input", "waiting")

    def __init__(self) -> None:
        self._number = 0  # of our last frame
        self._kept: list[tuple[int, bytes]] = []
        self._ended = False
        self.waiting = 0
        self.gave_input = False

    def keep(self, kind: bytes, payload: bytes) -> bytes:
        """The frame that says this."""
        frame = self.number(kind, payload)
        self._kept.append((self._number, frame))
        self.waiting += len(frame)
        self._ended = self._ended or kind == attach.EOF
        return frame

    def number(self, kind: bytes, payload: bytes) -> bytes:
        """The frame that says this; it is not kept."""
        self._number += 1
        return attach.encode(kind, self._number, payload)

    def taken(self, number: int) -> None:
        """The job has taken our frames up to this one."""
        while self._kept and self._kept[0][0] <= number:
            frame = self._kept.pop(0)[1]
            self.waiting -= len(frame)
            self.gave_input = self.gave_input or frame[:1] == attach.STDIN

    def frames(self) -> list[bytes]:
        """What is kept, in its order."""
        return [frame for _, frame in self._kept]

    def input(self) -> tuple[bytes, bool]:
        """The standard input that is kept, and whether all of it has been read."""
        frames = map(attach.decode, self.frames())
        return b"".join(payload for kind, _, payload in frames if kind == attach.STDIN), self._ended

    def begin_anew(self) -> None:
        """For another job, which is told nothing but the input. Only while `gave_input` is not."""
        data, ended = self.input()
        self.__init__()  # type: ignore[misc]  # the same as new
        for start in range(0, len(data), attach.CHUNK):
            self.keep(attach.STDIN, data[start : start + attach.CHUNK])
        if ended:
            self.keep(attach.EOF, b"")
