"""The tables of `ffgrid keys` and `ffgrid users`: who gets in."""

from __future__ import annotations

from app.cli.command import CONFIG, JSON, MASTER, REDIS, Command, argument

NAME = argument("name", metavar="NAME", help="the key's name")

KEYS = (
    Command(
        "add",
        "make a key and print its file's text, or write it with --out",
        "app.cli.keys:add",
        (
            NAME,
            argument("--role", required=True, choices=("client", "worker", "admin"), help="what it may do"),
            argument(
                "--cidr",
                action="append",
                default=[],
                metavar="NET",
                help="only from this network; may be repeated",
            ),
            argument("--out", metavar="FILE", help="write the key to this file, mode 0600"),
            JSON,
            REDIS,
            MASTER,
            CONFIG,
        ),
        "ffgrid keys add jellyfin --role client --out /etc/ffgrid/jellyfin.key",
    ),
    Command(
        "list", "list the keys", "app.cli.keys:listing", (JSON, REDIS, MASTER, CONFIG), "ffgrid keys list"
    ),
    Command(
        "rotate",
        "make a new version of a key; the old one stays good for a day",
        "app.cli.keys:rotate",
        (
            NAME,
            argument("--out", metavar="FILE", help="write the key to this file, mode 0600"),
            JSON,
            REDIS,
            MASTER,
            CONFIG,
        ),
        "ffgrid keys rotate jellyfin --out /etc/ffgrid/jellyfin.key",
    ),
    Command(
        "revoke",
        "make a key useless at once",
        "app.cli.keys:revoke",
        (NAME, JSON, REDIS, MASTER, CONFIG),
        "ffgrid keys revoke jellyfin",
    ),
)

USER = argument("name", metavar="NAME", help="the user's name")
USER_ROLE = argument(
    "--role",
    required=True,
    choices=("viewer", "operator", "admin"),
    help="viewer: sees; operator: acts on jobs and workers too; admin: does all",
)

USERS = (
    Command(
        "add",
        "make a user; asks for the password, or reads it from a pipe",
        "app.cli.users:add",
        (USER, USER_ROLE, JSON, REDIS, MASTER, CONFIG),
        "ffgrid users add ada --role admin",
    ),
    Command(
        "list", "list the users", "app.cli.users:listing", (JSON, REDIS, MASTER, CONFIG), "ffgrid users list"
    ),
    Command(
        "role",
        "give a user another role, at once",
        "app.cli.users:role",
        (USER, USER_ROLE, JSON, REDIS, MASTER, CONFIG),
        "ffgrid users role ada --role operator",
    ),
    Command(
        "password",
        "give a user another password, and sign them out everywhere",
        "app.cli.users:password",
        (USER, JSON, REDIS, MASTER, CONFIG),
        "ffgrid users password ada",
    ),
    Command(
        "remove",
        "take a user away, at once",
        "app.cli.users:remove",
        (USER, JSON, REDIS, MASTER, CONFIG),
        "ffgrid users remove ada",
    ),
)
