"""What a launcher was made with, overridden by the environment: addresses, key, roots, labels, the local program."""

from __future__ import annotations

from posix import O_RDONLY, close, environ, open, read

from app.wire import keyfile, roots

TYPES = False
if TYPES:
    from collections.abc import Mapping


class BadConfig(Exception):
    """The shim cannot be used as it is configured; the text says what to do."""


class Config:
    """`urls` are tried in order; `local` is the real program's path or ""; `lane` how urgent the calls are;
    `labels` what the workers must carry that they go to.
    """

    __slots__ = ("key", "labels", "lane", "local", "roots", "urls")

    def __init__(
        self, urls: list[str], key: keyfile.Key, mapped: dict[str, str], local: str, lane: str
    ) -> None:
        self.urls = urls
        self.key = key
        self.roots = mapped
        self.local = local
        self.lane = lane
        self.labels: dict[str, str] = {}


def load(baked: Mapping[str, str]) -> Config:
    """Reads it. Raises BadConfig."""
    urls = _setting("url", baked).replace(",", " ").split()
    if not urls:
        raise BadConfig("no coordinator is configured: set FFGRID_URL, or run `ffgrid shim install` again")
    try:
        config = Config(
            urls,
            keyfile.parse(_text(_setting("key_file", baked))),
            roots.parse(_setting("roots", baked)),
            baked.get("local", ""),
            _setting("lane", baked) or "normal",
        )
    except (keyfile.BadKeyFile, roots.BadRoots) as error:
        raise BadConfig(str(error)) from None
    if baked.get("labels"):
        config.labels = dict(pair.split("=", 1) for pair in baked["labels"].split(","))
    return config


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
