"""`ffgrid init`: four questions, three files, and what to do next.

DIR/config.toml   the answers, as every command reads them
DIR/master        the master key; one that is there stays
DIR/NAME.key      the admin's key, for the command line; DIR/NAME-shim.key a client's, for the stand-in
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import secrets
import shlex
import shutil
import socket
import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from app.cli import questions, units
from app.cli.config import without_secrets
from app.cli.doctor import examine, summary, tell
from app.cli.errors import FAILED, Failure
from app.cli.questions import Question, answer
from app.cli.terminal import agreed, put
from app.settings import Settings, config_dir
from app.wire import roots

ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on
SHIM_DIR = "/usr/local/lib/ffgrid"


@dataclass(frozen=True)
class Plan:
    """The answers, and where what they make goes."""

    redis_url: str
    roots: str
    host: str
    port: int
    admin: str
    folder: Path

    @property
    def keys(self) -> dict[str, str]:
        """The keys that are made, and their roles."""
        return {self.admin: "admin", f"{self.admin}-shim": "client"}

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def master(self) -> Path:
        return self.folder / "master"

    def key_file(self, name: str) -> Path:
        """Where this key is written."""
        return self.folder / f"{name}.key"

    @property
    def url(self) -> str:
        """Where this host reaches its coordinator."""
        return _url("127.0.0.1" if self.host in ANYWHERE else self.host, self.port)

    @property
    def dashboard(self) -> str:
        """Where a browser finds it."""
        return _url(socket.gethostname() if self.host in ANYWHERE else self.host, self.port)


def run(arguments: Namespace) -> int:
    """Asks, writes, and says what comes next."""
    is_asked = sys.stdin.isatty() and not arguments.yes
    plan = _plan(arguments, is_asked)
    link = asyncio.run(_make(plan, arguments.overwrite, is_asked))
    tell_next(plan, link)
    put("\nThe doctor, now; the coordinator is missing until you start it:\n")
    found = []
    for one in examine(Settings.load(os.environ, {"config": str(plan.config), "url": plan.url}), None):
        found.append(one)
        tell(one)
    put(summary(found))
    return 0


def _plan(arguments: Namespace, is_asked: bool) -> Plan:
    """The four answers. Raises Failure."""
    folder = (
        Path(arguments.dir).expanduser().absolute() if arguments.dir else config_dir(os.environ).absolute()
    )
    known = Settings.load(os.environ)
    kept = ":".join(f"{name}={path}" for name, path in known.roots.items())
    redis_url = answer(
        Question("--redis-url", "Redis or Valkey", known.redis_url, questions.redis),
        arguments.redis_url,
        is_asked,
    )
    media = answer(
        Question("--roots", "Directories with media (Name=/directory:...)", kept, questions.media),
        arguments.roots,
        is_asked,
    )
    listen = answer(
        Question("--listen", "The coordinator listens at", "127.0.0.1:8000", questions.listen),
        arguments.listen,
        is_asked,
    )
    admin = answer(
        Question("--admin", "The admin's name", getpass.getuser(), questions.name), arguments.admin, is_asked
    )
    return Plan(redis_url, media, *questions.place(listen), admin, folder)


async def _make(plan: Plan, overwrite: bool, is_asked: bool) -> str:
    """Makes keys and user, writes the files; the secret of the dashboard's first link. Raises Failure."""
    from app.state import passwords
    from app.state.clients import Master
    from app.state.store import Store
    from app.wire import keyfile

    store = Store(plan.redis_url)
    try:
        known = {client.id for client in await store.clients.list()}
        _check(plan, known, overwrite, is_asked)
        _make_folder(plan.folder)
        master = Master.load(plan.master, create=True)
        for name, role in plan.keys.items():
            made = await (store.clients.rotate(name) if name in known else store.clients.add(name, role))
            secret = master.secret(name, made.role, made.version)
            _write(plan.key_file(name), keyfile.dump(keyfile.Key(name, secret, b"")))
            await store.activity.add(
                "command line", f"{'rotated' if name in known else f'added {role}'} key", name
            )
        _write(plan.config, toml(plan))
        users = store.users(master)
        if await users.get(plan.admin) is None:
            await users.add(plan.admin, "admin", passwords.make(secrets.token_urlsafe(24)))
            await store.activity.add("command line", "added user, as admin", plan.admin)
        return await store.sessions(master, users).link(plan.admin)
    finally:
        await store.close()


def _check(plan: Plan, known: set[str], overwrite: bool, is_asked: bool) -> None:
    """Nothing that is there is replaced without a word. Raises Failure."""
    if known and not plan.master.exists():
        raise Failure(
            f"this Redis has keys of a master key that is not here: copy that file to {plan.master} from the host "
            "where it is (mode 0600), or use another Redis",
            FAILED,
        )
    files = [path for path in (plan.config, *map(plan.key_file, plan.keys)) if path.exists()]
    keys = [name for name in plan.keys if name in known]
    if not files and not keys:
        return
    there = [*map(str, files), *(f"the key {name}, which gets another version" for name in keys)]
    if is_asked and agreed(f"There are already: {', '.join(there)}. Replace them?"):
        return
    if is_asked or not overwrite:
        raise Failure(
            f"nothing was written: there are already {', '.join(there)}. Replace them with --overwrite, or name "
            "another --dir or --admin"
        )


def toml(plan: Plan) -> str:
    """The configuration file's text."""
    values = {
        "redis_url": plan.redis_url,
        "url": plan.url,
        "key_file": str(plan.key_file(plan.admin)),
        "master_file": str(plan.master),
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    media = [f"{name} = {json.dumps(path)}" for name, path in roots.parse(plan.roots).items()]
    return "\n".join(["# Written by `ffgrid init`; README.md, Settings.", *lines, "", "[roots]", *media, ""])


def tell_next(plan: Plan, link: str) -> None:
    """Prints what was written and what comes next."""
    config = shlex.quote(str(plan.config))
    names = ", ".join([str(plan.config), "master", *(f"{name}.key" for name in plan.keys)])
    put(f"\nWrote {names} (only you can read them).\n")
    is_default = plan.folder == config_dir(os.environ).absolute()
    before = "" if is_default else f"FFGRID_CONFIG={config} "
    put(f"1. The coordinator:\n\n  {before}ffgrid web --host {plan.host} --port {plan.port}\n")
    put("   or as a service, this in /etc/systemd/system/ffgrid-web.service:\n")
    unit = units.web(getpass.getuser(), str(plan.config), _ffgrid(), plan.host, plan.port)
    put("".join(f"  {line}".rstrip() + "\n" for line in unit.splitlines()))
    put(
        "2. A worker, on each host with ffmpeg and these directories (one key each; copy it there, mode 0600):\n"
    )
    put(f"  {before}ffgrid keys add NAME --role worker --out NAME.key")
    put(f"  {join(plan)}\n")
    if ":***@" in without_secrets(plan.redis_url):
        put("   (with the password that you gave above)\n")
    put("3. The stand-in, for what calls ffmpeg on this host:\n")
    put(
        f"  {before}ffgrid shim install {SHIM_DIR} --key-file {shlex.quote(str(plan.key_file(f'{plan.admin}-shim')))}\n"
    )
    put(
        f"4. The dashboard, once the coordinator runs; this link signs {plan.admin} in, once and within an hour:\n"
    )
    put(f"  {plan.dashboard}/setup?t={link}")
    put(f"  {before}ffgrid users password {plan.admin}     # for the next time")


def join(plan: Plan) -> str:
    """The line that starts a worker elsewhere; the password is left out."""
    settings = {
        "FFGRID_REDIS_URL": without_secrets(plan.redis_url),
        "FFGRID_KEY_FILE": "NAME.key",
        "FFGRID_ROOTS": plan.roots,
        "FFGRID_WORKER_ID": "NAME",
    }
    return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in settings.items()), "ffgrid worker"])


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"cannot make {folder}: {error.strerror}") from None


def _write(path: Path, text: str) -> None:
    """The file in one step, mode 0600 from its first byte on. Raises Failure."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        fresh.replace(path)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from None


def _ffgrid() -> str:
    """This command's path, as a service starts it."""
    beside = Path(sys.executable).with_name("ffgrid")
    return str(beside) if beside.exists() else shutil.which("ffgrid") or "ffgrid"


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
