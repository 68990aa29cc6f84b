"""The attach stream at the coordinator: who may, what is resumed, what a caller that leaves leaves behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.state.jobs import ATTACH_MS
from app.state.leases import Lease, Leases
from app.web.api.attach import CLOSED_MS, NOT_ACCEPTED, OPEN_MS, SERVICE_RESTART
from app.wire import attach as frames
from app.wire import websocket
from app.wire.attach import EXIT, Exit
from app.wire.messages import job_path
from tests.web.conftest import NOBODY, Attached, Key, Site, attach_path, handshake, say

GONE = 1.5  # seconds after which the job of a caller that has gone is ended, where nothing is slow
LEASE = 6.0  # seconds after which that of a caller is ended whose connection is merely silent


async def until(condition: Callable[[], Awaitable[bool]], within: float = 10.0) -> float:
    """The seconds until the condition held. Fails the test when it takes too long."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < within, f"waited {within} s for {condition}"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def remains(condition: Callable[[], Awaitable[bool]], seconds: float = GONE) -> bool:
    """Whether the condition holds all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not await condition():
            return False
        await asyncio.sleep(0.02)
    return True


async def running(site: Site, job_id: str) -> tuple[Leases, Lease]:
    """A worker that runs this queued job."""
    worker = await site.hire("w1")
    return worker, await site.take(worker, job_id)


async def print_frames(site: Site, job_id: str, first: int, last: int) -> list[tuple[bytes, int, bytes]]:
    """What the job says: these numbers, as the caller will get them."""
    said = [
        (frames.STDERR if number % 3 else frames.STDOUT, number, b"%d\xff\0\n" % number)
        for number in range(first, last + 1)
    ]
    for kind, number, data in said:
        await site.store.output.send(job_id, number, kind, data)
    return said


async def left(site: Site, job_id: str) -> float | None:
    """For how many ms the caller still counts as alive; None when nobody asks any more."""
    deadline = await site.store.redis.zscore(site.store.keys.callers, job_id)
    seconds, microseconds = await site.store.redis.time()
    return None if deadline is None else float(deadline) - (seconds * 1000 + microseconds / 1000)


def in_state(site: Site, job_id: str, state: str) -> Callable[[], Awaitable[bool]]:
    """Asks whether the job is in this state."""

    async def asked() -> bool:
        return (await site.jobs.get(job_id)).state == state

    return asked


# Who may


@pytest.mark.parametrize("web", [0, 1])
@pytest.mark.parametrize(
    ("who", "status", "name"),
    [
        ("nobody", 401, "unauthorized"),
        ("worker", 403, "forbidden"),
        ("other", 404, "no-such-job"),
        ("admin", 404, "no-such-job"),
    ],
)
async def test_only_the_owner_attaches(site: Site, who: str, status: int, name: str, web: int) -> None:
    keys: dict[str, Key] = {"nobody": NOBODY, "worker": site.worker, "admin": site.admin}
    key = keys.get(who) or await site.key("other")
    job_id = site.submit(attach=True)

    answer = say(site.port(web), handshake(key, attach_path(job_id)))

    assert (answer.status, answer.type) == (status, name)
    assert (await left(site, job_id) or 0) < ATTACH_MS  # nobody counts as its caller


@pytest.mark.parametrize("job_id", ["0" * 26, "x", "0" * 40])
async def test_a_job_that_is_not_there_cannot_be_attached_to(site: Site, job_id: str) -> None:
    answer = say(site.port(), handshake(site.client, attach_path(job_id)))

    assert (answer.status, answer.type) == (404, "no-such-job")


@pytest.mark.parametrize("state", ["queued", "ended"])
async def test_a_job_without_a_caller_cannot_be_attached_to(site: Site, state: str) -> None:
    job_id = site.submit()
    if state == "ended":
        await site.end(job_id)

    answer = say(site.port(), handshake(site.client, attach_path(job_id)))

    assert (answer.status, answer.type) == (409, "not-attachable")
    assert job_id in answer.detail


@pytest.mark.parametrize("after", ["x", "-1", "", "1.0", "9" * 19, "%C2%B2", "0x1", "1-0"])
async def test_a_place_that_is_no_number_is_refused(site: Site, after: str) -> None:
    answer = say(site.port(), handshake(site.client, attach_path(site.submit(attach=True), after)))

    assert (answer.status, answer.type) == (422, "invalid")
    assert "after" in answer.detail


async def test_attaching_says_that_the_caller_lives(site: Site) -> None:
    job_id = site.submit(attach=True)
    before = await left(site, job_id)

    with Attached(site.port(), site.client, job_id):
        during = await left(site, job_id)

    assert before is not None
    assert ATTACH_MS - 5000 < before <= ATTACH_MS
    assert during is not None
    assert OPEN_MS - 5000 < during <= OPEN_MS


# From the job to the caller


@pytest.mark.parametrize("web", [0, 1])
@pytest.mark.parametrize("after", [0, 1, 4, 9, 10, 11, 500])
async def test_a_caller_that_comes_back_gets_exactly_what_it_has_not(
    site: Site, after: int, web: int
) -> None:
    job_id = site.submit(attach=True)
    said = await print_frames(site, job_id, 1, 10)
    await site.store.output.send(job_id, 11, EXIT, Exit(7, None, "").encode())
    await site.end(job_id, "fail", 7)

    with Attached(site.port(web), site.client, job_id, after) as caller:
        received = caller.rest()

    last = (EXIT, max(after + 1, 11), Exit(7, None, "").encode())
    assert received[:-1] == said[after:]
    assert received[-1][:2] == last[:2]
    assert Exit.decode(received[-1][2]).code == 7


async def test_what_the_job_says_arrives_while_it_runs_at_every_process(site: Site) -> None:
    job_id = site.submit(attach=True)
    worker, lease = await running(site, job_id)

    with (
        Attached(site.port(0), site.client, job_id) as one,
        Attached(site.port(1), site.client, job_id) as two,
    ):
        first = await print_frames(site, job_id, 1, 3)
        received = [[caller.receive() for _ in first] for caller in (one, two)]
        second = await print_frames(site, job_id, 4, 6)
        await worker.finish(lease, "succeed", {"exit": 0})
        await site.store.output.send(job_id, 7, EXIT, Exit(0, None, "").encode())
        rest = [caller.rest() for caller in (one, two)]

    assert received == [first, first]
    assert rest == [[*second, (EXIT, 7, b"0,,")]] * 2


async def test_a_caller_changes_the_process_and_loses_nothing(site: Site) -> None:
    job_id = site.submit(attach=True)
    said = await print_frames(site, job_id, 1, 40)
    received: list[Any] = []
    for turn in range(8):
        with Attached(site.port(turn % 2), site.client, job_id, len(received)) as caller:
            received += [caller.receive() for _ in range(5)]

    assert received == said


# What Redis has lost


async def test_a_caller_gets_no_stream_with_a_hole_in_it(site: Site) -> None:
    job_id = site.submit(attach=True)
    worker, lease = await running(site, job_id)

    with Attached(site.port(), site.client, job_id) as caller:
        said = await print_frames(site, job_id, 1, 3)
        received = [caller.receive() for _ in said]
        await print_frames(site, job_id, 5, 6)
        *more, last = caller.rest()
    beat = await worker.beat(1, [], {job_id: lease.token})

    assert (received, more) == (said, [])
    assert last[:2] == (EXIT, 4)
    assert Exit.decode(last[2]).code is None
    assert "has lost a part" in Exit.decode(last[2]).reason
    assert beat.cancelled == {job_id: "kill"}


async def test_a_caller_that_has_more_than_redis_knows_of_is_refused(site: Site) -> None:
    """Another run of the job would go on where this caller's run never was."""
    job_id = site.submit(attach=True)
    await running(site, job_id)
    await print_frames(site, job_id, 1, 3)

    answer = say(site.port(), handshake(site.client, attach_path(job_id, 4)))
    with Attached(site.port(), site.client, job_id, 3) as caller:
        said = await print_frames(site, job_id, 4, 4)
        assert caller.receive() == said[0]

    assert (answer.status, answer.type) == (409, "output-lost")


async def test_large_frames_arrive_byte_for_byte(site: Site) -> None:
    job_id, data = site.submit(attach=True), [os.urandom(frames.CHUNK) for _ in range(40)]
    for number, chunk in enumerate(data, 1):
        await site.store.output.send(job_id, number, frames.STDOUT, chunk)

    with Attached(site.port(), site.client, job_id) as caller:
        received = [caller.receive() for _ in data]

    assert received == [(frames.STDOUT, number, chunk) for number, chunk in enumerate(data, 1)]


ENDINGS = [
    ("succeed", {"exit": 0}),
    ("fail", {"exit": 187}),
    ("fail", {"signal": 11}),
    ("cancel", {"reason": "enough"}),
]


@pytest.mark.parametrize("web", [0, 1])
@pytest.mark.parametrize(("event", "fields"), ENDINGS)
@pytest.mark.parametrize("after", [0, 3])
async def test_how_a_job_ended_is_told_though_its_frames_are_gone(
    site: Site, event: str, fields: dict[str, Any], after: int, web: int
) -> None:
    job_id = site.submit(attach=True)
    worker, lease = await running(site, job_id)
    await print_frames(site, job_id, 1, 3)
    await worker.finish(lease, event, fields)
    await site.store.redis.delete(site.store.keys.output(job_id))  # ten minutes later

    with Attached(site.port(web), site.client, job_id, after) as caller:
        ((kind, number, payload),) = caller.rest()

    ending = Exit.decode(payload)
    assert (kind, number) == (EXIT, after + 1)
    assert (ending.code, ending.signal) == (fields.get("exit"), fields.get("signal"))
    assert fields.get("reason", "") in ending.reason


async def test_a_job_that_is_cancelled_before_it_runs_ends_for_its_caller(site: Site) -> None:
    job_id = site.submit(attach=True)

    with Attached(site.port(), site.client, job_id) as caller:
        assert site.ask("POST", job_path(job_id, "cancel"), web=1).status == 200
        ((_, _, payload),) = caller.rest()

    ending = Exit.decode(payload)
    assert (ending.code, ending.signal) == (None, None)
    assert ending.reason == "cancelled by client"


async def test_a_job_that_ends_without_a_last_word_ends_for_its_caller(site: Site) -> None:
    job_id = site.submit(attach=True)
    worker, lease = await running(site, job_id)

    with Attached(site.port(), site.client, job_id) as caller:
        said = await print_frames(site, job_id, 1, 2)
        await worker.finish(lease, "fail", {"reason": "its worker was lost"})
        received = caller.rest()

    assert received[:-1] == said
    assert Exit.decode(received[-1][2]).reason == "its worker was lost"


# From the caller to the job


async def sent(site: Site, job_id: str) -> list[tuple[int, bytes, bytes]]:
    """What the job can take."""
    rows = await site.store.redis.xrange(site.store.keys.input(job_id))
    return [(int(entry.partition(b"-")[0]), fields[b"k"], fields[b"d"]) for entry, fields in rows]


async def test_what_the_caller_sends_is_kept_in_its_order(site: Site) -> None:
    job_id = site.submit(attach=True)
    await running(site, job_id)
    said = [
        (frames.STDIN, b"\0\xffq"),
        (frames.CLOSED, frames.STDERR),
        (frames.WINDOW, frames.pack(5)),
        (frames.SIGNAL, bytes((signal.SIGTERM,))),
        (frames.EOF, b""),
    ]

    async def has_all() -> bool:
        return len(await sent(site, job_id)) == len(said)

    with Attached(site.port(), site.client, job_id) as caller:
        for number, (kind, payload) in enumerate(said, 1):
            caller.send(kind, number, payload)
        await until(has_all)

    assert await sent(site, job_id) == [
        (number, kind, payload) for number, (kind, payload) in enumerate(said, 1)
    ]


async def test_what_is_sent_again_elsewhere_is_kept_once(site: Site) -> None:
    job_id = site.submit(attach=True)

    async def has_all() -> bool:
        # The first is left out where the other process was faster: none is taken after a later one.
        return {number for number, _, _ in await sent(site, job_id)} >= {2, 3, 4, 5, 6}

    with Attached(site.port(0), site.client, job_id) as one:
        for number in (1, 2, 3):
            one.send(frames.STDIN, number, b"%d" % number)
        with Attached(site.port(1), site.client, job_id) as two:
            for number in (2, 3, 4, 5, 6):
                two.send(frames.STDIN, number, b"%d" % number)
            await until(has_all)

    numbers = [number for number, _, _ in await sent(site, job_id)]
    assert numbers == sorted(set(numbers))
    assert set(numbers) >= {2, 3, 4, 5, 6}


async def test_a_signal_ends_a_job_that_has_not_started(site: Site) -> None:
    job_id = site.submit(attach=True)

    with Attached(site.port(), site.client, job_id) as caller:
        caller.send(frames.SIGNAL, 1, bytes((signal.SIGINT,)))
        ((kind, _, payload),) = caller.rest()

    assert kind == EXIT
    assert "before it started" in Exit.decode(payload).reason
    assert (await site.jobs.get(job_id)).state == "cancelled"


async def test_a_signal_does_not_end_a_job_that_runs(site: Site) -> None:
    job_id = site.submit(attach=True)
    await running(site, job_id)

    async def has_one() -> bool:
        return len(await sent(site, job_id)) == 1

    with Attached(site.port(), site.client, job_id) as caller:
        caller.send(frames.SIGNAL, 1, bytes((signal.SIGINT,)))
        await until(has_one)

        assert (await site.jobs.get(job_id)).state == "running"


NONSENSE: dict[str, tuple[bytes, int]] = {
    "an unknown kind": (frames.encode(b"Z", 1), websocket.BINARY),
    "a kind that only jobs send": (frames.encode(frames.STDOUT, 1, b"x"), websocket.BINARY),
    "an exit": (frames.encode(EXIT, 1, b"0,,"), websocket.BINARY),
    "nothing": (b"", websocket.BINARY),
    "half a head": (b"I\0\0\0", websocket.BINARY),
    "a text": (b"hello, this is a text", websocket.TEXT),
    "a frame without a number": (frames.encode(frames.STDIN, 0, b"x"), websocket.BINARY),
    "a signal of no number": (frames.encode(frames.SIGNAL, 1, b""), websocket.BINARY),
    "a signal that there is not": (frames.encode(frames.SIGNAL, 1, b"\xc8"), websocket.BINARY),
    "a window of no number": (frames.encode(frames.WINDOW, 1, b""), websocket.BINARY),
    "a window of a number too long": (frames.encode(frames.WINDOW, 1, bytes(20)), websocket.BINARY),
    "a window beyond all frames": (frames.encode(frames.WINDOW, 1, b"\xff" * 8), websocket.BINARY),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_what_is_no_callers_frame_closes_the_connection(site: Site, name: str) -> None:
    job_id = site.submit(attach=True)

    with Attached(site.port(), site.client, job_id) as caller:
        caller.socket.settimeout(2)
        caller.message(*NONSENSE[name])
        received = caller.rest()

    assert received == []
    assert caller.closed == NOT_ACCEPTED
    assert await sent(site, job_id) == []


async def test_a_message_that_is_too_large_closes_the_connection(site: Site) -> None:
    job_id = site.submit(attach=True)

    with Attached(site.port(), site.client, job_id) as caller:
        caller.send(frames.STDIN, 1, bytes(1 << 20))
        caller.rest()

    assert caller.closed == 1009
    assert await sent(site, job_id) == []


async def test_a_ping_is_answered(site: Site) -> None:
    job_id = site.submit(attach=True)

    with Attached(site.port(), site.client, job_id) as caller:
        caller.message(b"are you there?", websocket.PING)
        data = b""
        while len(data) < 16:
            data += caller.socket.recv(16 - len(data))

    assert data == bytes((0x8A, 14)) + b"are you there?"


# A caller that leaves


def reset(connection: socket.socket) -> None:
    """Closes it as a kernel does that knows nothing of it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


LEAVING: dict[str, Callable[[Attached], object]] = {
    "says goodbye": lambda caller: caller.say_goodbye(),
    "dies": lambda caller: caller.cut(),
    "is reset": lambda caller: reset(caller.socket),
}


@pytest.mark.parametrize("way", LEAVING)
async def test_the_queued_job_of_a_caller_that_is_gone_is_cancelled(site: Site, way: str) -> None:
    job_id = site.submit(attach=True)

    with Attached(site.port(), site.client, job_id) as caller:
        LEAVING[way](caller)
        took = await until(in_state(site, job_id, "cancelled"))

    assert (await site.jobs.get(job_id)).reason == "its caller is gone"
    assert took < LEASE - 1


@pytest.mark.parametrize("way", LEAVING)
async def test_the_running_job_of_a_caller_that_is_gone_is_killed(site: Site, way: str) -> None:
    job_id = site.submit(attach=True)
    worker, lease = await running(site, job_id)

    async def is_told() -> bool:
        return (await worker.beat(1, [], {job_id: lease.token})).cancelled == {job_id: "kill"}

    with Attached(site.port(), site.client, job_id) as caller:
        LEAVING[way](caller)
        took = await until(is_told)

    assert took < LEASE - 1


async def test_a_caller_that_comes_back_at_once_keeps_its_job(site: Site) -> None:
    job_id = site.submit(attach=True)
    with Attached(site.port(0), site.client, job_id):
        pass

    async def is_short_of_time() -> bool:
        return (await left(site, job_id) or 0) <= CLOSED_MS

    await until(is_short_of_time)
    with Attached(site.port(1), site.client, job_id):
        assert await remains(in_state(site, job_id, "queued"))


async def test_a_caller_that_has_come_back_elsewhere_is_not_gone_when_its_old_connection_ends(
    site: Site,
) -> None:
    job_id = site.submit(attach=True)

    with Attached(site.port(0), site.client, job_id) as old, Attached(site.port(1), site.client, job_id):
        old.cut()

        assert await remains(in_state(site, job_id, "queued"))


async def test_a_caller_that_has_come_back_to_the_same_process_is_not_gone_either(site: Site) -> None:
    job_id = site.submit(attach=True)

    with Attached(site.port(0), site.client, job_id) as old, Attached(site.port(0), site.client, job_id):
        old.say_goodbye()

        assert await remains(in_state(site, job_id, "queued"))


async def test_a_caller_that_leaves_after_the_end_changes_nothing(site: Site) -> None:
    job_id = site.submit(attach=True)
    await site.end(job_id)

    with Attached(site.port(), site.client, job_id) as caller:
        caller.rest()
        caller.say_goodbye()
        assert caller.receive() is None

    assert (await site.jobs.get(job_id)).state == "done"
    assert await left(site, job_id) is None


# A process that leaves


async def test_a_process_that_ends_sends_its_callers_elsewhere(own_site: Site) -> None:
    site = own_site
    job_id = site.submit(attach=True)
    worker, lease = await running(site, job_id)
    first = await print_frames(site, job_id, 1, 3)

    with Attached(site.port(0), site.client, job_id) as caller:
        received = [caller.receive() for _ in first]
        site.farm.webs[0].signal(signal.SIGTERM)
        assert caller.receive() is None
    status = await asyncio.to_thread(site.farm.webs[0].process.wait, 10)

    time_left = await left(site, job_id)
    assert caller.closed == SERVICE_RESTART
    assert status in (0, -signal.SIGTERM)
    assert received == first
    assert time_left is not None
    assert time_left > 5_000  # the caller has time to come back
    assert (await site.jobs.get(job_id)).state == "running"
    assert not (await worker.beat(1, [], {job_id: lease.token})).cancelled
    second = await print_frames(site, job_id, 4, 5)
    with Attached(site.port(1), site.client, job_id, after=3) as caller:
        assert [caller.receive() for _ in second] == second


async def test_a_process_that_dies_takes_no_job_with_it(own_site: Site) -> None:
    site = own_site
    job_id = site.submit(attach=True)

    with Attached(site.port(0), site.client, job_id) as caller:
        site.farm.webs[0].kill()
        assert caller.receive() is None
    with Attached(site.port(1), site.client, job_id):
        assert await remains(in_state(site, job_id, "queued"))


async def test_a_caller_is_sent_away_when_the_queue_is_lost(own_site: Site) -> None:
    site = own_site
    job_id = site.submit(attach=True)
    assert site.farm.redis

    with Attached(site.port(0), site.client, job_id) as caller:
        site.farm.redis.kill()
        assert caller.receive() is None

    assert caller.closed == SERVICE_RESTART
    refused = say(site.port(), handshake(site.client, attach_path(job_id)))
    assert (refused.status, refused.type) == (503, "queue-unreachable")
