"""What the daemons and the command line are told, the first that says something: flag, environment FFGRID_*, systemd
credential, TOML file, default.

Never read from the current directory. A wrong value stops the start with its name and what was expected.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from app.wire import roots
from app.wire.signing import ID_LENGTHS, is_word

SANDBOXES = ("auto", "namespace", "rewrite")  # see worker.place
DEFAULT_REDIS = "redis://127.0.0.1:6379/0"
LOG_FORMATS = ("auto", "text", "json")  # auto: text at a terminal, JSON elsewhere
LOG_LEVELS = ("debug", "info", "warning", "error")
SHORTEST_TOKEN = 16  # characters
DEFAULT_URL = "http://127.0.0.1:8000"
SYSTEM_CONFIG = Path("/etc/ffgrid/config.toml")


_Default = TypeVar("_Default", str, None)


class BadSetting(ValueError):
    """A setting cannot be used; the text names it and says what was expected."""


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Paths are absolute; `urls` are tried in order; no `cache` is ""."""

    redis_url: str = DEFAULT_REDIS
    replicas: int = 0
    urls: tuple[str, ...] = (DEFAULT_URL,)
    key_file: Path | None = None
    roots: Mapping[str, str] = field(default_factory=dict)
    worker_id: str = ""
    slots: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    ffmpeg: str = "ffmpeg"
    ffprobe: str = "ffprobe"
    sandbox: str = "auto"
    master_file: Path = Path()
    data_dir: Path = Path()
    cache: str = ""
    hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    root_path: str = ""
    log_format: str = "auto"
    log_level: str = "info"
    metrics_token: str = field(default="", repr=False)

    @classmethod
    def load(cls, environ: Mapping[str, str], flags: Mapping[str, str | None] | None = None) -> Settings:
        """Reads flags, environment and file. Raises BadSetting."""
        home = Path(environ.get("HOME") or "/nonexistent")
        data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "ffgrid"
        config = config_dir(environ)
        look = _Lookup.open(environ, flags or {})
        return cls(
            redis_url=look.text("redis_url", DEFAULT_REDIS),
            replicas=look.number("replicas", 0, least=0, most=16),
            urls=_urls(look.text("url", DEFAULT_URL)),
            key_file=_path(look.text("key_file", "")),
            roots=_roots(look.text("roots", "")),
            worker_id=_worker_id(look.text("worker_id", socket.gethostname())),
            slots=look.number("slots", max(1, (os.cpu_count() or 2) // 2)),
            labels=_labels(look.text("labels", "")),
            ffmpeg=look.text("ffmpeg", "ffmpeg"),
            ffprobe=look.text("ffprobe", "ffprobe"),
            sandbox=_sandbox(look.text("sandbox", "auto")),
            master_file=Path(look.text("master_file", str(config / "master"))).absolute(),
            data_dir=Path(look.text("data_dir", str(data))).absolute(),
            cache=_cache(environ, look),
            hosts=_hosts(look.text("hosts", "")),
            trusted_proxies=_networks(look.text("trusted_proxies", "")),
            root_path=_root_path(look.text("root_path", "")),
            log_format=look.word("log_format", LOG_FORMATS),
            log_level=look.word("log_level", LOG_LEVELS, "info"),
            metrics_token=_token(look.text("metrics_token", None)),
        )


KNOWN = tuple(
    """cache config data_dir ffmpeg ffprobe hosts key_file labels log_format log_level master_file
    metrics_token metrics_token_file redis_url redis_url_file replicas root_path roots sandbox slots trusted_proxies url
    worker_id""".split()
)

# Secrets, each of which may stand in a file of its own instead: the setting that names it.
FILED = {name: f"{name}_file" for name in ("redis_url", "metrics_token")}


def config_dir(environ: Mapping[str, str]) -> Path:
    """Where the file and the master key are, if nothing else is said."""
    home = Path(environ.get("HOME") or "/nonexistent")
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "ffgrid"


def origins(environ: Mapping[str, str], flags: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Where each setting is from: `flag`, `environment FFGRID_X`, `file PATH` or `default`. Raises BadSetting."""
    return _Lookup.open(environ, flags or {}).origins()


class _Lookup:
    def __init__(self, sources: Mapping[str, Mapping[str, str]]) -> None:
        self._sources = sources  # what each says, by how it is called; the first that says something counts

    @classmethod
    def open(cls, environ: Mapping[str, str], flags: Mapping[str, str | None]) -> _Lookup:
        """Reads the file, too. Raises BadSetting."""
        given = {name: value for name, value in flags.items() if value is not None}
        named = given.get("config") or environ.get("FFGRID_CONFIG")
        path = Path(named) if named else _found(config_dir(environ) / "config.toml")
        variables = {name: f"FFGRID_{name.upper()}" for name in KNOWN}
        return cls(
            {
                "flag": given,
                "environment": {n: environ[known] for n, known in variables.items() if environ.get(known)},
                "systemd credential": _credentials(environ.get("CREDENTIALS_DIRECTORY", "")),
                f"file {path.absolute()}": _read(path, required=bool(named)),
            }
        )

    def origins(self) -> dict[str, str]:
        """For each setting, where its value is from."""
        return {name: self._origin(name) for name in KNOWN if name != "config" and name not in FILED.values()}

    def _origin(self, name: str) -> str:
        where, said, _ = self._said(name)
        return f"{where} FFGRID_{said.upper()}" if where == "environment" else where

    def _said(self, name: str) -> tuple[str, str, str]:
        """Who says it, under which name (it may be in a file), and what is said there. Raises BadSetting."""
        names = [one for one in (name, FILED.get(name)) if one]
        for where, said in self._sources.items():
            found = [one for one in names if one in said]
            if len(found) > 1:
                raise BadSetting(f"FFGRID_{name.upper()}, FFGRID_{names[1].upper()}: expected one of them")
            if found:
                return where, found[0], str(said[found[0]])
        return "default", name, ""

    def text(self, name: str, default: _Default) -> str | _Default:
        where, said, value = self._said(name)
        if said != name:
            return _in_file(said, value)
        return default if where == "default" else value

    def word(self, name: str, words: tuple[str, ...], default: str = "") -> str:
        """One of these, by default the first."""
        value = self.text(name, default or words[0]).lower()
        if value not in words:
            raise BadSetting(f"FFGRID_{name.upper()}: expected one of {', '.join(words)}, got {value!r}")
        return value

    def number(self, name: str, default: int, least: int = 1, most: int = 1024) -> int:
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdigit()) or not least <= int(value) <= most:
            raise BadSetting(
                f"FFGRID_{name.upper()}: expected a number from {least} to {most}, got {value!r}"
            )
        return int(value)


def _credentials(folder: str) -> dict[str, str]:
    """What systemd's LoadCredential= has put there: redis_url, metrics_token, key_file or master_file."""
    named = {**FILED, "key_file": "key_file", "master_file": "master_file"}
    return {
        told: f"{folder}/{name}" for name, told in named.items() if folder and Path(folder, name).exists()
    }


def _in_file(name: str, path: str) -> str:
    try:
        return Path(path).expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"FFGRID_{name.upper()}: cannot read {path}: {error}") from None


def _found(own: Path) -> Path:
    """The user's own file, or the host's where there is none."""
    return own if own.exists() or not SYSTEM_CONFIG.exists() else SYSTEM_CONFIG


def _read(path: Path, required: bool = True) -> dict[str, str]:
    """The file's values. Roots and labels may be tables there."""
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        if required:
            raise BadSetting(f"FFGRID_CONFIG: there is no file {path}") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(f"cannot read {path}: {error}") from None
    unknown = sorted(set(content) - set(KNOWN))
    if unknown:
        raise BadSetting(
            f"{path} sets {unknown[0]!r}, which is not a setting: expected some of {', '.join(KNOWN)}"
        )
    joints = {"roots": ":", "labels": ","}
    return {
        name: joints[name].join(f"{key}={item}" for key, item in value.items())
        if isinstance(value, dict)
        else str(value)
        for name, value in content.items()
    }


def _urls(text: str) -> tuple[str, ...]:
    urls = tuple(url.rstrip("/") for url in text.replace(",", " ").split())
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise BadSetting(f"FFGRID_URL: expected http:// or https:// addresses, got {url!r}")
    if not urls:
        raise BadSetting("FFGRID_URL: expected the coordinator's address, got nothing")
    return urls


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(text.replace(",", " ").lower().split())
    for host in hosts:
        if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host):
            raise BadSetting(f"FFGRID_HOSTS: expected names of hosts without scheme and port, got {host!r}")
    return hosts


def _root_path(text: str) -> str:
    path = text.rstrip("/")
    if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        raise BadSetting(f"FFGRID_ROOT_PATH: expected a path such as /ffgrid, got {text!r}")
    return path


def _networks(text: str) -> tuple[str, ...]:
    networks = tuple(text.replace(",", " ").split())
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise BadSetting(
                f"FFGRID_TRUSTED_PROXIES: expected addresses or networks, got {network!r}: {error}"
            ) from None
    return networks


def _token(text: str | None) -> str:
    if text is None:
        return ""
    if not (len(text) >= SHORTEST_TOKEN and text.isascii() and text.isprintable() and " " not in text):
        raise BadSetting(
            f"FFGRID_METRICS_TOKEN: expected at least {SHORTEST_TOKEN} printable ASCII characters, no space"
        )
    return text


def _path(text: str) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


def _roots(text: str) -> dict[str, str]:
    try:
        return roots.parse(text)
    except roots.BadRoots as error:
        raise BadSetting(f"FFGRID_ROOTS: {error}") from None


def _cache(environ: Mapping[str, str], look: _Lookup) -> str:
    """The folder for the stand-in's answers. Set to nothing, FFGRID_CACHE turns them off."""
    home = Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "/nonexistent") / ".cache")
    named = "" if environ.get("FFGRID_CACHE") == "" else look.text("cache", str(home / "ffgrid"))
    return str(Path(named).expanduser().absolute()) if named else ""


def _worker_id(text: str) -> str:
    if not is_word(text, ID_LENGTHS):
        raise BadSetting(
            f"FFGRID_WORKER_ID: expected up to 64 letters, digits, '.', '_' or '-', got {text!r}"
        )
    return text


def _sandbox(text: str) -> str:
    if text not in SANDBOXES:
        raise BadSetting(f"FFGRID_SANDBOX: expected one of {', '.join(SANDBOXES)}, got {text!r}")
    return text


def _labels(text: str) -> dict[str, str]:
    labels = {}
    for pair in filter(None, text.split(",")):
        name, equals, value = pair.partition("=")
        if not (equals and name and value):
            raise BadSetting(f"FFGRID_LABELS: expected name=value joined with ',', got {pair!r}")
        labels[name.strip()] = value.strip()
    return labels
