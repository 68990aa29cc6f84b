"""Passwords as argon2id hashes (RFC 9106). Web processes and `ffgrid users` load this; it comes with ffgrid[web]."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.state.users import BadUser

SHORTEST, LONGEST = 10, 1000  # characters
AT_ONCE = 2  # hashes that a process makes at a time: each takes 64 MiB, and a core for a tenth of a second

T = TypeVar("T")

_HASHER = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=1)
# What is tried for a name that nobody has, so that it takes as long. Its password was thrown away.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=1$EOXPR/aswzTTECDaPhZHYw$KVmh2xOWU2KpN0EJetYru3Vik7SmZ1MedK7sgrMREao"

_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")


def make(password: str) -> str:
    """The hash of a new password. Raises BadUser when it is too short to be one, or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadUser(f"a password has {SHORTEST} to {LONGEST} characters")
    return _HASHER.hash(password)


def matches(stored: str, password: str) -> bool:
    """Whether that is the password; "" is nobody's hash, and takes as long."""
    try:
        return _HASHER.verify(stored or NOBODY, password[: LONGEST + 1]) and stored != ""
    except (VerificationError, InvalidHashError):
        return False


async def beside(act: Callable[..., T], *arguments: str) -> T:
    """Does one of these in a thread: the event loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(_threads, act, *arguments)
