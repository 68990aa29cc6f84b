"""The items of the checklist, each in a few words. A gap in the numbers is a gap in the checklist."""

from __future__ import annotations

MODES = ("namespace", "rewrite")  # how a worker gives ffmpeg the caller's files

ITEMS = {
    "A1": "-version: on stdout from the first byte on, nothing on stderr",
    "A2": "listings (-encoders, -filters ...): on stdout; the banner on stderr",
    "A3": "no arguments: usage on stderr, status 1",
    "A4": "a missing input is named as the caller named it",
    "A5": "errors with their exact text",
    "A6": "ffprobe -v quiet of a missing file: an empty object",
    "A7": "binary stdout, byte for byte",
    "A9": "slow readers hold ffmpeg back; memory is bounded",
    "A10": "a reader that goes away: Broken pipe, status 1",
    "A11": "a closed stderr ends nothing",
    "A12": "a megabyte of progress without a newline",
    "A13": "the first byte and every report come at once",
    "A14": "the overwrite prompt, answered and not",
    "A15": "-progress into a pipe, and to the caller's own listener",
    "A16": "the exit comes after the last byte, a hundred times",
    "B18": "six megabytes through stdin",
    "B19": "what nobody reads stays in stdin",
    "B20": "q ends it with a whole file, whenever it was typed",
    "B21": "-nostdin ignores q",
    "B22": "the end of stdin ends nothing",
    "B23": "c freezes, a newline goes on",
    "B24": "Jellyfin's ? probe, twenty times",
    "C26": "SIGINT, SIGTERM, SIGQUIT, SIGXCPU: as the real program ends",
    "C27": "other signals kill, also a call whose output nobody reads",
    "C28": "the fourth SIGINT ends it hard, status 123",
    "C29": "kill -9 of the caller: ffmpeg is gone, nothing appears later",
    "C30": "SIGSTOP of the caller pauses ffmpeg, SIGCONT goes on",
    "C32": "a caller whose parent died goes on",
    "C33": "ffmpeg dies of a signal: so does the caller, and says why",
    "C34": "cut, silent and restarted networks: nothing lost or doubled",
    "C35": "a killed worker: replaced before any output, an error after it",
    "D36": "any name, behind any protocol",
    "D38": "playlists, concat lists, filter scripts, subtitles, lavfi",
    "D39": "tee",
    "D40": "HLS: same tree, same playlist, same messages",
    "D41": "a segment list on stdout: the segments are there",
    "D43": "two passes share their log",
    "D45": "ffprobe prints the name that it was given",
    "D46": "nothing is expanded or tidied; metadata stays",
    "D48": "relative names, in a root and outside",
    "D49": "a file outside every root: its own host's, or refused",
    "D50": "mode, owner, size and time of what is written",
    "E51": "Jellyfin's start, with the coordinator up and down",
    "E52": "probes of a library, and again from the cache",
    "E53": "an image in ten seconds when all workers are busy",
    "E54": "trickplay images are seen as they come",
    "E55": "an HLS segment is whole when the next one appears",
    "E57": "a paused transcode stops within five seconds",
    "E59": "attachments with status 1; subtitles into several files",
    "E60": "a hundred calls at once",
    "E61": "loopback addresses and inherited descriptors",
    "E62": "the local program, by exec, and counted",
    "E63": "nothing of ours on the caller's streams",
    "E64": "nice, stdbuf, env -i, another user, links: however it is started",
}


# The items about names and files. The others cannot differ between the modes: `make test` tries them in the first
# one, `make conformance` in both.
ABOUT_FILES = frozenset(item for item in ITEMS if item[0] == "D") | set(
    "A4 A5 A6 A14 E52 E54 E55 E59".split()
)


def item_of(test: str) -> str:
    """The item that a test's name begins with: `test_a12_a_megabyte` is about A12."""
    return test.split("_")[1].upper()
