"""Rate limits: requests per minute of a project and of one key, counted over all workers in one mapped file.

The file is a hash table of fixed windows; a cell of a past minute is free. Names without a free cell are
counted in cells that they may share with other names: a limit may then apply early, but never late. The file
is in the run folder and starts empty with every start of the server: the counts need not survive it. A
refused request is not counted, so a key over its limit does not use up the project's limit for other keys.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from service.errors import RateLimited
from service.limits.shared_table import PROBES, SharedTable, digest_of

WINDOW_SECONDS = 60
CELLS = 16_384
SHARED_CELLS = 4_096
_CELL = struct.Struct("<QII")


class Rate(StrEnum):
    """Kinds of requests with separate limits. Cached results and datasets are not counted."""

    QUERIES = "queries"
    EXTRACTIONS = "extractions"
    WRITES = "writes"
    UPDATES = "updates"
    DELETES = "deletes"
    COLLECTION_DELETES = "collection deletes"


@dataclass(frozen=True, slots=True)
class Quota:
    """The remainder of one limit; it resets in ``seconds``. A ``unit`` of None means requests."""

    policy: str
    limit: int
    left: int
    seconds: int | None = None
    window_seconds: int | None = None
    unit: str | None = None


def fields_of(quotas: Iterable[Quota]) -> dict[str, str]:
    """The header fields of draft-ietf-httpapi-ratelimit-headers-11; empty without quotas."""
    policies, left = [], []
    for quota in quotas:
        unit = "" if quota.unit is None else f';qu="{quota.unit}"'
        window = "" if quota.window_seconds is None else f";w={quota.window_seconds}"
        policies.append(f'"{quota.policy}";q={quota.limit}{unit}{window}')
        after = "" if quota.seconds is None else f";t={quota.seconds}"
        left.append(f'"{quota.policy}";r={quota.left}{after}')
    return {"ratelimit-policy": ", ".join(policies), "ratelimit": ", ".join(left)} if policies else {}


@dataclass(frozen=True, slots=True)
class _Policy:
    name: str
    limit: int
    of_key: bool


KEY_OF_TOKEN = "The access key of this embed token, with all its tokens,"
"""Who may send no more, as the holder of an embed token is told it."""


class RateLimits:
    """``projects`` and ``keys`` are the requests per minute of each kind for a project and for each of its
    keys; 0 or absent is no limit."""

    def __init__(
        self,
        path: Path,
        projects: Mapping[Rate, int],
        keys: Mapping[Rate, int] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._policies = {rate: _policies(rate, projects, keys or {}) for rate in Rate}
        self._clock = clock
        self._table = SharedTable(path, CELLS + SHARED_CELLS, _CELL) if any(self._policies.values()) else None

    def limits(self, rate: Rate) -> bool:
        """Whether requests of this kind are limited."""
        return bool(self._policies[rate])

    def in_force(self) -> list[dict[str, Any]]:
        """The limits of a minute, of the project or of each key, as JSON."""
        return [
            {"name": str(rate), "limit": policy.limit, "of_key": policy.of_key}
            for rate, policies in self._policies.items()
            for policy in policies
        ]

    def check(
        self, project_id: str, rate: Rate, key: str = "", *, by_token: bool = False
    ) -> tuple[Quota, ...]:
        """Count one request, and return what remains of each limit that applies to it. ``key`` identifies the
        key. ``by_token``: an embed token asks, which is counted as its access key.

        Raises RateLimited, and counts nothing, where the project or the key has used up this minute's limit.
        """
        policies, table = self._policies[rate], self._table
        if not policies or table is None:
            return ()
        now = self._clock()
        window = int(now) // WINDOW_SECONDS
        seconds = max(1, int((window + 1) * WINDOW_SECONDS - now + 0.999))
        names = [f"{rate}/{project_id}/{key if policy.of_key else ''}" for policy in policies]
        with table:
            cells = [cell_of(table, name, window & 0xFFFFFFFF) for name in names]
            counts = [table.read(cell)[2] for cell in cells]
            used_up = [
                policy for policy, count in zip(policies, counts, strict=True) if count >= policy.limit
            ]
            if not used_up:
                counts = [add_to(table, cell, 1) for cell in cells]
        quotas = tuple(
            Quota(policy.name, policy.limit, max(0, policy.limit - count), seconds, WINDOW_SECONDS)
            for policy, count in zip(policies, counts, strict=True)
        )
        if used_up:
            asker = KEY_OF_TOKEN if by_token else "This key"
            who = asker if used_up[0].of_key else "This project"
            raise RateLimited(
                f"{who} may send {used_up[0].limit} {rate} a minute. Try again in {seconds} seconds.",
                seconds,
                fields_of(quotas),
            )
        return quotas

    def close(self) -> None:
        table, self._table = self._table, None
        if table is not None:
            table.close()


def cell_of(table: SharedTable, name: str, window: int) -> int:
    """The cell that counts this name in this window, taken if it has none yet."""
    digest = digest_of(name)
    free = None
    for probe in range(PROBES):
        at = (digest + probe) % CELLS
        key, minute, _ = table.read(at)
        if key == digest and minute == window:
            return at
        if free is None and minute != window:
            free = at
    if free is None:
        return _shared_cell(table, digest, window)
    table.write(free, digest, window, 0)
    return free


def _shared_cell(table: SharedTable, digest: int, window: int) -> int:
    at = CELLS + digest % SHARED_CELLS
    if table.read(at)[1] != window:
        table.write(at, 0, window, 0)
    return at


def add_to(table: SharedTable, cell: int, number: int) -> int:
    """Add to the count of a cell, which is never negative, and return it."""
    key, window, count = table.read(cell)
    count = max(0, count + number)
    table.write(cell, key, window, count)
    return count


def _policies(rate: Rate, projects: Mapping[Rate, int], keys: Mapping[Rate, int]) -> tuple[_Policy, ...]:
    """The limits of a kind of request; the key's first, since it is the narrower one."""
    name = rate.replace(" ", "-")
    policies = []
    if keys.get(rate, 0) > 0:
        policies.append(_Policy(f"{name}-of-key", keys[rate], True))
    if projects.get(rate, 0) > 0:
        policies.append(_Policy(name, projects[rate], False))
    return tuple(policies)
