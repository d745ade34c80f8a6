"""What is wrong with pipelines for a time: deadlines that they missed, and failures that last.

A trouble begins, or ends, in the transaction that stores what is told of it: nobody is told twice, whichever
process dies when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from storage.catalog.database.connection import upsert
from storage.catalog.database.versions import Area
from storage.catalog.derived.notices import keep_newest, store_notice
from storage.catalog.derived.records import StoredNotice
from storage.catalog.repository import Repository
from storage.catalog.tables import pipeline_troubles, pipeline_waits, pipelines

KEPT_MAX = 200
"""Troubles of one pipeline that are kept."""


class TroubleKind(StrEnum):
    """The values are stored."""

    OVERDUE = "overdue"
    """Its deadline is missed."""
    FAILED = "failed"
    """A bucket failed, and is not tried again by itself."""


class TroubleCause(StrEnum):
    """Why a pipeline is late. The values are stored."""

    WAITING = "waiting"
    RUNNING = "running"
    FAILED = "failed"
    PAUSED = "paused"
    NO_RUN_WORKER = "no_run_worker"


@dataclass(frozen=True, slots=True)
class PipelineTrouble:
    """``bucket_us`` is the start of the bucket that it is about, ``told_us`` when its begin was stored."""

    pipeline_id: int
    kind: TroubleKind
    since_us: int
    bucket_us: int
    why: TroubleCause
    message: str
    told_us: int = 0
    ended_us: int | None = None
    number: int = 0

    @property
    def is_overdue(self) -> bool:
        return self.kind is TroubleKind.OVERDUE


_FIELDS = tuple(PipelineTrouble.__dataclass_fields__)
_COLUMNS = tuple(pipeline_troubles.c[name] for name in _FIELDS)
_OPEN = select(*_COLUMNS).where(pipeline_troubles.c.ended_us.is_(None))
_OPEN_OF = _OPEN.where(
    pipeline_troubles.c.pipeline_id == bindparam("of"), pipeline_troubles.c.kind == bindparam("wanted_kind")
)
_LISTED = (
    select(*_COLUMNS)
    .where(pipeline_troubles.c.pipeline_id == bindparam("of"))
    .order_by(pipeline_troubles.c.number.desc())
    .limit(bindparam("most"))
)
_EXISTS = select(pipelines.c.id, pipelines.c.project_id, pipelines.c.name).where(
    pipelines.c.id == bindparam("of")
)


class PipelineTroubles(Repository):
    """Troubles, and since when buckets wait."""

    def open(self) -> list[PipelineTrouble]:
        """Those that last, of all projects."""
        with self._database.reading() as connection:
            return [_trouble(row) for row in connection.execute(_OPEN)]

    def listed(self, pipeline_id: int, limit: int) -> list[PipelineTrouble]:
        """Those of a pipeline, the newest first."""
        with self._database.reading() as connection:
            return [_trouble(row) for row in connection.execute(_LISTED, {"of": pipeline_id, "most": limit})]

    def begin(
        self, project_id: str, trouble: PipelineTrouble, notice: StoredNotice | None
    ) -> list[str] | None:
        """Stores a trouble and what is told of it. Returns the names of webhooks that there are none of;
        None, and stores nothing, where one of its kind lasts already, or the pipeline is gone."""
        with self._database.changing(Area.DERIVED) as connection:
            gone = connection.execute(_EXISTS, {"of": trouble.pipeline_id}).first() is None
            if gone or _open(connection, trouble) is not None:
                return None
            now_us = self._clock()
            values = {name: getattr(trouble, name) for name in _FIELDS if name != "number"}
            connection.execute(insert(pipeline_troubles), [values | {"told_us": now_us}])
            keep_newest(connection, pipeline_troubles.c.pipeline_id, trouble.pipeline_id, KEPT_MAX)
            return [] if notice is None else store_notice(connection, project_id, notice, now_us)

    def explain(self, trouble: PipelineTrouble) -> None:
        """Stores the bucket, the cause and the message of a trouble that lasts."""
        values = {"why": trouble.why, "message": trouble.message, "bucket_us": trouble.bucket_us}
        with self._database.changing(Area.DERIVED) as connection:
            connection.execute(update(pipeline_troubles).where(*_same(trouble)).values(values))

    def end(self, project_id: str, trouble: PipelineTrouble, notice: StoredNotice | None) -> list[str] | None:
        """Ends a trouble. As ``begin``; None where it has ended already."""
        with self._database.changing(Area.DERIVED) as connection:
            now_us = self._clock()
            ended = update(pipeline_troubles).where(*_same(trouble)).values(ended_us=now_us)
            if not connection.execute(ended).rowcount:
                return None
            return [] if notice is None else store_notice(connection, project_id, notice, now_us)

    def waits(self) -> Mapping[int, str]:
        """Pipeline → since when its buckets wait, as it was stored."""
        query = select(pipeline_waits.c.pipeline_id, pipeline_waits.c.buckets)
        with self._database.reading() as connection:
            return {row.pipeline_id: row.buckets for row in connection.execute(query)}

    def note_waits(self, changed: Mapping[int, str | None]) -> None:
        """Stores since when buckets wait; None: none does."""
        with self._database.writing() as connection:
            for pipeline_id, buckets in changed.items():
                if buckets is None or connection.execute(_EXISTS, {"of": pipeline_id}).first() is None:
                    mine = pipeline_waits.c.pipeline_id == pipeline_id
                    connection.execute(delete(pipeline_waits).where(mine))
                    continue
                statement = upsert(pipeline_waits).on_conflict_do_update(
                    index_elements=["pipeline_id"], set_={"buckets": buckets}
                )
                connection.execute(statement, {"pipeline_id": pipeline_id, "buckets": buckets})


def _same(trouble: PipelineTrouble) -> Sequence[Any]:
    return (pipeline_troubles.c.number == trouble.number, pipeline_troubles.c.ended_us.is_(None))


def _open(connection: Connection, trouble: PipelineTrouble) -> PipelineTrouble | None:
    values = {"of": trouble.pipeline_id, "wanted_kind": trouble.kind}
    row = connection.execute(_OPEN_OF, values).first()
    return None if row is None else _trouble(row)


def _trouble(row: Any) -> PipelineTrouble:
    values = {name: getattr(row, name) for name in _FIELDS}
    return PipelineTrouble(**values | {"kind": TroubleKind(row.kind), "why": TroubleCause(row.why)})
