"""A file system whose server stops answering: an empty directory, over /dev/fuse, without any library.

    python -m tests.chaos.fuse DIRECTORY      mounts it there, says "ready", and answers until its input says "hang"

From then on it takes what the kernel asks and answers nothing. Whoever touches the directory hangs in the kernel,
not to be killed, until this process ends: then the kernel answers all of them with an error.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import stat
import struct
import sys

LOOKUP, FORGET, GETATTR, STATFS, INIT, OPENDIR, READDIR, RELEASEDIR, DESTROY = 1, 2, 3, 17, 26, 27, 28, 29, 38
BATCH_FORGET, INTERRUPT = 42, 36
NO_REPLY = (FORGET, BATCH_FORGET, INTERRUPT)
NOSUID_NODEV = 2 | 4
HEADER = struct.Struct("=IIQQIIII")  # length, operation, number, node, user, group, process, (more)
VERSION = (7, 31)


def serve(directory: str) -> None:
    """Mounts and answers. Returns when the input ends, or the file system is unmounted. Raises OSError."""
    device = os.open("/dev/fuse", os.O_RDWR)
    _mount(device, directory)
    said = hangs = False
    while True:
        ready, _, _ = select.select([device, 0], [], [])
        if 0 in ready:
            if not os.read(0, 100):
                return
            hangs = True
        if device in ready:
            try:
                request = os.read(device, 1 << 18)
            except OSError as error:
                if error.errno == errno.ENODEV:  # unmounted
                    return
                raise
            if not hangs:
                _answer(device, request)
            if not said:
                said = True
                print("ready", flush=True)


def _mount(device: int, directory: str) -> None:
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"hangs", os.fsencode(directory), b"fuse", NOSUID_NODEV, options):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), directory)


def _answer(device: int, request: bytes) -> None:
    _, operation, number, *_ = HEADER.unpack_from(request)
    if operation in NO_REPLY:
        return
    error, body = 0, b""
    if operation == INIT:
        body = struct.pack("=IIIIHHIIHHI7I", *VERSION, 1 << 17, 0, 12, 9, 1 << 17, 1, 0, 0, 0, *[0] * 7)
    elif operation == GETATTR:
        body = struct.pack("=QII", 0, 0, 0) + _attributes()
    elif operation == OPENDIR:
        body = struct.pack("=QII", 0, 0, 0)
    elif operation == STATFS:
        body = bytes(80)
    elif operation == LOOKUP:
        error = -errno.ENOENT
    elif operation not in (READDIR, RELEASEDIR, DESTROY):
        error = -errno.ENOSYS
    os.write(device, struct.pack("=IiQ", 16 + len(body), error, number) + body)


def _attributes() -> bytes:
    """Those of the empty directory."""
    mode = stat.S_IFDIR | 0o777
    return struct.pack("=QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, mode, 2, 0, 0, 0, 4096, 0)


if __name__ == "__main__":
    serve(sys.argv[1])
