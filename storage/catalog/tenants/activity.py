"""What projects and their keys have sent and queried, by UTC day.

No reader caches it, so changes here raise no version of the catalog.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from sqlalchemy import Connection, bindparam, case, delete, func, select

from storage.catalog.database.connection import upsert
from storage.catalog.repository import Repository
from storage.catalog.tables import activity, collections, files
from storage.catalog.tenants.records import Activity, ActivityOf

KEPT_DAYS = 62
"""Two months, so that the previous month is complete."""
_EPOCH = date(1970, 1, 1)
_INSERT = upsert(activity)
_ADD = _INSERT.on_conflict_do_update(
    index_elements=[activity.c.project_id, activity.c.key_id, activity.c.day],
    set_={name: activity.c[name] + _INSERT.excluded[name] for name in ("events", "bytes", "query_us")},
)
_COUNTS = ("events", "bytes", "query_us")
_OF_PROJECT = (
    select(
        activity.c.key_id,
        *(func.sum(activity.c[name]).label(f"month_{name}") for name in _COUNTS),
        *(
            func.sum(case((activity.c.day == bindparam("today"), activity.c[name]), else_=0)).label(name)
            for name in _COUNTS
        ),
    )
    .where(activity.c.project_id == bindparam("wanted"), activity.c.day >= bindparam("month"))
    .group_by(activity.c.key_id)
)
_BY_DAY = (
    select(activity.c.day, *(func.sum(activity.c[name]).label(name) for name in _COUNTS))
    .where(activity.c.project_id == bindparam("wanted"), activity.c.day >= bindparam("since"))
    .group_by(activity.c.day)
)
_BY_KEY = (
    select(
        activity.c.key_id,
        func.max(activity.c.day).label("last_day"),
        *(func.sum(activity.c[name]).label(name) for name in _COUNTS),
    )
    .where(activity.c.project_id == bindparam("wanted"), activity.c.day >= bindparam("since"))
    .group_by(activity.c.key_id)
)
_STORED = (
    select(func.coalesce(func.sum(files.c.bytes), 0))
    .join(collections, files.c.collection_id == collections.c.id)
    .where(collections.c.project_id == bindparam("wanted"), files.c.state == "live")
)


class ActivityCounts(Repository):
    """What was sent and queried, by project, key and UTC day."""

    def add(
        self, counted: Mapping[tuple[str, str], Activity], project_ids: Sequence[str]
    ) -> Mapping[str, ActivityOf]:
        """Adds counts by (project id, key id) to today's, and returns the activity of ``project_ids``."""
        now_us = self._clock()
        if not counted:
            with self._database.reading() as connection:
                return _activity_of(connection, project_ids, now_us)
        with self._database.writing() as connection:
            _add(connection, counted, now_us)
            return _activity_of(connection, project_ids, now_us)

    def of_project(self, project_id: str) -> ActivityOf:
        """What the project's keys have sent and queried today and this month."""
        return self.add({}, [project_id])[project_id]

    def by_day(self, project_id: str, since: int, key_id: str | None = None) -> Mapping[int, Activity]:
        """Day → what was sent and queried on it, from the day ``since`` on, by all keys or by one."""
        wanted = _BY_DAY if key_id is None else _BY_DAY.where(activity.c.key_id == key_id)
        with self._database.reading() as connection:
            rows = connection.execute(wanted, {"wanted": project_id, "since": since})
            return {row.day: Activity(row.events, row.bytes, row.query_us) for row in rows}

    def by_key(self, project_id: str, since: int) -> Mapping[str, tuple[int, Activity]]:
        """Key id → the last day on which it did something, and what it did from the day ``since`` on."""
        with self._database.reading() as connection:
            rows = connection.execute(_BY_KEY, {"wanted": project_id, "since": since})
            return {row.key_id: (row.last_day, Activity(row.events, row.bytes, row.query_us)) for row in rows}

    def stored_bytes(self, project_id: str) -> int:
        """Total size of the project's live Parquet files."""
        with self._database.reading() as connection:
            return int(connection.execute(_STORED, {"wanted": project_id}).scalar_one())


def day_of(now_us: int) -> int:
    """Days since 1970, UTC."""
    return now_us // 86_400_000_000


def first_of_month(day: int) -> int:
    return day - date.fromordinal(_EPOCH.toordinal() + day).day + 1


def first_of_next_month(day: int) -> int:
    at = date.fromordinal(_EPOCH.toordinal() + day)
    following = date(at.year + at.month // 12, at.month % 12 + 1, 1)
    return following.toordinal() - _EPOCH.toordinal()


def _add(connection: Connection, counted: Mapping[tuple[str, str], Activity], now_us: int) -> None:
    """Adds to today's counts of each project and key, and deletes counts older than ``KEPT_DAYS``."""
    day = day_of(now_us)
    rows = [
        {"project_id": project_id, "key_id": key_id, "day": day, "events": count.events}
        | {"bytes": count.bytes, "query_us": count.query_us}
        for (project_id, key_id), count in counted.items()
    ]
    if rows:
        connection.execute(_ADD, rows)
        connection.execute(delete(activity).where(activity.c.day < day - KEPT_DAYS))


def _activity_of(connection: Connection, project_ids: Collection[str], now_us: int) -> dict[str, ActivityOf]:
    """Project id → its counts of today and this month, by key."""
    day = day_of(now_us)
    activities = {}
    for project_id in project_ids:
        values = {"wanted": project_id, "today": day, "month": first_of_month(day)}
        rows = connection.execute(_OF_PROJECT, values).all()
        today = {row.key_id: Activity(row.events, row.bytes, row.query_us) for row in rows}
        month = {row.key_id: Activity(row.month_events, row.month_bytes, row.month_query_us) for row in rows}
        activities[project_id] = ActivityOf(today, month)
    return activities


def forget(connection: Connection, project_id: str) -> None:
    connection.execute(delete(activity).where(activity.c.project_id == project_id))
