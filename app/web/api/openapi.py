"""`/openapi.json`: the API's description, made of what checks the requests and of the handlers' own words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from inspect import getdoc
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from app.web import filters, schema
from app.web.api import answers
from app.wire.messages import FLEET_HEADER, LANES

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
    "scaling": {
        "lane": f"only jobs of this lane: {', '.join(LANES)}",
        "class": "only jobs of this class, as GET /v1/queues names them",
    },
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
# Who may: these need nothing, those take a token or a signature, all others a signature.
OPEN = ("livez", "readyz", "openapi")
NUMBERS = ("metrics", "summary", "scaling")
SCHEMES = {
    "signature": {"type": "apiKey", "in": "header", "name": "Signature", "description": "see the beginning"},
    "token": {"type": "http", "scheme": "bearer", "description": "FFGRID_METRICS_TOKEN, if one is set"},
}
SIGNING = (
    "Every request is signed: RFC 9421 with the components @method, @path, @query and content-digest, "
    'the parameters created, nonce, keyid, alg="hmac-sha256" and tag="ffgrid" in this order, '
    "and an RFC 9530 Content-Digest (sha-256), also of an empty body. X-Request-ID is taken over if it is sound, and "
    "sent back with every answer. GET /v1/jobs/{job_id}/attach upgrades to a WebSocket, which is not described here."
)


def describe(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The document for these routes (OpenAPI 3.1)."""
    forms = [*BODIES.values(), *answers.TYPES.values()]
    (described, components) = msgspec.json.schema_components(forms, ref_template=REFERENCE)
    bodies = dict(zip(BODIES, described, strict=False))
    replies = dict(zip(answers.TYPES, described[len(BODIES) :], strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if isinstance(route, Route):
            methods = sorted(set(route.methods or ()) - {"HEAD"})
            told = _operation(route, bodies.get(route.name), replies.get(route.name))
            paths.setdefault(route.path, {}).update({method.lower(): told for method in methods})
    return {
        "openapi": "3.1.0",
        "info": {"title": "ffgrid", "version": version("ffgrid"), "description": SIGNING},
        "paths": paths,
        "components": {"schemas": {**components, "Problem": PROBLEM_SCHEMA}, "securitySchemes": SCHEMES},
    }


def endpoint(routes: Sequence[BaseRoute]) -> Route:
    """The route that serves it, and is in it."""

    async def openapi(request: Request) -> Response:
        """This description."""
        return JSONResponse(document)

    route = Route("/openapi.json", openapi)
    document = describe([*routes, route])
    return route


def _operation(route: Route, body: dict[str, Any] | None, reply: dict[str, Any] | None) -> dict[str, Any]:
    words = getdoc(route.endpoint) or ""
    operation: dict[str, Any] = {
        "operationId": route.path.strip("/") if route.name == "livez" else route.name,  # which has two paths
        "summary": re.split(r"\.\s", words)[0].rstrip("."),
        "description": words,
        "parameters": [*_in_path(route), *_in_query(route)],
        "responses": {"2XX": _done(route, reply), "default": PROBLEM},
        "security": _security(route.name),
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _done(route: Route, reply: dict[str, Any] | None) -> dict[str, Any]:
    kind = answers.TEXTS.get(route.name, "application/json")
    done = {"description": "Done", "content": {kind: {"schema": reply} if reply else {}}}
    return {**done, "headers": HEADERS[route.name]} if route.name in HEADERS else done


def _security(name: str) -> list[dict[str, list[str]]]:
    if name in OPEN:
        return []
    return [{"signature": []}, {"token": []}, {}] if name in NUMBERS else [{"signature": []}]


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
