"""A worker that is told to take nothing new, and to go on: a real one, through the API."""

from __future__ import annotations

import asyncio
import signal

from app.cli.client import Client
from app.state.store import Store
from app.wire import keyfile
from app.wire.messages import WORKERS
from tests.farm import Farm, until

SLOW = ("ffmpeg", "-v", "error", "-re", "-i", "film.mkv", "-c:v", "libx264", "-preset", "ultrafast")


def tell(farm: Farm, order: str) -> str:
    """Says it to the first worker, as an admin; the state that it is in then."""
    client = Client(farm.urls.split(), keyfile.parse(farm.key_file.read_text()))
    return str(client.post(f"{WORKERS}/w1/{order}")["state"])


def standing(farm: Farm) -> list[str]:
    """The states of the workers that are known."""
    return [one["state"] for one in farm.known_workers()]


def submit(farm: Farm, result: str) -> str:
    """A job of two seconds."""
    if not (farm.client_root / "film.mkv").exists():
        farm.media("film.mkv", 2)
    done = farm.ffgrid("submit", "--", *SLOW, farm.client_root / result)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_paused_worker_ends_what_it_runs_and_takes_nothing_until_it_is_resumed(own_farm: Farm) -> None:
    first = submit(own_farm, "first.mkv")
    until(lambda: own_farm.job(first)["state"] == "running")

    said = tell(own_farm, "pause")
    second = submit(own_farm, "second.mkv")
    until(lambda: own_farm.job(first)["state"] == "done")
    until(lambda: standing(own_farm) == ["paused"] and not own_farm.known_workers()[0]["busy"])
    waiting = own_farm.job(second)["state"]
    tell(own_farm, "resume")
    until(lambda: own_farm.job(second)["state"] == "done")

    assert (said, waiting) == ("paused", "queued")
    assert own_farm.workers[0].is_alive


def test_a_drain_is_taken_back_while_a_job_still_runs(own_farm: Farm) -> None:
    first = submit(own_farm, "first.mkv")
    until(lambda: own_farm.job(first)["state"] == "running")
    tell(own_farm, "drain")
    until(lambda: standing(own_farm) == ["draining"])

    tell(own_farm, "resume")
    until(lambda: own_farm.job(first)["state"] == "done")
    second = submit(own_farm, "second.mkv")
    until(lambda: own_farm.job(second)["state"] == "done")

    assert own_farm.workers[0].is_alive


def test_what_its_own_host_has_told_it_nobody_takes_back(own_farm: Farm) -> None:
    first = submit(own_farm, "first.mkv")
    until(lambda: own_farm.job(first)["state"] == "running")
    own_farm.workers[0].signal(signal.SIGTERM)
    until(lambda: standing(own_farm) == ["draining"])

    tell(own_farm, "resume")

    assert own_farm.workers[0].process.wait(timeout=30) == 0
    assert own_farm.job(first)["state"] == "done"


def test_a_redis_that_has_lost_everything_does_not_end_a_pause(own_farm: Farm) -> None:
    tell(own_farm, "pause")
    until(lambda: "told to pause" in own_farm.workers[0].log.read_text())

    async def forget() -> None:
        store = Store(own_farm.redis_url)
        await store.redis.delete(store.keys.worker("w1"), store.keys.workers, store.keys.inbox("w1"))
        await store.close()

    asyncio.run(forget())

    until(lambda: standing(own_farm) == ["paused"])
