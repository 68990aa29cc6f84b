"""Whether what a running job prints comes at once: a proxy that buffers keeps it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http.client import HTTPException
from time import monotonic, sleep
from typing import Any

from app.cli.checks.finding import BAD, OK, SKIPPED, Finding
from app.cli.checks.scene import LOOK_SECONDS, Scene
from app.cli.errors import Failure
from app.state.lifecycle import FINAL, QUEUED
from app.wire.messages import job_path

SOON_SECONDS = 2.0
WAIT_SECONDS = 10.0  # for a job that prints something
JOB_SECONDS = 8  # it prints its first line at once, and goes on for longer than that line may take
TALKS = ["-hide_banner", "-re", "-f", "lavfi", "-i", f"anullsrc=d={JOB_SECONDS}", "-f", "null", "-"]
MEND = "in the proxy before it: no buffering of answers (nginx: proxy_buffering off; see deploy/nginx.conf)"


def stream(scene: Scene, url: str) -> Sequence[Finding]:
    """Follows the log of a job through this address, once there is something in it."""
    if not scene.workers:
        return [Finding("stream", SKIPPED, f"{url}: no live worker runs a job whose log could be followed")]
    client = scene.client(url)
    job_id = scene.begin(client, TALKS)
    try:
        until = min(monotonic() + WAIT_SECONDS * scene.patience, scene.until - 4)
        while next(iter(client.lines(job_path(job_id, "log"))))["kind"] == "end":
            job = client.get(job_path(job_id))
            if job["state"] in FINAL or monotonic() > until:
                return [Finding("stream", SKIPPED, f"{url}: no log to follow: {_why(job)}")]
            sleep(LOOK_SECONDS)
        return [_first_line(scene, url, job_id)]
    finally:
        scene.mess.take_away(job_id)


def _why(job: Mapping[str, Any]) -> str:
    if job["state"] == QUEUED:
        return "no worker took a job in time, all slots are full"
    return f"the job is {job['state']} and has printed nothing"


def _first_line(scene: Scene, url: str, job_id: str) -> Finding:
    began = monotonic()
    try:
        next(iter(scene.client(url).lines(job_path(job_id, "log") + "?follow=1")))
    except (OSError, HTTPException, StopIteration, Failure) as error:
        return Finding("stream", BAD, f"{url}: the log of a running job cannot be followed: {error}", MEND)
    took = monotonic() - began
    if took <= SOON_SECONDS:
        return Finding("stream", OK, f"{url}: what a running job has printed came after {took:.1f} s")
    return Finding("stream", BAD, f"{url}: what a running job has printed came only after {took:.1f} s", MEND)
