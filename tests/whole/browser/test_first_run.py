"""20. `ffgrid demo` as a newcomer meets it: one command, a link, a bar that moves, a film; and nothing left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.farm import FFGRID, until
from tests.ports import free_port
from tests.whole.browser.tabs import Tabs

BAR = "[...document.querySelectorAll('main progress[value]')].map((one) => one.value)[0]"


class Demo:
    """`ffgrid demo`, whose temporary folder is `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder / "tmp", folder / "log"
        self.folder.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FFGRID_")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [FFGRID, "demo", "--port", str(free_port())],
                env={**kept, "TMPDIR": str(self.folder), "HOME": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                process_group=0,
            )

    @property
    def link(self) -> str:
        """What it says that one can sign in with."""
        found = until(lambda: re.search(r"http://127[.]0[.]0[.]1:\d+/setup[?]t=\S+", self.log.read_text()))
        return found[0]

    def left(self) -> list[str]:
        """Processes that have to do with its folder, and what is in that."""
        running = [entry for entry in os.listdir("/proc") if entry.isdigit() and self._mentions(entry)]
        return running + os.listdir(self.folder)

    def _mentions(self, process: str) -> bool:
        try:
            texts = [Path(f"/proc/{process}/{name}").read_bytes() for name in ("cmdline", "environ")]
        except OSError:
            return False
        return any(str(self.folder).encode() in text for text in texts)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """One that is starting."""
    demo = Demo(tmp_path)
    yield demo
    if demo.process.poll() is None:
        demo.process.send_signal(signal.SIGINT)
        demo.process.wait(30)


def test_a_newcomer_sees_a_bar_move_and_a_film_done(tabs: Tabs, demo: Demo):
    """20. How long it takes is said by the demo itself."""
    page = tabs.visitor().new_page()
    page.goto(demo.link)
    page.get_by_role("button", name="Sign in as demo").click()
    values = moving(page)
    expect(page.locator(".badge", has_text="done").first).to_be_visible()
    demo.process.send_signal(signal.SIGINT)
    status = demo.process.wait(30)
    tabs.expects(
        "ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE", "Failed to fetch"
    )

    assert values == sorted(values)
    assert status in (0, 130), demo.log.read_text()
    assert demo.left() == []


def moving(page: Page) -> list[float]:
    """Three values that the bar of the one job takes."""
    values: list[float] = []

    def looked() -> bool:
        value = page.evaluate(BAR)
        if value is not None and value not in values:
            values.append(value)
        return len(values) >= 3

    until(looked)
    return values
