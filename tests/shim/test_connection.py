"""As much HTTP as the shim speaks, against coordinators in bits and pieces."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from app.wire import attach as frames
from app.wire import signing, websocket
from app.wire.keyfile import Key
from shim import connection as module
from shim.connection import Connection, Refused, Unreachable, _split
from tests.ports import free_port
from tests.shim.conftest import Fake, answer, problem, upgraded

Make = Callable[..., Fake]
KEY = Key("tester", bytes(range(32)), b"")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long in these tests."""
    monkeypatch.setattr(module, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.5)


@pytest.fixture
def dial() -> Iterator[Callable[[str], Connection]]:
    """Connects; what was connected is closed."""
    made: list[Connection] = []

    def connect(url: str) -> Connection:
        made.append(Connection(url, KEY))
        return made[-1]

    yield connect
    for one in made:
        one.close()


Dial = Callable[[str], Connection]


# Addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://coordinator", (False, "coordinator", 80, "")),
        ("https://coordinator", (True, "coordinator", 443, "")),
        ("http://coordinator/", (False, "coordinator", 80, "")),
        ("http://coordinator:8000", (False, "coordinator", 8000, "")),
        ("http://10.0.0.7:8000/", (False, "10.0.0.7", 8000, "")),
        ("https://example.org:8443/ffgrid", (True, "example.org", 8443, "/ffgrid")),
        ("https://example.org/a/b/", (True, "example.org", 443, "/a/b")),
        ("http://[::1]:8000", (False, "::1", 8000, "")),
        ("http://[::1]", (False, "::1", 80, "")),
        ("https://[fe80::1]:8443/x", (True, "fe80::1", 8443, "/x")),
    ],
)
def test_an_address_is_read(url: str, expected: tuple[bool, str, int, str]) -> None:
    assert _split(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "coordinator",
        "coordinator:8000",
        "ftp://coordinator",
        "http://",
        "http:///x",
        "http://:8000",
        "http://x:y",
        "http://x:8000x",
    ],
)
def test_an_address_that_is_none_is_said(url: str) -> None:
    with pytest.raises(Unreachable, match="cannot read the coordinator's address") as caught:
        Connection(url, KEY)

    assert repr(url) in str(caught.value)
    assert "expected http://host:port" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999",
        "http://127.0.0.1:0",
        "http://no-such-host.invalid",
        "http://a..b",
        "http://" + "x" * 300,
        "http://é.invalid",
    ],
)
def test_an_address_that_leads_nowhere_is_unreachable(url: str) -> None:
    with pytest.raises(Unreachable):
        Connection(url, KEY)


def test_a_port_that_nobody_listens_on_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(Unreachable) as caught:
        Connection(url, KEY)

    assert str(caught.value) == f"{url}: Connection refused"


def test_a_coordinator_on_ipv6_is_reached(dial: Dial) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        url = f"http://[::1]:{listener.getsockname()[1]}"
        connection = dial(url)
        thread = threading.Thread(target=_answer_once, args=(listener, answer(200, {})))
        thread.start()
        status, _, _ = connection.request("GET", "/v1/jobs", b"")
        thread.join()

    assert status == 200


def _answer_once(listener: socket.socket, said: bytes, pieces: int = 1) -> bytes:
    connection, _ = listener.accept()
    with connection:
        head = connection.recv(65_536)
        step = -(-len(said) // pieces)
        for start in range(0, len(said), step):
            connection.sendall(said[start : start + step])
    return head


def test_tls_to_a_server_that_speaks_none_is_unreachable(fake: Make) -> None:
    with pytest.raises(Unreachable, match="https://127"):
        Connection(fake(answer(200)).url.replace("http:", "https:"), KEY)


# Requests


def test_a_request_is_signed_as_it_goes_over_the_wire(fake: Make, dial: Dial) -> None:
    coordinator = fake(answer(200, {"a": 1}))
    connection = dial(coordinator.url + "/behind/a/proxy/")

    status, headers, body = connection.request("POST", "/v1/jobs?x=1", b'{"a": "\xc3\xa9"}')

    head, sent = coordinator.asked[0]
    lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    claim = signing.read(lines["Signature-Input"], lines["Signature"], lines["Content-Digest"])
    assert (status, headers["content-type"], body) == (200, "application/json", b'{"a": 1}')
    assert head.startswith("POST /behind/a/proxy/v1/jobs?x=1 HTTP/1.1\r\n")
    assert lines["Host"] == f"127.0.0.1:{coordinator.port}"
    assert lines["Content-Length"] == str(len(sent))
    assert signing.verify(claim, KEY.secret, "POST", "/behind/a/proxy/v1/jobs", "x=1")
    assert claim.digest == signing.digest(sent)


def test_the_connection_is_kept_and_each_request_has_a_nonce(fake: Make, dial: Dial) -> None:
    coordinator = fake(answer(200, {}))
    connection = dial(coordinator.url)
    for _ in range(3):
        assert connection.request("GET", "/v1/jobs", b"")[0] == 200

    nonces = {head.partition('nonce="')[2].partition('"')[0] for head, _ in coordinator.asked}
    assert len(nonces) == 3


@pytest.mark.parametrize("pieces", [1, 2, 7, 200])
def test_an_answer_may_come_in_pieces(dial: Dial, pieces: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = dial(f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread = threading.Thread(
            target=_answer_once, args=(listener, answer(201, {"id": "x"}, Location="/v1/jobs/x"), pieces)
        )
        thread.start()
        status, headers, body = connection.request("POST", "/v1/jobs", b"{}")
        thread.join()

    assert (status, headers["location"], body) == (201, "/v1/jobs/x", b'{"id": "x"}')


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 503", "closed the connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not answer as a coordinator does"),
        (b"HTTP/1.1\r\n\r\n", "does not answer as a coordinator does"),
        (b"HTTP/1.1 two\r\n\r\n", "does not answer as a coordinator does"),
        (b"x" * 100_000, "does not answer as a coordinator does"),
        (b"HTTP/1.1 404 x\r\nContent-Length: 9\r\n\r\nabc", "closed the connection"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_what_is_no_answer_is_unreachable(fake: Make, dial: Dial, said: bytes, word: str) -> None:
    coordinator = fake(said)

    with pytest.raises(Unreachable, match=word) as caught:
        dial(coordinator.url).request("POST", "/v1/jobs", b"{}")

    assert coordinator.url in str(caught.value)


def test_who_says_nothing_is_not_waited_for_for_ever(dial: Dial) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = dial(f"http://127.0.0.1:{listener.getsockname()[1]}")

        with pytest.raises(Unreachable, match="does not answer"):
            connection.request("POST", "/v1/jobs", b"{}")


# The upgrade


def test_the_upgrade_goes_over_the_same_connection(fake: Make, dial: Dial) -> None:
    frame = frames.encode(frames.STDOUT, 1, b"x")
    coordinator = fake(answer(201, {}, Location="/v1/jobs/x"), upgraded(frame))
    connection = dial(coordinator.url)
    connection.request("POST", "/v1/jobs", b"{}")

    rest = connection.upgrade("/v1/jobs/x/attach?after=0")

    decoder, messages = websocket.Decoder(), list[tuple[int, bytes]]()
    while not (messages := decoder.feed(rest)):
        rest = connection.socket.recv(4096)
    assert messages == [(websocket.BINARY, frame)]
    assert [head.split("\r\n")[0] for head, _ in coordinator.asked] == [
        "POST /v1/jobs HTTP/1.1",
        "GET /v1/jobs/x/attach?after=0 HTTP/1.1",
    ]
    assert "Upgrade: websocket" in coordinator.asked[1][0]


@pytest.mark.parametrize("status", [401, 403, 404, 409, 503])
def test_a_refused_upgrade_keeps_what_was_said(fake: Make, dial: Dial, status: int) -> None:
    connection = dial(fake(problem(status, "no, because")).url)

    with pytest.raises(Refused) as caught:
        connection.upgrade("/v1/jobs/x/attach")

    assert caught.value.status == status
    assert caught.value.sentence() == "no, because"


@pytest.mark.parametrize("wrong", ["Sec-WebSocket-Accept: AAAA", "X: y"])
def test_an_upgrade_that_was_not_meant_for_us_is_refused(fake: Make, dial: Dial, wrong: str) -> None:
    said = f"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n{wrong}\r\n\r\n".encode()

    with pytest.raises(Refused):
        dial(fake(said).url).upgrade("/v1/jobs/x/attach")


def test_a_connection_notices_that_its_peer_has_vanished(fake: Make, dial: Dial) -> None:
    connection = dial(fake(answer(200)).url)

    plain = socket.socket(fileno=os.dup(connection.socket.fileno()))
    with plain:
        assert plain.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == module.KEEPALIVE["TCP_KEEPIDLE"]
        assert not os.get_inheritable(connection.socket.fileno())
