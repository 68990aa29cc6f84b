"""One browser and one farm for the tests of this folder: two coordinators behind HAProxy, a worker, a Valkey."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.farm import Farm
from tests.whole.browser.backstage import Backstage
from tests.whole.browser.scene import Scene, fill
from tests.whole.browser.tabs import Tabs, chromium
from tests.whole.proxies import behind

# The server is killed by a test, and its file is then all that is left; only a host's own end needs the disk.
KEPT = ("--appendonly", "yes", "--appendfsync", "no")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The system's chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Tests that end one of its processes start it again."""
    folder = tmp_path_factory.mktemp("farm")
    with Farm.start(folder, options=KEPT, settings={"FFGRID_HOSTS": "lab.local"}) as started:
        with behind("haproxy", started, folder):
            yield started


@pytest.fixture(scope="package")
def scene(farm: Farm) -> Scene:
    """A job in each state, and hostile text everywhere."""
    return fill(farm)


@pytest.fixture
def backstage(farm: Farm) -> Backstage:
    """What happens without anybody's doing it on a page."""
    return Backstage(farm)


@pytest.fixture
def tabs(browser: Browser, farm: Farm) -> Iterator[Tabs]:
    """Opens pages. In none of them may anything go wrong."""
    tabs = Tabs(browser, farm)
    yield tabs
    tabs.close()
    assert not tabs.complaints, "\n".join(tabs.complaints)
