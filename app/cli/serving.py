"""The table of the commands that run, set up and check a farm."""

from __future__ import annotations

from app.cli.admission import KEYS, USERS
from app.cli.command import CONFIG, JSON, KEY, MASTER, REDIS, ROOTS, URL, Command, argument
from app.cli.moments import timeout
from app.wire.messages import LANES

SERVING = (
    Command(
        "demo",
        "run everything on this machine: a server, a worker and a real transcode",
        "app.cli.demo:run",
        (
            argument("--once", action="store_true", help="check the result, clean up and exit"),
            argument("--port", type=int, default=0, help="the dashboard's port (default: a free one)"),
        ),
        "ffgrid demo --once",
    ),
    Command(
        "web",
        "run one coordinator process",
        "app.cli.web:run",
        (
            argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)"),
            argument("--port", type=int, default=8000, help="the port to listen on (default: 8000)"),
            argument(
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
            argument("--worker-id", metavar="NAME", help="its name (FFGRID_WORKER_ID; default: the host's)"),
            argument("--slots", metavar="N", help="jobs at a time (FFGRID_SLOTS; default: half the cores)"),
            argument(
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
                    argument("directory", metavar="DIR", help="where to write them"),
                    URL,
                    KEY,
                    ROOTS,
                    argument(
                        "--lane",
                        choices=LANES,
                        default="",
                        help="how urgent their calls are (default: live, and low under nice)",
                    ),
                    argument(
                        "--wait",
                        default="5",
                        metavar="SECONDS",
                        help="run a call here when no worker has taken it by then; never: wait (default: 5)",
                    ),
                    argument(
                        "--label",
                        action="append",
                        default=[],
                        metavar="NAME=VALUE",
                        help="only workers with this label serve them; may be repeated",
                    ),
                    argument(
                        "--cache",
                        metavar="DIR",
                        help="where answers are remembered (FFGRID_CACHE; default: ~/.cache/ffgrid)",
                    ),
                    argument(
                        "--no-warm",
                        action="store_true",
                        help="ask nothing now: the first call of each kind will be slower",
                    ),
                    argument(
                        "--no-local",
                        action="store_true",
                        help="never run the local ffmpeg when a call cannot be sent away",
                    ),
                    JSON,
                    CONFIG,
                ),
                "ffgrid shim install /usr/lib/ffgrid --roots Movies=/media/movies",
            ),
        ),
    ),
    Command(
        "init",
        "ask four things, test each, write the files, say what comes next",
        "app.cli.init:run",
        (
            REDIS,
            ROOTS,
            argument("--listen", metavar="HOST:PORT", help="where the coordinator will listen"),
            argument("--admin", metavar="NAME", help="the name of the first admin, and of his key"),
            argument("--dir", metavar="DIR", help="where the files go (default: ~/.config/ffgrid)"),
            argument("--yes", action="store_true", help="ask nothing: defaults for what no flag says"),
            argument("--overwrite", action="store_true", help="with --yes: replace files that are there"),
        ),
        "ffgrid init\nffgrid init --yes --redis-url redis://tower:6379/0 --roots Movies=/media/movies "
        "--listen 0.0.0.0:8000 --admin ada",
    ),
    Command(
        "doctor",
        "look at everything, and say what is wrong and what mends it",
        "app.cli.doctor:run",
        (
            argument(
                "--shim", metavar="DIR", help="where the launchers are (default: PATH and usual places)"
            ),
            argument(
                "--timeout",
                type=timeout,
                default=30.0,
                metavar="TIME",
                help="how long all checks may take together (default: 30s)",
            ),
            JSON,
            REDIS,
            URL,
            KEY,
            ROOTS,
            CONFIG,
        ),
        "ffgrid doctor\nffgrid doctor --shim /usr/local/lib/ffgrid --json",
    ),
    Command(
        "healthcheck",
        "end with 0 when the coordinator is ready, else with 1; needs no key",
        "app.cli.health:run",
        (JSON, URL, CONFIG),
        "ffgrid healthcheck --url http://127.0.0.1:8000",
    ),
    Command(
        "config",
        "what is set, and where that is said",
        children=(
            Command(
                "show",
                "print every setting; secrets are left out",
                "app.cli.config:show",
                (
                    argument("--origin", action="store_true", help="say where each value is from"),
                    JSON,
                    REDIS,
                    URL,
                    KEY,
                    ROOTS,
                    MASTER,
                    CONFIG,
                ),
                "ffgrid config show --origin",
            ),
        ),
    ),
    Command(
        "completion",
        "print what has a shell complete this command",
        "app.cli.completion:run",
        (argument("shell", choices=("bash", "zsh", "fish"), help="which shell"),),
        'eval "$(ffgrid completion bash)"\nsource <(ffgrid completion zsh)\n'
        "ffgrid completion fish > ~/.config/fish/completions/ffgrid.fish",
    ),
    Command("version", "print the version", "app.cli.version:run", (JSON,), "ffgrid version"),
)
