"""The time by which data may be deleted for its age: never ahead of what the clock has shown for a while.

A clock that is ahead for a moment, by a fault of the machine or of its time server, would make all data old.
So a jump is not believed before the clock has gone on from it for ``hold_seconds``; until then the time goes
on from before it, which the catalog holds for a restart. Other processes that delete ask the catalog.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import HELD_SLACK_US, ClockMark

JUMP_SECONDS = 600.0
"""A difference as may also come of a restart, a busy machine, or a clock that is put right."""
MARK_US = HELD_SLACK_US // 2
"""How often the catalog is told."""

logger = logging.getLogger("acumen.keeper")


class HeldClock:
    """The keeper's. ``clock`` is the system's, in seconds since 1970."""

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
        self._held: tuple[float, float] | None = None
        """A time that was believed, and when that was by the monotonic clock."""
        self._jump: tuple[float, float] | None = None
        """What the clock said when it was first seen to have jumped, and when that was."""
        self._marked: ClockMark | None = None

    def begin(self) -> None:
        """Go on from what the catalog holds: an earlier keeper's time, or else its newest moment."""
        self._marked = self._catalog.clock.find()
        known_us = self._catalog.clock.newest_us() if self._marked is None else self._marked.held_us
        # Where nothing is known there is nothing to delete.
        self._held = (known_us / 1e6 if known_us else self._clock(), self._monotonic())
        self._jump = None

    def now(self) -> float:
        """Seconds since 1970; also tells the catalog."""
        if self._held is None:
            self.begin()
        assert self._held is not None
        now, at = self._clock(), self._monotonic()
        expected = self._held[0] + at - self._held[1]
        if abs(now - expected) > JUMP_SECONDS and not self._has_held(now, at, expected):
            # Of two times the earlier one makes less old.
            held = min(now, expected)
        else:
            if self._jump is not None:
                logger.info("the clock is believed again: things are deleted for their age as before")
            held, self._held, self._jump = now, (now, at), None
        self._mark(held)
        return held

    def _has_held(self, now: float, at: float, expected: float) -> bool:
        if self._jump is None or abs(now - (self._jump[0] + at - self._jump[1])) > JUMP_SECONDS:
            self._jump = (now, at)
            if self._hold_seconds:
                logger.warning(
                    "the clock has jumped by %.0f s: until it has held for %.0f s, nothing is deleted "
                    "that is old by the new time alone",
                    now - expected,
                    self._hold_seconds,
                )
        return at - self._jump[1] >= self._hold_seconds

    def _mark(self, held: float) -> None:
        mark = ClockMark(int(held * 1e6), self._jump is not None)
        known = self._marked
        if known is None or known.jumped != mark.jumped or abs(mark.held_us - known.held_us) >= MARK_US:
            self._catalog.clock.put(mark)
            self._marked = mark
