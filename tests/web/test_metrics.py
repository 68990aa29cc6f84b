"""What machines are told, and which of them."""

from __future__ import annotations

import io
import json
import logging
import re
import secrets
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app import logs
from app.state.jobs import Submission
from app.state.requirements import class_id
from app.state.seal import Seal
from app.web import metrics
from app.web.main import create_app
from app.wire.messages import SCALING, SUMMARY
from tests.web.test_dashboard import ABOUT, MASTER, NEEDS, Answer, ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from app.state.leases import Lease, Leases
    from app.state.store import Store
    from tests.web.conftest import Site

NUMBERS = ("/metrics", SUMMARY, SCALING)
# Reference, section 4.
NAMES = set(
    """build_info jobs_submitted_total jobs_finished_total jobs queue_oldest_age_seconds job_wait_seconds
    job_run_seconds job_speed_ratio media_seconds_total worker_up worker_slots worker_last_heartbeat_timestamp_seconds
    stream_lag stream_pending redeliveries_total sse_clients http_request_duration_seconds redis_up""".split()
)


class Told:
    """An application, asked without a network, that looks anew for each question."""

    def __init__(self, url: str, token: str = "") -> None:
        self.app = create_app(url, MASTER, proxies=["10.9.9.9"], metrics_token=token)
        self.store: Store = self.app.state.store
        self.jobs = self.store.jobs(Seal(MASTER.seal_key()))

    async def get(self, path: str, peer: str | None = "127.0.0.1", **headers: str) -> Answer:
        """An answer to a request that nobody has signed."""
        given = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return await ask(self.app, path, given, peer)

    async def samples(self) -> dict[tuple[str, ...], float]:
        """What /metrics says."""
        answer = await self.get("/metrics")
        assert answer.status == 200, answer.text
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return samples(answer.text)

    async def submit(self, lane: str = "normal") -> str:
        """A new job."""
        spec = {"binary": "ffmpeg", "args": ["-i", "a"]}
        mark = secrets.token_hex(8)
        return (await self.jobs.submit(Submission(mark, mark, "jellyfin", spec, NEEDS, lane, "none"))).id

    async def worker(self, name: str = "den", slots: int = 3) -> Leases:
        """One that is known."""
        await self.store.workers.register(name, f"boot-{name}", {**ABOUT, "slots": slots})
        return self.store.leases(name, f"boot-{name}")

    async def started(self, worker: Leases, lane: str = "normal") -> Lease:
        """A job that this worker has."""
        await self.submit(lane)
        (lease,) = await worker.claim([self.store.keys.queue(class_id(NEEDS), lane)], 1)
        return lease


@pytest.fixture
async def told(store: Store, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Told]:
    """One on an empty store."""
    monkeypatch.setattr(metrics, "SHARE", -1.0)
    one = Told(redis_url)
    yield one
    await one.store.close()


def samples(text: str) -> dict[tuple[str, ...], float]:
    """(name, label values ...) -> value; the official parser reads it."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for one in text_string_to_metric_families(text)
        for sample in one.samples
    }


@contextmanager
def told_lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What is logged meanwhile, parsed."""
    stream, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.Json())
    level = root.level
    root.addHandler(handler)
    root.setLevel("INFO")
    try:
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


async def test_the_names_are_those_that_were_agreed_on(told: Told) -> None:
    text = (await told.get("/metrics")).text

    families = list(text_string_to_metric_families(text))

    found = {one.name + ("_total" if one.type == "counter" else "") for one in families}
    assert found == {f"ffgrid_{name}" for name in NAMES}
    assert all(one.documentation and one.type in ("gauge", "counter", "histogram") for one in families)
    assert len(families) == len(NAMES)


async def test_jobs_are_told_by_lane_and_state(told: Told) -> None:
    leases = await told.worker()
    lease = await told.started(leases, lane="high")
    ended = await told.started(leases, lane="low")
    await leases.progress(lease, {"speed": 2.5})
    await leases.finish(ended, "fail", {"exit": 1})
    await told.submit(lane="high")

    found = await told.samples()

    assert found["ffgrid_jobs", "high", "queued"] == found["ffgrid_stream_lag", "high"] == 1
    assert found["ffgrid_jobs", "high", "running"] == found["ffgrid_stream_pending", "high"] == 1
    assert found["ffgrid_jobs", "failed"] == 1
    assert found["ffgrid_jobs_submitted_total", "high"] == 2
    assert found["ffgrid_jobs_finished_total", "low", "failed"] == 1
    assert found["ffgrid_job_run_seconds_count",] == found["ffgrid_job_run_seconds_bucket", "+Inf"] == 1
    assert found["ffgrid_job_wait_seconds_count",] == 2
    assert found["ffgrid_job_speed_ratio",] == 2.5
    assert 0 < found["ffgrid_queue_oldest_age_seconds", "high"] < 60
    assert found["ffgrid_queue_oldest_age_seconds", "live"] == 0
    assert found["ffgrid_redis_up",] == 1


async def test_workers_are_told_by_name(told: Told) -> None:
    leases = await told.worker("w1")
    await leases.beat(2, [], {})
    await told.worker("w2")
    await told.store.workers.drain("w2")

    found = await told.samples()

    assert found["ffgrid_worker_up", "w1"] == 1
    assert (found["ffgrid_worker_slots", "w1", "busy"], found["ffgrid_worker_slots", "w1", "free"]) == (2, 1)
    assert found["ffgrid_worker_slots", "w2", "free"] == 0
    beat = found["ffgrid_worker_last_heartbeat_timestamp_seconds", "w1"]
    seconds, _ = await told.store.redis.time()
    assert abs(beat - seconds) < 60


async def test_answers_are_timed_by_route_and_nothing_else_of_their_address(told: Told) -> None:
    job_id = await told.submit()
    await told.get(f"/v1/jobs/{job_id}")
    await told.get("/no/such/thing")

    text = (await told.get("/metrics")).text

    found = samples(text)
    assert found["ffgrid_http_request_duration_seconds_count", "/v1/jobs/{job_id}", "GET", "401"] == 1
    assert found["ffgrid_http_request_duration_seconds_count", "other", "GET", "404"] == 1
    assert job_id not in text
    assert "/no/such" not in text


async def test_no_label_names_a_job_a_path_or_a_user(told: Told) -> None:
    await told.submit()

    text = (await told.get("/metrics")).text

    labels = {name for one in text_string_to_metric_families(text) for s in one.samples for name in s.labels}
    assert labels <= {"version", "queue", "outcome", "state", "le", "worker", "route", "method", "code"}


async def test_the_summary_is_flat(told: Told) -> None:
    leases = await told.worker()
    lease = await told.started(leases)
    await leases.progress(lease, {"speed": 1.5})
    await leases.finish(await told.started(leases), "fail", {"exit": 1})
    await leases.beat(1, [], {lease.id: lease.token})
    await told.submit()

    answer = await told.get(SUMMARY)

    found = json.loads(answer.text)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert 0 <= found.pop("oldest_queued_s") < 60
    expected = {
        "queued": 1,
        "running": 1,
        "failed_24h": 1,
        "workers_online": 1,
        "slots_free": 2,
        "speed_avg": 1.5,
    }
    assert found == expected


async def test_an_empty_farm_has_a_summary_too(told: Told) -> None:
    assert json.loads((await told.get(SUMMARY)).text) == {
        "queued": 0,
        "running": 0,
        "failed_24h": 0,
        "workers_online": 0,
        "slots_free": 0,
        "speed_avg": None,
        "oldest_queued_s": 0,
    }


@pytest.mark.parametrize(
    ("query", "wanted"),
    [("", 4), ("?lane=high", 2), ("?lane=low", 1), ("?lane=live", 0), ("?class=nothing", 0)],
)
async def test_as_many_slots_are_wanted_as_jobs_wait_or_run(told: Told, query: str, wanted: int) -> None:
    leases = await told.worker()
    await told.started(leases, lane="high")
    for lane in ("high", "low", "normal"):
        await told.submit(lane=lane)

    answer = await told.get(SCALING + query)

    assert (answer.status, json.loads(answer.text)["wanted_slots"]) == (200, wanted)


async def test_a_lane_that_is_none_is_refused(told: Told) -> None:
    answer = await told.get(f"{SCALING}?lane=fast")

    assert answer.status == 422
    assert "expected one of live, high, normal, low, got 'fast'" in json.loads(answer.text)["detail"]


async def test_while_redis_is_away_a_process_tells_of_itself(told: Told, tmp_path: Path) -> None:
    away = Told(f"unix://{tmp_path}/nothing")

    found = await away.samples()

    assert found["ffgrid_redis_up",] == 0
    assert ("ffgrid_sse_clients",) in found
    assert not [name for name, *_ in found if name.startswith(("ffgrid_job", "ffgrid_worker"))]
    assert (await away.get(SUMMARY)).status == 503
    await away.store.close()


# Who may


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("192.168.1.9", {}, 200),
        ("::ffff:10.1.2.3", {}, 200),
        ("fd00::1", {}, 200),
        ("198.41.0.4", {}, 403),
        ("::ffff:198.41.0.4", {}, 403),
        ("2600::1", {}, 403),
        (None, {}, 403),
        ("127.0.0.1", {"x_forwarded_for": "127.0.0.1"}, 403),
        ("127.0.0.1", {"forwarded": "for=127.0.0.1"}, 403),
        ("127.0.0.1", {"via": "1.1 x"}, 403),
        ("127.0.0.1", {"x_real_ip": "127.0.0.1"}, 403),
        ("10.9.9.9", {"x_forwarded_for": "192.168.1.9"}, 200),
        ("10.9.9.9", {"x_forwarded_for": "198.41.0.4"}, 403),
        ("127.0.0.1", {"authorization": "Bearer anything"}, 200),
    ],
)
async def test_without_a_token_who_is_near_may_read(
    told: Told, peer: str | None, headers: dict[str, str], status: int
) -> None:
    answer = await told.get(SUMMARY, peer, **headers)

    assert answer.status == status
    assert status == 200 or "set FFGRID_METRICS_TOKEN" in json.loads(answer.text)["detail"]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("Bearer sixteen-characters", 200),
        ("Bearer sixteen-character", 401),
        ("Basic sixteen-characters", 401),
        ("sixteen-characters", 401),
        ("Bearer \xe9", 401),
        (None, 401),
    ],
)
async def test_with_a_token_only_who_has_it_may(redis_url: str, given: str | None, status: int) -> None:
    one = Told(redis_url, "sixteen-characters")

    answer = await one.get("/metrics", **({"authorization": given} if given else {}))

    assert answer.status == status
    assert answer.headers.get("www-authenticate") == (None if status == 200 else 'Bearer realm="ffgrid"')
    assert "sixteen" not in answer.text
    await one.store.close()


@pytest.mark.parametrize("path", NUMBERS)
async def test_who_signs_may_read_from_everywhere(site: Site, path: str) -> None:
    stranger = replace(site.worker, secret=bytes(32))

    assert site.ask("GET", path, key=site.worker).status == 200
    assert site.ask("GET", path, key=stranger).status == 401


@pytest.mark.parametrize("path", NUMBERS)
async def test_all_of_it_is_kept_from_strangers(told: Told, path: str) -> None:
    assert (await told.get(path, "198.41.0.4")).status == 403


# Ids of requests


async def test_the_request_s_id_comes_back_if_it_is_sound(told: Told) -> None:
    assert (await told.get("/livez", x_request_id="trace-1/a:b")).headers["x-request-id"] == "trace-1/a:b"

    for unsound in ("", "a b", "x" * 129, "<b>", '"', "-a", "\xe9"):
        headers = (await told.get("/livez", x_request_id=unsound)).headers
        assert re.fullmatch(r"[0-9a-f]{16}", headers["x-request-id"])


async def test_what_nobody_foresaw_has_an_id_too(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(told.app.state.scraped, "farm", fail)
    with told_lines() as lines:
        answer = await told.get(SUMMARY, x_request_id="mine")

    assert (answer.status, answer.headers["x-request-id"]) == (500, "mine")
    assert json.loads(answer.text)["type"] == "urn:ffgrid:internal-error"
    assert {line["request_id"] for line in lines()} == {"mine"}


async def test_each_request_is_a_line_and_probes_are_none(told: Told) -> None:
    with told_lines() as lines:
        for path in ("/livez", "/readyz", "/healthz", "/metrics", f"{SUMMARY}?secret=1", "/no/\x1b[31m"):
            await told.get(path, x_request_id="mine")

    found = [{name: line[name] for name in ("method", "path", "status", "request_id")} for line in lines()]
    same = {"method": "GET", "request_id": "mine"}
    assert found == [
        {**same, "path": SUMMARY, "status": 200},
        {**same, "path": "/no/\\x1b[31m", "status": 404},
    ]
    assert all(line["logger"] == "ffgrid.access" and 0 <= line["ms"] < 60_000 for line in lines())


async def test_a_line_about_a_job_names_it(told: Told) -> None:
    job_id = await told.submit()
    with told_lines() as lines:
        await told.get(f"/v1/jobs/{job_id}")
        await told.get("/v1/jobs/nothing")

    assert [line.get("job_id") for line in lines()] == [job_id, None]


async def test_health_has_an_alias(told: Told) -> None:
    assert (await told.get("/healthz"))[::2] == (await told.get("/livez"))[::2] == (200, "ok\n")
