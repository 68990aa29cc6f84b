"""Which tests stay together when several processes share them, and which are alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.spread import ALONE, Scheduler, group


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("tests/web/test_api.py::test_x", "tests/web/test_api.py"),
        ("tests/web/test_api.py::test_x[a-1]", "tests/web/test_api.py"),
        ("tests/web/test_api.py::test_x[valkey]", "tests/web/test_api.py valkey"),
        ("tests/web/test_api.py::test_y[redis-a]", "tests/web/test_api.py redis"),
        ("tests/web/test_api.py::test_y[redis-a::b[c]]", "tests/web/test_api.py redis"),
        ("tests/whole/conformance/test_paths.py::test_d[rewrite-x]", "tests/whole/conformance/test_paths.py rewrite"),
    ],
)  # fmt: skip
def test_a_file_and_the_kind_of_what_it_shares_are_a_group(test: str, expected: str) -> None:
    assert group(test) == expected


class Process:
    """One that runs tests: what it was given and has not done, as numbers of tests."""

    def __init__(self) -> None:
        self.todo: list[int] = []
        self.shutting_down = False
        self.gateway = SimpleNamespace(id="gw")

    def send_runtest_some(self, numbers: list[int]) -> None:
        self.todo += numbers

    def shutdown(self) -> None:
        self.shutting_down = True


def share_out(tests: list[str], processes: int) -> list[tuple[int, str, int]]:
    """What ran in which process, in the order of its end, and how many tests the others had still to do."""
    config: Any = SimpleNamespace(
        option=SimpleNamespace(loadscopereorder=True), getvalue=lambda name: ["popen"]
    )
    scheduler, nodes = Scheduler(config, None), [Process() for _ in range(processes)]
    scheduler.numnodes = processes
    for node in nodes:
        scheduler.add_node(node)  # type: ignore[arg-type]
        scheduler.add_node_collection(node, tests)  # type: ignore[arg-type]
    scheduler.schedule()
    ran = []
    while any(node.todo for node in nodes):
        for number, node in enumerate(nodes):
            # It wants to know the next one before it runs one, or that there is none.
            if len(node.todo) > 1 or (node.todo and node.shutting_down):
                test = node.todo.pop(0)
                ran.append(
                    (number, tests[test], sum(len(other.todo) for other in nodes if other is not node))
                )
                scheduler.mark_test_complete(node, test)  # type: ignore[arg-type]
    return ran


FILES = {"tests/a.py": 3, "tests/b.py": 40, "tests/c.py": 5, ALONE: 5}
TESTS = [f"{file}::test[{number}]" for file, count in FILES.items() for number in range(count)]


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_every_test_is_run_once_and_groups_stay_in_their_order(processes: int) -> None:
    ran = share_out(TESTS, processes)

    assert sorted(test for _, test, _ in ran) == sorted(TESTS)
    for file in FILES:
        assert [test for _, test, _ in ran if test.startswith(file)] == [
            t for t in TESTS if t.startswith(file)
        ]
        assert len({number for number, test, _ in ran if test.startswith(file)}) == 1


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_what_has_to_be_alone_is_last_and_alone(processes: int) -> None:
    ran = share_out(TESTS, processes)

    assert [test for _, test, _ in ran[-5:]] == TESTS[-5:]
    assert [others for _, _, others in ran[-5:]] == [0] * 5
