"""Plugins for the steps of pipelines: an operation, an enricher and an expectation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc


class Rounded:
    """Rounds a column to so many decimals."""

    api: ClassVar[int] = 1

    class Settings(msgspec.Struct, frozen=True):
        column: str
        decimals: int = 2

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def run(self, rows: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        """Batch by batch, so that a large bucket is never in memory as a whole."""
        position = rows.schema.get_field_index(self._settings.column)
        if position < 0:
            raise ValueError(f"There is no column '{self._settings.column}'.")
        for batch in rows:
            values = pc.round(batch.column(position).cast(pa.float64()), self._settings.decimals)
            yield batch.set_column(position, self._settings.column, values)


class Email:
    """The parts of an address: ``name`` and ``domain``."""

    api: ClassVar[int] = 1

    def enrich(self, given: pa.RecordBatch) -> pa.RecordBatch:
        parts = pc.split_pattern(given.column("address").cast(pa.string()), "@", max_splits=1, reverse=True)
        whole = pc.if_else(pc.equal(pc.list_value_length(parts), 2), parts, None)
        return pa.record_batch(
            {"name": pc.list_element(_padded(whole), 0), "domain": pc.list_element(_padded(whole), 1)}
        )


def _padded(parts: pa.Array) -> pa.Array:
    """What is no address, as two nulls."""
    return pc.fill_null(parts, pa.scalar([None, None], parts.type))


class Iban:
    """Whether account numbers have their check digits."""

    api: ClassVar[int] = 1

    class Settings(msgspec.Struct, frozen=True):
        column: str

    def __init__(self, settings: Settings) -> None:
        self._column = settings.column

    def check(self, rows: pa.Table) -> dict[str, pa.Array]:
        texts = rows.column(self._column).to_pylist()
        kept = [None if text is None else _is_iban(str(text)) for text in texts]
        return {f"IBAN: {self._column}": pa.array(kept, pa.bool_())}


def _is_iban(text: str) -> bool:
    compact = text.replace(" ", "").upper()
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", compact):
        return False
    turned = compact[4:] + compact[:4]
    return int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1
