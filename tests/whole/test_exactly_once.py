"""Two coordinators, three workers, five hundred jobs: each is started once and finished once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis import Redis

from app.state.clients import Master
from app.state.jobs import Submission
from app.state.keys import Keys
from app.state.lifecycle import FINAL
from app.state.requirements import requirement
from app.state.seal import Seal
from app.state.store import Store
from tests.conftest import SERVERS
from tests.farm import ROOT_NAME, Farm, until
from tests.whole.tools import events

JOBS = 500
# Answers -version and -encoders as ffmpeg does, and writes down each other run.
COUNTER = """#!/bin/sh
case "$*" in *-version*|*-encoders*) exec ffmpeg "$@";; esac
for last; do :; done
echo x >> "$last"
"""


@pytest.mark.parametrize("kind", SERVERS)
def test_every_job_is_started_once_and_finished_once(kind: str, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text(COUNTER)
    counter.chmod(0o755)
    with Farm.start(tmp_path / "farm", kind, workers=0) as farm:
        for number in range(3):
            farm.start_worker(f"w{number}", slots=4, ffmpeg=str(counter))
        runs = farm.client_root / "runs"
        runs.mkdir()

        jobs = asyncio.run(_submit(farm))
        until(lambda: _ended(farm) == JOBS, within=90)

        told = events(farm)
        assert {job: dict(told[job]) for job in jobs} == {
            job: {"submit": 1, "start": 1, "succeed": 1} for job in jobs
        }
        assert {path.name: path.read_text() for path in runs.iterdir()} == {
            f"{number}.log": "x\n" for number in range(JOBS)
        }


def _ended(farm: Farm) -> int:
    keys = Keys()
    with Redis.from_url(farm.redis_url) as redis:
        return sum(int(redis.zcard(keys.state(state))) for state in FINAL)


async def _submit(farm: Farm) -> list[str]:
    """All jobs, from eight submitters at once."""
    store = Store(farm.redis_url)
    jobs = store.jobs(Seal(Master.load(farm.folder / "master").seal_key()))
    needs = requirement("ffmpeg", [ROOT_NAME], {}, [])

    async def some(numbers: range) -> list[str]:
        return [(await jobs.submit(_submission(number, needs))).id for number in numbers]

    ids = await asyncio.gather(*(some(range(start, JOBS, 8)) for start in range(8)))
    await store.close()
    return [job for part in ids for job in part]


def _submission(number: int, needs: dict[str, object]) -> Submission:
    spec = {
        "binary": "ffmpeg",
        "args": [[{"root": ROOT_NAME}, f"/runs/{number}.log"]],
        "cwd": None,
        "view": {},
        "attach": False,
        "in_place": True,
    }
    return Submission(f"once-{number:05d}", "digest", "cli", spec, needs, "normal", "stream")
