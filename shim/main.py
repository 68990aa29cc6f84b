"""Runs one call: sends it away and is its caller's ffmpeg until it ends, or becomes the local ffmpeg.

The local program is only ever started by exec, and never once a worker may have the job.
"""

from __future__ import annotations

import _signal
import posix
import sys
from time import monotonic, sleep

from app.wire import messages
from shim import caller
from shim.config import SPOOL, BadConfig, Config, load
from shim.connection import Connection, Refused, Unreachable
from shim.submit import Stays, submission

FINAL = (b"urn:ffgrid:no-worker", b"urn:ffgrid:queue-full")  # refusals after which there is no job
NOTHING_DONE = b'"nothing_done":true'  # there is none either, but there may be one soon
UNCLEAR_SECONDS = 45.0  # for a call that waits for a worker however long that takes

TYPES = False
if TYPES:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    from app.wire import attach
    from shim.recording import Recording
    from shim.relay import Relay, Withdrawn

    Remember = Callable[[Mapping[str, str]], Recording]


def main(
    binary: str, baked: Mapping[str, str], remember: Remember | None = None, cache: str = ""
) -> NoReturn:
    """A call in earnest. `remember` makes what listens to it, of the answer's headers, once it is accepted.

    `cache` is a folder for small files, or "".
    """
    args = sys.argv[1:]
    _keep_places()
    local = baked.get("local", "")
    try:
        config = load(baked, cache)
    except BadConfig as error:
        _stay(binary, args, local, cache, str(error))
    try:
        relay = _send_away(binary, args, config, remember)
    except Unreachable as error:
        _stay(binary, args, local, cache, str(error))
    except Stays as stays:
        _stay(binary, args, local, cache, str(stays), config)
    except Refused as refused:
        _stay(binary, args, local, cache, refused.sentence(), config)
    from shim.relay import Lost, Withdrawn  # loaded by now

    try:
        ending = relay.run()
    except Lost as lost:
        _fail(binary, f"the job was lost: {lost}")
    except Withdrawn as withdrawn:
        relay.signals.let_act()
        _take_back(binary, args, config, withdrawn)
    if relay.recording:
        relay.recording.keep(ending)
    _tell_of_fallbacks(config)
    _end(binary, ending, relay.signal)


def _keep_places() -> None:
    """A caller may have closed a standard stream; the socket must not get its number. Gone again after exec."""
    while (descriptor := posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)) < 3:
        continue
    posix.close(descriptor)


def _send_away(binary: str, args: list[str], config: Config, remember: Remember | None) -> Relay:
    body, read = submission(binary, args, config)
    connection, job_id, headers = _submitted(body, config)
    from shim.relay import Relay

    has_stdin = read.reads_stdin and caller.stdin() != "none"
    relay = Relay(connection, config, job_id, has_stdin, read.listens)
    relay.again = lambda: _submitted(body, config)[:2]
    relay.recording = remember(headers) if remember else None
    return relay


def _submitted(body: bytes, config: Config) -> tuple[Connection, str, dict[str, str]]:
    """The connection, the job's id and the answer's headers, from the first coordinator that takes it.

    Once one may have taken it (or is alive and cannot, and nothing can be run here), all are asked until there is
    a clear answer, for as long as the call may wait for a worker: the key in the body makes one job of all that.
    Raises Unreachable, Refused.
    """
    why, may_have, wait = "", False, 0.1
    ends = monotonic() + (config.wait or UNCLEAR_SECONDS)
    while True:
        for url in config.urls:
            connection = None
            try:
                connection = Connection(url, config.key)
                status, headers, answer = connection.request("POST", messages.JOBS, body, _load_relay)
            except Unreachable as error:
                why, may_have = str(error), may_have or connection is not None
                continue
            if status in (200, 201):
                job_id = headers.get("location", "").removeprefix(messages.JOBS + "/")
                if len(job_id) == 26 and job_id.isalnum():
                    return connection, job_id, headers
                why = f"{url} does not answer as a coordinator does"
                continue
            refused = connection.refused(status, headers, answer)
            if status < 500 or any(name in answer for name in FINAL):
                raise refused
            is_ours = "problem" in headers.get("content-type", "")  # a proxy says 503 too
            why = refused.sentence() if is_ours else f"{url} has no coordinator behind it"
            may_have = may_have or NOTHING_DONE not in answer or not config.local
        if not may_have or monotonic() + wait > ends:
            raise Unreachable(why)
        sleep(wait)
        wait = min(1.0, wait * 2)


def _load_relay() -> None:
    """While the coordinator thinks: half of what a call loads is not needed before."""
    import shim.relay  # noqa: F401


def _tell_of_fallbacks(config: Config) -> None:
    """A coordinator answers: the calls that ran here while none did can be told."""
    if not config.cache:
        return
    try:
        posix.stat(f"{config.cache}/{SPOOL}")
    except OSError:
        return
    from shim import fallbacks  # seldom needed

    fallbacks.deliver(config)


def _end(binary: str, ending: attach.Exit, sent: int | None) -> NoReturn:
    if ending.signal is not None:
        _die(binary, ending.signal, is_expected=ending.signal in (sent, _signal.SIGPIPE))
    if ending.code is None:
        _fail(binary, ending.reason or "the job ended without saying how")
    posix._exit(ending.code)


def _die(binary: str, number: int, *, is_expected: bool) -> NoReturn:
    """Ends by the signal that has ended the job. What happened there leaves no core file of Python's here."""
    import resource

    from shim.local import say

    if not is_expected:
        say(binary, f"ended by signal {number} on the worker")
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if number != _signal.SIGKILL:
        _signal.signal(number, _signal.SIG_DFL)
    posix.kill(posix.getpid(), number)
    posix._exit(128 + number)  # it was one that ends nobody


def _take_back(binary: str, args: list[str], config: Config, withdrawn: Withdrawn) -> NoReturn:
    from shim import local

    local.give_back(withdrawn.data, withdrawn.ended)
    _stay(binary, args, config.local, config.cache, str(withdrawn), config)


def _stay(
    binary: str, args: list[str], local: str, cache: str, why: str, answering: Config | None = None
) -> NoReturn:
    """Runs the call here, and keeps a record of it; at once where a coordinator may be `answering`."""
    from shim.local import run_here

    if local and cache:
        from shim import fallbacks

        fallbacks.record(cache, binary, why)
        if answering:
            fallbacks.deliver(answering)
    run_here(binary, args, local, why)


def _fail(binary: str, why: str) -> NoReturn:
    from shim.local import fail

    fail(binary, why)
