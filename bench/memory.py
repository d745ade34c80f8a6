"""Resident memory of each process: at its start, at most while ingesting, and at rest afterwards."""

from __future__ import annotations

from bench.accounting import Memory
from bench.report import Report
from bench.store import Loaded
from service.settings import load

MIB = 1 << 20
BASE_BYTES = 256 * MIB
"""An interpreter with its libraries, and what allocators keep for reuse."""
MERGE_BYTES = 3 * (512 << 20)
"""A merge of files: its input, its output in order, and that encoded."""


def bounds() -> dict[str, int]:
    """Bytes without file-mapped pages that each process may take while nothing is asked, with the
    settings as they are by default. ``docs/operating.md`` states them."""
    settings = load()
    # What is in flight is held as it came, and once more as it is queued for the log.
    worker = BASE_BYTES + 2 * settings.body_bytes_in_flight + settings.queue_bytes_max
    keeper = BASE_BYTES + 3 * settings.flush_bytes + MERGE_BYTES
    return {"supervisor": BASE_BYTES, "worker-0": worker, "keeper": keeper, "runner": BASE_BYTES}


def run(report: Report, store: Loaded) -> None:
    report.title(f"Memory in MiB, resident (without file-mapped pages), {store.events:,} events ingested")
    report.note(f"{'':<12} {'at start':>14} {'ingesting':>16} {'at rest':>16} {'bound':>9}")
    for name, bound in bounds().items():
        found = [peaks.found[name] for peaks in (store.started, store.ingesting, store.idle)]
        cells = " ".join(f"{_cell(one):>15}" for one in found)
        report.note(f"{name:<12} {cells} {bound // MIB:>9,}")
        most = store.ingesting.found[name].anonymous
        report.figure(f"{name}, share of its bound", most / bound, "", limit=1.0)


def _cell(memory: Memory) -> str:
    return f"{memory.resident // MIB:,} ({memory.anonymous // MIB:,})"
