"""What a launcher was made with, overridden by the environment: addresses, key, roots, labels, the local program.

How urgent a call is follows from how nice its caller is, unless the launcher says it: a media server runs what
somebody watches as it is, and what may wait under `nice`.
"""

from __future__ import annotations

from posix import O_RDONLY, close, environ, getpriority, open, read

from app.wire import keyfile, roots

TYPES = False
if TYPES:
    from collections.abc import Mapping


SPOOL = "fallbacks"  # the record of calls that ran here: a file in the cache directory
WAIT = "5"  # seconds, unless something else is said


class BadConfig(Exception):
    """The shim cannot be used as it is configured; the text says what to do."""


class Config:
    """`urls` are tried in order; `local` is the real program's path or ""; `lane` how urgent the calls are;
    `labels` what the workers must carry that they go to.

    `wait` is the seconds after which a call that no worker takes is run here, or None; `nice` the caller's
    niceness; `cache` a directory for small files, or "".
    """

    __slots__ = ("cache", "key", "labels", "lane", "local", "nice", "roots", "urls", "wait")

    def __init__(
        self,
        urls: list[str],
        key: keyfile.Key,
        mapped: dict[str, str],
        local: str,
        lane: str,
        wait: float | None = None,
        nice: int = 0,
        cache: str = "",
    ) -> None:
        self.urls = urls
        self.key = key
        self.roots = mapped
        self.local = local
        self.lane = lane
        self.labels: dict[str, str] = {}
        self.wait = wait
        self.nice = nice
        self.cache = cache


def load(baked: Mapping[str, str], cache: str = "") -> Config:
    """Reads it; `cache` is a folder for small files. Raises BadConfig."""
    urls = _setting("url", baked).replace(",", " ").split()
    if not urls:
        raise BadConfig("no coordinator is configured: set FFGRID_URL, or run `ffgrid shim install` again")
    nice = max(0, getpriority(0, 0))
    try:
        config = Config(
            urls,
            keyfile.parse(_text(_setting("key_file", baked))),
            roots.parse(_setting("roots", baked)),
            baked.get("local", ""),
            _setting("lane", baked) or ("low" if nice else "live"),
            _seconds(_setting("wait", baked)),
            nice,
            cache,
        )
    except (keyfile.BadKeyFile, roots.BadRoots) as error:
        raise BadConfig(str(error)) from None
    if baked.get("labels"):
        config.labels = dict(pair.split("=", 1) for pair in baked["labels"].split(","))
    return config


def _seconds(text: str) -> float | None:
    if text == "never":
        return None
    text = text or WAIT
    if not text.isascii() or not text.replace(".", "", 1).isdigit() or float(text) < 0.1:
        raise BadConfig(f"cannot read FFGRID_WAIT={text!r}: expected seconds from 0.1 on, or never")
    return float(text)


def _setting(name: str, baked: Mapping[str, str]) -> str:
    value = environ.get(b"FFGRID_" + name.upper().encode())
    return value.decode("utf-8", "surrogateescape") if value else baked.get(name, "")


def _text(path: str) -> str:
    if not path:
        raise BadConfig("no key is configured: set FFGRID_KEY_FILE, or run `ffgrid shim install` again")
    try:
        descriptor = open(path, O_RDONLY)
        try:
            return read(descriptor, 4096).decode("utf-8", "replace")
        finally:
            close(descriptor)
    except (OSError, ValueError) as error:
        raise BadConfig(f"cannot read the key file {path}: {getattr(error, 'strerror', error)}") from None
