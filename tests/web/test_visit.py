"""Which hosts are ours, whom a proxy speaks for, and whether an origin is this very place."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from starlette.requests import Request

from app.web.visit import Reception, Visit


def request(*headers: tuple[str, str], peer: str | None = "192.168.1.7", scheme: str = "http") -> Request:
    scope: dict[str, Any] = {
        "type": "http",
        "scheme": scheme,
        "client": (peer, 5000) if peer else None,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }
    return Request(scope)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "127.0.0.1",
        "127.8.9.1:80",
        "[::1]:8121",
        "[::ffff:10.0.0.1]",
        "10.1.2.3:8000",
        "192.168.1.7",
        "172.16.0.1",
        "[fd00::1]:8000",
        "[fe80::1]",
        "tower.example.net",
        "Tower.Example.NET:443",
        socket.gethostname(),
        socket.gethostname().split(".")[0] + ".local",
    ],
)
def test_these_hosts_are_ours(host: str):
    reception = Reception(["Tower.example.net"])

    assert reception.knows(reception.visit(request(("host", host))))


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "localhost.evil.test",
        "localhost:8000@evil.test",
        "127.0.0.1.evil.test:8000",
        "localhost:",
        "",
        "localhost\n",
        "localhost:8000:1",
        "8.8.8.8",
        "[2001:4860::8888]",
        "0.0.0.0",
        "[::]",
        "example.net",
        "[]",
        "tower.example.net.",
        "x.tower.example.net",
        "localhost/",
        "2130706433",
        "0x7f.1",
        "::1:80",
        "*",
    ],
)
def test_these_are_not(host: str):
    reception = Reception(["tower.example.net"])

    assert not reception.knows(reception.visit(request(("host", host))))


def test_two_hosts_are_none():
    reception = Reception()

    assert not reception.knows(reception.visit(request(("host", "localhost"), ("host", "localhost"))))
    assert not reception.knows(reception.visit(request()))


FORWARDED = (
    ("host", "tower"),
    ("x-forwarded-for", "6.6.6.6, 203.0.113.9"),
    ("x-forwarded-for", "10.0.0.2"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "localhost"),
)


@pytest.mark.parametrize("peer", ["192.168.1.7", "10.0.1.1", "::1", "", None])
def test_who_is_no_proxy_of_ours_speaks_for_nobody(peer: str | None):
    visit = Reception((), ["10.0.0.0/24"]).visit(request(*FORWARDED, peer=peer))

    assert visit == Visit(peer or "", "tower", "http")


@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_a_proxy_of_ours_speaks_for_the_last_address_that_is_none(peer: str):
    visit = Reception((), ["10.0.0.0/24"]).visit(request(*FORWARDED, peer=peer))

    assert visit == Visit("203.0.113.9", "tower", "https")


@pytest.mark.parametrize(
    ("told", "address"), [("rubbish", "10.0.0.1"), ("1.2.3.4, rubbish", "10.0.0.1"), ("", "10.0.0.1")]
)
def test_a_proxy_that_says_nothing_is_the_peer(told: str, address: str):
    visit = Reception((), ["10.0.0.1"]).visit(
        request(("host", "tower"), ("x-forwarded-for", told), peer="10.0.0.1")
    )

    assert (visit.address, visit.scheme) == (address, "http")


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://tower:8000", "tower:8000", True),
        ("http://TOWER:8000", "tower:8000", True),
        ("http://tower", "tower", True),
        ("http://tower", "tower:80", True),
        ("https://tower", "tower", True),
        ("https://tower:443", "tower", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://tower:8001", "tower:8000", False),
        ("http://evil.test", "tower", False),
        ("http://tower.evil.test", "tower", False),
        ("null", "tower", False),
        ("null", "null", False),
        ("", "", False),
        ("http://", "", False),
        ("ftp://tower", "tower", False),
        ("http://tower/", "tower", False),
    ],
)
def test_an_origin_is_this_very_place_or_not(origin: str, host: str, same: bool):
    assert Visit("", host, "http").is_at(origin) is same


def test_tries_are_counted_by_site():
    counted = [
        Visit(one, "", "http").counted
        for one in ("10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "2001:db8::9", "")
    ]

    assert counted[0] == counted[1] == "10.0.0.1"
    assert counted[2] == counted[3] == "2001:db8::/64"
    assert counted[4] == "unknown"
