"""How many seconds and frames of media a command will make, from its arguments and its inputs' durations.

Only a progress bar needs it, so it is kept out of what the shim loads.
"""

from __future__ import annotations

from app.wire.command import Command, bare, is_whole, words

_Span = tuple[float, float | None]  # begin and end, in seconds
_UNITS = (("ms", 1e-3), ("us", 1e-6), ("s", 1.0))
_TIMES = ("ss", "t", "to", "sseof", "itsoffset")
_RETIMED = words("r itsscale framerate")  # they give an input's frames other times than its file does
# Filters that change how long something lasts, as words in graphs. A graph in a file may have any of them.
_GRAPHS = words("vf af filter filter_complex lavfi")
_GRAPH_FILES = words("filter_script filter_complex_script /vf /af /filter /filter_complex /lavfi")
_BENDS_TIME = words("concat= atempo= asetrate= trim= loop= PTS* *PTS *(PTS PTS)* PTS/ =N/")


def seconds(text: str) -> float | None:
    """ffmpeg's duration, [-][HH:]MM:SS[.m] or [-]S[.m], with s, ms or us; None if ffmpeg would refuse it."""
    unit, factor = next((unit for unit in _UNITS if text.endswith(unit[0])), ("", 1.0))
    whole, _, fraction = text.removeprefix("-").removesuffix(unit).partition(".")
    fields = whole.split(":") if ":" in whole else [whole.lstrip(" ").removeprefix("+")]
    if not _are_fields(fields) or not is_whole(fraction or "0"):
        return None
    total = 0
    for field in fields:
        total = total * 60 + int(field)
    if total > 9e12:  # ffmpeg counts microseconds in 64 bits
        return None
    value = (total + float(f"0.{fraction}0")) * factor
    return -value if text.startswith("-") else value


def _are_fields(fields: list[str]) -> bool:
    """Hours or seconds alone may be any number; minutes, and seconds behind them, have two digits at most."""
    if len(fields) > 3 or not all(map(is_whole, fields)):
        return False
    return len(fields) == 1 or all(len(field) <= 2 and int(field) < 60 for field in fields[-2:])


def expected(command: Command, durations: list[float | None]) -> float | None:
    """How many seconds of media will come out if the inputs last as long as `durations` says (None: unknown).

    None if that can't be known; never negative, never NaN. A filter that bends time makes it unknown, an -t
    before the output known again. Of several outputs it is the longest, as in ffmpeg's own report.
    """
    begin, end = _clock(command, durations)
    return None if end is None else max(end - begin, 0.0)


def offset(command: Command) -> float:
    """What out_time shows at the first frame: 0, but for -itsoffset and for a seek to before the start.

    Also 0 with -copyts (measured, 5.1 and 9.0): the report then counts from the first time that it has seen.
    """
    return 0.0 if _keeps_times(command) else _clock(command, [])[0]


def frames(command: Command) -> int | None:
    """How many video frames will come out at most (-frames:v); None without such a limit on every output."""
    limits = [options.get("vframes", "") for options in command.output_options]
    return int(limits[0]) if limits and all(map(is_whole, limits)) else None


def _keeps_times(command: Command) -> bool:
    return command.options.get("copyts") == "1"


def _clock(command: Command, durations: list[float | None]) -> _Span:
    """When the outputs begin and end."""
    groups = command.input_options + command.output_options
    legible = all(seconds(group.get(name, "0")) is not None for group in groups for name in _TIMES)
    if not command.outputs or not legible or any(f"/{name}" in command.options for name in _TIMES):
        return 0.0, None
    known = [*durations, *[None] * len(command.inputs)]
    spans = [_span(command, number, known[number]) for number in range(len(command.inputs))]
    windows = [_window(command, number, spans) for number in range(len(command.outputs))]
    return min(begin for begin, _ in windows), _last([end for _, end in windows])


def _span(command: Command, number: int, duration: float | None) -> _Span:
    """When an input begins and ends, on the clock of the filters."""
    options, start = command.input_options[number], _time(command.input_options[number], "ss")
    if duration is not None and not 0 <= duration < 9e12:  # NaN is out of any range
        duration = None
    if "sseof" in options and "ss" not in options and duration is not None:
        start = max(duration + _time(options, "sseof"), 0.0)
    begin = _time(options, "itsoffset") + max(start if _keeps_times(command) else -start, 0.0)
    lengths = [_limit(options), _available(options, duration, max(start, 0.0))]
    length = min((length for length in lengths if length is not None), default=None)
    return begin, None if length is None else begin + length


def _available(options: dict[str, str], duration: float | None, start: float) -> float | None:
    """What an input holds behind its start. A looped one begins again near there, at the keyframe before."""
    loops = options.get("stream_loop", "0")
    endless = not is_whole(loops) or options.get("loop", "0") != "0" or options.get("ignore_loop") == "0"
    if duration is None or endless or options.keys() & _RETIMED:
        return None
    return max(duration - start, 0.0) * (int(loops) + 1)


def _window(command: Command, number: int, spans: list[_Span]) -> _Span:
    """When an output begins and ends. Its own -ss is its zero, unless -copyts keeps the inputs' times."""
    options = command.output_options[number]
    sources = [spans[source] for source in _sources(command, number)]
    skipped, limit = max(_time(options, "ss"), 0.0), _limit(options)
    begin = max(min((begin for begin, _ in sources), default=0.0), skipped)
    ends: list[float | None] = [None] if _bends_time(command) else [end for _, end in sources]
    if options.get("shortest") == "1":  # what has no known end is made to be cut: silence, a loop
        ends = [min((end for end in ends if end is not None), default=None)]
    end = _last(ends)
    if limit is not None:
        end = skipped + limit if end is None else min(end, skipped + limit)
    zero = 0.0 if _keeps_times(command) else skipped
    return begin - zero, None if end is None else end - zero


def _last(ends: list[float | None]) -> float | None:
    known = [end for end in ends if end is not None]
    return max(known, default=None) if len(known) == len(ends) else None


def _limit(options: dict[str, str]) -> float | None:
    """What -t allows, or else -to, counted from -ss."""
    if "t" in options:
        return max(_time(options, "t"), 0.0)
    return max(_time(options, "to") - _time(options, "ss"), 0.0) if "to" in options else None


def _time(options: dict[str, str], name: str) -> float:
    return seconds(options.get(name, "0")) or 0.0


def _sources(command: Command, number: int) -> list[int]:
    """The inputs that an output's -map names; all of them if that doesn't tell."""
    everything = list(range(len(command.inputs)))
    maps = [text for text in command.maps[number] if not text.startswith("-")]
    heads = [bare(text).partition(",")[0].rstrip("?") for text in maps]
    if command.options.keys() & words("filter_complex lavfi") or not all(map(is_whole, heads)):
        return everything
    return [source for source in everything if source in map(int, heads)] or everything


def _bends_time(command: Command) -> bool:
    graphs = [command.args[at] for at, name in command.values.items() if bare(name) in _GRAPHS]
    bent = any(word in graph for graph in graphs for word in _BENDS_TIME)
    return bent or bool(command.options.keys() & _GRAPH_FILES)
