"""`GET /v1/jobs/{id}/attach`: relays frames between a caller and its job's streams (see `app.wire.attach`).

    caller  <== WebSocket ==>  this process  <== out / in streams ==>  worker

Nothing is remembered here: a caller that comes back, to any process, says with `after` what it has.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from app.state import lifecycle
from app.state.connect import BLOCK, UNREACHABLE, stop
from app.state.job import Job, NoSuchJob, is_id
from app.state.jobs import Jobs
from app.state.output import Output
from app.web import parts
from app.web.auth import Verifier, demand_role
from app.web.leaving import Leaving
from app.web.problems import Problem, from_error
from app.wire import attach as frames
from app.wire.messages import JOBS

OPEN_MS = 45_000  # how long the caller counts as alive while its connection is open
OPEN_EVERY = 10.0  # seconds between saying so
CLOSED_MS = 700  # how long a caller whose connection closed has to come back
MOVED_MS = 15_000  # the same when this process is what ends
SERVICE_RESTART = 1012  # the WebSocket code of a server that goes away
LOST = "the queue (Redis) has lost a part of what the job has printed"
NOT_ACCEPTED = 1003  # the WebSocket code for data that cannot be accepted


@dataclass
class Caller:
    """One attached caller and what relaying for it needs."""

    socket: WebSocket
    job_id: str
    jobs: Jobs
    output: Output
    after: int
    connection: str
    ended: Job | None


async def attach(socket: WebSocket) -> None:
    """The endpoint. Refuses with a problem before the upgrade, relays after it."""
    leaving: Leaving = socket.app.state.leaving
    try:
        async with leaving.cuts():
            caller = await _admit(socket)
    except Exception as error:
        await socket.send_denial_response(from_error(error).response())
        return
    await socket.accept()
    code = await _relay(caller)
    parts.beside(socket, _left(caller, code))


async def _admit(socket: WebSocket) -> Caller:
    verifier: Verifier = socket.app.state.verifier
    client, _ = await verifier.signer(socket, _no_body)
    demand_role(client, ("client", "admin"))
    job_id, after = socket.path_params["job_id"], socket.query_params.get("after", "0")
    if not (after.isascii() and after.isdigit()) or len(after) > 18:
        raise Problem(422, "invalid", "after: expected the number of a frame")
    jobs = parts.jobs(socket)
    job = await jobs.get(job_id) if is_id(job_id) else None
    if job is None or job.owner != client.id:
        raise NoSuchJob(f"there is no job {job_id}")
    if not job.spec["attach"]:
        raise Problem(
            409, "not-attachable", f"job {job_id} was submitted without attach: read its log instead"
        )
    output = parts.store(socket).output
    if int(after) and not job.ended and await output.has_lost(job_id, int(after)):
        raise Problem(409, "output-lost", LOST)
    connection = secrets.token_hex(8)
    await jobs.caller(job_id, OPEN_MS, connection, arrives=True)
    return Caller(
        socket,
        job_id,
        jobs,
        output,
        int(after),
        connection,
        job if job.ended else None,
    )


async def _relay(caller: Caller) -> int:
    """Relays until the exit is sent or the connection ends; the close code that was seen."""
    down = asyncio.create_task(_down(caller))
    up = asyncio.create_task(_up(caller))
    alive = asyncio.create_task(_keep(caller))
    try:
        await asyncio.wait((down, up), return_when=asyncio.FIRST_COMPLETED)
        if (
            down.done() and not up.done()
        ):  # the exit is sent, or Redis is gone: the caller closes, or is closed
            if down.exception() is not None:
                await _close(caller, SERVICE_RESTART)
            await asyncio.wait((up,), timeout=OPEN_EVERY)
    finally:
        await stop(down, up, alive)
    if up.cancelled() or up.exception() is not None:
        return SERVICE_RESTART
    return up.result()


async def _down(caller: Caller) -> None:
    """From the job to the caller, until the exit."""
    ended = caller.ended
    while True:
        entries = await caller.output.receive(caller.job_id, f"{caller.after}-0", 0.0 if ended else BLOCK)
        sent = [entry for entry in entries if entry.kind]  # the others only wake
        for entry in sent:
            if entry.number != caller.after + 1:
                await _give_up(caller)
                return
            caller.after = entry.number
            await caller.socket.send_bytes(frames.encode(entry.kind, entry.number, entry.data))
            if entry.kind == frames.EXIT:
                return
        if ended and not sent:
            last = frames.Exit(ended.exit, ended.signal, ended.reason)
            await caller.socket.send_bytes(frames.encode(frames.EXIT, caller.after + 1, last.encode()))
            return
        if not sent:  # asked before the next read: what is read then is all there is
            ended = await _ended(caller)


async def _give_up(caller: Caller) -> None:
    """A frame is missing. To go on would be to give the caller a file with a hole in it."""
    await caller.jobs.cancel(caller.job_id, "kill", LOST)
    last = frames.Exit(None, None, LOST)
    await caller.socket.send_bytes(frames.encode(frames.EXIT, caller.after + 1, last.encode()))


async def _ended(caller: Caller) -> Job | None:
    job = await caller.jobs.get(caller.job_id)
    return job if job.ended else None


async def _up(caller: Caller) -> int:
    """From the caller to the job, until the connection ends; its close code."""
    while True:
        message = await caller.socket.receive()
        if message["type"] == "websocket.disconnect":
            return int(message["code"])
        try:
            kind, number, payload = frames.decode(message.get("bytes") or b"")
        except frames.BadFrame:
            kind, number, payload = b"", 0, b""
        if not frames.is_sound(kind, number, payload):
            await _close(caller, NOT_ACCEPTED)
            return NOT_ACCEPTED
        await caller.output.send_in(caller.job_id, number, kind, payload)
        if kind == frames.SIGNAL and await caller.jobs.interrupt(caller.job_id) == lifecycle.CANCELLED:
            await caller.output.wake(caller.job_id)


async def _keep(caller: Caller) -> None:
    """Says that the caller lives, as long as its connection is open."""
    while True:
        await asyncio.sleep(OPEN_EVERY)
        try:
            await caller.jobs.caller(caller.job_id, OPEN_MS, caller.connection)
        except UNREACHABLE:
            continue


async def _left(caller: Caller, code: int) -> None:
    """The connection is gone: if the caller does not come back soon, its job is ended.

    While Redis cannot be reached nobody can say so, and the caller keeps the time that it was given last.
    """
    wait = MOVED_MS if code == SERVICE_RESTART else CLOSED_MS
    with suppress(*UNREACHABLE):
        await caller.jobs.caller(caller.job_id, wait, caller.connection)
        if code != SERVICE_RESTART:
            await asyncio.sleep((CLOSED_MS + 20) / 1000)
            await caller.jobs.orphan(caller.job_id)


async def _close(caller: Caller, code: int) -> None:
    try:
        await caller.socket.close(code)
    except RuntimeError:  # it is closed already
        return


async def _no_body() -> bytes:
    return b""


ROUTES = [WebSocketRoute(JOBS + "/{job_id}/attach", attach)]
