"""Webhooks: where they are, and what is sent to them until it has arrived or is given up."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from storage.catalog.database.connection import Database
from storage.catalog.database.versions import Area
from storage.catalog.derived.job_queue import check_project
from storage.catalog.derived.records import Delivery, DeliveryState, Webhook
from storage.catalog.errors import WrongSecret
from storage.catalog.keyring import Keyring
from storage.catalog.repository import Repository
from storage.catalog.tables import projects, webhook_deliveries, webhooks

ID_BYTES = 16
_COLUMNS = tuple(webhooks.c)
_ALL = select(*_COLUMNS).where(webhooks.c.project_id == bindparam("wanted_project")).order_by(webhooks.c.name)
_ONE = _ALL.where(webhooks.c.name == bindparam("wanted_name"))
_DELIVERY = tuple(webhook_deliveries.c)
_FIRST = (
    select(func.min(webhook_deliveries.c.number).label("number"))
    .join(webhooks, webhooks.c.id == webhook_deliveries.c.webhook_id)
    .join(projects, projects.c.id == webhooks.c.project_id)
    .where(
        webhook_deliveries.c.state == DeliveryState.WAITING,
        webhook_deliveries.c.due_us <= bindparam("now"),
        projects.c.deleted_us.is_(None),
    )
    .group_by(webhook_deliveries.c.webhook_id)
)
_DUE = _FIRST.order_by(func.min(webhook_deliveries.c.due_us)).limit(bindparam("most"))


class Webhooks(Repository):
    """Webhooks by project and name. URL and secret stand sealed in the catalog."""

    def __init__(self, database: Database, clock: Callable[[], int], keyring: Keyring) -> None:
        super().__init__(database, clock)
        self._keyring = keyring

    def of_project(self, project_id: str) -> list[Webhook]:
        """The project's webhooks, ordered by name."""
        with self._database.reading() as connection:
            rows = connection.execute(_ALL, {"wanted_project": project_id}).all()
        return [self._webhook(row) for row in rows]

    def find(self, project_id: str, name: str) -> Webhook | None:
        with self._database.reading() as connection:
            row = _row(connection, project_id, name)
        return None if row is None else self._webhook(row)

    def put(self, project_id: str, name: str, url: str, secret: str | None) -> tuple[Webhook, bool]:
        """Creates or replaces a webhook. Returns it, and whether it was created. Raises UnknownProject.

        ``secret``: None keeps the one that it has.
        """
        with self._database.changing(Area.DERIVED) as connection:
            now_us, old = self._clock(), _row(connection, project_id, name)
            values: dict[str, Any] = {
                "url": self._sealed(project_id, name, "url", url),
                "modified_us": now_us,
            }
            if secret is not None or old is None:
                values["secret"] = self._sealed(project_id, name, "secret", secret or "")
            if old is None:
                check_project(connection, project_id)
                identity = {"project_id": project_id, "name": name, "created_us": now_us}
                connection.execute(insert(webhooks), [values | identity])
            else:
                connection.execute(update(webhooks).where(webhooks.c.id == old.id).values(values))
            return self._webhook(_row(connection, project_id, name)), old is None

    def remove(self, project_id: str, name: str) -> bool:
        """Removes a webhook with what was not sent to it yet. False where there is no such webhook."""
        with self._database.changing(Area.DERIVED) as connection:
            row = _row(connection, project_id, name)
            if row is None:
                return False
            mine = webhook_deliveries.c.webhook_id == row.id
            connection.execute(delete(webhook_deliveries).where(mine))
            connection.execute(delete(webhooks).where(webhooks.c.id == row.id))
            return True

    # What is sent

    def send(self, project_id: str, name: str, kind: str, body: str) -> Delivery | None:
        """Stores what is to be sent to a webhook; None where there is no such webhook."""
        with self._database.changing(Area.DERIVED) as connection:
            row = _row(connection, project_id, name)
            return None if row is None else enqueue(connection, row.id, kind, body, self._clock())

    def claim(self, now_us: int, next_us: int, most: int) -> list[tuple[Webhook, Delivery]]:
        """The first due delivery of each of ``most`` webhooks, after counting the attempt; if nothing is
        noted of it, the next attempt is due at ``next_us``."""
        values = {"now": now_us, "most": most}
        with self._database.reading() as connection:
            if connection.execute(_DUE, values).first() is None:
                return []
        found = []
        with self._database.writing() as connection:
            for number in connection.execute(_DUE, values).scalars().all():
                this = webhook_deliveries.c.number == number
                change = update(webhook_deliveries).where(this)
                attempts = webhook_deliveries.c.attempts + 1
                connection.execute(change.values(attempts=attempts, due_us=next_us))
                delivery = _delivery(connection.execute(select(*_DELIVERY).where(this)).one())
                own = select(*_COLUMNS).where(webhooks.c.id == delivery.webhook_id)
                found.append((self._webhook(connection.execute(own).one()), delivery))
        return found

    def note(
        self, delivery: Delivery, state: DeliveryState, at_us: int, status: int | None, message: str | None
    ) -> None:
        """Stores what became of an attempt. ``at_us``: of a delivery that waits when it is due, of others
        when they ended. A later attempt's delivery is left as it is."""
        this = (
            webhook_deliveries.c.number == delivery.number,
            webhook_deliveries.c.attempts == delivery.attempts,
            webhook_deliveries.c.state == DeliveryState.WAITING,
        )
        waits = state is DeliveryState.WAITING
        values = {"state": state, "status": status, "message": message}
        values |= {"due_us": at_us} if waits else {"ended_us": at_us}
        with self._database.changing(Area.DERIVED) as connection:
            connection.execute(update(webhook_deliveries).where(*this).values(values))

    def deliveries(
        self, webhook: Webhook, *, state: str | None = None, before: int | None = None, limit: int
    ) -> list[Delivery]:
        """Those of a webhook, newest first. ``before``: only with numbers below it."""
        query = (
            select(*_DELIVERY)
            .where(webhook_deliveries.c.webhook_id == webhook.id)
            .order_by(webhook_deliveries.c.number.desc())
            .limit(limit)
        )
        if state is not None:
            query = query.where(webhook_deliveries.c.state == state)
        if before is not None:
            query = query.where(webhook_deliveries.c.number < before)
        with self._database.reading() as connection:
            return [_delivery(row) for row in connection.execute(query)]

    def delivery(self, webhook: Webhook, delivery_id: str) -> Delivery | None:
        with self._database.reading() as connection:
            row = connection.execute(select(*_DELIVERY).where(*_this(webhook, delivery_id))).first()
            return None if row is None else _delivery(row)

    def replay(self, webhook: Webhook, delivery_id: str) -> Delivery | None:
        """Sends it again, under the same id, or at once if it waits; None where it is unknown."""
        this = _this(webhook, delivery_id)
        values = {"state": DeliveryState.WAITING, "attempts": 0, "due_us": self._clock(), "ended_us": None}
        with self._database.changing(Area.DERIVED) as connection:
            if not connection.execute(update(webhook_deliveries).where(*this).values(values)).rowcount:
                return None
            row = connection.execute(select(*_DELIVERY).where(*_this(webhook, delivery_id))).one()
            return _delivery(row)

    def forget(self, delivered_us: int, dead_us: int) -> int:
        """Removes what was delivered, and what was given up, before these times. Returns how many."""
        removed = 0
        for state, before_us in ((DeliveryState.DELIVERED, delivered_us), (DeliveryState.DEAD, dead_us)):
            old = (webhook_deliveries.c.state == state, webhook_deliveries.c.ended_us < before_us)
            with self._database.reading() as connection:
                if (
                    connection.execute(select(webhook_deliveries.c.number).where(*old).limit(1)).first()
                    is None
                ):
                    continue
            with self._database.writing() as connection:
                removed += connection.execute(delete(webhook_deliveries).where(*old)).rowcount
        return removed

    def _sealed(self, project_id: str, name: str, what: str, text: str) -> str:
        return self._keyring.seal_text(text, f"{project_id}/webhook/{name}/{what}")

    def _webhook(self, row: Any) -> Webhook:
        opened: dict[str, str | None] = {}
        for what in ("url", "secret"):
            try:
                opened[what] = self._keyring.unseal_text(
                    getattr(row, what), f"{row.project_id}/webhook/{row.name}/{what}"
                )
            except WrongSecret:
                # Nothing can be sent to it until it is put again.
                opened[what] = None
        return Webhook(
            row.id,
            row.project_id,
            row.name,
            opened["url"],
            opened["secret"],
            row.created_us,
            row.modified_us,
        )


def enqueue(
    connection: Connection, webhook_id: int, kind: str, body: str, now_us: int, *, key: str | None = None
) -> Delivery:
    """Stores what is to be sent to a webhook, in an open transaction that changes derived data. ``key``: its
    id, under which nothing else was ever sent; by default a new one."""
    values = {
        "id": key or secrets.token_hex(ID_BYTES),
        "webhook_id": webhook_id,
        "kind": kind,
        "body": body,
        "state": DeliveryState.WAITING,
        "attempts": 0,
        "created_us": now_us,
        "due_us": now_us,
    }
    connection.execute(insert(webhook_deliveries), [values])
    this = webhook_deliveries.c.id == values["id"]
    return _delivery(connection.execute(select(*_DELIVERY).where(this)).one())


def _this(webhook: Webhook, delivery_id: str) -> Sequence[Any]:
    return (webhook_deliveries.c.webhook_id == webhook.id, webhook_deliveries.c.id == delivery_id)


def _row(connection: Connection, project_id: str, name: str) -> Any:
    return connection.execute(_ONE, {"wanted_project": project_id, "wanted_name": name}).first()


def _delivery(row: Any) -> Delivery:
    values = {name: getattr(row, name) for name in Delivery.__dataclass_fields__}
    return Delivery(**values | {"state": DeliveryState(row.state)})
