"""Remembered answers: what is one, that it is given again byte for byte, and that nothing in the cache can hurt."""

from __future__ import annotations

import os
import posix
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.wire import attach as frames
from shim.answers import LIMIT, SETS, WAYS, Answer, Answers
from shim.questions import _ENVIRONMENT, Question, question
from shim.recording import Recording, is_still
from tests.shim.conftest import Fake, Place, answer, upgraded

Make = Callable[..., Fake]

ID = "01M7ZSCJGFM87A34V23JR094QD"
FLEET, OTHER = "0123456789abcdef", "fedcba9876543210"
KEYS = "-hide_banner -f lavfi -i nullsrc=s=1x1:d=1000 -f null -".split()
LISTING = b"key    function\n?      show this help\n"


def ask(binary: str, line: str) -> Question | None:
    return question(binary, line.split())


# What can be remembered


QUERIES = """
-version|-decoders|-encoders|-filters|-h filter=scale_cuda|-h bsf=dovi_rpu|-hwaccels|-hide_banner -version
-loglevel quiet -hwaccel_flags +low_priority -hide_banner -f lavfi -i nullsrc=s=1x1:d=100 -f null -
-hide_banner -f lavfi -i nullsrc=s=1x1:d=10000 -f null -
-v verbose -hide_banner -init_hw_device vaapi=va:/dev/dri/renderD128
-v verbose -hide_banner -init_hw_device drm=dr:/dev/dri/renderD128 -init_hw_device vulkan=vk@dr
-h|-bsfs|-formats|-protocols|-buildconf|-L|-pix_fmts|-layouts|-devices|-codecs|-muxers|-demuxers|-h full
"""


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment of these tests that belongs to a question."""
    for name in _ENVIRONMENT:
        monkeypatch.delitem(posix.environ, name, raising=False)


@pytest.mark.parametrize("line", QUERIES.strip().replace("\n", "|").split("|"))
def test_what_a_server_asks_at_its_start_is_a_question(line: str) -> None:
    asked = ask("ffmpeg", line)

    assert asked
    assert asked.kind == "queries"
    assert asked.wants_keys == line.startswith("-hide_banner -f lavfi")


@pytest.mark.parametrize(
    "line", ["-version", "-pix_fmts", "-loglevel quiet -f lavfi -i nullsrc=s=1x1:d=1 -only_first_vframe"]
)
def test_what_it_asks_ffprobe_is_one_too(line: str) -> None:
    assert ask("ffprobe", line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "-i a.mkv -f null -",
        "-sources alsa",
        "-report -version",
        "-init_hw_device vaapi -i a.mkv b.mkv",
        "-init_hw_device vaapi -progress p",
        "-hide_banner -f lavfi -i nullsrc=s=1x1:d=1000 -f null /tmp/x",
        "-hide_banner -f lavfi -i nullsrc=s=1x1:d=x -f null -",
        "-f lavfi -i nullsrc=s=1x1:d=1000 -f null -",
    ],
)
def test_what_does_something_is_none(line: str) -> None:
    assert ask("ffmpeg", line) is None


def test_a_report_that_the_environment_asks_for_is_written_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(posix.environ, b"FFREPORT", b"file=x")

    assert ask("ffmpeg", "-version") is None


def test_colours_that_the_environment_asks_for_are_another_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = a_query().key
    monkeypatch.setitem(posix.environ, b"AV_LOG_FORCE_COLOR", b"1")

    assert a_query().key != plain


def test_questions_that_differ_have_different_keys() -> None:
    lines = ["-version", "-h full", "-h", "-hide_banner -version", "-v quiet -version"]
    asked = [ask(binary, line) for binary in ("ffmpeg", "ffprobe") for line in lines]

    assert len({one.key for one in asked if one}) == len(asked)
    split, joined = question("ffmpeg", ["-h", "a b"]), question("ffmpeg", ["-h", "a", "b", "-version"])
    assert not joined or not split or joined.key != split.key


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that looks like media, in the current directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a b.mkv"
    path.write_bytes(b"\x1aE\xdf\xa3\x01\0\0\0media")
    return path


@pytest.mark.parametrize(
    "args",
    [
        ["a b.mkv"],
        ["-i", "a b.mkv"],
        ["-v", "error", "-of", "json", "-show_format", "-show_streams", "file:a b.mkv"],
        [
            "-analyzeduration",
            "200M",
            "-i",
            "file:{}",
            "-threads",
            "0",
            "-print_format",
            "json",
            "-show_streams",
        ],
        ["-read_intervals", "%+#1", "-select_streams", "v", "-show_frames", "{}"],
    ],
)
def test_a_look_at_one_local_file_is_a_probe(film: Path, args: list[str]) -> None:
    asked = question("ffprobe", [arg.replace("{}", str(film)) for arg in args])

    assert asked
    assert asked.kind == "probes"


@pytest.mark.parametrize(
    "args",
    [
        ["nothing.mkv"],
        ["."],
        ["-"],
        ["-i", "pipe:0"],
        ["-i", "a b.mkv", "-i", "a b.mkv"],
        ["-o", "out.json", "a b.mkv"],
        ["-f", "concat", "a b.mkv"],
        ["-f", "lavfi", "a b.mkv"],
        ["-enable_drefs", "1", "a b.mkv"],
        ["-cookies", "/etc/x", "a b.mkv"],
        ["-/v", "level", "a b.mkv"],
        ["-report", "a b.mkv"],
        ["concat:a b.mkv"],
        ["subfile,,start,0,end,0,,:a b.mkv"],
        ["http://host/a.mkv"],
        ["%d.mkv"],
        ["%03d.mkv"],
        ["%*.mkv"],
        ["/dev/null"],
    ],
)
def test_a_look_at_anything_else_is_none(film: Path, args: list[str]) -> None:
    for name in ("%d.mkv", "%03d.mkv", "%*.mkv", "concat:a b.mkv"):
        film.with_name(name).write_bytes(film.read_bytes())

    assert question("ffprobe", args) is None


def test_a_percent_sign_alone_stands_for_nothing(film: Path) -> None:
    film.with_name("50% so.mkv").write_bytes(film.read_bytes())

    assert question("ffprobe", ["50% so.mkv"])


def test_a_changed_file_is_another_question(film: Path) -> None:
    def key() -> bytes:
        asked = question("ffprobe", [str(film)])
        assert asked
        return asked.key

    keys = [key()]
    os.utime(film, (0, 0))
    keys.append(key())
    film.write_bytes(film.read_bytes() + b"!")
    keys.append(key())
    content = film.read_bytes()
    film.rename(film.with_name("old"))
    film.write_bytes(content)
    keys.append(key())

    assert len(set(keys)) == 4


def test_a_relative_name_is_another_question_elsewhere(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (film.parent / "below").mkdir()
    os.link(film, film.parent / "below" / film.name)
    here = question("ffprobe", [film.name])
    monkeypatch.chdir(film.parent / "below")
    below = question("ffprobe", [film.name])

    assert here
    assert below
    assert here.key != below.key
    assert here.identity == below.identity


def test_a_file_is_remembered_only_when_it_has_been_left_alone_for_a_while(film: Path) -> None:
    os.utime(film, (1, 1))  # what wrote it may say another time
    asked = question("ffprobe", [str(film)])
    assert asked
    changed = film.stat().st_ctime

    assert not is_still(asked, changed)
    assert not is_still(asked, changed + 4.9)
    assert is_still(asked, changed + 5.1)
    film.write_bytes(film.read_bytes() + b"more")
    assert not is_still(asked, changed + 1000)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.txt", b"ffconcat version 1.0\nfile a.mkv\n"),
        ("a.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:3\n"),
        ("a.mkv", b"#EXTM3U\n"),
        ("a.mpd", b"<?xml version='1.0'?><MPD/>"),
        ("a.sdp", "c=IN IP4 é".encode()),
        ("a.cue", b'FILE "a.wav" WAVE\r\n'),
        ("a.idx", b"# VobSub index file, v7\n\f"),
        ("a.MLV", b"MLVI\0\0\0\1"),
        ("empty.mkv", b""),
    ],
)
def test_a_list_of_other_files_is_never_remembered(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    asked = question("ffprobe", [str(tmp_path / name)])

    assert asked
    assert not is_still(asked, time.time() + 1000)


# The store


@pytest.fixture
def store(tmp_path: Path) -> Answers:
    return Answers(str(tmp_path / "no" / "cache"), "http://here\n")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def told(found: Answer | None) -> tuple[int, bytes, bytes] | None:
    return found and (found.code, found.stdout, found.stderr)


@given(
    st.sampled_from(list(SETS)),
    st.binary(),
    st.integers(0, 255),
    st.binary(max_size=9999),
    st.binary(max_size=99),
)
def test_what_is_kept_is_found(
    tmp_path_factory: pytest.TempPathFactory, kind: str, key: bytes, code: int, out: bytes, err: bytes
) -> None:
    store = Answers(str(tmp_path_factory.getbasetemp() / "kept"), "")

    store.keep(kind, key, FLEET, Answer(code, out, err))

    assert told(store.find(kind, key, FLEET)) == (code, out, err)
    assert store.find(kind, key + b"x", FLEET) is None
    assert store.find(kind, key, OTHER) is None


def test_only_this_user_can_read_it(tmp_path: Path, store: Answers) -> None:
    store.keep("queries", b"k", FLEET, Answer(0, b"out", b""))
    store.heard(FLEET)

    made = list((tmp_path / "no").rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}
    assert len(files(tmp_path)) == 2


def test_it_cannot_grow_beyond_its_places_and_the_oldest_goes_first(
    tmp_path: Path, store: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SETS, "queries", 16)
    for number in range(500):
        store.keep("queries", b"%d" % number, OTHER, Answer(0, b"", b""))
    for path in files(tmp_path):
        os.utime(path, (1, 1))
    for number in range(20):
        store.keep("queries", b"%d" % number, FLEET, Answer(0, b"%d" % number, b""))

    assert len(files(tmp_path)) == 16 * WAYS
    found = [store.find("queries", b"%d" % number, FLEET) for number in range(20)]
    assert [one and one.stdout for one in found] == [b"%d" % number for number in range(20)]


def test_an_answer_of_a_megabyte_is_not_kept(tmp_path: Path, store: Answers) -> None:
    store.keep("probes", b"k", FLEET, Answer(0, bytes(LIMIT), b""))

    assert files(tmp_path) == []


def one_file(tmp_path: Path, store: Answers) -> Path:
    store.keep("queries", b"key", FLEET, Answer(3, b"out", b"err"))
    (path,) = files(tmp_path)
    return path


def test_a_file_that_was_cut_or_changed_anywhere_is_no_answer(tmp_path: Path, store: Answers) -> None:
    path = one_file(tmp_path, store)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at])
        assert store.find("queries", b"key", FLEET) is None, at
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        assert store.find("queries", b"key", FLEET) is None, at
    path.write_bytes(whole + b"x")
    assert store.find("queries", b"key", FLEET) is None
    path.write_bytes(whole)
    assert told(store.find("queries", b"key", FLEET)) == (3, b"out", b"err")


@given(st.binary(max_size=300) | st.text("ffgrid-1 0239\n").map(str.encode))
def test_rubbish_is_no_answer(tmp_path_factory: pytest.TempPathFactory, rubbish: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "rubbish"
    store = Answers(str(folder), "http://here")
    store.keep("queries", b"key", FLEET, Answer(0, b"", b""))
    store.heard(FLEET)
    for path in files(folder):
        path.write_bytes(rubbish)

    assert store.find("queries", b"key", FLEET) is None
    assert store.fleet() == ("", True)
    store.keep("queries", b"key", FLEET, Answer(0, b"good", b""))
    store.heard(FLEET)
    assert told(store.find("queries", b"key", FLEET)) == (0, b"good", b"")
    assert store.fleet() == (FLEET, False)
    for path in files(folder):
        path.unlink()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/etc/passwd")])
def test_what_is_no_file_is_no_answer(tmp_path: Path, store: Answers, make: Callable[[Path], None]) -> None:
    path = one_file(tmp_path, store)
    path.unlink()
    make(path)

    assert store.find("queries", b"key", FLEET) is None
    store.keep("queries", b"key", FLEET, Answer(0, b"", b""))
    assert store.find("queries", b"key", FLEET)


def test_what_somebody_else_has_put_there_is_no_answer(
    tmp_path: Path, store: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = one_file(tmp_path, store)
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        monkeypatch.setattr(posix, "geteuid", lambda: 12345)

    assert store.find("queries", b"key", FLEET) is None


@pytest.mark.parametrize("folder", ["/proc/self/x", "/dev/null/x", "/etc/passwd", "/dev/full"])
def test_a_folder_that_cannot_be_written_is_no_cache_and_no_error(folder: str) -> None:
    store = Answers(folder, "")

    store.heard(FLEET)
    store.keep("queries", b"key", FLEET, Answer(0, b"", b""))

    assert store.fleet() == ("", True)
    assert store.find("queries", b"key", FLEET) is None


def test_what_a_killed_process_was_writing_is_in_nobodys_way_for_long(tmp_path: Path, store: Answers) -> None:
    one_file(tmp_path, store)
    left = tmp_path / "no" / "cache" / f"new-{os.getpid() & 0xFF:02x}"
    left.write_bytes(b"half")

    for _ in range(2):
        store.keep("queries", b"another", FLEET, Answer(0, b"", b""))

    assert store.find("queries", b"another", FLEET)
    assert not left.exists()


def test_many_at_once_leave_whole_answers_only(tmp_path: Path) -> None:
    code = (
        "import sys; from shim.answers import *; a = Answers(sys.argv[1], '')\n"
        "for n in range(300): a.keep('queries', b'k', 'f', Answer(0, sys.argv[2].encode() * 9999, b''))"
    )
    folder = str(tmp_path / "cache")
    store, seen = Answers(folder, ""), set()
    writers = [subprocess.Popen([sys.executable, "-c", code, folder, letter]) for letter in "abc"]
    while any(writer.poll() is None for writer in writers):
        seen.add(told(store.find("queries", b"k", "f")))

    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert seen - {None} <= {(0, letter * 9999, b"") for letter in (b"a", b"b", b"c")}
    assert store.find("queries", b"k", "f")
    assert len(files(tmp_path)) <= WAYS


# The fleet


def test_a_fleet_is_believed_for_a_minute(tmp_path: Path, store: Answers) -> None:
    assert store.fleet() == ("", True)
    store.heard(FLEET)
    assert store.fleet() == (FLEET, False)
    (path,) = files(tmp_path)
    for ago in (61, -61):
        os.utime(path, (time.time() - ago,) * 2)
        assert store.fleet() == (FLEET, True)
    store.asked()
    assert store.fleet() == (FLEET, False)
    store.heard("")
    assert store.fleet() == (FLEET, False)
    store.heard(OTHER)
    assert store.fleet() == (OTHER, False)


def test_other_coordinators_have_other_fleets(tmp_path: Path, store: Answers) -> None:
    store.heard(FLEET)

    assert Answers(str(tmp_path / "no" / "cache"), "http://there\n").fleet() == ("", True)


# What is recorded


class Noted(Answers):
    """Answers that only say what they were told to keep."""

    def __init__(self) -> None:
        super().__init__("/nonexistent", "")
        self.kept: list[Answer] = []

    def keep(self, kind: str, key: bytes, fleet: str, answer: Answer) -> None:
        self.kept.append(answer)


def recorded(
    asked: Question,
    *told: tuple[bytes, bytes],
    said: tuple[tuple[bytes, bytes], ...] = ((frames.STDOUT, b"out"), (frames.STDERR, b"err")),
    ending: frames.Exit | None = None,
    fleet: str = FLEET,
) -> list[Answer]:
    store = Noted()
    recording = Recording(store, asked, {"ffgrid-fleet": fleet})
    for kind, payload in told:
        recording.told(kind, payload)
    for kind, payload in said:
        recording.said(kind, payload)
    recording.keep(ending or frames.Exit(0, None, ""))
    return store.kept


def a_query() -> Question:
    asked = ask("ffmpeg", "-version")
    assert asked
    return asked


def test_a_whole_answer_is_recorded() -> None:
    said = ((frames.STDOUT, b"a"), (frames.STDERR, b"x"), (frames.STDOUT, b"b"), (frames.STDERR, b"y"))
    told = [(frames.EOF, b""), (frames.WINDOW, frames.pack(3))]

    (kept,) = recorded(a_query(), *told, said=said, ending=frames.Exit(7, None, ""))

    assert (kept.code, kept.stdout, kept.stderr) == (7, b"ab", b"xy")


@pytest.mark.parametrize(
    "frame",
    [(frames.SIGNAL, b"\x0f"), (frames.CLOSED, frames.STDOUT), (frames.STDIN, b"q")],
)
def test_a_disturbed_one_is_not(frame: tuple[bytes, bytes]) -> None:
    assert recorded(a_query(), frame) == []


@pytest.mark.parametrize("ending", [frames.Exit(None, 15, ""), frames.Exit(None, None, "lost")])
def test_one_that_did_not_end_by_itself_is_not(ending: frames.Exit) -> None:
    assert recorded(a_query(), ending=ending) == []


def test_one_of_nobody_knows_whom_is_not() -> None:
    assert recorded(a_query(), fleet="") == []


def test_a_long_one_is_not_and_takes_no_memory() -> None:
    recording = Recording(Noted(), a_query(), {"ffgrid-fleet": FLEET})
    for _ in range(40):
        recording.said(frames.STDOUT, bytes(1 << 16))

    assert not any(recording._said.values())
    assert recorded(a_query(), said=((frames.STDOUT, bytes(LIMIT + 1)),)) == []


def test_keys_that_came_too_late_are_asked_for_again() -> None:
    asked = question("ffmpeg", KEYS)
    assert asked
    asked.stdin = b"?"

    assert recorded(asked, (frames.STDIN, b"?"), said=((frames.STDERR, b"frame=1"),)) == []
    assert len(recorded(asked, (frames.STDIN, b"?"), said=((frames.STDERR, LISTING),))) == 1


# Calls


@dataclass
class Client:
    """A launcher whose coordinator is a fake, and its cache."""

    place: Place
    coordinator: Fake
    launcher: Path

    @property
    def folder(self) -> Path:
        return self.place.folder / ".cache" / "ffgrid"

    @property
    def store(self) -> Answers:
        return Answers(str(self.folder), f"{self.coordinator.url}\n")

    def knows(self, out: bytes, err: bytes = b"", code: int = 0, args: list[str] | None = None) -> None:
        """Puts an answer into the cache."""
        asked = question("ffmpeg", args or ["-version"])
        assert asked
        self.store.heard(FLEET)
        self.store.keep(asked.kind, asked.key, FLEET, Answer(code, out, err))

    def forgets_when_it_asked(self) -> None:
        for path in (self.folder / "fleets").iterdir():
            os.utime(path, (1, 1))

    def run(self, *args: str, **options: object) -> subprocess.CompletedProcess[bytes]:
        return self.place.run(self.launcher, *args, **options)  # type: ignore[arg-type]


def accepted(fleet: str = FLEET) -> bytes:
    body = {"id": ID, "qualified": 1, "new": True}
    return answer(201, body, Location=f"/v1/jobs/{ID}", FFGrid_Fleet=fleet)


def says(out: bytes, err: bytes = b"", code: int = 0) -> Callable[[str], bytes]:
    ending = frames.Exit(code, None, "")
    parts = [(frames.STDOUT, out), (frames.STDERR, err), (frames.EXIT, ending.encode())]
    return upgraded(*(frames.encode(kind, number, data) for number, (kind, data) in enumerate(parts, 1)))


@pytest.fixture
def client(place: Place, fake: Make) -> Callable[..., Client]:
    """Makes clients whose coordinator answers as told."""

    def make(*said: bytes | Callable[[str], bytes], flags: tuple[str, ...] = ()) -> Client:
        coordinator = fake(*said)
        return Client(place, coordinator, place.install(*flags, url=coordinator.url))

    return make


def requests(coordinator: Fake) -> list[str]:
    return [" ".join(head.split(" ", 2)[:2]) for head, _ in coordinator.asked]


def told_of(done: subprocess.CompletedProcess[bytes]) -> tuple[int, bytes, bytes]:
    return done.returncode, done.stdout, done.stderr


Clients = Callable[..., Client]


def test_what_was_said_is_said_again_without_asking_anybody(client: Clients) -> None:
    one = client(accepted(), says(b"out\n", b"err\n", 3), b"")

    first, second = one.run("-encoders"), one.run("-encoders")

    assert told_of(first) == told_of(second) == (3, b"out\n", b"err\n")
    assert requests(one.coordinator) == ["POST /v1/jobs", f"GET /v1/jobs/{ID}/attach?after=0"]


def test_without_a_fleet_in_the_answer_nothing_is_remembered(client: Clients) -> None:
    one = client(answer(201, {"id": ID}, Location=f"/v1/jobs/{ID}"), says(b"out"))

    assert one.run("-encoders").stdout == b"out"
    assert not one.folder.exists()


def test_after_a_minute_the_fleet_is_asked_for(client: Clients) -> None:
    one = client(answer(200, {}, FFGrid_Fleet=FLEET), flags=("--label", "gpu=a b&c", "--label", "site=é"))
    asked = question("ffmpeg", ["-version"])
    assert asked
    store = Answers(str(one.folder), f"{one.coordinator.url}\ngpu=a b&c,site=é")
    store.heard(FLEET)
    store.keep("queries", asked.key, FLEET, Answer(0, b"known", b""))
    one.forgets_when_it_asked()

    assert [one.run("-version").stdout for _ in range(2)] == [b"known", b"known"]
    assert requests(one.coordinator) == ["GET /v1/fleet?label=gpu%3Da%20b%26c&label=site%3D%C3%A9"]


def test_another_fleet_is_asked_anew(client: Clients) -> None:
    one = client(answer(200, {}, FFGrid_Fleet=OTHER), accepted(OTHER), says(b"new"))
    one.knows(b"old")
    assert one.run("-version").stdout == b"old"
    one.forgets_when_it_asked()

    assert [one.run("-version").stdout for _ in range(2)] == [b"new", b"new"]
    assert [line.split("?")[0] for line in requests(one.coordinator)] == [
        "GET /v1/fleet",
        "POST /v1/jobs",
        f"GET /v1/jobs/{ID}/attach",
    ]


@pytest.mark.parametrize("said", [b"", answer(503, {}), answer(404, b"x"), answer(200, {}, FFGrid_Fleet="")])
def test_when_nobody_names_a_fleet_the_answers_stay_good(client: Clients, said: bytes) -> None:
    one = client(said)
    one.knows(b"known", b"err", 1)
    one.forgets_when_it_asked()

    assert [told_of(one.run("-version")) for _ in range(3)] == [(1, b"known", b"err")] * 3
    assert len(one.coordinator.asked) == 1


def test_a_coordinator_that_never_answers_is_waited_for_once(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        launcher = place.install(url=url)
        store, asked = Answers(str(place.folder / ".cache/ffgrid"), f"{url}\n"), a_query()
        store.heard(FLEET)
        store.keep("queries", asked.key, FLEET, Answer(0, b"known", b""))
        for path in (place.folder / ".cache/ffgrid/fleets").iterdir():
            os.utime(path, (1, 1))

        said = [place.run(launcher, "-version").stdout for _ in range(3)]

        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert said == [b"known"] * 3


@pytest.mark.parametrize("folder", ["", "relative", "/proc/self/nowhere", "/dev/null"])
def test_without_a_cache_each_call_is_made(client: Clients, folder: str) -> None:
    one = client(accepted(), says(b"a"), accepted(), says(b"b"))

    said = [one.run("-version", env={"FFGRID_CACHE": folder}) for _ in range(2)]

    assert [told_of(done) for done in said] == [(0, b"a", b""), (0, b"b", b"")]
    assert not one.folder.exists()
    assert not (one.place.root / "relative").exists()


def test_the_environment_says_where_the_cache_is(client: Clients, tmp_path: Path) -> None:
    one = client(accepted(), says(b"a"), b"")
    elsewhere = {"FFGRID_CACHE": str(tmp_path / "elsewhere")}

    assert [one.run("-version", env=elsewhere).stdout for _ in range(2)] == [b"a", b"a"]
    assert len(files(tmp_path / "elsewhere")) == 2
    assert not one.folder.exists()


def test_an_answer_needs_no_key(client: Clients) -> None:
    one = client(b"")
    one.knows(b"known")
    one.place.key_file.unlink()

    assert told_of(one.run("-version")) == (0, b"known", b"")


@pytest.mark.parametrize("args", [["-version"], ["-hide_banner", "-version"]])
def test_a_reader_that_leaves_ends_it_as_it_ends_the_real_one(client: Clients, args: list[str]) -> None:
    one = client(b"")
    one.knows(b"x" * 500_000, args=args)
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    with subprocess.Popen([one.launcher, *args], **pipes) as process:  # type: ignore[call-overload]
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read()

    assert (process.returncode, said) == (-signal.SIGPIPE, b"")


def test_a_slow_reader_without_blocking_gets_every_byte(client: Clients) -> None:
    one = client(b"")
    content = bytes(range(256)) * 2000
    one.knows(content)
    read, write = os.pipe()
    os.set_blocking(write, False)

    with subprocess.Popen([one.launcher, "-version"], stdout=write, stdin=subprocess.DEVNULL) as process:
        os.close(write)
        with open(read, "rb", buffering=0) as pipe:
            received = b""
            while data := pipe.read(1000):
                received += data

    assert (process.returncode, received == content) == (0, True)


@pytest.mark.parametrize("closing", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_in_nobodys_way(client: Clients, closing: str) -> None:
    one = client(answer(200, {}, FFGrid_Fleet=FLEET))
    one.knows(b"out", b"err", 5)
    one.forgets_when_it_asked()

    done = subprocess.run(
        ["sh", "-c", f'"$0" -version {closing}', one.launcher], capture_output=True, cwd="/"
    )

    assert done.returncode == 5
    assert done.stdout == (b"" if ">&-" in closing.replace("2>&-", "") else b"out")
    assert done.stderr == (b"" if "2>&-" in closing else b"err")


# The keys


def test_the_keys_are_asked_for_once(client: Clients) -> None:
    one = client(accepted(), says(b"", LISTING), b"")

    first, second = (one.run(*KEYS, stdin=None, input=b"?") for _ in range(2))

    assert told_of(first) == told_of(second) == (0, b"", LISTING)
    assert len(one.coordinator.asked) == 2


@pytest.mark.parametrize("text", [b"?", b"?\n", b"q", b"", b"?" * 500])
def test_what_was_read_is_there_for_the_local_program(place: Place, text: bytes) -> None:
    done = place.run(place.install(), *KEYS, stdin=None, input=text)

    assert done.stdout.startswith(b"local ")
    assert done.stdout.split(b"\n")[-1 - text.count(b"\n") :] == text.split(b"\n")


def test_an_input_that_goes_on_is_left_alone(place: Place) -> None:
    launcher = place.install()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}

    with subprocess.Popen([launcher, *KEYS], cwd=place.root, env={}, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(b"?")
        process.stdin.flush()
        first = process.stdout.readline()  # the local program has begun: it was not waited for any longer
        out, _ = process.communicate(b"?")

    assert first.startswith(b"local ")
    assert out.endswith(b"??")


def test_a_socket_is_as_good_as_a_pipe(client: Clients) -> None:
    one = client(b"")
    asked = question("ffmpeg", KEYS)
    assert asked
    one.store.heard(FLEET)
    one.store.keep("queries", asked.key, FLEET, Answer(0, b"", LISTING))
    ours, theirs = socket.socketpair()

    with ours, theirs:
        ours.sendall(b"?")
        ours.shutdown(socket.SHUT_WR)
        done = one.run(*KEYS, stdin=theirs)

    assert told_of(done) == (0, b"", LISTING)


# What it costs


def test_an_answer_loads_nothing_that_only_calls_need(client: Clients) -> None:
    one = client(b"")
    one.knows(b"known")

    done = one.place.run(Path(sys.executable), "-ISXimporttime", str(one.launcher), "-version")

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    ours = {name for name in loaded if name.startswith(("shim", "app"))}
    assert done.stdout == b"known"
    assert ours <= {
        "app",
        "app.wire",
        "app.wire.command",
        "shim",
        "shim.start",
        "shim.questions",
        "shim.answers",
    }
    assert not loaded & {
        "select",
        "_socket",
        "socket",
        "hashlib",
        "_hashlib",
        "json",
        "re",
        "enum",
        "os.path",
    }
