"""Reading logs that are bounded: their end, all of them, and what is looked for."""

from __future__ import annotations

from app.state.output import LOG_ENTRIES
from app.state.store import Store
from app.web import logs

JOB = "01M7ZZZZZZZZZZZZZZZZZZZZZZ"


async def fill(store: Store, *data: bytes, serial: int = 1, attempt: int = 1, kind: bytes = b"E") -> None:
    for start in range(0, len(data), 500):
        batch = [(kind, one) for one in data[start : start + 500]]
        await store.output.log(JOB, attempt, serial + start, batch)


async def whole(store: Store, stream: str = "") -> bytes:
    return b"".join([part async for part in logs.stored(store.output, JOB, stream)])


async def test_the_end_of_a_log_is_its_last_lines(store: Store):
    await fill(store, *(b"line %d\n" % number for number in range(1200)))
    shown = await logs.tail(store.output, JOB)

    assert len(shown.pieces) == logs.LINES
    assert [shown.pieces[0].text, shown.pieces[-1].text] == ["line 700\n", "line 1199\n"]
    assert (shown.earlier, shown.dropped) == (True, 0)
    assert await store.output.read_log(JOB, shown.position) == []


async def test_a_short_log_is_there_whole(store: Store):
    await fill(store, b"one\n", b"two")
    shown = await logs.tail(store.output, JOB)

    assert [piece.text for piece in shown.pieces] == ["attempt 1, stderr\n", "one\n", "two"]
    assert not shown.earlier


async def test_no_log_is_nothing(store: Store):
    shown = await logs.tail(store.output, JOB)

    assert (shown.pieces, shown.position, shown.earlier, shown.dropped) == ([], "0-0", False, 0)
    assert await whole(store) == b""
    assert await logs.is_whole(store.output, JOB)
    assert (await logs.search(store.output, JOB, "a")).lines == []


async def test_all_of_it_is_byte_for_byte_what_is_kept(store: Store):
    data = [b"\xff\0\r\n%d" % number for number in range(logs.BATCH * 2 + 3)]
    await fill(store, *data)
    await fill(store, b"out", kind=b"O", serial=900)

    assert await whole(store) == b"".join(data) + b"out"
    assert await whole(store, "stdout") == b"out"
    assert await whole(store, "stderr") == b"".join(data)


async def test_what_a_bounded_log_has_dropped_is_known(store: Store):
    count = LOG_ENTRIES + 700
    await fill(store, *(b"%d\n" % number for number in range(count)))
    shown = await logs.tail(store.output, JOB)
    kept = (await whole(store)).split()

    assert shown.dropped == count - len(kept)
    assert shown.dropped > 0
    assert kept[-1] == b"%d" % (count - 1)
    assert not await logs.is_whole(store.output, JOB)


async def test_what_was_dropped_of_an_earlier_attempt_is_known(store: Store):
    await fill(store, *(b"%d\n" % number for number in range(LOG_ENTRIES + 700)))
    await fill(store, b"and\n", b"once\n", b"more\n", attempt=2)

    assert not await logs.is_whole(store.output, JOB)


async def test_a_gap_in_the_middle_is_known_too(store: Store):
    await fill(store, b"a\n")
    assert await logs.is_whole(store.output, JOB)
    await fill(store, b"b\n", serial=7)
    await store.output.end(JOB, attached=False)

    assert not await logs.is_whole(store.output, JOB)


async def test_a_search_finds_lines_whatever_their_case_and_wherever_they_are_cut(store: Store):
    await fill(store, b"Nothing\nErr", b"OR: a\n", b"frame=1 error\rdone\n")
    await fill(store, b"an error at the end", kind=b"O", attempt=2)
    found = await logs.search(store.output, JOB, "eRRor")

    assert found.lines == [(1, "stderr", 2, "ErrOR: a"), (2, "stdout", 4, "an error at the end")]
    assert not found.more


async def test_a_search_that_finds_too_much_says_so(store: Store):
    await fill(store, b"x\n" * (logs.FOUND + 5))
    found = await logs.search(store.output, JOB, "x")

    assert (len(found.lines), found.more) == (logs.FOUND, True)


async def test_a_search_knows_what_a_terminal_would_show_and_lines_without_an_end(store: Store):
    await fill(store, b"frame=1\r", b"frame=2\r", b"frame=3", b"\r\nlast", b" word")

    assert (await logs.search(store.output, JOB, "frame=2")).lines == []
    assert (await logs.search(store.output, JOB, "frame=3")).lines == [(1, "stderr", 1, "frame=3")]
    assert (await logs.search(store.output, JOB, "last word")).lines == [(1, "stderr", 2, "last word")]


async def test_what_comes_too_fast_is_left_out_of_the_page_and_counted(store: Store):
    line = b"x" * 99 + b"\n"
    await fill(store, b"start\n", *(line * 160 for _ in range(30)))
    (first, *_) = await store.output.read_log(JOB, "0-0", count=1)
    reader, grown = await logs.grown(store.output, JOB, first.id, None)
    shown = [piece for _, pieces in grown for piece in pieces]

    assert shown[0].text == "3\u202f520 lines are left out here, they came too fast: the download has them\n"
    assert len(shown) - 1 == 8 * 160  # FLOOD
    assert {piece.kind for piece in shown[1:]} == {"stderr"}
    assert (await logs.grown(store.output, JOB, grown[-1][0], reader))[1] == []


async def test_the_last_words_are_the_last_line_of_the_last_attempt_s_stderr(store: Store):
    assert await logs.last_words(store.output, JOB) == ""
    await fill(store, b"of the first attempt\n")
    await fill(store, b"a\nframe=1\rConversion ", b"failed\x1b!\n\n", attempt=2)
    await fill(store, b"{}", attempt=2, kind=b"O")
    await store.output.end(JOB, attached=False)

    assert await logs.last_words(store.output, JOB) == "Conversion failed\\x1b!"
    await fill(store, b"{}", attempt=3, kind=b"O")
    assert await logs.last_words(store.output, JOB) == ""
