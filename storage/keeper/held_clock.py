"""The time by which data is deleted for its age: it ignores a jump of the clock until the jump has lasted.

A clock that is briefly ahead, by a fault of the machine or of its time server, would make all data look old.
A jump is therefore not trusted before the clock has run on from it for ``hold_seconds``. Until then the time
continues from before the jump; the catalog stores it for a restart, and for other processes that delete data.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import HELD_SLACK_US, ClockMark

JUMP_SECONDS = 600.0
"""Smaller differences are not a jump: a restart, a busy machine or a corrected clock may cause them."""
MARK_US = HELD_SLACK_US // 2
"""Interval at which the time is stored in the catalog."""

logger = logging.getLogger("acumen.keeper")


class HeldClock:
    """The keeper's clock for deletions. ``clock`` is the system's, in seconds since 1970."""

    def __init__(
        self,
        catalog: Catalog,
        clock: Callable[[], float],
        hold_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._hold_seconds = hold_seconds
        self._monotonic = monotonic
        self._trusted: tuple[float, float] | None = None
        """The last trusted time, and the monotonic clock's value then."""
        self._jump: tuple[float, float] | None = None
        """The clock's time when a jump was first seen, and the monotonic clock's value then."""
        self._marked: ClockMark | None = None

    def begin(self) -> None:
        """Continue from the catalog: from the time of an earlier keeper, or else from its newest instant."""
        self._marked = self._catalog.clock.find()
        known_us = self._catalog.clock.newest_us() if self._marked is None else self._marked.held_us
        # Without a known time there is no data to delete either.
        self._trusted = (known_us / 1e6 if known_us else self._clock(), self._monotonic())
        self._jump = None

    def now(self) -> float:
        """The trusted time in seconds since 1970; also stores it in the catalog."""
        if self._trusted is None:
            self.begin()
        assert self._trusted is not None
        now, at = self._clock(), self._monotonic()
        expected = self._trusted[0] + at - self._trusted[1]
        if abs(now - expected) > JUMP_SECONDS and not self._has_held(now, at, expected):
            # By the earlier of the two times, less data is old.
            trusted = min(now, expected)
        else:
            if self._jump is not None:
                logger.info("the clock is trusted again: data is deleted for its age as before")
            trusted, self._trusted, self._jump = now, (now, at), None
        self._mark(trusted)
        return trusted

    def _has_held(self, now: float, at: float, expected: float) -> bool:
        """Whether the jump has lasted for ``hold_seconds``; records a jump that is new."""
        if self._jump is None or abs(now - (self._jump[0] + at - self._jump[1])) > JUMP_SECONDS:
            self._jump = (now, at)
            if self._hold_seconds:
                logger.warning(
                    "the clock has jumped by %.0f s: until that has lasted %.0f s, nothing is deleted "
                    "that is old by the new time alone",
                    now - expected,
                    self._hold_seconds,
                )
        return at - self._jump[1] >= self._hold_seconds

    def _mark(self, trusted: float) -> None:
        mark = ClockMark(int(trusted * 1e6), self._jump is not None)
        known = self._marked
        if known is None or known.jumped != mark.jumped or abs(mark.held_us - known.held_us) >= MARK_US:
            self._catalog.clock.put(mark)
            self._marked = mark
