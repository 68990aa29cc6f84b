"""Work that may wait for a file system: beside the event loop, and given up when it takes too long.

A mount whose server is gone holds whoever touches it, uninterruptibly. That must be neither this process's loop,
which sends the heartbeats, nor a pool of threads that other jobs need.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

PATIENCE = 20.0  # seconds; a disk that has to wake up takes ten
GRACE = 1.0  # what is left to work that nobody wants any more

T = TypeVar("T")


class Hung(Exception):
    """A file system does not answer."""


async def aside(work: Callable[..., T], *arguments: Any, within: float = PATIENCE) -> T:
    """What it returns, or raises, from a thread of its own. Raises Hung after `within` seconds.

    The thread of work that was given up stays until the file system answers; what it returns then is dropped.
    """
    ended = begin(work, *arguments)
    try:
        done, _ = await asyncio.wait((ended,), timeout=within)
        if not done:
            raise Hung(f"a file system does not answer (waited {within:g} s)")
        return ended.result()
    finally:
        ended.cancel()


async def unless(stopped: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """What this work with files returns, or raises. Once it is stopped it is not waited for long: raises Hung then."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await asyncio.wait((working,), timeout=GRACE)
        if not working.done():
            raise Hung("a file system does not answer")
        return working.result()
    finally:
        stopping.cancel()
        working.cancel()


def begin(work: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
    """Starts it in a thread of its own, which nobody can end."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work(*arguments)
        except BaseException as error:
            _call(loop, _fail, ended, error)
        else:
            _call(loop, _succeed, ended, result)

    threading.Thread(target=run, daemon=True, name=f"aside-{getattr(work, '__name__', 'work')}").start()
    return ended


def _call(loop: asyncio.AbstractEventLoop, tell: Callable[..., None], *arguments: Any) -> None:
    try:
        loop.call_soon_threadsafe(tell, *arguments)
    except RuntimeError:  # the loop has ended meanwhile
        return


def _succeed(ended: asyncio.Future[T], result: T) -> None:
    if not ended.done():
        ended.set_result(result)


def _fail(ended: asyncio.Future[T], error: BaseException) -> None:
    if not ended.done():
        ended.set_exception(error)
