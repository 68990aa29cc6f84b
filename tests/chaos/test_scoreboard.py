"""Every row of the scoreboard in its short form: what must be zero is zero. Seconds are printed, and not judged."""

from __future__ import annotations

import pytest

from tests.chaos.conftest import LIMIT, Finding
from tests.chaos.table import GROUPS


@pytest.mark.timeout(LIMIT + 20)
@pytest.mark.parametrize("group", GROUPS)
def test_the_rows_of(group: str, found: Finding) -> None:
    document = found(group)
    for row in document["rows"]:
        print(row["id"], row["what"], row["value"], row["unit"])

    assert document["broken"] == {}, document["said"]
    assert {row["id"] for row in document["rows"]} == set(GROUPS[group].rows), document["said"]
    failed = [
        f"{row['id']} {row['what']}: {row['value']}" for row in document["rows"] if row["verdict"] == "FAIL"
    ]
    assert failed == [], document["said"]
