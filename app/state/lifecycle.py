"""The life of a job. Rule 1: a state is named and a move is made only as this table says.

                      lose, release
                    .---------------.
                    v               |
    (submit) --> queued --start--> running --succeed--> done
                    |               |  |
                    |               |  '-----fail-----> failed
                    |               '-------cancel---.
                    '------cancel--------------------+-> cancelled

The Lua scripts get this table as text when they are loaded (see `scripts`), so there is no second copy.
A job that has ended stays as it is: running it again makes a new job.
"""

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"

STATES = (QUEUED, RUNNING, DONE, FAILED, CANCELLED)

MOVES: dict[str, tuple[frozenset[str], str]] = {
    "submit": (frozenset(), QUEUED),
    "start": (frozenset({QUEUED}), RUNNING),
    "succeed": (frozenset({RUNNING}), DONE),
    "fail": (frozenset({RUNNING}), FAILED),
    "lose": (frozenset({RUNNING}), QUEUED),  # its worker went silent; another may take it
    "release": (frozenset({RUNNING}), QUEUED),  # its worker hands it back; nothing is charged
    "cancel": (frozenset({QUEUED, RUNNING}), CANCELLED),
}

FINAL = frozenset(STATES) - frozenset().union(*(sources for sources, _ in MOVES.values()))

ENDINGS = ("succeed", "fail", "cancel")  # what a worker may report at the end
