"""What the buckets of pipelines are delivered as: recorded in the transaction that stores their rows.

A message for a webhook is queued there and then; for other sinks a run of the pipeline is. So what is to be
delivered is known exactly if the rows are there, whenever a process dies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, bindparam, select, update

from storage.catalog.database.connection import Database, upsert
from storage.catalog.database.versions import Area
from storage.catalog.derived.webhooks import enqueue
from storage.catalog.repository import Repository
from storage.catalog.runs.records import NewRun
from storage.catalog.runs.runs import Runs
from storage.catalog.tables import pipeline_deliveries, webhooks

_KEY_LENGTH = 32
_LAST = select(
    pipeline_deliveries.c.version, pipeline_deliveries.c.content, pipeline_deliveries.c.sinks
).where(
    pipeline_deliveries.c.pipeline_id == bindparam("wanted"),
    pipeline_deliveries.c.start_us == bindparam("wanted_start"),
)
_WEBHOOK = select(webhooks.c.id).where(
    webhooks.c.project_id == bindparam("wanted_project"), webhooks.c.name == bindparam("wanted_name")
)


class BodyOf(Protocol):
    """The body of the message of a version, as JSON text."""

    def __call__(self, version: int) -> str: ...


@dataclass(frozen=True, slots=True)
class BucketDelivery:
    """A bucket that was derived, for the sinks of its pipeline."""

    project_id: str
    pipeline_id: int
    start_us: int
    content: str
    """A digest of its rows."""
    sinks: str
    """A digest of the sinks."""
    webhooks: Sequence[str]
    """Names."""
    kind: str
    body: BodyOf
    run: NewRun | None
    """What delivers it to the other sinks."""


class Deliveries(Repository):
    """What of each bucket was last delivered."""

    def __init__(self, database: Database, clock: Callable[[], int], runs: Runs) -> None:
        super().__init__(database, clock)
        self._runs = runs

    def record(self, connection: Connection, delivery: BucketDelivery) -> None:
        """Queues what is to be delivered unless the same rows were before, to the same sinks; in an open
        transaction of ``changing(Area.DERIVED, Area.RUNS)``. A webhook that is gone is passed over."""
        this = {"pipeline_id": delivery.pipeline_id, "start_us": delivery.start_us}
        last = connection.execute(
            _LAST, {"wanted": delivery.pipeline_id, "wanted_start": delivery.start_us}
        ).first()
        if last is not None and (last.content, last.sinks) == (delivery.content, delivery.sinks):
            return
        version = 1 if last is None else last.version + 1
        values = {"version": version, "content": delivery.content, "sinks": delivery.sinks}
        connection.execute(
            upsert(pipeline_deliveries)
            .values({**this, **values})
            .on_conflict_do_update(index_elements=list(this), set_=values)
        )
        for name in delivery.webhooks:
            wanted = {"wanted_project": delivery.project_id, "wanted_name": name}
            webhook_id = connection.execute(_WEBHOOK, wanted).scalar()
            if webhook_id is not None:
                key = key_of(delivery, version, webhook_id)
                enqueue(connection, webhook_id, delivery.kind, delivery.body(version), self._clock(), key=key)
        if delivery.run is not None:
            self._runs.enqueue_in(connection, delivery.run)

    def last(self, pipeline_id: int, start_us: int) -> tuple[int, str]:
        """How often a bucket was given to the sinks, and the digest of its rows the last time."""
        with self._database.reading() as connection:
            row = connection.execute(_LAST, {"wanted": pipeline_id, "wanted_start": start_us}).first()
        return (0, "") if row is None else (int(row.version), row.content)

    def forget(self, pipeline_id: int, starts_us: Sequence[int]) -> None:
        """Has buckets delivered once they are derived again, even if their rows are the same."""
        with self._database.changing(Area.DERIVED) as connection:
            for start_us in starts_us:
                connection.execute(
                    update(pipeline_deliveries)
                    .where(
                        pipeline_deliveries.c.pipeline_id == pipeline_id,
                        pipeline_deliveries.c.start_us == start_us,
                    )
                    .values(content="")
                )


def key_of(delivery: BucketDelivery, version: int, webhook_id: int) -> str:
    """The idempotency key of the message that tells a webhook of a bucket's version. It has the content, too:
    a catalog that was restored counts its versions again."""
    text = f"{delivery.pipeline_id}/{delivery.start_us}/{version}/{delivery.content}/{webhook_id}"
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]
