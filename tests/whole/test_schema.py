"""A coordinator that starts on the store of another version, and on a Redis that comes later with such a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.state.keys import SCHEMA, Keys
from app.state.lifecycle import STATES
from tests.conftest import SERVERS
from tests.farm import Farm, Web, until
from tests.ports import free_port
from tests.replication import Server

KEYS = Keys()
NEWER = f"schema {SCHEMA + 1}, this one knows {SCHEMA}): upgrade ffgrid here, or name another Redis"


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server that keeps what it has answered."""
    server = Server(
        request.param, tmp_path / "server", free_port(), ("--appendonly", "yes", "--appendfsync", "always")
    )
    yield server
    server.kill()


@pytest.fixture
def farm(server: Server, tmp_path: Path) -> Iterator[Farm]:
    """Nobody yet, with a key."""
    with Farm(tmp_path / "farm", server.url) as farm:
        yield farm


def says(web: Web, words: str) -> bool:
    return words in web.log.read_text()


def start_without_redis(farm: Farm, server: Server) -> Web:
    """A coordinator that waits for it."""
    server.kill()
    web = farm.start_web(wait=False)
    until(lambda: says(web, "waiting for Redis"))
    return web


def assert_refuses(web: Web) -> None:
    """It ends by itself, and its last word says what to do."""
    assert web.process.wait(20) == 1
    last = web.log.read_text().splitlines()[-1]
    assert last.startswith("ffgrid: a newer ffgrid has stored")
    assert last.endswith(NEWER)


def test_a_store_of_a_newer_ffgrid_is_refused(farm: Farm, server: Server) -> None:
    server.ask("SET", KEYS.schema, SCHEMA + 1)

    assert_refuses(farm.start_web(wait=False))


def test_so_is_one_that_comes_later(farm: Farm, server: Server) -> None:
    server.ask("SET", KEYS.schema, SCHEMA + 1)
    web = start_without_redis(farm, server)

    server.start()

    assert_refuses(web)


def test_an_older_store_that_comes_later_is_brought_up(farm: Farm, server: Server) -> None:
    farm.start_web()
    until(lambda: server.ask("GET", KEYS.schema) == str(SCHEMA).encode())
    done = farm.ffgrid("submit", "--label", "show=x", "--", "ffprobe", "-version")
    job = done.stdout.strip()
    farm.webs.pop().end()
    server.ask("DEL", KEYS.schema, *map(KEYS.made_in, STATES))
    server.ask("HDEL", KEYS.job(job), "label:show")
    web = start_without_redis(farm, server)

    server.start()

    until(lambda: says(web, "all 1 jobs have their places in lists"))
    assert says(web, "an older ffgrid has stored 1 jobs")
    assert [one["id"] for one in farm.ask("/v1/jobs?state=queued&label=show=x")["jobs"]] == [job]
