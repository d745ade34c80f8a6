"""Asking in SQL: one SELECT over the collections of the project, and its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, overload

from acumen_client import frames
from acumen_client._calls import Call, in_project
from acumen_client._transport import Answer
from acumen_client.results import instant, zone_of_question

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

Row = dict[str, Any]
_INSTANT = "TIMESTAMP WITH TIME ZONE"


class SqlRows(Sequence[Row]):
    """The rows of a statement, each a dictionary; instants are datetimes of the zone that was asked for."""

    def __init__(self, body: Mapping[str, Any], zone: tzinfo) -> None:
        self.types: dict[str, str] = {one["name"]: one["type"] for one in body["columns"]}
        """Column → the database's name of its type, in the order of the columns."""
        self.truncated: bool = body["truncated"]
        """Whether rows were left out because a ``limit`` was given."""
        self.complete: bool = body.get("complete", True)
        """False where damaged files were left out."""
        self.explain: Mapping[str, Any] | None = body.get("explain")
        self._zone = zone
        self._rows: list[Row] = body["result"]
        for name in (name for name, kind in self.types.items() if kind == _INSTANT):
            for row in self._rows:
                row[name] = _moment(row[name], zone)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        return self._rows[at]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return f"SqlRows({len(self)} rows of {', '.join(self.types)})"

    def columns(self) -> list[frames.Column]:
        """The columns, each with its values."""
        return [frames.column(name, [row[name] for row in self._rows]) for name in self.types]

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame."""
        return frames.to_pandas(self.columns(), self._zone)

    def to_polars(self) -> polars.DataFrame:
        """The rows as a Polars DataFrame."""
        return frames.to_polars(self.columns(), self._zone)

    def to_arrow(self) -> pyarrow.Table:
        """The rows as an Arrow table."""
        return frames.to_arrow(self.columns(), self._zone)


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
