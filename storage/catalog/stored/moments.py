"""The data versions that changed files, with the time of each, which never goes back."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, insert, select

from storage.catalog.database.connection import upsert
from storage.catalog.state import read_state
from storage.catalog.stored.records import Ends
from storage.catalog.tables import moments

_LAST = select(moments.c.at_us).order_by(moments.c.version.desc()).limit(1)
_AT = (
    select(moments.c.version)
    .where(moments.c.at_us <= bindparam("us"))
    .order_by(moments.c.at_us.desc(), moments.c.version.desc())
    .limit(1)
)
_FIRST = select(moments.c.version).order_by(moments.c.version).limit(1)
_BEFORE = (
    select(moments.c.at_us)
    .where(moments.c.version <= bindparam("of"))
    .order_by(moments.c.version.desc())
    .limit(1)
)
_AFTER = (
    select(moments.c.at_us).where(moments.c.version > bindparam("of")).order_by(moments.c.version).limit(1)
)
_FLUSHES = (
    select(moments.c.version, moments.c.ends)
    .where(moments.c.version > bindparam("after"), moments.c.ends.is_not(None))
    .order_by(moments.c.version)
)


def note_moment(connection: Connection, now_us: int, ends: Mapping[int, Ends] | None = None) -> None:
    """Records that the present transaction changes files; ``ends`` is that of a flush. Without it, a
    transaction may say so more than once."""
    last = int(connection.execute(_LAST).scalar() or 0)
    values = {
        "version": read_state(connection)[0],
        "at_us": max(last, now_us),
        "ends": None if ends is None else json.dumps({str(log): list(pair) for log, pair in ends.items()}),
    }
    connection.execute(
        insert(moments) if ends is not None else upsert(moments).on_conflict_do_nothing(), values
    )


def version_at(connection: Connection, us: int) -> int | None:
    """The last version that was made until then; None where the record begins later."""
    version: int | None = connection.execute(_AT, {"us": us}).scalar()
    return version


def first_version(connection: Connection) -> int:
    """The version at which the record begins."""
    return int(connection.execute(_FIRST).scalar() or 0)


def times_around(connection: Connection, version: int) -> tuple[int, int | None]:
    """When the last version up to this one was made, and when the next one; None where there is none."""
    before = connection.execute(_BEFORE, {"of": version}).scalar()
    after: int | None = connection.execute(_AFTER, {"of": version}).scalar()
    return int(before or 0), after


def flush_that_reaches(connection: Connection, version: int, ends: Mapping[int, Ends]) -> int | None:
    """The first flush after ``version`` by which the logs are in files up to ``ends``; None where there was
    none yet."""
    left = dict(ends)
    rows = connection.execute(_FLUSHES, {"after": version})
    for row in rows:
        for log, (plain, claimed) in json.loads(row.ends).items():
            wanted = left.get(int(log))
            if wanted is not None:
                left[int(log)] = wanted = (
                    0 if plain >= wanted[0] else wanted[0],
                    0 if claimed >= wanted[1] else wanted[1],
                )
                if wanted == (0, 0):
                    del left[int(log)]
        if not left:
            reached = int(row.version)
            rows.close()
            return reached
    return None
