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


@pytest.mark.parametrize("payload", [b"", b"1", b"1,2", b"x,,", b",-1,", b"1.5,,"])
def test_what_is_no_ending_is_refused(payload: bytes) -> None:
    with pytest.raises(attach.BadFrame, match="exit frame"):
        attach.Exit.decode(payload)


def test_every_kind_is_one_byte_and_means_one_thing() -> None:
    assert len(set(KINDS)) == len(KINDS)
