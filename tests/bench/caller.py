"""The stand-in's own steps with its own modules, and the moment (Unix time) of each, for `shim.py`.

Run as `python -I -S caller.py TREE URL KEY_FILE ROOTS`, as cold as the stand-in. Prints the job's id, the moment
that the program has printed, and the moments of STEPS after it was begun.
"""

from __future__ import annotations

import posix
import sys
from time import time

STEPS = ("begun", "imports", "prepare", "connect", "answer", "attached", "relay")
ARGUMENTS = ["-hide_banner"]


def main() -> None:
    """Runs one call and prints what it has cost."""
    moments = [time()]
    tree, url, key_file, roots = sys.argv[1:]
    sys.path.insert(0, tree)
    import shim.main  # noqa: F401 - everything that the stand-in loads
    from app.wire import messages
    from shim import config, submit
    from shim.connection import Connection

    moments.append(time())
    loaded = config.load({"url": url, "key_file": key_file, "roots": roots})
    body, _ = submit.submission("ffmpeg", ARGUMENTS, loaded)
    moments.append(time())
    connection = Connection(loaded.urls[0], loaded.key)
    moments.append(time())
    status, headers, answer = connection.request("POST", messages.JOBS, body)
    if "location" not in headers:
        sys.exit(f"the submission was answered with {status}: {answer!r}")
    moments.append(time())
    job_id = headers["location"].rpartition("/")[2]
    rest = connection.upgrade(messages.job_path(job_id, "attach"))
    moments.append(time())
    printed = _follow(connection, rest)
    moments.append(time())
    posix.write(1, " ".join([job_id, printed.strip(), *map(repr, moments)]).encode())
    posix._exit(0)


def _follow(connection: object, rest: bytes) -> str:
    """What the program prints until it has ended."""
    from app.wire import attach, websocket

    decoder, printed = websocket.Decoder(), b""
    while True:
        for opcode, message in decoder.feed(rest):
            kind, _, payload = attach.decode(message) if opcode == websocket.BINARY else (b"", b"", b"")
            if kind == attach.STDOUT:
                printed += payload
            if kind == attach.EXIT:
                return printed.decode()
        rest = connection.socket.recv(1 << 18)  # type: ignore[attr-defined]  # its class is imported late
        if not rest:
            sys.exit("the coordinator has closed the connection")


if __name__ == "__main__":
    main()
