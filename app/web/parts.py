"""What requests are answered of: a function for each part of this application, and for what a path names."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.requests import HTTPConnection

from app.state.jobs import Jobs
from app.state.sessions import Sessions
from app.state.store import Store
from app.state.users import Users
from app.web.bulkwork import BulkWork
from app.web.census import Census


def store(request: HTTPConnection) -> Store:
    """Everything that is kept in Redis."""
    found: Store = request.app.state.store
    return found


def jobs(request: HTTPConnection) -> Jobs:
    """The jobs."""
    found: Jobs = request.app.state.jobs
    return found


def users(request: HTTPConnection) -> Users:
    """Who may use the dashboard."""
    found: Users = request.app.state.users
    return found


def sessions(request: HTTPConnection) -> Sessions:
    """Who of them is signed in."""
    found: Sessions = request.app.state.sessions
    return found


def bulkwork(request: HTTPConnection) -> BulkWork:
    """This process' part in operations on many jobs."""
    found: BulkWork = request.app.state.bulkwork
    return found


def census(request: HTTPConnection) -> Census:
    """What this process knows of the live workers."""
    found: Census = request.app.state.census
    return found


def worker_id(request: HTTPConnection) -> str:
    """The worker that the path names."""
    name: str = request.path_params["worker_id"]
    return name


def beside(request: HTTPConnection, work: Coroutine[Any, Any, None]) -> None:
    """Has it done apart from this request, which may have been cut off. The process does not end before it is done."""
    tasks: set[asyncio.Task[None]] = request.app.state.tasks
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
