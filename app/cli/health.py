"""`ffgrid healthcheck`: for Docker, and for whoever else knows nothing but an exit status. Needs no key."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from contextlib import closing
from http.client import HTTPException

from app.cli.errors import FAILED, explain
from app.cli.exchange import check, connection, why
from app.settings import BadSetting, Settings

READY = "/readyz"


def run(arguments: Namespace) -> int:
    """0 when every coordinator that is named is ready, 1 when one is not, whatever the reason."""
    try:
        urls = Settings.load(os.environ, vars(arguments)).urls
    except BadSetting as error:
        print(f"not ready: {explain(error)[1]}")
        return FAILED
    troubles = {url: trouble(url) for url in urls}
    if arguments.json:
        rows = [{"url": url, "ready": not text, "reason": text} for url, text in troubles.items()]
        print(json.dumps({"coordinators": rows}))
    else:
        for url, text in troubles.items():
            print(f"{url}: {f'not ready: {text}' if text else 'ready'}")
    return FAILED if any(troubles.values()) else 0


def trouble(url: str) -> str:
    """Why the coordinator there is not ready; "" when it is."""
    line, prefix = connection(check(url))
    with closing(line):
        try:
            line.request("GET", prefix + READY)
            answer = line.getresponse()
            text = answer.read().decode("utf-8", "replace").strip()
        except (OSError, HTTPException) as error:
            return why(error)
    return "" if answer.status == 200 else _sentence(text) or f"it answers {answer.status}"


def _sentence(text: str) -> str:
    try:
        said = json.loads(text)
        return str(said.get("detail") or said.get("title") or "")
    except (ValueError, AttributeError):
        return ""
