"""Commands as media servers write them, with paths as they have them: none of these strays."""
# ruff: noqa: E501 - a line is a line

from __future__ import annotations

import shlex

import pytest

from app.wire import command, folding, roots
from app.wire.placing import strays

JELLYFIN = [
    r"""-analyzeduration 200M -probesize 1G -f matroska -i file:"/media/TV/The Office (2005)/Episode 01.mkv" -map_metadata -1
    -threads 0 -map 0:0 -map -0:s -codec:v:0 libx264 -x264opts:0 subme=0:me_range=4:rc_lookahead=10:partitions=none
    -force_key_frames:0 "expr:gte(t,n_forced*3)" -vf "setparams=color_primaries=bt709:color_trc=bt709,scale=trunc(min(max(iw\,ih*a)\,min(1918\,1080*a))/2)*2:trunc(min(max(iw/a\,ih)\,min(1918/a\,1080))/2)*2,format=yuv420p"
    -f hls -hls_segment_filename "/cache/transcodes/2a308e%d.ts" -hls_playlist_type vod -y "/cache/transcodes/2a308e.m3u8" """,
    r"""-ss 00:21:15.000 -i file:"/media/It's a \"Movie\" [2020].mkv" -codec:v:0 libx264 -f hls -hls_segment_type fmp4
    -hls_fmp4_init_filename "468b6ff3-1.mp4" -hls_segment_filename "/cache/468b6ff3%d.mp4"
    -hls_segment_options movflags=+frag_discont+skip_sidx -y "/cache/468b6ff3.m3u8" """,
    r"""-init_hw_device vaapi=va:/dev/dri/renderD128,driver=iHD -init_hw_device opencl=ocl@va -filter_hw_device va
    -hwaccel vaapi -hwaccel_output_format vaapi -i file:"/media/a.mkv" -codec:v:0 h264_vaapi -y /cache/x.mp4""",
    r"""-i file:/media/a.mkv -vf "scale=2:2,subtitles=f='/media/Films/It'\\\''s\: a film, [x].en.srt':fontsdir='/cache/att'" /cache/x.ts""",
    r"""-i file:A.mkv -filter_complex "[0:4]scale,scale=-1:1080:fast_bilinear,crop,pad=max(1920\,iw):max(1080\,ih):(ow-iw)/2:(oh-ih)/2[sub];[0:0][sub]overlay=eof_action=pass" /cache/x.ts""",
    r"""-f concat -safe 0 -i /cache/concat/0a1b.concat -y /cache/x.ts""",
    r"""-i concat:"/media/VTS_01_1.VOB|/media/VTS_01_2.VOB" -vf scale=round(iw*sar/2)*2:round(ih/2)*2 -f image2 /cache/x.jpg""",
    r"""-i bluray:/media/x.iso -an -vf "fps=0.1,scale=320:-2" -c:v mjpeg -f image2 "/cache/9f/%08d.jpg" """,
    r"""-user_agent "Mozilla/5.0 (X)" -i "http://192.168.1.110:8096/LiveTv/5ce9/stream.ts" -hls_base_url "hls/NAME/" -f hls
    -hls_playlist_type event -y /cache/live.m3u8""",
    r"""-hide_banner -f concat -safe 0 -i /cache/GUID.concat -af ebur128=framelog=verbose -f null -""",
    r"""-i /media/a.mov -b:v 100k -pass 1 -passlogfile /cache/OUT -f null /dev/null""",
    r"""-f rawvideo -i pipe:0 -f segment -segment_list pipe:1 -segment_list_type flat /cache/s%03d.ts""",
    r"""-progress http://127.0.0.1:9/p -i /media/a.mkv -metadata title=/etc/x -f tee -map 0 "[f=mpegts]/cache/a.ts|[f=null]-" """,
]


@pytest.mark.parametrize("line", JELLYFIN)
def test_what_media_servers_call_is_inside(line: str) -> None:
    args = shlex.split(line)
    cwd = "/media/x" if "file:A.mkv" in args else None
    mapped = {"Media": "/media", "Cache": "/cache"}
    at = None if cwd is None else roots.fold(cwd, mapped)
    read = command.read("ffmpeg", args)

    assert [
        args[index]
        for index in strays(
            read, folding.fold(read, mapped), at, {"/", "/media", "/cache", "/etc"}.__contains__
        )
    ] == []


@pytest.mark.parametrize("line", [line for line in JELLYFIN if "/media/" in line])
def test_without_the_root_it_is_not(line: str) -> None:
    args = shlex.split(line)
    read = command.read("ffmpeg", args)

    assert strays(read, folding.fold(read, {"Cache": "/cache"}), None, lambda path: path.startswith("/media"))
