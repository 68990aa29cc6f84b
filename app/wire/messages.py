"""Names that cross the network: paths of the API, lanes, limits and the words of a job's answer.

A submission is a JSON object (`POST /v1/jobs`):

    key       made by the client, one for each run of the command: sending it twice makes one job
    binary    "ffmpeg" or "ffprobe"
    args      folded arguments without the program's name (see `roots`)
    cwd       the folded directory the command runs in, or null
    view      where the client mounts each root; the coordinator stores it and does not read it
    lane      how urgent it is
    nice      the niceness that the job runs with at least, 0 to 19
    env       variables for the job, of those in ENVIRONMENT
    labels    what the worker must carry, besides what the arguments need
    attach    true when the caller will attach to the job's standard streams
    in_place  true when outputs are to be written under their own names while they grow
    stdin     "none" when nobody will write to the job, "ready" when there is something to read for it already: it
              waits for that before it starts; else "open"
    umask     of the caller, for the files that the job makes
    user      of the caller: user id, group id and other groups; a worker that is root runs the job as that user
    require_worker  true to be refused at once (503) when no live worker can run it
    max_attempts    how many workers may be lost under the job before it counts as poison and is dead
    redo      "suspected": as soon as its worker is silent for a lease another one may run it; "fenced": only when
              that worker is proven dead; "never". Without it, what the job writes decides: see `command.kind`
    retries   how often it may fail and be tried again; retry_delay: seconds before that, twice as long each time
    max_seconds     how long an attempt may run, 0: for ever
    stall_seconds   how long it may do nothing (no progress, no output, no processor time), 0: for ever
"""

from __future__ import annotations

BINARIES = ("ffmpeg", "ffprobe")

# What a caller may say in a job's environment: how the log looks, and which driver of the worker is used.
# Nothing that makes a program load code or write files.
ENVIRONMENT = (
    "TZ",
    "TERM",
    "NO_COLOR",
    "AV_LOG_FORCE_COLOR",
    "AV_LOG_FORCE_NOCOLOR",
    "AV_LOG_FORCE_256COLOR",
    "LIBVA_DRIVER_NAME",
    "LIBVA_DRIVER_NAME_JELLYFIN",
    "LIBVA_MESSAGING_LEVEL",
    "AMD_DEBUG",
)
VALUE_LIMIT = 256  # characters of a variable's value
LANES = ("live", "high", "normal", "low")

JOBS = "/v1/jobs"
BULK = "/v1/bulk"
QUEUES = "/v1/queues"
WORKERS = "/v1/workers"
SUMMARY = "/v1/summary"
SCALING = "/v1/scaling"
FLEET = "/v1/fleet"
FLEET_HEADER = "FFGrid-Fleet"  # the fleet's id, in the answers to POST /v1/jobs and GET /v1/fleet
FALLBACKS = "/v1/fallbacks"

REDO = ("suspected", "fenced", "never")
CAUSES = {  # why an attempt did not succeed, apart from what people are told
    "exit": "the program ended with a status other than 0",
    "signal": "a signal ended it",
    "oom": "the kernel ended it because memory was short",
    "disk_full": "there was no room for its output",
    "stalled": "it did nothing for too long",
    "timeout": "it ran longer than it may",
    "stuck": "it, or a file system it uses, does not react any more",
    "lost": "its worker died, or could not be reached",
    "refused": "it cannot run there, and could nowhere",
    "cancelled": "somebody ended it",
}
STALL_SECONDS = 600  # for a job without a caller, if nothing else is said

WITHDRAWN = "its caller ran it itself"  # why a job ended that waited too long for a worker

BODY_LIMIT = 1 << 20  # bytes of a request body
ARGUMENT_LIMIT = 131_071  # bytes of one argument: Linux' MAX_ARG_STRLEN less the final NUL
ARGUMENTS_LIMIT = 1 << 18  # bytes of all arguments together


def job_path(job_id: str, what: str = "") -> str:
    """`/v1/jobs/<id>` or `/v1/jobs/<id>/<what>`."""
    return f"{JOBS}/{job_id}/{what}" if what else f"{JOBS}/{job_id}"
