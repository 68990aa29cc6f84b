"""Pictures of every page, in light, in dark and on a phone: `make screenshots`, or

    python -m tests.whole.browser.screenshots [FOLDER] [--only WORD]

They are for people to look at. The farm is a real one, with a day behind it that it has been told.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import pi, sin
from pathlib import Path

from playwright.sync_api import Page

import tests.farm
from tests.farm import Farm, until
from tests.whole.browser.backstage import Backstage
from tests.whole.browser.routes import PAGES, Guarded
from tests.whole.browser.scene import Scene, submit
from tests.whole.browser.tabs import Tabs, chromium
from tests.whole.proxies import behind

SCHEMES = {"light": (1280, 800), "dark": (1280, 800), "phone": (360, 740)}
README = {
    "-": ("light",),
    "-jobs-done": ("dark",),
}  # of these the part that is seen first, small enough to be kept
EMPTY = (
    "/",
    "/jobs",
    "/workers",
    "/queues",
    "/activity",
)  # that have something to say without a job or a worker
FILMS = (
    "The Lighthouse Keeper (2019)/The Lighthouse Keeper (2019) Remux-2160p.mkv",
    "Night Train to Lisbon (2013)/Night Train to Lisbon (2013) Bluray-1080p.mkv",
    "Shows/North of Here/Season 02/North of Here - S02E07 - The Long Way Round.mkv",
)
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-c:a", "copy")


@dataclass(frozen=True)
class Picture:
    """One address, and how its file is called."""

    name: str
    address: str
    role: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("screenshots"))
    parser.add_argument("--only", default="", help="pages that have this in their names")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    tests.farm.ROOT = "Films"  # and not what is hardest to quote
    with farm(workers=False) as empty, chromium() as browser:
        wanted = [Picture(f"empty{_word(path)}", path, "admin") for path in EMPTY]
        take(Tabs(browser, empty), [one for one in wanted if options.only in one.name], options.folder)
    with farm(workers=True) as busy, chromium() as browser:
        tabs = Tabs(browser, busy)
        scene = play(busy, tabs)
        wanted = [picture for route in PAGES for picture in pictures(route, scene)]
        take(tabs, [one for one in wanted if options.only in one.name], options.folder)


@contextmanager
def farm(workers: bool) -> Iterator[Farm]:
    """Two coordinators behind a proxy; with workers: two that work, and one that is leaving."""
    with tempfile.TemporaryDirectory(prefix="ffgrid-pictures-") as name:
        folder = Path(name)
        with (
            Farm.start(folder, workers=0, options=("--appendonly", "yes")) as started,
            behind("haproxy", started, folder),
        ):
            for worker, slots in (("tower", 2), ("attic", 1), ("den", 1)) if workers else ():
                started.start_worker(worker, slots)
            yield started


def play(farm: Farm, tabs: Tabs) -> Scene:
    """Films that are transcoded, that failed, that wait, and that nobody can transcode."""
    backstage, root = Backstage(farm), farm.client_root
    backstage.remember(_day())
    long = farm.media("long.mkv", 600)  # so that it still runs when the last picture is taken
    for film in FILMS:
        (root / film).parent.mkdir(parents=True, exist_ok=True)
        os.link(long, root / film)
    hevc = root / "The Lighthouse Keeper (2019)/The Lighthouse Keeper (2019) HEVC.mkv"
    done = [
        submit(farm, "-y", "-t", str(seconds), "-i", root / FILMS[0], *X264, root / f"ready-{seconds}.mkv")
        for seconds in (3, 5, 8)
    ]
    failed = submit(
        farm, "-y", "-i", root / "Night Train to Lisbon (2013)/missing.srt", root / "subtitles.ass"
    )
    broken = submit(farm, "-y", "-i", root / FILMS[1], "-vf", "scale=1280:-3:flags=nope", root / "broken.mkv")
    for job_id, state in ((done[-1], "done"), (failed, "failed"), (broken, "failed")):
        until(lambda job_id=job_id, state=state: farm.job(job_id)["state"] == state, 90)  # type: ignore[misc]
    look_at_files(tabs, done[-1])  # while there is a slot
    lost = backstage.take(
        "basement", {"gpu": "nvidia"}, "Old film reels/reel 12", host="basement.lan", slots=4
    )
    backstage.report(lost, [{"fraction": 0.4, "fps": 212.0, "speed": 8.8}])
    backstage.end(lost, "fail", signal=9, reason="the worker's host was out of memory", cause="oom")
    outputs = (hevc, *(root / f"{name}.mkv" for name in ("lisbon", "north", "again")))
    running = [  # as many as there are slots
        submit(farm, "-y", "-readrate", rate, "-i", root / film, *X264, out)
        for film, rate, out in zip((*FILMS, FILMS[0]), ("2", "1.6", "1.2", "1"), outputs, strict=True)
    ]
    until(lambda: all(((farm.job(one)["progress"] or {}).get("fraction") or 0) > 0.03 for one in running), 60)
    farm.ffgrid("drain", "den")
    nvenc = root / "nvenc.mkv"
    nobody = submit(farm, "-y", "-i", root / FILMS[2], "-c:v", "hevc_nvenc", "-preset", "p5", nvenc)
    waits = backstage.queue(24, {}, "Home videos/Christmas 2024", "low")
    backstage.cancel(waits[3], "cancelled by otto")
    for person in ("otto", "vera"):
        farm.signed_in(person, {"otto": "operator"}.get(person, "viewer"))
    jobs = {"running": running[0], "done": done[-1], "failed": broken, "nobody": nobody}
    return Scene(jobs, backstage.link())


def look_at_files(tabs: Tabs, job_id: str) -> None:
    """Has a worker look at what a finished job has made, so that its page can show it."""
    page = tabs.open(f"/jobs/{job_id}", "operator")
    page.get_by_role("button", name="Look at the files").click()
    page.locator("#job-media img").first.wait_for(timeout=60_000)
    page.context.close()


def pictures(route: Guarded, scene: Scene) -> Iterator[Picture]:
    """Those of one page: of a job for each that is of interest."""
    jobs = list(scene.jobs.values())
    users = {"name": ["vera"], "link": [scene.link]}
    places = {"job_id": jobs, "hostile": jobs[:1], "worker_id": ["tower", "basement"], **users}
    for address in route.addresses(places):
        name = address
        for state, job_id in scene.jobs.items():
            name = name.replace(job_id, state)
        yield Picture(_word(name.partition("?")[0]), address, route.role and "admin")


def take(tabs: Tabs, wanted: list[Picture], folder: Path) -> None:
    """Each in light, dark and on a phone."""
    for scheme, (width, height) in SCHEMES.items():
        contexts = {
            role: tabs.visitor(role, "dark" if scheme == "dark" else "light", width, height)
            for role in {one.role for one in wanted}
        }
        for one in wanted:
            page = contexts[one.role].new_page()
            page.goto(tabs.url + one.address)
            settle(page)
            path = folder / f"{one.name.strip('-') or 'overview'}-{scheme}.png"
            page.screenshot(path=path, full_page=True, animations="disabled")
            if one.name in README and scheme in README[one.name]:
                page.screenshot(path=folder / f"readme-{path.name}", animations="disabled", scale="css")
            page.close()
            print(path)
    for complaint in tabs.complaints:
        print(f"complaint: {complaint}")
    tabs.close()


def settle(page: Page) -> None:
    """Waits until the page is live, if it will be."""
    if page.locator("#live").count():
        page.locator(".link [data-link=live]").wait_for()
    page.wait_for_load_state("load")


def _word(address: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", address.lower())


def _day() -> Iterator[dict[str, int]]:
    """What a busy day has left behind, a minute after the other."""
    done = failed = 0
    for minute in range(24 * 60):
        hour = minute / 60
        busy = max(0.0, sin((hour - 5) / 24 * 2 * pi)) + 0.25 * max(0.0, sin(hour * 1.7))
        done += round(busy * 2 + (minute % 7 == 0))
        failed += minute % 97 == 0
        yield {
            "queued": round(busy * 38 + minute % 5),
            "waiting": minute % 11 == 0,
            "running": min(4, round(busy * 6)),
            "workers": 3,
            "slots": 4,
            "finished:normal:done": done,
            "finished:normal:failed": failed,
        }


if __name__ == "__main__":
    main()
