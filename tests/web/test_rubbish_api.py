"""Whatever somebody who has a key sends to the API, the answer is never the process's own failure."""

from __future__ import annotations

import json
import random
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from starlette.routing import Route

from app.web.main import API
from app.wire.messages import BULK, FALLBACKS, JOBS
from tests.web.conftest import Site, submission
from tests.web.test_rubbish import NAMES, VALUES

TRIES = 80  # for each route
ROUTES = [
    (method, one.path)
    for one in API
    if isinstance(one, Route)
    for method in sorted(one.methods or ())
    if method != "HEAD"
]
THINGS: list[Any] = [
    None, True, 0, -1, 1.5, 1e308, 10**30, [], {}, [[]], [None], {"": ""}, {"root": "Movies"},
    [{"root": "Movies"}, "/a"], [{"b64": "!"}], [{"b64": "_w=="}], {"a": {"b": ["c"] * 40}},
]  # fmt: skip
SOUND: dict[str, list[Any]] = {
    JOBS: [submission(labels={"a": "b"}, env={"TZ": "UTC"}, cwd=[{"root": "Movies"}, ""], retries=1)],
    BULK: [
        {"action": "cancel", "filter": {"state": "queued", "label": ["a=b"], "since": "1d"}, "dry_run": True},
        {"action": "retry", "ids": ["0" * 26], "key": "12345678"},
    ],
    FALLBACKS: [{"fallbacks": [{"at": 1.0, "binary": "ffmpeg", "reason": "none", "count": 1}]}],
}  # what is bent, by path


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_rubbish_is_answered(site: Site, route: tuple[str, str]) -> None:
    known = [site.submit(), site.submit(attach=True), "w1"]
    await site.hire("w1")
    chance = random.Random(" ".join(route))
    method, path = route

    def text() -> str:
        return chance.choice(known if chance.random() < 0.5 else VALUES)

    def bent(value: Any) -> Any:
        if chance.random() < 0.04:
            return chance.choice([text(), *THINGS])
        if isinstance(value, dict):
            made = {name: bent(one) for name, one in value.items() if chance.random() > 0.02}
            return made | ({text(): text()} if chance.random() < 0.05 else {})
        return [bent(one) for one in value] if isinstance(value, list) else value

    for _ in range(TRIES):
        body = json.dumps(bent(chance.choice(SOUND.get(path, [{}])))).encode() if method == "POST" else b""
        place = re.sub(r"{\w+}", lambda _: quote(text(), "", errors="surrogatepass") or "-", path)
        asked = [(chance.choice(NAMES), text()) for _ in range(chance.randrange(4))]
        target = f"{place}?{urlencode(asked, errors='surrogatepass')}" if asked else place
        answer = site.ask(method, target[:8000], body, chance.choice([site.client, site.admin]))
        assert answer.status < 500, (method, target, body, answer)
