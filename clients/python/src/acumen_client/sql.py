"""Asking in SQL: one SELECT over the collections of the project, and its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any

from acumen_client._calls import Call, in_project
from acumen_client._rows import Row, Rows
from acumen_client._transport import Answer
from acumen_client.results import instant, zone_of_question

_INSTANT = "TIMESTAMP WITH TIME ZONE"


class SqlRows(Rows):
    """The rows of a statement, each a dictionary; instants are datetimes of the zone that was asked for."""

    def __init__(self, body: Mapping[str, Any], zone: tzinfo) -> None:
        self.types: dict[str, str] = {one["name"]: one["type"] for one in body["columns"]}
        """Column → the database's name of its type, in the order of the columns."""
        self.truncated: bool = body["truncated"]
        """Whether rows were left out because a ``limit`` was given."""
        self.complete: bool = body.get("complete", True)
        """False where damaged files were left out."""
        self.explain: Mapping[str, Any] | None = body.get("explain")
        rows: list[Row] = body["result"]
        for name in (name for name, kind in self.types.items() if kind == _INSTANT):
            for row in rows:
                row[name] = _moment(row[name], zone)
        super().__init__(rows, self.types, zone)

    def __repr__(self) -> str:
        return f"SqlRows({len(self)} rows of {', '.join(self.types)})"


def _moment(value: Any, zone: tzinfo) -> Any:
    try:
        return instant(value, zone) if isinstance(value, str) else value
    except ValueError:
        # The database has years and infinities that Python has not.
        return value


def statement(
    sql: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    timezone: str | None = None,
    limit: int | None = None,
    explain: bool = False,
) -> Call[SqlRows]:
    """The rows of one SELECT; collections are its tables. Give values as ``parameters``, never in the text: a
    list for ``?``, a dictionary for ``$name``. With a ``limit``, further rows are left out."""
    body: dict[str, Any] = {"sql": sql}
    if parameters is not None:
        body["parameters"] = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
    given = {"timezone": timezone, "limit": limit, "explain": explain or None}
    body |= {name: value for name, value in given.items() if value is not None}

    def read(answer: Answer) -> SqlRows:
        return SqlRows(answer.json(), zone_of_question({"timezone": timezone}))

    return Call("POST", in_project("queries", "sql"), read, {"key": "read", "json": body, "repeatable": True})
