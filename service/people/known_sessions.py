"""The sessions that a worker has looked up, as current as the catalog."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from service.people.tokens import digest_of
from service.threads import in_thread
from storage.catalog.catalog import Catalog
from storage.catalog.database.change_mark import Marks
from storage.catalog.database.versions import Area
from storage.catalog.people.records import Session, Standing

TRUSTED_SECONDS = 0.4
"""How long the mark of changes is relied on: a process that dies after a write may not have changed it."""
KNOWN_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Holder:
    """A session, with the standing of its person; without one it is a key's."""

    session: Session
    standing: Standing | None


class KnownSessions:
    """A cache of sessions, emptied by every change of people on any worker."""

    def __init__(self, catalog: Catalog, executor: Executor, clock: Callable[[], int]) -> None:
        """``clock``, in µs, is that by which sessions expire."""
        self._catalog = catalog
        self._executor = executor
        self._clock = clock
        self._lock = threading.Lock()
        self._marks: Marks | None = None
        self._version = -1
        self._checked_at = float("-inf")
        self._known: dict[str, Holder] = {}

    async def find(self, token: str) -> Holder | None:
        """The holder of the session with this token; None where there is none, or it has ended or expired."""
        digest = digest_of(token)
        if digest is None:
            return None
        if not self._is_current():
            await in_thread(self._executor, self._renew)
        # What is read now goes into this dict: one that a change has replaced meanwhile is not asked again.
        known = self._known
        holder = known.get(digest)
        if holder is None:
            found = await in_thread(self._executor, self._catalog.sessions.find, digest)
            if found is None:
                return None
            holder = Holder(*found)
            if len(known) >= KNOWN_MAX:
                known.clear()
            known[digest] = holder
        return holder if self._clock() < holder.session.expires_us else None

    def _is_current(self) -> bool:
        trusted = time.monotonic() - self._checked_at < TRUSTED_SECONDS
        return trusted and self._catalog.mark(Area.PEOPLE) == self._marks

    def _renew(self) -> None:
        """Empty the cache if people have changed since it was last looked at."""
        with self._lock:
            checked_at, marks = time.monotonic(), self._catalog.mark(Area.PEOPLE)
            version = self._catalog.versions().people
            if version != self._version:
                self._known = {}
                self._version = version
            self._marks, self._checked_at = marks, checked_at
