"""What the daemons are told: flag, then environment, then file, then default; and never what lies around."""

from __future__ import annotations

import os
import socket
from dataclasses import asdict
from pathlib import Path

import pytest

from app import settings
from app.settings import DEFAULT_REDIS, DEFAULT_URL, FILED, KNOWN, BadSetting, Settings, origins


def load(flags: dict[str, str | None] | None = None, /, **environ: str) -> Settings:
    """Settings of a host with a home that is not there."""
    return Settings.load({"HOME": "/nonexistent", **environ}, flags)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with settings in it."""
    path = tmp_path / "ffgrid.toml"
    path.write_text(
        'redis_url = "redis://file"\nurl = "http://file"\nworker_id = "file"\nslots = 3\n'
        'roots = "Movies=/file"\nlabels = "a=file"\nffmpeg = "/file/ffmpeg"\ndata_dir = "/file/data"\n'
    )
    return path


# Where a value comes from


def test_nothing_needs_to_be_set() -> None:
    settings = load()

    assert settings == Settings(
        redis_url=DEFAULT_REDIS,
        replicas=0,
        urls=(DEFAULT_URL,),
        key_file=None,
        roots={},
        worker_id=socket.gethostname(),
        slots=max(1, (os.cpu_count() or 2) // 2),
        labels={},
        ffmpeg="ffmpeg",
        ffprobe="ffprobe",
        master_file=Path("/nonexistent/.config/ffgrid/master"),
        data_dir=Path("/nonexistent/.local/share/ffgrid"),
        cache="/nonexistent/.cache/ffgrid",
    )


@pytest.mark.parametrize(
    ("flag", "environ", "expected"),
    [
        ("flag", "environ", "flag"),
        (None, "environ", "environ"),
        (None, "", "file"),
        (None, None, "file"),
        ("flag", None, "flag"),
    ],
)
def test_a_flag_comes_before_the_environment_before_the_file(
    file: Path, flag: str | None, environ: str | None, expected: str
) -> None:
    settings = load(
        {"worker_id": flag},
        FFGRID_CONFIG=str(file),
        **({} if environ is None else {"FFGRID_WORKER_ID": environ}),
    )

    assert settings.worker_id == expected


def test_every_setting_can_come_from_the_file(file: Path) -> None:
    settings = load(FFGRID_CONFIG=str(file))

    assert settings.redis_url == "redis://file"
    assert settings.urls == ("http://file",)
    assert settings.slots == 3
    assert settings.roots == {"Movies": "/file"}
    assert settings.labels == {"a": "file"}
    assert settings.ffmpeg == "/file/ffmpeg"
    assert settings.data_dir == Path("/file/data")


def test_every_setting_can_come_from_the_environment() -> None:
    values = {
        "redis_url": "redis://e", "url": "http://e", "key_file": "/e/key", "roots": "E=/e", "worker_id": "e",
        "slots": "7", "labels": "e=e", "ffmpeg": "/e/ffmpeg", "ffprobe": "/e/ffprobe", "master_file": "/e/master",
        "data_dir": "/e/data", "cache": "/e/cache", "sandbox": "rewrite", "replicas": "1",
        "hosts": "e, E.example", "trusted_proxies": "10.0.0.1 10.1.0.0/16", "log_format": "JSON",
        "log_level": "debug", "metrics_token": "sixteen-characters", "root_path": "/e/",
    }  # fmt: skip
    settings = load(**{f"FFGRID_{name.upper()}": value for name, value in values.items()})

    assert set(values) == set(KNOWN) - {"config", *FILED.values()}
    assert asdict(settings) == {
        "redis_url": "redis://e",
        "replicas": 1,
        "urls": ("http://e",),
        "key_file": Path("/e/key"),
        "roots": {"E": "/e"},
        "worker_id": "e",
        "slots": 7,
        "labels": {"e": "e"},
        "ffmpeg": "/e/ffmpeg",
        "ffprobe": "/e/ffprobe",
        "master_file": Path("/e/master"),
        "data_dir": Path("/e/data"),
        "cache": "/e/cache",
        "hosts": ("e", "e.example"),
        "trusted_proxies": ("10.0.0.1", "10.1.0.0/16"),
        "log_format": "json",
        "log_level": "debug",
        "metrics_token": "sixteen-characters",
        "root_path": "/e",
        "sandbox": "rewrite",
    }


@pytest.mark.parametrize("mode", ["bubblewrap", "Namespace", "none"])
def test_a_sandbox_is_one_of_three(mode: str) -> None:
    with pytest.raises(BadSetting, match="FFGRID_SANDBOX: expected one of auto, namespace, rewrite, got"):
        load(FFGRID_SANDBOX=mode)


def test_the_file_may_be_named_by_a_flag(file: Path, tmp_path: Path) -> None:
    assert load({"config": str(file)}, FFGRID_CONFIG=str(tmp_path / "other")).worker_id == "file"


def test_flags_of_a_command_that_are_no_settings_are_not_looked_at() -> None:
    assert load({"json": "1", "host": "0.0.0.0"}) == load()


@pytest.mark.parametrize("home", ["HOME", "XDG_CONFIG_HOME"])
def test_the_users_own_file_is_read(tmp_path: Path, home: str) -> None:
    folder = tmp_path / (".config/ffgrid" if home == "HOME" else "ffgrid")
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('worker_id = "mine"\n')

    assert Settings.load({"HOME": "/nonexistent", home: str(tmp_path)}).worker_id == "mine"


def test_the_hosts_file_is_read_where_the_user_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = tmp_path / "etc.toml"
    host.write_text('worker_id = "host"\n')
    monkeypatch.setattr(settings, "SYSTEM_CONFIG", host)
    home = {"HOME": str(tmp_path / "home")}

    assert Settings.load(home).worker_id == "host"
    assert settings.origins(home)["worker_id"] == f"file {host}"
    own = tmp_path / "home/.config/ffgrid"
    own.mkdir(parents=True)
    (own / "config.toml").write_text('worker_id = "mine"\n')
    assert Settings.load(home).worker_id == "mine"
    assert settings.origins({**home, "FFGRID_WORKER_ID": "x"})["worker_id"] == "environment FFGRID_WORKER_ID"


def test_nothing_is_read_from_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("config.toml", "ffgrid.toml", ".env", "ffgrid/config.toml", ".config/ffgrid/config.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(
            'worker_id = "evil"\nFFGRID_WORKER_ID=evil\n' if name == ".env" else 'worker_id = "evil"\n'
        )
    monkeypatch.chdir(tmp_path)

    assert load().worker_id == socket.gethostname()
    assert Settings.load({}).worker_id == socket.gethostname()
    assert Settings.load({"HOME": "", "XDG_CONFIG_HOME": ""}).worker_id == socket.gethostname()


def test_paths_do_not_depend_on_where_the_daemon_goes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(FFGRID_KEY_FILE="key", FFGRID_MASTER_FILE="m", FFGRID_DATA_DIR="d")

    assert (settings.key_file, settings.master_file, settings.data_dir) == (
        tmp_path / "key",
        tmp_path / "m",
        tmp_path / "d",
    )


def test_a_key_file_may_be_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")

    assert load(FFGRID_KEY_FILE="~/key").key_file == Path("/home/somebody/key")


# What a value may be


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("http://a", ("http://a",)),
        ("http://a/", ("http://a",)),
        ("http://a http://b", ("http://a", "http://b")),
        ("http://a,https://b:8443/x/", ("http://a", "https://b:8443/x")),
        (" http://a ,, http://b ", ("http://a", "http://b")),
    ],
)
def test_there_may_be_several_coordinators(text: str, urls: tuple[str, ...]) -> None:
    assert load(FFGRID_URL=text).urls == urls


@pytest.mark.parametrize(
    ("text", "labels"),
    [("a=b", {"a": "b"}), ("a=b,c=d", {"a": "b", "c": "d"}), ("a = b , c = d=e", {"a": "b", "c": "d=e"})],
)
def test_labels_are_pairs(text: str, labels: dict[str, str]) -> None:
    assert load(FFGRID_LABELS=text).labels == labels


@pytest.mark.parametrize("slots", ["1", "4", "1024"])
def test_slots_are_a_number(slots: str) -> None:
    assert load(FFGRID_SLOTS=slots).slots == int(slots)


def test_roots_and_labels_may_be_tables(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[roots]\nMovies = "/media/a:b"\nTV = "/media/tv"\n[labels]\ngpu = "yes"\nrack = "2"\n')

    settings = load(FFGRID_CONFIG=str(path))

    assert settings.roots == {"Movies": "/media/a:b", "TV": "/media/tv"}
    assert settings.labels == {"gpu": "yes", "rack": "2"}


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("SLOTS", "0", "expected a number from 1 to 1024"),
        ("SLOTS", "-1", "expected a number"),
        ("SLOTS", "1025", "expected a number"),
        ("SLOTS", "two", "got 'two'"),
        ("SLOTS", "1.5", "expected a number"),
        ("SLOTS", "\N{SUPERSCRIPT TWO}", "expected a number"),
        ("REPLICAS", "-1", "expected a number from 0 to 16"),
        ("REPLICAS", "17", "expected a number from 0 to 16"),
        ("URL", "coordinator:8000", "expected http:// or https:// addresses, got 'coordinator:8000'"),
        ("URL", "ftp://x", "got 'ftp://x'"),
        ("URL", "http://a b", "got 'b'"),
        ("URL", ",", "expected the coordinator's address, got nothing"),
        ("WORKER_ID", "a b", "got 'a b'"),
        ("WORKER_ID", "a/b", "got 'a/b'"),
        ("WORKER_ID", "é", "expected up to 64 letters"),
        ("WORKER_ID", "x" * 65, "expected up to 64 letters"),
        ("ROOTS", "Movies", "cannot read 'Movies'"),
        ("ROOTS", "Movies=media", "cannot read 'Movies=media'"),
        ("ROOTS", "A=/a:A=/b", "named twice"),
        ("LABELS", "gpu", "expected name=value"),
        ("LABELS", "gpu=", "got 'gpu='"),
        ("LABELS", "=yes", "got '=yes'"),
        ("HOSTS", "http://tower", "got 'http://tower'"),
        ("HOSTS", "tower:8000", "without scheme and port"),
        ("TRUSTED_PROXIES", "tower", "got 'tower'"),
        ("ROOT_PATH", "ffgrid", "expected a path such as /ffgrid, got 'ffgrid'"),
        ("ROOT_PATH", "/a//b", "got '/a//b'"),
        ("ROOT_PATH", '/"x', "expected a path"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "has host bits set"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_its_name(name: str, value: str, word: str) -> None:
    with pytest.raises(BadSetting) as caught:
        load(**{f"FFGRID_{name}": value})

    assert f"FFGRID_{name}" in str(caught.value)
    assert word in str(caught.value)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="there is no file"):
        load(FFGRID_CONFIG=str(tmp_path / "none.toml"))


@pytest.mark.parametrize("content", [b"worker_id = ", b"\xff\xfe", b"[roots\n"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)

    with pytest.raises(BadSetting, match=str(path)):
        load(FFGRID_CONFIG=str(path))


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=str(tmp_path)):
        load(FFGRID_CONFIG=str(tmp_path))


@pytest.mark.parametrize("line", ['worker = "x"', 'redis = "x"', "SLOTS = 3", "[web]\nport = 1"])
def test_a_setting_that_nobody_knows_is_refused_with_those_that_are(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(line + "\n")

    with pytest.raises(BadSetting, match="which is not a setting: expected some of") as caught:
        load(FFGRID_CONFIG=str(path))

    assert "worker_id" in str(caught.value)


def test_a_wrong_value_of_the_file_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("slots = 0\n")

    with pytest.raises(BadSetting, match="SLOTS"):
        load(FFGRID_CONFIG=str(path))


def test_no_secret_is_a_setting() -> None:
    assert [name for name in KNOWN if "secret" in name or name in ("key", "master", "password")] == []


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/ffgrid"),
        ({"FFGRID_CACHE": "/named"}, "/named"),
        ({"FFGRID_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, ""),
        ({"FFGRID_CACHE": "here"}, str(Path("here").absolute())),
    ],
)
def test_the_cache_is_the_users_own_unless_it_is_named_or_off(environ: dict[str, str], expected: str) -> None:
    assert load(**environ).cache == expected


@pytest.mark.parametrize("name", FILED)
def test_a_secret_may_stand_in_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("redis://:sixteen-characters@host\n")

    settings = load(**{f"FFGRID_{name.upper()}_FILE": str(tmp_path / "secret")})

    assert getattr(settings, name) == "redis://:sixteen-characters@host"


def test_the_token_is_not_told() -> None:
    assert "sixteen" not in repr(load(FFGRID_METRICS_TOKEN="sixteen-characters"))


@pytest.mark.parametrize("name", FILED)
def test_a_secret_that_is_told_twice_is_refused(tmp_path: Path, name: str) -> None:
    variable = f"FFGRID_{name.upper()}"

    with pytest.raises(BadSetting, match=f"^{variable}, {variable}_FILE: expected one of them$"):
        load(**{variable: "sixteen-characters", f"{variable}_FILE": str(tmp_path / "secret")})
    with pytest.raises(BadSetting, match=f"^{variable}_FILE: cannot read "):
        load(**{f"{variable}_FILE": str(tmp_path / "secret")})


def test_systemd_may_hand_over_secrets(tmp_path: Path) -> None:
    """As LoadCredential= does. They win over the file, and the environment wins over them."""
    for name in ("redis_url", "key_file", "master_file", "something_else"):
        (tmp_path / name).write_text(f"redis://{name}\n")
    (tmp_path / "config.toml").write_text('redis_url = "redis://file"\nsandbox = "rewrite"\n')
    given = {"CREDENTIALS_DIRECTORY": str(tmp_path), "FFGRID_CONFIG": str(tmp_path / "config.toml")}

    settings = load(**given)

    assert settings.redis_url == "redis://redis_url"
    assert (settings.key_file, settings.master_file) == (tmp_path / "key_file", tmp_path / "master_file")
    assert (settings.sandbox, settings.metrics_token) == ("rewrite", "")
    assert load(**given, FFGRID_REDIS_URL="redis://environment").redis_url == "redis://environment"
    said = origins(given)
    assert (said["redis_url"], said["key_file"]) == ("systemd credential", "systemd credential")
    assert (said["sandbox"], said["slots"]) == (f"file {tmp_path / 'config.toml'}", "default")


@pytest.mark.parametrize(
    "token", ["short", "with a space in it", "sixteen-charact\N{LATIN SMALL LETTER E WITH ACUTE}rs"]
)
def test_a_token_that_no_header_can_hold_or_anybody_can_guess_is_refused_unseen(token: str) -> None:
    with pytest.raises(BadSetting, match=r"FFGRID_METRICS_TOKEN: expected at least 16") as refused:
        load(FFGRID_METRICS_TOKEN=token)

    assert token not in str(refused.value)


@pytest.mark.parametrize("name", ["LOG_FORMAT", "LOG_LEVEL"])
def test_a_word_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadSetting, match=f"FFGRID_{name}: expected one of .*, got 'loud'"):
        load(**{f"FFGRID_{name}": "loud"})
