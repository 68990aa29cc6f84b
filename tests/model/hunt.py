"""Does anybody notice a mistake in a script? Stories and walks with it, until something is wrong.

`python -m tests.model.hunt URL` reads from stdin which stories call which script, as a line of JSON, and mutants as
they are printed. It prints a line of JSON for each. `hunt_all` starts some of these.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.conftest import start_server
from tests.model.mutants import Mutant, all_mutants
from tests.model.stories import STORIES, Tale
from tests.model.subject import Change, Subject, unchanged
from tests.model.walk import walk
from tests.model.world import World

ROOT = Path(__file__).resolve().parents[2]
WALKS = range(1, 25)
PROCESSES = 2
SECONDS = 270  # a hunt that takes longer is given up

Order = Mapping[str, list[str]]  # script -> the stories that call it, the shortest first


class Found(NamedTuple):
    """A mutant, what was wrong with it ("": nothing, it survives), and after how many steps."""

    mutant: str
    wrong: str
    steps: int


async def noticed(
    url: str, change: Change, stories: Iterable[str] = STORIES, walks: Iterable[int] = WALKS
) -> tuple[str, int]:
    """What is wrong, "" if nothing is, and after how many steps."""
    world = World(Subject(url, change))
    try:
        for name in stories:
            await world.begin()
            await STORIES[name](Tale(world))
        for seed in walks:
            await walk(world, seed)
    except Exception as wrong:  # a script that fails, an answer that cannot be read, a violation
        return f"{type(wrong).__name__}: {wrong}", world.steps
    finally:
        await world.subject.close()
    return "", world.steps


def hunt(url: str, mutant: Mutant, order: Order) -> Found:
    """The same for a mutant, beginning with the stories that its script is in."""
    first = order.get(mutant.script, [])
    stories = [*first, *(name for name in STORIES if name not in first)]
    return Found(str(mutant), *asyncio.run(noticed(url, mutant.change, stories)))


async def prepare(url: str) -> Order:
    """Tells all stories with the scripts as they are. Raises Violation."""
    world, lengths = World(Subject(url, unchanged)), {}
    called: dict[str, list[str]] = {"prelude": list(STORIES)}
    try:
        for name, tell in STORIES.items():
            before = world.steps
            world.subject.called.clear()
            await world.begin()
            await tell(Tale(world))
            lengths[name] = world.steps - before
            for script in world.subject.called:
                called.setdefault(script, []).append(name)
    finally:
        await world.subject.close()
    return {script: sorted(names, key=lengths.__getitem__) for script, names in called.items()}


def hunt_all(mutants: Sequence[Mutant]) -> list[Found]:
    """Hunts them in processes of their own, each with a server. Raises what subprocess raises."""
    with tempfile.TemporaryDirectory() as folder:
        started = [_start(Path(folder) / str(share)) for share in range(PROCESSES)]
        try:
            order = json.dumps(asyncio.run(prepare(started[0][1])))
            for share, (_, _, hunter) in enumerate(started):
                shared = map(str, mutants[share::PROCESSES])
                hunter.stdin.write("\n".join([order, *shared]))
                hunter.stdin.close()
            printed = [hunter.stdout.read() for _, _, hunter in started]
            failed = [hunter.wait(SECONDS) for _, _, hunter in started]
        finally:
            for server, _, hunter in started:
                for process in (hunter, server):
                    process.kill()
                    process.wait()
                hunter.stdout.close()
    assert not any(failed), "a hunter has failed, see what it printed"
    return [Found(*json.loads(line)) for text in printed for line in text.splitlines()]


def _start(folder: Path) -> tuple[subprocess.Popen[bytes], str, subprocess.Popen[str]]:
    folder.mkdir()
    server, url = start_server("valkey", folder)
    command = [sys.executable, "-m", "tests.model.hunt", url]
    hunter = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return server, url, hunter


def main() -> None:
    """A hunter's process."""
    logging.disable()  # the reaper says what it does
    order, *wanted = sys.stdin.read().splitlines()
    for mutant in all_mutants():
        if str(mutant) in wanted:
            print(json.dumps(hunt(sys.argv[1], mutant, json.loads(order))), flush=True)


if __name__ == "__main__":
    main()
