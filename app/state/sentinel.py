"""Where the master is, when Redis Sentinel decides that: `redis+sentinel://` addresses.

    redis+sentinel://[user:password@]host[:port],host[:port].../MASTER[/db][?sentinel_password=...]

User and password are the servers'; Sentinels that have their own get them from `sentinel_username` and
`sentinel_password`. Each new connection asks for the master; a connection to a server that is none any more ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

from app.state.trouble import NoSuchMaster

SCHEME = "redis+sentinel://"
PORT = 26379
# A Sentinel on a host that is gone must cost less than a lease: the next one knows as much.
SENTINEL_SECONDS = 0.5
OPTIONS = ("sentinel_username", "sentinel_password")


class BadPlace(ValueError):
    """It is no such address. The text shows nothing of it: it may hold passwords."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}, expected {SCHEME}HOST:PORT,HOST:PORT/MASTER")


@dataclass(frozen=True)
class Place:
    """What such an address says. `server` and `sentinel` are options of a connection: user, password, db."""

    sentinels: tuple[tuple[str, int], ...]
    master: str
    server: dict[str, Any] = field(repr=False)
    sentinel: dict[str, Any] = field(repr=False)


def read(url: str) -> Place:
    """Reads the address. Raises BadPlace."""
    parts = urlsplit(url)
    identity, _, hosts = parts.netloc.rpartition("@")
    user, _, password = identity.partition(":")
    master, _, db = parts.path.strip("/").partition("/")
    if not master or not (db or "0").isdecimal():
        raise BadPlace("the name of the master is missing")
    query = parse_qs(parts.query)
    if not set(query) <= set(OPTIONS):
        raise BadPlace(f"it takes no options but {' and '.join(OPTIONS)}")
    return Place(
        tuple(_host(host) for host in hosts.split(",")),
        unquote(master),
        {"db": int(db or 0), **_given(username=unquote(user), password=unquote(password))},
        _given(**{name.removeprefix("sentinel_"): values[0] for name, values in query.items()}),
    )


class Pool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to whatever server is the master. Whoever finds all of them busy waits for one."""

    async def aclose(self) -> None:
        """Closes them, and those to the Sentinels."""
        await super().aclose()
        await self.sentinel_manager.aclose()


def pool(url: str, **options: Any) -> Pool:
    """The pool for such an address. Raises BadPlace."""
    place = read(url)
    make: Any = Pool  # redis-py does not say what it takes
    made: Pool = make(place.master, Sentinels(place), **place.server, **options)
    return made


class Sentinels(Sentinel):
    """redis-py's client of Sentinels, which says in words why there is no master, and does not wait long."""

    def __init__(self, place: Place) -> None:
        impatient = {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS}
        options = {**impatient, "retry": Retry(NoBackoff(), 0), **place.sentinel}
        init: Any = super().__init__
        init(place.sentinels, sentinel_kwargs=options)
        self._asked: list[tuple[str, Redis]] = [
            (f"{host}:{port}", client)
            for (host, port), client in zip(place.sentinels, self.sentinels, strict=True)
        ]

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Where the master is, as the first Sentinel knows that can tell. Raises MasterNotFoundError."""
        silent: list[str] = []
        strange: list[str] = []
        down: list[str] = []
        for asked in tuple(self._asked):
            name, client = asked
            try:
                masters: Any = await client.sentinel_masters()
            except (ConnectionError, TimeoutError, ResponseError) as error:
                silent.append(f"{name} ({error})")
                continue
            state = masters.get(service_name)
            if state and self.check_master_state(state, service_name):
                self._asked.remove(asked)
                self._asked.insert(0, asked)
                return state["ip"], state["port"]
            (down if state else strange).append(name)
        if down:
            raise MasterNotFoundError(f"the master {service_name!r} is down, says {', '.join(down)}")
        if strange and not silent:
            raise NoSuchMaster(f"the Sentinel at {', '.join(strange)} knows no master {service_name!r}")
        raise MasterNotFoundError(f"no Sentinel answers at {', '.join(silent + strange)}")


def _host(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    try:
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        host = None
    if not host or parts.path or parts.query:
        raise BadPlace("a Sentinel's address is no host or host:port")
    return host, port


def _given(**options: str) -> dict[str, str]:
    return {name: value for name, value in options.items() if value}
