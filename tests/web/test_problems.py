"""Errors as problem documents: each has a status, a name for programs and a sentence for people."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    MaxConnectionsError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)
from starlette.exceptions import HTTPException

from app.state import job, jobs, leases, operations, workers
from app.state.clients import Master
from app.state.job import JobError, LeaseLost, NoSuchJob
from app.state.jobs import KeyReused, NobodyQualifies
from app.state.store import Store
from app.state.workers import NoSuchWorker
from app.web.main import create_app
from app.web.problems import JOB_ERRORS, Problem, Unauthorized, from_error, handle
from tests.web.test_dashboard import ask

MODULES = (job, jobs, leases, operations, workers)


def document(error: Exception) -> tuple[int, dict[str, Any], dict[str, str]]:
    """The status, the document and the headers of the answer to an error."""
    response = from_error(error).response()
    return response.status_code, json.loads(bytes(response.body)), dict(response.headers)


def test_a_problem_is_what_the_rfc_says() -> None:
    status, body, headers = document(Problem(422, "not-so-good", "a sentence", pointer="$.args"))

    assert status == 422
    assert headers["content-type"] == "application/problem+json"
    assert body == {
        "type": "urn:ffgrid:not-so-good",
        "title": "Not so good",
        "status": 422,
        "detail": "a sentence",
        "pointer": "$.args",
    }


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (NoSuchJob("there is no job X"), 404, "no-such-job"),
        (NoSuchWorker("there is no worker X"), 404, "no-such-worker"),
        (KeyReused("the key was used"), 409, "key-reused"),
        (NobodyQualifies("no live worker has the root X"), 503, "no-worker"),
    ],
    ids=lambda value: value.__class__.__name__ if isinstance(value, Exception) else str(value),
)
def test_errors_about_jobs_keep_their_sentence(error: JobError, status: int, name: str) -> None:
    answered, body, _ = document(error)

    assert (answered, body["type"]) == (status, f"urn:ffgrid:{name}")
    assert body["detail"] == str(error)


def test_every_error_that_a_coordinator_can_meet_is_in_the_table() -> None:
    known = {
        error
        for module in MODULES
        for error in vars(module).values()
        if isinstance(error, type) and issubclass(error, JobError)
    }

    assert known - {JobError, LeaseLost} == set(JOB_ERRORS)  # leases are the workers'


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("refused"),
        TimeoutError("5 s"),
        BusyLoadingError("loading"),
        ReadOnlyError("a replica"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_queue_that_is_away_can_be_tried_again(error: Exception) -> None:
    status, body, headers = document(error)

    assert (status, body["type"]) == (503, "urn:ffgrid:queue-unreachable")
    assert int(headers["retry-after"]) > 0
    assert str(error) not in body["detail"]  # an address is nobody's business


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        ResponseError("OOM command not allowed when used memory > 'maxmemory'."),
        ResponseError("ERR Error running script: OOM command not allowed"),
    ],
    ids=["by redis-py", "plain", "in a script"],
)
def test_a_full_queue_can_be_tried_again(error: Exception) -> None:
    status, body, headers = document(error)

    assert (status, body["type"]) == (503, "urn:ffgrid:queue-full")
    assert int(headers["retry-after"]) > 0


async def test_a_full_server_says_what_we_take_for_full(store: Store) -> None:
    await store.redis.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(Exception, match="used memory") as caught:
            await store.redis.set("x", b"x" * 2_000_000)
    finally:
        await store.redis.config_set("maxmemory", "0")

    assert from_error(caught.value).name == "queue-full"


@pytest.mark.parametrize(
    ("status", "name"), [(404, "not-found"), (405, "method-not-allowed"), (418, "http-error")]
)
def test_errors_of_the_framework_are_problems_too(status: int, name: str) -> None:
    answered, body, headers = document(HTTPException(status, headers={"Allow": "GET"}))

    assert (answered, body["type"]) == (status, f"urn:ffgrid:{name}")
    assert headers["allow"] == "GET"
    assert body["detail"]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("secret=/etc/x"),
        KeyError("secret"),
        ResponseError("ERR secret"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_nobody_foresaw_tells_nothing_but_is_logged(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "ffgrid.web"):
        status, body, _ = document(error)

    assert (status, body["type"]) == (500, "urn:ffgrid:internal-error")
    assert "secret" not in json.dumps(body)
    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == [error]


def test_too_many_connections_of_our_own_can_be_tried_again() -> None:
    assert document(MaxConnectionsError("too many"))[0] == 503


def test_all_failures_of_authentication_are_one() -> None:
    assert document(Unauthorized()) == document(Unauthorized())
    assert document(Unauthorized())[0] == 401


def test_a_problem_is_itself() -> None:
    problem = Problem(413, "too-large", "too large")

    assert from_error(problem) is problem


async def test_the_frameworks_handler_gives_the_same_answer() -> None:
    response = await handle(None, NoSuchJob("there is no job X"))  # type: ignore[arg-type]

    assert response.body == from_error(NoSuchJob("there is no job X")).response().body


async def test_a_browser_that_has_lost_its_way_gets_a_page(store: Store, redis_url: str) -> None:
    app = create_app(redis_url, Master(bytes(32)))
    page = await ask(app, "/nowhere", [("accept", "text/html,*/*")])
    program = await ask(app, "/nowhere", [("accept", "*/*")])
    await app.state.store.close()

    assert (page.status, program.status) == (404, 404)
    assert "<h1>Not found</h1>" in page.text
    assert program.headers["content-type"] == "application/problem+json"
