"""Outputs on disk: whole under their names or not at all, and nothing of an attempt left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker import files
from worker.files import Exists, check_free, described, publish, remove, settled, stem, sweep, whole

OURS, THEIRS = stem("JOB", 2, "bbbbbbbb"), stem("JOB", 1, "aaaaaaaa")


def outputs(folder: Path, beginning: str, *names: str) -> dict[str, str]:
    """The renames of an attempt that has written its outputs."""
    renames = {}
    for index, name in enumerate(names):
        temporary = folder / f"{beginning}{index}{Path(name).suffix}"
        temporary.write_text(f"{beginning} {name}")
        renames[str(temporary)] = str(folder / name)
    return renames


def unwritten(folder: Path, beginning: str, *names: str) -> dict[str, str]:
    """The same of an attempt that has written nothing yet."""
    return {
        str(folder / f"{beginning}{index}{Path(name).suffix}"): str(folder / name)
        for index, name in enumerate(names)
    }


@pytest.mark.parametrize("replace", [True, False])
def test_whole_outputs_get_their_names(tmp_path: Path, replace: bool) -> None:
    publish(outputs(tmp_path, OURS, "a.mkv", "b.mkv"), replace)

    assert sorted(os.listdir(tmp_path)) == ["a.mkv", "b.mkv"]
    assert (tmp_path / "a.mkv").read_text() == f"{OURS} a.mkv"
    assert (tmp_path / "a.mkv").stat().st_nlink == 1


def test_an_output_is_replaced_only_where_the_command_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_text("old")
    renames = outputs(tmp_path, OURS, "a.mkv")

    with pytest.raises(Exists, match=r"'a\.mkv' exists already: add -y"):
        publish(renames, replace=False)
    assert (tmp_path / "a.mkv").read_text() == "old"

    publish(renames, replace=True)
    assert (tmp_path / "a.mkv").read_text() == f"{OURS} a.mkv"


def test_nothing_is_replaced_on_a_file_system_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(files.os, "link", refuse)
    (tmp_path / "a.mkv").write_text("old")
    with pytest.raises(Exists):
        publish(outputs(tmp_path, OURS, "a.mkv"), replace=False)
    publish(outputs(tmp_path, OURS, "b.mkv"), replace=False)

    assert (tmp_path / "a.mkv").read_text() == "old"
    assert (tmp_path / "b.mkv").read_text() == f"{OURS} b.mkv"


def test_a_name_that_is_taken_is_seen_even_if_it_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").symlink_to("nowhere")

    with pytest.raises(Exists):
        check_free([str(tmp_path / "a.mkv")])
    check_free([str(tmp_path / "b.mkv")])


@pytest.mark.parametrize("done", [0, 1, 2])
@pytest.mark.parametrize("replace", [True, False])
def test_what_a_lost_attempt_had_begun_to_publish_is_ended(tmp_path: Path, done: int, replace: bool) -> None:
    theirs = outputs(tmp_path, THEIRS, "a.mkv", "b.mkv")
    said = described(theirs, THEIRS)
    publish(dict(list(theirs.items())[:done]), replace)

    left = whole(unwritten(tmp_path, OURS, "a.mkv", "b.mkv"), OURS, said)
    assert left is not None
    publish(left, replace)

    assert len(left) == 2 - done
    assert sorted(os.listdir(tmp_path)) == ["a.mkv", "b.mkv"]
    assert (tmp_path / "b.mkv").read_text() == f"{THEIRS} b.mkv"


def test_an_attempt_that_died_between_link_and_unlink_is_ended(tmp_path: Path) -> None:
    theirs = outputs(tmp_path, THEIRS, "a.mkv")
    said = described(theirs, THEIRS)
    ((temporary, final),) = theirs.items()
    os.link(temporary, final)

    left = whole(unwritten(tmp_path, OURS, "a.mkv"), OURS, said)
    assert left is not None
    publish(left, replace=False)

    assert os.listdir(tmp_path) == ["a.mkv"]


def test_outputs_are_on_the_disk_before_they_are_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renames, flushed = outputs(tmp_path, OURS, "a.mkv", "b.mkv"), []
    monkeypatch.setattr(files.os, "fsync", lambda end: flushed.append(os.readlink(f"/proc/self/fd/{end}")))

    said = settled(renames, OURS)

    assert flushed == list(renames)
    assert said == described(renames, OURS)


def test_what_another_version_has_described_otherwise_is_not_adopted(tmp_path: Path) -> None:
    said = described(outputs(tmp_path, THEIRS, "a.mkv"), THEIRS)

    assert whole(unwritten(tmp_path, OURS, "a.mkv", "b.mkv"), OURS, said) is None


@pytest.mark.parametrize("harm", ["gone", "longer", "other"])
def test_what_is_not_whole_is_not_adopted(tmp_path: Path, harm: str) -> None:
    theirs = outputs(tmp_path, THEIRS, "a.mkv", "b.mkv")
    said = described(theirs, THEIRS)
    temporary, final = list(theirs.items())[1]
    if harm == "gone":
        os.unlink(temporary)
    elif harm == "longer":
        Path(temporary).write_text("longer than it was before, by far")
    else:
        os.unlink(temporary)
        Path(final).write_text("something else of that name")

    assert whole(unwritten(tmp_path, OURS, "a.mkv", "b.mkv"), OURS, said) is None


def test_all_attempts_at_a_job_are_swept_and_nothing_else(tmp_path: Path) -> None:
    for name in (f"{OURS}1.mkv", f"{THEIRS}1.mkv", stem("JOBS", 1, "cccccccc") + "1.mkv", "a.mkv"):
        (tmp_path / name).touch()

    sweep([str(tmp_path), str(tmp_path / "gone")], "JOB")

    assert sorted(os.listdir(tmp_path)) == [".ffgrid-JOBS-1-cccccccc-1.mkv", "a.mkv"]


def test_what_is_not_there_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    remove([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "a" / "c")])

    assert os.listdir(tmp_path) == []
