"""The short form of the scoreboard: each group of rows as a process of its own, three at a time, as most of the time
is waiting for leases.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.bench.harness import ROOT
from tests.chaos.table import GROUPS

AT_ONCE = 3
LIMIT = 400.0  # seconds for one, on a machine that is busy with the others

Finding = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def found(request: pytest.FixtureRequest) -> Iterator[Finding]:
    """What was found for a group: its rows and what was broken. All that will be asked for begin at once."""
    wanted = [
        item.callspec.params["group"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.fixturenames.count("found")
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running: dict[str, Future[dict[str, Any]]] = {name: pool.submit(_run, name) for name in wanted}
        yield lambda name: running[name].result()


def _run(group: str) -> dict[str, Any]:
    rows = ",".join(GROUPS[group].rows)
    command = [sys.executable, "-m", "tests.chaos", "--short", "--json", "--rows", rows]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        try:
            out, err = running.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            running.terminate()  # it ends what it has started
            out, err = running.communicate()
    document: dict[str, Any] = json.loads(out or b'{"rows": [], "broken": {"all": "nothing was printed"}}')
    return {**document, "said": err.decode("utf-8", "replace")}
