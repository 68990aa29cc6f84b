"""The workers: how they confine jobs, and whether their hardware encodes."""

from __future__ import annotations

from collections.abc import Sequence

from app.cli.checks.finding import BAD, OK, SKIPPED, WARN, Finding
from app.cli.checks.scene import Scene, Worker
from app.cli.errors import Failure

# Encoders that need a device, by the ends of their names, and what hands them a frame that they can take.
HARDWARE = {
    "_nvenc": (),
    "_qsv": (),
    "_amf": (),
    "_v4l2m2m": (),
    "_rkmpp": (),
    "_videotoolbox": (),
    "_vaapi": ("-init_hw_device", "vaapi=va", "-filter_hw_device", "va"),
    "_vulkan": ("-init_hw_device", "vulkan=vk", "-filter_hw_device", "vk"),
}
KNOWN = ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "libopus")  # worth a word when they are there
CONFINE = "on {}: apt-get install bubblewrap (see README.md, Where a job runs), and start the worker anew"


def worker(one: Worker) -> Sequence[Finding]:
    """What a worker says of itself."""
    name, mode = one["id"], one.get("sandbox", "")
    encoders = [known for known in KNOWN if known in one.get("encoders", ())]
    chips = hardware(one)
    has = f"{' '.join(encoders) or 'no well-known encoder'}, {' '.join(chips) or 'no hardware encoder'}"
    slots, version = one.get("slots", "?"), one.get("binaries", {}).get("ffmpeg", "?")
    sentence = f"{name}: {slots} slot{'s' * (slots != 1)}, ffmpeg {version}, {has}"
    said = Finding("worker", OK, sentence)
    if one.get("draining") or one.get("paused"):
        said = Finding(
            "worker", WARN, f"{name} is {one['state']}: it takes nothing new", f"ffgrid resume-worker {name}"
        )
    if mode == "namespace":
        return [said, Finding("sandbox", OK, f"{name}: jobs see the roots and nothing else of the host")]
    sentence = f"{name}: jobs run without a namespace, their paths rewritten"
    return [said, Finding("sandbox", WARN, sentence, CONFINE.format(name))]


def hardware(one: Worker) -> list[str]:
    """The hardware encoders that a worker announces."""
    return [name for name in one.get("encoders", ()) if name.endswith(tuple(HARDWARE))]


def frame(scene: Scene, name: str, encoder: str) -> Sequence[Finding]:
    """One frame through this encoder on this worker."""
    try:
        ran = scene.run(name, one_frame(encoder))
    except Failure as failure:
        return [Finding("encoder", SKIPPED, f"{name}: {encoder} could not be tried: {failure}")]
    if not ran.taken:
        return [Finding("encoder", SKIPPED, f"{name}: {encoder} could not be tried: {ran.reason}")]
    if not ran.reason:
        return [Finding("encoder", OK, f"{name}: {encoder} has encoded a frame")]
    why = (ran.err.strip().splitlines() or [ran.reason])[0]
    mend = (
        f"on {name}: let the worker's user use the device (usermod -aG render,video USER), look at its driver"
    )
    return [Finding("encoder", BAD, f"{name}: {encoder} is announced and does not work: {why}", mend)]


def one_frame(encoder: str) -> list[str]:
    """The arguments that have ffmpeg encode one frame."""
    device = next((flags for suffix, flags in HARDWARE.items() if encoder.endswith(suffix)), ())
    upload = (
        ("-vf", "format=nv12,hwupload")
        if device
        else ("-pix_fmt", "yuv420p" if "_qsv" not in encoder else "nv12")
    )
    source = ("-f", "lavfi", "-i", "color=size=640x360:rate=25:duration=1")
    return ["-v", "error", *device, *source, *upload, "-frames:v", "1", "-c:v", encoder, "-f", "null", "-"]
