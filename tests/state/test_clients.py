"""Keys: derived, never stored; rotated, revoked, bound to networks; each nonce burnt once."""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.state.clients import OVERLAP, ROLES, BadKey, Client, Master, read_private, write_private
from app.wire.signing import WINDOW

if TYPE_CHECKING:
    from tests.state.conftest import Scene

NONCE = "0123456789abcdef"


@pytest.fixture
def master() -> Master:
    return Master(bytes(range(32)))


# Derived secrets


def test_a_secret_depends_on_the_id_the_role_the_version_and_the_master(master: Master) -> None:
    secrets = {
        master.secret("jellyfin", "client", 1),
        master.secret("jellyfin", "client", 2),
        master.secret("jellyfin", "admin", 1),
        master.secret("plex", "client", 1),
        Master(bytes(32)).secret("jellyfin", "client", 1),
        master.seal_key(),
    }

    assert len(secrets) == 6
    assert {len(secret) for secret in secrets} == {32}


def test_a_secret_is_the_same_each_time(master: Master) -> None:
    again = Master(bytes(range(32)))

    assert master.secret("jellyfin", "client", 1) == again.secret("jellyfin", "client", 1)
    assert master.seal_key() == again.seal_key()


def test_secrets_are_derived_as_the_rfc_says(master: Master) -> None:
    """RFC 5869: extract with a salt of zeros, expand to one block."""
    extracted = hmac.new(bytes(32), bytes(range(32)), sha256).digest()
    expanded = hmac.new(extracted, b"ffgrid key|jellyfin|client|1\x01", sha256).digest()

    assert master.secret("jellyfin", "client", 1) == expanded


def test_the_derivation_gives_the_rfcs_own_example() -> None:
    """RFC 5869, A.3: zero-length salt and info; its first block."""
    block = Master(b"\x0b" * 22).derive()

    assert block.hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"


async def test_a_role_that_was_raised_in_redis_has_another_secret(scene: Scene, master: Master) -> None:
    client = await scene.store.clients.add("jellyfin", "client")
    signs_with = master.secret(client.id, client.role, client.version)
    stored = await scene.redis.hget(scene.keys.clients, "jellyfin")
    await scene.redis.hset(scene.keys.clients, "jellyfin", stored.replace(b'"client"', b'"admin"'))

    raised = await scene.store.clients.get("jellyfin")

    assert raised is not None
    assert raised.role == "admin"
    assert master.secret(raised.id, raised.role, raised.version) != signs_with


async def test_redis_holds_no_secret(scene: Scene, master: Master) -> None:
    clients = [await scene.store.clients.add(role, role, ("10.0.0.0/8",)) for role in ROLES]
    clients.append(await scene.store.clients.rotate("client"))
    await scene.store.clients.burn("client", NONCE)
    await scene.submit()

    secrets = [master.secret(client.id, client.role, client.version) for client in clients]
    secrets += [master.seal_key(), bytes(range(32))]
    spelled = [
        form for secret in secrets for form in (secret, secret.hex().encode(), base64.b64encode(secret))
    ]
    dump = repr(await scene.everything())

    assert [form for form in spelled if repr(form)[2:-1] in dump] == []


# Records


async def test_a_new_key_is_kept_and_found(scene: Scene) -> None:
    client = await scene.store.clients.add("jellyfin", "client", ("10.0.0.0/8", "fd00::/8"))

    assert await scene.store.clients.get("jellyfin") == client
    assert (client.role, client.version, client.revoked) == ("client", 1, False)
    assert client.networks == ("10.0.0.0/8", "fd00::/8")
    assert abs(client.created - await scene.now() / 1000) < 5


async def test_a_key_that_does_not_exist_is_none(scene: Scene) -> None:
    assert await scene.store.clients.get("jellyfin") is None


async def test_keys_are_listed_by_name(scene: Scene) -> None:
    assert await scene.store.clients.list() == []

    for name in ("b", "c", "a"):
        await scene.store.clients.add(name, "client")

    assert [client.id for client in await scene.store.clients.list()] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["", "a b", "a|b", "a:b", 'a"b', "a/b", "ä", "a\n", "x" * 65])
async def test_a_name_that_cannot_be_signed_with_is_refused(scene: Scene, name: str) -> None:
    with pytest.raises(BadKey):
        await scene.store.clients.add(name, "client")

    assert await scene.store.clients.list() == []


@pytest.mark.parametrize("role", ["", "root", "Admin", "client|admin"])
async def test_a_role_that_does_not_exist_is_refused(scene: Scene, role: str) -> None:
    with pytest.raises(BadKey, match="client, worker, admin"):
        await scene.store.clients.add("jellyfin", role)


@pytest.mark.parametrize("network", ["", "10.0.0.0/33", "10.0.0.1/8", "example.org", "10.0.0", "::1/129"])
async def test_a_network_that_is_none_is_refused(scene: Scene, network: str) -> None:
    with pytest.raises(BadKey):
        await scene.store.clients.add("jellyfin", "client", (network,))

    assert await scene.store.clients.list() == []


async def test_a_name_that_is_taken_is_refused(scene: Scene) -> None:
    first = await scene.store.clients.add("jellyfin", "client")

    with pytest.raises(BadKey, match="already"):
        await scene.store.clients.add("jellyfin", "admin")

    assert await scene.store.clients.get("jellyfin") == first


async def test_of_many_who_add_a_name_at_once_one_gets_it(scene: Scene, other: Scene) -> None:
    adding = [one.store.clients.add("jellyfin", role) for one in (scene, other) for role in ROLES]

    answers = await asyncio.gather(*adding, return_exceptions=True)

    added = [answer for answer in answers if isinstance(answer, Client)]
    assert len(added) == 1
    assert await scene.store.clients.get("jellyfin") == added[0]


# Rotating and revoking


async def test_after_a_rotation_the_version_before_is_good_for_a_day(scene: Scene) -> None:
    await scene.store.clients.add("jellyfin", "client", ("10.0.0.0/8",))

    client = await scene.store.clients.rotate("jellyfin")

    assert await scene.store.clients.get("jellyfin") == client
    assert (client.version, client.networks) == (2, ("10.0.0.0/8",))
    assert client.versions(client.rotated) == [2, 1]
    assert client.versions(client.rotated + OVERLAP - 1) == [2, 1]
    assert client.versions(client.rotated + OVERLAP) == [2]


async def test_a_second_rotation_ends_the_first_version(scene: Scene) -> None:
    await scene.store.clients.add("jellyfin", "client")
    await scene.store.clients.rotate("jellyfin")

    client = await scene.store.clients.rotate("jellyfin")

    assert client.versions(client.rotated) == [3, 2]


def test_a_new_key_has_one_version() -> None:
    assert Client("jellyfin", "client").versions(0) == [1]


async def test_no_version_of_a_revoked_key_is_good(scene: Scene) -> None:
    await scene.store.clients.add("jellyfin", "client")
    await scene.store.clients.rotate("jellyfin")

    client = await scene.store.clients.revoke("jellyfin")

    assert await scene.store.clients.get("jellyfin") == client
    assert client.versions(client.rotated) == []


async def test_a_revoked_key_that_is_rotated_is_good_again_but_not_its_old_secret(scene: Scene) -> None:
    await scene.store.clients.add("jellyfin", "client")
    revoked = await scene.store.clients.revoke("jellyfin")

    client = await scene.store.clients.rotate("jellyfin")

    assert client.version > revoked.version
    assert client.versions(client.rotated) == [client.version]
    again = await scene.store.clients.rotate("jellyfin")
    assert again.versions(again.rotated) == [again.version, client.version]


async def test_a_revoked_key_keeps_its_name(scene: Scene) -> None:
    await scene.store.clients.add("jellyfin", "client")
    await scene.store.clients.revoke("jellyfin")

    with pytest.raises(BadKey, match="already"):
        await scene.store.clients.add("jellyfin", "client")


@pytest.mark.parametrize("change", ["rotate", "revoke"])
async def test_a_key_that_does_not_exist_cannot_be_changed(scene: Scene, change: str) -> None:
    with pytest.raises(BadKey, match="'jellyfin'"):
        await getattr(scene.store.clients, change)("jellyfin")

    assert await scene.everything() == {}


# Networks


@pytest.mark.parametrize(
    ("networks", "address", "admitted"),
    [
        ((), "203.0.113.9", True),
        ((), "nonsense", True),
        (("10.0.0.0/8",), "10.255.0.1", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("10.0.0.7/32",), "10.0.0.7", True),
        (("10.0.0.7/32",), "10.0.0.8", False),
        (("10.0.0.0/8", "192.168.1.0/24"), "192.168.1.200", True),
        (("fd00::/8",), "fd12::1", True),
        (("fd00::/8",), "10.0.0.1", False),
        (("10.0.0.0/8",), "fd12::1", False),
        (("0.0.0.0/0",), "::1", False),
        (("10.0.0.0/8",), "", False),
        (("10.0.0.0/8",), "10.0.0.1 ", False),
        (("10.0.0.0/8",), "localhost", False),
        (("10.0.0.0/8",), "::ffff:10.0.0.1", True),
        (("10.0.0.0/8",), "::ffff:11.0.0.1", False),
    ],
)
def test_a_key_admits_only_its_networks(networks: tuple[str, ...], address: str, admitted: bool) -> None:
    assert Client("jellyfin", "client", networks=networks).admits(address) is admitted


async def test_networks_are_the_same_after_the_journey(scene: Scene) -> None:
    await scene.store.clients.add("jellyfin", "client", ("10.0.0.7", "fd00::/8"))

    client = await scene.store.clients.get("jellyfin")

    assert client is not None
    assert client.networks == ("10.0.0.7/32", "fd00::/8")
    assert client.admits("10.0.0.7")
    assert not replace(client, networks=("fd00::/8",)).admits("10.0.0.7")


# Nonces


async def test_a_nonce_burns_once(scene: Scene) -> None:
    assert [await scene.store.clients.burn("jellyfin", NONCE) for _ in range(3)] == [True, False, False]


async def test_two_keys_may_use_one_nonce(scene: Scene) -> None:
    assert await scene.store.clients.burn("jellyfin", NONCE)
    assert await scene.store.clients.burn("plex", NONCE)


async def test_of_many_who_burn_a_nonce_at_once_one_does(scene: Scene, other: Scene) -> None:
    burning = [one.store.clients.burn("jellyfin", NONCE) for one in (scene, other) for _ in range(20)]

    assert sum(await asyncio.gather(*burning)) == 1


async def test_a_nonce_stays_burnt_as_long_as_its_signature_could_be_fresh(scene: Scene) -> None:
    await scene.store.clients.burn("jellyfin", NONCE)

    left = await scene.redis.pttl(scene.keys.nonce("jellyfin", NONCE))

    assert 2 * WINDOW * 1000 <= left <= 3 * WINDOW * 1000


# Files


def test_a_private_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"

    write_private(path, "id a\n")

    assert path.stat().st_mode & 0o777 == 0o600
    assert read_private(path) == "id a\n"


def test_a_private_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "key", "id a\n")
    finally:
        os.umask(before)

    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    write_private(path, "id a\n")
    path.chmod(mode)

    with pytest.raises(BadKey, match="chmod 600"):
        read_private(path)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_that_only_its_owner_can_use_is_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    write_private(path, "id a\n")
    path.chmod(mode)

    assert read_private(path) == "id a\n"


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, "old")

    with pytest.raises(BadKey, match="exists"):
        write_private(path, "new")

    assert path.read_text() == "old"


def test_a_link_is_not_followed_to_write_a_secret(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(BadKey):
        write_private(tmp_path / "key", "secret")

    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_cannot_be_read_or_written_says_why(tmp_path: Path) -> None:
    with pytest.raises(BadKey, match="No such file"):
        read_private(tmp_path / "missing")
    with pytest.raises(BadKey, match="directory"):
        read_private(tmp_path)
    with pytest.raises(BadKey, match="No such file"):
        write_private(tmp_path / "missing" / "key", "x")


def test_a_master_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "master"

    made, read = Master.load(path, create=True), Master.load(path, create=True)

    assert path.stat().st_mode & 0o777 == 0o600
    assert made.seal_key() == read.seal_key() == Master.load(path).seal_key()
    assert len(bytes.fromhex(path.read_text().strip())) == 32


def test_two_master_keys_differ(tmp_path: Path) -> None:
    first, second = (Master.load(tmp_path / name, create=True) for name in ("a", "b"))

    assert first.seal_key() != second.seal_key()


def test_a_master_key_is_not_made_unless_asked_for(tmp_path: Path) -> None:
    with pytest.raises(BadKey):
        Master.load(tmp_path / "master")

    assert not (tmp_path / "master").exists()


@pytest.mark.parametrize("text", ["", "\n", "ab\n", "not hexadecimal", "é"])
def test_a_file_that_holds_no_master_key_is_refused(tmp_path: Path, text: str) -> None:
    """An empty one is what a crash while it was made would leave; everybody knows what is derived from it."""
    write_private(tmp_path / "master", text)

    with pytest.raises(BadKey):
        Master.load(tmp_path / "master")


def test_nothing_shows_the_master_key(master: Master) -> None:
    assert "\\x01\\x02" not in repr(master)
    assert bytes(range(32)).hex() not in repr(master)
