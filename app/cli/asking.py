"""The table of the commands that ask a coordinator: jobs and workers."""

from __future__ import annotations

from app.cli.command import CONFIG, JSON, KEY, ROOTS, URL, Command, argument
from app.cli.filters import FILTERS
from app.cli.moments import SPANS, TIMES, timeout
from app.wire.messages import LANES, REDO, STALL_SECONDS

CLIENT = (JSON, URL, KEY, CONFIG)
TIMEOUT = argument(
    "--timeout", type=timeout, metavar="TIME", help=f"stop waiting then, with status 124: {SPANS}"
)
WORKER = argument("worker", metavar="WORKER", help="its name")
MANY = argument("jobs", nargs="*", metavar="ID", help="the jobs' ids, or the starts of them")
BULK = (
    argument("--dry-run", action="store_true", help="only show which jobs that would be"),
    argument("--yes", action="store_true", help="do it to all that match, without asking"),
)
JOB = argument("job", metavar="ID", help="the job's id, or the start of one that is enough")

ASKING = (
    Command(
        "submit",
        "queue an ffmpeg or ffprobe command",
        "app.cli.jobs:submit",
        (
            argument("--wait", action="store_true", help="print its output and end with its exit status"),
            argument("--lane", choices=LANES, default="normal", help="how urgent it is (default: normal)"),
            argument(
                "--label",
                action="append",
                default=[],
                metavar="NAME=VALUE",
                help="only on workers with this label; may be repeated",
            ),
            argument("--nice", type=int, default=0, metavar="N", help="run it with this niceness (0 to 19)"),
            argument(
                "--max-attempts",
                type=int,
                default=3,
                metavar="N",
                help="workers it may lose before it counts as poison (default: 3)",
            ),
            argument(
                "--retries",
                type=int,
                default=0,
                metavar="N",
                help="how often it may fail and be tried again (default: 0)",
            ),
            argument(
                "--retry-delay",
                type=float,
                default=10,
                metavar="SECONDS",
                help="before it is tried again; twice as long each time (default: 10)",
            ),
            argument(
                "--max-seconds",
                type=float,
                default=0,
                metavar="SECONDS",
                help="end an attempt that runs longer (default: never)",
            ),
            argument(
                "--stall-seconds",
                type=float,
                metavar="SECONDS",
                help=f"end an attempt that does nothing for so long; 0: never (default: {STALL_SECONDS})",
            ),
            argument(
                "--in-place",
                action="store_true",
                help="write outputs under their own names, so that they can be read while they grow",
            ),
            argument(
                "--redo",
                choices=REDO,
                help="when another worker may run it again after its own fell silent "
                "(default: suspected for whole files, fenced for what is written in place)",
            ),
            argument(
                "--timeout",
                type=timeout,
                metavar="TIME",
                help=f"with --wait: stop waiting then; the job goes on: {SPANS}",
            ),
            *CLIENT,
            ROOTS,
            argument(
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
            *FILTERS,
            argument("--limit", type=int, default=20, metavar="N", help="how many (default: 20)"),
            *CLIENT,
        ),
        "ffgrid jobs --state failed --since 24h\nffgrid jobs --worker render --text .mkv --limit 100",
    ),
    Command("show", "show one job", "app.cli.jobs:show", (JOB, *CLIENT), "ffgrid show 01M7ZSCJ --json"),
    Command(
        "logs",
        "print what a job printed, both of its streams in order",
        "app.cli.logs:run",
        (
            argument("-f", "--follow", action="store_true", help="go on until it ends"),
            argument("--tail", type=int, metavar="N", help="begin with the last N lines"),
            argument("--since", metavar="TIME", help=f"begin with what was printed then: {TIMES}"),
            argument("--timestamps", action="store_true", help="put the time before each line, in UTC"),
            TIMEOUT,
            JOB,
            *CLIENT,
        ),
        "ffgrid logs -f --tail 20 01M7ZSCJ\nffgrid logs --since 10m --timestamps 01M7ZSCJ",
    ),
    Command(
        "watch",
        "follow a job with a progress bar; ends with 0 when it is done, else with 1",
        "app.cli.jobs:watch",
        (
            argument(
                "--exit-status",
                action="store_true",
                help="end with ffmpeg's own exit status, or 128 and the signal that ended it",
            ),
            TIMEOUT,
            JOB,
            *CLIENT,
        ),
        "ffgrid watch --exit-status 01M7ZSCJ",
    ),
    Command(
        "cancel",
        "end jobs: those that are named, or all that match",
        "app.cli.many:cancel",
        (MANY, *FILTERS, *BULK, *CLIENT),
        "ffgrid cancel 01M7ZSCJ 01M7ZSCK\nffgrid cancel --state queued --lane low --dry-run",
    ),
    Command(
        "pause",
        "stop a running job where it is",
        "app.cli.jobs:pause",
        (JOB, *CLIENT),
        "ffgrid pause 01M7ZSCJ",
    ),
    Command(
        "resume",
        "let a paused job go on",
        "app.cli.jobs:resume",
        (JOB, *CLIENT),
        "ffgrid resume 01M7ZSCJ",
    ),
    Command(
        "retry",
        "run jobs that have ended again, as new jobs: named ones, or all that match",
        "app.cli.many:retry",
        (MANY, *FILTERS, *BULK, *CLIENT),
        "ffgrid retry 01M7ZSCJ\nffgrid retry --state failed --since 24h --yes",
    ),
    Command(
        "fallbacks",
        "list the calls that the stand-ins ran on their own hosts",
        "app.cli.fallbacks:fallbacks",
        (
            argument("--limit", type=int, default=100, metavar="N", help="how many rows (default: 100)"),
            *CLIENT,
        ),
        "ffgrid fallbacks --limit 20",
    ),
    Command("workers", "list the workers", "app.cli.fleet:workers", CLIENT, "ffgrid workers --json"),
    Command(
        "queues",
        "what waits and runs, by what it needs and how urgent it is",
        "app.cli.fleet:queues",
        CLIENT,
        "ffgrid queues --json",
    ),
    Command(
        "drain",
        "let a worker finish what it has and end",
        "app.cli.fleet:drain",
        (
            argument("--resume", action="store_true", help="take that back, before it has ended"),
            WORKER,
            *CLIENT,
        ),
        "ffgrid drain render\nffgrid drain --resume render",
    ),
    Command(
        "pause-worker",
        "let a worker finish what it has, take nothing new and stay",
        "app.cli.fleet:pause",
        (WORKER, *CLIENT),
        "ffgrid pause-worker render",
    ),
    Command(
        "resume-worker",
        "let a worker that is paused or drains take jobs again",
        "app.cli.fleet:resume",
        (WORKER, *CLIENT),
        "ffgrid resume-worker render",
    ),
)
