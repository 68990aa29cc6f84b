"""A key file: what a client or a worker signs with, one `name value` a line.

id jellyfin
secret 9f86d081...      64 hex digits
seal 2c26b46b...        only in a worker's file: checks what it is given to run
"""

from __future__ import annotations

from binascii import Error, a2b_hex


class BadKeyFile(ValueError):
    """The text is not a key file."""


class Key:
    """An id, the secret it signs with and, for a worker, the sealing key."""

    __slots__ = ("id", "seal", "secret")

    def __init__(self, key_id: str, secret: bytes, seal: bytes) -> None:
        self.id = key_id
        self.secret = secret
        self.seal = seal


def parse(text: str) -> Key:
    """Raises BadKeyFile with what is wrong."""
    fields = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        if name and not name.startswith("#"):
            fields[name] = value.strip()
    if not fields.get("id") or not fields.get("secret"):
        raise BadKeyFile("expected the lines 'id NAME' and 'secret HEX', as `ffgrid keys add` writes them")
    try:
        return Key(fields["id"], a2b_hex(fields["secret"]), a2b_hex(fields.get("seal", "")))
    except (Error, ValueError):
        raise BadKeyFile("the secret is not hexadecimal") from None


def dump(key: Key) -> str:
    """The text of a key file."""
    lines = [f"id {key.id}", f"secret {key.secret.hex()}"]
    if key.seal:
        lines.append(f"seal {key.seal.hex()}")
    return "\n".join(lines) + "\n"
