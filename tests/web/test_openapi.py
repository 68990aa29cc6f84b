"""The description says what the code does, because it is made of it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from starlette.routing import Route

from app.web import schema
from app.web.api import answers, openapi
from app.web.main import API, PAGES, _routes
from app.web.schema import Fallback, Fallbacks
from app.wire.messages import BULK, FALLBACKS, FLEET, JOBS, QUEUES, SCALING, SUMMARY, WORKERS, job_path
from tests.web.conftest import request, say, submission

if TYPE_CHECKING:
    from tests.web.conftest import Answer, Site

ROUTES = [route for route in API if isinstance(route, Route)]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_is_described_in_the_handlers_own_words(route: Route) -> None:
    described = openapi.describe(API)["paths"][route.path]

    for method in set(route.methods or ()) - {"HEAD"}:
        assert described[method.lower()]["description"] == inspect.getdoc(route.endpoint) != ""


def test_the_submission_is_described_field_by_field() -> None:
    described = openapi.describe(API)["components"]["schemas"]["Submission"]

    assert set(described["properties"]) == {field.name for field in msgspec.structs.fields(schema.Submission)}
    assert set(described["required"]) == {"key", "binary", "args"}
    assert described["additionalProperties"] is False


def test_every_reference_leads_somewhere() -> None:
    document = openapi.describe(API)
    text = msgspec.json.encode(document).decode()

    named = {part.partition('"')[0] for part in text.split('"$ref":"#/components/schemas/')[1:]}

    assert named <= set(document["components"]["schemas"])


def test_the_header_that_names_the_fleet_is_described_where_it_is_sent() -> None:
    paths = openapi.describe(API)["paths"]

    for path, method in (("/v1/jobs", "post"), ("/v1/fleet", "get")):
        assert "FFGrid-Fleet" in paths[path][method]["responses"]["2XX"]["headers"]
    assert [one["name"] for one in paths["/v1/fleet"]["get"]["parameters"]] == ["label"]
    assert "headers" not in paths["/v1/workers"]["get"]["responses"]["2XX"]


def served() -> list[Route]:
    """The routes of the whole application that are no pages of the dashboard."""
    pages = {route.path for page in PAGES for route in page.ROUTES}
    return [route for route in _routes() if isinstance(route, Route) and route.path not in pages]


async def document() -> dict[str, Any]:
    """The description as it is served."""
    (route,) = [route for route in served() if route.path == "/openapi.json"]
    answer: dict[str, Any] = msgspec.json.decode((await route.endpoint(None)).body)
    return answer


async def test_what_is_served_is_described_and_nothing_else() -> None:
    described = {
        (path, method) for path, operations in (await document())["paths"].items() for method in operations
    }

    assert described == {
        (route.path, method.lower()) for route in served() for method in set(route.methods or ()) - {"HEAD"}
    }


async def test_each_operation_has_a_name_of_its_own_and_says_what_it_answers() -> None:
    operations = [one for path in (await document())["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]

    assert len(set(names)) == len(names)
    for one in operations:
        assert "\n" not in one["summary"]
        (content,) = one["responses"]["2XX"]["content"].items()
        name = "livez" if one["operationId"] == "healthz" else one["operationId"]
        assert content[0] == answers.TEXTS.get(name, "application/json"), name
        assert bool(content[1]) == (name in answers.TYPES)


async def test_who_may_is_described(site: Site) -> None:
    for path, operations in (await document())["paths"].items():
        for method, one in operations.items():
            target = path.format(job_id="0" * 26, worker_id="w", operation_id="o")
            answer = say(site.port(), request(method.upper(), target, []))

            assert (answer.status == 401) == (one["security"] == [{"signature": []}]), (method, path)


async def test_answers_are_as_they_are_described(site: Site) -> None:
    """Every operation is called, and has no field that is not described."""
    for name, answer in (await every_answer(site)).items():
        assert 200 <= answer.status < 300, (name, answer)
        told = msgspec.convert(answer.json, answers.TYPES[name])
        fields = {field.encode_name for field in msgspec.structs.fields(type(told))}
        assert set(answer.json) <= fields, name


async def every_answer(site: Site) -> dict[str, Answer]:
    """An answer of each operation that answers with JSON, by its name."""
    worker = await site.hire("w1")
    ended, running, queued = site.submit(), site.submit(), site.submit(lane="low")
    await site.end(ended, "fail", 1)
    lease = await site.take(worker, running)
    await worker.progress(lease, {"frame": 1, "out_time": 0.5})
    key = {"key": "k" * 16}
    calls = Fallbacks([Fallback(1.0, "ffmpeg", "no worker")])
    found = {
        "submit": site.ask("POST", JOBS, submission()),
        "retry": site.ask("POST", job_path(ended, "retry"), key),
        "listing": site.ask("GET", f"{JOBS}?limit=3"),
        "show": site.ask("GET", job_path(ended)),
        "pause": site.ask("POST", job_path(running, "pause")),
        "resume": site.ask("POST", job_path(running, "resume")),
        "cancel": site.ask("POST", job_path(queued, "cancel")),
        "bulk": site.ask("POST", BULK, {"key": "b" * 16, "action": "cancel", "filter": {"lane": "low"}}),
        "bulks": site.ask("GET", BULK),
        "fleet": site.ask("GET", FLEET),
        "summary": site.ask("GET", SUMMARY),
        "scaling": site.ask("GET", SCALING),
        "report": site.ask("POST", FALLBACKS, msgspec.to_builtins(calls)),
        "fallbacks": site.ask("GET", FALLBACKS, key=site.admin),
        "queues": site.ask("GET", QUEUES),
        "workers": site.ask("GET", WORKERS),
        "pause_worker": site.ask("POST", f"{WORKERS}/w1/pause", key=site.admin),
        "resume_worker": site.ask("POST", f"{WORKERS}/w1/resume", key=site.admin),
        "drain": site.ask("POST", f"{WORKERS}/w1/drain", key=site.admin),
        "readyz": say(site.port(), request("GET", "/readyz", [])),
    }
    begun = found["bulk"].json["id"]
    found["bulk_show"] = site.ask("GET", f"{BULK}/{begun}")
    assert set(answers.TYPES) - set(found) == {"bulk_cancel"}  # it has ended long before
    return found
