"""The list, the tests and the page about them name the same items."""

from __future__ import annotations

import re
from pathlib import Path

from tests.whole.conformance.checklist import ITEMS, item_of

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "conformance.md"


def test_every_item_has_a_test_and_every_test_an_item() -> None:
    texts = [path.read_text("utf-8") for path in HERE.glob("test_*.py") if path != Path(__file__)]
    names = [name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)]

    assert {item_of(name) for name in names} == set(ITEMS)


def test_the_page_has_a_line_for_every_item() -> None:
    assert re.findall(r"^\| ([A-E]\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE) == list(ITEMS)
