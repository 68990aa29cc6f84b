"""`ffgrid cancel` and `retry`: jobs that are named, or all that match; those the coordinators do in the background."""

from __future__ import annotations

import json
import secrets
import sys
from argparse import Namespace
from time import sleep
from typing import Any

from app.cli import filters
from app.cli.client import Client, Patience
from app.cli.errors import FAILED, TRY_AGAIN, UNREACHABLE, USAGE, Failure
from app.cli.jobs import client_of, listed, resolve, warn
from app.cli.terminal import CLEAR, agreed, columns, is_live, put, say
from app.wire.messages import BULK, job_path

LOOK_SECONDS = 0.3
DID = {"cancel": "cancelled", "retry": "run again"}


def cancel(arguments: Namespace) -> int:
    """Ends jobs."""
    return _act(arguments, "cancel")


def retry(arguments: Namespace) -> int:
    """Runs jobs that have ended again, as new jobs."""
    return _act(arguments, "retry")


def _act(arguments: Namespace, action: str) -> int:
    which = filters.words(arguments)
    if bool(arguments.jobs) == bool(which):
        raise Failure(f"which jobs? name some, or say which with a filter: ffgrid {action} --help", USAGE)
    client = client_of(arguments)
    if which:
        return _all_that_match(arguments, client, action, which)
    if arguments.dry_run:
        ids = [resolve(client, name) for name in arguments.jobs]
        return _dry(arguments, client, _ask(client, action, ids=ids, dry_run=True))
    return _named(arguments, client, action)


def _named(arguments: Namespace, client: Client, action: str) -> int:
    """One after the other. Goes on with the next where one cannot be."""
    answers, status = [], 0
    for name in arguments.jobs:
        try:
            body = {"key": secrets.token_hex(16)} if action == "retry" else None
            answers.append(client.post(job_path(resolve(client, name), action), body))
        except Failure as failure:
            if failure.status in (UNREACHABLE, TRY_AGAIN):
                raise
            say(str(failure))
            status = status or failure.status
            continue
        warn(answers[-1])
        if not arguments.json:
            print(answers[-1]["id"], *([answers[-1]["state"]] if action == "cancel" else []), flush=True)
    if arguments.json:
        print(json.dumps({"jobs": answers}))
    return status


def _all_that_match(arguments: Namespace, client: Client, action: str, which: dict[str, Any]) -> int:
    if not arguments.yes or arguments.dry_run:
        found = _ask(client, action, filter=which, dry_run=True)
        if arguments.dry_run:
            return _dry(arguments, client, found)
        if arguments.json or not sys.stdin.isatty():
            raise Failure(f"{_count(found)}: say --yes to go on, or --dry-run to see them", USAGE)
        if not agreed(f"{action}: {_count(found)}. Go on?"):
            return 0
    operation = _ask(client, action, filter=which)
    return _finish(arguments, client, operation)


def _ask(client: Client, action: str, **what: Any) -> Any:
    return client.post(BULK, {"key": secrets.token_hex(16), "action": action, **what})


def _dry(arguments: Namespace, client: Client, found: dict[str, Any]) -> int:
    """Shows what would be done."""
    if arguments.json:
        print(json.dumps(found))
        return 0
    if found["jobs"]:
        put(listed(found["jobs"], client.now, columns(sys.stdout)))
    more = found["total"] - len(found["jobs"])
    say(f"{found['action']}: {_count(found)}" + (f", {more} of them not shown" if more > 0 else ""))
    return 0


def _finish(arguments: Namespace, client: Client, operation: dict[str, Any]) -> int:
    """Stays until the operation has ended; it does not end with us."""
    patience, live = Patience(say), is_live(sys.stderr) and not arguments.json
    while operation["state"] == "running":
        if live:
            print(f"\r{_progress(operation)}{CLEAR}", end="", file=sys.stderr, flush=True)
        sleep(LOOK_SECONDS)
        operation = client.get(f"{BULK}/{operation['id']}", patience)
    if live:
        print(f"\r{CLEAR}", end="", file=sys.stderr, flush=True)
    print(json.dumps(operation) if arguments.json else _progress(operation))
    if operation["note"]:
        say(operation["note"])
    return FAILED if operation["failed"] or operation["state"] != "done" else 0


def _progress(operation: dict[str, Any]) -> str:
    counts = [(operation["done"], DID[operation["action"]]), (operation["skipped"], "left alone")]
    counts += [(operation["failed"], "failed")] if operation["failed"] else []
    told = ", ".join(f"{count} {word}" for count, word in counts)
    return told if operation["state"] == "done" else f"{told}, {operation['state']}"


def _count(found: dict[str, Any]) -> str:
    jobs = "1 job matches" if found["total"] == 1 else f"{found['total']} jobs match"
    return jobs if found["exact"] else f"at least {jobs}"
