"""Templates and static files: where they are, and how a page or a fragment is made of them.

Every answer that is HTML leaves through here, so that none lacks the headers that keep it safe.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_APP = Path(__file__).resolve().parent.parent

# Nothing inline and nothing from elsewhere: text that got past the templates' escaping still cannot run.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# `no-referrer` would have browsers send "Origin: null" with our own forms, which is all that tells them from
# others' over plain HTTP (see `door.is_foreign`).
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


_root = ""  # the path below which browsers reach this process, such as "/ffgrid"
_ADDRESS = re.compile(r"""((?:href|src|action|hx-[a-z:]+)=")(/[^"]*)""")


def mount(root: str) -> None:
    """Says below which path a proxy has put the dashboard, before anything is rendered; "" for the host's own root."""
    global _root
    _root = root


def below(path: str) -> str:
    """A path of ours as browsers reach it."""
    return path if not _root or f"{path}/".startswith(f"{_root}/") else _root + path


def asset_dir(name: str) -> Path:
    """The folder `templates` or `static`: inside the package when installed, beside it in a checkout."""
    installed = _APP / name
    return installed if installed.is_dir() else _APP.parent / name


@cache
def static(name: str) -> str:
    """The address of a static file. It changes with the content, so that no browser keeps an old one."""
    content = (asset_dir("static") / name).read_bytes()
    return f"/static/{name}?v={sha256(content).hexdigest()[:12]}"


def render(template: str, **context: Any) -> str:
    """A template's text."""
    text = _environment.get_template(template).render(context)
    return _ADDRESS.sub(lambda found: found[1] + below(found[2]), text) if _root else text


def page(template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A whole page."""
    return HTMLResponse(render(template, **context), status, headers=HEADERS)


def fragment(text: str, tag: str) -> HTMLResponse:
    """A rendered part of a page for htmx, which names `tag` when it asks again."""
    return HTMLResponse(text, headers={**HEADERS, "HX-PTag": tag})


def empty(status: int, more: Mapping[str, str] | None = None) -> Response:
    """An answer that leaves the page as it is: 304, 401, 503."""
    return Response(status_code=status, headers={**HEADERS, **(more or {})})


def is_htmx(request: Request) -> bool:
    """Whether htmx asks, and not the browser for a page."""
    return request.headers.get("hx-request") == "true"


def said(text: str, tone: str, status: int = 200) -> HTMLResponse:
    """A sentence for the page's line of such (#said), and nothing else."""
    return HTMLResponse(render("_said.html", said=text, tone=tone), status, headers=HEADERS)


def redirect(path: str) -> Response:
    """Sends the browser to a path of ours, with GET."""
    return Response(status_code=303, headers={**HEADERS, "Location": below(path)})


# Pages and static files go out compressed, streams of events as they are. Nothing in a page is secret and next to what
# somebody else may have put there, so that its length tells nothing (BREACH).
SMALL = Middleware(GZipMiddleware, minimum_size=800, compresslevel=6)

_environment = Environment(
    loader=FileSystemLoader(asset_dir("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    auto_reload=False,  # a process serves the templates that it was started with
)
_environment.globals["static"] = static
