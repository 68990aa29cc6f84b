"""Users: sealed with the master's key, changed one at a time, never without an admin; the first one made once."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.state import passwords
from app.state.clients import Master
from app.state.sessions import Sessions
from app.state.store import Store
from app.state.users import BadLink, BadUser, User, Users

MASTER = Master(bytes(range(32)))


@pytest.fixture
def users(store: Store) -> Users:
    return store.users(MASTER)


@pytest.fixture
def links(store: Store, users: Users) -> Sessions:
    return store.sessions(MASTER, users)


async def test_a_user_is_kept_with_a_role_and_a_hash(users: Users):
    assert not await users.any()
    made = await users.add("ada", "admin", "hash")

    assert await users.any()
    assert await users.get("ada") == made
    assert (made.role, made.password) == ("admin", "hash")
    assert await users.get("eve") is None
    assert [one.name for one in await users.list()] == ["ada"]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "<b>", "x" * 65, "ä", "a\n"])
async def test_a_name_is_a_word(users: Users, name: str):
    with pytest.raises(BadUser, match="cannot name a user"):
        await users.add(name, "admin", "hash")


async def test_a_role_is_one_of_three(users: Users):
    await users.add("ada", "admin", "hash")
    for act in (users.add("eve", "root", "hash"), users.set_role("ada", "root")):
        with pytest.raises(BadUser, match="viewer, operator, admin"):
            await act


async def test_a_name_is_taken_once(users: Users):
    await users.add("ada", "admin", "hash")
    with pytest.raises(BadUser, match="already"):
        await users.add("ada", "viewer", "other")

    assert [one.role for one in await users.list()] == ["admin"]


async def test_roles_are_ordered():
    allowed = {
        role: [needed for needed in ("viewer", "operator", "admin") if User("x", role).may(needed)]
        for role in ("", "viewer", "operator", "admin", "root")
    }

    assert allowed == {
        "": [],
        "viewer": ["viewer"],
        "operator": ["viewer", "operator"],
        "admin": ["viewer", "operator", "admin"],
        "root": [],
    }


async def test_a_password_changes_the_stamp_and_a_role_does_not(users: Users):
    first = await users.add("ada", "admin", "hash")
    await users.add("eve", "admin", "hash")
    demoted = await users.set_role("ada", "viewer")
    changed = await users.set_password("ada", "other")

    assert demoted.stamp == first.stamp != changed.stamp
    assert await users.get("ada") == changed
    assert (changed.role, changed.password) == ("viewer", "other")


async def test_the_last_admin_stays(users: Users):
    await users.add("ada", "admin", "hash")
    await users.add("vera", "viewer", "hash")
    for act in (users.set_role("ada", "operator"), users.remove("ada")):
        with pytest.raises(BadUser, match="last admin"):
            await act
    await users.set_role("vera", "admin")
    await users.remove("ada")

    assert [one.name for one in await users.list()] == ["vera"]


async def test_two_admins_cannot_demote_each_other_at_once(users: Users):
    for turn in range(10):
        pair = [f"a{turn}", f"b{turn}"]
        for name in pair:
            await users.add(name, "admin", "hash")
        for old in [one.name for one in await users.list() if one.name not in pair]:
            await users.remove(old)
        said = await asyncio.gather(
            *(users.set_role(name, "viewer") for name in pair), return_exceptions=True
        )

        assert {type(one) for one in said} == {User, BadUser}
        assert sum(one.role == "admin" for one in await users.list()) == 1


async def test_changes_at_once_are_all_kept(users: Users):
    await users.add("ada", "admin", "hash")
    await users.add("eve", "viewer", "hash")
    await asyncio.gather(users.set_role("eve", "operator"), users.set_password("eve", "other"))
    eve = await users.get("eve")

    assert eve
    assert (eve.role, eve.password) == ("operator", "other")


@pytest.mark.parametrize("act", ["set_role", "set_password", "remove"])
async def test_nobody_is_changed(users: Users, act: str):
    with pytest.raises(BadUser, match="there is no user 'eve'"):
        await getattr(users, act)("eve", *([] if act == "remove" else ["viewer"]))


async def test_who_writes_to_the_database_makes_no_user_and_raises_no_role(store: Store, users: Users):
    await users.add("ada", "admin", "hash")
    await users.add("eve", "viewer", "hash")
    text = await store.redis.hget(store.keys.users, "eve")
    admins = await store.redis.hget(store.keys.users, "ada")
    forged = [
        text.replace(b"viewer", b"admin"),
        admins,  # another's record
        json.dumps({"name": "eve", "role": "admin", "password": "", "stamp": "", "created": 0}).encode(),
        store.users(Master(bytes(32)))._sealed(User("eve", "admin")),
        b"",
        b"\xff.\xff",
    ]
    for record in forged[:4]:
        await store.redis.hset(store.keys.users, "eve", record)
        eve = await users.get("eve")

        assert eve == User("eve", "")
        with pytest.raises(BadUser, match="not of this installation"):
            await users.set_password("eve", "other")
    await store.redis.hset(store.keys.users, "eve", forged[5])
    assert [one.role for one in await users.list()] == ["admin", ""]
    await users.remove("eve")
    assert [one.name for one in await users.list()] == ["ada"]


# The first user


async def test_a_link_makes_the_first_user_once(users: Users, links: Sessions):
    first, second = [await links.linked(await links.link()) for _ in range(2)]
    await users.add("ada", "admin", "hash", first[0])
    for mark, _ in (first, second):  # used, and good no more because there is a user
        with pytest.raises(BadLink):
            await users.add("eve", "admin", "hash", mark)

    assert [one.name for one in await users.list()] == ["ada"]


async def test_without_a_link_that_is_good_nobody_is_first(store: Store, users: Users, links: Sessions):
    mark, _ = await links.linked(await links.link())
    await store.redis.delete(store.keys.link(mark))  # its hour has passed
    with pytest.raises(BadLink):
        await users.add("ada", "admin", "hash", mark)

    assert not await users.any()


async def test_of_many_at_once_one_uses_a_link(users: Users, links: Sessions):
    mark, _ = await links.linked(await links.link())
    said = await asyncio.gather(
        *(users.add(f"u{number}", "admin", "hash", mark) for number in range(8)), return_exceptions=True
    )

    assert [type(one) for one in said].count(User) == 1
    assert len(await users.list()) == 1


# Passwords


def test_a_password_is_kept_as_argon2id_and_found_again():
    stored = passwords.make("correct horse")

    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert "correct" not in stored
    assert stored != passwords.make("correct horse")
    assert passwords.matches(stored, "correct horse")
    assert not passwords.matches(stored, "correct horsf")


def test_nobodys_password_is_wrong_and_costs_the_same(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    hasher = passwords._HASHER

    class Watched:
        def verify(self, stored: str, password: str) -> bool:
            asked.append(stored)
            return hasher.verify(stored, password)

    monkeypatch.setattr(passwords, "_HASHER", Watched())
    assert not passwords.matches("", "correct horse")
    assert not passwords.matches("", "")
    assert [stored.split("$")[1:4] for stored in asked] == [
        passwords.make.__globals__["NOBODY"].split("$")[1:4]
    ] * 2
    assert hasher.check_needs_rehash(passwords.NOBODY) is False


def test_what_is_no_hash_matches_nothing():
    assert [passwords.matches(stored, "x") for stored in ("x", "$argon2id$", "\0")] == [False] * 3


@pytest.mark.parametrize("password", ["", "x" * 9, "x" * 1001])
def test_a_password_has_a_length(password: str):
    with pytest.raises(BadUser, match="10 to 1000"):
        passwords.make(password)
