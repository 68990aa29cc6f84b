"""Signed requests: one fixed profile of RFC 9421 (HTTP Message Signatures) with RFC 9530 digests.

    Content-Digest:  sha-256=:<base64>:
    Signature-Input: sig1=("@method" "@path" "@query" "content-digest");created=<s>;nonce="<n>";\\
                     keyid="<id>";alg="hmac-sha256";tag="ffgrid"
    Signature:       sig1=:<base64>:

Nothing is negotiable: the components, the parameters and their order are fixed, so a verifier rebuilds the
header from its values and refuses whatever is not that text. The caller brings the clock and the nonce.
"""

from __future__ import annotations

from _operator import _compare_digest
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64, hexlify

try:  # hashlib loads OpenSSL, which costs the shim more than the hash itself
    from _sha2 import sha256
except ImportError:  # Python 3.11
    try:
        from _sha256 import sha256
    except ImportError:  # an interpreter built without its own SHA-2
        from hashlib import sha256

WINDOW = 60  # seconds a signature is good for, to either side
NONCE_LENGTHS = range(16, 65)
ID_LENGTHS = range(1, 65)
_COVERED = '("@method" "@path" "@query" "content-digest")'
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


class BadSignature(Exception):
    """The request is not signed as it must be."""


class Claim:
    """What the headers of a request say about who signed it; true only once `verify` has said so."""

    __slots__ = ("created", "digest", "key_id", "nonce", "params", "signature")

    def __init__(self, key_id: str, created: int, nonce: str, digest: str, signature: bytes) -> None:
        self.key_id = key_id
        self.created = created
        self.nonce = nonce
        self.digest = digest
        self.signature = signature
        self.params = parameters(key_id, created, nonce)


def is_word(text: str, lengths: range) -> bool:
    """Whether the text is a plain word (letters, digits, `._-`) of an allowed length."""
    return len(text) in lengths and _WORD.issuperset(text)


def hmac_sha256(secret: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) over the interpreter's own SHA-2."""
    if len(secret) > 64:
        secret = sha256(secret).digest()
    block = int.from_bytes(secret.ljust(64, b"\0"), "big")
    inner = sha256((block ^ _INNER).to_bytes(64, "big") + message).digest()
    return bytes(sha256((block ^ _OUTER).to_bytes(64, "big") + inner).digest())


_INNER = int.from_bytes(b"\x36" * 64, "big")
_OUTER = int.from_bytes(b"\x5c" * 64, "big")


def digest(body: bytes) -> str:
    """The Content-Digest of a body (RFC 9530), also of an empty one."""
    return "sha-256=:" + _base64(sha256(body).digest()) + ":"


def new_nonce(random: bytes) -> str:
    """A nonce from at least 16 random bytes."""
    return hexlify(random).decode()


def parameters(key_id: str, created: int, nonce: str) -> str:
    """The signature parameters, which are also the last line of what is signed."""
    return f'{_COVERED};created={created};nonce="{nonce}";keyid="{key_id}";alg="hmac-sha256";tag="ffgrid"'


def sign(
    key_id: str, secret: bytes, method: str, target: str, body: bytes, *, created: int, nonce: str
) -> list[tuple[str, str]]:
    """The three headers that sign a request.

    `target` is the path and the query exactly as they go on the wire; `created` is in Unix seconds.
    """
    path, _, query = target.partition("?")
    content_digest = digest(body)
    params = parameters(key_id, created, nonce)
    signature = hmac_sha256(secret, _base(method, path, query, content_digest, params))
    return [
        ("Content-Digest", content_digest),
        ("Signature-Input", "sig1=" + params),
        ("Signature", "sig1=:" + _base64(signature) + ":"),
    ]


def read(signature_input: str, signature: str, content_digest: str) -> Claim:
    """Takes the three headers apart. Raises BadSignature unless they have exactly the fixed form."""
    claim = _claim(signature_input, signature, content_digest)
    if signature_input != "sig1=" + claim.params:
        raise BadSignature
    return claim


def verify(claim: Claim, secret: bytes, method: str, path: str, query: str) -> bool:
    """Whether this secret signed this request. `path` and `query` are raw, as received."""
    expected = hmac_sha256(secret, _base(method, path, query, claim.digest, claim.params))
    return _compare_digest(expected, claim.signature)


def is_fresh(claim: Claim, now: float) -> bool:
    """Whether the signature was made within the window around `now` (Unix seconds)."""
    return abs(now - claim.created) <= WINDOW


def _claim(signature_input: str, signature: str, content_digest: str) -> Claim:
    parts = signature_input.split(";")
    if len(parts) != 6 or not (signature.startswith("sig1=:") and signature.endswith(":")):
        raise BadSignature
    created, nonce, key_id = parts[1][8:], parts[2][7:-1], parts[3][7:-1]
    numeric = created.isascii() and created.isdigit() and len(created) <= 12
    if not (numeric and is_word(nonce, NONCE_LENGTHS) and is_word(key_id, ID_LENGTHS)):
        raise BadSignature
    return Claim(key_id, int(created), nonce, content_digest, _unbase64(signature[6:-1]))


def _base(method: str, path: str, query: str, content_digest: str, params: str) -> bytes:
    """The signature base (RFC 9421, section 2.5)."""
    lines = (
        f'"@method": {method}\n"@path": {path}\n"@query": ?{query}\n'
        f'"content-digest": {content_digest}\n"@signature-params": {params}'
    )
    return lines.encode("latin-1", "replace")


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


def _unbase64(text: str) -> bytes:
    """32 bytes. Only the one text that encodes them is accepted, or a changed character could go unseen."""
    try:
        decoded = a2b_base64(text.encode("ascii"), strict_mode=True)
    except (Base64Error, UnicodeEncodeError):
        raise BadSignature from None
    if len(decoded) != 32 or _base64(decoded) != text:
        raise BadSignature
    return decoded
