"""What real processes log: where a request has gone can be read in the lines of all of them."""

from __future__ import annotations

import http.client
import json
import secrets
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from app.wire import keyfile, signing
from app.wire.messages import JOBS
from tests.farm import Farm, until


def lines(log: Path) -> list[dict[str, Any]]:
    """Those that are logged; the invitation is printed, and is none."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def submit(farm: Farm, request_id: str) -> str:
    """The id of a job that a request of this id has made."""
    key = keyfile.parse(farm.key_file.read_text())
    command = ["-f", "lavfi", "-i", "color=d=0.1", "-f", "null", "-"]
    body = json.dumps({"key": secrets.token_hex(8), "binary": "ffmpeg", "args": command}).encode()
    headers = signing.sign(
        key.id, key.secret, "POST", JOBS, body, created=int(time.time()), nonce=secrets.token_hex(16)
    )
    with closing(http.client.HTTPConnection("127.0.0.1", farm.webs[0].port)) as connection:
        connection.request("POST", JOBS, body, {**dict(headers), "X-Request-ID": request_id})
        answer = connection.getresponse()
        made = json.loads(answer.read())
    assert (answer.status, answer.headers["X-Request-ID"]) == (201, request_id), made
    return str(made["id"])


def test_a_request_is_followed_from_the_coordinator_to_the_worker(tmp_path: Path) -> None:
    with Farm.start(tmp_path, webs=1) as farm:
        job_id = submit(farm, "trace/1")
        until(lambda: farm.ask(f"{JOBS}/{job_id}")["state"] == "done")
        web, worker = farm.webs[0], farm.workers[0]
        until(lambda: len([line for line in lines(worker.log) if "job_id" in line]) >= 2)

        (asked,) = [line for line in lines(web.log) if line.get("request_id") == "trace/1"]
        told = [line for line in lines(worker.log) if line.get("job_id") == job_id]

    assert (asked["method"], asked["path"], asked["status"]) == ("POST", JOBS, 201)
    assert {(line["request_id"], line["worker"]) for line in told} == {("trace/1", "w1")}
    assert [line["msg"] for line in told] == [f"job {job_id}: attempt 1 begins", f"job {job_id}: succeed"]
    assert all(line["worker"] == "w1" for line in lines(worker.log))


def test_text_is_for_who_asks_for_it_and_so_is_silence(tmp_path: Path) -> None:
    settings = {"FFGRID_LOG_FORMAT": "text", "FFGRID_LOG_LEVEL": "warning"}
    with Farm.start(tmp_path, webs=1, settings=settings) as farm:
        farm.ask("/v1/workers")

        logged = [process.log.read_text() for process in (*farm.webs, *farm.workers)]

    assert not any("{" in text or "ffgrid.access" in text or "slots" in text for text in logged)
