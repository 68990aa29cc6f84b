"""Key files: read as they were written, and refused with what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.wire.keyfile import BadKeyFile, Key, dump, parse

SECRET = "9f" * 32
SEAL = "2c" * 32


@given(
    key_id=st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
    secret=st.binary(min_size=32, max_size=32),
    seal=st.just(b"") | st.binary(min_size=32, max_size=32),
)
def test_a_key_is_read_as_it_was_written(key_id: str, secret: bytes, seal: bytes) -> None:
    key = parse(dump(Key(key_id, secret, seal)))

    assert (key.id, key.secret, key.seal) == (key_id, secret, seal)


def test_a_key_file_is_one_name_and_value_a_line() -> None:
    assert dump(Key("jellyfin", bytes.fromhex(SECRET), b"")) == f"id jellyfin\nsecret {SECRET}\n"


def test_only_a_workers_file_holds_the_sealing_key() -> None:
    assert dump(Key("w", bytes.fromhex(SECRET), bytes.fromhex(SEAL))).endswith(f"\nseal {SEAL}\n")
    assert "seal" not in dump(Key("c", bytes.fromhex(SECRET), b""))
    assert parse(f"id c\nsecret {SECRET}\n").seal == b""


@pytest.mark.parametrize(
    "text",
    [
        f"id a\nsecret {SECRET}",
        f"secret {SECRET}\nid a\n",
        f"# made by ffgrid\n\nid a\n  # more\nsecret {SECRET}\n\n",
        f"  id   a  \n\tsecret   {SECRET}  \n",
        f"id a\r\nsecret {SECRET}\r\n",
        f"id a\nsecret {SECRET.upper()}\n",
        f"id a\nsecret {SECRET}\nlater something new\n",
    ],
)
def test_order_comments_spaces_and_unknown_lines_do_not_matter(text: str) -> None:
    key = parse(text)

    assert (key.id, key.secret) == ("a", bytes.fromhex(SECRET))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "id a\n",
        f"secret {SECRET}\n",
        f"id\nsecret {SECRET}\n",
        "id a\nsecret\n",
        "id a\nsecret " + "xy" * 32,
        "id a\nsecret " + SECRET[:-1],
        "id a\nsecret " + "é" * 64,
        f"id a\nsecret {SECRET}\nseal nothex\n",
        f'{{"id": "a", "secret": "{SECRET}"}}',
        f"id=a\nsecret={SECRET}\n",
        f"#id a\n#secret {SECRET}\n",
    ],
)
def test_what_is_no_key_file_is_refused(text: str) -> None:
    with pytest.raises(BadKeyFile):
        parse(text)


def test_the_refusal_does_not_show_the_secret() -> None:
    with pytest.raises(BadKeyFile) as refusal:
        parse("id a\nsecret " + SECRET[:-1])

    assert SECRET[:8] not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_key_does_not_show_its_secret() -> None:
    key = Key("a", bytes.fromhex(SECRET), bytes.fromhex(SEAL))

    assert SECRET not in repr(key)
    assert repr(key.secret) not in repr(key)
