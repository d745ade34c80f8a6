"""The state of the catalog as a whole, and small named values."""

from __future__ import annotations

import json
from dataclasses import asdict

from sqlalchemy import Connection, bindparam, func, select, update

from storage.catalog.database.connection import upsert
from storage.catalog.repository import Repository
from storage.catalog.stored.records import HELD_SLACK_US, ClockMark
from storage.catalog.tables import collections, files, meta, projects, state

_CLOCK = "clock"
_NEWEST = tuple(
    select(func.max(column))
    for column in (files.c.reserved_us, collections.c.created_us, projects.c.created_us)
)
_STATE = select(state.c.data_version, state.c.flushed_number)
_NEXT_FLUSH = (
    update(state)
    .where(state.c.flushed_number == bindparam("before"))
    .values(flushed_number=state.c.flushed_number + 1)
)
_GET = select(meta.c.value).where(meta.c.name == bindparam("wanted"))
_INSERT_META = upsert(meta)
_SET = _INSERT_META.on_conflict_do_update(
    index_elements=[meta.c.name], set_={"value": _INSERT_META.excluded.value}
)


class Meta(Repository):
    """Small named values."""

    def get(self, name: str) -> str | None:
        with self._database.reading() as connection:
            return get_meta(connection, name)

    def put(self, name: str, value: str) -> None:
        with self._database.writing() as connection:
            set_meta(connection, name, value)


class Clock(Repository):
    """What the keeper has recorded about the machine's clock."""

    def find(self) -> ClockMark | None:
        """The keeper's last clock mark; None before the first."""
        with self._database.reading() as connection:
            return clock_mark(connection)

    def put(self, mark: ClockMark) -> None:
        with self._database.writing() as connection:
            set_meta(connection, _CLOCK, json.dumps(asdict(mark)))

    def held_us(self, now_us: int) -> int:
        """The time to use when deleting data by age: now, or earlier where the clock has jumped."""
        with self._database.reading() as connection:
            return held_us(connection, now_us)

    def newest_us(self) -> int:
        """The newest creation time of all files, collections and projects in the catalog; 0 without any."""
        with self._database.reading() as connection:
            return max(int(connection.execute(newest).scalar() or 0) for newest in _NEWEST)


def read_state(connection: Connection) -> tuple[int, int]:
    """Returns (version of the data, number of the last flush)."""
    version, flushed_number = connection.execute(_STATE).one()
    return version, flushed_number


def advance_flushed_number(connection: Connection, number: int) -> bool:
    """Sets the number of the last flush. False where ``number`` is not the next one."""
    return connection.execute(_NEXT_FLUSH, {"before": number - 1}).rowcount == 1


def get_meta(connection: Connection, name: str) -> str | None:
    value: str | None = connection.execute(_GET, {"wanted": name}).scalar_one_or_none()
    return value


def set_meta(connection: Connection, name: str, value: str) -> None:
    connection.execute(_SET, {"name": name, "value": value})


def clock_mark(connection: Connection) -> ClockMark | None:
    text = get_meta(connection, _CLOCK)
    return None if text is None else ClockMark(**json.loads(text))


def held_us(connection: Connection, now_us: int) -> int:
    """The time to use when deleting data by age: now, or earlier where the clock has jumped ahead."""
    mark = clock_mark(connection)
    return now_us if mark is None else min(now_us, mark.held_us + HELD_SLACK_US)
