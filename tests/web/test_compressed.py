"""What is large goes out compressed to who can read that; what is a stream goes out at once."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from tests.web.conftest import dial, request, say

if TYPE_CHECKING:
    from tests.web.conftest import Site

GZIP = [("Accept-Encoding", "gzip, br")]


@pytest.mark.parametrize("path", ["/login", "/static/app.css"])
async def test_pages_and_files_are_compressed_for_who_can_read_that(site: Site, path: str) -> None:
    packed, plain = (say(site.port(), request("GET", path, headers)) for headers in (GZIP, []))

    assert packed.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in packed.headers["vary"].lower()
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)
    assert "content-encoding" not in plain.headers


async def test_a_stream_is_not(site: Site) -> None:
    cookie = ("Cookie", f"ffgrid={site.farm.signed_in()}")
    with dial(site.port()) as connection:
        connection.sendall(request("GET", "/events?t=summary&tab=a", [*GZIP, cookie]))
        heard = b""
        while b"retry:" not in heard:
            more = connection.recv(4096)
            assert more
            heard += more

    assert b"text/event-stream" in heard
    assert b"content-encoding" not in heard.lower()
