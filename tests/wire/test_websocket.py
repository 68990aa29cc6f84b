"""Our WebSocket client against the `websockets` package's protocol, which knows nothing of ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN, State
from websockets.server import ServerProtocol

from app.wire import websocket
from app.wire.websocket import BINARY, CLOSE, LARGEST, PING, PONG, BadFrame, Decoder, encode

MASK = b"\x12\x34\x56\x78"
SIZES = (0, 1, 3, 4, 5, 125, 126, 127, 65_535, 65_536, 70_001)


def server() -> ServerProtocol:
    """The other end, after the handshake."""
    return ServerProtocol(state=OPEN)


def received(peer: ServerProtocol) -> list[Frame]:
    return [event for event in peer.events_received() if isinstance(event, Frame)]


def sent(peer: ServerProtocol) -> bytes:
    return b"".join(peer.data_to_send())


def frame(opcode: int, payload: bytes, fin: bool = True) -> bytes:
    """An unmasked frame as a server makes it."""
    return Frame(Opcode(opcode), payload, fin).serialize(mask=False)


# What we send


def test_the_handshake_is_what_a_server_accepts() -> None:
    peer = ServerProtocol()
    headers, accept = websocket.handshake_headers(bytes(range(16)))
    request = Request("/v1/jobs/x/attach", Headers([("Host", "x"), *headers]))

    peer.receive_data(request.serialize())
    asked = next(event for event in peer.events_received() if isinstance(event, Request))
    response = peer.accept(asked)

    assert response.status_code == 101
    assert response.headers["Sec-WebSocket-Accept"] == accept


def test_the_accept_value_is_that_of_the_rfcs_own_example() -> None:
    """RFC 6455, section 1.3."""
    headers, accept = websocket.handshake_headers(b"the sample nonce")

    assert ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==") in headers
    assert accept == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("size", SIZES)
def test_what_we_send_arrives(size: int) -> None:
    payload = bytes(index % 251 for index in range(size))
    peer = server()

    peer.receive_data(encode(payload, MASK))

    assert received(peer) == [Frame(Opcode.BINARY, payload)]
    assert peer.state is State.OPEN


@given(payload=st.binary(max_size=300), mask=st.binary(min_size=4, max_size=4))
def test_every_payload_arrives_under_every_mask(payload: bytes, mask: bytes) -> None:
    peer = server()

    peer.receive_data(encode(payload, mask))

    assert received(peer) == [Frame(Opcode.BINARY, payload)]


def test_what_we_send_is_masked() -> None:
    assert b"secret" not in encode(b"secret", MASK)
    assert encode(b"secret", MASK)[1] & 0x80


def test_several_frames_in_a_row_arrive_in_order() -> None:
    peer = server()

    peer.receive_data(encode(b"one", MASK) + encode(b"", MASK) + encode(b"three", MASK))

    assert [one.data for one in received(peer)] == [b"one", b"", b"three"]


def test_our_control_frames_are_understood() -> None:
    peer = server()

    peer.receive_data(encode(b"hello", MASK, PING) + encode(b"", MASK, PONG))
    peer.receive_data(encode((1000).to_bytes(2, "big") + b"bye", MASK, CLOSE))

    assert [one.opcode for one in received(peer)] == [Opcode.PING, Opcode.PONG, Opcode.CLOSE]
    assert peer.close_rcvd == Close(1000, "bye")


# What we receive


@pytest.mark.parametrize("size", SIZES)
def test_what_a_server_sends_is_read(size: int) -> None:
    payload = bytes(index % 251 for index in range(size))
    peer = server()
    peer.send_binary(payload)

    assert Decoder().feed(sent(peer)) == [(BINARY, payload)]


@given(payloads=st.lists(st.binary(max_size=200), max_size=6), cut=st.integers(1, 50))
def test_it_does_not_matter_how_the_network_cuts_the_bytes(payloads: list[bytes], cut: int) -> None:
    peer = server()
    for payload in payloads:
        peer.send_binary(payload)
    data, decoder = sent(peer), Decoder()

    messages = [message for at in range(0, len(data), cut) for message in decoder.feed(data[at : at + cut])]

    assert messages == [(BINARY, payload) for payload in payloads]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_536])
def test_bytes_that_come_one_at_a_time_are_read(size: int) -> None:
    data, decoder = frame(BINARY, b"x" * size), Decoder()

    messages = [decoder.feed(data[at : at + 1]) for at in range(len(data))]

    assert messages[:-1] == [[]] * (len(data) - 1)
    assert messages[-1] == [(BINARY, b"x" * size)]


def test_fragments_are_joined() -> None:
    peer = server()
    peer.send_binary(b"one ", fin=False)
    peer.send_continuation(b"two ", fin=False)
    peer.send_continuation(b"three", fin=True)
    peer.send_binary(b"next")

    assert Decoder().feed(sent(peer)) == [(BINARY, b"one two three"), (BINARY, b"next")]


def test_control_frames_may_come_between_fragments() -> None:
    peer = server()
    peer.send_binary(b"one ", fin=False)
    peer.send_ping(b"still there?")
    peer.send_continuation(b"two", fin=True)
    peer.send_pong(b"")
    peer.send_close(1001, "away")
    decoder = Decoder()

    messages = [message for byte in sent(peer) for message in decoder.feed(bytes([byte]))]

    assert messages[:3] == [(PING, b"still there?"), (BINARY, b"one two"), (PONG, b"")]
    assert messages[3] == (CLOSE, (1001).to_bytes(2, "big") + b"away")


@given(
    parts=st.lists(st.tuples(st.binary(max_size=20), st.booleans()), min_size=1, max_size=8),
    cut=st.integers(1, 30),
)
def test_every_way_to_fragment_a_message_gives_the_message(parts: list[tuple[bytes, bool]], cut: int) -> None:
    peer, last = server(), len(parts) - 1
    for index, (part, ping) in enumerate(parts):
        send = peer.send_continuation if index else peer.send_binary
        send(part, fin=index == last)
        if ping:
            peer.send_ping(b"p")
    data, decoder = sent(peer), Decoder()

    messages = [message for at in range(0, len(data), cut) for message in decoder.feed(data[at : at + cut])]

    assert [message for message in messages if message[0] == BINARY] == [
        (BINARY, b"".join(p for p, _ in parts))
    ]
    assert messages.count((PING, b"p")) == sum(ping for _, ping in parts)


# What no server may send


@pytest.mark.parametrize("bit", [0x40, 0x20, 0x10])
def test_a_reserved_bit_is_refused(bit: int) -> None:
    with pytest.raises(BadFrame):
        Decoder().feed(bytes([0x82 | bit, 0]))


def test_a_masked_frame_from_the_server_is_refused() -> None:
    with pytest.raises(BadFrame):
        Decoder().feed(encode(b"x", MASK))


@pytest.mark.parametrize("size", [LARGEST + 1, 1 << 32, (1 << 63) - 1, (1 << 64) - 1])
def test_a_frame_that_is_too_large_is_refused_before_it_has_come(size: int) -> None:
    with pytest.raises(BadFrame):
        Decoder().feed(bytes([0x82, 127]) + size.to_bytes(8, "big"))


def test_fragments_that_are_too_large_together_are_refused() -> None:
    decoder, half = Decoder(), bytes(LARGEST // 2 + 1)
    decoder.feed(frame(BINARY, half, fin=False))

    with pytest.raises(BadFrame):
        decoder.feed(frame(0, half, fin=False))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(0, b"x"), id="a continuation of nothing"),
        pytest.param(frame(BINARY, b"x", fin=False) + frame(BINARY, b"y"), id="a message inside a message"),
        pytest.param(bytes([0x09, 0]), id="a ping in fragments"),
        pytest.param(bytes([0x89, 126, 0, 126]) + bytes(126), id="a ping of more than 125 bytes"),
        pytest.param(bytes([0x83, 0]), id="an unknown kind of data"),
        pytest.param(bytes([0x8B, 0]), id="an unknown kind of control"),
    ],
)
def test_what_the_rfc_forbids_is_refused(data: bytes) -> None:
    with pytest.raises(BadFrame):
        Decoder().feed(data)
