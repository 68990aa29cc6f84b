"""The attach stream's frames, positions and the frame that says how a job ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.wire import attach
from app.wire.attach import BadFrame, Exit

WORDS = st.integers(0, 2**64 - 1)
POSITIONS = st.binary(min_size=16, max_size=16)


@given(kind=st.sampled_from([bytes([one]) for one in attach.FROM_JOB + attach.FROM_CALLER]),
       position=POSITIONS, payload=st.binary(max_size=100))  # fmt: skip
def test_a_frame_is_read_as_it_was_written(kind: bytes, position: bytes, payload: bytes) -> None:
    assert attach.decode(attach.encode(kind, position, payload)) == (kind, position, payload)


def test_a_frame_is_a_kind_a_position_and_a_payload() -> None:
    assert attach.encode(attach.STDOUT, attach.position("1-2"), b"abc") == (
        b"O" + b"\0\0\0\0\0\0\0\1" + b"\0\0\0\0\0\0\0\2" + b"abc"
    )


def test_a_frame_without_a_payload_is_as_long_as_its_head() -> None:
    assert len(attach.encode(attach.EOF, attach.numbered(7))) == attach.HEAD


@pytest.mark.parametrize("size", [0, 1, 16])
def test_a_message_shorter_than_a_head_is_no_frame(size: int) -> None:
    with pytest.raises(BadFrame):
        attach.decode(bytes(size))


def test_every_kind_has_a_letter_of_its_own() -> None:
    kinds = attach.FROM_JOB + attach.FROM_CALLER

    assert len(set(kinds)) == len(kinds)


@given(milliseconds=WORDS, sequence=WORDS)
def test_a_stream_id_is_the_same_after_the_journey(milliseconds: int, sequence: int) -> None:
    entry = f"{milliseconds}-{sequence}"

    assert attach.entry_id(attach.position(entry)) == entry


@given(first=st.tuples(WORDS, WORDS), second=st.tuples(WORDS, WORDS))
def test_positions_are_ordered_as_the_ids_of_the_stream(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    positions = [attach.position(f"{milliseconds}-{sequence}") for milliseconds, sequence in (first, second)]

    assert (positions[0] < positions[1]) == (first < second)


def test_the_start_is_before_every_entry() -> None:
    assert attach.entry_id(attach.START) == "0-0"
    assert attach.position("0-1") > attach.START


def test_an_id_without_a_sequence_is_its_milliseconds_first_entry() -> None:
    assert attach.position("1695") == attach.position("1695-0")


@pytest.mark.parametrize("text", ["", "-", "-1", "a-1", "1-b", "1-2-3", "1--2", f"{2**64}-0", f"0-{2**64}"])
def test_what_is_no_stream_id_has_no_position(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        attach.position(text)


@given(number=WORDS)
def test_a_number_is_the_same_after_the_journey(number: int) -> None:
    assert attach.number(attach.numbered(number)) == number


def test_the_callers_numbers_stand_in_the_second_half() -> None:
    assert attach.numbered(3) == bytes(15) + b"\3"
    assert attach.entry_id(attach.numbered(3)) == "0-3"


@given(
    code=st.none() | st.integers(0, 2**32 - 1),
    signal=st.none() | st.integers(1, 64),
    reason=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_an_exit_is_the_same_after_the_journey(code: int | None, signal: int | None, reason: str) -> None:
    ended = Exit.decode(Exit(code, signal, reason).encode())

    assert (ended.code, ended.signal, ended.reason) == (code, signal, reason)


@pytest.mark.parametrize(
    ("ended", "payload"),
    [
        (Exit(0, None, ""), b"0,,"),
        (Exit(None, 9, "killed"), b",9,killed"),
        (Exit(None, None, "its worker was lost 3 times, alas, and is gone"),
         b",,its worker was lost 3 times, alas, and is gone"),
    ],
)  # fmt: skip
def test_an_exit_is_written_with_commas(ended: Exit, payload: bytes) -> None:
    read = Exit.decode(payload)

    assert ended.encode() == payload
    assert (read.code, read.signal, read.reason) == (ended.code, ended.signal, ended.reason)


@pytest.mark.parametrize(
    "payload", [b"", b"0", b"0,", b"x,,", b",x,", b"-1,,", b" 1,,", b"1.0,,", "²,,".encode(), "٣,,".encode()]
)
def test_what_says_no_exit_is_refused(payload: bytes) -> None:
    with pytest.raises(BadFrame):
        Exit.decode(payload)


def test_a_reason_that_is_not_utf8_is_still_read() -> None:
    assert Exit.decode(b"1,,\xff").reason == "\N{REPLACEMENT CHARACTER}"


def test_a_reason_that_names_a_file_of_strange_bytes_can_be_sent() -> None:
    ended = Exit.decode(Exit(1, None, "cannot open /media/\udcff.mkv").encode())

    assert ended.code == 1
    assert ended.reason.startswith("cannot open /media/")
