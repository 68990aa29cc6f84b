"""How tests are shared out when several processes run them (`pytest -n 2`, as `make test` does).

What shares a farm or a server stays together, in one process and in its order: the tests of a file, for each kind
of server or of worker that they are run with. What overloads the machine comes last, and then nothing else runs.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

KINDS = {"valkey", "redis", "namespace", "rewrite"}  # what the fixtures that many tests share are made with
LONGEST = "tests/whole/"  # goes first: at the end there is nothing long that one process is left with
ALONE = "tests/chaos/test_scoreboard.py"


def group(nodeid: str) -> str:
    """The group of a test: `tests/web/test_api.py::test_x[valkey-0]` is in `tests/web/test_api.py valkey`."""
    name, _, values = nodeid.partition("[")
    kinds = [word for word in re.split(r"[-\]]", values) if word in KINDS]
    return " ".join([name.partition("::")[0], *kinds])


def order(items: list[pytest.Item]) -> None:
    """Puts the longest first, and last what has to be alone; those of one file stay in their order."""
    items.sort(key=lambda item: (item.nodeid.startswith(ALONE), not item.nodeid.startswith(LONGEST)))


class Scheduler(LoadScopeScheduling):
    """Gives whole groups to processes, in the order of the tests."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # the number of tests says nothing about how long they take

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)

    def _reschedule(self, node: WorkerController) -> None:
        if not self.workqueue or not next(iter(self.workqueue)).startswith(ALONE):
            super()._reschedule(node)
            return
        last, *others = self.nodes
        for one in others:
            if not one.shutting_down:
                one.shutdown()  # it ends what it has, and gets nothing more
        if not any(self._pending_of(self.assigned_work[one]) for one in others):
            self._assign_work_unit(last)
