"""The scripts: what stands before each, what stands in its header, and a server that forgets them."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from app.state import lifecycle
from app.state.keys import GROUP, REAPER, Keys
from app.state.scripting import DENIED_WHEN_FULL, PARTS, Scripts, names, source
from app.wire.messages import LANES

if TYPE_CHECKING:
    from tests.state.conftest import Scene

KEYS = Keys()


def text_of(name: str) -> str:
    return files("app.state.scripts").joinpath(name + ".lua").read_text()


def header_of(name: str) -> str:
    lines = text_of(name).splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    return "\n".join(lines[:end])


async def evaluate(scene: Scene, code: str) -> Any:
    """What code says that stands behind the tables and the prelude, as a script does."""
    whole = source("submit", KEYS).decode().replace(text_of("submit"), code)
    return await scene.redis.eval(whole, 0)


# Headers


def test_there_are_scripts() -> None:
    assert {"submit", "claim", "start", "beat", "finish", "release", "reap", "expire"} <= set(names())
    assert set(PARTS).isdisjoint(names())


@pytest.mark.parametrize("name", [*names(), *PARTS])
def test_a_script_opens_with_what_it_is_for(name: str) -> None:
    first, *_ = text_of(name).splitlines()

    assert re.fullmatch(r"-- [A-Z].{20,}", first)


@pytest.mark.parametrize("name", names())
def test_a_script_names_its_keys_its_arguments_and_its_answer(name: str) -> None:
    header = header_of(name)

    assert re.search(r"^-- KEYS\[1(\.\.)?\] +\S", header, re.MULTILINE)
    assert bool(re.search(r"^-- ARGV\[1\] +\S", header, re.MULTILINE)) == ("ARGV" in text_of(name))
    assert re.search(r"^-- Returns \S", header, re.MULTILINE)


@pytest.mark.parametrize("name", names())
def test_a_script_lists_every_argument_that_it_uses(name: str) -> None:
    used = {int(number) for number in re.findall(r"ARGV\[(\d+)\]", text_of(name))}
    header = header_of(name)
    listed = {int(number) for number in re.findall(r"ARGV\[(\d+)", header)}

    assert {number for number in used if number <= max(listed, default=0)} <= listed
    assert max(used, default=0) <= max(listed, default=0) or "n, then n" in header


# What stands before them


async def test_the_moves_in_the_scripts_are_those_of_the_table(scene: Scene) -> None:
    code = """
    local found = {}
    for event, rule in pairs(MOVES) do
      found[#found + 1] = event .. ">" .. rule.to
      for state in pairs(rule.from) do found[#found + 1] = event .. "<" .. state end
    end
    return found
    """
    expected = {f"{event}>{target}".encode() for event, (_, target) in lifecycle.MOVES.items()} | {
        f"{event}<{state}".encode() for event, (sources, _) in lifecycle.MOVES.items() for state in sources
    }

    found = await evaluate(scene, code)

    assert set(found) == expected
    assert len(found) == len(expected)


async def test_the_final_states_and_the_lanes_are_those_of_python(scene: Scene) -> None:
    code = "local found = {} for state in pairs(FINAL) do found[#found + 1] = state end return {found, LANES}"

    final, lanes = await evaluate(scene, code)

    assert {state.decode() for state in final} == lifecycle.FINAL
    assert [lane.decode() for lane in lanes] == list(LANES)


async def test_the_key_names_in_the_scripts_are_those_of_the_schema(scene: Scene) -> None:
    code = "local found = {} for name, key in pairs(K) do found[#found + 1] = name .. ' ' .. key end return found"
    known = {value for value in vars(KEYS).values() if isinstance(value, str)}

    found = await evaluate(scene, code)

    named = dict(line.decode().split(" ", 1) for line in found)
    assert set(named.values()) - known == {GROUP, REAPER}
    assert len(set(named.values())) == len(named)


async def test_every_key_that_a_script_uses_is_in_the_schema(scene: Scene) -> None:
    code = "local found = {} for name in pairs(K) do found[#found + 1] = name end return found"
    found = await evaluate(scene, code)
    used = {word for name in [*names(), *PARTS] for word in re.findall(r"\bK\.(\w+)", text_of(name))}

    assert used == {name.decode() for name in found}


@pytest.mark.parametrize("name", names())
def test_only_a_submission_may_be_refused_by_a_full_server(name: str) -> None:
    first, *_ = source(name, KEYS).decode().splitlines()

    assert first == ("#!lua" if name == "submit" else "#!lua flags=allow-oom")
    assert {"submit"} == DENIED_WHEN_FULL


def test_two_namespaces_have_nothing_in_common() -> None:
    spelled = [
        set(re.findall(r'"(\{[^"]+)"', source("submit", Keys(name)).decode())) for name in ("ff", "gg")
    ]

    assert all(key.startswith("{ff}:") for key in spelled[0])
    assert all(key.startswith("{gg}:") for key in spelled[1])


def test_every_control_key_carries_the_tag() -> None:
    named = [value for name, value in vars(KEYS).items() if name not in ("tag", "bulk")]

    assert [value for value in named if not value.startswith(KEYS.tag + ":")] == []
    assert len(set(named)) == len(named)


# Running them


async def test_a_server_that_forgets_its_scripts_is_told_them_again(scene: Scene) -> None:
    async def forget() -> None:
        await scene.redis.script_flush()

    await forget()
    worker = await scene.worker()
    await forget()
    job_id = await scene.submit()
    await forget()
    lease = await scene.claim(worker, job_id)
    await forget()
    beat = await worker.beat(1, [], {job_id: lease.token})
    await forget()
    await worker.progress(lease, {"percent": 1})
    await forget()
    assert await scene.lose(job_id) == {job_id: "queued"}
    await forget()
    again = await scene.claim(worker, job_id)
    await forget()
    await worker.finish(again, "succeed", {"exit": 0})

    assert beat.lost == []
    assert await scene.endings(job_id) == ["done"]


@pytest.mark.parametrize("name", names())
async def test_a_script_is_known_to_the_server_by_its_digest(scene: Scene, name: str) -> None:
    digest = await scene.redis.script_load(source(name, KEYS).decode())

    assert Scripts(scene.redis, KEYS)._digests[name] == digest


async def test_bytes_come_back_as_they_went(scene: Scene) -> None:
    everything = bytes(range(256))
    job_id = await scene.submit(spec={"args": [{"b64": "AP8="}]})
    await scene.redis.hset(scene.keys.job(job_id), "spec", everything)

    lease = await scene.claim(await scene.worker(), job_id)

    assert lease.sealed == everything
