"""What programs watch a farm by: /metrics for Prometheus, /v1/summary for dashboards, /v1/scaling for autoscalers.

All of it is numbers; no job, path or user is named. It is given to whoever has the token (FFGRID_METRICS_TOKEN) or
signs like any client; where no token is set, to whoever asks from this host or a private network.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import wraps
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.state.connect import UNREACHABLE
from app.state.queues import Lane
from app.state.survey import Farm, Survey, slots
from app.web import exposition
from app.web.auth import Verifier, read_body
from app.web.dashboard.door import PATIENCE
from app.web.dashboard.hub import Hub
from app.web.exposition import family, histogram
from app.web.observed import Timings
from app.web.problems import Problem
from app.web.views import answer
from app.web.visit import Reception
from app.wire.messages import LANES, SCALING, SUMMARY

SHARE = 1.0  # seconds for which one look is good enough for everybody who asks this process

Endpoint = Callable[[Request], Awaitable[Response]]
Values = Iterable[tuple[dict[str, str], float]]


class Scraped:
    """What this process tells machines, and whom."""

    def __init__(self, survey: Survey, token: str) -> None:
        self.token = token
        self._survey = survey
        self._looking: asyncio.Task[Farm] | None = None
        self._looked = float("-inf")

    async def farm(self) -> Farm:
        """The farm as it was a moment ago. Raises one of UNREACHABLE or TimeoutError."""
        now = time.monotonic()
        if self._looking is None or now - self._looked > SHARE or _failed(self._looking):
            self._looked, self._looking = now, asyncio.create_task(self._survey.look())
        return await asyncio.wait_for(asyncio.shield(self._looking), PATIENCE)


def readable(endpoint: Endpoint) -> Endpoint:
    """The endpoint, for those only who may read numbers."""

    @wraps(endpoint)
    async def admitting(request: Request) -> Response:
        await _admit(request)
        return await endpoint(request)

    return admitting


@readable
async def metrics(request: Request) -> Response:
    """Everything for Prometheus. While Redis is away, what this process knows by itself."""
    try:
        farm = await _scraped(request).farm()
    except (*UNREACHABLE, TimeoutError):
        farm = None
    hub: Hub = request.app.state.hub
    families = [*_of_process(request.app.state.timings, len(hub.tabs), farm is not None)]
    if farm is not None:
        families += [*_of_jobs(farm), *_of_queues(farm), *_of_workers(farm)]
    return Response("".join(families), media_type=exposition.TYPE)


@readable
async def summary(request: Request) -> Response:
    """The farm in seven numbers: a flat object for dashboards such as Home Assistant's or Homepage's.

    `speed_avg` is the mean speed of running jobs in seconds of media a second, null while none has told its speed;
    `oldest_queued_s` is 0 while nothing waits.
    """
    farm = await _scraped(request).farm()
    return answer(
        {
            "queued": farm.states["queued"] + farm.states["waiting"],
            "running": farm.running,
            "failed_24h": farm.failed_day,
            "workers_online": len(farm.online),
            "slots_free": farm.free,
            "speed_avg": None if farm.speed is None else round(farm.speed, 3),
            "oldest_queued_s": round(max((one.oldest or 0.0 for one in farm.glance.queues), default=0.0), 3),
        }
    )


@readable
async def scaling(request: Request) -> Response:
    """How many slots are wanted: jobs that are queued and jobs that run, of a class or a lane if it is named.

    Running jobs count, so that no worker is taken away from under its job.
    """
    cls, lane = request.query_params.get("class", ""), request.query_params.get("lane", "")
    if lane and lane not in LANES:
        raise Problem(422, "invalid", f"lane: expected one of {', '.join(LANES)}, got {lane!r}")
    farm = await _scraped(request).farm()
    lanes = [one for name, one in _lanes(farm) if cls in ("", name) and lane in ("", one.name)]
    queued, running = sum(one.queued for one in lanes), sum(one.held for one in lanes)
    slots_there = sum(slots(worker) for worker in farm.workers if worker.takes)
    return answer(
        {"wanted_slots": queued + running, "queued": queued, "running": running, "slots": slots_there}
    )


async def _admit(request: Request) -> None:
    """Raises Problem 401 or 403."""
    if "signature-input" in request.headers:
        verifier: Verifier = request.app.state.verifier
        await verifier.signer(request, lambda: read_body(request))
        return
    token = _scraped(request).token
    if token:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            told = (
                "this takes the token of FFGRID_METRICS_TOKEN, as Authorization: Bearer TOKEN, or a signature"
            )
            raise Problem(401, "unauthorized", told, {"WWW-Authenticate": 'Bearer realm="ffgrid"'})
    elif not is_near(request):
        told = "set FFGRID_METRICS_TOKEN, or ask from this host or a private network: nobody else is told"
        raise Problem(403, "forbidden", told)


def is_near(request: Request) -> bool:
    """Whether who asks is on this host or in a private network. Behind a proxy that is not named, nobody is."""
    reception: Reception = request.app.state.reception
    visit = reception.visit(request)
    peer = request.client.host if request.client else ""
    forwarded = {"forwarded", "x-forwarded-for", "x-real-ip", "via"}.intersection(request.headers.keys())
    if forwarded and not reception.is_proxy(peer):
        return False
    try:
        address = ipaddress.ip_address(visit.address)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_private or address.is_link_local


def _of_process(timings: Timings, tabs: int, up: bool) -> Iterator[str]:
    yield family("ffgrid_build_info", "gauge", "1, for the version.", [({"version": version("ffgrid")}, 1)])
    yield family("ffgrid_redis_up", "gauge", "Whether this process reaches Redis.", [({}, up)])
    yield family("ffgrid_sse_clients", "gauge", "Streams of pages that this process serves.", [({}, tabs)])
    kinds = (
        ({"route": route, "method": method, "code": code}, buckets, total)
        for (route, method, code), buckets, total in timings.all()
    )
    words = "Seconds until this process began to answer."
    yield histogram("ffgrid_http_request_duration_seconds", words, kinds)


def _of_jobs(farm: Farm) -> Iterator[str]:
    totals = farm.totals
    submitted: Values = [({"queue": lane}, count) for lane, count in totals.submitted.items()]
    finished: Values = [
        ({"queue": lane, "outcome": to}, count) for (lane, to), count in totals.finished.items()
    ]
    yield family("ffgrid_jobs_submitted_total", "counter", "Jobs submitted.", submitted)
    yield family("ffgrid_jobs_finished_total", "counter", "Jobs that have ended.", finished)
    waits, runs = totals.histogram("wait"), totals.histogram("run")
    told = "Seconds from submissions to first starts."
    yield histogram("ffgrid_job_wait_seconds", told, [({}, waits.buckets, waits.sum)])
    told = "Seconds that the last attempts at jobs took."
    yield histogram("ffgrid_job_run_seconds", told, [({}, runs.buckets, runs.sum)])
    speed: Values = [] if farm.speed is None else [({}, farm.speed)]
    yield family("ffgrid_job_speed_ratio", "gauge", "Mean speed of running jobs; 1 is real time.", speed)
    yield family("ffgrid_media_seconds_total", "counter", "Media that done jobs made.", [({}, totals.media)])
    told = "Jobs queued again because their workers went silent."
    yield family("ffgrid_redeliveries_total", "counter", told, [({}, totals.redeliveries)])


def _of_queues(farm: Farm) -> Iterator[str]:
    """By lane where it is known: that of jobs which are in no queue is not."""
    queued, held, oldest = (dict.fromkeys(LANES, 0.0) for _ in range(3))
    for _, one in _lanes(farm):
        queued[one.name] += one.queued
        held[one.name] += one.held
        oldest[one.name] = max(oldest[one.name], one.oldest or 0.0)
    jobs: list[tuple[dict[str, str], float]] = []
    for lane in LANES:
        jobs += [
            ({"queue": lane, "state": "queued"}, queued[lane]),
            ({"queue": lane, "state": "running"}, held[lane]),
        ]
    others = set(farm.states) - {"queued", "running", "publishing"}
    jobs += [({"state": state}, farm.states[state]) for state in sorted(others)]
    yield family("ffgrid_jobs", "gauge", "Jobs that are remembered.", jobs)
    told = "For how long the job has waited that waits longest."
    yield family("ffgrid_queue_oldest_age_seconds", "gauge", told, _by_lane(oldest))
    yield family("ffgrid_stream_lag", "gauge", "Entries that nobody was given.", _by_lane(queued))
    yield family("ffgrid_stream_pending", "gauge", "Entries that a worker has.", _by_lane(held))


def _of_workers(farm: Farm) -> Iterator[str]:
    up: Values = [({"worker": worker.id}, worker.live) for worker in farm.workers]
    yield family("ffgrid_worker_up", "gauge", "Whether the worker is heard of.", up)
    taken: list[tuple[dict[str, str], float]] = []
    for worker in farm.online:
        free = slots(worker) - worker.busy if worker.takes else 0
        taken.append(({"worker": worker.id, "state": "busy"}, worker.busy))
        taken.append(({"worker": worker.id, "state": "free"}, max(0, free)))
    yield family("ffgrid_worker_slots", "gauge", "Jobs that it runs, and could run beside them.", taken)
    heard: Values = [({"worker": worker.id}, round(worker.heard, 3)) for worker in farm.workers]
    name = "ffgrid_worker_last_heartbeat_timestamp_seconds"
    yield family(name, "gauge", "When it was heard of last, Unix time.", heard)


def _by_lane(values: dict[str, float]) -> Values:
    return [({"queue": lane}, value) for lane, value in values.items()]


def _lanes(farm: Farm) -> Iterator[tuple[str, Lane]]:
    for queue in farm.glance.queues:
        for lane in queue.lanes:
            yield queue.cls, lane


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _scraped(request: Request) -> Scraped:
    found: Scraped = request.app.state.scraped
    return found


ROUTES = [Route(SUMMARY, summary, methods=["GET"]), Route(SCALING, scaling, methods=["GET"])]
