"""The coordinators, one by one: whether they are there, what their clock says, whether they take our signature."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPException
from time import time

from app.cli.checks.finding import BAD, OK, WARN, Finding
from app.cli.checks.scene import Scene
from app.cli.errors import NOT_ALLOWED, Failure
from app.cli.exchange import check, connection, why
from app.cli.health import trouble
from app.wire.messages import WORKERS
from app.wire.refusal import skew
from app.wire.signing import WINDOW

CLOCK_SECONDS = 2.0  # a Date header has whole seconds
ABSENT = "start one there with `ffgrid web`, or say with FFGRID_URL where one runs"
NEW_KEY = "on a coordinator's host: ffgrid keys add NAME --role client --out FILE; here: FFGRID_KEY_FILE=FILE"


def coordinator(scene: Scene, url: str) -> Sequence[Finding]:
    """All about the one at this address. What needs an answer is not asked of one that gives none."""
    date, said = _date(url)
    if said:
        return [Finding("coordinator", BAD, f"{url}: {said}", ABSENT)]
    reason = trouble(url)
    ready = Finding("coordinator", OK, f"{url} is ready")
    if reason:
        ready = Finding(
            "coordinator", BAD, f"{url} is not ready: {reason}", "look at its log; is Redis there?"
        )
    return [ready, clock(url, skew(date, time())), _signature(scene, url)]


def clock(url: str, ahead: float) -> Finding:
    """What the difference of two clocks means; `ahead` is by how many seconds ours is in front."""
    if abs(ahead) <= CLOCK_SECONDS:
        return Finding("clock", OK, f"this host and {url} agree within {CLOCK_SECONDS:.0f} s")
    side = "ahead of" if ahead > 0 else "behind"
    sentence = f"this host's clock is {abs(ahead):.0f} s {side} that of {url}"
    verdict = BAD if abs(ahead) > WINDOW / 2 else WARN
    return Finding("clock", verdict, sentence, "on both hosts: timedatectl set-ntp true")


def _signature(scene: Scene, url: str) -> Finding:
    try:
        scene.client(url).get(WORKERS)
    except Failure as failure:
        mend = NEW_KEY if failure.status == NOT_ALLOWED or scene.settings.key_file is None else ""
        return Finding("signature", BAD, f"{url}: {failure}", mend)
    return Finding("signature", OK, f"{url} accepts the key {scene.key().id} ({scene.settings.key_file})")


def _date(url: str) -> tuple[str, str]:
    """What time it is there, as a Date header; or why nobody says."""
    line, prefix = connection(check(url))
    with closing(line):
        try:
            line.request("GET", f"{prefix}/livez")
            answer = line.getresponse()
            answer.read()
            return answer.headers.get("Date", ""), ""
        except (OSError, HTTPException) as error:
            return "", why(error)
