"""Names in what is printed, where there is no namespace: this host's are changed back into the caller's."""

from __future__ import annotations

from collections.abc import Mapping


class Names:
    """Changes a worker's names of roots into the caller's in a stream of text."""

    def __init__(self, here: Mapping[str, str], there: Mapping[str, str]) -> None:
        """`here` and `there`: root name -> path, as the command says it and as its caller does."""
        self.there = there
        self._pairs = [(_bytes(here[name]), _bytes(there[name])) for name in there if name in here]

    def add(self, here: str, there: str) -> None:
        """One more name, of a file in a root."""
        self._pairs.insert(0, (_bytes(here), _bytes(there)))

    def stream(self) -> Stream:
        """The state of one stream."""
        return Stream(self._pairs)


class Stream:
    """One stream: what could be the beginning of a name waits for the next bytes."""

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self._pairs = pairs
        self._kept = b""

    def feed(self, data: bytes) -> bytes:
        """The next bytes with names changed."""
        data = self._kept + data
        self._kept = b""
        for ours, theirs in self._pairs:
            data = data.replace(ours, theirs)
        begun = max((_begun(data, ours) for ours, _ in self._pairs), default=0)
        if begun:
            data, self._kept = data[:-begun], data[-begun:]
        return data

    def end(self) -> bytes:
        """What still waited."""
        kept, self._kept = self._kept, b""
        return kept


def _begun(data: bytes, name: bytes) -> int:
    """How many bytes at the end could be the beginning of the name."""
    for size in range(min(len(name) - 1, len(data)), 0, -1):
        if name.startswith(data[-size:]):
            return size
    return 0


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
