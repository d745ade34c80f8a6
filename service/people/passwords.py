"""Passwords: their hashes, and the threads that compute them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHash

from service.errors import ServiceUnavailable
from service.threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")

PASSWORD_LENGTH_MIN, PASSWORD_LENGTH_MAX = 10, 1024
HASHING_THREADS = 2
WAITING_MAX = 100
"""Limit of passwords of one worker that are being hashed or wait for it."""
_MEMORY_KIB, _PASSES = 32_768, 2
_HASHER = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=1)


def hashed(password: str) -> str:
    """The hash, with its parameters and salt: 32 MiB and some 50 ms. Blocks."""
    return _HASHER.hash(password.encode("utf-8", "surrogatepass"))


def is_right(known: str, password: str) -> bool:
    """Whether the password has this hash. Compares in constant time. Blocks."""
    try:
        return _HASHER.verify(known, password.encode("utf-8", "surrogatepass"))
    except (Argon2Error, InvalidHash):
        return False


class Passwords:
    """Hashes passwords on threads of its own, so that log-ins cannot take those of the catalog."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(HASHING_THREADS, "passwords")
        self._waiting = 0
        self._of_nobody: str | None = None

    async def hashed(self, password: str) -> str:
        """Raises ServiceUnavailable where too many wait."""
        return await self._run(hashed, password)

    async def is_right(self, known: str, password: str) -> bool:
        """Whether the password has this hash. An empty one, of nobody, takes as long and is never right.

        Raises ServiceUnavailable where too many wait.
        """
        if self._of_nobody is None:
            self._of_nobody = await self._run(hashed, "nobody's password")
        right = await self._run(is_right, known or self._of_nobody, password)
        return right and bool(known)

    def is_outdated(self, known: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return _HASHER.check_needs_rehash(known)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._waiting >= WAITING_MAX:
            raise ServiceUnavailable("Too many people are logging in. Try again shortly.")
        self._waiting += 1
        try:
            # Work that has begun goes on where its client goes away, and counts until its end.
            return await asyncio.shield(in_thread(self._threads, work, *args, **kwargs))
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
