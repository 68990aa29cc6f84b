"""The proxies of deploy/, in front of a farm's two coordinators."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.farm import Farm, answers, until
from tests.ports import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
COMMANDS = {
    "haproxy": lambda config, folder: ["haproxy", "-db", "-f", str(config)],
    "nginx": lambda config, folder: ["nginx", "-g", "daemon off;", "-p", str(folder), "-c", str(config)],
}
PROXIES = sorted(COMMANDS)


@contextmanager
def behind(kind: str, farm: Farm, folder: Path, ready: str = "/readyz") -> Iterator[None]:
    """Clients of the farm know the address of such a proxy only. With "" they know all addresses.

    `ready` is the path that answers when it works.
    """
    if not kind:
        yield
        return
    path = shutil.which(kind, path="/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/bin")
    assert path, f"{kind} is not installed: run `make test`, which installs it"
    port = free_port()
    places = {"8080": port, "8001": farm.webs[0].port, "8002": farm.webs[1].port}
    text = next(DEPLOY.glob(f"{kind}.*")).read_text()
    config = folder / "proxy.conf"
    config.write_text(re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{places[found[1]]}", text))
    command = [path, *COMMANDS[kind](config, folder)[1:]]
    with (folder / "proxy.log").open("wb") as log:
        proxy = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}{ready}"))
        farm.proxy = f"http://127.0.0.1:{port}"
        yield
    finally:
        farm.proxy = ""
        proxy.send_signal(signal.SIGTERM)
        proxy.wait(10)
