"""Deleting one event in a hundred through HTTP, until it is answered as done, against DuckDB rewriting the
same live files without them: file by file, with the same writer settings, synced.

Each round takes other events away, first by hand into a folder of its own, then through the server.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import quote

import duckdb

from bench.report import Report, Wrong
from bench.serving import COLLECTION, Acumen
from bench.store import Loaded
from storage.files.parquet import ROW_GROUP_ROWS

ROUNDS = 3
SHARE = 40
"""Of the 4,000 values of the property: one in a hundred."""
PROPERTY = "page.load_ms"
LIMIT = 1.5


def run(report: Report, loaded: Loaded) -> None:
    server = loaded.server
    report.title(f"Deleting 1 % of {loaded.events:,} events, against rewriting their files by hand")
    ratios, times = [], []
    for turn in range(ROUNDS):
        report.progress(f"round {turn + 1} of {ROUNDS}")
        low, high = turn * SHARE, (turn + 1) * SHARE
        paths = server.paths()
        left, their_seconds = _by_hand(server, paths, low, high)
        our_seconds = _through_server(server, low, high)
        report.equal("events that are left", _count(server), left)
        ratios.append(our_seconds / their_seconds)
        times.append((our_seconds, their_seconds, len(paths)))
    mine, theirs, files = (median(one[side] for one in times) for side in (0, 1, 2))
    detail = f"{mine:.2f} against {theirs:.2f} s, {files:.0f} files"
    report.figure("time of a deletion", median(ratios), detail, limit=LIMIT)


def _by_hand(server: Acumen, paths: Sequence[str], low: int, high: int) -> tuple[int, float]:
    """How many events are left in the files' copies, and the seconds it took."""
    left = 0
    with TemporaryDirectory(dir=server.folder) as name, duckdb.connect() as connection:
        started = time.perf_counter()
        for number, path in enumerate(paths):
            target = Path(name) / f"{number}.parquet"
            connection.execute(
                f'COPY (SELECT * FROM read_parquet(?) WHERE ("{PROPERTY}" >= ? AND "{PROPERTY}" < ?) '
                f"IS NOT TRUE) TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, "
                f"ROW_GROUP_SIZE {ROW_GROUP_ROWS})",
                [path, low, high],
            )
            with target.open("rb") as file:
                os.fsync(file.fileno())
            left += duckdb.from_parquet(str(target)).count("*").fetchall()[0][0]
        return left, time.perf_counter() - started


def _through_server(server: Acumen, low: int, high: int) -> float:
    """Seconds until the server says that they are gone."""
    bounds = (("gte", low), ("lt", high))
    filters = [{"property_name": PROPERTY, "operator": name, "property_value": at} for name, at in bounds]
    path = f"/3.0/projects/{server.project_id}/events/{COLLECTION}?filters={quote(json.dumps(filters))}"
    connection = server.connect()
    started = time.perf_counter()
    connection.request("DELETE", path, headers={"Authorization": server.master_key})
    answer = connection.getresponse()
    text = answer.read()
    seconds = time.perf_counter() - started
    connection.close()
    if answer.status != 204:
        raise Wrong(f"DELETE was answered {answer.status}: {text[:300]!r}")
    return seconds


def _count(server: Acumen) -> int:
    connection = server.connect()
    found: int = server.ask("count", connection)
    connection.close()
    return found
