"""What a line of the log holds, for machines and for people; and whose lines say what they are about."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from app import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, which is as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:], _ = handlers, root.setLevel(level)


def written(
    monkeypatch: pytest.MonkeyPatch, form: str, stream: io.StringIO, level: str = "info"
) -> io.StringIO:
    monkeypatch.setattr(sys, "stderr", stream)
    logs.setup(form, level)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("text", io.StringIO, False),
        ("json", Terminal, True),
    ],
)
def test_people_get_text_and_everything_else_gets_json(
    monkeypatch: pytest.MonkeyPatch, root: logging.Logger, form: str, stream: type[io.StringIO], is_json: bool
) -> None:
    said = written(monkeypatch, form, stream())

    logging.getLogger("ffgrid.x").warning("it is %s", "so")

    assert said.getvalue().startswith("{") == is_json
    assert "it is so" in said.getvalue()


def test_a_line_says_when_how_bad_where_and_what(
    monkeypatch: pytest.MonkeyPatch, root: logging.Logger
) -> None:
    said = written(monkeypatch, "json", io.StringIO())

    logging.getLogger("ffgrid.x").warning('a "b"\nc \x1b[31m', extra={"job_id": "J1", "other": 1})

    (line,) = lines(said)
    assert line.pop("ts").endswith("Z")
    assert line == {"level": "warning", "logger": "ffgrid.x", "msg": 'a "b"\nc \x1b[31m', "job_id": "J1"}
    assert "\x1b" not in said.getvalue()


def test_an_error_comes_with_its_traceback_in_the_same_line(
    monkeypatch: pytest.MonkeyPatch, root: logging.Logger
) -> None:
    said = written(monkeypatch, "json", io.StringIO())

    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("x").exception("it failed")

    (line,) = lines(said)
    assert line["msg"] == "it failed"
    assert line["error"].endswith("ValueError: no")


def test_what_is_below_the_level_is_not_said(monkeypatch: pytest.MonkeyPatch, root: logging.Logger) -> None:
    said = written(monkeypatch, "json", io.StringIO(), "warning")

    logging.getLogger("x").info("no")
    logging.getLogger("x").warning("yes")

    assert [line["msg"] for line in lines(said)] == ["yes"]


async def test_a_task_s_lines_and_its_children_s_say_what_it_is_about(
    monkeypatch: pytest.MonkeyPatch, root: logging.Logger
) -> None:
    said = written(monkeypatch, "json", io.StringIO())
    logs.about(worker="den")

    async def child() -> None:
        logging.getLogger("x").info("child")

    async def task(job_id: str) -> None:
        logs.about(job_id=job_id, request_id="")
        await asyncio.create_task(child())

    await asyncio.gather(task("J1"), task("J2"))
    logging.getLogger("x").info("after")

    found = [{name: line[name] for name in logs.FIELDS if name in line} for line in lines(said)]
    assert found == [{"job_id": "J1", "worker": "den"}, {"job_id": "J2", "worker": "den"}, {"worker": "den"}]
