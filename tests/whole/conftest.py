"""Whole farms on each kind of server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SERVERS
from tests.farm import Farm, farm, own_farm

__all__ = ["any_farm", "farm", "own_farm"]


@pytest.fixture(scope="module", params=SERVERS)
def each_farm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Two coordinators and one worker on each kind of server, for the tests of a module that break nothing."""
    with Farm.start(tmp_path_factory.mktemp(request.param), request.param) as started:
        yield started


@pytest.fixture(params=SERVERS)
def any_farm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Farm]:
    """Two coordinators and one worker of a test's own, on each kind of server."""
    with Farm.start(tmp_path, request.param) as started:
        yield started
