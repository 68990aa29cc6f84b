"""What ties a command to the host it was called on, besides its files: addresses, descriptors, a report. Pure."""

from __future__ import annotations

TYPES = False
if TYPES:
    from collections.abc import Mapping, Sequence

_OWN = ("localhost", "0.0.0.0", "[::1]", "[::]")  # noqa: S104 - nothing listens here
_OWN_NETS = ("127.", "[::ffff:127.")
_ENDS = "/?#:;,|'\"] \t\n"  # what may stand behind a host, in a url or in the text around it


def reason(args: Sequence[str], environ: Mapping[bytes, bytes]) -> str:
    """Why the command has to run here, or "" if nothing of this kind ties it."""
    if b"FFREPORT" in environ:
        return "FFREPORT asks for a report on this host"
    for at, argument in enumerate(args):
        text = argument.replace("\\", "").replace("'", "")  # what filters and tee need to hide a colon
        if has_own_address(text):
            return f"{argument[:200]!r} is an address of this host itself"
        if number := own_descriptor(text, args[at - 1] if at else ""):
            return f"{argument[:200]!r} uses descriptor {number} of this process"
    return ""


def has_own_address(text: str) -> bool:
    """Whether there is a url anywhere in the text whose host is the host itself."""
    _, *rests = text.split("://")
    return any(_is_own(rest.partition("/")[0].rpartition("@")[2].lower()) for rest in rests)


def own_descriptor(text: str, before: str) -> str:
    """The number of a descriptor that only the caller can have given (from 3 on), or ""."""
    if before == "-fd" and _is_inherited(text):
        return text
    for scheme in ("pipe:", "fd:"):
        first, *rests = text.split(scheme)
        for rest in rests:
            number = rest[: len(rest) - len(rest.lstrip("0123456789"))]
            if _is_inherited(number) and not first[-1:].isalnum():
                return number
            first = rest
    return ""


def _is_own(host: str) -> bool:
    return host.startswith(_OWN_NETS) or any(
        host.startswith(own) and (host == own or host[len(own)] in _ENDS) for own in _OWN
    )


def _is_inherited(number: str) -> bool:
    return number.isascii() and number.isdigit() and len(number) < 8 and int(number) > 2
