"""What is to be run, made ready to be stored: for the API and for the dashboard alike.

prepare   what somebody has sent         again   the command of a job that has ended
submit    stores it
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from app import logs
from app.state.job import Job
from app.state.jobs import Jobs, Submission, Submitted
from app.state.requirements import requirement
from app.web import schema
from app.web.problems import Problem
from app.wire import command, placing, roots
from app.wire.messages import STALL_SECONDS


def prepare(wanted: schema.Submission, owner: str) -> Submission:
    """A checked submission, ready to be stored. Raises Problem 422."""
    arguments = [schema.folded(argument, f"args[{index}]") for index, argument in enumerate(wanted.args)]
    spec = {
        "binary": wanted.binary,
        "args": arguments,
        "cwd": None if wanted.cwd is None else schema.folded(wanted.cwd, "cwd"),
        "view": {name: schema.folded(path, f"view.{name}") for name, path in wanted.view.items()},
        "labels": wanted.labels,
        "lane": wanted.lane,
        "nice": wanted.nice,
        "env": schema.environment(wanted.env),
        "attach": wanted.attach,
        "in_place": wanted.in_place,
        "max_attempts": wanted.max_attempts,
        "retries": wanted.retries,
        "retry_delay": wanted.retry_delay,
        "max_seconds": wanted.max_seconds,
        "stall_seconds": _stall_seconds(wanted),
        **schema.given(wanted, ("stdin", "umask", "user", "redo")),
    }
    if wanted.attach and wanted.retries:
        raise Problem(422, "invalid", "retries: an attached job runs once, its caller sees how that ends")
    return stored(wanted.key, spec, owner, wanted.require_worker)


async def again(all_jobs: Jobs, old: Job, key: str, owner: str) -> Submission:
    """The command of a job that has ended, as a new job that names the old one. Raises Problem 409, BadSeal."""
    if not old.ended:
        raise Problem(
            409, "not-ended", f"job {old.id} is {old.state}: only a job that has ended can be run again"
        )
    wanted = {**await all_jobs.sealed_spec(old.id), "attach": False, "retry_of": old.id, "lane": old.lane}
    return stored(key, wanted, owner)


async def submit(all_jobs: Jobs, submission: Submission) -> Submitted:
    """Makes the job; an old one learns which has run its command again. Raises KeyReused, NobodyQualifies."""
    made = await all_jobs.submit(submission)
    if old := submission.spec.get("retry_of"):
        await all_jobs.note_again(old, made.id)
    return made


def stored(key: str, spec: dict[str, Any], owner: str, require_worker: bool = False) -> Submission:
    """A specification, ready to be stored: what it needs, and whether it may run at all. Raises Problem 422."""
    if roots.names(spec["view"].values()):
        raise Problem(
            422, "invalid", "view: a path names a root, expected the directory on the client's host"
        )
    if spec["cwd"] is not None and placing.is_outside(spec["cwd"], None):
        raise Problem(422, "outside-roots", "cwd: the directory lies outside every root")
    named = roots.names([*spec["args"], spec["cwd"] or ""])
    plain = [roots.unfold(argument, {name: f"/{name}" for name in named}) for argument in spec["args"]]
    schema.check_sizes(plain)
    read = command.read(spec["binary"], plain)
    outside = placing.strays(read, spec["args"], spec["cwd"])
    if outside:
        raise Problem(
            422, "outside-roots", f"args[{outside[0]}]: {plain[outside[0]]!r} lies outside every root"
        )
    encoders = [name for name in read.encoders if command.build_dependent(name)]
    return Submission(
        key=key,
        digest=sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest(),
        owner=owner,
        spec=spec,
        needs=requirement(spec["binary"], named, spec["labels"], encoders),
        lane=spec["lane"],
        redo=_redo(spec, command.kind(read)),
        attach=spec["attach"],
        max_attempts=spec["max_attempts"],
        retries=spec.get("retries", 0),
        retry_delay=spec.get("retry_delay", 0),
        require_worker=require_worker,
        request=logs.known("request_id"),
    )


def _redo(spec: dict[str, Any], kind: str) -> str:
    """When another worker may run it, if nothing is said: at once what leaves nothing, or files under its own names."""
    may_meet = kind == "stream" or (kind == "atomic" and spec["in_place"])
    return spec.get("redo") or ("fenced" if may_meet else "suspected")


def _stall_seconds(wanted: schema.Submission) -> float:
    if wanted.stall_seconds is None:
        return 0 if wanted.attach else STALL_SECONDS
    return wanted.stall_seconds
