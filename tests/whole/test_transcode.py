"""A real transcode gives the same frames through the farm as without it."""

from __future__ import annotations

from pathlib import Path

from tests.farm import Farm
from tests.whole.tools import direct, frames, litter, shim

HEVC = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:pools=1:frame-threads=1"]


def source(farm: Farm) -> Path:
    """Four seconds of H.264 with sound."""
    path = farm.client_root / "in put.mkv"
    pictures, sound = (
        ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:d=4"],
        ["-f", "lavfi", "-i", "sine=d=4"],
    )
    made = direct(farm, "-v", "error", "-y", *pictures, *sound, "-c:v", "libx264", "-c:a", "aac", path)
    assert made.returncode == 0, made.stderr
    return path


def test_h264_to_h265_with_sound_has_the_same_frames_through_the_shim(any_farm: Farm) -> None:
    film = source(any_farm)
    near, far = any_farm.client_root / "near.mkv", any_farm.client_root / "far.mkv"
    command = ["-v", "error", "-y", "-i", film, *HEVC, "-c:a", "aac"]
    direct(any_farm, *command, near)

    call = shim(any_farm, *command, far)
    out, err = call.communicate(timeout=60)

    assert (call.returncode, out, err) == (0, b"", b"")
    assert frames(near) == frames(far)


def test_file_urls_and_relative_names_mean_the_callers_files(any_farm: Farm) -> None:
    film = source(any_farm)
    results = ["relative.mkv", f"file:{any_farm.client_root}/url.mkv"]

    for result in results:
        call = shim(any_farm, "-v", "error", "-y", "-i", film.name, "-c", "copy", result)
        _, err = call.communicate(timeout=30)
        assert (call.returncode, err) == (0, b"")

    assert frames(film) == frames(any_farm.client_root / "relative.mkv")
    assert frames(film) == frames(any_farm.client_root / "url.mkv")


def test_a_submitted_job_publishes_a_whole_file_and_leaves_no_litter(any_farm: Farm) -> None:
    film = source(any_farm)
    near, far = any_farm.client_root / "near.mkv", any_farm.client_root / "far.mkv"
    direct(any_farm, "-v", "error", "-y", "-i", film, *HEVC, "-c:a", "aac", near)

    done = any_farm.ffgrid(
        "submit", "--wait", "--", "ffmpeg", "-v", "error", "-i", film, *HEVC, "-c:a", "aac", far
    )

    assert done.returncode == 0, done.stderr
    assert frames(near) == frames(far)
    assert litter(any_farm) == []


def test_what_the_coordinator_stores_names_no_directory_of_a_worker(any_farm: Farm) -> None:
    film = source(any_farm)
    done = any_farm.ffgrid("submit", "--wait", "--", "ffprobe", "-v", "error", film)

    jobs = any_farm.json("jobs")["jobs"]

    assert done.returncode == 0
    assert [job["command"] for job in jobs] == ["ffprobe -v error '{Media}/in put.mkv'"]
