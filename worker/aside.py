"""Work that may wait for a file system: beside the event loop, and given up when it takes too long.

A mount whose server is gone holds whoever touches it, uninterruptibly. That must be neither this process's loop,
which sends the heartbeats, nor a pool of threads that other jobs need.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

PATIENCE = 20.0  # seconds; a disk that has to wake up takes ten

T = TypeVar("T")


class Hung(Exception):
    """A file system does not answer."""


async def aside(work: Callable[..., T], *arguments: Any, within: float = PATIENCE) -> T:
    """What it returns, or raises, from a thread of its own. Raises Hung after `within` seconds.

    The thread of work that was given up stays until the file system answers; what it returns then is dropped.
    """
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
    done, _ = await asyncio.wait((ended,), timeout=within)
    if not done:
        ended.cancel()
        raise Hung(f"a file system does not answer (waited {within:g} s)")
    return ended.result()


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
