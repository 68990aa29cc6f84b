"""The description says what the code does, because it is made of it."""

from __future__ import annotations

import msgspec
import pytest
from starlette.routing import Route

from app.web import openapi, schema
from app.web.main import API

ROUTES = [route for route in API if isinstance(route, Route)]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_is_described_in_the_handlers_own_words(route: Route) -> None:
    described = openapi.describe(API)["paths"][route.path]

    for method in set(route.methods or ()) - {"HEAD"}:
        assert described[method.lower()]["description"] == (route.endpoint.__doc__ or "").strip() != ""


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
