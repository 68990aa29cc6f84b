"""A process that is told to end: who asks whether it is ready hears that first, then everybody goes on elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.web.api.attach import SERVICE_RESTART
from app.wire import attach as frames
from app.wire.messages import JOBS, job_path
from tests.farm import answers, until
from tests.web.conftest import Answer, Attached, Key, Site, ask, attach_path, dial, handshake, listen, request

EXIT_SECONDS = 3.0  # from SIGTERM to the end of the process, whoever is connected
FOLLOW = "log?follow=1"


def leave(site: Site, web: int = 0) -> float:
    """Tells it to end; when that was."""
    site.farm.webs[web].signal(signal.SIGTERM)
    return time.monotonic()


def took_until_the_end(site: Site, began: float, web: int = 0) -> float:
    """The seconds until the process had ended, by itself."""
    assert site.farm.webs[web].process.wait(20) in (0, -signal.SIGTERM)
    return time.monotonic() - began


def ready(site: Site, web: int = 0) -> Answer:
    """What it says to a balancer."""
    with dial(site.port(web)) as connection:
        connection.sendall(request("GET", "/readyz", []))
        return listen(connection)


@contextlib.contextmanager
def following(port: int, key: Key, job_id: str, after: str = "0-0") -> Iterator[Iterator[dict[str, Any]]]:
    """The lines of a log that is followed, as they come. Fails where the answer is cut and not ended."""
    target = f"{job_path(job_id, FOLLOW)}&after={after}"
    with dial(port) as connection:
        connection.sendall(request("GET", target, key.sign("GET", target)))
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 200
        yield map(json.loads, response)
        response.close()


async def print_lines(site: Site, job_id: str, first: int, last: int) -> None:
    """Entries of the job's log."""
    for number in range(first, last + 1):
        await site.store.output.log(job_id, 1, number, [(frames.STDERR, b"line %d\n" % number)])


# Who balances


async def test_a_balancer_hears_of_it_before_anybody_is_turned_away(own_site: Site) -> None:
    site = own_site
    job_id = site.submit(attach=True)
    assert ready(site).status == 200

    with Attached(site.port(), site.client, job_id) as caller:
        began = leave(site)
        said = until(lambda: (now := ready(site)).status == 503 and now)
        served = site.ask("GET", JOBS)
        with Attached(site.port(), site.client, job_id) as late:
            assert late.receive() is None
        assert caller.receive() is None
    took = took_until_the_end(site, began)

    assert (said.type, served.status) == ("leaving", 200)
    assert (caller.closed, late.closed) == (SERVICE_RESTART, SERVICE_RESTART)
    print("TOOK", took)
    assert took < EXIT_SECONDS


async def test_where_nobody_balances_nobody_is_waited_for(own_site: Site) -> None:
    with Attached(own_site.port(), own_site.client, own_site.submit(attach=True)) as caller:
        began = leave(own_site)
        assert caller.receive() is None
        told = time.monotonic() - began

    assert caller.closed == SERVICE_RESTART
    assert told < took_until_the_end(own_site, began) < EXIT_SECONDS
    assert not answers(f"http://127.0.0.1:{own_site.port()}/livez")


# Streams


async def test_a_log_that_is_followed_ends_and_goes_on_elsewhere(own_site: Site) -> None:
    site = own_site
    job_id = site.submit()
    await print_lines(site, job_id, 1, 3)

    with following(site.port(), site.client, job_id) as log:
        read = [next(log) for _ in range(3)]
        began = leave(site)
        rest = list(log)
        ended = time.monotonic() - began
    await print_lines(site, job_id, 4, 5)
    with following(site.port(1), site.client, job_id, read[-1]["id"]) as log:
        read += [next(log) for _ in range(2)]

    assert rest == []  # no last word either: the job has not ended
    assert ended < 1.0
    assert [line["data"] for line in read] == [f"line {number}\n" for number in range(1, 6)]
    took_until_the_end(site, began)


async def test_it_ends_in_time_whoever_is_connected(own_site: Site) -> None:
    site = own_site
    assert ready(site).status == 200
    with contextlib.ExitStack() as stack:
        callers = [
            stack.enter_context(Attached(site.port(), site.client, site.submit(attach=True)))
            for _ in range(100)
        ]
        job_id = site.submit(attach=True)
        stack.enter_context(Attached(site.port(), site.client, job_id))  # it reads nothing
        for number in range(1, 41):  # more than the kernels keep
            await site.store.output.send(job_id, number, frames.STDOUT, os.urandom(frames.CHUNK))
        logs = [stack.enter_context(following(site.port(), site.client, site.submit())) for _ in range(30)]
        half = stack.enter_context(dial(site.port()))
        half.sendall(request("POST", JOBS, site.client.sign("POST", JOBS, b"{}"), b"{}")[:-1])

        began = leave(site)
        took = took_until_the_end(site, began)
        endings = {caller.receive() for caller in callers} | {caller.closed for caller in callers}
        assert [list(log) for log in logs] == [[]] * len(logs)

    assert endings == {None, SERVICE_RESTART}
    print("TOOK", took)
    assert took < EXIT_SECONDS


async def test_it_ends_in_time_though_redis_has_stopped(own_site: Site) -> None:
    site = own_site
    assert site.farm.redis
    callers = [Attached(site.port(), site.client, site.submit(attach=True)) for _ in range(5)]
    site.farm.redis.signal(signal.SIGSTOP)
    try:
        took = took_until_the_end(site, leave(site))
    finally:
        site.farm.redis.signal(signal.SIGCONT)

    assert [caller.receive() for caller in callers] == [None] * 5
    assert {caller.closed for caller in callers} == {SERVICE_RESTART}
    print("TOOK", took)
    assert took < EXIT_SECONDS
    for caller in callers:
        caller.cut()


# Half way


async def test_who_is_about_to_attach_is_told_to_ask_again(own_site: Site) -> None:
    site = own_site
    assert site.farm.redis
    job_id = site.submit(attach=True)
    site.farm.redis.signal(signal.SIGSTOP)
    try:
        with dial(site.port()) as connection:
            connection.sendall(handshake(site.client, attach_path(job_id)))
            await asyncio.sleep(0.2)  # it waits for Redis by now
            began = leave(site)
            answer = listen(connection)
        took_until_the_end(site, began)
    finally:
        site.farm.redis.signal(signal.SIGCONT)

    assert (answer.status, answer.type) == (503, "leaving")
    assert answer.headers["retry-after"] == "1"
    assert ask(site.port(1), site.client, "GET", job_path(job_id)).json["state"] == "queued"


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
async def test_it_may_be_told_in_other_ways(own_site: Site, signals: list[signal.Signals]) -> None:
    with Attached(own_site.port(), own_site.client, own_site.submit(attach=True)) as caller:
        began = time.monotonic()
        for number in signals:
            own_site.farm.webs[0].signal(number)
        assert caller.receive() is None
    own_site.farm.webs[0].process.wait(20)

    assert caller.closed == SERVICE_RESTART
    assert time.monotonic() - began < EXIT_SECONDS
