"""A client with a key tries to read and write files of a worker's host that are in no root, in both modes."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.cli.client import Client
from app.cli.errors import Failure
from app.wire import keyfile
from tests.farm import ROOT_NAME, Farm, until

WORDS = "the secret of this host"
SUBTITLES = f"1\n00:00:00,000 --> 00:00:01,000\n{WORDS}\n"
LIST = "ffconcat version 1.0\nfile {}\n"

Args = list[Any]


@dataclass
class Scene:
    """An attack's own directory in the root, the secret beside the root, a process of the host."""

    folder: Path
    secret: Path
    pid: int

    def at(self, name: str) -> Args:
        """A file of that directory, as a client names it."""
        return [{"root": ROOT_NAME}, f"/{self.folder.name}/{name}"]

    def put(self, name: str, text: str) -> Args:
        (self.folder / name).write_text(text, newline="")
        return self.at(name)

    def link(self, name: str, target: str | Path) -> Args:
        (self.folder / name).symlink_to(target)
        return self.at(name)


def shown(url: Any, *before: Any, **fields: Any) -> tuple[Args, dict[str, Any]]:
    """A command that prints the subtitles that it reads."""
    return [*before, "-i", url, "-f", "srt", "-"], fields


def attached(scene: Scene, url: Any) -> tuple[Args, dict[str, Any]]:
    """A command that puts a file into a film."""
    tags = ["-metadata:s:t", "mimetype=text/plain"]
    return [*SILENCE, "-attach", url, *tags, "-y", scene.at("x.mkv")], {}


def filtered(scene: Scene, text: Any, *more: Any) -> tuple[Args, dict[str, Any]]:
    return [*SILENCE, "-vf", text, "-frames:v", "1", *more, "-f", "null", "-"], {}


SILENCE: Args = ["-f", "lavfi", "-i", "color=s=32x32:d=0.1"]
TO_PROC = "/proc/{}/root{}"
Attack = Callable[[Scene], tuple[Args, dict[str, Any]]]

READS: dict[str, Attack] = {
    "plain": lambda s: shown(str(s.secret)),
    "file url": lambda s: shown(f"file:{s.secret}"),
    "two slashes": lambda s: shown(f"async:/{s.secret}"),
    "pieces": lambda s: shown(["", {"b64": base64.b64encode(str(s.secret).encode()).decode()}]),
    "climbing": lambda s: shown(s.at("../../../secret.srt")),
    "relative": lambda s: shown("../../../secret.srt", cwd=s.at("")),
    "a sibling": lambda s: shown([{"root": ROOT_NAME}, "/../../secret.srt"]),
    "link": lambda s: shown(s.link("l.srt", s.secret)),
    "link of a directory": lambda s: shown([*s.link("l", s.secret.parent), "/secret.srt"]),
    "link as directory": lambda s: shown("secret.srt", cwd=s.link("l", s.secret.parent)),
    "link to the top": lambda s: shown(str(s.secret)[1:], cwd=s.link("l", "/")),
    "process": lambda s: shown(TO_PROC.format(s.pid, s.secret)),
    "link to a process": lambda s: shown(s.link("l.srt", TO_PROC.format(s.pid, s.secret))),
    "list": lambda s: shown(s.put("list", LIST.format(s.secret)), "-f", "concat", "-safe", "0"),
    "list with slashes": lambda s: shown(
        s.put("list", LIST.format(f"/{s.secret}")), "-f", "concat", "-safe", "0"
    ),
    "list that climbs": lambda s: shown(s.put("list", LIST.format("../../../secret.srt")), "-safe", "0"),
    "list of a process": lambda s: shown(
        s.put("list", LIST.format(TO_PROC.format(s.pid, s.secret))), "-safe", "0"
    ),
    "long list": lambda s: shown(
        s.put("list", f"ffconcat version 1.0\n{'#' * (1 << 20)}\nfile {s.secret}\n"), "-safe", "0"
    ),
    "list in data": lambda s: shown(
        f"data:x/x;base64,{base64.b64encode(LIST.format(s.secret).encode()).decode()}",
        "-f",
        "concat",
        "-safe",
        "0",
    ),
    "attached": lambda s: attached(s, f"async:{s.secret}"),
    "attached address": lambda s: attached(s, f"async:/{s.secret}"),
    "attached link": lambda s: attached(s, s.link("l.txt", s.secret)),
    "concat": lambda s: shown(["concat:", *s.put("a.srt", ""), f"|{s.secret}"], "-f", "srt"),
    "subfile": lambda s: shown(f"subfile,,start,0,end,0,,:{s.secret}", "-f", "srt"),
    "pattern": lambda s: shown(
        s.at("{.,x}./{.,x}./{.,x}./secret.srt"), "-f", "image2", "-pattern_type", "glob"
    ),
    "written": lambda s: shown([{"root": ROOT_NAME, "written": str(s.secret)}]),
    "view of the host": lambda s: shown(str(s.secret), view={ROOT_NAME: "/"}),
    "view of programs": lambda s: shown(str(s.secret), view={ROOT_NAME: "/usr"}),
    "view of programs again": lambda s: shown(str(s.secret), view={ROOT_NAME: "//usr"}),
    "view that climbs": lambda s: shown(s.at("../secret.srt"), view={ROOT_NAME: f"{s.folder}/.."}),
    "view of the secret": lambda s: shown(str(s.secret), view={ROOT_NAME: str(s.secret.parent)}),
    "as another user": lambda s: shown(s.link("l.srt", TO_PROC.format(s.pid, s.secret)), user=[65534, 65534]),
}

WRITES: dict[str, Attack] = {
    "plain": lambda s: ([*SILENCE, "-y", f"{s.secret.parent}/evil.mkv"], {"in_place": True}),
    "two slashes": lambda s: ([*SILENCE, "-y", f"async:/{s.secret.parent}/evil.mkv"], {}),
    "link": lambda s: ([*SILENCE, "-y", s.link("evil.mkv", s.secret.parent / "evil.mkv")], {"in_place": True}),
    "link of a directory": lambda s: ([*SILENCE, "-y", [*s.link("l", s.secret.parent), "/evil.mkv"]], {}),
    "link as directory": lambda s: (
        [*SILENCE, "-y", "evil.mkv"],
        {"in_place": True, "cwd": s.link("l", s.secret.parent)},
    ),
    "tee": lambda s: (
        [*SILENCE, "-f", "tee", "-map", "0", ["[f=avi]", *s.at("x"), f"|{s.secret.parent}/evil.avi"]],
        {},
    ),
    "tee's options": lambda s: (
        [*SILENCE, "-f", "tee", "-map", "0", [f"[f=segment:segment_list={s.secret.parent}/evil]", *s.at("%d.ts")]],
        {},
    ),
    "segment list": lambda s: (
        [*SILENCE, "-f", "segment", "-segment_list", f"{s.secret.parent}/evil", s.at("%d.ts")],
        {"in_place": True},
    ),
    "filter": lambda s: filtered(s, f"metadata=print:file={s.secret.parent}/evil"),
    "filter with slashes": lambda s: filtered(s, f"metadata=print:file=/{s.secret.parent}/evil"),
    "filter with a return": lambda s: filtered(s, f"metadata=print:file=\r{s.secret.parent}/evil"),
    "filter with escapes": lambda s: filtered(s, f"metadata=print:file=\\/{s.secret.parent}/evil"),
    "filter through a link": lambda s: filtered(
        s, ["metadata=print:file=", *s.link("l", s.secret.parent), "/evil", ":direct=1"]
    ),
    "written": lambda s: filtered(
        s, ["metadata=print:file=", {"root": ROOT_NAME, "written": f"{s.secret.parent}/evil"}]
    ),
    "log": lambda s: ([*SILENCE, "-pass", "1", "-passlogfile", f"{s.secret.parent}/evil", "-f", "null", "-"], {}),
    "progress": lambda s: ([*SILENCE, "-progress", f"async:/{s.secret.parent}/evil", "-f", "null", "-"], {}),
}  # fmt: skip


@dataclass
class Site:
    """A farm whose worker runs jobs in one mode."""

    farm: Farm
    client: Client
    secret: Path

    def scene(self) -> Scene:
        folder = self.farm.client_root / secrets.token_hex(6)
        folder.mkdir()
        folder.chmod(0o777)
        return Scene(folder, self.secret, holder_of(self.farm.workers[0].pid))

    def ran(self, args: Args, fields: dict[str, Any]) -> tuple[str, str]:
        """How the job ended ("refused" for one that no coordinator takes), and what was said."""
        view = {ROOT_NAME: str(self.farm.client_root)}
        job = {"key": secrets.token_hex(8), "binary": "ffmpeg", "args": args, "view": view, "max_attempts": 1}
        try:
            job_id = self.client.post("/v1/jobs", {**job, **fields})["id"]
        except Failure as failure:
            return "refused", str(failure)
        until(lambda: self.client.get(f"/v1/jobs/{job_id}")["state"] in ("done", "failed"))
        found = self.client.get(f"/v1/jobs/{job_id}")
        lines = list(self.client.lines(f"/v1/jobs/{job_id}/log"))
        return found["state"], f"{found} " + "".join(str(line.get("data", "")) for line in lines)


def holder_of(worker: int) -> int:
    """The process that holds a namespace of this worker; the worker itself when none does."""
    tasks = Path(f"/proc/{worker}/task").iterdir()
    children = [pid for task in tasks for pid in (task / "children").read_text().split()]
    held = [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "bwrap\n"]
    return held[0] if held else worker


@pytest.fixture(scope="module", params=["namespace", "rewrite"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A farm of the test's own, with a secret beside its root."""
    with Farm.start(tmp_path_factory.mktemp(request.param), webs=1, workers=0) as farm:
        farm.start_worker("w1", env={"FFGRID_SANDBOX": request.param})
        secret = farm.folder / "secret.srt"
        secret.write_text(SUBTITLES)
        yield Site(farm, Client([farm.urls], keyfile.parse(farm.key_file.read_text())), secret)


def left(folder: Path) -> bytes:
    """What files and not links an attack has left in its directory."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return b"".join(path.read_bytes() for path in files)


@pytest.mark.parametrize("name", READS)
def test_nothing_outside_the_roots_is_read(site: Site, name: str) -> None:
    scene = site.scene()

    ended, said = site.ran(*READS[name](scene))

    assert WORDS not in said, ended
    assert WORDS.encode() not in left(scene.folder), ended
    assert ended in ("refused", "failed"), said


@pytest.mark.parametrize("name", WRITES)
def test_nothing_outside_the_roots_is_written(site: Site, name: str) -> None:
    before = set(os.listdir(site.farm.folder))

    ended, said = site.ran(*WRITES[name](site.scene()))

    assert set(os.listdir(site.farm.folder)) == before, (ended, said)
    assert site.secret.read_text() == SUBTITLES


def escaped(path: str) -> str:
    """A path in a filter, once."""
    return "".join("\\" + one if one in "\\':[],;" else one for one in path)


def test_the_same_within_the_root_works(site: Site) -> None:
    scene = site.scene()
    inside = scene.put("inside.srt", SUBTITLES)
    listed = scene.put(
        "list",
        LIST.format(f"'{str(scene.folder).replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}/inside.srt'"),
    )

    for args, fields in (
        shown(inside),
        shown("inside.srt", cwd=scene.at("")),
        shown(listed, "-f", "concat", "-safe", "0"),
        shown(["concat:", *inside], "-f", "srt"),
        shown(scene.link("l.srt", "inside.srt")),
    ):
        ended, said = site.ran(args, fields)
        assert (ended, WORDS in said) == ("done", True), (args, said)
    written = {"root": ROOT_NAME, "written": escaped(escaped(str(site.farm.client_root)))}
    stats = ["metadata=print:file=", written, scene.at("stats")[1]]
    for args, fields in (attached(scene, inside), filtered(scene, stats)):
        ended, said = site.ran(args, fields)
        assert ended == "done", said
    assert (scene.folder / "stats").exists()
    assert WORDS.encode() in (scene.folder / "x.mkv").read_bytes()
