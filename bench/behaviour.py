"""Ordered funnels against ``windowFunnel`` of embedded ClickHouse on the same live files and threads.

ClickHouse is asked within its process and we over HTTP, so that 2 ms are left out of ours. The memory is the
greatest of each whole process while it answers the same question. Sessions and paths are compared with SQL.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import following
from bench.peers import Peer, ask, watching
from bench.queries import ALLOWANCE_SECONDS, Duck
from bench.report import Report
from bench.serving import Acumen
from bench.store import Loaded
from service.settings import load as load_settings

ROUNDS = 7
LIMIT = 1.5
_HERE = Path(__file__).parent
CHDB = Peer("chdb==4.4.0", _HERE / "chdb_peer.py", _HERE / ".chdb")
WINDOW_DAYS = 7
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Case:
    """A funnel: its steps as values of ``page.section``."""

    name: str
    steps: tuple[str, ...]


CASES = (
    Case("funnel in order, 3 steps", ("product", "cart", "checkout")),
    Case("funnel in order, 5 steps", ("home", "search", "product", "cart", "checkout")),
)


def run(report: Report, loaded: Loaded) -> None:
    server = loaded.server
    report.title(f"Behaviour, {loaded.events:,} events in {len(server.files())} files")
    for case in CASES:
        # A process of its own each time, so that its peak is that of this question.
        with clickhouse(report) as peer:
            _measure(report, case, server, peer)
    following.run(report, server)


def _measure(report: Report, case: Case, server: Acumen, peer: subprocess.Popen[str]) -> None:
    params = {
        "order": "ordered",
        "window": f"{WINDOW_DAYS}_days",
        "actor_property": "user.id",
        "steps": [
            {
                "event_collection": "purchases",
                "filters": [{"property_name": "page.section", "operator": "eq", "property_value": step}],
            }
            for step in case.steps
        ],
    }
    query = _window_funnel(case.steps, Duck(server).paths)
    ours, theirs, peaks = [], [], [0]
    pid = max(server.processes().items(), key=lambda one: "worker" in one[0])[1]
    for round_number in range(ROUNDS + 1):
        report.progress(f"{case.name}, round {round_number}")
        # The server may close one on which nothing came while the other side was at work.
        connection = server.connect()
        with watching(lambda: [pid], peaks):
            started = time.perf_counter()
            result = server.ask("funnel", connection, **params)
            spent = time.perf_counter() - started
        connection.close()
        answer = clickhouse_rows(peer, query)
        levels = {int(level): int(count) for level, count in answer["rows"]}
        counted = [sum(n for level, n in levels.items() if level > at) for at in range(len(case.steps))]
        report.equal(case.name, result, counted)
        # The first round opens files.
        if round_number:
            ours.append(spent)
            theirs.append(answer["seconds"])
    mine, other = median(ours) - ALLOWANCE_SECONDS, median(theirs)
    report.figure(
        case.name, mine / other, f"{mine * 1e3:.0f} against {other * 1e3:.0f} ms of chdb", limit=LIMIT
    )
    detail = f"{peaks[0] / _MIB:.0f} against {answer['peak'] / _MIB:.0f} MiB of chdb"
    report.figure(f"memory, {case.name}", peaks[0] / answer["peak"], detail, limit=1.0)


def _window_funnel(steps: Sequence[str], paths: Sequence[str]) -> str:
    """The users by the furthest step that they got to."""
    matched = ", ".join(f"`page.section` = '{step}'" for step in steps)
    listed = ", ".join(f"'{step}'" for step in steps)
    window = WINDOW_DAYS * 86_400_000_000
    return (
        f"SELECT level, count() FROM (SELECT `user.id`, windowFunnel({window})("
        f"toUInt64(toUnixTimestamp64Micro(`keen.timestamp`)), {matched}) AS level "
        f"FROM {clickhouse_files(paths)} WHERE `page.section` IN ({listed}) AND `user.id` IS NOT NULL "
        f"GROUP BY `user.id`) GROUP BY level SETTINGS max_threads = {load_settings().worker_threads}"
    )


def clickhouse_files(paths: Sequence[str]) -> str:
    """The table of these files."""
    folder = os.path.commonpath(paths)
    names = ",".join(os.path.relpath(path, folder) for path in paths)
    files = f"{folder}/{{{names}}}" if len(paths) > 1 else paths[0]
    return f"file('{files}', Parquet)"


def clickhouse(report: Report) -> AbstractContextManager[subprocess.Popen[str]]:
    """The peer's process."""
    return CHDB.running(report)


def clickhouse_rows(peer: subprocess.Popen[str], query: str) -> dict[str, Any]:
    return ask(peer, {"query": query})
