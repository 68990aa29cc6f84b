"""What ties a command to the host that it was called on, besides its files."""

from __future__ import annotations

import pytest

from shim.stays import reason

OWN = [
    "http://127.0.0.1:8096/stream.ts",
    "HTTP://LOCALHOST/x",
    "rtsp://user:pass@localhost:554/a",
    "tcp://127.1.2.3:9?listen",
    "udp://[::1]:9",
    "http://[::ffff:127.0.0.1]/",
    "tcp://0.0.0.0:9?listen",
    "async:http://localhost",
    "movie=http\\://127.0.0.1\\:80/a.mkv",
    "movie='http\\://localhost/a'[a]",
    "[f=mpegts]udp://127.0.0.1:9|/media/a.ts",
    "http://proxy/?u=http://localhost:1/",
]
OTHERS = [
    "http://192.168.1.110:8096/stream.ts",
    "http://localhost.example/x",
    "http://notlocalhost/",
    "http://example/localhost",
    "http://127.0.0.1@example/",
    "localhost",
    "127.0.0.1:80",
    "/media/localhost/127.0.0.1.mkv",
    "rtsp://[fe80::1]/",
    "http://",
    "://",
]


@pytest.mark.parametrize("address", OWN)
def test_an_address_of_the_host_itself_stays(address: str) -> None:
    for args in (["-i", address], ["-progress", address, "-i", "a"], ["-vf", address]):
        assert reason(args, {}) == f"{address!r} is an address of this host itself"


@pytest.mark.parametrize("address", OTHERS)
def test_every_other_address_is_as_good_elsewhere(address: str) -> None:
    assert reason(["-i", address], {}) == ""


@pytest.mark.parametrize(
    ("args", "number"),
    [
        (["-i", "pipe:3"], "3"),
        (["-progress", "pipe:9"], "9"),
        (["-i", "a", "fd:12"], "12"),
        (["-i", "async:pipe:3"], "3"),
        (["-f", "tee", "[f=mpegts]pipe\\:4|a.ts"], "4"),
        (["-fd", "5", "-i", "fd:"], "5"),
    ],
)
def test_a_descriptor_that_the_caller_has_opened_stays(args: list[str], number: str) -> None:
    assert reason(args, {}).endswith(f" uses descriptor {number} of this process")


@pytest.mark.parametrize(
    "args",
    [
        ["-i", "pipe:0", "pipe:1"],
        ["-progress", "pipe:2"],
        ["-i", "pipe:"],
        ["-fd", "1", "fd:"],
        ["-metadata", "title=snowpipe:3"],
        ["-b:v", "3"],
    ],
)
def test_the_standard_streams_do_not(args: list[str]) -> None:
    assert reason(args, {}) == ""


def test_a_report_is_wanted_where_it_is_asked_for() -> None:
    assert reason(["-version"], {b"FFREPORT": b""}) == "FFREPORT asks for a report on this host"
