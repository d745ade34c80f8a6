"""Shredding and writing Parquet on one thread, against DuckDB's own reader of NDJSON and its own writer.

The reader is told the columns and their types; properties whose type drifts, and lists, are declared
JSON, so that it loses nothing. Sort order, compression, level and row groups are the same.
"""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from bench.events import Generator, Shape
from bench.report import Report
from storage.columns.shredder import FramePiece, Shredder
from storage.events.strict_decoder import Checker
from storage.events.validation import Context, EventLimits, examine
from storage.files.parquet import ROW_GROUP_ROWS, encode, sort_by_time
from storage.schema import Schema

ROUNDS = 5
PER_ROUND_MAX = 2 * ROW_GROUP_ROWS
PIECE = 1_000
"""Events of one post."""
AT_ONCE = 14
"""Pieces shredded together: the keeper takes 8 MiB of log at a time."""
DRIFTING = "price"


def run(report: Report, events: int) -> None:
    count = max(PIECE, min(PER_ROUND_MAX, events // ROUNDS))
    report.title(f"Shredding and Parquet on one thread, types drifting ({ROUNDS} × {count:,} events)")
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    lines = list(Generator().lines(Shape(drift=True), 0, count))
    schema = schema_of(lines[:1_000])
    pieces = pieces_of(schema, lines)
    with TemporaryDirectory(prefix="acumen-bench-") as name:
        folder = Path(name)
        source = folder / "events.ndjson"
        source.write_bytes(b"\n".join(lines) + b"\n")
        shredder = Shredder(folder / "spool")
        reader = Reader(lines[0])
        our_file, their_file = folder / "ours.parquet", folder / "theirs.parquet"
        ours, theirs = [], []
        gc.collect()
        gc.freeze()
        for turn in range(ROUNDS + 1):
            report.progress(f"shredding, round {turn} of {ROUNDS}")
            their_seconds = reader.copy(source, their_file)
            our_seconds = shred(shredder, schema, pieces, our_file)
            if turn:
                ours.append(our_seconds)
                theirs.append(their_seconds)
        gc.unfreeze()
        shredder.close()
        _check(report, our_file, their_file)
    ratio = median(their / our for our, their in zip(ours, theirs, strict=True))
    detail = f"{count / median(ours):,.0f} of {count / median(theirs):,.0f} events a second and core"
    report.figure("shredding and writing", ratio, detail, floor=0.5)


def schema_of(lines: Sequence[bytes]) -> Schema:
    """The lanes of these events."""
    schema, limits = Schema(), EventLimits()
    for line in lines:
        schema = schema.extended(examine(line, limits, Context()).wanted)
    return schema


def pieces_of(schema: Schema, lines: Sequence[bytes]) -> list[FramePiece]:
    """The lines as the log would give them, checked as the server checks them."""
    checker = Checker(schema, EventLimits())
    pieces = []
    for at in range(0, len(lines), PIECE):
        checked = checker.check_list(b"[" + b",".join(lines[at : at + PIECE]) + b"]")
        assert checked is not None, "the generated events fit their own lanes"
        times = array("q", [time_us or 0 for time_us in checked.times]).tobytes()
        pieces.append(
            FramePiece(checked.lines, checked.count, times, 1_767_225_600_000_000, 1, at, checked.flags)
        )
    return pieces


def shred(shredder: Shredder, schema: Schema, pieces: Sequence[FramePiece], path: Path) -> float:
    """Processor seconds to make a Parquet file of the pieces."""
    started = time.process_time()
    tables = [shredder.shred(schema, pieces[at : at + AT_ONCE]) for at in range(0, len(pieces), AT_ONCE)]
    table = sort_by_time(pa.concat_tables(tables, promote_options="default"))
    encoded = encode(table)
    with path.open("wb") as file:
        file.write(encoded.data)
    return time.process_time() - started


class Reader:
    """DuckDB alone."""

    def __init__(self, sample: bytes) -> None:
        self._connection = duckdb.connect(":memory:", config={"threads": 1})
        declared = {name: _declared(name, value) for name, value in orjson.loads(sample).items()}
        self._columns = ", ".join(f"{name!r}: {kind!r}" for name, kind in declared.items())

    def copy(self, source: Path, target: Path) -> float:
        """Processor seconds to make a Parquet file of the NDJSON file."""
        read = f"read_ndjson('{source}', columns = {{{self._columns}}})"
        started = time.process_time()
        self._connection.execute(
            f"COPY (SELECT * FROM {read} ORDER BY keen.timestamp) TO '{target}' "
            f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
        )
        return time.process_time() - started


def _declared(name: str, value: object) -> str:
    """The DuckDB type to declare for a property with this value."""
    if name == DRIFTING or isinstance(value, list):
        return "JSON"
    if name == "timestamp":
        return "TIMESTAMP"
    if isinstance(value, dict):
        return "STRUCT(" + ", ".join(f'"{key}" {_declared(key, item)}' for key, item in value.items()) + ")"
    if isinstance(value, bool):
        return "BOOLEAN"
    return "VARCHAR" if isinstance(value, str) else "DOUBLE"


def _check(report: Report, ours: Path, theirs: Path) -> None:
    """Both files hold the same events in the same order."""
    mine, other = pq.read_table(ours), pq.read_table(theirs)
    report.equal("shredded events", mine.num_rows, other.num_rows)
    numbers, texts = (mine.column(name).to_pylist() for name in ("price", "price:string"))
    prices = [text if number is None else number for number, text in zip(numbers, texts, strict=True)]
    their_prices = [orjson.loads(text) for text in other.column("price").to_pylist()]
    report.equal("shredded prices", prices, their_prices)
    for outer, inner in (("page", "url"), ("user", "age"), ("order", "total"), ("device", "touch")):
        theirs_flat = [row[inner] for row in other.column(outer).to_pylist()]
        report.equal(f"shredded {outer}.{inner}", mine.column(f"{outer}.{inner}").to_pylist(), theirs_flat)
    times = [row["timestamp"] for row in other.column("keen").to_pylist()]
    # Ours are marked as UTC; theirs are UTC without saying so.
    stamps = [stamp.replace(tzinfo=None) for stamp in mine.column("keen.timestamp").to_pylist()]
    report.equal("shredded times", stamps, times)
