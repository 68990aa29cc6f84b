"""How long a job's inputs are, asked of ffprobe, or of ffmpeg where there is no ffprobe."""

from __future__ import annotations

import asyncio

from app.wire import mediatime
from worker.aside import Hung
from worker.child import reach
from worker.machine import Machine
from worker.plan import Plan

LIMIT = 10.0  # seconds one input may take


async def durations(ready: Plan, machine: Machine) -> list[float | None]:
    """Seconds for each input; None where nobody knows (a pipe, a device, a generator)."""
    urls = zip(ready.command.inputs, ready.command.input_options, strict=True)
    found: list[float | None] = []
    for index, options in urls:
        found.append(await _duration(ready.command.args[index], options, ready, machine))
    return found


async def _duration(url: str, options: dict[str, str], ready: Plan, machine: Machine) -> float | None:
    if options.get("f") == "lavfi" or url == "-" or url.startswith(("pipe:", "fd:", "/dev/")):
        return None
    demuxer = ["-f", options["f"]] if "f" in options else []
    safe = ["-safe", options["safe"]] if "safe" in options else []
    if "ffprobe" in machine.programs:
        asked = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"]
        told = await _output(ready, machine.programs["ffprobe"], *asked, *demuxer, *safe, "-i", url)
        return mediatime.seconds(told.strip())
    told = await _output(ready, machine.programs["ffmpeg"], "-hide_banner", *demuxer, *safe, "-i", url)
    return mediatime.seconds(told.partition("Duration: ")[2].partition(",")[0])


async def _output(ready: Plan, program: str, *arguments: str) -> str:
    """What a program prints in the job's place, on both of its streams; "" when it takes too long."""
    try:
        await reach(ready)
    except (Hung, OSError):
        return ""
    process = await asyncio.create_subprocess_exec(
        *ready.enter,
        program,
        *arguments,
        cwd=ready.cwd,
        env=dict(ready.environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(LIMIT):
            out, _ = await process.communicate()
    except (TimeoutError, asyncio.CancelledError) as stopped:
        process.kill()  # and not waited for: a file system that hangs would hold it
        if isinstance(stopped, asyncio.CancelledError):
            raise
        return ""
    return out.decode("utf-8", "replace")
