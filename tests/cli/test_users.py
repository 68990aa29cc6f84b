"""`ffgrid users`, on a real server: the password comes from a pipe or a terminal, and is shown nowhere."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from app.cli import users as command
from app.cli.main import main
from app.state import passwords
from app.state.clients import Master
from app.state.store import Store
from app.state.users import User

PASSWORD = "correct horse"


class Host:
    """A coordinator's host, where the command is typed."""

    def __init__(self, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._master = folder / "master"
        monkeypatch.setenv("FFGRID_REDIS_URL", url)
        monkeypatch.setenv("FFGRID_MASTER_FILE", str(self._master))

    def __call__(self, *words: str, piped: str = PASSWORD + "\n") -> int:
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(piped))
        return main(["users", *words])

    def user(self, name: str) -> User | None:
        """The user, as a coordinator reads it."""
        return command._with_users(_Arguments(), lambda users: users.get(name))  # type: ignore[arg-type]


class _Arguments:
    """A command line without flags."""


@pytest.fixture
def host(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    import asyncio

    async def clear() -> None:
        store = Store(redis_url)
        await store.redis.flushall()
        await store.close()

    asyncio.run(clear())
    return Host(redis_url, tmp_path, monkeypatch)


def test_a_user_is_made_with_the_password_that_is_piped_in(host: Host, capsys: pytest.CaptureFixture[str]):
    assert host("add", "ada", "--role", "admin") == 0
    said = capsys.readouterr()
    ada = host.user("ada")

    assert said.out == "ada can sign in, as admin\n"
    assert ada
    assert passwords.matches(ada.password, PASSWORD)


def test_users_are_listed_without_their_hashes(host: Host, capsys: pytest.CaptureFixture[str]):
    host("add", "ada", "--role", "admin")
    host("add", "vera", "--role", "viewer")
    capsys.readouterr()
    host("list")
    table = capsys.readouterr().out
    host("list", "--json")
    rows = json.loads(capsys.readouterr().out)["users"]

    assert [line.split()[:2] for line in table.splitlines()] == [
        ["NAME", "ROLE"],
        ["ada", "admin"],
        ["vera", "viewer"],
    ]
    assert [(row["name"], row["role"], set(row)) for row in rows] == [
        ("ada", "admin", {"name", "role", "created"}),
        ("vera", "viewer", {"name", "role", "created"}),
    ]


def test_roles_and_passwords_change_and_users_go(host: Host):
    host("add", "ada", "--role", "admin")
    host("add", "vera", "--role", "viewer")
    assert host("role", "vera", "--role", "operator") == 0
    assert host("password", "vera", piped="another horse\r\nrest") == 0
    vera = host.user("vera")
    assert host("remove", "vera") == 0

    assert vera
    assert vera.role == "operator"
    assert passwords.matches(vera.password, "another horse")
    assert host.user("vera") is None


@pytest.mark.parametrize(
    ("words", "piped", "said"),
    [
        (["add", "a b", "--role", "admin"], PASSWORD, "cannot name a user"),
        (["add", "eve", "--role", "admin"], "short\n", "a password has 10 to 1000 characters"),
        (["add", "eve", "--role", "admin"], "", "a password has 10 to 1000 characters"),
        (["add", "ada", "--role", "admin"], PASSWORD, "there is a user 'ada' already"),
        (["role", "ada", "--role", "viewer"], "", "the last admin"),
        (["remove", "ada"], "", "the last admin"),
        (["remove", "eve"], "", "there is no user 'eve'"),
        (["password", "eve"], PASSWORD, "there is no user 'eve'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    host: Host, capsys: pytest.CaptureFixture[str], words: list[str], piped: str, said: str
):
    host("add", "ada", "--role", "admin")
    capsys.readouterr()
    status = host(*words, piped=piped)
    out, err = capsys.readouterr()

    assert (status, out) == (1, "")
    assert err.startswith("ffgrid: ")
    assert err.count("\n") == 1
    assert said in err


def test_at_a_terminal_the_password_is_asked_for_twice(host: Host, monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    answers = iter(["correct horse", "correct horsf", "correct horse", "correct horse"])
    monkeypatch.setattr(command.getpass, "getpass", lambda prompt: next(answers))
    monkeypatch.setattr(sys, "stdin", Terminal())
    statuses = [main(["users", "add", "ada", "--role", "admin"]) for _ in range(2)]
    ada = host.user("ada")

    assert statuses == [2, 0]
    assert ada
    assert passwords.matches(ada.password, PASSWORD)


def test_a_coordinator_with_another_master_key_knows_nobody(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    host("add", "ada", "--role", "admin")
    Master.load(tmp_path / "other", create=True)
    monkeypatch.setenv("FFGRID_MASTER_FILE", str(tmp_path / "other"))
    capsys.readouterr()
    host("list")

    assert capsys.readouterr().out.splitlines()[1].split() == ["ada", "unreadable"]
    assert host("add", "new", "--role", "admin") == 0


def test_what_was_done_is_told_to_programs_too(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    host("add", "ada", "--role", "admin", "--json")
    host("add", "vera", "--role", "viewer", "--json")
    host("role", "vera", "--role", "operator", "--json")
    host("remove", "vera", "--json")
    main(["keys", "add", "shim", "--role", "client", "--json"])
    main(["keys", "rotate", "shim", "--out", str(tmp_path / "shim.key"), "--json"])
    main(["keys", "revoke", "shim", "--json"])
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert said[:4] == [
        {"name": "ada", "role": "admin"},
        {"name": "vera", "role": "viewer"},
        {"name": "vera", "role": "operator"},
        {"name": "vera", "removed": True},
    ]
    assert said[4].pop("key").startswith("id shim\nsecret ")
    assert said[4:] == [
        {"id": "shim", "role": "client", "version": 1, "file": None},
        {"id": "shim", "role": "client", "version": 2, "file": str(tmp_path / "shim.key"), "key": None},
        {"id": "shim", "revoked": True},
    ]
