"""D. Paths: the same files, the same text."""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.farm import ROOT_NAME
from tests.whole.conformance.harness import (
    ANYWHERE,
    FARM,
    LOCAL,
    QUIET,
    Ending,
    Pair,
    Side,
    other_user,
)

NAME = 'It\'s a "film" (é, 50%) [x] $HOME\n2.mkv'
NO_TEXT = os.fsdecode(b"no UTF-8: \xff.mkv")
HASHES = ["-map", "0:v", "-c", "copy", "-f", "framemd5", "-"]
CODED = ["-c:v", "libx264", "-preset", "ultrafast", "-g", 25, "-threads", 1]

INPUTS = {
    "plain": "{path}",
    "no-text": "{bytes}",
    "file": "file:{path}",
    "file-slashes": "file://{path}",
    "async": "async:{path}",
    "async-file": "async:file:{path}",
    "cache": "cache:{path}",
    "subfile": "subfile,,start,0,end,0,,:{path}",
    "concat": "concat:{first}|{second}",
}


@pytest.mark.parametrize("url", INPUTS.values(), ids=INPUTS)
def test_d36_any_name_behind_any_protocol(pair: Pair, url: str) -> None:
    def case(side: Side) -> Ending:
        paths = {
            "path": side.film(NAME),
            "bytes": side.film(NO_TEXT),
            "first": side / f"{NAME}1.ts",
            "second": side / f"{NAME}2.ts",
        }
        if url.startswith("concat"):
            for part in ("first", "second"):
                side.make("-i", f"file:{paths['path']}", "-c", "copy", f"file:{paths[part]}")
        return side.run(*QUIET, "-i", url.format(**paths), *HASHES)

    _, shim = pair.same(case)

    assert (shim.status, shim.err) == (0, b"")
    assert shim.out.count(b"\n") > 100


OUTPUTS = {"plain": "{path}", "file": "file:{path}", "md5": "md5:{path}"}


@pytest.mark.parametrize("url", OUTPUTS.values(), ids=OUTPUTS)
def test_d36_any_name_for_an_output(pair: Pair, url: str) -> None:
    def case(side: Side) -> Ending:
        side.film()
        to = url.format(path=side / f"{NAME}.ts")
        return side.run("-nostdin", "-hide_banner", "-i", "in.mkv", "-c", "copy", "-f", "mpegts", to)

    _, shim = pair.same(case)

    assert shim.status == 0


def in_filter(path: Path) -> str:
    """A path between quotes in a filter's option, escaped as Jellyfin does it."""
    return str(path).replace(":", "\\:").replace("'", r"'\\\''").replace('"', '\\"')


def segments(side: Side) -> list[Path]:
    """The film in two parts."""
    side.film()
    side.make("-i", "in.mkv", "-c", "copy", "-f", "segment", "-segment_time", 2, "part%d.ts")
    return sorted(side.folder.glob("part*.ts"))


def test_d38_a_playlist_of_absolute_paths(pair: Pair) -> None:
    def case(side: Side) -> Ending:
        lines = [f"#EXTINF:2.0,\n{part}" for part in segments(side)]
        head = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2"]
        side.write("list.m3u8", "\n".join([*head, *lines, "#EXT-X-ENDLIST", ""]))
        return side.run("-nostdin", "-hide_banner", "-i", side / "list.m3u8", *HASHES)

    _, shim = pair.same(case)

    assert (shim.status, shim.out.count(b"\n") > 100) == (0, True)


def test_d38_a_list_for_concat(pair: Pair) -> None:
    """As Jellyfin writes them for discs: absolute paths, durations."""

    def case(side: Side) -> Ending:
        quoted = [str(part).replace("'", "'\\''") for part in segments(side)]
        lines = [f"file '{part}'\nduration 2" for part in quoted]
        side.write("list.concat", "\n".join([*lines, ""]))
        return side.run(
            "-nostdin", "-hide_banner", "-f", "concat", "-safe", 0, "-i", side / "list.concat", *HASHES
        )

    _, shim = pair.same(case)

    assert (shim.status, shim.out.count(b"\n") > 100) == (0, True)


SUBTITLES = "1\n00:00:00,000 --> 00:00:03,000\nIt's 50% [x]\n"


def with_subtitles(side: Side) -> str:
    """A filter that burns subtitles in, from a file with a name full of what filters give a meaning."""
    side.film()
    (side / "fonts").mkdir()
    text = side.write("it's a:b,c [x].srt", SUBTITLES)
    return f"subtitles=f='{in_filter(text)}':fontsdir='{in_filter(side / 'fonts')}'"


FILTERS = {"vf": ["-vf"], "filter_complex": ["-filter_complex"], "filter:v:0": ["-filter:v:0"]}


@pytest.mark.parametrize("option", FILTERS.values(), ids=FILTERS)
def test_d38_subtitles_as_jellyfin_escapes_them(pair: Pair, option: list[str]) -> None:
    def case(side: Side) -> Ending:
        graph = with_subtitles(side)
        return side.run(*QUIET, "-i", "in.mkv", *option, graph, "-an", "-t", 1, "-f", "framemd5", "-")

    _, shim = pair.same(case)

    assert (shim.status, shim.out.count(b"\n") > 25) == (0, True)


def test_d38_a_filter_script(pair: Pair) -> None:
    def case(side: Side) -> Ending:
        script = side.write("graph.txt", f"[0:v]{with_subtitles(side)}[out]")
        graph = ["-filter_complex_script", script, "-map", "[out]"]
        return side.run(*QUIET, "-i", side / "in.mkv", *graph, "-t", 1, "-f", "framemd5", "-")

    _, shim = pair.same(case)

    assert (shim.status, shim.out.count(b"\n") > 25) == (0, True)


def test_d38_a_film_in_a_lavfi_input(pair: Pair) -> None:
    def case(side: Side) -> Ending:
        film = in_filter(side.film(NAME.replace("\n", "").replace('"', "")))
        return side.run(*QUIET, "-f", "lavfi", "-i", f"movie='{film}'", "-t", 1, "-f", "framemd5", "-")

    _, shim = pair.same(case)

    assert (shim.status, shim.out.count(b"\n") > 25) == (0, True)


def test_d39_tee(pair: Pair, request: pytest.FixtureRequest) -> None:
    """A rewriting worker prints the outputs without the escapes that their root had."""

    def case(side: Side) -> Ending:
        side.film()
        folder = str(side.folder).replace("\\", "\\\\").replace("'", "\\'")
        outputs = f"[f=mpegts]{folder}/t1.ts|[f=matroska:onfail=ignore]{folder}/t2.mkv"
        done = side.run("-nostdin", "-i", side / "in.mkv", "-c", "copy", "-map", 0, "-f", "tee", outputs)
        return replace(done, err=done.err.replace(b"\\'", b"'")) if "rewrite" in request.node.name else done

    _, shim = pair.same(case)

    assert shim.status == 0
    assert {"t1.ts", "t2.mkv"} <= set(os.listdir(pair.shim.folder))


HLS = {
    "ts": ["-hls_segment_filename", "{R}/x%d.ts"],
    "fmp4": [
        *("-hls_segment_type", "fmp4", "-hls_segment_filename", "{R}/x%d.mp4"),
        *("-hls_fmp4_init_filename", "x-1.mp4", "-hls_flags", "temp_file"),
    ],
}


@pytest.mark.parametrize("options", HLS.values(), ids=HLS)
def test_d40_hls_has_the_same_files_playlist_and_messages(pair: Pair, options: list[str]) -> None:
    def case(side: Side) -> Ending:
        hls = [option.replace("{R}", str(side.folder)) for option in options]
        film = ["-i", side.film(), *CODED, "-c:a", "aac", "-f", "hls", "-hls_time", 1, "-hls_list_size", 0]
        return side.run("-nostdin", *film, *hls, side / "x.m3u8")

    _, shim = pair.same(case)

    assert shim.status == 0
    assert f"Opening '{pair.shim.folder}/x".encode() in shim.err


# In a pattern a "%" of the path is written twice, so that the root is not to be found in it.
SEGMENTS = {"relative": ("s%03d.ts", FARM), "absolute": ("{R}/s%03d.ts", ANYWHERE)}


@pytest.mark.parametrize(("pattern", "where"), SEGMENTS.values(), ids=SEGMENTS)
def test_d41_segments_are_whole_when_their_names_are_printed(pair: Pair, pattern: str, where: str) -> None:
    def case(side: Side) -> tuple[list[str], list[int], int]:
        film = ["-i", side.film(), "-an", *CODED, "-f", "segment", "-segment_time", 1]
        listed = ["-segment_list", "pipe:1", "-segment_list_type", "flat"]
        path = pattern.replace("{R}", str(side.folder).replace("%", "%%"))
        call = side.start(*QUIET, "-readrate", 2, *film, *listed, path)
        assert call.stdout
        names, sizes = [], []
        for line in iter(call.stdout.readline, b""):
            names.append(line.decode().strip())
            sizes.append((side / Path(names[-1]).name).stat().st_size)
        assert sizes == [(side / Path(name).name).stat().st_size for name in names]
        return names, sizes, call.wait(10)

    _, (names, _, status) = pair.same(case, where)

    assert (names[:4], status) == (["s000.ts", "s001.ts", "s002.ts", "s003.ts"], 0)


def test_d43_two_passes_share_their_log(pair: Pair) -> None:
    def case(side: Side) -> list[Ending]:
        coded = ["-i", side.film(), "-an", "-fps_mode", "cfr", "-r", 25, "-c:v", "libx264", "-threads", 1]
        passes = [*coded, "-b:v", "100k", "-passlogfile", side / "pl"]
        first = side.run("-nostdin", *passes, "-pass", 1, "-f", "null", "/dev/null")
        assert (side / "pl-0.log").exists(), first
        return [first, side.run("-nostdin", *passes, "-pass", 2, side / "two.mp4")]

    _, shim = pair.same(case)

    assert [ending.status for ending in shim] == [0, 0]


def test_d45_ffprobe_prints_the_name_that_it_was_given(pair: Pair) -> None:
    """A link in a root that is called by the name of a link to it."""
    top = pair.farm.folder / "client" / "link to the root"
    if not top.exists():
        top.symlink_to(pair.farm.client_root)

    def case(side: Side) -> Ending:
        side.film()
        (side / "link.mkv").symlink_to("in.mkv")
        name = top / side.folder.relative_to(pair.farm.client_root) / "link.mkv"
        asked = ["-v", "error", "-show_entries", "format=filename", "-of", "csv=p=0", name]
        done = side.run(*asked, binary="ffprobe", env={"FFGRID_ROOTS": f"{ROOT_NAME}={top}"})
        assert done.out.decode().strip().strip('"') == str(name)
        return done

    real, shim = pair.both(case)

    assert (real.status, shim.status, shim.err) == (0, 0, b"")


LITERAL = {
    "dollar": ("$MEDIA/in.mkv", FARM),
    "double-slash": ("{R}//in.mkv", FARM),
    "dots": ("{R}/../{NAME}/in.mkv", FARM),
    "tilde": ("~/in.mkv", FARM),
    "percent": ("%2e/in.mkv", FARM),
}


@pytest.mark.parametrize(("url", "where"), LITERAL.values(), ids=LITERAL)
def test_d46_nothing_is_expanded_or_tidied(pair: Pair, url: str, where: str) -> None:
    def case(side: Side) -> Ending:
        side.film()
        path = url.replace("{R}", str(side.folder)).replace("{NAME}", side.folder.name)
        return side.run("-nostdin", "-hide_banner", "-i", path, *HASHES)

    real, shim = pair.same(case, where)

    assert shim.status == (0 if "{R}" in url else 1), real
    assert (b"No such file" in shim.err) == ("{R}" not in url)


def test_d46_what_climbs_out_of_the_root_stays_on_its_host(pair: Pair) -> None:
    outside = pair.farm.client_root.parent / "beside.mkv"
    outside.write_bytes((pair.farm.client_root / "in.mkv").read_bytes())

    def case(side: Side) -> Ending:
        return side.run("-nostdin", "-hide_banner", "-i", f"{pair.farm.client_root}/../beside.mkv", *HASHES)

    assert pair.same(case, LOCAL)[1].status == 0


def test_d46_a_directory_that_begins_like_the_root_is_none(pair: Pair) -> None:
    like = Path(f"{pair.farm.client_root}2")
    like.mkdir(exist_ok=True)
    (like / "in.mkv").write_bytes((pair.farm.client_root / "in.mkv").read_bytes())

    def case(side: Side) -> Ending:
        return side.run("-nostdin", "-hide_banner", "-i", like / "in.mkv", *HASHES)

    assert pair.same(case, LOCAL)[1].status == 0


def test_d46_paths_in_metadata_stay_as_they_are(pair: Pair) -> None:
    def case(side: Side) -> tuple[Ending, bytes]:
        title = f"title={side / 'in.mkv'}"
        done = side.run(*QUIET, "-i", side.film(), "-c", "copy", "-metadata", title, side / "out.mp4")
        read = ["ffprobe", "-v", "error", "-show_entries", "format_tags=title", "-of", "csv=p=0", "out.mp4"]
        return done, subprocess.run(read, cwd=side.folder, capture_output=True, check=True).stdout

    _, (ending, title) = pair.same(case)

    assert (ending.status, title.decode().strip().strip('"')) == (0, str(pair.shim / "in.mkv"))


def test_d48_relative_names_in_a_root(pair: Pair) -> None:
    def case(side: Side) -> Ending:
        side.film()
        (side / "sub").mkdir()
        return side.run("-nostdin", "-i", "../in.mkv", "-c", "copy", "./out.mp4", cwd=side / "sub")

    assert pair.same(case)[1].status == 0
    assert (pair.shim / "sub/out.mp4").exists()


def test_d48_relative_names_outside_every_root(pair: Pair) -> None:
    """From `/`: the files lie in the root all the same, and nothing appears where the worker was started."""
    before = sorted(os.listdir(pair.farm.folder))

    def case(side: Side) -> Ending:
        into, out = (str(path).lstrip("/") for path in (side.film(), side / "out.mp4"))
        return side.run("-nostdin", "-i", into, "-c", "copy", out, cwd="/")

    assert pair.same(case, ANYWHERE)[1].status == 0
    assert (pair.shim / "out.mp4").exists()
    assert sorted(os.listdir(pair.farm.folder)) == before


def test_d49_a_file_outside_every_root_is_read_on_its_own_host(pair: Pair) -> None:
    """Or refused in words, where there is no local program: never the worker's file of that name."""

    def case(side: Side) -> Ending:
        return side.run("-nostdin", "-hide_banner", "-i", "/etc/hostname", "-f", "null", "-")

    assert pair.same(case, LOCAL)[1].status == 1

    strict = pair.farm.folder / "strict"
    done = pair.farm.ffgrid("shim", "install", strict, "--no-local")
    assert done.returncode == 0, done.stderr
    before = pair.jobs()
    refused = subprocess.run(
        [strict / "ffmpeg", "-i", "/etc/hostname", "-f", "null", "-"], capture_output=True
    )

    assert (refused.returncode, refused.stdout) == (1, b"")
    assert refused.stderr == b"ffmpeg (ffgrid): '/etc/hostname' lies outside every root\n"
    assert pair.jobs() == before


def test_d50_umask(pair: Pair) -> None:
    def case(side: Side) -> tuple[Ending, int]:
        private = ["sh", "-c", 'umask 077; exec "$0" "$@"']
        done = side.run(*QUIET, "-i", side.film(), "-c", "copy", side / "out.mp4", before=private)
        return done, (side / "out.mp4").stat().st_mode & 0o777

    _, (ending, mode) = pair.same(case)

    assert (ending, mode) == (Ending(0), 0o600)


def test_d50_owner(pair: Pair) -> None:
    """As root: a caller that is another user and group, which the worker's job becomes too."""

    def case(side: Side) -> tuple[Ending, int, int]:
        side.folder.chmod(0o777)
        for parent in side.folder.parents[:-2]:  # all below /tmp: the job has none of its caller's powers
            parent.chmod(parent.stat().st_mode | 0o011)
        done = side.run(*QUIET, "-i", side.film(), "-c", "copy", side / "out.mp4", before=other_user())
        owner = (side / "out.mp4").stat()
        return done, owner.st_uid, owner.st_gid

    _, (ending, *_) = pair.same(case)

    assert ending == Ending(0)


def test_d50_the_size_is_final_at_the_exit_and_the_time_is_ours(pair: Pair) -> None:
    """Ten calls, two at once: what `stat` says right after the exit."""

    def one(number: int, side: Side) -> tuple[int, int, int]:
        name = side / f"out{number}.mp4"
        status = side.start(*QUIET, "-i", "in.mkv", "-c", "copy", name).wait(20)
        found, now = name.stat(), time.time()
        assert abs(found.st_mtime - now) < 2
        return number, status, found.st_size

    def case(side: Side) -> list[tuple[int, int, int]]:
        side.film()
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(one, range(10), [side] * 10))

    _, shim = pair.same(case)

    assert all(
        (status, size) == (0, (pair.shim / f"out{number}.mp4").stat().st_size)
        for number, status, size in shim
    )
