"""Rows as dictionaries, and as DataFrames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, overload

from acumen_client import frames

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

Row = dict[str, Any]


class Rows(Sequence[Row]):
    """Rows, each a dictionary; instants are datetimes of a zone."""

    def __init__(self, rows: list[Row], names: Iterable[str], zone: tzinfo) -> None:
        self._rows = rows
        self._names = list(names)
        self._zone = zone

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

    def columns(self) -> list[frames.Column]:
        """The columns, each with its values."""
        return [frames.column(name, [row[name] for row in self._rows]) for name in self._names]

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame."""
        return frames.to_pandas(self.columns(), self._zone)

    def to_polars(self) -> polars.DataFrame:
        """The rows as a Polars DataFrame."""
        return frames.to_polars(self.columns(), self._zone)

    def to_arrow(self) -> pyarrow.Table:
        """The rows as an Arrow table."""
        return frames.to_arrow(self.columns(), self._zone)
