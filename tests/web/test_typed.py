"""A command as it is typed and as it is shown to be copied: there and back."""

from __future__ import annotations

import shlex
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.main import build
from app.cli.submission import submission
from app.web.dashboard import shell
from app.web.dashboard.submit import typed
from app.wire import roots

MOVIES = {"root": "Movies"}
Folded = list[Any]


def folded(line: str) -> Folded:
    binary, args = typed.program(typed.split(line))
    return typed.fold(binary, args)


@pytest.mark.parametrize(
    ("line", "args"),
    [
        ("ffmpeg -i {Movies}/a.mkv b.mkv", ["-i", [MOVIES, "/a.mkv"], "b.mkv"]),
        ('ffmpeg -i "{Movies}/My film.mkv" -f null -', ["-i", [MOVIES, "/My film.mkv"], "-f", "null", "-"]),
        ("/usr/bin/ffprobe {Movies}", [[MOVIES]]),
        ("ffmpeg -i /ffgrid/Movies/a.mkv x.mkv", ["-i", [MOVIES, "/a.mkv"], "x.mkv"]),
        (
            "ffmpeg -i 'concat:{Movies}/a|{TV}/b' o",
            ["-i", ["concat:", MOVIES, "/a|", {"root": "TV"}, "/b"], "o"],
        ),
        ("ffmpeg -vf subtitles={Movies}/a.srt o", ["-vf", ["subtitles=", MOVIES, "/a.srt"], "o"]),
        ("ffmpeg -i file:{Movies}/a o", ["-i", ["file:", MOVIES, "/a"], "o"]),
        ("ffmpeg -i a \\\n  -t 1 \\\r\n o", ["-i", "a", "-t", "1", "o"]),
        # none of these is a root
        ("ffmpeg -metadata title={Movies}/a o", ["-metadata", "title={Movies}/a", "o"]),
        ("ffmpeg -vf drawtext=text='%{pts}' o", ["-vf", "drawtext=text=%{pts}", "o"]),
        ("ffmpeg -i {a,b}/c x{Movies}/d o", ["-i", "{a,b}/c", "x{Movies}/d", "o"]),
        ("ffmpeg -i {Movies}/../x o", ["-i", "/ffgrid/Movies/../x", "o"]),
        ("ffmpeg -i '# no comment' o", ["-i", "# no comment", "o"]),
    ],
)
def test_what_is_typed_names_roots(line: str, args: Folded):
    assert folded(line) == args


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "no command yet"),
        (" \n", "no command yet"),
        ("ffmpeg -i 'a", "quotation mark"),
        ("ffmpeg \\", "backslash"),
        ("rm -rf /", "'rm' cannot be run: a command begins with ffmpeg or ffprobe"),
        ("ffmpeg a\0b", "NUL"),
    ],
)
def test_what_is_no_command_says_why(line: str, why: str):
    with pytest.raises(typed.CannotRead, match=why):
        folded(line)


def test_a_job_can_be_typed_again():
    spec = {
        "binary": "ffmpeg",
        "args": ["-i", [MOVIES, "/It's [a].mkv"], "-f", "null", "-"],
        "cwd": [MOVIES, "/x"],
    }

    assert folded(typed.text(spec)) == spec["args"]
    assert typed.fold_path(typed.path(spec["cwd"])) == spec["cwd"]
    with pytest.raises(typed.CannotRead, match="not UTF-8"):
        typed.text({"binary": "ffmpeg", "args": [[MOVIES, {"b64": "L/8="}]]})


@given(st.lists(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=8)))
def test_any_words_can_be_typed_again(words: list[str]):
    spec: dict[str, Any] = {"binary": "ffmpeg", "args": words}
    if not any(word.isprintable() is False for word in words):
        assert typed.split(typed.text(spec)) == ["ffmpeg", *words]


@pytest.mark.parametrize("word", ["a b", "it's", "a\nb\t", "\x1b[1m", "\udcff'\\", "ü\u202e", "", "$HOME`x`"])
def test_a_shell_reads_what_is_shown(word: str):
    line = f"printf %s {shell.quoted(word)}"
    printed = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout

    assert shell.quoted(word).isprintable()
    assert printed == word.encode("utf-8", "surrogateescape")


SPEC: dict[str, Any] = {
    "binary": "ffmpeg",
    "args": [
        "-i",
        [MOVIES, "/a b.mkv"],
        "-vf",
        ["ass=f='", {"root": "Its", "written": "/x/It'\\''s"}, "/a'"],
        "o.mkv",
    ],
    "cwd": [MOVIES, "/new"],
    "view": {"Movies": "/media/my films", "Its": "/x/It's"},
    "lane": "low",
    "labels": {"gpu": "nvidia"},
    "retries": 2,
    "max_seconds": 90.5,
    "stall_seconds": 0,
    "in_place": True,
    "redo": "never",
    "attach": False,
}


def test_the_caller_s_line_is_his_own():
    assert shlex.split(shell.caller_line(SPEC)) == [
        *("cd", "/media/my films/new", "&&", "ffmpeg", "-i", "/media/my films/a b.mkv"),
        *("-vf", "ass=f='/x/It'\\''s/a'", "o.mkv"),
    ]


def test_the_line_that_submits_makes_the_same_job():
    words = shlex.split(shell.submit_line(SPEC))
    assert words[:4] == ["cd", "/media/my films/new", "&&", "ffgrid"]
    asked = build().parse_args(words[4:])
    fields = submission(asked.command, roots.parse(asked.roots), "/media/my films/new", asked.label)

    assert (fields["args"], fields["cwd"], fields["labels"]) == (SPEC["args"], SPEC["cwd"], SPEC["labels"])
    for name in ("lane", "retries", "max_seconds", "stall_seconds", "in_place", "redo"):
        assert getattr(asked, name) == SPEC[name]


def test_a_root_whose_place_nobody_has_said_is_where_workers_put_it():
    spec = {"binary": "ffprobe", "args": [[MOVIES, "/a"]], "cwd": None, "view": {}}

    assert shell.caller_line(spec) == "ffprobe /ffgrid/Movies/a"
    assert (
        shell.submit_line(spec) == "ffgrid submit --roots Movies=/ffgrid/Movies -- ffprobe /ffgrid/Movies/a"
    )
