"""`ffgrid config show`, `healthcheck` and `version`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli.config import without_secrets
from app.cli.main import main
from tests.farm import Farm
from tests.ports import free_port


def test_each_value_says_where_it_is_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('slots = 3\nurl = "http://file:1"\nredis_url = "redis://file"\n[roots]\nMovies = "/m"\n')
    monkeypatch.setenv("FFGRID_URL", "http://environment:2")
    monkeypatch.setenv("FFGRID_REDIS_URL", "redis://:secret@environment")
    monkeypatch.setenv("FFGRID_METRICS_TOKEN", "secret-of-some-length")
    flags = ["--config", str(file), "--redis-url", "redis://me:secret@flag/0?password=secret"]

    assert main(["config", "show", "--json", *flags]) == 0
    shown = json.loads(capsys.readouterr().out)

    assert shown["slots"] == {"value": "3", "origin": f"file {file}"}
    assert shown["url"] == {"value": "http://environment:2", "origin": "environment FFGRID_URL"}
    assert shown["redis_url"] == {"value": "redis://me:***@flag/0?***", "origin": "flag"}
    assert shown["roots"]["value"] == "Movies=/m"
    assert shown["metrics_token"]["value"] == "***"
    assert shown["sandbox"] == {"value": "auto", "origin": "default"}
    assert main(["config", "show", "--origin", *flags]) == 0
    table = capsys.readouterr().out
    assert "secret" not in table
    assert f"file {file}" in next(line for line in table.splitlines() if line.startswith("FFGRID_SLOTS "))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:p%40ss@h:1/0", "redis://:***@h:1/0"),
        ("rediss://u:p@h", "rediss://u:***@h"),
        ("unix:///run/redis.sock?password=x", "unix:///run/redis.sock?***"),
        ("redis+sentinel://:p@a:1,b:2/m", "redis+sentinel://:***@a:1,b:2/m"),
        ("redis://h:6379", "redis://h:6379"),
    ],
)
def test_no_address_shows_its_secret(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_a_coordinator_is_ready_or_it_is_not(own_farm: Farm) -> None:
    ready = own_farm.ffgrid("healthcheck", FFGRID_KEY_FILE=None)
    nobody = own_farm.ffgrid("healthcheck", "--url", f"http://127.0.0.1:{free_port()}")
    assert own_farm.redis
    own_farm.redis.kill()
    without_redis = own_farm.ffgrid("healthcheck", "--json", FFGRID_URL=own_farm.webs[0].url)

    assert (ready.returncode, ready.stdout.count(": ready\n")) == (0, 2)
    assert (nobody.returncode, nobody.stdout.endswith(": not ready: connection refused\n")) == (1, True)
    assert without_redis.returncode == 1
    assert json.loads(without_redis.stdout)["coordinators"][0]["ready"] is False


def test_a_healthcheck_of_nonsense_is_1_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["healthcheck", "--url", "ftp://x"]) == 1
    assert "FFGRID_URL" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"version", "python"}
