"""The record of calls that ran on their own hosts: each report once, the newest first, never too many."""

from __future__ import annotations

from dataclasses import replace

from app.state.fallbacks import KEPT, KEPT_MS, Fallback
from tests.state.conftest import Scene

CALL = Fallback(at=1_700_000_000.125, binary="ffmpeg", count=3, reason="no worker is alive", client="tv")


async def test_what_is_reported_is_there_the_last_first(scene: Scene) -> None:
    calls = [CALL, replace(CALL, binary="ffprobe", reason="'/é' lies outside every root")]
    await scene.store.fallbacks.note("tv", calls)
    await scene.store.fallbacks.note("den", [replace(CALL, client="den", count=1)])

    assert await scene.store.fallbacks.newest(10) == [replace(CALL, client="den", count=1), *reversed(calls)]
    assert await scene.store.fallbacks.newest(1) == [replace(CALL, client="den", count=1)]


async def test_the_same_report_twice_is_one_report(scene: Scene) -> None:
    for client in ("tv", "tv", "den"):
        await scene.store.fallbacks.note(client, [CALL])

    assert [one.client for one in await scene.store.fallbacks.newest(10)] == ["den", "tv"]


async def test_a_client_whose_clock_is_ahead_reports_of_now(scene: Scene) -> None:
    await scene.store.fallbacks.note("tv", [replace(CALL, at=9e9)])

    (told,) = await scene.store.fallbacks.newest(1)

    assert abs(told.at - await scene.now() / 1000) < 10


async def test_only_what_was_reported_lately_can_be_asked_for(scene: Scene) -> None:
    await scene.store.fallbacks.note("tv", [CALL])
    now = await scene.now() / 1000

    assert await scene.store.fallbacks.newest(10, now - 60) == [CALL]
    assert await scene.store.fallbacks.newest(10, now + 60) == []


async def test_there_are_never_too_many_and_they_do_not_stay_for_ever(scene: Scene) -> None:
    for number in range(10):
        calls = [replace(CALL, reason=f"{number}-{one}") for one in range(200)]
        await scene.store.fallbacks.note("tv", calls)

    assert KEPT <= await scene.redis.xlen(scene.keys.fallbacks) < KEPT + 200
    assert 0 < await scene.redis.pttl(scene.keys.fallbacks) <= KEPT_MS
