"""Where the files of a command lie: inside the roots that everybody shares, or somewhere else.

Judged by names alone. What lies behind them is looked at by who has the files: a link can lead anywhere.
"""

from __future__ import annotations

from app.wire import roots
from app.wire.command import bare
from app.wire.folding import BEFORE, ENDS, climbs, is_word

TYPES = False
if TYPES:
    from collections.abc import Callable, Iterator, Sequence

    from app.wire.command import Command

_NOWHERE = frozenset("/dev/null /dev/zero /dev/stdin /dev/stdout /dev/stderr".split())
_DEVICES = ("/dev/dri/", "/dev/nvidia")
_STREAMS = ("pipe:", "fd:", "data:")
_NESTS = frozenset("async cache crypto md5 bluray dvd concatf".split())  # protocols around one other url
_LOCAL = _NESTS | {"file", "unix", "concat", "tee", "subfile"}  # also with "://"
_ROOT = "\0"  # stands for a root's path in the texts below; no argument can hold it

# What opens files by names that begin in the working directory: options, and words in filters and parameters.
_FILE_OPTIONS = frozenset(
    """
    attach dump_attachment filter_complex_script filter_script fpre hls_key_info_file hls_segment_filename
    passlogfile sdp_file segment_list vstats_file""".split()
)
_FILE_FLAGS = ("-report", "-vstats")
_FILE_WORDS = tuple(
    """
    movie= subtitles= ass= fontfile= textfile= lut1d= lut3d= stats= stats_file= psnr= ssim= log_path= file=
    filename= vidstabdetect vidstabtransform sendcmd=f removelogo= arnndn= psfile= model=""".split()
)


def strays(
    command: Command,
    folded: Sequence[roots.Folded],
    cwd: roots.Folded | None,
    is_there: Callable[[str], bool] = lambda path: False,
) -> list[int]:
    """The arguments (indexes) that name a file outside every root: such a command cannot run elsewhere.

    `folded` are the command's arguments folded; `cwd` is where relative names begin, if that is in a root.
    A path inside a filter may be a division: it counts if `is_there` knows it, or the directory that would
    hold it, on this host.
    """
    urls = dict(zip(command.inputs, command.input_options, strict=False))
    urls.update(zip(command.outputs, command.output_options, strict=False))
    no_log = cwd is None and "passlogfile" not in command.options
    found = []
    for index, argument in enumerate(folded):
        text, options = _marked(argument), urls.get(index)
        if options is not None and options.get("f") == "lavfi":
            strayed = _holds_stray(text, "i", cwd, is_there)
        elif options is not None and options.get("f") != "null":
            strayed = any(_is_outside(url, cwd) or _globs_up(url, options) for url in _urls(text, options))
            if options.get("f") == "tee":  # its outputs have options in it
                strayed = strayed or _holds_stray(text, "", cwd, is_there)
        elif index in command.values and not is_word(command, index):
            option = bare(command.values[index].lstrip("/"))
            strayed = _is_value_outside(text, cwd) or _holds_stray(text, option, cwd, is_there)
            strayed = strayed or (no_log and option == "pass")
        else:
            strayed = cwd is None and text in _FILE_FLAGS
        if strayed:
            found.append(index)
    return found


def files(command: Command) -> list[int]:
    """The inputs and outputs that are files: no stream, device, address, graph or nothing at all."""
    urls = dict(zip(command.inputs, command.input_options, strict=False))
    urls.update(zip(command.outputs, command.output_options, strict=False))
    return [
        index
        for index, options in urls.items()
        if options.get("f") not in ("lavfi", "null") and not is_no_file(command.args[index])
    ]


def is_outside(folded: roots.Folded, cwd: roots.Folded | None) -> bool:
    """Whether one path is a file that lies outside every root."""
    return _is_outside(_marked(folded), cwd)


def _urls(text: str, options: dict[str, str]) -> list[str]:
    """The urls that an input or output is made of: behind the protocols that only pass on, or in a list."""
    scheme, _, rest = text.partition(":")
    if options.get("f") == "tee":
        return [url for slave in text.split("|") for url in _urls(slave.rpartition("]")[2], {})]
    if scheme in _NESTS or scheme.startswith("subfile,"):
        return _urls(rest, {})
    if scheme in ("concat", "tee"):
        return [url for part in rest.split("|") for url in _urls(part, {})]
    return [text]


def _is_outside(url: str, cwd: roots.Folded | None) -> bool:
    path = _path(url)
    if path.startswith(_ROOT):
        return _leaves(path[1:])
    if _ROOT in path:
        return True
    if is_no_file(path):
        return False
    return path.startswith("/") or (":" in path and path == url) or _climbs(path, cwd)


def _globs_up(url: str, options: dict[str, str]) -> bool:
    """Whether a pattern for file names could stand for a step up."""
    if "pattern_type" not in options and "%" not in url:
        return False
    signs = ("\\", "{.", ",.", "{,", ",,", ",}", "{}")
    return any(
        not frozenset("*?[{}\\").isdisjoint(step)
        and (step.startswith((".", "%.")) or any(sign in step for sign in signs))
        for step in url.split("/")
    )


def _is_value_outside(text: str, cwd: roots.Folded | None) -> bool:
    """The same for an option's value, which may be anything: only what looks like a path is taken for one."""
    path = _path(text)
    if path.startswith(_ROOT):
        return _leaves(path[1:].partition("|")[0])
    return (path.startswith("/") and not is_no_file(path)) or (path.startswith("../") and _climbs(path, cwd))


def _holds_stray(text: str, option: str, cwd: roots.Folded | None, is_there: Callable[[str], bool]) -> bool:
    """Whether a filter, a list of parameters or the like names a file outside, somewhere within."""
    is_plain = text.startswith(("/", "../", "file:", _ROOT))
    if not is_plain and climbs(text):
        return True
    if cwd is None and option in _FILE_OPTIONS:
        return not is_plain and (text == "" or not is_no_file(text))
    if cwd is None and any(word in text for word in _FILE_WORDS) and not _only_in_roots(text):
        return not is_plain
    return not _is_address(text) and any(
        is_there(path) or is_there(path.rpartition("/")[0]) for path in paths(text) if not is_no_file(path)
    )


def _only_in_roots(text: str) -> bool:
    """Whether each file that filters and parameters name here is given by its full path."""
    for key in ("f", "file", "filename", "stats_file"):
        text = text.replace(f"={key}=", "=")
    text = text.replace("='", "=")
    return all(
        text.count(word) == text.count(word + _ROOT)
        if word.endswith("=")
        else word not in text or "=" + _ROOT in text.partition(word)[2]
        for word in _FILE_WORDS
    )


def paths(text: str) -> Iterator[str]:
    """What could be absolute paths inside a text, without their escapes. Not those of addresses."""
    at = text.find("/")
    while at >= 0:
        if at == 0 or text[at - 1] in BEFORE:
            end = at + 1
            while end < len(text) and (text[end] not in ENDS or text[end] in "'\\") and text[end] != "\n":
                end += 1
            yield "/" + text[at:end].replace("\\", "").replace("'", "").lstrip("/").rstrip()
        at = text.find("/", at + 1)


def _climbs(relative: str, cwd: roots.Folded | None) -> bool:
    return cwd is None or roots.climbs_out(_marked(cwd).lstrip(_ROOT) + "/" + relative)


def _leaves(rest: str) -> bool:
    """Whether what follows a root is no path below it."""
    return (rest != "" and not rest.startswith("/")) or _ROOT in rest or roots.climbs_out(rest)


def is_no_file(url: str) -> bool:
    """A stream, a device or an address of the network."""
    is_device = url.startswith(_DEVICES) and ".." not in url
    return url in _NOWHERE or url in ("", "-") or is_device or url.startswith(_STREAMS) or _is_address(url)


def _is_address(url: str) -> bool:
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme.isalnum() and scheme not in _LOCAL


def _path(url: str) -> str:
    """The path of a url that may be a file's; slashes before a root change nothing."""
    path = url.removeprefix("file:")
    return path.lstrip("/") if path.lstrip("/").startswith(_ROOT) else path


def _marked(folded: roots.Folded) -> str:
    """The text of the pieces as they will be joined, with a mark where a root stood."""
    pieces = [folded] if isinstance(folded, str) else folded
    return "".join(
        _ROOT if isinstance(piece, dict) and "root" in piece else roots.unfold([piece], {})
        for piece in pieces
    )
