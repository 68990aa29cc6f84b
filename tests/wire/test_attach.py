"""The frames of the attach stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.wire import attach

KINDS = [bytes((byte,)) for byte in attach.FROM_JOB + attach.FROM_CALLER]
NUMBERS = st.integers(0, 2**64 - 1)


@given(st.sampled_from(KINDS), NUMBERS, st.binary(max_size=200))
def test_a_frame_is_read_as_it_was_written(kind: bytes, number: int, payload: bytes) -> None:
    assert attach.decode(attach.encode(kind, number, payload)) == (kind, number, payload)


@pytest.mark.parametrize("size", range(attach.HEAD))
def test_a_message_shorter_than_a_head_is_no_frame(size: int) -> None:
    with pytest.raises(attach.BadFrame, match="shorter"):
        attach.decode(bytes(size))


@given(NUMBERS)
def test_a_number_survives_as_a_payload(number: int) -> None:
    assert attach.unpack(attach.pack(number)) == number


@given(
    st.none() | st.integers(0, 255),
    st.none() | st.integers(1, 64),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80),
)
def test_an_ending_is_read_as_it_was_written(code: int | None, signal: int | None, reason: str) -> None:
    read = attach.Exit.decode(attach.Exit(code, signal, reason).encode())

    assert (read.code, read.signal, read.reason) == (code, signal, reason)


@pytest.mark.parametrize(
    "payload", [b"", b"1", b"1,2", b"x,,", b",-1,", b"1.5,,", b" 1,,", "²,,".encode(), ",٣,".encode()]
)
def test_what_is_no_ending_is_refused(payload: bytes) -> None:
    with pytest.raises(attach.BadFrame, match="exit frame"):
        attach.Exit.decode(payload)


@pytest.mark.parametrize(
    ("ending", "payload"),
    [
        (attach.Exit(0, None, ""), b"0,,"),
        (attach.Exit(None, 9, "killed"), b",9,killed"),
        (attach.Exit(None, None, "lost 3 times, alas, and gone"), b",,lost 3 times, alas, and gone"),
    ],
)
def test_an_ending_is_written_with_two_commas_and_its_reason_may_hold_more(
    ending: attach.Exit, payload: bytes
) -> None:
    assert ending.encode() == payload
    assert attach.Exit.decode(payload).reason == ending.reason


def test_a_reason_that_is_not_utf8_is_still_read() -> None:
    assert attach.Exit.decode(b"1,,\xff").reason == "\N{REPLACEMENT CHARACTER}"


def test_a_reason_that_names_a_file_of_strange_bytes_can_be_sent() -> None:
    ending = attach.Exit.decode(attach.Exit(1, None, "cannot open /media/\udcff.mkv").encode())

    assert ending.code == 1
    assert ending.reason.startswith("cannot open /media/")


def test_a_frame_is_a_kind_a_number_and_a_payload() -> None:
    assert attach.encode(attach.STDOUT, 258, b"abc") == b"O" + b"\0\0\0\0\0\0\1\2" + b"abc"
    assert len(attach.encode(attach.EOF, 7)) == attach.HEAD


def test_every_kind_is_one_byte_and_means_one_thing() -> None:
    assert len(set(KINDS)) == len(KINDS)
