"""The life of a job. Rule 1: a state is named and a move is made only as this table says.

    (submit) --> queued --start--> running --publish--> publishing --succeed--> done
                  ^  ^               |                      |
                  |  |               |  a job without files |
                  |  |               +--succeed-------------|-----------------> done
                  |  '--lose---------+----------------------+--fail-----------> failed
                  |     release      |                      |--bury-----------> dead
                  '--due-- waiting <-'--defer---------------'
    queued, waiting, running --cancel-----------------------------------------> cancelled

The Lua scripts get this table as text when they are loaded (see `scripting`), so there is no second copy.
A job that has ended stays as it is: running it again makes a new job.
"""

QUEUED, WAITING, RUNNING, PUBLISHING = "queued", "waiting", "running", "publishing"
DONE, FAILED, CANCELLED, DEAD = "done", "failed", "cancelled", "dead"

STATES = (QUEUED, WAITING, RUNNING, PUBLISHING, DONE, FAILED, CANCELLED, DEAD)

HELD = frozenset({RUNNING, PUBLISHING})  # a worker has a lease on it

MOVES: dict[str, tuple[frozenset[str], str]] = {
    "submit": (frozenset(), QUEUED),
    "start": (frozenset({QUEUED}), RUNNING),
    "publish": (frozenset({RUNNING}), PUBLISHING),  # its outputs get their names: no cancelling any more
    "succeed": (HELD, DONE),
    "fail": (HELD, FAILED),
    "defer": (HELD, WAITING),  # it failed, and is tried again after a while
    "due": (frozenset({WAITING}), QUEUED),
    "lose": (HELD, QUEUED),  # its worker went silent; another may take it
    "release": (frozenset({RUNNING}), QUEUED),  # its worker hands it back; nothing is charged
    "bury": (HELD, DEAD),  # it has lost too many workers: somebody should look at it
    "cancel": (frozenset({QUEUED, WAITING, RUNNING}), CANCELLED),
}

FINAL = frozenset(STATES) - frozenset().union(*(sources for sources, _ in MOVES.values()))

ENDINGS = ("succeed", "fail", "cancel")  # what a worker may report at the end
