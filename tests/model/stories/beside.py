"""What the model knows nothing of: bulk streams, nonces, long queues, data that is half lost. Nothing is compared."""

from __future__ import annotations

from app.state.jobs import Submission
from app.state.keys import GROUP
from app.state.workers import LEASE_MS
from tests.model.seen import KEYS
from tests.model.stories.tale import Tale, story
from tests.model.world import NEEDS, START


@story()
async def a_full_server_keeps_all_of_a_call_and_little_of_a_log(do: Tale) -> None:
    """Redis trims by whole nodes, of a hundred entries."""
    subject = do.world.subject
    key = KEYS.log("J")
    for most, expected in ((0, 250), (100, 150)):
        for number in range(250):
            answer = await subject.store.scripts.run("append", [key], [f"{number + 1}-0", most, "d", "x"])
            assert answer == f"{number + 1}-0".encode()
        kept = await subject.store.redis.xlen(key)
        assert kept == expected if not most else kept <= expected
        await subject.store.redis.delete(key)


@story()
async def a_nonce_is_burnt_once(do: Tale) -> None:
    subject = do.world.subject
    key = KEYS.nonce("client", "nonce")
    for mark, before in ((b"one", None), (b"one", b"one"), (b"two", b"one")):
        assert await subject.store.scripts.run("burn", [key], [mark, 10_000]) == before
    await subject.set_clock(START + 10_000)
    assert await subject.store.scripts.run("burn", [key], [b"two", 10_000]) is None


@story()
async def files_of_a_job_that_redis_has_lost_are_not_asked_for_again(do: Tale) -> None:
    subject = do.world.subject
    await subject.store.redis.zadd(KEYS.litter, {"J": START})
    leases = subject.leases("w1", "b1")
    assert await leases.tidy([], []) == []
    assert await subject.store.redis.zcard(KEYS.litter) == 0
    await subject.store.redis.zadd(KEYS.litter, {"J": START})
    assert await leases.tidy([], ["J"]) == []
    assert await subject.store.redis.zcard(KEYS.litter) == 0


@story()
async def what_is_silent_behind_many_that_are_not_is_found(do: Tale) -> None:
    """XAUTOCLAIM looks at ten times its COUNT a call, so it must go on where it has stopped."""
    subject = do.world.subject
    redis, leases = subject.store.redis, subject.leases("w1", "b1")
    await subject.submit(_submission("first"))
    (stream,) = [key.decode() for key in await redis.keys(KEYS.queue_prefix + "*:normal")]
    async with redis.pipeline(transaction=False) as pipe:
        for _ in range(1005):
            pipe.xadd(stream, {"job": "J"})
        await pipe.execute()
    reply = await redis.xreadgroup(GROUP, "w2", {stream: ">"})
    fresh = {f"{stream} {entry.decode()}": START + 1_000_000 for entry, _ in reply[0][1]}
    await redis.hset("test:signs", mapping=fresh)
    silent = await subject.submit(_submission("silent"))
    assert [lease.id for lease in await leases.claim([stream], 1)] == [silent.id]
    done = []
    for tick in range(LEASE_MS // 1000 + 4):
        await subject.set_clock(START + 1000 * tick)
        done += await subject.store.reaper.reap() or []
    assert (silent.id, "queued") in done


def _submission(key: str) -> Submission:
    return Submission(key, "digest", "jellyfin", {}, NEEDS[0], "normal", "suspected")
