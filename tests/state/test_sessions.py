"""Sessions: signed, revocable, idle and old; links good once; passwords tried so often and no more."""

from __future__ import annotations

import asyncio

import pytest

from app.state.clients import Master
from app.state.sessions import IDLE_MS, OLD_MS, STREAMS, TRIES_ADDRESS, TRIES_USER, Sessions
from app.state.store import Store
from app.state.users import BadLink, User, Users

MASTER = Master(bytes(range(32)))


@pytest.fixture
def users(store: Store) -> Users:
    return store.users(MASTER)


@pytest.fixture
def sessions(store: Store, users: Users) -> Sessions:
    return store.sessions(MASTER, users)


@pytest.fixture
async def ada(users: Users) -> User:
    return await users.add("ada", "admin", "hash")


async def test_a_cookie_names_a_user_at_every_process(store: Store, sessions: Sessions, ada: User):
    cookie = await sessions.begin(ada)
    other = store.sessions(MASTER, store.users(MASTER))

    assert await sessions.user(cookie) == await other.user(cookie) == ada
    assert len({await sessions.begin(ada) for _ in range(5)} | {cookie}) == 6


async def test_a_session_that_was_ended_is_so_at_every_process(store: Store, sessions: Sessions, ada: User):
    cookie, kept = await sessions.begin(ada), await sessions.begin(ada)
    other = store.sessions(MASTER, store.users(MASTER))
    await sessions.end(cookie)
    await sessions.end(cookie)
    await sessions.end("nonsense")

    assert await other.user(cookie) is None
    assert await other.user(kept) == ada


async def test_a_cookie_cannot_be_made_or_changed(store: Store, sessions: Sessions, ada: User):
    cookie = await sessions.begin(ada)
    session = (sessions.claimed(cookie) or [""])[0]
    foreign = store.sessions(Master(bytes(32)), store.users(MASTER))
    changed = [cookie[:at] + chr(ord(cookie[at]) ^ 1) + cookie[at + 1 :] for at in range(len(cookie) - 1)]
    made = [
        foreign._cookies.dumps([session, ada.name, ada.stamp]),
        sessions._links.dumps([session, ada.name, ada.stamp]),
        await sessions.link("ada"),
        session,
        "",
        ".",
        "\xff",
    ]

    assert [one for one in [*changed, *made] if await sessions.user(one)] == []


async def test_what_changes_about_a_user_holds_at_once(users: Users, sessions: Sessions, ada: User):
    eve = await users.add("eve", "operator", "hash")
    cookie = await sessions.begin(eve)
    await users.set_role("eve", "viewer")
    demoted = await sessions.user(cookie)
    await users.set_password("eve", "other")
    after = await sessions.user(cookie)
    fresh = await sessions.begin(await users.get("eve") or eve)
    await users.remove("eve")
    gone = await sessions.user(fresh)
    await users.add("eve", "admin", "hash")

    assert demoted
    assert demoted.role == "viewer"
    assert (after, gone, await sessions.user(fresh)) == (None, None, None)


async def test_a_session_ends_when_it_is_idle_and_lives_on_when_it_is_not(
    store: Store, sessions: Sessions, ada: User
):
    cookie = await sessions.begin(ada)
    key = store.keys.session((sessions.claimed(cookie) or [""])[0])
    assert IDLE_MS - 60_000 < await store.redis.pttl(key) <= IDLE_MS == 8 * 3_600_000
    await store.redis.pexpire(key, 60_000)
    assert await sessions.user(cookie)
    assert await store.redis.pttl(key) > IDLE_MS - 60_000
    await store.redis.pexpire(key, 1)
    await asyncio.sleep(0.02)

    assert await sessions.user(cookie) is None


async def test_no_session_is_older_than_a_week(store: Store, sessions: Sessions, ada: User):
    cookie = await sessions.begin(ada)
    key = store.keys.session((sessions.claimed(cookie) or [""])[0])
    began = int(await store.redis.get(key))
    await store.redis.set(key, began - OLD_MS + 60_000, px=IDLE_MS)
    assert await sessions.user(cookie)
    assert 0 < await store.redis.pttl(key) <= 60_000
    await store.redis.set(key, began - OLD_MS, px=IDLE_MS)

    assert await sessions.user(cookie) is None
    assert OLD_MS == 7 * 86_400_000


# Streams


async def test_a_stream_has_a_place_until_it_ends_or_its_tab_has_a_newer_one(sessions: Sessions, ada: User):
    cookie = await sessions.begin(ada)
    first, *others = [await sessions.hold(cookie, f"tab{number}") for number in range(STREAMS)]
    newer = await sessions.hold(cookie, "tab0")
    await sessions.let_go(cookie, first)

    assert all([newer, *others])
    assert [await sessions.hold_on(cookie, one) for one in (newer, *others)] == [True] * STREAMS
    assert not await sessions.hold_on(cookie, first)
    assert not await sessions.hold(cookie, "tab")
    await sessions.let_go(cookie, newer)
    assert await sessions.hold(cookie, "tab")


async def test_a_stream_that_was_forgotten_goes_on_if_there_is_a_place(
    store: Store, sessions: Sessions, ada: User
):
    cookie = await sessions.begin(ada)
    forgotten = await sessions.hold(cookie, "tab")
    await store.redis.delete(store.keys.streams((sessions.claimed(cookie) or [""])[0]))
    assert await sessions.hold_on(cookie, forgotten)
    await store.redis.delete(store.keys.streams((sessions.claimed(cookie) or [""])[0]))
    for number in range(STREAMS):
        assert await sessions.hold(cookie, f"tab{number}")

    assert not await sessions.hold_on(cookie, forgotten)


# Links


async def test_a_link_signs_a_user_in_once(sessions: Sessions, ada: User):
    secret = await sessions.link("ada")
    mark, name = await sessions.linked(secret)
    assert (await sessions.linked(secret))[1] == name == "ada"  # looking at it does not burn it
    said = await asyncio.gather(*(sessions.burn(mark, name) for _ in range(5)), return_exceptions=True)

    assert [type(one) for one in said].count(User) == 1
    with pytest.raises(BadLink):
        await sessions.linked(secret)


async def test_a_link_is_good_for_an_hour(store: Store, sessions: Sessions):
    mark, _ = await sessions.linked(await sessions.link())

    assert 3_540_000 < await store.redis.pttl(store.keys.link(mark)) <= 3_600_000


async def test_a_link_is_made_here_only(store: Store, sessions: Sessions, ada: User):
    await store.redis.set(store.keys.link("mine"), "ada")
    foreign = store.sessions(Master(bytes(32)), store.users(MASTER))
    for secret in (
        foreign._links.dumps(["mine", "ada"]),
        sessions._cookies.dumps(["mine", "ada"]),
        "mine",
        "",
    ):
        with pytest.raises(BadLink, match="not made here"):
            await sessions.linked(secret)


async def test_the_first_users_link_is_worth_nothing_once_there_is_a_user(users: Users, sessions: Sessions):
    secret = await sessions.link()
    assert await sessions.linked(secret)
    await users.add("ada", "admin", "hash")

    with pytest.raises(BadLink):
        await sessions.linked(secret)


# Tries


async def test_a_name_is_tried_five_times_a_minute_from_an_address(sessions: Sessions):
    waits = [await sessions.attempt("ada", "10.0.0.1") for _ in range(TRIES_USER + 3)]

    assert TRIES_USER == 5
    assert waits[:5] == [0.0] * 5
    assert all(50 < wait <= 60 for wait in waits[5:])
    assert await sessions.attempt("eve", "10.0.0.1") == 0
    assert await sessions.attempt("ada", "10.0.0.2") == 0


async def test_an_address_tries_twenty_names_a_minute(sessions: Sessions):
    waits = await asyncio.gather(*(sessions.attempt(f"u{number}", "10.0.0.1") for number in range(30)))

    assert waits.count(0.0) == TRIES_ADDRESS == 20
    assert await sessions.attempt("u1", "10.0.0.2") == 0


async def test_tries_are_forgotten_one_by_one(sessions: Sessions, store: Store):
    assert [await sessions.attempt("ada", "a") for _ in range(5)] == [0] * 5
    for key in await store.redis.keys("*:tries:*"):  # the first was most of a minute ago
        (first, at), *_ = await store.redis.zrange(key, 0, 0, withscores=True)
        await store.redis.zadd(key, {first: at - 55_000})
    wait = await sessions.attempt("ada", "a")
    assert 0 < wait <= 5
    for key in await store.redis.keys("*:tries:*"):
        (first, at), *_ = await store.redis.zrange(key, 0, 0, withscores=True)
        await store.redis.zadd(key, {first: at - 10_000})

    assert await sessions.attempt("ada", "a") == 0
    assert 30 < await sessions.attempt("ada", "a") <= 60


async def test_tries_leave_nothing_behind(store: Store, sessions: Sessions):
    await sessions.attempt("ada", "a")
    ages = [await store.redis.pttl(key) for key in await store.redis.keys("*:tries:*")]

    assert len(ages) == 2
    assert all(0 < age <= 60_000 for age in ages)


async def test_what_redis_holds_is_no_way_in(store: Store, sessions: Sessions, ada: User):
    cookie, secret = await sessions.begin(ada), await sessions.link("ada")
    await sessions.attempt("ada", "a")
    values = []
    for key in await store.redis.keys("*"):
        values += [key, str(await store.redis.dump(key)).encode()]

    assert not any(cookie.encode() in one or secret.encode() in one for one in values)
