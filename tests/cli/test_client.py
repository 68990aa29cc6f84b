"""The HTTP client, against coordinators that answer, refuse, lie, stop and vanish."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from app.cli import client as module
from app.cli import exchange
from app.cli.client import Client, Patience, Unreachable, read_key
from app.cli.errors import FAILED, NOT_ALLOWED, NOT_FOUND, TRY_AGAIN, UNREACHABLE, USAGE, Failure
from app.cli.exchange import Unclear
from tests.cli.conftest import Fake, lines, said
from tests.ports import free_port

Make = Callable[..., Fake]
Ask = Callable[..., Client]

ID = "01M7ZQFQECREKQRFD873XKMF8S"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long in these tests."""
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.setattr(module, "UNCLEAR_SECONDS", 0.3)
    monkeypatch.setattr(exchange, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(exchange, "CONNECT_SECONDS", 0.5)


@pytest.fixture
def ask(key_file: Path) -> Callable[..., Client]:
    """A client of these coordinators."""
    return lambda *fakes: Client(
        [one if isinstance(one, str) else one.url for one in fakes], read_key(key_file)
    )


def told(sentences: list[str] | None = None, seconds: float = 5.0) -> Patience:
    return Patience((sentences if sentences is not None else []).append, seconds)


def nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}"


def entry(number: int, data: str = "", attempt: int = 1) -> bytes:
    line = {"id": f"{number}-0", "kind": "stderr", "attempt": attempt, "data": data or f"line {number}\n"}
    return json.dumps(line).encode() + b"\n"


END = json.dumps({"kind": "end", "state": "done", "exit": 0, "signal": None}).encode() + b"\n"


# Answers


def test_an_answer_is_its_json_and_the_request_is_signed(fake: Make, ask: Ask) -> None:
    one = fake(said(200, {"jobs": []}))

    assert ask(one).get("/v1/jobs?limit=20&before=1-A") == {"jobs": []}
    assert one.asked == [("GET", "/v1/jobs?limit=20&before=1-A", b"")]


def test_a_post_carries_json_or_nothing(fake: Make, ask: Ask) -> None:
    one = fake(said(201, {"id": ID}))
    ask(one).post("/v1/jobs", {"key": "k"})
    ask(one).post("/v1/jobs/x/cancel")

    assert [body for _, _, body in one.asked] == [b'{"key": "k"}', b""]


def test_an_address_may_have_a_path_before_the_api(fake: Make, ask: Ask) -> None:
    one = fake(said(200, {}))
    ask(f"{one.url}/ffgrid").get("/v1/workers")

    assert one.asked[0][1] == "/ffgrid/v1/workers"


@pytest.mark.parametrize(
    ("status", "exit_status"),
    [
        (400, USAGE),
        (401, NOT_ALLOWED),
        (403, NOT_ALLOWED),
        (404, NOT_FOUND),
        (409, FAILED),
        (413, USAGE),
        (422, USAGE),
        (429, TRY_AGAIN),
        (500, FAILED),
        (502, TRY_AGAIN),
        (503, TRY_AGAIN),
    ],
)
def test_a_refusal_is_the_coordinators_own_sentence_and_a_status(
    fake: Make, ask: Ask, status: int, exit_status: int
) -> None:
    problem = said(status, {"type": "urn:ffgrid:x", "detail": "the moon is full"})

    with pytest.raises(Failure, match=r"^the moon is full$") as caught:
        ask(fake(problem)).get("/v1/jobs")
    assert caught.value.status == exit_status


def test_a_refusal_without_a_sentence_names_its_status(fake: Make, ask: Ask) -> None:
    with pytest.raises(Failure, match="answered with status 404"):
        ask(fake((404, {}, [b"<html>"]))).get("/v1/jobs")


@pytest.mark.parametrize(("skew", "words"), [(86_400, r"\d+ s ahead of"), (-86_400, r"\d+ s behind")])
def test_a_clock_that_is_too_wrong_is_named_as_the_reason(
    fake: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch, skew: int, words: str
) -> None:
    one = fake(said(401, {"detail": "no"}, Date=formatdate(time.time(), usegmt=True)))
    monkeypatch.setattr(exchange, "time", lambda: time.time() + skew)

    with pytest.raises(
        Failure, match=f"this host's clock is {words} the coordinator's: set it right"
    ) as caught:
        ask(one).get("/v1/jobs")
    assert caught.value.status == NOT_ALLOWED
    assert len(one.asked) == 1


@pytest.mark.parametrize("skew", [600, -600, 46_000])
def test_a_wrong_clock_is_put_right_once(
    fake: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch, skew: int
) -> None:
    date = formatdate(time.time(), usegmt=True)
    one = fake(said(401, {"detail": "no"}, Date=date), said(200, {"ok": 1}, Date=date))
    client = ask(one)
    monkeypatch.setattr(exchange, "time", lambda: time.time() + skew)

    assert [client.get("/v1/jobs"), client.get("/v1/jobs")] == [{"ok": 1}] * 2
    assert len(one.asked) == 3  # and remembered
    assert [round((when - time.time()) / 60) for when in one.created] == [round(skew / 60), 0, 0]
    one.steps[:] = [said(401, {"detail": "no"}, Date=date)]
    with pytest.raises(Failure, match=r"^no$"):  # that is not the reason then
        client.get("/v1/jobs")
    assert len(one.asked) == 4


def test_each_coordinator_has_a_clock_of_its_own(fake: Make, ask: Ask) -> None:
    ahead = formatdate(time.time() + 600, usegmt=True)
    one, two = fake(said(401, {"detail": "no"}, Date=ahead), said(503, {"detail": "x"})), fake(said(200, {}))

    ask(one, two).get("/v1/jobs")

    assert [round((when - time.time()) / 60) for when in one.created + two.created] == [0, 10, 0]


def test_ages_are_told_by_the_coordinators_clock(
    fake: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ask(fake(said(200, {}, Date=formatdate(time.time(), usegmt=True))))
    monkeypatch.setattr(exchange, "time", lambda: time.time() + 40)
    client.get("/v1/jobs")

    assert abs(client.now - time.time()) < 3


def test_a_redirect_is_not_followed_but_explained(fake: Make, ask: Ask) -> None:
    with pytest.raises(Failure, match="sends to 'https://x/': set FFGRID_URL") as caught:
        ask(fake(said(301, {}, Location="https://x/"))).get("/v1/jobs")
    assert caught.value.status == USAGE


# Silence


def test_when_one_is_down_the_next_is_asked_and_remembered(fake: Make, ask: Ask) -> None:
    one = fake(said(200, {"ok": 1}))
    client = ask(nowhere(), one)

    assert [client.get("/v1/jobs"), client.get("/v1/jobs")] == [{"ok": 1}] * 2
    assert client._urls[0] == one.url


def test_when_all_are_down_the_sentence_names_them_and_what_to_do(ask: Ask) -> None:
    first, second = nowhere(), nowhere()

    with pytest.raises(Unreachable) as caught:
        ask(first, second).get("/v1/jobs")
    assert caught.value.status == UNREACHABLE
    assert str(caught.value) == (
        f"no coordinator answers at {first} (connection refused) or {second} (connection refused): "
        "start one with `ffgrid web`, or say with FFGRID_URL where one runs"
    )


def test_a_coordinator_that_is_stopped_is_passed_by(fake: Make, ask: Ask) -> None:
    with socket.socket() as stopped:
        stopped.bind(("127.0.0.1", 0))
        stopped.listen()
        url = f"http://127.0.0.1:{stopped.getsockname()[1]}"

        assert ask(url, fake(said(200, {"ok": 1}))).get("/v1/jobs") == {"ok": 1}
        with pytest.raises(Unclear, match="no answer in time"):
            ask(url).get("/v1/jobs")


def test_a_busy_one_is_passed_by_too(fake: Make, ask: Ask) -> None:
    busy = said(503, {"detail": "the queue (Redis) cannot be reached"})

    assert ask(fake(busy), fake(said(200, {"ok": 1}))).get("/v1/jobs") == {"ok": 1}
    with pytest.raises(Failure, match="Redis") as caught:
        ask(fake(busy), nowhere()).get("/v1/jobs")
    assert caught.value.status == TRY_AGAIN


def test_a_second_try_is_signed_anew_and_says_the_same(fake: Make, ask: Ask) -> None:
    deaf, one = (
        fake((200, {"Content-Length": "10", "Transfer-Encoding": "x"}, [None])),
        fake(said(201, {"id": ID})),
    )
    ask(deaf, one).post("/v1/jobs", {"key": "k"})

    assert [body for _, _, body in deaf.asked + one.asked] == [b'{"key": "k"}'] * 2
    assert deaf.nonces != one.nonces


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n", "it does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "it does not answer as a coordinator does"),
        (b"", "it closed the connection"),
    ],
)
def test_what_is_no_coordinator_is_no_answer(ask: Ask, answer: bytes, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65_536)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(Unclear, match=reason):
            ask(f"http://127.0.0.1:{server.getsockname()[1]}").get("/v1/jobs")
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    "url", ["http://", "http://a:b", "http://a:99999", "http://a:0", "http://[::1", "http://a?b"]
)
def test_what_is_no_address_is_said_at_once(ask: Ask, url: str) -> None:
    with pytest.raises(Failure, match="is no address: expected http://host:port") as caught:
        ask(url)
    assert caught.value.status == USAGE


# Answers that are not clear


CUTS: dict[str, bytes] = {
    "before anything": b"",
    "in the status": b"HTTP/1.1 20",
    "in a header": b"HTTP/1.1 201 Created\r\nContent-Le",
    "in the body": b'HTTP/1.1 201 Created\r\nContent-Length: 40\r\n\r\n{"id": "',
    "before the body": b"HTTP/1.1 201 Created\r\nContent-Length: 40\r\n\r\n",
    "in a refusal": b"HTTP/1.1 503 x\r\nContent-Length: 40\r\n\r\n{",
}


@pytest.mark.parametrize("place", CUTS)
def test_what_may_have_been_done_is_asked_again_until_that_is_clear(ask: Ask, place: str) -> None:
    good = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"id": "x"}'
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in (CUTS[place], CUTS[place], good):
                connection, _ = server.accept()
                with connection:
                    _, _, body = connection.recv(65_536).partition(b"\r\n\r\n")
                    asked.append(body or connection.recv(65_536))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        client = ask(f"http://127.0.0.1:{server.getsockname()[1]}", nowhere())
        assert client.post("/v1/jobs", {"key": "k"}) == {"id": "x"}
        thread.join()

    assert asked == [b'{"key": "k"}'] * 3


@pytest.mark.parametrize(
    "step",
    [
        said(503, {"detail": "leaving"}, **{"Retry-After": "1"}),
        said(502, {"detail": "x"}),
        said(500, {"detail": "it failed"}),
    ],
    ids=["leaving", "no coordinator behind a proxy", "failed"],
)
def test_who_cannot_say_is_asked_again(fake: Make, ask: Ask, step: Any) -> None:
    one = fake(step, step, said(200, {"ok": 1}))

    assert ask(one).post("/v1/jobs", {"key": "k"}) == {"ok": 1}


@pytest.mark.parametrize("step", [said(503, {"detail": "full"}, **{"Retry-After": "30"}), said(429, {})])
def test_who_says_later_is_not_asked_again_now(fake: Make, ask: Ask, step: Any) -> None:
    one = fake(step)

    with pytest.raises(Failure):
        ask(one).post("/v1/jobs", {"key": "k"})
    assert len(one.asked) == 1


# Patience


def test_whoever_follows_a_job_waits_for_a_coordinator_to_come_back(fake: Make, ask: Ask) -> None:
    sentences: list[str] = []
    one = fake(said(503, {"detail": "down"}), said(503, {"detail": "down"}), said(200, {"ok": 1}))

    assert ask(one).get("/v1/jobs", told(sentences)) == {"ok": 1}
    assert sentences == ["down. Trying again for 5 s"]


def test_patience_ends(ask: Ask) -> None:
    with pytest.raises(Unreachable):
        ask(nowhere()).get("/v1/jobs", told(seconds=0.05))


def test_patience_is_not_for_refusals(fake: Make, ask: Ask) -> None:
    with pytest.raises(Failure, match="no job"):
        ask(fake(said(404, {"detail": "no job"}))).get("/v1/jobs", told())


def test_each_outage_is_told_once(fake: Make, ask: Ask) -> None:
    sentences: list[str] = []
    down = said(503, {"detail": "down"})
    client, patience = ask(fake(down, down, said(200, {}), down, said(200, {}))), told(sentences)
    client.get("/a", patience)
    client.get("/b", patience)

    assert len(sentences) == 2


# Logs


def numbers(found: list[dict[str, Any]]) -> list[str]:
    return [line.get("id", line["kind"]) for line in found]


def test_a_log_is_read_to_its_end(fake: Make, ask: Ask) -> None:
    one = fake(lines(entry(1), entry(2) + entry(3)[:10], entry(3)[10:], END))

    assert numbers(list(ask(one).log(ID, told()).read(follow=True))) == ["1-0", "2-0", "3-0", "end"]
    assert one.asked[0][1] == f"/v1/jobs/{ID}/log?follow=1&after=0-0"


@pytest.mark.parametrize(
    "first",
    [
        lines(entry(1), entry(2), None),
        lines(entry(1), entry(2), entry(3)[:-5], None),
        lines(entry(1), entry(2)),
        lines(entry(1), entry(2), entry(3)[:-1]),
    ],
)
def test_a_log_that_is_cut_goes_on_elsewhere_without_a_line_lost_or_doubled(
    fake: Make, ask: Ask, first: tuple[int, dict[str, str], list[bytes | None]]
) -> None:
    one, two = fake(first), fake(lines(entry(3), END))

    assert numbers(list(ask(one, two).log(ID, told()).read(follow=True))) == ["1-0", "2-0", "3-0", "end"]
    assert [path for _, path, _ in two.asked] == [f"/v1/jobs/{ID}/log?follow=1&after=2-0"]


def test_a_log_waits_while_all_are_down(fake: Make, ask: Ask) -> None:
    one = fake(lines(entry(1), None), said(503, {"detail": "down"}), lines(entry(2), END))
    sentences: list[str] = []

    assert numbers(list(ask(one).log(ID, told(sentences)).read(follow=True))) == ["1-0", "2-0", "end"]
    assert len(sentences) == 1


def test_a_silent_coordinator_is_left_for_another(
    fake: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hang(list[bytes | None]):
        def __iter__(self) -> Any:
            yield entry(1)
            time.sleep(1.0)

    one, two = fake((200, {}, Hang())), fake(lines(entry(2), END))

    assert numbers(list(ask(one, two).log(ID, told()).read(follow=True))) == ["1-0", "2-0", "end"]


def test_a_log_that_is_read_again_goes_on_where_it_was(fake: Make, ask: Ask) -> None:
    one = fake(lines(entry(1), END), lines(entry(2), END))
    log = ask(one).log(ID, told())

    assert numbers(list(log.read(follow=True)) + list(log.read(follow=False))) == ["1-0", "end", "2-0", "end"]
    assert one.asked[1][1].endswith("follow=0&after=1-0")


def test_a_log_of_no_job_is_a_refusal(fake: Make, ask: Ask) -> None:
    with pytest.raises(Failure, match="there is no job"):
        list(ask(fake(said(404, {"detail": "there is no job X"}))).log(ID, told()).read(follow=True))


# Keys


def test_a_key_is_needed() -> None:
    with pytest.raises(Failure, match="set FFGRID_KEY_FILE, or give --key-file") as caught:
        read_key(None)
    assert caught.value.status == USAGE


def test_a_key_that_others_can_read_is_refused(key_file: Path) -> None:
    key_file.chmod(0o640)

    with pytest.raises(Failure, match=f"run chmod 600 {key_file}"):
        read_key(key_file)


def test_a_key_file_that_is_none_is_refused_by_its_name(tmp_path: Path, key_file: Path) -> None:
    with pytest.raises(Failure, match="No such file"):
        read_key(tmp_path / "nix")
    key_file.write_text("hello\n")
    with pytest.raises(Failure, match=f"{key_file}: expected the lines"):
        read_key(key_file)
