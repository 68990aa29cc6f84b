"""Seals: what a coordinator did not write, or wrote for another job, is not run."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state.seal import BadSeal, Seal

KEY = bytes(range(32))
JOB = "01JABCDEFGHJKMNPQRSTVWXYZ0"
SPEC = {"binary": "ffmpeg", "args": ["-i", [{"root": "Movies"}, "/a.mkv"]], "cwd": None}
TEXT = st.text(max_size=20)
SPECS = st.dictionaries(TEXT, st.none() | st.integers() | TEXT | st.lists(TEXT | st.dictionaries(TEXT, TEXT)))


@given(spec=SPECS)
def test_what_was_sealed_is_opened(spec: dict[str, object]) -> None:
    seal = Seal(KEY)

    assert seal.open(JOB, seal.close(JOB, spec)) == spec
    assert Seal(KEY).open(JOB, seal.close(JOB, spec)) == spec


@given(spec=SPECS)
def test_what_was_sealed_can_be_shown_without_the_key(spec: dict[str, object]) -> None:
    assert Seal.peek(Seal(KEY).close(JOB, spec)) == spec


def test_no_byte_of_a_sealed_specification_can_be_another() -> None:
    """But for two bits at the very end, which base64 leaves unused."""
    sealed = Seal(KEY).close(JOB, SPEC)
    changed = [
        sealed[:index] + bytes([value]) + sealed[index + 1 :]
        for index in range(len(sealed) - 1)
        for value in {sealed[index] ^ 1, sealed[index] ^ 0x20, 0x2E, 0xFF} - {sealed[index]}
    ]

    assert [one for one in changed if opens(one)] == []


def test_no_byte_of_a_sealed_specification_can_be_missing() -> None:
    sealed = Seal(KEY).close(JOB, SPEC)

    assert [index for index in range(len(sealed)) if opens(sealed[:index] + sealed[index + 1 :])] == []
    assert [index for index in range(len(sealed)) if opens(sealed[:index])] == []
    assert not opens(sealed + b"x")


def opens(sealed: bytes) -> bool:
    try:
        Seal(KEY).open(JOB, sealed)
    except BadSeal:
        return False
    return True


def test_a_specification_cannot_be_moved_to_another_job() -> None:
    sealed = Seal(KEY).close(JOB, SPEC)

    with pytest.raises(BadSeal, match="another job"):
        Seal(KEY).open("01JABCDEFGHJKMNPQRSTVWXYZ1", sealed)


def test_a_specification_of_another_installation_is_refused() -> None:
    with pytest.raises(BadSeal, match="no seal"):
        Seal(KEY).open(JOB, Seal(bytes(32)).close(JOB, SPEC))


@pytest.mark.parametrize(
    "sealed",
    [b"", b".", b"{}", b"{}.", b".abc", b"\xff\xfe", json.dumps({"id": JOB, "spec": SPEC}).encode()],
)
def test_what_carries_no_seal_is_refused(sealed: bytes) -> None:
    with pytest.raises(BadSeal):
        Seal(KEY).open(JOB, sealed)
