"""Names that cross the network: paths of the API, lanes, limits and the words of a job's answer.

A submission is a JSON object (`POST /v1/jobs`):

    key       made by the client, one for each run of the command: sending it twice makes one job
    binary    "ffmpeg" or "ffprobe"
    args      folded arguments without the program's name (see `roots`)
    cwd       the folded directory the command runs in, or null
    view      where the client mounts each root; the coordinator stores it and does not read it
    lane      how urgent it is
    labels    what the worker must carry, besides what the arguments need
    attach    true when the caller will attach to the job's standard streams
    in_place  true when outputs are to be written under their own names while they grow
    stdin     "none" when nobody will write to the job, "ready" when there is something to read for it already: it
              waits for that before it starts; else "open"
    umask     of the caller, for the files that the job makes
    user      of the caller: user id, group id and other groups; a worker that is root runs the job as that user
    require_worker  true to be refused at once (503) when no live worker can run it
    max_attempts    how many workers may be lost under the job before it fails
"""

from __future__ import annotations

BINARIES = ("ffmpeg", "ffprobe")
LANES = ("live", "high", "normal", "low")

JOBS = "/v1/jobs"
WORKERS = "/v1/workers"
FLEET = "/v1/fleet"
FLEET_HEADER = "FFGrid-Fleet"  # the fleet's id, in the answers to POST /v1/jobs and GET /v1/fleet

BODY_LIMIT = 1 << 20  # bytes of a request body
ARGUMENT_LIMIT = 131_071  # bytes of one argument: Linux' MAX_ARG_STRLEN less the final NUL
ARGUMENTS_LIMIT = 1 << 18  # bytes of all arguments together


def job_path(job_id: str, what: str = "") -> str:
    """`/v1/jobs/<id>` or `/v1/jobs/<id>/<what>`."""
    return f"{JOBS}/{job_id}/{what}" if what else f"{JOBS}/{job_id}"
