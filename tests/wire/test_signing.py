"""Signatures: made and read by us, checked against the RFCs and the standard library."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.wire import signing
from app.wire.signing import BadSignature

SECRET = bytes(range(32))
KEY_ID = "jellyfin"
NONCE = "0123456789abcdef0123456789abcdef"
CREATED = 1_760_000_000
BODY = b'{"hello": "world"}'


@dataclass(frozen=True)
class Request:
    """What arrives at a verifier: the request's line and its three headers."""

    method: str
    path: str
    query: str
    content_digest: str
    signature_input: str
    signature: str

    def accepted(self, secret: bytes = SECRET) -> bool:
        """Whether a verifier that knows one secret would let this in, with BODY behind it."""
        try:
            claim = signing.read(self.signature_input, self.signature, self.content_digest)
        except BadSignature:
            return False
        is_signed = signing.verify(claim, secret, self.method, self.path, self.query)
        return is_signed and claim.digest == signing.digest(BODY)


def signed(
    method: str = "POST",
    target: str = "/v1/jobs?state=queued&n=1",
    body: bytes = BODY,
    key_id: str = KEY_ID,
    nonce: str = NONCE,
    created: int = CREATED,
) -> Request:
    headers = dict(signing.sign(key_id, SECRET, method, target, body, created=created, nonce=nonce))
    path, _, query = target.partition("?")
    return Request(
        method, path, query, headers["Content-Digest"], headers["Signature-Input"], headers["Signature"]
    )


def by_the_rfc(secret: bytes, method: str, target: str, body: bytes, parameters: str) -> tuple[str, str]:
    """Content-Digest and Signature as RFC 9530 and RFC 9421, 2.5, describe them, with nothing of ours."""
    path, _, query = target.partition("?")
    content_digest = "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"
    base = [
        f'"@method": {method}',
        f'"@path": {path}',
        f'"@query": ?{query}',
        f'"content-digest": {content_digest}',
        f'"@signature-params": {parameters}',
    ]
    mac = hmac.new(secret, "\n".join(base).encode("ascii"), hashlib.sha256).digest()
    return content_digest, "sig1=:" + base64.b64encode(mac).decode() + ":"


# What is signed is accepted


def test_what_is_signed_is_accepted() -> None:
    assert signed().accepted()


@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    target=st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="#"), min_size=1),
    key_id=st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
    nonce=st.from_regex(r"[A-Za-z0-9._-]{16,64}", fullmatch=True),
    created=st.integers(0, 999_999_999_999),
)
def test_every_request_that_can_be_signed_is_accepted(
    method: str, target: str, key_id: str, nonce: str, created: int
) -> None:
    request = signed(method, target, key_id=key_id, nonce=nonce, created=created)

    assert request.accepted()


def test_a_claim_says_what_the_headers_say() -> None:
    request = signed()

    claim = signing.read(request.signature_input, request.signature, request.content_digest)

    assert (claim.key_id, claim.created, claim.nonce) == (KEY_ID, CREATED, NONCE)
    assert claim.digest == request.content_digest
    assert len(claim.signature) == 32


def test_the_headers_are_as_the_rfc_writes_them() -> None:
    parameters = (
        '("@method" "@path" "@query" "content-digest")'
        ';created=1760000000;nonce="0123456789abcdef0123456789abcdef"'
        ';keyid="jellyfin";alg="hmac-sha256";tag="ffgrid"'
    )
    content_digest, signature = by_the_rfc(SECRET, "POST", "/v1/jobs?state=queued&n=1", BODY, parameters)

    request = signed()

    assert request.signature_input == "sig1=" + parameters
    assert request.content_digest == content_digest
    assert request.signature == signature


def test_the_known_answer_stays_the_same() -> None:
    request = signed("GET", "/v1/jobs/01JABCDEFGHJKMNPQRSTVWXYZ0/log", b"")

    assert request.content_digest == "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
    assert request.signature == "sig1=:85j1DaRuDPgum7FuTI1BPFOKnJBTuyid5yLZ0dADeFM=:"


def test_a_request_without_a_query_is_signed_with_a_lone_question_mark() -> None:
    parameters = signing.parameters(KEY_ID, CREATED, NONCE)
    _, signature = by_the_rfc(SECRET, "GET", "/v1/workers", b"", parameters)

    assert signed("GET", "/v1/workers", b"").signature == signature


def test_a_query_may_hold_question_marks() -> None:
    request = signed(target="/v1/jobs?a=?&b=??")

    assert request.query == "a=?&b=??"
    assert request.accepted()


# What was changed is refused


PARTS = ("method", "path", "query", "content_digest", "signature_input", "signature")


@pytest.mark.parametrize("part", PARTS)
def test_no_byte_of_a_request_can_be_another(part: str) -> None:
    request = signed()
    original = getattr(request, part).encode("latin-1")

    accepted = [
        changed
        for index in range(len(original))
        for value in set(range(256)) - {original[index]}
        if replace(
            request, **{part: (changed := _with_byte(original, index, value).decode("latin-1"))}
        ).accepted()
    ]

    assert accepted == []


def _with_byte(original: bytes, index: int, value: int) -> bytes:
    return original[:index] + bytes([value]) + original[index + 1 :]


@pytest.mark.parametrize("part", PARTS)
def test_no_byte_of_a_request_can_be_missing_or_doubled(part: str) -> None:
    request = signed()
    original = getattr(request, part)
    shorter = [original[:index] + original[index + 1 :] for index in range(len(original))]
    longer = [
        original[:index] + original[index : index + 1] + original[index:] for index in range(len(original))
    ]

    accepted = [changed for changed in {*shorter, *longer} if replace(request, **{part: changed}).accepted()]

    assert accepted == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("created=1760000000", "created=1760000001"),
        (NONCE, "f123456789abcdef0123456789abcdef"),
        ('keyid="jellyfin"', 'keyid="jellyfim"'),
    ],
)
def test_a_parameter_that_is_well_formed_but_another_is_refused(old: str, new: str) -> None:
    request = signed()
    changed = replace(request, signature_input=request.signature_input.replace(old, new))

    claim = signing.read(changed.signature_input, changed.signature, changed.content_digest)

    assert not signing.verify(claim, SECRET, changed.method, changed.path, changed.query)


def test_another_secret_is_refused() -> None:
    assert not signed().accepted(secret=bytes(32))


def test_a_byte_cannot_move_from_the_path_to_the_query() -> None:
    request = signed(target="/v1/jobs?x=1")

    assert not replace(request, path="/v1/job", query="sx=1").accepted()
    assert not replace(request, path="/v1/jobs?x=1", query="").accepted()


def test_another_body_has_another_digest() -> None:
    assert signing.digest(BODY) != signing.digest(BODY + b" ")
    assert not signed(body=BODY + b" ").accepted()


# Nothing is negotiable

GOOD = signed().signature_input
SIGNATURE = signed().signature
DIGEST = signed().content_digest


@pytest.mark.parametrize(
    "signature_input",
    [
        "",
        "sig1",
        "sig1=",
        GOOD + ";",
        GOOD + " ",
        " " + GOOD,
        GOOD + ';expires="1760000060"',
        GOOD + ";expires=1760000060",
        GOOD.replace(";tag", ';x="y";tag'),
        GOOD.replace(';tag="ffgrid"', ""),
        GOOD.replace(';alg="hmac-sha256"', ""),
        GOOD.replace(";created=1760000000", ""),
        GOOD.replace(f';nonce="{NONCE}"', ""),
        GOOD.replace(';keyid="jellyfin"', ""),
        GOOD.replace('alg="hmac-sha256"', 'alg="hmac-sha512"'),
        GOOD.replace('alg="hmac-sha256"', 'alg="none"'),
        GOOD.replace('alg="hmac-sha256"', "alg=hmac-sha256"),
        GOOD.replace('tag="ffgrid"', 'tag="other"'),
        GOOD.replace('tag="ffgrid"', 'tag="FFGRID"'),
        GOOD.replace('alg="hmac-sha256";tag="ffgrid"', 'tag="ffgrid";alg="hmac-sha256"'),
        GOOD.replace(f'created=1760000000;nonce="{NONCE}"', f'nonce="{NONCE}";created=1760000000'),
        GOOD.replace('"@method" "@path"', '"@path" "@method"'),
        GOOD.replace(' "@query"', ""),
        GOOD.replace(' "content-digest"', ""),
        GOOD.replace('"content-digest"', '"content-digest" "host"'),
        GOOD.replace('"content-digest"', '"content-digest";req'),
        GOOD.replace('"@method" "@path"', '"@method"  "@path"'),
        GOOD.replace('("@method"', '( "@method"'),
        GOOD.replace(";created", "; created"),
        GOOD.replace("created=1760000000", "created=1760000000 "),
        GOOD.replace("created=1760000000", "created= 1760000000"),
        GOOD.replace("created=1760000000", "created=01760000000"),
        GOOD.replace("created=1760000000", "created=+1760000000"),
        GOOD.replace("created=1760000000", "created=-1760000000"),
        GOOD.replace("created=1760000000", "created=1_760_000_000"),
        GOOD.replace("created=1760000000", "created=1760000000.0"),
        GOOD.replace("created=1760000000", "created=1e9"),
        GOOD.replace("created=1760000000", "created="),
        GOOD.replace("created=1760000000", 'created="1760000000"'),
        GOOD.replace("created=1760000000", "created=" + "9" * 13),
        GOOD.replace("created=1760000000", "created=" + "9" * 10_000),
        GOOD.replace("created=1760000000", "created=١٧٦٠٠٠٠٠٠٠"),
        GOOD.replace("created=1760000000", "created=176000000²"),
        GOOD.replace(NONCE, ""),
        GOOD.replace(NONCE, "short"),
        GOOD.replace(NONCE, "a" * 15),
        GOOD.replace(NONCE, "a" * 65),
        GOOD.replace(NONCE, NONCE[:-1] + '"'),
        GOOD.replace(NONCE, NONCE[:-1] + "\\"),
        GOOD.replace(NONCE, NONCE[:-1] + " "),
        GOOD.replace(NONCE, NONCE[:-1] + "é"),
        GOOD.replace(f'"{NONCE}"', f"'{NONCE}'"),
        GOOD.replace("jellyfin", ""),
        GOOD.replace("jellyfin", "a" * 65),
        GOOD.replace("jellyfin", "jelly:fin"),
        GOOD.replace("jellyfin", "jelly fin"),
        GOOD.replace("jellyfin", "jellyfín"),
        GOOD.replace("jellyfin", "jellyfin\n"),
        GOOD.replace("sig1=", "sig2="),
        GOOD.replace("sig1=", "sig="),
        GOOD.replace("sig1=", "SIG1="),
        GOOD.replace("sig1=", "sig1 ="),
        GOOD + ", sig2=" + GOOD.removeprefix("sig1="),
        "sig0=(), " + GOOD,
        GOOD + "," + GOOD,
        GOOD.replace("Created", "created").replace("created", "Created"),
        GOOD.replace('"ffgrid"', '"ffgrid'),
        ";;;;;",
        ";" * 5000,
        "\0" + GOOD,
    ],
)
def test_an_input_of_another_form_is_no_signature(signature_input: str) -> None:
    with pytest.raises(BadSignature):
        signing.read(signature_input, SIGNATURE, DIGEST)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "sig1",
        "sig1=",
        "sig1=:",
        SIGNATURE[:-1],
        SIGNATURE + ":",
        SIGNATURE + " ",
        " " + SIGNATURE,
        SIGNATURE.replace("sig1=", "sig2="),
        SIGNATURE.replace("sig1=:", "sig1="),
        SIGNATURE.replace("sig1=:", "sig1=::"),
        SIGNATURE.replace("sig1=:", "sig1=: "),
        SIGNATURE.replace("=:", ":"),
        SIGNATURE + ", sig2=" + SIGNATURE.removeprefix("sig1="),
        SIGNATURE + ";x",
        "sig1=:" + "A" * 43 + ":",
        "sig1=:" + "A" * 45 + ":",
        "sig1=:" + "A" * 44 + "=:",
        "sig1=:!" + "A" * 42 + "=:",
        "sig1=:é" + "A" * 42 + "=:",
        "sig1=:" + "-_" * 21 + "A=:",
        "sig1=:" + "A" * 20 + "\n" + "A" * 23 + "=:",
    ],
)
def test_a_signature_of_another_form_is_none(signature: str) -> None:
    with pytest.raises(BadSignature):
        signing.read(GOOD, signature, DIGEST)


@given(signature_input=st.text(), signature=st.text(), content_digest=st.text())
def test_no_text_makes_the_reader_fail_in_another_way(
    signature_input: str, signature: str, content_digest: str
) -> None:
    with pytest.raises(BadSignature):
        signing.read(signature_input, signature, content_digest)


@given(pieces=st.lists(st.sampled_from([*GOOD.split(";"), "", " ", "\x00", "é", "9" * 99]), max_size=8))
def test_no_mixture_of_parameters_is_read_but_the_fixed_one(pieces: list[str]) -> None:
    text = ";".join(pieces)
    try:
        claim = signing.read(text, SIGNATURE, DIGEST)
    except BadSignature:
        return

    assert text == GOOD
    assert claim.key_id == KEY_ID


# Time and words


@pytest.mark.parametrize(("now", "fresh"), [(-61, False), (-60, True), (0, True), (60, True), (60.5, False)])
def test_a_signature_is_fresh_for_a_minute_to_either_side(now: float, fresh: bool) -> None:
    request = signed()
    claim = signing.read(request.signature_input, request.signature, request.content_digest)

    assert signing.is_fresh(claim, CREATED + now) is fresh


@pytest.mark.parametrize("text", ["a", "A9._-", "x" * 64])
def test_a_word_is_letters_digits_dots_underscores_and_dashes(text: str) -> None:
    assert signing.is_word(text, signing.ID_LENGTHS)


@pytest.mark.parametrize("text", ["", "x" * 65, "a b", "a:b", "a|b", 'a"b', "ä", "a\n", "a/b", "²"])
def test_what_could_end_a_parameter_or_a_key_is_no_word(text: str) -> None:
    assert not signing.is_word(text, signing.ID_LENGTHS)


@given(random=st.binary(min_size=16, max_size=32))
def test_every_nonce_that_is_made_can_be_sent(random: bytes) -> None:
    nonce = signing.new_nonce(random)

    assert bytes.fromhex(nonce) == random
    assert signing.is_word(nonce, signing.NONCE_LENGTHS)


# The parts are those of the standard library and the RFCs


@settings(max_examples=300)
@given(secret=st.binary(max_size=200), message=st.binary(max_size=400))
def test_our_hmac_is_the_standard_librarys(secret: bytes, message: bytes) -> None:
    assert signing.hmac_sha256(secret, message) == hmac.digest(secret, message, "sha256")


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 1000])
def test_our_hmac_is_right_around_the_block_size(size: int) -> None:
    secret = bytes(index % 256 for index in range(size))

    assert signing.hmac_sha256(secret, b"message") == hmac.digest(secret, b"message", "sha256")


def test_our_hmac_gives_the_signature_of_the_rfcs_own_example() -> None:
    """RFC 9421, B.2.5: signing a request with hmac-sha256."""
    secret = base64.b64decode(
        "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
    )
    base = (
        '"date": Tue, 20 Apr 2021 02:07:55 GMT\n'
        '"@authority": example.com\n'
        '"content-type": application/json\n'
        '"@signature-params": ("date" "@authority" "content-type")'
        ';created=1618884473;keyid="test-shared-secret"'
    )

    signature = base64.b64encode(signing.hmac_sha256(secret, base.encode())).decode()

    assert signature == "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="


def test_a_digest_is_that_of_the_rfcs_own_example() -> None:
    """RFC 9530, appendix D."""
    assert signing.digest(BODY) == "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
