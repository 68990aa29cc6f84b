"""A real transcode gives the same frames through the farm as without it."""

from __future__ import annotations

from pathlib import Path

from tests.farm import Farm
from tests.whole.tools import direct, frames, litter, shim

HEVC = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:pools=1:frame-threads=1"]


def source(farm: Farm) -> Path:
    """Four seconds of H.264 with sound."""
    path = farm.client_root / "in put.mkv"
    if path.exists():
        return path
    pictures, sound = (
        ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:d=4"],
        ["-f", "lavfi", "-i", "sine=d=4"],
    )
    made = direct(farm, "-v", "error", "-y", *pictures, *sound, "-c:v", "libx264", "-c:a", "aac", path)
    assert made.returncode == 0, made.stderr
    return path


def expected(farm: Farm) -> str:
    """The frames that the real program makes of it."""
    near = farm.client_root / "near.mkv"
    if not near.exists():
        direct(farm, "-v", "error", "-y", "-i", source(farm), *HEVC, "-c:a", "aac", near)
    return frames(near)


def test_h264_to_h265_with_sound_has_the_same_frames_through_the_shim(each_farm: Farm) -> None:
    film = source(each_farm)
    far = each_farm.client_root / "far.mkv"

    call = shim(each_farm, "-v", "error", "-y", "-i", film, *HEVC, "-c:a", "aac", far)
    out, err = call.communicate(timeout=60)

    assert (call.returncode, out, err) == (0, b"", b"")
    assert frames(far) == expected(each_farm)


def test_file_urls_and_relative_names_mean_the_callers_files(each_farm: Farm) -> None:
    film = source(each_farm)
    results = ["relative.mkv", f"file:{each_farm.client_root}/url.mkv"]

    for result in results:
        call = shim(each_farm, "-v", "error", "-y", "-i", film.name, "-c", "copy", result)
        _, err = call.communicate(timeout=30)
        assert (call.returncode, err) == (0, b"")

    assert frames(film) == frames(each_farm.client_root / "relative.mkv")
    assert frames(film) == frames(each_farm.client_root / "url.mkv")


def test_a_submitted_job_publishes_a_whole_file_and_leaves_no_litter(each_farm: Farm) -> None:
    film = source(each_farm)
    far = each_farm.client_root / "submitted.mkv"

    done = each_farm.ffgrid(
        "submit", "--wait", "--", "ffmpeg", "-v", "error", "-i", film, *HEVC, "-c:a", "aac", far
    )

    assert done.returncode == 0, done.stderr
    assert frames(far) == expected(each_farm)
    assert litter(each_farm) == []


def test_what_the_coordinator_stores_names_no_directory_of_a_worker(each_farm: Farm) -> None:
    film = source(each_farm)
    done = each_farm.ffgrid("submit", "--wait", "--", "ffprobe", "-v", "error", film)

    job = each_farm.jobs()[0]

    assert done.returncode == 0
    assert job["command"] == "ffprobe -v error '{Media}/in put.mkv'"
