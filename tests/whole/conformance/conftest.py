"""A farm a mode of the worker, and a pair of folders in its root for each case."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.farm import Farm
from tests.whole.conformance.checklist import ABOUT_FILES, MODES, item_of
from tests.whole.conformance.harness import ALL_MODES, Pair, real

SLOTS = 12
NUMBERS = itertools.count(1)  # no two cases have one folder

FILM = [
    *("-f", "lavfi", "-i", "testsrc=d=4:s=128x72:r=25", "-f", "lavfi", "-i", "sine=d=4"),
    *("-c:v", "libx264", "-g", "25", "-c:a", "aac"),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each mode; one, where every mode would show the same and nobody asks for all of them."""
    if "mode" in metafunc.fixturenames:
        differs = item_of(metafunc.function.__name__) in ABOUT_FILES
        modes = MODES if differs or ALL_MODES in metafunc.config.stash else MODES[:1]
        metafunc.parametrize("mode", modes, indirect=True, scope="session")


@pytest.fixture(scope="session")
def mode(request: pytest.FixtureRequest) -> str:
    """How the worker gives ffmpeg the caller's files: a mount namespace, or rewritten arguments."""
    return str(request.param)


@pytest.fixture(scope="session")
def grid(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Two coordinators and a worker apart, for all cases of a mode."""
    with Farm.start(tmp_path_factory.mktemp(mode) / "farm", workers=0, apart=True) as farm:
        begin(farm, mode)
        yield farm


@pytest.fixture
def small_grid(mode: str, tmp_path: Path) -> Iterator[Farm]:
    """One coordinator and a worker with one slot, for a case that breaks something."""
    with Farm.start(tmp_path / "farm", webs=1, workers=0, apart=True) as farm:
        begin(farm, mode, slots=1)
        yield farm


def begin(farm: Farm, mode: str, slots: int = SLOTS) -> None:
    """Starts the worker, installs the stand-in, makes the film that all cases use."""
    start_worker(farm, mode, slots)
    farm.install_shim()
    film = farm.client_root / "in.mkv"
    Pair.on(farm, "setup").real.make(*FILM, film)


def start_worker(farm: Farm, mode: str, slots: int = SLOTS) -> None:
    """A worker in this mode, or another process in its place."""
    farm.start_worker("w1", slots, env={"FFGRID_SANDBOX": mode}, ffmpeg=real("ffmpeg"))


@pytest.fixture
def pair(request: pytest.FixtureRequest, grid: Farm) -> Iterator[Pair]:
    """The two sides of this case."""
    yield from of_case(request, grid)


@pytest.fixture
def small_pair(request: pytest.FixtureRequest, small_grid: Farm) -> Iterator[Pair]:
    """The two sides of a case that has a farm of its own."""
    yield from of_case(request, small_grid)


def of_case(request: pytest.FixtureRequest, farm: Farm) -> Iterator[Pair]:
    item = request.node.name.split("_")[1]
    pair = Pair.on(farm, f"{item}-{next(NUMBERS)}")
    yield pair
    pair.end()
    request.node.user_properties.append(("ran", "local" if pair.seen == {"local"} else "farm"))
