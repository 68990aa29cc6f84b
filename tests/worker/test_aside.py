"""Work beside the loop: its result, its error, or the end of patience."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from worker import aside as aside_module
from worker.aside import Hung, aside, unless


async def test_it_gives_what_the_work_returns() -> None:
    assert await aside(divmod, 7, 2) == (3, 1)


async def test_it_raises_what_the_work_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        await aside(divmod, 7, 0)


async def test_work_that_hangs_is_given_up_and_stops_nobody_else() -> None:
    answers = threading.Event()
    hanging = [asyncio.create_task(aside(answers.wait, within=0.3)) for _ in range(50)]
    began = time.monotonic()

    assert await aside(divmod, 7, 2) == (3, 1)  # however many hang
    assert not any(one.done() for one in hanging)
    for one in hanging:
        with pytest.raises(Hung, match=r"does not answer \(waited 0.3 s\)"):
            await one

    assert time.monotonic() - began < 10
    answers.set()
    await asyncio.sleep(0)  # what they return now is dropped


async def test_one_that_nobody_waits_for_any_more_harms_nobody() -> None:
    answers = threading.Event()
    waiting = asyncio.create_task(aside(answers.wait))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    answers.set()
    await asyncio.sleep(0.05)


async def test_work_that_was_stopped_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside_module, "GRACE", 0.1)
    answers, stopped = threading.Event(), asyncio.Event()
    waiting = asyncio.create_task(unless(stopped, aside(answers.wait)))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    stopped.set()

    with pytest.raises(Hung, match="does not answer"):
        async with asyncio.timeout(10):
            await waiting
    answers.set()


async def test_work_that_is_quick_is_done_after_a_stop_too() -> None:
    stopped = asyncio.Event()
    stopped.set()

    assert await unless(stopped, aside(divmod, 7, 2)) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await unless(stopped, aside(divmod, 7, 0))
