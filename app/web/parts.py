"""What requests are answered of: a function for each part of this application, and for what a path names."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from app.state.jobs import Jobs
from app.state.store import Store
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
