"""What is said of a Redis server's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.state.verdicts import verdicts

if TYPE_CHECKING:
    from tests.state.conftest import Scene

SOUND = {
    "redis_version": "7.4.1",
    "maxmemory_policy": "noeviction",
    "maxmemory": 0,
    "used_memory": 3 * 2**20,
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
}
SNAPSHOTS = {"aof_enabled": 0}


def tones(config: dict[str, str], **changes: Any) -> dict[str, str]:
    """The tone of each line about a server that is sound but for these."""
    return {one.name: one.tone for one in verdicts({**SOUND, **changes}, config)}


def test_nothing_is_to_be_mended_at_a_sound_server() -> None:
    said = verdicts(SOUND, {"appendfsync": "everysec", "save": ""})

    assert {one.tone for one in said} == {"good"}
    assert {one.mend for one in said} == {""}


@pytest.mark.parametrize(
    ("changes", "config", "name", "tone", "mend"),
    [
        ({"redis_version": "6.2.5"}, {}, "version", "bad", "install a newer"),
        ({"redis_version": "7.2.4", "valkey_version": "7.0.9"}, {}, "version", "bad", "install a newer"),
        ({"redis_version": "unstable"}, {}, "version", "bad", "install a newer"),
        (
            {"maxmemory_policy": "allkeys-lru"},
            {},
            "eviction",
            "bad",
            "redis-cli CONFIG SET maxmemory-policy noeviction && redis-cli CONFIG REWRITE",
        ),
        (
            {"maxmemory_policy": "volatile-ttl", "valkey_version": "8.1.0"},
            {},
            "eviction",
            "bad",
            "valkey-cli CONFIG SET maxmemory-policy noeviction && valkey-cli CONFIG REWRITE",
        ),
        ({"maxmemory": 3 * 2**20 + 1}, {}, "memory", "bad", "redis-cli CONFIG SET maxmemory 6291458"),
        ({}, {"appendfsync": "no", "save": ""}, "persistence", "wait", "CONFIG SET appendfsync everysec"),
        (SNAPSHOTS, {"save": "3600 1"}, "persistence", "wait", "CONFIG SET appendonly yes"),
        (SNAPSHOTS, {"save": ""}, "persistence", "bad", "CONFIG SET appendonly yes"),
        (SNAPSHOTS, {}, "persistence", "wait", "CONFIG SET appendonly yes"),
        ({"aof_last_write_status": "err"}, {}, "disk", "bad", "make room"),
        ({"rdb_last_bgsave_status": "err"}, {}, "disk", "bad", "make room"),
    ],
)
def test_what_is_wrong_is_said_with_what_mends_it(
    changes: dict[str, Any], config: dict[str, str], name: str, tone: str, mend: str
) -> None:
    (found,) = [one for one in verdicts({**SOUND, **changes}, config) if one.tone != "good"]

    assert (found.name, found.tone) == (name, tone)
    assert mend in found.mend


@pytest.mark.parametrize(
    ("how", "loses"), [("always", "nothing that was answered"), ("everysec", "two seconds"), ("no", "half a")]
)
def test_what_a_power_cut_loses_is_said(how: str, loses: str) -> None:
    said = {one.name: one.sentence for one in verdicts(SOUND, {"appendfsync": how})}

    assert loses in said["persistence"]


def test_memory_that_is_not_nearly_full_is_well() -> None:
    assert tones({}, maxmemory=4 * 2**20)["memory"] == "good"


async def test_a_real_server_is_judged(scene: Scene) -> None:
    before = {one.name: one for one in await scene.store.server.verdicts()}
    await scene.redis.config_set("maxmemory-policy", "allkeys-lru")
    after = {one.name: one for one in await scene.store.server.verdicts()}
    await scene.redis.config_set("maxmemory-policy", "noeviction")

    assert [*before] == ["version", "eviction", "memory", "persistence", "disk"]
    assert (before["version"].tone, before["eviction"].tone, after["eviction"].tone) == (
        "good",
        "good",
        "bad",
    )
    assert before["version"].sentence.lower() == await scene.store.server.version()


@pytest.mark.parametrize("command", ["config", "info"])
async def test_a_server_that_may_not_be_asked_is_judged_as_far_as_it_goes(scene: Scene, command: str) -> None:
    await scene.redis.execute_command("ACL", "SETUSER", "default", f"-{command}")
    try:
        said = {one.name: one for one in await scene.store.server.verdicts()}
    finally:
        await scene.redis.execute_command("ACL", "SETUSER", "default", f"+{command}")

    if command == "info":
        assert [(one.tone, "+info" in one.mend) for one in said.values()] == [("wait", True)]
    else:
        assert len(said) == 5
        assert said["persistence"].tone == "wait"
