"""What the first page warns of."""

from __future__ import annotations

from typing import Any

import pytest

from app.state.fallbacks import Fallback
from app.state.queues import Glance, Lane, Queue
from app.state.requirements import requirement
from app.state.verdicts import Verdict
from app.state.workers import Worker
from app.web import coverage
from app.web.dashboard.overview.alerts import Alert, alerts

NOW = 1_800_000_000.0
MOVIES = requirement("ffmpeg", ["Movies"], {}, [])
NVENC = requirement("ffmpeg", ["Movies", "TV"], {"gpu": "yes"}, ["hevc_nvenc"])


def worker(name: str = "w1", busy: int = 0, silent: float = 0.1, **changes: Any) -> Worker:
    """A worker for Movies."""
    about = {"binaries": {"ffmpeg": "8"}, "roots": ["Movies"], "encoders": ["libx264"], "labels": {}}
    standing = {key: changes.pop(key) for key in ("draining", "paused") if key in changes}
    return Worker(name, "b", {**about, **changes}, busy, silent, standing.pop("draining", False), **standing)


def queue(needs: Any = MOVIES, queued: int = 0) -> Queue:
    """A queue of that class."""
    return Queue("c1", needs, (Lane("normal", queued, 0, 5.0 if queued else None),), 10.0)


def glance(*queues: Queue, buried: int = 0, **hour: int) -> Glance:
    """One look: what ended in the last hour, and how many jobs are dead."""
    return Glance(NOW, queues, 0, (), buried, {"done": 0, "failed": 0, "dead": 0, **hour})


def said(*found: Alert) -> list[tuple[str, str]]:
    return [(one.tone, one.said) for one in found]


def test_nothing_is_said_where_all_is_well() -> None:
    sound = [Verdict("version", "good", "Redis 7.4.1")]

    assert alerts([worker()], glance(queue(queued=3), done=50, failed=1), [], sound) == []


@pytest.mark.parametrize(
    ("workers", "queued", "sentence", "link"),
    [
        ([], 0, "No worker is online.", "/workers#add"),
        ([worker(silent=60)], 1, "No worker is online, and 1 job waits.", "/workers#add"),
        ([worker(paused=True)], 0, "No worker takes new jobs: w1 is paused.", "/workers"),
        (
            [worker(paused=True), worker("w2", draining=True)],
            1200,
            "No worker takes new jobs: w1 is paused, w2 is draining, and 1\u202f200 jobs wait.",
            "/workers",
        ),
    ],
)
def test_that_nobody_takes_jobs_is_said_once(
    workers: list[Worker], queued: int, sentence: str, link: str
) -> None:
    (found,) = alerts(workers, glance(queue(queued=queued)))

    assert (found.tone, found.said, found.link) == ("bad", sentence, link)
    assert found.do


def test_a_queue_that_nobody_can_serve_says_why() -> None:
    (found,) = alerts([worker()], glance(queue(NVENC, 2), queue(MOVIES, 4)))

    assert found.said == (
        "2 jobs wait and nobody can serve them: "
        "no live worker has the encoder hevc_nvenc and the label gpu=yes and the root TV."
    )
    assert found.link == "/queues#c1"


def test_a_queue_whose_only_worker_rests_says_so() -> None:
    able = worker("big", paused=True, roots=["TV", "Movies"], encoders=["hevc_nvenc"], labels={"gpu": "yes"})

    (found,) = alerts([worker(), able], glance(queue(NVENC, 1)))

    assert found.said == "1 job waits and nobody can serve it: big could, and is paused."


def test_an_empty_queue_needs_nobody() -> None:
    assert alerts([worker()], glance(queue(NVENC, 0))) == []


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        (worker("gone", busy=2, silent=130), ["gone was lost 2 min ago while it ran 2 jobs."]),
        (worker("gone", busy=1, silent=7), ["gone was lost 7 s ago while it ran a job."]),
        (worker("gone", busy=0, silent=130), []),
        (worker("here", busy=2, silent=5), []),
    ],
)
def test_a_worker_that_was_lost_with_jobs_is_named(gone: Worker, expected: list[str]) -> None:
    found = alerts([worker(), gone], glance())

    assert [one.said for one in found] == expected
    assert [one.link for one in found] == ["/workers/gone"] * len(expected)


def test_a_root_that_does_not_answer_is_named() -> None:
    mute = worker(silent_roots=["TV"])

    assert said(*alerts([mute], glance())) == [
        ("bad", "The root TV does not answer on w1: its jobs wait for others.")
    ]
    assert alerts([worker(), worker("gone", silent=99, silent_roots=["TV"])], glance()) == []


@pytest.mark.parametrize(("dead", "start"), [(1, "1 job is dead: it has"), (3, "3 jobs are dead: they have")])
def test_dead_jobs_are_counted(dead: int, start: str) -> None:
    (found,) = alerts([worker()], glance(buried=dead))

    assert found.said == f"{start} lost too many workers."
    assert found.link == "/jobs?state=dead"


@pytest.mark.parametrize(
    ("done", "failed", "dead", "tone"),
    [
        (0, 2, 0, ""),
        (0, 3, 0, "bad"),
        (12, 3, 0, "wait"),
        (13, 3, 0, ""),
        (2, 2, 1, "bad"),
        (3, 3, 0, "wait"),
    ],
)
def test_failures_are_worth_a_word_from_a_share_on(done: int, failed: int, dead: int, tone: str) -> None:
    found = alerts([worker()], glance(done=done, failed=failed, dead=dead))

    assert [one.tone for one in found] == ([tone] if tone else [])


def test_what_is_wrong_with_redis_comes_with_what_mends_it() -> None:
    bad = Verdict("eviction", "bad", "maxmemory-policy allkeys-lru: it loses things", "redis-cli X")
    late = Verdict("persistence", "wait", "snapshots only", "redis-cli Y")

    found = alerts([worker()], glance(buried=1), [], [late, bad])

    assert [one.tone for one in found] == ["bad", "wait", "wait"]
    assert (found[0].said, found[0].do) == (
        "Redis: maxmemory-policy allkeys-lru: it loses things.",
        "redis-cli X",
    )


def test_calls_that_ran_elsewhere_within_an_hour_are_counted() -> None:
    here = [
        Fallback(NOW - 10, "ffmpeg", 2, "no\x1b worker", "c"),
        Fallback(NOW - 60, "ffmpeg", 1, "earlier", "c"),
        Fallback(NOW - 4000, "ffmpeg", 5, "long ago", "c"),
    ]

    (found,) = alerts([worker()], glance(), here)

    assert found.said == "3 calls ran on their own host in the last hour; last reason: no\\x1b worker"


def test_while_redis_is_away_nothing_else_is_said() -> None:
    (found,) = alerts([], glance(buried=3), outage="Redis is away since 12:00.")

    assert found.said == "Redis is away since 12:00."


def test_of_one_kind_a_few_are_told() -> None:
    lost = [worker(f"w{number}", busy=1, silent=60) for number in range(50)]

    assert len(alerts([worker(), *lost], glance())) == 5


def test_what_a_class_needs_is_told_in_words() -> None:
    assert coverage.words(NVENC) == "ffmpeg, roots Movies and TV, encoder hevc_nvenc, label gpu=yes"
    assert coverage.words(requirement("ffprobe", [], {}, [])) == "ffprobe"
    many = requirement("ffmpeg", [f"r{number}" for number in range(9)], {}, [])
    assert coverage.words(many) == "ffmpeg, roots r0, r1, r2, r3, r4 and 4 more"
