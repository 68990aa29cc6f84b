"""`ffgrid fallbacks`, on a real coordinator."""

from __future__ import annotations

import json
import time

import pytest

from app.cli.client import Client, read_key
from app.cli.fallbacks import _row
from app.wire.messages import FALLBACKS
from tests.farm import Farm


def test_there_are_none_and_then_there_are(own_farm: Farm) -> None:
    before = own_farm.ffgrid("fallbacks")
    call = {"at": time.time() - 60, "binary": "ffprobe", "reason": "no worker is alive", "count": 12}
    Client([own_farm.webs[0].url], read_key(own_farm.key_file)).post(FALLBACKS, {"fallbacks": [call]})

    after = own_farm.ffgrid("fallbacks")
    as_json = json.loads(own_farm.ffgrid("fallbacks", "--json").stdout)

    assert (before.returncode, before.stdout) == (0, "")
    assert before.stderr == "ffgrid: no client has reported a call that ran on its own host\n"
    head, row = after.stdout.splitlines()
    assert head.split() == ["TIME", "CLIENT", "PROGRAM", "CALLS", "REASON"]
    assert row.split(maxsplit=5)[2:] == ["cli", "ffprobe", "12", "no worker is alive"]
    assert as_json == {"fallbacks": [{**call, "client": "cli"}]}


def test_only_an_admin_may_look(farm: Farm) -> None:
    done = farm.ffgrid("fallbacks", FFGRID_KEY_FILE=str(farm.add_key("looker", "client")))

    assert done.returncode == 4
    assert done.stderr == "ffgrid: a key of role client may not do this: it takes admin\n"


@pytest.mark.parametrize("limit", ["0", "1001", "-5"])
def test_a_limit_that_is_none(farm: Farm, limit: str) -> None:
    done = farm.ffgrid("fallbacks", f"--limit={limit}")

    assert done.returncode == 2
    assert done.stderr == f"ffgrid: --limit: expected a number from 1 to 1000, got {limit}\n"


def test_a_reason_cannot_draw_on_the_terminal() -> None:
    told = {"at": 0, "client": "tv", "binary": "ffmpeg", "count": 1, "reason": "a\x1b[2Jb"}

    assert _row(told)[1:] == ("tv", "ffmpeg", "1", "a?[2Jb")
