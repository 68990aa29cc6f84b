"""The namespaces that a worker keeps ready: one for each view, none for a view that would hide programs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.farm import until
from worker import sandbox
from worker.sandbox import NoSandbox, Sandbox, Sandboxes, binds_of


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory with two roots."""
    for name in ("films", "films/sub", "tv"):
        (tmp_path / name).mkdir()
    (tmp_path / "films" / "a").write_text("film")
    return tmp_path


async def printed(made: Sandbox, cwd: str, *command: str) -> bytes:
    """What a command prints that runs inside."""
    done = await asyncio.to_thread(subprocess.run, [*made.enter(cwd), *command], capture_output=True)
    return bytes(done.stdout)


async def test_one_view_has_one_namespace(host: Path) -> None:
    ready = Sandboxes([])
    mapped = {"Films": str(host / "films"), "TV": str(host / "tv")}
    try:
        first = await ready.get({"Films": "/media"}, mapped)
        assert await ready.get({"Films": "/media"}, mapped) is first
        assert await ready.get({"Films": "/m"}, mapped) is not first
        assert await ready.get({"Films": "/media", "TV": "/tv"}, mapped) is not first
        assert await ready.get({"Films": "/media"}, mapped) is first
    finally:
        ready.close()
    assert not first.is_alive()


async def test_a_root_that_was_replaced_has_a_new_namespace(host: Path) -> None:
    ready = Sandboxes([])
    mapped = {"Films": str(host / "films")}
    try:
        first = await ready.get({"Films": "/media"}, mapped)
        (host / "films").rename(host / "old")
        with pytest.raises(NoSandbox, match="films: No such file"):
            await ready.get({"Films": "/media"}, mapped)
        (host / "films").mkdir()
        (host / "films/fresh").touch()

        second = await ready.get({"Films": "/media"}, mapped)

        listed = await printed(second, "/media", "ls")
        assert (second is not first, listed) == (True, b"fresh\n")
    finally:
        ready.close()


@pytest.mark.parametrize("which", ["_holder", "_pid"])
async def test_a_dead_holder_is_replaced(host: Path, which: str) -> None:
    ready = Sandboxes([])
    mapped = {"Films": str(host / "films")}
    try:
        first = await ready.get({"Films": "/media"}, mapped)
        os.kill(first._holder.pid if which == "_holder" else first._pid, signal.SIGKILL)
        until(lambda: not first.is_alive())

        second = await ready.get({"Films": "/media"}, mapped)

        assert second.is_alive()
        assert await printed(second, "/media", "cat", "a") == b"film"
    finally:
        ready.close()


async def test_the_least_used_namespace_goes_first(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "HELD", 2)
    ready = Sandboxes([])
    mapped = {"Films": str(host / "films")}
    try:
        first, second = [await ready.get({"Films": place}, mapped) for place in ("/a", "/b")]
        await ready.get({"Films": "/a"}, mapped)
        third = await ready.get({"Films": "/c"}, mapped)
        assert [one.is_alive() for one in (first, second, third)] == [True, False, True]
    finally:
        ready.close()


async def test_one_that_cannot_be_made_keeps_no_other_waiting(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, making = threading.Event(), 0

    def make(binds: list[tuple[str, str]], programs: object) -> Sandbox:
        nonlocal making
        if binds[0][0].endswith("/tv"):
            making += 1
            answers.wait(60)
        return Sandbox(binds, [])

    monkeypatch.setattr(sandbox, "Sandbox", make)
    ready = Sandboxes([])
    mapped = {"Films": str(host / "films"), "TV": str(host / "tv")}
    try:
        hanging = [asyncio.create_task(ready.get({"TV": "/tv"}, mapped)) for _ in range(2)]
        async with asyncio.timeout(10):
            assert (await ready.get({"Films": "/media"}, mapped)).is_alive()
        assert not any(one.done() for one in hanging)
        answers.set()
        first, second = await asyncio.gather(*hanging)
        assert (first is second, making) == (True, 1)
    finally:
        ready.close()


# Views that are refused


@pytest.mark.parametrize(
    "path",
    [
        "/", "//", "", "media", "/media/", "/media/..", "/../usr", "/media/./x", "//usr", "//media", "/media//x",
        "/usr", "/usr/x", "/bin", "/lib64/x", "/etc", "/etc/x", "/proc", "/proc/self", "/sys/x", "/dev", "/dev/shm/x",
        "/run", "/run/ffgrid", "/nix/store/x", "/opt/ff/bin", "/opt/ff/bin/ffmpeg", "/opt", "/opt/ff/lib/x",
    ],
)  # fmt: skip
async def test_a_view_that_would_hide_programs_is_refused(host: Path, path: str) -> None:
    with pytest.raises(NoSandbox, match="its caller has a root at"):
        await Sandboxes(["/opt/ff/bin/ffmpeg"]).get({"Films": path}, {"Films": str(host / "films")})


@pytest.mark.parametrize(
    "path", ["/media", "/tmp/jellyfin", "/var/lib/x", "/usrx", "/opt/x", "/it's [x], 50%: é", "/a b"]
)
async def test_another_view_is_not(host: Path, path: str) -> None:
    ready = Sandboxes(["/opt/ff/bin/ffmpeg"])
    try:
        made = await ready.get({"Films": path}, {"Films": str(host / "films")})
        assert await printed(made, path, "cat", "a") == b"film"
    finally:
        ready.close()


@pytest.mark.parametrize("target", ["..", "../../usr", "/oldroot/tmp", "/usr", "sub"])
def test_a_root_behind_a_link_in_another_one_is_refused(host: Path, target: str) -> None:
    (host / "films/link").symlink_to(target)
    mapped = {"Films": str(host / "films"), "TV": str(host / "tv")}

    for inner in ("/media/link", "/media/link/x"):
        with pytest.raises(NoSandbox, match="behind a link"):
            binds_of({"TV": inner, "Films": "/media"}, mapped)
    assert binds_of({"TV": "/media/sub", "Films": "/media"}, mapped) == [
        (mapped["Films"], "/media"),
        (mapped["TV"], "/media/sub"),
    ]
