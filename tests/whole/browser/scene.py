"""What a farm of these tests is filled with: a job in each state, workers that are there or not, and hostile text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.farm import Farm, until
from tests.whole.browser.backstage import Backstage

# Whatever of it became an element would be found by its mark, and what ran by `__pwned`.
MARK = "data-pwned"
CORPUS = (
    f"<img src=x {MARK} onerror=window.__pwned=1>",
    f"\"'><script {MARK}>window.__pwned=1</script>",
    f'</hx-partial><hx-partial hx-target="body" hx-swap="innerHTML"><b {MARK}>x</b>',
    f"</title></style></textarea></template><svg {MARK} onload=window.__pwned=1>",
    f"\r\ndata: <b {MARK}>x</b>\r\n\r\nevent: logout\r\n\r\n",
    "{{ 7 * 7 }} {% raw %} javascript:window.__pwned=1",
    "\u202egnp.exe\u2066\x1b[2J\x1b]0;x\x07\u2028",
)
HOSTILE = " ".join(CORPUS)
WORD = CORPUS[0]  # fits into a label, of 64 characters
FILE = CORPUS[0] + "'\"&\u202e\x1b\n.mkv"  # a name that a file can have
LONG_NAME = "The.Lighthouse.Keepers.Daughter.2024.2160p.UHD.BluRay.Remux.DV.HDR10.HEVC.TrueHD.7.1.Atmos-" * 2
NOWHERE = {"trap": "nobody"}  # the labels of what no worker takes


@dataclass(frozen=True)
class Scene:
    """Ids of what is there: by state, "hostile" too."""

    jobs: Mapping[str, str]
    link: str  # signs somebody in, once

    @property
    def places(self) -> dict[str, list[str]]:
        """What may stand in the paths of pages."""
        jobs = [self.jobs[state] for state in ("hostile", "hostile done", "running", "queued")]
        return {
            "job_id": jobs,
            "hostile": jobs[:1],
            "worker_id": ["attic", "w1"],
            "name": ["vera"],
            "what": ["50"],
            "operation_id": ["0" * 26],
            "link": [self.link],
        }


def fill(farm: Farm) -> Scene:
    """Plays it all; the running job runs as long as the farm."""
    backstage = Backstage(farm)
    (queued,) = backstage.queue(1, NOWHERE, "what-nobody-can-take")
    running = submit(farm, "-re", *SOURCE, "-t", "3000", "-c:v", "mpeg4", "-y", farm.client_root / "runs.mkv")
    failed = submit(farm, "-i", "there-is-no-such-film.mkv", "-y", farm.client_root / "fails.mkv")
    done = submit(
        farm, *SOURCE, "-t", "1", "-c:v", "mpeg4", "-y", farm.client_root / f"{LONG_NAME[:200]}.mkv"
    )
    for job_id, state in ((failed, "failed"), (done, "done"), (running, "running")):
        until(lambda job_id=job_id, state=state: farm.job(job_id)["state"] == state)  # type: ignore[misc]
    jobs = {"queued": queued, "running": running, "failed": failed, "done": done}
    return Scene({**jobs, **hostile(farm, backstage)}, backstage.link())


def hostile(farm: Farm, backstage: Backstage) -> dict[str, str]:
    """Text from elsewhere in every place that there is for it."""
    about = {
        "host": HOSTILE,
        "roots": [CORPUS[1]],
        "silent_roots": [CORPUS[2]],
        "binaries": {"ffmpeg": HOSTILE, CORPUS[3]: CORPUS[0]},
        "builds": {"ffmpeg": HOSTILE},
        "encoders": [CORPUS[0], CORPUS[4]],
        "version": HOSTILE,
        "sandbox": HOSTILE,
    }
    labels = {WORD: WORD}
    log = [f"{text}\n".encode() for text in CORPUS] + [HOSTILE.encode() * 40 + b"\xff\xfe\0\n"]
    (cancelled,) = backstage.queue(1, {WORD: CORPUS[5]}, CORPUS[3].replace("/", "|"))
    backstage.cancel(cancelled, HOSTILE)
    real = submit(farm, *SOURCE, "-t", "0.2", "-metadata", f"title={HOSTILE}", "-y", farm.client_root / FILE)
    taken = backstage.take("attic", labels, FILE, **about)
    backstage.report(taken, [{"fraction": HOSTILE}], log)
    backstage.end(taken, "fail", exit=1, reason=HOSTILE, cause="exit")
    return {
        "cancelled": cancelled,
        "hostile": taken.lease.id,
        "hostile done": real,
    }


SOURCE = ("-f", "lavfi", "-i", "testsrc2=size=64x36:rate=25")


def submit(farm: Farm, *args: str | Path) -> str:
    """The id of a new job of the client's."""
    done = farm.ffgrid("submit", "--", "ffmpeg", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
