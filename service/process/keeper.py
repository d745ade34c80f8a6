"""The keeper's process, run by the supervisor as ``python -m service.process.keeper``."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import threading

from service.process import child_process
from service.process.filter_matcher import FilterMatcher
from service.settings import Settings, load
from service.telemetry import json_logging
from service.telemetry.metrics import Metrics
from storage.catalog.catalog import Catalog
from storage.keeper.keeper import Keeper, KeeperSettings

_log = logging.getLogger("acumen.keeper")


def keeper_settings(settings: Settings) -> KeeperSettings:
    return KeeperSettings(
        flush_events=settings.flush_events,
        flush_bytes=settings.flush_bytes,
        flush_seconds=settings.flush_seconds,
        shred_seconds=settings.shred_seconds,
        shred_bytes=settings.shred_bytes,
        grace_seconds=settings.grace_seconds,
        clock_hold_seconds=settings.clock_hold_seconds,
        compaction=settings.compaction,
        claim_days=settings.token_days,
    )


def make_keeper(settings: Settings, catalog: Catalog) -> Keeper:
    """A keeper that knows everything a keeper may be asked to do, deletions by filters included."""
    matcher = FilterMatcher(settings, catalog.folder)
    return Keeper(catalog.folder, catalog, keeper_settings(settings), matcher=matcher)


NICENESS = 5
"""Where processors are short, acknowledgements and answers come first; what the keeper has not shredded yet
is read from the logs all the same."""

MEASURE_SECONDS = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description="The keeper, started by 'acumen serve'.")
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--ready", type=int, required=True)
    args = parser.parse_args()
    settings = load()
    json_logging.set_up(settings.current_log_level(), "keeper")
    stop = threading.Event()

    def end(why: child_process.Why) -> None:
        if why is child_process.Why.ORPHANED:
            # A successor waits for the folder; what is not committed is read from the logs again.
            child_process.leave(1)
        stop.set()

    child_process.on_stop(end, lambda: json_logging.set_level(settings.current_log_level()))
    os.nice(NICENESS)
    gc.freeze()
    # Reading a log makes many objects that stay for a while and no cycles.
    gc.set_threshold(50_000, 20, 20)
    metrics = Metrics(settings.metrics_path, args.number, settings.metric_rows)
    metrics.counter("acumen_starts_total", "keeper").add()
    catalog = Catalog.open(settings.data, secret=settings.secret_key)
    try:
        keeper = make_keeper(settings, catalog)
        threading.Thread(target=_measure, args=(keeper, metrics, stop), daemon=True).start()
        child_process.say_ready(args.ready)
        keeper.run(stop)
    finally:
        catalog.close()
    return 0


def _measure(keeper: Keeper, metrics: Metrics, stop: threading.Event) -> None:
    unflushed = metrics.counter("acumen_events_unflushed")
    while not stop.wait(MEASURE_SECONDS):
        unflushed.set(keeper.unflushed_events)


if __name__ == "__main__":
    child_process.leave(main())
