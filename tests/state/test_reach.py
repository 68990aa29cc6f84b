"""The first contact: a server that is away is waited for, one that will never serve us is not; secrets stay secret."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.state import reach as module
from app.state.connect import UNREACHABLE, BadURL, check, shown, stop
from app.state.keys import SCHEMA
from app.state.reach import Unusable, glance, reach
from app.state.reach import watch as watch_redis
from app.state.sentinel import read
from app.state.store import Store
from tests.conftest import SERVERS, start_server
from tests.ports import free_port
from tests.replication import NAME, Replication, Server, watch

SECRET = "s3cr3t"


async def contact(url: str) -> None:
    """What a daemon does at its start."""
    store = Store(url)
    try:
        async with asyncio.timeout(20):
            await reach(store.redis, url)
    finally:
        await store.close()


@pytest.fixture(params=[reach, glance], ids=["reach", "glance"])
def look(request: pytest.FixtureRequest) -> Callable[[str], Awaitable[None]]:
    """Either way to look."""
    return contact if request.param is reach else glance


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "ffgrid.redis"]


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_server_that_comes_later_is_waited_for(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "SAY_EVERY", 0.2)
    port = free_port()
    waiting = asyncio.create_task(contact(f"redis://:{SECRET}@127.0.0.1:{port}/0"))
    async with asyncio.timeout(20):
        while len(lines(caplog)) < 2:
            await asyncio.wait([waiting], timeout=0.05)
    server = await asyncio.to_thread(Server, kind, tmp_path, port, ("--requirepass", SECRET))
    try:
        await waiting
    finally:
        server.kill()

    *waits, last = lines(caplog)
    assert all(line.startswith(f"waiting for Redis at redis://127.0.0.1:{port}/0: ") for line in waits)
    assert last == f"Redis at redis://127.0.0.1:{port}/0 answers"
    assert SECRET not in caplog.text


async def test_who_finds_a_server_says_nothing(
    redis_url: str, look: Callable[[str], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    await look(redis_url)

    assert lines(caplog) == []


async def test_a_glance_at_a_server_that_is_away_is_short() -> None:
    async with asyncio.timeout(5):
        await glance(f"redis://127.0.0.1:{free_port()}/0")


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_wrong_password_is_told_at_once(
    kind: str, tmp_path: Path, look: Callable[[str], Awaitable[None]]
) -> None:
    server = Server(kind, tmp_path / "tcp", free_port(), ("--requirepass", "other"))
    (tmp_path / "unix").mkdir()
    unix, unix_url = start_server(kind, tmp_path / "unix", "--requirepass", "other")
    place = f"127.0.0.1:{server.port}"
    wrong = [f"redis://:{SECRET}@{place}/0", f"redis://nobody:{SECRET}@{place}/0", f"redis://{place}/0"]
    wrong += [unix_url, unix_url.replace("unix://", f"unix://:{SECRET}@")]
    try:
        for url in wrong:
            with pytest.raises(Unusable, match="does not serve us: ") as caught:
                await look(url)
            assert shown(url) in str(caught.value)
            assert SECRET not in str(caught.value)
    finally:
        server.kill()
        unix.kill()
        unix.wait()


async def test_a_database_that_is_not_there_is_told(
    redis_url: str, look: Callable[[str], Awaitable[None]]
) -> None:
    with pytest.raises(Unusable, match="out of range"):
        await look(redis_url + "?db=4711")


async def test_what_a_newer_ffgrid_has_stored_is_left_to_it(
    store: Store, redis_url: str, look: Callable[[str], Awaitable[None]]
) -> None:
    await store.redis.set(store.keys.schema, SCHEMA)
    await look(redis_url)
    await store.redis.set(store.keys.schema, SCHEMA + 1)

    try:
        with pytest.raises(Unusable, match="upgrade ffgrid here, or name another Redis"):
            await look(redis_url)
    finally:
        await store.redis.delete(store.keys.schema)


async def test_a_master_that_no_sentinel_knows_is_told(
    tmp_path: Path, look: Callable[[str], Awaitable[None]]
) -> None:
    with Replication(tmp_path, "redis", watched=True) as watched:
        assert watched.sentinel
        await look(f"redis+sentinel://127.0.0.1:{watched.sentinel.port}/ffgrid")
        with pytest.raises(Unusable, match="knows no master 'other'"):
            await look(f"redis+sentinel://127.0.0.1:{watched.sentinel.port}/other")


async def test_sentinels_that_are_away_are_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    url = f"redis+sentinel://:{SECRET}@127.0.0.1:9/ffgrid?sentinel_password={SECRET}"
    waiting = asyncio.create_task(contact(url))
    async with asyncio.timeout(10):
        while not lines(caplog):
            await asyncio.wait([waiting], timeout=0.05)
    waiting.cancel()
    await asyncio.wait([waiting])

    assert lines(caplog)[0].startswith(
        "waiting for Redis at redis+sentinel://127.0.0.1:9/ffgrid: no Sentinel"
    )
    assert SECRET not in caplog.text


async def test_sentinels_and_servers_have_passwords_of_their_own(tmp_path: Path) -> None:
    master = Server("valkey", tmp_path / "master", free_port(), ("--requirepass", "of-servers"))
    more = (f"sentinel auth-pass {NAME} of-servers", "requirepass of-sentinels")
    sentinel = watch("valkey", tmp_path / "sentinel", master.port, *more)
    url = f"redis+sentinel://:of-servers@127.0.0.1:{sentinel.port}/{NAME}?sentinel_password=of-sentinels"
    try:
        await contact(url)
        with pytest.raises(Unusable, match="does not serve us"):
            await glance(url.replace("of-servers", "wrong"))
        store = Store(url.replace("of-sentinels", "wrong"))
        with pytest.raises(UNREACHABLE, match="no Sentinel answers"):
            await store.redis.ping()
        await store.close()
    finally:
        sentinel.kill()
        master.kill()


async def test_a_daemon_says_when_a_server_goes_and_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "SAY_EVERY", 0.1)
    server = Server("valkey", tmp_path, free_port())
    store = Store(server.url)
    watching = asyncio.create_task(watch_redis(store.redis, server.url))

    async def says(word: str) -> None:
        async with asyncio.timeout(20):
            while not any(word in line for line in lines(caplog)):
                await asyncio.wait([watching], timeout=0.05)
        caplog.clear()

    try:
        await store.redis.ping()
        assert lines(caplog) == []
        server.kill()
        await says("waiting for Redis")
        await asyncio.to_thread(server.start, "--requirepass", "other")
        await says("does not serve us")
        server.kill()
        await asyncio.to_thread(server.start)
        await says("answers")
    finally:
        await stop(watching)
        await store.close()
        server.kill()


# What evicts


@pytest.mark.parametrize("policy", ["allkeys-lru", "noeviction"])
async def test_a_server_that_evicts_is_warned_of_once(
    redis_url: str, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(redis_url)
    await store.redis.config_set("maxmemory-policy", policy)
    try:
        with caplog.at_level(logging.INFO):
            await reach(store.redis, redis_url)
    finally:
        await store.redis.config_set("maxmemory-policy", "noeviction")
        await store.close()

    said = lines(caplog)
    assert len(said) == (policy != "noeviction")
    assert all("maxmemory-policy allkeys-lru" in line and "noeviction" in line for line in said)


async def test_who_may_not_ask_is_not_warned(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(redis_url)
    await store.redis.execute_command("ACL", "SETUSER", "narrow", "on", "nopass", "~*", "+@all", "-info")
    narrow = Store(redis_url.replace("unix://", "unix://narrow:any@"))
    try:
        await reach(narrow.redis, redis_url)
    finally:
        await narrow.close()
        await store.redis.execute_command("ACL", "DELUSER", "narrow")
        await store.close()

    assert lines(caplog) == []


# Addresses


@pytest.mark.parametrize(
    ("url", "sentinels", "master", "server", "sentinel"),
    [
        ("redis+sentinel://a/m", (("a", 26379),), "m", {"db": 0}, {}),
        ("redis+sentinel://a:1,b:2,[::1]/m/3", (("a", 1), ("b", 2), ("::1", 26379)), "m", {"db": 3}, {}),
        ("redis+sentinel://:p%40%2F@a/m", (("a", 26379),), "m", {"db": 0, "password": "p@/"}, {}),
        ("redis+sentinel://u:p@a/m", (("a", 26379),), "m", {"db": 0, "username": "u", "password": "p"}, {}),
        (
            "redis+sentinel://a/m?sentinel_username=s&sentinel_password=t",
            (("a", 26379),),
            "m",
            {"db": 0},
            {"username": "s", "password": "t"},
        ),
    ],
)
def test_an_address_of_sentinels(
    url: str,
    sentinels: tuple[tuple[str, int], ...],
    master: str,
    server: dict[str, object],
    sentinel: dict[str, str],
) -> None:
    place = read(check(url))

    assert (place.sentinels, place.master, place.server, place.sentinel) == (
        sentinels,
        master,
        server,
        sentinel,
    )


@pytest.mark.parametrize(
    "place",
    [
        "a",
        "a/",
        "/m",
        ":pw@/m",
        "a,,b/m",
        "a:x/m",
        "a/m/x",
        "a/m/1/2",
        "a/m?ssl=1",
        "a:1:2/m",
        "[::1/m",
        "a:99999/m",
    ],
)
def test_an_address_of_sentinels_that_cannot_be_used(place: str) -> None:
    with pytest.raises(BadURL):
        check("redis+sentinel://" + place)


@pytest.mark.parametrize("url", ["redis+cluster://a:1", "rediss+cluster://u:s3cr3t@a"])
def test_a_cluster_is_refused_in_so_many_words(url: str) -> None:
    with pytest.raises(BadURL, match="Redis Cluster is not served") as caught:
        check(url)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://u:s3cr3t@h",
        "u:s3cr3t@h:6379",
        "redis+sentinel://u:s3cr3t@h",
        "redis+sentinel://u:s3cr3t@h:x/m?sentinel_password=s3cr3t",
        "redis+sentinel://h/m?password=s3cr3t",
        "redis+sentinel://u:pa/s3cr3t@h/m",
        "redis://u:s3cr3t@h:x",
        "redis://u:s3cr3t@[h",
        "rediss+sentinel://u:s3cr3t@h/m",
    ],
)
def test_no_password_is_in_what_is_said_about_an_address(url: str) -> None:
    with pytest.raises(BadURL) as caught:
        check(url)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://u:s3cr3t@h:1/2?password=s3cr3t", "redis://h:1/2"),
        ("redis://u:a@s3cr3t@h", "redis://h"),
        ("unix:///run/a@b.sock?db=1", "unix:///run/a@b.sock"),
        ("unix://u:s3cr3t@/run/s", "unix:///run/s"),
        ("redis+sentinel://:s3cr3t@a:1,b/m/1", "redis+sentinel://a:1,b/m/1"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, expected: str) -> None:
    assert shown(url) == expected
