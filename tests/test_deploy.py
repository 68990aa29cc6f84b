"""What is in deploy/ for others' programs speaks of what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
RULES = (DEPLOY / "prometheus" / "alerts.yml").read_text()
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "ffgrid.json").read_text())
TARGETS = [target for panel in BOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [*(target["expr"] for target in TARGETS), RULES]


def written_names() -> set[str]:
    """What /metrics calls its families, as the code has it, and what their samples are called."""
    source = (ROOT / "app" / "web" / "metrics.py").read_text()
    histograms = set(re.findall(r'histogram\("(ffgrid_\w+)"', source))
    families = set(re.findall(r'"(ffgrid_\w+)"', source)) - histograms
    return families | {f"{name}_{part}" for name in histograms for part in ("bucket", "count", "sum")}


def named(text: str) -> set[str]:
    return set(re.findall(r"\bffgrid_\w+", text))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_asks_for_what_is_told(expression: str) -> None:
    assert named(expression)
    assert named(expression) <= written_names()


def test_each_metric_is_on_the_board_but_for_the_version() -> None:
    shown = set().union(*(named(target["expr"]) for target in TARGETS))

    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in written_names()}
    assert families - {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown} == {"ffgrid_build_info"}


def test_the_board_asks_for_its_data_source_when_it_is_imported() -> None:
    (asked,) = BOARD["__inputs"]
    used = {panel["datasource"]["uid"] for panel in BOARD["panels"]} | {
        t["datasource"]["uid"] for t in TARGETS
    }

    assert used == {f"${{{asked['name']}}}"}
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_no_panel_lies_over_another() -> None:
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    cells = [
        (x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])
    ]

    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_each_alert_says_what_to_do() -> None:
    alerts = RULES.split("- alert: ")[1:]

    assert len(alerts) >= 5
    for alert in alerts:
        for part in ("expr:", "for:", "severity:", "summary:", "runbook:"):
            assert part in alert, (part, alert)


def test_the_documentation_names_every_metric() -> None:
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in written_names()}

    assert families <= named((ROOT / "docs" / "watching.md").read_text())
