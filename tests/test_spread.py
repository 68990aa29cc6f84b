"""Which tests stay together when several processes share them."""

from __future__ import annotations

import pytest

from tests.spread import group


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
