"""Runs one call: sends it away and is its caller's ffmpeg until it ends, or becomes the local ffmpeg.

The local program is only ever started by exec, and never once the job has been accepted.
"""

from __future__ import annotations

import _signal
import posix
import sys

from app.wire import attach, messages
from shim.config import BadConfig, Config, load
from shim.connection import Connection, Refused, Unreachable
from shim.relay import Lost, Relay
from shim.submit import Stays, submission

FAILED = 1  # the exit status of a call that could neither be sent away nor run here

TYPES = False
if TYPES:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    from shim.recording import Recording

    Remember = Callable[[Mapping[str, str]], Recording]


def main(binary: str, baked: Mapping[str, str], remember: Remember | None = None) -> NoReturn:
    """A call in earnest. `remember` makes what listens to it, of the answer's headers, once it is accepted."""
    args = sys.argv[1:]
    _keep_places()
    try:
        config = load(baked)
    except BadConfig as error:
        _run_here(binary, args, baked.get("local", ""), str(error))
    try:
        relay = _send_away(binary, args, config, remember)
    except (Stays, Unreachable) as error:
        _run_here(binary, args, config.local, str(error))
    except Refused as refused:
        _run_here(binary, args, config.local, refused.sentence())
    try:
        ending = relay.run()
        if relay.recording:
            relay.recording.keep(ending)
        _end(binary, ending)
    except Lost as lost:
        _fail(binary, f"the job was lost: {lost}")


def _keep_places() -> None:
    """A caller may have closed a standard stream; the socket must not get its number. Gone again after exec."""
    while (descriptor := posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)) < 3:
        continue
    posix.close(descriptor)


def _send_away(binary: str, args: list[str], config: Config, remember: Remember | None) -> Relay:
    body, read = submission(binary, args, config)
    why = ""
    for url in config.urls:
        try:
            connection = Connection(url, config.key)
            status, headers, answer = connection.request("POST", messages.JOBS, body)
        except Unreachable as error:
            why = str(error)
            continue
        if status in (502, 504):  # a proxy without a coordinator behind it
            why = f"{url} has no coordinator behind it"
            continue
        if status not in (200, 201):
            raise Refused(status, answer, headers.get("date", ""))
        job_id = headers.get("location", "").removeprefix(messages.JOBS + "/")
        if len(job_id) != 26 or not job_id.isalnum():
            why = f"{url} does not answer as a coordinator does"
            continue
        relay = Relay(connection, config, job_id, read.reads_stdin)
        relay.recording = remember(headers) if remember else None
        return relay
    raise Unreachable(why)


def _end(binary: str, ending: attach.Exit) -> NoReturn:
    if ending.signal is not None:
        if ending.signal != _signal.SIGKILL:
            _signal.signal(ending.signal, _signal.SIG_DFL)
        posix.kill(posix.getpid(), ending.signal)
    if ending.code is None:
        _fail(binary, ending.reason or "the job ended without saying how")
    posix._exit(ending.code)


def _run_here(binary: str, args: list[str], local: str, why: str) -> NoReturn:
    """Becomes the local program, or says why it cannot."""
    if local:
        for number in (_signal.SIGPIPE, _signal.SIGXFSZ):  # Python ignores them, and exec would hand that on
            _signal.signal(number, _signal.SIG_DFL)
        try:
            posix.execv(local, [binary, *args])
        except OSError as error:
            why = f"{why}; and {local} cannot be run here: {error.strerror}"
    _fail(binary, why)


def _fail(binary: str, why: str) -> NoReturn:
    posix.write(2, f"{binary} (ffgrid): {why}\n".encode("utf-8", "backslashreplace"))
    posix._exit(FAILED)
