"""Signatures at the door, over raw sockets: what is signed is done once; nothing else is done at all."""

from __future__ import annotations

import base64
import gzip
import json
import math
import random
import re
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from app.state.clients import OVERLAP, Master
from app.web.main import API
from app.wire import signing
from app.wire.messages import (
    BODY_LIMIT,
    BULK,
    FALLBACKS,
    FLEET,
    JOBS,
    QUEUES,
    SCALING,
    SUMMARY,
    WORKERS,
    job_path,
)
from tests.farm import until
from tests.web.conftest import (
    NOBODY,
    Answer,
    Attached,
    Headers,
    Key,
    Site,
    attach_path,
    dial,
    handshake,
    listen,
    request,
    say,
    submission,
)


@dataclass(frozen=True)
class Signed:
    """A request as it goes over the wire, whole and in parts that can be changed."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""
    host: str = "localhost"
    more: Headers = field(default_factory=list)
    length: bool = True

    def raw(self) -> bytes:
        """Its bytes."""
        headers = [*self.more, *self.headers]
        return request(self.method, self.target, headers, self.body, host=self.host, length=self.length)

    def header(self, name: str) -> str:
        """One of the three signing headers."""
        return dict(self.headers)[name]

    def with_header(self, name: str, value: str | None) -> Signed:
        """With another value for one of the three headers, or without it."""
        headers = [(one, value if one == name else old) for one, old in self.headers]
        return replace(self, headers=[(one, new) for one, new in headers if new is not None])

    def edit(self, name: str, old: str, new: str) -> Signed:
        """With another text within one of the three headers."""
        changed = self.header(name).replace(old, new)
        assert changed != self.header(name), f"{old!r} is not in {name}"
        return self.with_header(name, changed)


Tamper = Callable[[Signed], Signed]


def signed(key: Key, method: str, target: str, body: bytes = b"", **more: object) -> Signed:
    """A request as it should be, unless `created` or `nonce` say otherwise."""
    return Signed(method, target, key.sign(method, target, body, **more), body)  # type: ignore[arg-type]


def submitting(key: Key, **more: object) -> Signed:
    """A submission as it should be."""
    return signed(key, "POST", JOBS, json.dumps(submission()).encode(), **more)


def created(value: str) -> Tamper:
    """Another time of signing, without another signature."""
    return lambda one: one.with_header(
        "Signature-Input", re.sub(r"created=\d+", f"created={value}", one.header("Signature-Input"))
    )


def nonce(change: Callable[[str], str]) -> Tamper:
    """Another nonce."""
    return lambda one: one.with_header(
        "Signature-Input",
        re.sub(r'nonce="(\w+)"', lambda found: f'nonce="{change(found[1])}"', one.header("Signature-Input")),
    )


def signature(change: Callable[[bytes], bytes]) -> Tamper:
    """Other bytes as the signature."""

    def tamper(one: Signed) -> Signed:
        mac = base64.b64decode(one.header("Signature")[6:-1])
        return one.with_header("Signature", f"sig1=:{base64.b64encode(change(mac)).decode()}:")

    return tamper


def written(change: Callable[[str], str]) -> Tamper:
    """The signature's base64 in another form."""
    return lambda one: one.with_header("Signature", f"sig1=:{change(one.header('Signature')[6:-1])}:")


def edit(name: str, old: str, new: str) -> Tamper:
    """Another text within a header."""
    return lambda one: one.edit(name, old, new)


def without(name: str) -> Tamper:
    """A header missing."""
    return lambda one: one.with_header(name, None)


def body(change: Callable[[bytes], bytes]) -> Tamper:
    """Another body under the same headers."""
    return lambda one: replace(one, body=change(one.body))


def digest_to_match(one: Signed) -> Signed:
    """Another body, with the digest that it has."""
    changed = one.body.replace(b"ffmpeg", b"ffprobe")
    return replace(one, body=changed).with_header("Content-Digest", signing.digest(changed))


INPUT, SIGNATURE, DIGEST = "Signature-Input", "Signature", "Content-Digest"

# A submission, changed after it was signed. Each has the one answer to all failures of authentication.
FORGED: dict[str, Tamper] = {
    "a query added": lambda one: replace(one, target=JOBS + "?x=1"),
    "another digest": digest_to_match,
    "one byte of the body changed": body(lambda content: content.replace(b"ffmpeg", b"ffmpeh")),
    "the body's case changed": body(lambda content: content.swapcase()),
    "the body cut": body(lambda content: content[:-1]),
    "the body longer": body(lambda content: content + b" "),
    "no body": body(lambda content: b""),
    "the digest of an empty body": lambda one: one.with_header(DIGEST, signing.digest(b"")),
    "the digest with another algorithm's name": edit(DIGEST, "sha-256", "sha-512"),
    "the digest in capitals": edit(DIGEST, "sha-256", "SHA-256"),
    "two digests": lambda one: one.with_header(DIGEST, f"{one.header(DIGEST)}, {signing.digest(b'other')}"),
    "no digest": without(DIGEST),
    "no signature input": without(INPUT),
    "no signature": without(SIGNATURE),
    "no signing header": lambda one: replace(one, headers=[]),
    "alg hmac-sha512": edit(INPUT, "hmac-sha256", "hmac-sha512"),
    "alg none": edit(INPUT, "hmac-sha256", "none"),
    "no alg": edit(INPUT, ';alg="hmac-sha256"', ""),
    "another tag": edit(INPUT, 'tag="ffgrid"', 'tag="ffgrit"'),
    "no tag": edit(INPUT, ';tag="ffgrid"', ""),
    "a parameter more": edit(INPUT, ';tag="ffgrid"', ';tag="ffgrid";expires=9999999999'),
    "the parameters in another order": edit(
        INPUT, ';alg="hmac-sha256";tag="ffgrid"', ';tag="ffgrid";alg="hmac-sha256"'
    ),
    "a blank between parameters": edit(INPUT, ";alg", "; alg"),
    "another label": lambda one: one.edit(INPUT, "sig1=", "sig2=").edit(SIGNATURE, "sig1=", "sig2="),
    "another label for the input only": edit(INPUT, "sig1=", "sig2="),
    "another label for the signature only": edit(SIGNATURE, "sig1=", "sig2="),
    "two labels": lambda one: one.with_header(
        SIGNATURE, f"{one.header(SIGNATURE)}, {one.header(SIGNATURE).replace('sig1', 'sig2')}"
    ),
    "the query not covered": edit(INPUT, ' "@query"', ""),
    "the digest not covered": edit(INPUT, ' "content-digest"', ""),
    "nothing covered": edit(INPUT, '("@method" "@path" "@query" "content-digest")', "()"),
    "more covered": edit(INPUT, '"content-digest")', '"content-digest" "@authority")'),
    "components in another order": edit(INPUT, '"@method" "@path"', '"@path" "@method"'),
    "a component with a parameter": edit(INPUT, '"@method"', '"@method";req'),
    "created 61 s ago": lambda one: created(str(int(time.time()) - 61))(one),
    "created 61 s from now": lambda one: created(str(math.ceil(time.time()) + 61))(one),
    "created an hour ago": lambda one: created(str(int(time.time()) - 3600))(one),
    "created a second later": lambda one: created(str(int(time.time()) + 5))(one),
    "created before the epoch": created("-5"),
    "created at no whole second": created("1795289401.5"),
    "created in no time": created(""),
    "created in thirteen digits": created("1795289401872"),
    "created in digits of another script": created("\xb2\xb9"),
    "another nonce": nonce(lambda text: text[::-1]),
    "a short nonce": nonce(lambda text: text[:15]),
    "a long nonce": nonce(lambda text: text * 3),
    "no nonce": nonce(lambda text: ""),
    "a nonce that closes its quote": nonce(lambda text: text + '";x="'),
    "one bit of the signature": signature(lambda mac: bytes((mac[0] ^ 1,)) + mac[1:]),
    "a short signature": signature(lambda mac: mac[:31]),
    "half a signature": signature(lambda mac: mac[:16]),
    "a long signature": signature(lambda mac: mac + b"\0"),
    "an empty signature": signature(lambda mac: b""),
    "a signature of zeros": signature(lambda mac: bytes(32)),
    "a signature in capitals": written(str.upper),
    "a signature that is not ASCII": written(lambda text: "\xe9" + text[1:]),
    "a signature in hexadecimal": written(lambda text: base64.b64decode(text).hex()),
    "a signature without its padding": written(lambda text: text.rstrip("=")),
    "a signature with a blank within": written(lambda text: text[:8] + " " + text[8:]),
    "a signature with more behind it": written(lambda text: text + "AAAA"),
    "a signature without its colons": lambda one: one.with_header(
        SIGNATURE, one.header(SIGNATURE).replace(":", "")
    ),
    "an unknown key": edit(INPUT, 'keyid="client"', 'keyid="stranger"'),
    "another's key": edit(INPUT, 'keyid="client"', 'keyid="admin"'),
    "no key": edit(INPUT, 'keyid="client"', 'keyid=""'),
    "a key in capitals": edit(INPUT, 'keyid="client"', 'keyid="CLIENT"'),
    "a key with a role in it": edit(INPUT, 'keyid="client"', 'keyid="client|admin"'),
    "a key of 65 letters": edit(INPUT, 'keyid="client"', f'keyid="{"c" * 65}"'),
}


async def refusal(site: Site) -> bytes:
    """The body of the one answer to all failures of authentication."""
    answer = say(site.port(), submitting(NOBODY).raw())
    assert answer.status == 401
    assert answer.type == "unauthorized"
    return answer.body


async def test_a_request_that_is_signed_is_done(site: Site) -> None:
    answer = say(site.port(), submitting(site.client).raw())

    assert answer.status == 201
    assert await site.count() == 1


@pytest.mark.parametrize("name", FORGED)
async def test_what_was_changed_after_signing_is_not_done(site: Site, name: str) -> None:
    answer = say(site.port(), FORGED[name](submitting(site.client)).raw())

    assert answer.status == 401
    assert answer.body == await refusal(site)
    assert await site.count() == 0


@pytest.mark.parametrize("age", [-58, -30, 0, 30, 58])
async def test_clocks_may_differ_by_less_than_a_minute(site: Site, age: int) -> None:
    answer = say(site.port(), submitting(site.client, created=int(time.time()) + age).raw())

    assert answer.status == 201


@pytest.mark.parametrize("age", [-3600, -61, 62, 3600])
async def test_a_true_signature_that_is_older_or_newer_is_not_good(site: Site, age: int) -> None:
    answer = say(site.port(), submitting(site.client, created=int(time.time()) + age).raw())

    assert answer.status == 401
    assert answer.body == await refusal(site)


# A list of at most five jobs, changed after it was signed.
QUERIES = {
    "removed": JOBS,
    "empty": JOBS + "?",
    "changed": JOBS + "?limit=6",
    "added to": JOBS + "?limit=5&state=queued",
    "repeated": JOBS + "?limit=5&limit=5",
    "escaped": JOBS + "?limit=%35",
    "in capitals": JOBS + "?LIMIT=5",
    "with more behind it": JOBS + "?limit=5&",
    "doubled mark": JOBS + "??limit=5",
    "of another route": WORKERS + "?limit=5",
}


@pytest.mark.parametrize("name", QUERIES)
async def test_another_query_is_not_answered(site: Site, name: str) -> None:
    site.submit()
    true = signed(site.client, "GET", JOBS + "?limit=5")

    answer = say(site.port(), replace(true, target=QUERIES[name]).raw())

    assert answer.status in (400, 401)
    assert b"Movies" not in answer.body
    assert say(site.port(), true.raw()).status == 200


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", JOBS),
        ("POST", JOBS),
        ("GET", "{}"),
        ("POST", "{}/retry"),
        ("GET", "{}/log"),
        ("POST", "{}/cancel"),
    ],
)
async def test_a_signature_for_one_thing_does_no_other(site: Site, method: str, target: str) -> None:
    await site.end(site.submit())
    mine = site.submit()
    true = signed(site.client, "POST", job_path(site.submit(), "cancel"))

    answer = say(site.port(), replace(true, method=method, target=target.format(job_path(mine))).raw())

    assert answer.status == 401
    assert answer.body == await refusal(site)
    assert (await site.jobs.get(mine)).state == "queued"
    assert await site.count() == 3


async def test_a_get_that_was_signed_is_no_head(site: Site) -> None:
    true = signed(site.client, "GET", JOBS)

    assert say(site.port(), replace(true, method="HEAD").raw()).status == 401
    assert say(site.port(), signed(site.client, "HEAD", JOBS).raw()).status == 200


# Forms of /v1/jobs that some server or proxy might take for it.
PATHS = [
    "/v1%2Fjobs", "/%76%31/jobs", "/v1/job%73", "//v1/jobs", "/v1//jobs", "/v1/./jobs", "/./v1/jobs",
    "/v1/x/../jobs", "/../v1/jobs", "/v1/jobs/", "/v1/jobs/.", "/v1/jobs;x=1", "/v1;/jobs", "/V1/jobs",
    "/v1/jobs%00", "/v1/jobs%20", "/v1/jobs%3Fx", "/v1/jobs\\", "\\v1\\jobs", "/v1/jobs\xe9", "/v1/j\xc3\xb6bs",
    "v1/jobs", "/v1/jobs,", "/v1/jobs&", "*", "/v1/jobs/%2e", "/v1/%2e%2e/v1/jobs", "http:/v1/jobs",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_has_one_form(site: Site, path: str) -> None:
    true = submitting(site.client)
    itself = Signed("POST", path, site.client.sign("POST", path, true.body), true.body)

    answers = [say(site.port(), replace(true, target=path).raw()), say(site.port(), itself.raw())]

    assert [answer for answer in answers if not 400 <= answer.status < 500] == []
    assert await site.count() == 0


# Requests that two parsers may read differently, all with a true signature.
FRAMED: dict[str, Tamper] = {
    "two hosts": lambda one: replace(one, more=[("Host", "evil")]),
    "the signature twice": lambda one: replace(one, headers=[*one.headers, one.headers[2]]),
    "the input twice": lambda one: replace(one, headers=[*one.headers, one.headers[1]]),
    "the digest twice": lambda one: replace(one, headers=[*one.headers, one.headers[0]]),
    "another signature behind it": lambda one: replace(
        one, headers=[*one.headers, (SIGNATURE, "sig1=:AA==:")]
    ),
    "another signature before it": lambda one: replace(one, more=[(SIGNATURE, "sig1=:AA==:")]),
    "the length twice": lambda one: replace(one, more=[("Content-Length", str(len(one.body)))]),
    "two lengths": lambda one: replace(one, more=[("Content-Length", "3")]),
    "a length and chunks": lambda one: replace(one, more=[("Transfer-Encoding", "chunked")]),
    "a length and no chunks": lambda one: replace(one, more=[("Transfer-Encoding", "identity")]),
    "a body that is packed": lambda one: replace(one, more=[("Content-Encoding", "gzip")]),
    "a body that is said not to be packed": lambda one: replace(one, more=[("Content-Encoding", "identity")]),
    "a negative length": lambda one: replace(one, length=False, more=[("Content-Length", "-1")]),
    "a length with a sign": lambda one: replace(
        one, length=False, more=[("Content-Length", f"+{len(one.body)}")]
    ),
    "a length in hexadecimal": lambda one: replace(
        one, length=False, more=[("Content-Length", f"0x{len(one.body):x}")]
    ),
    "a folded header": lambda one: one.edit(INPUT, ";alg", "\r\n ;alg"),
    "a blank before a colon": lambda one: replace(one, more=[("Host ", "evil")]),
    "a header without a name": lambda one: replace(one, more=[("", "x")]),
    "a NUL in a header": lambda one: replace(one, more=[("X", "a\0b")]),
}


@pytest.mark.parametrize("name", FRAMED)
async def test_a_request_that_could_be_read_in_two_ways_is_not_read(site: Site, name: str) -> None:
    answer = say(site.port(), FRAMED[name](submitting(site.client)).raw())

    assert 400 <= answer.status < 500, answer
    assert await site.count() == 0


async def test_a_packed_body_is_not_unpacked(site: Site) -> None:
    packed = gzip.compress(json.dumps(submission()).encode())
    true = signed(site.client, "POST", JOBS, packed)

    answers = [
        say(site.port(), one.raw()) for one in (true, replace(true, more=[("Content-Encoding", "gzip")]))
    ]

    assert [answer.status for answer in answers] == [400, 400]
    assert await site.count() == 0


async def test_what_follows_a_smuggled_body_is_not_a_request(site: Site) -> None:
    behind = submitting(site.client).raw()
    true = signed(site.client, "POST", JOBS, b"0\r\n\r\n" + behind)
    smuggling = replace(true, more=[("Transfer-Encoding", "chunked")])

    assert 400 <= say(site.port(), smuggling.raw()).status < 500
    assert await site.count() == 0


# The same request in another dress: it does what was signed, and nothing that was not.
SAME: dict[str, Callable[[bytes], bytes]] = {
    "as an absolute URI": lambda raw: raw.replace(b" /v1", b" http://localhost/v1", 1),
    "as another host's absolute URI": lambda raw: raw.replace(b" /v1", b" http://evil/v1", 1),
    "with a fragment": lambda raw: raw.replace(b"limit=5", b"limit=5#/v1/workers", 1),
    "from another host": lambda raw: raw.replace(b"Host: localhost", b"Host: evil/v1/workers?x="),
    "from a host that climbs": lambda raw: raw.replace(b"Host: localhost", b"Host: a/../../v1/workers#"),
    "from a host with a line's end in it": lambda raw: raw.replace(b"Host: localhost", b"Host: a%0d%0aX: b"),
    "with names of headers in capitals": lambda raw: raw.replace(b"Signature:", b"SIGNATURE:"),
    "as HTTP/1.0": lambda raw: raw.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "through a proxy that tells of another path": lambda raw: raw.replace(
        b"Host:", b"X-Original-URL: /v1/workers\r\nX-Rewrite-URL: /v1/workers\r\nX-HTTP-Method: POST\r\nHost:"
    ),
}


@pytest.mark.parametrize("name", SAME)
async def test_another_dress_changes_nothing(site: Site, name: str) -> None:
    job_id = site.submit()

    answer = say(site.port(), SAME[name](signed(site.client, "GET", JOBS + "?limit=5").raw()))

    assert answer.status in (200, 400)
    if answer.status == 200:
        assert [one["id"] for one in answer.json["jobs"]] == [job_id]
    assert "evil" not in str(answer.headers)


@pytest.mark.parametrize(
    "target", ["http://localhost/v1/workers", WORKERS + "#/v1/jobs", "http://x@y/v1/workers"]
)
async def test_another_dress_hides_no_other_path(site: Site, target: str) -> None:
    answer = say(site.port(), replace(signed(site.client, "GET", JOBS), target=target).raw())

    assert answer.status in (400, 401)


# Keys


async def test_a_key_of_another_installation_is_not_good(site: Site) -> None:
    stranger = Key("client", Master(bytes(32)).secret("client", "client", 1))

    assert say(site.port(), submitting(stranger).raw()).body == await refusal(site)


async def test_a_revoked_key_is_not_good_within_a_second(site: Site) -> None:
    key = await site.key("leaver")
    used = [site.ask("GET", JOBS, key=key, web=web).status for web in (0, 1)]

    await site.store.clients.revoke("leaver")
    at = time.monotonic()
    good: list[float] = []

    def is_refused(web: int) -> bool:
        asked = time.monotonic() - at
        if site.ask("GET", JOBS, key=key, web=web).status == 401:
            return True
        good.append(asked)
        return False

    for web in (0, 1):
        until(lambda web=web: is_refused(web))  # type: ignore[misc]

    assert used == [200, 200]
    assert max(good, default=0.0) < 1.0
    assert say(site.port(), submitting(key).raw()).body == await refusal(site)


async def test_both_versions_of_a_rotated_key_are_good_for_a_day(site: Site) -> None:
    old = await site.key("turner")
    new = site.key_of(await site.store.clients.rotate("turner"))

    assert new.secret != old.secret
    assert [say(site.port(), submitting(key).raw()).status for key in (old, new)] == [201, 201]


async def test_the_version_before_the_last_is_not_good(site: Site) -> None:
    oldest = await site.key("spinner")
    old = site.key_of(await site.store.clients.rotate("spinner"))
    new = site.key_of(await site.store.clients.rotate("spinner"))

    assert [say(site.port(), submitting(key).raw()).status for key in (oldest, old, new)] == [401, 201, 201]


async def test_an_old_version_is_not_good_after_a_day(site: Site) -> None:
    old = await site.key("sleeper")
    new = site.key_of(await site.store.clients.rotate("sleeper"))
    record = json.loads(await site.store.redis.hget(site.store.keys.clients, "sleeper"))
    record["rotated"] -= OVERLAP + 1
    await site.store.redis.hset(site.store.keys.clients, "sleeper", json.dumps(record))

    assert [say(site.port(), submitting(key).raw()).status for key in (old, new)] == [401, 201]


async def test_the_secret_that_was_revoked_stays_bad_when_the_key_is_rotated(site: Site) -> None:
    leaked = await site.key("leaker")
    await site.store.clients.revoke("leaker")
    new = site.key_of(await site.store.clients.rotate("leaker"))

    assert [say(site.port(), submitting(key).raw()).status for key in (leaked, new)] == [401, 201]


@pytest.mark.parametrize("role", ["admin", "worker"])
async def test_a_role_that_was_changed_in_redis_breaks_the_signature(site: Site, role: str) -> None:
    key = await site.key(f"climber-{role}")
    record = json.loads(await site.store.redis.hget(site.store.keys.clients, key.id))
    await site.store.redis.hset(site.store.keys.clients, key.id, json.dumps({**record, "role": role}))

    answer = say(site.port(), signed(key, "GET", JOBS).raw())

    assert answer.status == 401
    assert answer.body == await refusal(site)


@pytest.mark.parametrize(
    ("networks", "status"),
    [
        (("127.0.0.0/8",), 201),
        (("127.0.0.1/32",), 201),
        (("10.0.0.0/8", "127.0.0.0/24"), 201),
        (("10.0.0.0/8",), 401),
        (("127.0.0.2/32",), 401),
        (("::1/128",), 401),
    ],
)
async def test_a_key_is_good_in_its_networks_only(site: Site, networks: tuple[str, ...], status: int) -> None:
    key = await site.key(f"local-{abs(hash(networks))}", networks=networks)

    assert say(site.port(), submitting(key).raw()).status == status


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_an_address_that_a_header_tells_of_is_not_the_callers(site: Site, header: str) -> None:
    key = await site.key(f"far-{header}", networks=("10.0.0.0/8",))
    value = "for=10.1.2.3" if header == "Forwarded" else "10.1.2.3"

    answer = say(site.port(), replace(submitting(key), more=[(header, value)]).raw())

    assert answer.status == 401
    assert await site.count() == 0


async def test_every_failure_looks_the_same(site: Site) -> None:
    revoked, far = await site.key("gone"), await site.key("far", networks=("10.0.0.0/8",))
    await site.store.clients.revoke("gone")
    forgeries = [tamper(submitting(site.client)) for tamper in FORGED.values()]
    failures = [*forgeries, *map(submitting, (revoked, far, NOBODY))]

    answers = [say(site.port(), one.raw()) for one in failures]

    looks = {
        (one.status, one.body, *(f"{n}: {v}" for n, v in one.headers.items() if n not in BY_CHANCE))
        for one in answers
    }
    assert len(looks) == 1, looks
    assert await site.count() == 0


# Each once


@pytest.mark.parametrize("web", [0, 1])
async def test_a_request_that_was_done_is_not_done_again(site: Site, web: int) -> None:
    true = submitting(site.client)

    first, again = say(site.port(0), true.raw()), say(site.port(web), true.raw())

    assert (first.status, again.status) == (201, 401)
    assert again.body == await refusal(site)
    assert await site.count() == 1


async def test_a_replay_of_something_harmless_is_refused_too(site: Site) -> None:
    true = signed(site.client, "GET", JOBS)

    assert [say(site.port(web), true.raw()).status for web in (0, 1, 0)] == [200, 401, 401]


async def test_of_many_at_once_one_is_done(site: Site) -> None:
    raw, answers = submitting(site.client).raw(), list[Answer]()
    threads = [
        threading.Thread(target=lambda web=number % 2: answers.append(say(site.port(web), raw)))
        for number in range(16)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answer.status for answer in answers) == [201] + [401] * 15
    assert await site.count() == 1


async def test_a_replay_on_the_same_connection_is_refused(site: Site) -> None:
    raw = submitting(site.client).raw()

    with dial(site.port()) as connection:
        connection.sendall(raw + raw)
        statuses = [listen(connection).status]
        connection.sendall(raw)
        statuses += [listen(connection).status]

    assert statuses[0] == 201
    assert await site.count() == 1


async def test_one_nonce_is_good_for_two_keys(site: Site) -> None:
    other = await site.key("other")
    nonce = "0123456789abcdef"

    assert [say(site.port(), submitting(key, nonce=nonce).raw()).status for key in (site.client, other)] == [
        201,
        201,
    ]


@pytest.mark.parametrize(
    "name", ["one byte of the body changed", "one bit of the signature", "a query added"]
)
async def test_a_forgery_does_not_use_the_nonce_up(site: Site, name: str) -> None:
    true = submitting(site.client)

    assert say(site.port(), FORGED[name](true).raw()).status == 401
    assert say(site.port(), true.raw()).status == 201


async def test_a_burnt_nonce_is_remembered_for_longer_than_its_signature_is_good(site: Site) -> None:
    nonce = "fedcba9876543210"
    say(site.port(), submitting(site.client, nonce=nonce).raw())

    left = await site.store.redis.pttl(site.store.keys.nonce("client", nonce))

    assert left > 2 * signing.WINDOW * 1000


# Bodies


async def test_a_wrong_signature_is_answered_before_the_body_is_sent(site: Site) -> None:
    true = signed(site.client, "POST", JOBS, b"x" * 500_000)
    head = FORGED["one bit of the signature"](true).raw()[: -len(true.body)]

    assert head.endswith(b"\r\n\r\n")
    assert say(site.port(), head).status == 401


async def test_the_body_is_asked_for_only_when_the_signature_is_right(site: Site) -> None:
    def said(one: Signed) -> bytes:
        with dial(site.port()) as connection:
            connection.sendall(replace(one, more=[("Expect", "100-continue")]).raw()[: -len(one.body)])
            return connection.recv(12)

    true = submitting(site.client)

    assert said(FORGED["one bit of the signature"](true)) == b"HTTP/1.1 401"
    assert said(true) == b"HTTP/1.1 100"


@pytest.mark.parametrize("size", [BODY_LIMIT + 1, 200_000_000, 10**15])
async def test_a_body_that_is_too_large_is_refused_by_what_it_says(site: Site, size: int) -> None:
    headers = [*site.client.sign("POST", JOBS, b""), ("Content-Length", str(size))]

    answer = say(site.port(), request("POST", JOBS, headers, length=False))

    assert answer.status == 413
    assert answer.type == "too-large"


async def test_a_body_in_chunks_is_refused_once_it_is_too_large(site: Site) -> None:
    headers = [*site.client.sign("POST", JOBS, b""), ("Transfer-Encoding", "chunked")]
    sent = 0
    with dial(site.port()) as connection:
        connection.sendall(request("POST", JOBS, headers, length=False))
        connection.setblocking(False)
        deadline = time.monotonic() + 15
        answer = b""
        while not answer and time.monotonic() < deadline and sent < 64 << 20:
            try:
                sent += connection.send(b"8000\r\n" + bytes(0x8000) + b"\r\n")
            except (BlockingIOError, ConnectionError):
                select.select([connection], [], [], 0.01)
            try:
                answer = connection.recv(65_536)
            except BlockingIOError:
                continue

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sent < 16 << 20
    assert await site.count() == 0


async def test_a_body_of_just_the_largest_size_is_read(site: Site) -> None:
    raw = json.dumps(submission()).encode()
    answer = site.ask("POST", JOBS, raw + b" " * (BODY_LIMIT - len(raw)))

    assert answer.status == 201


async def test_a_body_in_chunks_is_read(site: Site) -> None:
    true = submitting(site.client)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (true.body[:9], true.body[9:]))
    chunked = replace(true, length=False, body=chunks + b"0\r\n\r\n", more=[("Transfer-Encoding", "chunked")])

    assert say(site.port(), chunked.raw()).status == 201


async def test_no_flipped_bit_does_anything_that_was_not_signed(site: Site) -> None:
    chance = random.Random(20261121)
    victim = site.submit()
    allowed, wrong, unanswered, done = {victim: "ffmpeg"}, [], [], 0
    requests: list[Callable[[], Signed]] = [
        lambda: submitting(site.client),
        lambda: signed(
            site.client, "POST", job_path(victim, "retry"), json.dumps({"key": "a" * 16}).encode()
        ),
        lambda: signed(site.client, "GET", JOBS + "?limit=5&state=queued"),
    ]
    for number in range(900):
        true = requests[number % 3]()
        raw = bytearray(true.raw())
        at = chance.randrange(len(raw) * 8)
        raw[at // 8] ^= 1 << (at % 8)
        answer = say(site.port(number % 2), bytes(raw), within=0.4)
        if answer.status >= 500:
            wrong.append((answer.status, bytes(raw)))
        if answer.status == 201:
            done += 1
            allowed[answer.json["id"]] = json.loads(true.body)["binary"]
        if not answer.status and number % 3 == 0:  # it waits for more, or was only slow
            unanswered.append(true.body)
    for body in unanswered:  # the key in it makes one job of both
        allowed[site.ask("POST", JOBS, body).json["id"]] = json.loads(body)["binary"]

    stored, _ = await site.jobs.page(200)
    assert wrong == []
    assert {job.id: job.spec["binary"] for job in stored} == allowed
    assert {job.id for job in stored if job.state != "queued"} == set()
    assert done < 180  # header names, the host: nothing that was signed


# Who may what


BY_CHANCE = ("date", "x-request-id")  # headers that say nothing of why
ROLES = ("client", "admin", "worker", "nobody")
# For each route: what the job's owner, an admin, a worker and a stranger are told.
MATRIX: dict[tuple[str, str], tuple[int, int, int, int]] = {
    ("POST", JOBS): (201, 201, 403, 401),
    ("GET", JOBS): (200, 200, 403, 401),
    ("GET", JOBS + "/{job_id}"): (200, 200, 403, 401),
    ("GET", JOBS + "/{job_id}/log"): (200, 200, 403, 401),
    ("POST", JOBS + "/{job_id}/cancel"): (200, 200, 403, 401),
    ("POST", JOBS + "/{job_id}/pause"): (409, 409, 403, 401),  # it is queued
    ("POST", JOBS + "/{job_id}/resume"): (409, 409, 403, 401),
    ("POST", JOBS + "/{job_id}/retry"): (201, 201, 403, 401),
    ("GET", JOBS + "/{job_id}/attach"): (101, 404, 403, 401),
    ("GET", FLEET): (200, 200, 403, 401),
    ("POST", FALLBACKS): (202, 202, 403, 401),
    ("GET", FALLBACKS): (403, 200, 403, 401),
    ("GET", WORKERS): (200, 200, 403, 401),
    ("POST", WORKERS + "/{worker_id}/drain"): (403, 202, 403, 401),
    ("POST", WORKERS + "/{worker_id}/pause"): (403, 202, 403, 401),
    ("POST", WORKERS + "/{worker_id}/resume"): (403, 202, 403, 401),
    ("POST", BULK): (200, 200, 403, 401),
    ("GET", BULK): (200, 200, 403, 401),
    ("GET", BULK + "/{operation_id}"): (404, 404, 403, 401),
    ("POST", BULK + "/{operation_id}/cancel"): (404, 404, 403, 401),
    ("GET", QUEUES): (200, 200, 403, 401),
    ("GET", SUMMARY): (200, 200, 200, 401),  # who signs must sign well; see test_metrics
    ("GET", SCALING): (200, 200, 200, 401),
}


def body_for(path: str) -> bytes:
    """A body that the route takes."""
    if path == JOBS:
        return json.dumps(submission()).encode()
    if path == BULK:
        return json.dumps({"key": "a-bulk-key", "action": "cancel", "filter": {}, "dry_run": True}).encode()
    if path == FALLBACKS:
        call = {"at": 1.5, "binary": "ffmpeg", "reason": "no worker is alive", "count": 1}
        return json.dumps({"fallbacks": [call]}).encode()
    return json.dumps({"key": "k" * 16}).encode() if path.endswith("/retry") else b""


def call(site: Site, key: Key, method: str, path: str, target: str) -> int:
    """The status of the answer to a good request."""
    if path.endswith("/attach"):
        return say(site.port(), handshake(key, target)).status
    content = body_for(path) if method == "POST" else b""
    return site.ask(method, target, content, key=key).status


def test_the_table_has_every_route() -> None:
    routes = {
        (method, getattr(route, "path", ""))
        for route in API
        for method in (getattr(route, "methods", None) or {"GET"}) - {"HEAD"}
    }

    assert set(MATRIX) == routes


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "path"), MATRIX)
async def test_each_role_may_do_what_the_table_says(site: Site, method: str, path: str, role: str) -> None:
    job_id = site.submit(attach=path.endswith("/attach"))
    if path.endswith("/retry"):
        await site.end(job_id)
    await site.hire("w1")
    target = path.format(job_id=job_id, worker_id="w1", operation_id="0" * 26)
    key = {"client": site.client, "admin": site.admin, "worker": site.worker, "nobody": NOBODY}[role]

    status = call(site, key, method, path, target)

    expected = MATRIX[method, path][ROLES.index(role)]
    assert status == expected
    if expected >= 400:
        assert (await site.jobs.get(job_id)).state == ("done" if path.endswith("/retry") else "queued")
        assert (await site.store.workers.all())[0].takes


@pytest.mark.parametrize(("method", "path"), [row for row in MATRIX if "{job_id}" in row[1]])
async def test_anothers_job_looks_as_if_it_did_not_exist(site: Site, method: str, path: str) -> None:
    other = await site.key("other")
    job_id, none = site.submit(attach=path.endswith("/attach")), "0" * 26
    if path.endswith("/retry"):
        await site.end(job_id)

    statuses = [call(site, other, method, path, path.format(job_id=one)) for one in (job_id, none)]

    assert statuses == [404, 404]
    assert (await site.jobs.get(job_id)).state == ("done" if path.endswith("/retry") else "queued")
    assert await site.count() == 1


async def test_a_client_lists_its_own_jobs_and_an_admin_all(site: Site) -> None:
    other = await site.key("other")
    mine, theirs = site.submit(), site.submit(key=other)

    def listed(key: Key, query: str = "") -> set[str]:
        return {one["id"] for one in site.ask("GET", JOBS + query, key=key).json["jobs"]}

    assert listed(site.client) == listed(site.client, "?state=queued") == {mine}
    assert listed(other) == listed(other, "?state=queued") == {theirs}
    assert listed(site.admin) == listed(site.admin, "?state=queued") == {mine, theirs}


# The upgrade is a request like any other


async def test_an_upgrade_is_done_once(site: Site) -> None:
    job_id = site.submit(attach=True)
    raw = handshake(site.client, attach_path(job_id))

    assert [say(site.port(web), raw).status for web in (0, 1, 0)] == [101, 401, 401]


@pytest.mark.parametrize("web", [0, 1])
async def test_an_upgrade_that_is_not_signed_is_refused_like_everything_else(site: Site, web: int) -> None:
    job_id = site.submit(attach=True)
    true = handshake(site.client, attach_path(job_id))
    other = job_path("0" * 26, "attach").encode()
    forged = [
        handshake(None, attach_path(job_id)),
        handshake(NOBODY, attach_path(job_id)),
        true.replace(b"after=0", b"after=1"),
        true.replace(job_path(job_id, "attach").encode(), other),
        re.sub(rb"Signature: sig1=:....", b"Signature: sig1=:AAAA", true),
        re.sub(rb"created=\d+", b"created=%d" % (time.time() - 3600), true),
    ]

    answers = [say(site.port(web), raw) for raw in forged]

    assert {answer.body for answer in answers} == {await refusal(site)}
    assert {answer.status for answer in answers} == {401}


@pytest.mark.parametrize(
    "change",
    [
        (b"GET ", b"POST "),
        (b"/v1/jobs", b"//v1/jobs"),
        (b"/v1/jobs", b"/v1/./jobs"),
        (b"/attach", b"%2Fattach"),
        (b"/v1/jobs", b"http://evil/v1/jobs"),
        (b"?after=0", b"?after=0#x"),
        (b"/attach", b"/attach\xe9"),
        (b"Host: localhost", b"Host: localhost\r\nHost: evil"),
        (b"Host: localhost", b"Host: localhost\r\nContent-Encoding: gzip"),
        (b"Host: localhost", b"Host: localhost\r\nTransfer-Encoding: chunked"),
        (b"Host: localhost", b"Host: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked"),
        (b"Host: localhost", b"Host: localhost\r\nSignature: sig1=:AAAA:"),
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 12"),
        (b"Sec-WebSocket-Key:", b"Sec-WebSocket-Kex:"),
        (b"Upgrade: websocket", b"Upgrade: h2c"),
    ],
)
async def test_an_upgrade_in_another_dress_is_not_made(site: Site, change: tuple[bytes, bytes]) -> None:
    job_id = site.submit(attach=True)
    raw = handshake(site.client, attach_path(job_id)).replace(*change, 1)

    answer = say(site.port(), raw, within=1 if b"chunked" in raw else 15)  # uvicorn waits for ever then

    assert answer.status != 101
    assert answer.status < 500
    with Attached(site.port(), site.client, job_id):
        assert site.ask("GET", JOBS).status == 200


async def test_a_connection_that_ends_in_the_middle_does_nothing(site: Site) -> None:
    raw = submitting(site.client).raw()
    for end in (10, raw.index(b"\r\n\r\n"), raw.index(b"\r\n\r\n") + 4, len(raw) - 1):
        with dial(site.port()) as connection:
            connection.sendall(raw[:end])
            connection.shutdown(socket.SHUT_WR)
            assert not listen(connection).status

    assert await site.count() == 0
    assert say(site.port(), raw).status == 201
