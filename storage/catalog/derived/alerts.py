"""Alerts: definitions, states, what each evaluation found, and the notices that follow from it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from storage.catalog.database.versions import Area
from storage.catalog.derived.job_queue import check_project
from storage.catalog.derived.notices import keep_newest, store_notice
from storage.catalog.derived.records import AlertEvaluation, AlertState, StoredAlert, StoredNotice
from storage.catalog.repository import Repository
from storage.catalog.tables import alert_evaluations, alerts, projects

KEPT_MAX = 1_000
"""Evaluations of one alert that are kept."""
_COLUMNS = tuple(alerts.c[name] for name in StoredAlert.__dataclass_fields__)
_ALL = select(*_COLUMNS).where(alerts.c.project_id == bindparam("wanted_project")).order_by(alerts.c.name)
_ONE = _ALL.where(alerts.c.name == bindparam("wanted_name"))
_DUE = (
    select(*_COLUMNS)
    .join(projects, projects.c.id == alerts.c.project_id)
    .where(alerts.c.due_us <= bindparam("now"), projects.c.deleted_us.is_(None))
    .order_by(alerts.c.due_us)
    .limit(1)
)


class Alerts(Repository):
    """Alerts by project and name."""

    def of_project(self, project_id: str) -> list[StoredAlert]:
        """The project's alerts, ordered by name."""
        with self._database.reading() as connection:
            return [_alert(row) for row in connection.execute(_ALL, {"wanted_project": project_id})]

    def find(self, project_id: str, name: str) -> StoredAlert | None:
        with self._database.reading() as connection:
            return _find(connection, project_id, name)

    def put(
        self, project_id: str, name: str, definition: str, *, through_us: int, due_us: int, most: int
    ) -> tuple[StoredAlert, bool] | None:
        """Creates or replaces an alert. Returns it, and whether it was created; None where the project has
        ``most`` already. Another definition begins anew with the state ok, and with the interval from
        ``through_us`` on. Raises UnknownProject."""
        with self._database.changing(Area.DERIVED) as connection:
            now_us, old = self._clock(), _find(connection, project_id, name)
            values: dict[str, Any] = {"definition": definition, "modified_us": now_us}
            if old is None:
                check_project(connection, project_id)
                number = select(func.count()).where(alerts.c.project_id == project_id)
                if connection.execute(number).scalar_one() >= most:
                    return None
                identity = {"project_id": project_id, "name": name, "created_us": now_us, "version": 1}
                connection.execute(insert(alerts), [values | identity | _fresh(through_us, due_us)])
            elif old.definition != definition:
                values |= {"version": old.version + 1, **_fresh(through_us, due_us)}
                values["silenced_us"] = old.silenced_us
                connection.execute(update(alerts).where(alerts.c.id == old.id).values(values))
            found = _find(connection, project_id, name)
            assert found is not None
            return found, old is None

    def remove(self, project_id: str, name: str) -> bool:
        """Removes an alert with its history. False where there is no such alert."""
        with self._database.changing(Area.DERIVED) as connection:
            found = _find(connection, project_id, name)
            if found is None:
                return False
            connection.execute(delete(alert_evaluations).where(alert_evaluations.c.alert_id == found.id))
            connection.execute(delete(alerts).where(alerts.c.id == found.id))
            return True

    def silence(self, project_id: str, name: str, until_us: int) -> StoredAlert | None:
        """Nobody is told until then; None where there is no such alert."""
        with self._database.changing(Area.DERIVED) as connection:
            found = _find(connection, project_id, name)
            if found is None:
                return None
            connection.execute(update(alerts).where(alerts.c.id == found.id).values(silenced_us=until_us))
            return _find(connection, project_id, name)

    def next_due(self, now_us: int) -> StoredAlert | None:
        """The alert that is due for the longest time."""
        with self._database.reading() as connection:
            row = connection.execute(_DUE, {"now": now_us}).first()
            return None if row is None else _alert(row)

    def postpone(self, alert: StoredAlert, due_us: int) -> None:
        """The alert is looked at again then. Nothing where it was changed meanwhile."""
        with self._database.writing() as connection:
            connection.execute(update(alerts).where(*_same(alert)).values(due_us=due_us))

    def record(
        self, alert: StoredAlert, found: AlertEvaluation, due_us: int, notice: StoredNotice | None
    ) -> list[str] | None:
        """Stores an evaluation, and what is told because of it, in one transaction.

        Returns the names of webhooks that there are none of; None, and stores nothing, where the alert was
        changed meanwhile.
        """
        with self._database.changing(Area.DERIVED) as connection:
            values: dict[str, Any] = {"state": found.state, "through_us": found.end_us, "due_us": due_us}
            if found.state is not alert.state or alert.since_us is None:
                values["since_us"] = found.at_us
            if notice is not None:
                values |= {"told_state": found.state, "told_us": found.at_us}
            if not connection.execute(update(alerts).where(*_same(alert)).values(values)).rowcount:
                return None
            row = {name: getattr(found, name) for name in AlertEvaluation.__dataclass_fields__}
            del row["number"]
            connection.execute(insert(alert_evaluations), [row | {"alert_id": alert.id}])
            keep_newest(connection, alert_evaluations.c.alert_id, alert.id, KEPT_MAX)
            return [] if notice is None else store_notice(connection, alert.project_id, notice, self._clock())

    def tell(self, project_id: str, notice: StoredNotice) -> list[str]:
        """Stores what is to be told by itself, as a test is. Returns the names of missing webhooks."""
        with self._database.changing(Area.DERIVED) as connection:
            return store_notice(connection, project_id, notice, self._clock())

    def history(
        self, alert: StoredAlert, *, audience: str | None = None, before: int | None = None, limit: int
    ) -> list[AlertEvaluation]:
        """What the evaluations found, newest first. ``audience``: only those under filters of this digest;
        ``before``: only those with numbers below it."""
        columns = [alert_evaluations.c[name] for name in AlertEvaluation.__dataclass_fields__]
        query = (
            select(*columns)
            .where(alert_evaluations.c.alert_id == alert.id)
            .order_by(alert_evaluations.c.number.desc())
            .limit(limit)
        )
        if audience is not None:
            query = query.where(alert_evaluations.c.audience == audience)
        if before is not None:
            query = query.where(alert_evaluations.c.number < before)
        with self._database.reading() as connection:
            return [_evaluation(row) for row in connection.execute(query)]


def _fresh(through_us: int, due_us: int) -> dict[str, Any]:
    return {
        "state": AlertState.OK,
        "since_us": None,
        "told_state": AlertState.OK,
        "told_us": 0,
        "through_us": through_us,
        "due_us": due_us,
        "silenced_us": 0,
    }


def _same(alert: StoredAlert) -> tuple[Any, ...]:
    return (alerts.c.id == alert.id, alerts.c.version == alert.version)


def _find(connection: Connection, project_id: str, name: str) -> StoredAlert | None:
    row = connection.execute(_ONE, {"wanted_project": project_id, "wanted_name": name}).first()
    return None if row is None else _alert(row)


def _alert(row: Any) -> StoredAlert:
    values = {name: getattr(row, name) for name in StoredAlert.__dataclass_fields__}
    return StoredAlert(**values | {"state": AlertState(row.state), "told_state": AlertState(row.told_state)})


def _evaluation(row: Any) -> AlertEvaluation:
    values = {name: getattr(row, name) for name in AlertEvaluation.__dataclass_fields__}
    return AlertEvaluation(**values | {"state": AlertState(row.state)})
