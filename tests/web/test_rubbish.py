"""Whatever somebody sends to a page or an action of the dashboard, the answer is never the process's own failure."""

from __future__ import annotations

import random
import re
from urllib.parse import quote, urlencode

import pytest

from app.web.dashboard.door import ROLES
from tests.web.visitor import HOSTILE, Visitor, site

__all__ = ["site"]

TRIES = 60  # for each route
NAMES = """
    action after again all before class command confirm cwd f follow from id ids in_place key label labels lane limit
    mark n name networks next only owner password q role since source state stream t tab to until worker
""".split()
VALUES = [
    "", "0", "-1", "1", "25", "9" * 30, "1e9", "NaN", "\0", "\x7f", "\ud800", "\xad", HOSTILE, "..", "//x", "/jobs?",
    "queued", "failed", "cancel", "retry", "lane", "low", "admin", "viewer", "a=b", "=", "a==b,c", "Movies",
    "2026-01-01", "9999-99-99", "-9d", "1d", "0001-01-01T00:00", "1-1", "0-0", "x-1", "2" * 20 + "-0", "summary",
    "jobs:", "job:x,log:y", "{Movies}/a.mkv", "ffmpeg -i {", "ffmpeg -i {Movies}/a.mkv {Movies}/b.mkv", "ffprobe '",
    "10.0.0.0/8", "1.2.3.4/99", "x" * 5000, "%00", "%zz", "\N{SNOWMAN}", "e\u0301" * 40, "\r\nX: y",
]  # fmt: skip


@pytest.mark.parametrize("route", [one for one in ROLES if one != "GET /events"])
async def test_rubbish_is_answered(site: Visitor, route: str) -> None:
    await site.worker()
    jobs = [await site.submit(), await site.submit(HOSTILE)]
    chance = random.Random(route)
    method, path = route.split(" ")

    def value() -> str:
        return chance.choice([*VALUES, *jobs, "den"])

    def sent() -> str:
        fields = [(chance.choice(NAMES), value()) for _ in range(chance.randrange(8))]
        return urlencode(fields, errors="surrogatepass")

    for _ in range(TRIES):
        place = re.sub(r"{\w+}", lambda _: quote(value(), "", errors="surrogatepass") or "-", path)
        body = (
            b""
            if method == "GET"
            else (sent() if chance.random() < 0.9 else value()).encode("utf-8", "replace")
        )
        answer = await site.ask(method, f"{place}?{sent()}", "admin", body)
        assert answer.status < 500, (method, place, body, answer.text)
        assert "Traceback" not in answer.text
