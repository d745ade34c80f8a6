"""Quotas: how much projects and their keys may send and query per day and month (UTC), and store.

A request only adds to counts of its own process. Every ``SYNC_SECONDS`` each worker adds its counts to the
catalog, reads the totals of all workers, and determines which keys and projects have used up a quota. These
are refused from memory until the window ends or the limit is raised. A quota can thus be exceeded by what
arrives between two syncs, and a server that is killed loses at most the counts since the last one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from query.language.fields import wrong
from query.language.suggestions import did_you_mean
from service.errors import InvalidParameter, QuotaExceeded, RateLimited
from service.limits.rate_limiter import Quota, fields_of
from storage.catalog.tenants.activity import day_of, first_of_next_month
from storage.catalog.tenants.records import Activity, ActivityOf, Project

SYNC_SECONDS = 1.0
STORED_SECONDS = 15.0
"""Maximum age of the cached size of a project's stored data."""
TALLIES_MAX = 20_000
QUOTA_MAX = 2**53
_DAY_SECONDS = 86_400
_WORDS = {"events": "events", "bytes": "bytes of events", "query_seconds": "seconds of queries"}

NAMES = (
    "events_per_day",
    "events_per_month",
    "bytes_per_day",
    "bytes_per_month",
    "query_seconds_per_day",
    "query_seconds_per_month",
)
STORED_BYTES = "stored_bytes"
PROJECT_NAMES = (*NAMES, STORED_BYTES)
KINDS = ("events", "bytes", "query_seconds", STORED_BYTES)

Limits = Mapping[str, int]
"""Name of a quota → its limit; 0 or absent is no limit."""


def read_quotas(value: Any, where: str, names: tuple[str, ...]) -> dict[str, int]:
    """Return the quotas given at ``where``. Raises InvalidParameter, which names the field."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidParameter(wrong(where, f"an object of {', '.join(names)}", value).message)
    for name, limit in value.items():
        if name not in names:
            hint = did_you_mean(name, names)
            raise InvalidParameter(
                f"'{where}.{str(name)[:100]}' is unknown: there are {', '.join(names)}.{hint}"
            )
        if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit <= QUOTA_MAX:
            needs = f"a whole number from 0 (no limit) to {QUOTA_MAX}"
            raise InvalidParameter(wrong(f"{where}.{name}", needs, limit).message)
    return dict(value)


@dataclass(frozen=True, slots=True)
class QuotaRefusal:
    """A used-up quota: requests are refused ``until`` then (seconds since 1970)."""

    kind: str
    message: str
    policy: str
    limit: int
    until: float

    def error(self, now: float) -> RateLimited | QuotaExceeded:
        if self.kind == STORED_BYTES:
            return QuotaExceeded(self.message)
        seconds = max(1, int(self.until - now + 0.999))
        quota = Quota(self.policy, self.limit, 0, seconds)
        return RateLimited(f"{self.message} Try again in {seconds} seconds.", seconds, fields_of([quota]))


class Tally:
    """What one key of a project has sent and queried in this process. For its event loop only."""

    __slots__ = (
        "added",
        "bytes",
        "events",
        "is_new",
        "key_id",
        "limits",
        "project_id",
        "query_us",
        "refused",
    )

    def __init__(self, project_id: str, key_id: str) -> None:
        self.project_id = project_id
        self.key_id = key_id
        self.events = 0
        self.bytes = 0
        self.query_us = 0
        self.added = Activity()
        """The part that is already added to the catalog."""
        self.limits: Limits = {}
        """The key's own quotas."""
        self.refused: dict[str, QuotaRefusal] = {}
        """Used-up quotas by kind."""
        self.is_new = True

    def counted(self) -> Activity:
        return Activity(self.events, self.bytes, self.query_us)


class Store(Protocol):
    """The part of the catalog that quotas use."""

    def add(
        self, counted: Mapping[tuple[str, str], Activity], project_ids: list[str]
    ) -> Mapping[str, ActivityOf]: ...

    def stored_bytes(self, project_id: str) -> int: ...


class NoStore:
    """A store that keeps nothing."""

    def add(
        self, counted: Mapping[tuple[str, str], Activity], project_ids: list[str]
    ) -> Mapping[str, ActivityOf]:
        return {project_id: ActivityOf({}, {}) for project_id in project_ids}

    def stored_bytes(self, project_id: str) -> int:
        return 0


class Quotas:
    """The quotas of one worker. ``sync`` and ``prepare`` block and must run in threads; all other methods are
    for the event loop."""

    def __init__(
        self,
        store: Store,
        defaults: Limits,
        project_of: Callable[[str], Project | None],
        count_refusal: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``defaults`` apply to projects unless their preferences override them."""
        self._store = store
        self._defaults = defaults
        self._project_of = project_of
        self._count_refusal = count_refusal
        self._clock = clock
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._lock = threading.Lock()
        self._stored: dict[str, tuple[float, int]] = {}

    def tally(self, project_id: str, key_id: str) -> Tally:
        pair = (project_id, key_id)
        tally = self._tallies.get(pair)
        if tally is None:
            if len(self._tallies) >= TALLIES_MAX:
                self._tallies = {
                    known_pair: kept
                    for known_pair, kept in self._tallies.items()
                    if kept.counted() != kept.added or kept.refused
                }
            tally = self._tallies.setdefault(pair, Tally(project_id, key_id))
        return tally

    def prepare(self, tally: Tally) -> None:
        """Determine the used-up quotas of a key that this worker has not seen yet."""
        if tally.is_new:
            with self._lock:
                self._judge([tally], self._store.add({}, [tally.project_id]))

    def check(self, tally: Tally, *kinds: str) -> None:
        """Raises RateLimited or QuotaExceeded where a quota of these kinds is used up."""
        if tally.refused:
            now = self._clock()
            for kind in kinds:
                refusal = tally.refused.get(kind)
                if refusal is not None and now < refusal.until:
                    self._count_refusal(kind)
                    raise refusal.error(now)

    def check_writes(self, tally: Tally) -> None:
        self.check(tally, "events", "bytes", STORED_BYTES)

    def check_queries(self, tally: Tally) -> None:
        self.check(tally, "query_seconds")

    def sync(self) -> None:
        """Add the counts since the last sync to the catalog, and update refusals by the totals of all
        workers."""
        with self._lock:
            counts = {tally: tally.counted() for tally in tuple(self._tallies.values())}
            active = [tally for tally, count in counts.items() if count != tally.added or tally.refused]
            if not active:
                return
            additions = {
                (tally.project_id, tally.key_id): _less(counts[tally], tally.added)
                for tally in active
                if counts[tally] != tally.added
            }
            project_ids = list(dict.fromkeys(tally.project_id for tally in active))
            totals = self._store.add(additions, project_ids)
            for tally in active:
                tally.added = counts[tally]
            self._judge(active, totals)

    def _judge(self, tallies: Iterable[Tally], totals: Mapping[str, ActivityOf]) -> None:
        now = self._clock()
        project_refusals = {
            project_id: self._refusals_of_project(project_id, activity, now)
            for project_id, activity in totals.items()
        }
        for tally in tallies:
            activity = totals[tally.project_id]
            nothing = Activity()
            today = activity.today.get(tally.key_id, nothing)
            month = activity.month.get(tally.key_id, nothing)
            own_refusals = _refusals("key", tally.limits, today, month, now) if tally.limits else {}
            tally.refused = {**own_refusals, **project_refusals[tally.project_id]}
            tally.is_new = False

    def _refusals_of_project(
        self, project_id: str, activity: ActivityOf, now: float
    ) -> dict[str, QuotaRefusal]:
        limits = self.limits_of(self._project_of(project_id))
        if not any(limits.values()):
            return {}
        today, month = total(activity.today), total(activity.month)
        refusals = _refusals("project", limits, today, month, now)
        limit = limits.get(STORED_BYTES, 0)
        if limit and self._stored_bytes(project_id, now) >= limit:
            message = (
                f"This project has reached its limit of {limit:,} stored bytes. Delete events, or have the "
                "limit raised."
            )
            refusals[STORED_BYTES] = QuotaRefusal(
                STORED_BYTES, message, STORED_BYTES, limit, now + 2 * STORED_SECONDS
            )
        return refusals

    def limits_of(self, project: Project | None) -> Limits:
        own = None if project is None else project.preferences.get("quotas")
        return {**self._defaults, **(own if isinstance(own, dict) else {})}

    def _stored_bytes(self, project_id: str, now: float) -> int:
        read_at, size = self._stored.get(project_id, (0.0, 0))
        if not 0 <= now - read_at < STORED_SECONDS:
            size = self._store.stored_bytes(project_id)
            self._stored[project_id] = (now, size)
        return size


def total(by_key: Mapping[str, Activity]) -> Activity:
    return sum(by_key.values(), start=Activity())


def as_json(activity: Activity) -> dict[str, Any]:
    return {
        "events": activity.events,
        "bytes": activity.bytes,
        "query_seconds": round(activity.query_us / 1_000_000, 3),
    }


def usage_json(activity: ActivityOf, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a project has sent and queried, as JSON. ``names`` maps key ids to names; without it the counts of
    single keys are left out."""
    usage: dict[str, Any] = {
        "today": as_json(total(activity.today)),
        "this_month": as_json(total(activity.month)),
    }
    if names is not None:
        usage["keys"] = [
            {
                "name": names.get(key_id, "another key"),
                "today": as_json(activity.today.get(key_id, Activity())),
                "this_month": as_json(count),
            }
            for key_id, count in sorted(activity.month.items())
        ]
    return usage


def _less(count: Activity, added: Activity) -> Activity:
    return Activity(count.events - added.events, count.bytes - added.bytes, count.query_us - added.query_us)


def _refusals(
    who: str, limits: Limits, today: Activity, month: Activity, now: float
) -> dict[str, QuotaRefusal]:
    """Used-up quotas by kind; where both windows are used up, the month's."""
    day = day_of(int(now * 1_000_000))
    windows = (
        ("day", today, (day + 1) * _DAY_SECONDS),
        ("month", month, first_of_next_month(day) * _DAY_SECONDS),
    )
    refusals: dict[str, QuotaRefusal] = {}
    for window, count, until in windows:
        used = {"events": count.events, "bytes": count.bytes, "query_seconds": count.query_us / 1_000_000}
        for kind, amount in used.items():
            limit = limits.get(f"{kind}_per_{window}", 0)
            if limit and amount >= limit:
                message = f"This {who} has reached its limit of {limit:,} {_WORDS[kind]} a {window} (UTC)."
                policy = f"{kind}-per-{window}".replace("_", "-") + ("-of-key" if who == "key" else "")
                refusals[kind] = QuotaRefusal(kind, message, policy, limit, until)
    return refusals
