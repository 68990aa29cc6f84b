"""The page of what this is: versions, licences, this process, and how Redis is set up."""

from __future__ import annotations

import os
import platform
import re
import socket
import time
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.web import pages
from app.web.dashboard import door, live, present
from app.web.dashboard.present import Badge
from app.web.parts import store

BEGAN = time.time()  # by this host's clock; this process answers from about then on
SIGNS = {
    "good": Badge("well", "✓", "good"),
    "wait": Badge("to know", "○", "wait"),
    "bad": Badge("to mend", "✕", "bad"),
}


@dataclass(frozen=True)
class Part:
    """Something that is in use: where it comes from, "" for what is only needed and not shipped along."""

    name: str
    version: str
    licence: str
    source: str = ""


@door.reachable
async def about(request: Request) -> Response:
    """The page."""
    server = store(request).server
    found = await server.verdicts()
    return pages.page(
        "about.html",
        user=door.user(request),
        live=await live.show(request),
        versions=[
            ("ffgrid", version("ffgrid")),
            ("Python", platform.python_version()),
            ("Redis", f"{await server.version()} at {store(request).address}"),
        ],
        process=f"{os.getpid()} on {socket.gethostname()}",
        began=present.moment(BEGAN, time.time()),
        verdicts=[(SIGNS[one.tone], one) for one in found],
        vendored=vendored(),
        needed=needed(),
    )


@cache
def vendored() -> list[Part]:
    """What is shipped with ffgrid and not ours."""
    listed = tomllib.loads((pages.asset_dir("static") / "vendor" / "VENDOR.toml").read_text())
    return [
        Part(one["name"], one["version"], one["licence"], ", ".join(one["files"]))
        for one in listed["package"]
    ]


@cache
def needed() -> list[Part]:
    """The packages that a coordinator needs, as they are installed here."""
    named = [
        re.match(r"[\w.-]+", line)
        for line in requires("ffgrid") or ()
        if re.search(r"extra == .(web|worker)", line)
    ]
    names = sorted({found[0] for found in named if found} - {"ffgrid"})
    return [part for name in names if (part := _installed(name))]


def _installed(name: str) -> Part | None:
    try:
        said = metadata(name)
    except PackageNotFoundError:
        return None
    known = [
        line.rpartition(":: ")[2]
        for line in said.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    licence = ", ".join(said.get_all("License-Expression") or known or said.get_all("License") or ())
    return Part(name, version(name), licence.partition("\n")[0][:60])


ROUTES: list[BaseRoute] = [Route("/about", about)]
