"""The keeper's process, run by the supervisor as ``python -m service.process.keeper``."""

from __future__ import annotations

import gc
import logging
import os
import threading

from service.process import child_process
from service.process.filter_matcher import FilterMatcher
from service.settings import Settings
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
    child = child_process.begin("keeper", "The keeper, started by 'acumen serve'.")
    os.nice(NICENESS)
    gc.freeze()
    # Reading a log makes many objects that stay for a while and no cycles.
    gc.set_threshold(50_000, 20, 20)
    metrics = Metrics(child.settings.metrics_path, child.number, child.settings.metric_rows)
    metrics.counter("acumen_starts_total", "keeper").add()
    catalog = Catalog.open(child.settings.data, secret=child.settings.secret_key)
    try:
        keeper = make_keeper(child.settings, catalog)
        threading.Thread(target=_measure, args=(keeper, metrics, child.stop), daemon=True).start()
        child_process.say_ready(child.ready)
        keeper.run(child.stop)
    finally:
        catalog.close()
    return 0


def _measure(keeper: Keeper, metrics: Metrics, stop: threading.Event) -> None:
    unflushed = metrics.counter("acumen_events_unflushed")
    while not stop.wait(MEASURE_SECONDS):
        unflushed.set(keeper.unflushed_events)


if __name__ == "__main__":
    child_process.leave(main())
