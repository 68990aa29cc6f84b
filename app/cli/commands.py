"""The table of all commands: names, help, arguments and the function that runs each."""

from __future__ import annotations

from app.cli.admission import KEYS, USERS
from app.cli.command import CONFIG, JSON, MASTER, REDIS, Command
from app.cli.command import argument as _argument
from app.state.lifecycle import STATES
from app.wire.messages import LANES, REDO, STALL_SECONDS

JOB = _argument("job", metavar="ID", help="the job's id, or the start of one that is enough")
KEY = _argument("--key-file", metavar="FILE", help="the key to sign with (FFGRID_KEY_FILE)")
ROOTS = _argument("--roots", metavar="NAME=DIR[:...]", help="where the roots are on this host (FFGRID_ROOTS)")
URL = _argument("--url", metavar="URL", help="the coordinator's address, or several (FFGRID_URL)")

COMMANDS = (
    Command(
        "demo",
        "run everything on this machine: a server, a worker and a real transcode",
        "app.cli.demo:run",
        (
            _argument("--once", action="store_true", help="check the result, clean up and exit"),
            _argument("--port", type=int, default=0, help="the dashboard's port (default: a free one)"),
        ),
        "ffgrid demo --once",
    ),
    Command(
        "web",
        "run one coordinator process",
        "app.cli.web:run",
        (
            _argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)"),
            _argument("--port", type=int, default=8000, help="the port to listen on (default: 8000)"),
            _argument(
                "--embedded",
                action="store_true",
                help="start a Valkey server of its own, kept in the data directory",
            ),
            REDIS,
            MASTER,
            CONFIG,
        ),
        "ffgrid web --host 0.0.0.0 --port 8000",
    ),
    Command(
        "worker",
        "run a worker on this machine",
        "app.cli.worker:run",
        (
            REDIS,
            KEY,
            ROOTS,
            _argument("--worker-id", metavar="NAME", help="its name (FFGRID_WORKER_ID; default: the host's)"),
            _argument("--slots", metavar="N", help="jobs at a time (FFGRID_SLOTS; default: half the cores)"),
            _argument(
                "--labels", metavar="NAME=VALUE[,...]", help="labels that jobs can ask for (FFGRID_LABELS)"
            ),
            CONFIG,
        ),
        "FFGRID_ROOTS=Movies=/mnt/nas/movies ffgrid worker --slots 2",
    ),
    Command("keys", "make, list, rotate and revoke keys (on the coordinator's host)", children=KEYS),
    Command("users", "who may use the dashboard (on the coordinator's host)", children=USERS),
    Command(
        "shim",
        "the stand-in for ffmpeg and ffprobe",
        children=(
            Command(
                "install",
                "write DIR/ffmpeg and DIR/ffprobe, launchers with this configuration in them",
                "app.cli.shim:install",
                (
                    _argument("directory", metavar="DIR", help="where to write them"),
                    URL,
                    KEY,
                    ROOTS,
                    _argument(
                        "--lane",
                        choices=LANES,
                        default="",
                        help="how urgent their calls are (default: live, and low under nice)",
                    ),
                    _argument(
                        "--wait",
                        default="5",
                        metavar="SECONDS",
                        help="run a call here when no worker has taken it by then; never: wait (default: 5)",
                    ),
                    _argument(
                        "--label",
                        action="append",
                        default=[],
                        metavar="NAME=VALUE",
                        help="only workers with this label serve them; may be repeated",
                    ),
                    _argument(
                        "--cache",
                        metavar="DIR",
                        help="where answers are remembered (FFGRID_CACHE; default: ~/.cache/ffgrid)",
                    ),
                    _argument(
                        "--no-warm",
                        action="store_true",
                        help="ask nothing now: the first call of each kind will be slower",
                    ),
                    _argument(
                        "--no-local",
                        action="store_true",
                        help="never run the local ffmpeg when a call cannot be sent away",
                    ),
                    CONFIG,
                ),
                "ffgrid shim install /usr/lib/ffgrid --roots Movies=/media/movies",
            ),
        ),
    ),
    Command(
        "submit",
        "queue an ffmpeg or ffprobe command",
        "app.cli.jobs:submit",
        (
            _argument("--wait", action="store_true", help="print its output and end with its exit status"),
            _argument("--lane", choices=LANES, default="normal", help="how urgent it is (default: normal)"),
            _argument(
                "--label",
                action="append",
                default=[],
                metavar="NAME=VALUE",
                help="only on workers with this label; may be repeated",
            ),
            _argument("--nice", type=int, default=0, metavar="N", help="run it with this niceness (0 to 19)"),
            _argument(
                "--max-attempts",
                type=int,
                default=3,
                metavar="N",
                help="workers it may lose before it counts as poison (default: 3)",
            ),
            _argument(
                "--retries",
                type=int,
                default=0,
                metavar="N",
                help="how often it may fail and be tried again (default: 0)",
            ),
            _argument(
                "--retry-delay",
                type=float,
                default=10,
                metavar="SECONDS",
                help="before it is tried again; twice as long each time (default: 10)",
            ),
            _argument(
                "--max-seconds",
                type=float,
                default=0,
                metavar="SECONDS",
                help="end an attempt that runs longer (default: never)",
            ),
            _argument(
                "--stall-seconds",
                type=float,
                metavar="SECONDS",
                help=f"end an attempt that does nothing for so long; 0: never (default: {STALL_SECONDS})",
            ),
            _argument(
                "--in-place",
                action="store_true",
                help="write outputs under their own names, so that they can be read while they grow",
            ),
            _argument(
                "--redo",
                choices=REDO,
                help="when another worker may run it again after its own fell silent "
                "(default: suspected for whole files, fenced for what is written in place)",
            ),
            JSON,
            URL,
            KEY,
            ROOTS,
            CONFIG,
            _argument(
                "command", nargs="...", metavar="-- ffmpeg ARGS", help="the command, as you would type it"
            ),
        ),
        "ffgrid submit --wait -- ffmpeg -i /media/movies/a.mkv -c:v libx265 /media/movies/b.mkv",
    ),
    Command(
        "jobs",
        "list jobs, the newest first",
        "app.cli.jobs:listing",
        (
            _argument("--state", choices=STATES, help="only these"),
            _argument("--limit", type=int, default=20, metavar="N", help="how many (default: 20)"),
            JSON,
            URL,
            KEY,
            CONFIG,
        ),
    ),
    Command("show", "show one job", "app.cli.jobs:show", (JOB, JSON, URL, KEY, CONFIG)),
    Command(
        "logs",
        "print what a job printed, both of its streams in order",
        "app.cli.jobs:logs",
        (
            _argument("-f", "--follow", action="store_true", help="go on until it ends"),
            JOB,
            JSON,
            URL,
            KEY,
            CONFIG,
        ),
    ),
    Command(
        "watch",
        "follow a job with a progress bar and end with its exit status",
        "app.cli.jobs:watch",
        (JOB, JSON, URL, KEY, CONFIG),
    ),
    Command(
        "cancel",
        "end jobs",
        "app.cli.jobs:cancel",
        (_argument("jobs", nargs="+", metavar="ID", help="the jobs' ids"), JSON, URL, KEY, CONFIG),
    ),
    Command("pause", "stop a running job where it is", "app.cli.jobs:pause", (JOB, JSON, URL, KEY, CONFIG)),
    Command("resume", "let a paused job go on", "app.cli.jobs:resume", (JOB, JSON, URL, KEY, CONFIG)),
    Command(
        "retry",
        "run a job that has ended again, as a new job",
        "app.cli.jobs:retry",
        (JOB, JSON, URL, KEY, CONFIG),
    ),
    Command(
        "fallbacks",
        "list the calls that the stand-ins ran on their own hosts",
        "app.cli.fallbacks:fallbacks",
        (
            _argument("--limit", type=int, default=100, metavar="N", help="how many rows (default: 100)"),
            JSON,
            URL,
            KEY,
            CONFIG,
        ),
    ),
    Command("workers", "list the workers", "app.cli.fleet:workers", (JSON, URL, KEY, CONFIG)),
    Command(
        "drain",
        "let a worker finish what it has and end",
        "app.cli.fleet:drain",
        (_argument("worker", metavar="WORKER", help="its name"), JSON, URL, KEY, CONFIG),
    ),
)
