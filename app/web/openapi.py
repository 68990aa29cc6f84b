"""`/openapi.json`: the API's description, made of what checks the requests and of the handlers' own words."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from app.web import filters, schema
from app.wire.messages import FLEET_HEADER

BODIES = {"submit": schema.Submission, "retry": schema.Retry, "report": schema.Fallbacks, "bulk": schema.Bulk}
QUERIES = {
    "listing": {
        **filters.QUERIES,
        "limit": "1 to 200, 50 if not said",
        "before": "the `next` of the page of newer jobs",
        "after": "the `newer` of the page of older jobs",
    },
    "fleet": {"label": "a label that the workers must carry, `name=value`; may be repeated"},
    "cancel": {"if": "queued: only while no worker has taken it"},
    "fallbacks": {"limit": "1 to 1000"},
    "log": {"after": "the id of the last entry that is known", "follow": "1: until the job ends"},
}
FLEET = {
    FLEET_HEADER: {
        "description": "The id of the workers that serve such jobs; it changes when what they would answer may",
        "schema": {"type": "string"},
    }
}
HEADERS = {"submit": FLEET, "retry": FLEET, "fleet": FLEET}
REFERENCE = "#/components/schemas/{name}"
PROBLEM = {
    "description": "A problem (RFC 9457): `detail` is a sentence for people, `type` a name for programs",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
SIGNING = (
    "Every request is signed: RFC 9421 with the components @method, @path, @query and content-digest, "
    'the parameters created, nonce, keyid, alg="hmac-sha256" and tag="ffgrid" in this order, '
    "and an RFC 9530 Content-Digest (sha-256), also of an empty body."
)


def describe(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The document for these routes (OpenAPI 3.1)."""
    (bodies, components) = msgspec.json.schema_components(BODIES.values(), ref_template=REFERENCE)
    schemas = dict(zip(BODIES, bodies, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if isinstance(route, Route):
            methods = sorted(set(route.methods or ()) - {"HEAD"})
            operations = {method.lower(): _operation(route, schemas.get(route.name)) for method in methods}
            paths.setdefault(route.path, {}).update(operations)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ffgrid", "version": version("ffgrid"), "description": SIGNING},
        "paths": paths,
        "components": {"schemas": {**components, "Problem": PROBLEM_SCHEMA}},
    }


def endpoint(routes: Sequence[BaseRoute]) -> Route:
    """The route that serves it."""
    document = describe(routes)

    async def openapi(request: Request) -> Response:
        return JSONResponse(document)

    return Route("/openapi.json", openapi)


def _operation(route: Route, body: dict[str, Any] | None) -> dict[str, Any]:
    words = (route.endpoint.__doc__ or "").strip()
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": words.partition(". ")[0].rstrip("."),
        "description": words,
        "parameters": [*_in_path(route), *_in_query(route)],
        "responses": {"2XX": _done(route), "default": PROBLEM},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _done(route: Route) -> dict[str, Any]:
    headers = HEADERS.get(route.name)
    return {"description": "Done", **({"headers": headers} if headers else {})}


def _in_path(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.param_convertors
    ]


def _in_query(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": words, "schema": {"type": "string"}}
        for name, words in QUERIES.get(route.name, {}).items()
    ]
