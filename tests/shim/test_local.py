"""Descriptor 0 after something has been read from it: nothing is lost, nothing comes twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.farm import until

# Reads so many bytes, gives them back, and becomes cat.
TAKER = """\
import os, posix, sys
from shim.local import give_back
size, ended = int(sys.argv[1]), sys.argv[2] == "1"
data = b""
while len(data) < size:
    data += posix.read(0, size - len(data))
if ended:
    assert posix.read(0, 1) == b""
give_back(data, ended)
posix.execv("/bin/cat", ["cat"])
"""


def taker(size: int, ended: bool, **options: object) -> subprocess.Popen[bytes]:
    """The process."""
    command = [sys.executable, "-c", TAKER, str(size), str(int(ended))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, **options}
    return subprocess.Popen(command, **pipes)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("size", [0, 1, 4096, 65_536, 65_537, 1 << 20])
@pytest.mark.parametrize("ended", [True, False])
def test_a_pipe_gives_all_of_it_again(size: int, ended: bool) -> None:
    data = os.urandom(size)
    rest = b"" if ended else os.urandom(100_000)

    out, _ = taker(size, ended).communicate(data + rest, timeout=20)

    assert out == data + rest


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_a_file_is_wound_back(size: int, tmp_path: Path) -> None:
    data = os.urandom(200_000)
    (tmp_path / "in").write_bytes(data)

    with (tmp_path / "in").open("rb") as file:
        out, _ = taker(size, False, stdin=file).communicate(timeout=20)

    assert out == data


def test_who_copies_ends_with_the_program_and_takes_nothing_that_nobody_gets() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"first")
    with taker(5, False, stdin=reader) as program:
        (copier,) = until(
            lambda: Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
        )
        assert program.stdout
        assert program.stdout.read(5) == b"first"
        program.kill()
        until(lambda: not Path(f"/proc/{copier}").exists())
        assert program.stdout.read() == b""  # and it has not kept the output open
    os.write(writer, b"second")

    assert os.read(reader, 100) == b"second"
    os.close(reader)
    os.close(writer)
