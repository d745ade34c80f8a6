"""Notices: what is told of alerts and reports, until it is sent. Those for webhooks wait with all others."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, bindparam, delete, insert, select, update

from storage.catalog.database.versions import Area
from storage.catalog.derived.records import MailState, NoticeMail, StoredNotice
from storage.catalog.derived.webhooks import enqueue
from storage.catalog.repository import Repository
from storage.catalog.tables import notice_mails, projects, webhooks

_FIELDS = tuple(NoticeMail.__dataclass_fields__)
_DUE = (
    select(*(notice_mails.c[name] for name in _FIELDS))
    .join(projects, projects.c.id == notice_mails.c.project_id)
    .where(
        notice_mails.c.state == MailState.WAITING,
        notice_mails.c.due_us <= bindparam("now"),
        projects.c.deleted_us.is_(None),
    )
    .order_by(notice_mails.c.due_us)
    .limit(1)
)


NEVER_US = 2**62
"""When something is due that is not active."""


class Notices(Repository):
    """Mails of notices."""

    def claim_mail(self, now_us: int, next_us: int) -> NoticeMail | None:
        """The next mail to send, after counting the attempt; the next attempt is due at ``next_us``."""
        with self._database.reading() as connection:
            if connection.execute(_DUE, {"now": now_us}).first() is None:
                return None
        with self._database.writing() as connection:
            row = connection.execute(_DUE, {"now": now_us}).first()
            if row is None:
                return None
            values = {"attempts": row.attempts + 1, "due_us": next_us}
            connection.execute(update(notice_mails).where(notice_mails.c.number == row.number).values(values))
            return NoticeMail(
                **{name: getattr(row, name) for name in _FIELDS} | {"attempts": row.attempts + 1}
            )

    def note_mail(self, mail: NoticeMail, state: MailState, at_us: int, message: str | None = None) -> None:
        """Stores what became of an attempt; of a mail that waits, ``at_us`` is when it is due."""
        this = (notice_mails.c.number == mail.number, notice_mails.c.attempts == mail.attempts)
        values: dict[str, Any] = {"state": state, "message": message}
        values |= {"due_us": at_us} if state is MailState.WAITING else {"ended_us": at_us}
        with self._database.changing(Area.DERIVED) as connection:
            connection.execute(update(notice_mails).where(*this).values(values))

    def forget(self, before_us: int) -> None:
        """Removes mails that ended before then."""
        old = (notice_mails.c.state != MailState.WAITING, notice_mails.c.ended_us < before_us)
        known = select(notice_mails.c.number).where(*old).limit(1)
        with self._database.reading() as connection:
            if connection.execute(known).first() is None:
                return
        with self._database.writing() as connection:
            connection.execute(delete(notice_mails).where(*old))

    def remove_project(self, project_id: str) -> None:
        """Removes the mails of a project."""
        with self._database.writing() as connection:
            connection.execute(delete(notice_mails).where(notice_mails.c.project_id == project_id))


def keep_newest(connection: Connection, owner: Column[int], owner_id: int, most: int) -> None:
    """Removes the rows of an owner but the ``most`` with the greatest numbers. ``owner``: the column of a
    table that has a ``number``."""
    table, mine = owner.table, owner == owner_id
    newest = select(table.c.number).where(mine).order_by(table.c.number.desc())
    oldest = connection.execute(newest.offset(most).limit(1)).scalar()
    if oldest is not None:
        connection.execute(delete(table).where(mine, table.c.number <= oldest))


def store_notice(connection: Connection, project_id: str, notice: StoredNotice, now_us: int) -> list[str]:
    """Stores a notice, in an open transaction that changes derived data. Returns the names of webhooks that
    the project does not have."""
    missing = []
    for name in notice.webhooks:
        this = (webhooks.c.project_id == project_id, webhooks.c.name == name)
        known = select(webhooks.c.id, webhooks.c.project_id, webhooks.c.name).where(*this)
        webhook_id = connection.execute(known).scalar()
        if webhook_id is None:
            missing.append(name)
        else:
            enqueue(connection, webhook_id, notice.kind, notice.body, now_us)
    for email in notice.emails:
        values = {
            "project_id": project_id,
            "recipient": email,
            "subject": notice.subject,
            "body": notice.text,
            "state": MailState.WAITING,
            "attempts": 0,
            "created_us": now_us,
            "due_us": now_us,
        }
        connection.execute(insert(notice_mails), [values])
    return missing
