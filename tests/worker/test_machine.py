"""What this machine can do, as a real ffmpeg and some liars say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from worker import machine
from worker.machine import DEVICES, Machine, NoFFmpeg, inspect

LISTING = """\
Encoders:
 V..... = Video
 A..... = Audio
 ------
 V....D libx264              libx264 H.264 / AVC
 V....D h264_nvenc           NVIDIA NVENC H.264 encoder (codec h264)
 V....D hevc_vaapi           H.265/HEVC (VAAPI) (codec hevc)
 V..... h264_qsv             H.264 (Intel Quick Sync Video)
 V..... h264_v4l2m2m         V4L2 mem2mem H.264 encoder wrapper
 V....D av1_amf              AMD AMF AV1 encoder
 V....D h264_vulkan          H.264/AVC (Vulkan)
 V....D hevc_rkmpp           Rockchip MPP
 A....D aac                  AAC (Advanced Audio Coding)
"""
HARDWARE = {"h264_nvenc", "hevc_vaapi", "h264_qsv", "h264_v4l2m2m", "av1_amf", "h264_vulkan", "hevc_rkmpp"}


def program(folder: Path, name: str = "ffmpeg", version: str = "ffmpeg version 7.1 Copyright (c)") -> str:
    """A stand-in that answers two questions."""
    path = folder / name
    path.write_text(
        f"#!/bin/sh\ncase \"$*\" in *-encoders*) cat <<'E'\n{LISTING}E\n;; *) echo '{version}';; esac\n"
    )
    path.chmod(0o755)
    return str(path)


async def look(ffmpeg: str, ffprobe: str = "/nonexistent", roots: dict[str, str] | None = None) -> Machine:
    return await inspect(ffmpeg, ffprobe, roots or {}, 2, {})


def told(*arguments: str) -> str:
    """What the real ffmpeg says."""
    return subprocess.run(["ffmpeg", *arguments], capture_output=True, text=True, check=True).stdout


async def test_a_real_ffmpeg_is_understood() -> None:
    found = await look("ffmpeg", "ffprobe")

    listed = re.findall(
        r"^ [VAS][F.][S.][X.][B.][D.] (\w\S*) ", told("-hide_banner", "-encoders"), re.MULTILINE
    )
    assert found.programs == {name: shutil.which(name) for name in ("ffmpeg", "ffprobe")}
    assert told("-version").startswith(f"ffmpeg version {found.versions['ffmpeg']}")
    assert re.match(r"\d+\.\d+", found.versions["ffmpeg"])
    assert found.versions["ffprobe"] == found.versions["ffmpeg"]
    assert {"mpeg4", "aac", "libx264"} <= set(found.encoders) <= set(listed)
    assert [name for name in listed if name not in found.encoders and not name.endswith(tuple(DEVICES))] == []


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026 the FFmpeg developers", "5.1.9"),
        ("ffmpeg version 7.1.1-Jellyfin Copyright (c)", "7.1.1"),
        ("ffmpeg version n8.0 Copyright (c)", "n8.0"),
        ("ffmpeg version 7.0.2-static https://johnvansickle.com/ffmpeg/", "7.0.2"),
    ],
)
async def test_a_version_is_the_number_alone(tmp_path: Path, text: str, version: str) -> None:
    assert (await look(program(tmp_path, version=text))).versions == {"ffmpeg": version}


async def test_encoders_whose_device_is_missing_are_not_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "glob", lambda pattern: [])

    assert (await look(program(tmp_path))).encoders == ["libx264", "aac"]


async def test_encoders_whose_device_is_there_are_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "glob", lambda pattern: [pattern])

    assert set((await look(program(tmp_path))).encoders) == HARDWARE | {"libx264", "aac"}


@pytest.mark.parametrize(
    ("device", "offered"),
    [
        ("/dev/nvidia0", {"h264_nvenc"}),
        ("/dev/dri/renderD128", {"hevc_vaapi", "h264_qsv", "av1_amf", "h264_vulkan"}),
        ("/dev/video11", {"h264_v4l2m2m"}),
        ("/dev/mpp_service", {"hevc_rkmpp"}),
    ],
)
async def test_a_device_makes_its_own_encoders_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, offered: set[str]
) -> None:
    monkeypatch.setattr(machine, "glob", lambda pattern: [device] if Path(device).match(pattern) else [])

    assert set((await look(program(tmp_path))).encoders) == offered | {"libx264", "aac"}


async def test_without_ffmpeg_there_is_no_worker() -> None:
    with pytest.raises(NoFFmpeg, match="no program '/nowhere/ffmpeg': install ffmpeg, or set FFGRID_FFMPEG"):
        await look("/nowhere/ffmpeg")


@pytest.mark.parametrize(
    "content",
    [b"#!/bin/sh\n", b"#!/bin/sh\necho I am something else\n", b"#!/nonexistent\n", b"\x7fELF junk"],
)
async def test_what_is_no_ffmpeg_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ffmpeg"
    path.write_bytes(content)
    path.chmod(0o755)

    with pytest.raises(NoFFmpeg, match=str(path)):
        await look(str(path))


async def test_a_file_that_may_not_be_run_is_no_ffmpeg(tmp_path: Path) -> None:
    path = program(tmp_path)
    os.chmod(path, 0o644)

    with pytest.raises(NoFFmpeg):
        await look(path)


async def test_without_ffprobe_it_is_not_offered(tmp_path: Path) -> None:
    found = await look(program(tmp_path))

    assert set(found.programs) == {"ffmpeg"}
    assert found.about("1.0")["binaries"] == {"ffmpeg": "7.1"}


@pytest.mark.parametrize("content", [b"#!/bin/sh\n", b"\x7fELF junk"])
async def test_what_is_no_ffprobe_is_not_offered(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ffprobe"
    path.write_bytes(content)
    path.chmod(0o755)

    found = await look(program(tmp_path), str(path))

    assert set(found.about("1.0")["binaries"]) == {"ffmpeg"}


async def test_nobody_is_told_where_roots_are(tmp_path: Path) -> None:
    found = await inspect(
        program(tmp_path), "/nonexistent", {"TV": "/srv/tv", "Movies": "/srv/m"}, 3, {"gpu": "no"}
    )

    about = found.about("1.2")
    assert about["roots"] == ["Movies", "TV"]
    assert (about["slots"], about["labels"], about["version"]) == (3, {"gpu": "no"}, "1.2")
    assert about["pid"] == os.getpid()
    assert "/srv" not in json.dumps(about)


BUILD = """\
#!/bin/sh
case "$*" in
*-encoders*) printf ' ------\\n V....D %s x\\n' {encoder};;
*-buildconf*) echo {options};;
*) echo "{name} version {version} Copyright";;
esac
"""


def build(folder: Path, name: str = "ffmpeg", **changes: str) -> str:
    """A program of a build."""
    said = {"encoder": "aac", "options": "--enable-gpl", "version": "7.1", **changes}
    path = folder / name
    path.write_text(BUILD.format(name=name, **said))
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    "changes", [{"encoder": "libx264"}, {"options": "--disable-gpl"}, {"version": "7.1-2"}]
)
async def test_a_build_is_known_by_all_that_its_answers_depend_on(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    before = (await look(build(tmp_path))).builds
    again = (await look(build(tmp_path))).builds
    after = (await look(build(tmp_path, **changes))).builds

    assert before == again
    assert before != after
    assert re.fullmatch("[0-9a-f]{16}", before["ffmpeg"])


async def test_each_program_has_its_build_and_the_registry_is_told(tmp_path: Path) -> None:
    found = await look(build(tmp_path), build(tmp_path, "ffprobe", version="7.0"))

    assert set(found.builds) == {"ffmpeg", "ffprobe"}
    assert found.builds["ffmpeg"] != found.builds["ffprobe"]
    assert found.about("1.0")["builds"] == found.builds
