"""An ffmpeg or ffprobe command line, taken apart the way ffmpeg itself does it.

    -y -ss 60 -i a.mkv   -c:v libx264 -t 5 b.mkv   -f null -
    +---- input 0 ----+  +------ output 0 ------+  +output 1+

An option belongs to the next url; a few (-y, -progress, -copyts) to the whole line, wherever they stand. Each
argument is an option, the value of one, an input or an output. Nothing is looked up and nothing fails: a line
that ffmpeg would refuse is read as far as it goes, and ffmpeg says what is wrong. No imports: the shim waits.
"""


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The options without a value, of ffmpeg 5.1 to 9.0 and forks (xioerror: Plex, only_first_vframe: Jellyfin).
# All others have one. One list for all versions is safe: one that lacks an option refuses the command.
_FLAGS = {
    "ffmpeg": words("""
        accurate_seek an auto_conversion_filters autorotate autoscale benchmark benchmark_all bitexact
        copyinkf copyts copy_unknown debug_ts display_hflip display_vflip dn dump find_stream_info
        fix_sub_duration fix_sub_duration_heartbeat force_fps hex hide_banner ignore_unknown n print_graphs
        psnr qphist re recast_media report shortest sn start_at_zero stats stdin vn vstats xerror xioerror
        y"""),
    "ffprobe": words("""
        analyze_frames bitexact byte_binary_prefix count_frames count_packets find_stream_info hide_banner
        only_first_vframe prefix pretty private report sexagesimal show_chapters show_data show_error
        show_format show_frames show_library_versions show_packets show_pixel_formats show_private_data
        show_program_version show_programs show_stream_groups show_streams show_versions unit"""),
}
# ffmpeg 5 wants a value, ffmpeg 7 refuses one. Only a number can be it, and nobody calls an output that.
_FLAG_OR_NUMBER = words("autorotate autoscale")
# The options whose value is a url. ffprobe ignores a "no" before an option that it knows.
_URLS = {
    "ffmpeg": {"i": "input", "dec": "decoder"},
    "ffprobe": {"i": "input", "noi": "input", "o": "output", "noo": "output"},
}
_PLAIN = {"ffmpeg": "output", "ffprobe": "input"}  # what an argument without an option is
# They print something and end the program. The argument behind them is their topic, whatever it is.
_EXITS = words("""
    L license h ? help -help version buildconf formats muxers demuxers devices codecs decoders encoders bsfs
    protocols filters pix_fmts layouts sample_fmts dispositions colors hwaccels sources sinks sections""")
_PRINTS = words("show_program_version show_library_versions show_versions show_pixel_formats")
# The answer depends on the machine and the moment, not only on the build.
_ASKS_MACHINE = words("sources sinks init_hw_device vaapi_device qsv_device")

_CODECS = words("c codec vcodec acodec scodec dcodec")
_HARDWARE = words("amf at d3d12va mediacodec mf nvenc omx qsv rkmpp v4l2m2m vaapi videotoolbox vulkan")

_STDIN = words("- pipe: pipe:0 fd: /dev/stdin /dev/fd/0 /proc/self/fd/0")
_STDOUT = words("- pipe: pipe:1 fd: /dev/stdout /dev/fd/1 /proc/self/fd/1")
_STDOUT_WITHIN = ("pipe:1", "pipe\\:1", "/dev/stdout", "file=-")  # in filters, lists and tee's outputs

# Muxers that write several files, or none that could be renamed (devices).
_NOT_ONE_FILE = words("""
    hls dash segment stream_segment ssegment webm_chunk hds smoothstreaming tee fifo alsa audiotoolbox caca
    decklink fbdev opengl oss pulse sdl sdl2 sndio v4l2 video4linux2 xv""")
# What makes files beside the outputs: options, and words in filters and encoder parameters.
_SIDE_FILES = words("""
    dump_attachment print_graphs_file report sdp_file stats_enc_post stats_enc_pre stats_mux_pre vstats
    vstats_file""")
_SIDE_FILES_WITHIN = words("""
    stats_file= psnr=f= ssim=f= log_path= vidstabdetect signature= :file= stats= analysis-save= :csv= pass=1
    pass=3""")


class Command:
    """A command line and where its parts are. The lists of options run beside the lists of urls.

    `values` gives for the index of each value its option as written, without the dash: "metadata:s:a:0".
    The dictionaries have its bare name ("metadata"); a flag is "1", a negated one "0", and the last one wins.
    A value that ffmpeg takes from a file (`-/t FILE`, since 7) is under "/t". ffprobe has one group for all.
    """

    # fmt: off
    __slots__ = ("args", "asks", "binary", "encoders", "input_options", "inputs", "maps", "options",
                 "output_options", "outputs", "values")
    # fmt: on

    def __init__(self, binary: str, args: list[str]) -> None:
        self.binary, self.args = binary, args
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self.values: dict[int, str] = {}
        self.encoders: list[str] = []  # named for outputs; a -c before an input is a decoder
        self.options: dict[str, str] = {}  # of the whole line
        self.input_options: list[dict[str, str]] = []
        self.output_options: list[dict[str, str]] = []
        self.maps: list[list[str]] = []  # the -map of each output
        self.asks: str | None = None  # the first option that prints something and ends the program

    @property
    def is_query(self) -> bool:
        """One answer serves everybody until the build changes: no file, no device, nothing else is asked."""
        if self.inputs or self.outputs or self.options.keys() & _ASKS_MACHINE or _leaves_side_files(self):
            return False
        return self.asks is not None or (self.binary == "ffprobe" and bool(self.options.keys() & _PRINTS))

    @property
    def reads_stdin(self) -> bool:
        """Bytes on stdin may matter: as data, or as keys (q, ?, c, y), to which ffmpeg listens by default."""
        if self.asks is not None:
            return False
        urls = self.texts(self.inputs)
        return any(map(_is_stdin, urls)) or "pipe:0" in self.texts(self.values) or self.listens

    @property
    def listens(self) -> bool:
        """Single keys on stdin are commands to it."""
        # A pipe among the inputs turns the keys off, even one on another descriptor (measured: pipe:3).
        piped = any(url.startswith(("pipe:", "fd:")) or _is_stdin(url) for url in self.texts(self.inputs))
        works = self.binary == "ffmpeg" and (bool(self.outputs) or "dump_attachment" in self.options)
        return works and not piped and self.asks is None and self.options.get("stdin") != "0"

    @property
    def writes_stdout(self) -> bool:
        """Something may come out there: an answer, ffprobe's report, media, a playlist, progress."""
        if self.asks is not None or (self.binary == "ffprobe" and not self.outputs):
            return True
        urls = self.texts(_traces(self))
        texts = urls + self.texts(self.values)
        named = any(text == "pipe:" or any(name in text for name in _STDOUT_WITHIN) for text in texts)
        return named or self.options.get("progress") == "-" or not _STDOUT.isdisjoint(urls)

    @property
    def overwrite(self) -> bool | None:
        """What happens to an output that is there already: replaced (-y), kept (-n), or ffmpeg asks."""
        if self.options.get("n") == "1":
            return False
        return True if self.options.get("y") == "1" else None

    @property
    def has_progress(self) -> bool:
        return "progress" in self.options

    def texts(self, indexes: list[int] | dict[int, str]) -> list[str]:
        """The arguments at these indexes."""
        return [self.args[at] for at in indexes]


def read(binary: str, args: list[str]) -> Command:
    """Reads the arguments behind the program's name; `binary` is "ffmpeg" or "ffprobe"."""
    reading = _Reading(Command(binary, args))
    while reading.at < len(args):
        reading.step(args[reading.at])
    return reading.command


class _Reading:
    """A command half read: the index of the next argument, and the options since the last url."""

    __slots__ = ("at", "codecs", "command", "group", "maps")

    def __init__(self, command: Command) -> None:
        self.command, self.at = command, 0
        self._begin_group()

    def _begin_group(self) -> None:
        self.group: dict[str, str] = {} if self.command.binary == "ffmpeg" else self.command.options
        self.codecs: list[str] = []
        self.maps: list[str] = []

    def step(self, arg: str) -> None:
        """Reads an argument, with its value if it has one."""
        if arg == "-" or not arg.startswith("-"):
            self._url(_PLAIN[self.command.binary])
        elif arg == "--":
            self._dashes()
        else:
            self._option(arg[1:])

    def _dashes(self) -> None:
        """A dash means nothing behind `--`: to ffmpeg for one argument, to ffprobe for all that follow."""
        self.at += 1
        binary, rest = self.command.binary, self.command.args[self.at :]
        for _ in rest if binary == "ffprobe" else [url for url in rest[:1] if url != "--"]:
            self._url(_PLAIN[binary])

    def _option(self, name: str) -> None:
        self.at += 1
        binary, base = self.command.binary, bare(name)
        following = self.command.args[self.at : self.at + 1]
        url = _URLS[binary].get(name if binary == "ffmpeg" else base)
        if url and following:
            self._url(url)
        elif base in _FLAGS[binary] and not (base in _FLAG_OR_NUMBER and is_whole("".join(following))):
            self._note(name, "1")
        elif base.startswith("no") and base[2:] in _FLAGS[binary]:
            self._note(name[2:], "0")
        else:
            self.command.values.update({self.at: name} if following else {})
            self._note(name, "".join(following))
            self.at += 1

    def _note(self, name: str, value: str) -> None:
        base = bare(name)
        self.group[base] = self.command.options[base] = value
        if base in _EXITS and self.command.asks is None:
            self.command.asks = base
        elif base in _CODECS and value not in ("copy", ""):
            self.codecs.append(value)
        elif base == "map":
            self.maps.append(value)
        elif name == "frames" or name.startswith("frames:v"):
            self.group["vframes"] = value

    def _url(self, role: str) -> None:
        """Ends the group: its options were about the url that is next."""
        command = self.command
        if role == "input":
            command.inputs.append(self.at)
            command.input_options.append(self.group)
        elif role == "output":
            command.outputs.append(self.at)
            command.output_options.append(self.group)
            command.maps.append(self.maps)
            command.encoders += self.codecs
        else:
            command.values[self.at] = "dec"
        self.at += 1
        self._begin_group()


def bare(name: str) -> str:
    """An option's name without its stream specifier."""
    return name.partition(":")[0]


def is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def build_dependent(encoder: str) -> bool:
    """The encoder is there only if ffmpeg was built with a library, or if the machine has the hardware."""
    return encoder.startswith(("lib", "nvenc")) or encoder.rpartition("_")[2] in _HARDWARE


def kind(command: Command) -> str:
    """What the command leaves behind, and so what a killed attempt at it would.

    "none": nothing (ffprobe, queries, `-f null`). "atomic": single files and nothing else; they can be
    written under other names and renamed at the end, so that nobody sees half of one. "stream": all else.
    What went through a pipe can't be taken back, many files can't be renamed at once, and a playlist would
    hold the wrong names. Progress through a pipe is talk, not a trace.
    """
    if _leaves_side_files(command):
        return "stream"
    traces = [] if command.asks is not None else _traces(command)
    if not traces:
        return "none"
    return "atomic" if traces == output_files(command) else "stream"


def output_files(command: Command) -> list[int]:
    """The outputs that are one plain file each (indexes of arguments): no pipe, protocol or set of files.

    Another name for one must keep the suffix, from which ffmpeg guesses the format, and have no "%".
    """
    return [at for at in _traces(command) if _is_file(command.args[at]) and not _is_many(command, at)]


def _traces(command: Command) -> list[int]:
    """The outputs that leave something somewhere."""
    return [at for at in command.outputs if not _is_void(command, at)]


def _is_void(command: Command, at: int) -> bool:
    to_null = _path(command.args[at]) == "/dev/null" and not _is_many(command, at)
    return to_null or _options(command, at).get("f") == "null"


def _options(command: Command, at: int) -> dict[str, str]:
    """The options of an output. All of ffprobe's are about its input."""
    return {} if command.binary == "ffprobe" else command.output_options[command.outputs.index(at)]


def _is_many(command: Command, at: int) -> bool:
    """The muxer makes more files than the one named, or other ones."""
    url, options = command.args[at], _options(command, at)
    muxer = options.get("f", "")
    if not muxer and url.lower().endswith((".m3u8", ".mpd", ".chk")):
        return True
    numbered = any(piece.lstrip("0123456789").startswith("d") for piece in url.split("%")[1:])
    pattern = numbered or (muxer == "image2" and "%" in url) or "strftime" in options
    return pattern or muxer in _NOT_ONE_FILE or "/f" in options


def _leaves_side_files(command: Command) -> bool:
    if command.options.keys() & _SIDE_FILES or _is_file(command.options.get("progress", "-")):
        return True
    values = [(bare(name), command.args[at]) for at, name in command.values.items()]
    if any(name == "pass" and value != "2" for name, value in values):  # the second pass only reads its log
        return True
    return any(word in value for _, value in values for word in _SIDE_FILES_WITHIN)


def _is_file(url: str) -> bool:
    path = "" if url == "-" else _path(url)
    special = path.startswith(("/dev/", "/proc/")) and not path.startswith("/dev/shm/")  # noqa: S108
    return path != "" and not path.endswith("/") and not special


def _path(url: str) -> str:
    """The path that ffmpeg opens for a url; empty if it opens none."""
    scheme, colon, rest = url.partition(":")
    is_scheme = scheme.isascii() and scheme.translate(dict.fromkeys(map(ord, "+-."))).isalnum()
    if not colon or not is_scheme or len(scheme) == 1:  # one letter is a drive
        return url
    return rest if scheme == "file" else ""


def _is_stdin(url: str) -> bool:
    while url.startswith(("async:", "cache:", "file:/")):
        url = url.partition(":")[2]
    return url in _STDIN
