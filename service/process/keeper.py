"""The keeper's process, a child of the supervisor."""

from __future__ import annotations

import gc
import logging
import os
import threading

from service.process.child_process import ChildContext, stopped
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
        history_seconds=settings.history_seconds,
        clock_hold_seconds=settings.clock_hold_seconds,
        compaction=settings.compaction,
        claim_days=settings.token_days,
        partials_bytes=settings.partials_bytes,
    )


def make_keeper(settings: Settings, catalog: Catalog) -> Keeper:
    """Create a keeper that can do all of a keeper's work, including deletions by filters."""
    matcher = FilterMatcher(settings, catalog.folder)
    return Keeper(catalog.folder, catalog, keeper_settings(settings), matcher=matcher)


NICENESS = 5
"""Where processors are scarce, acknowledgements and answers take precedence; events that the keeper has not
shredded yet are read from the logs anyway."""

MEASURE_SECONDS = 0.5


def main(context: ChildContext) -> None:
    """Run the keeper until the supervisor commands a stop."""
    settings, stop = context.settings, stopped(context)
    os.nice(NICENESS)
    # Reading a log creates many objects that live for a while and form no cycles.
    gc.set_threshold(50_000, 20, 20)
    metrics = Metrics(settings.metrics_path, context.number, settings.metric_rows)
    metrics.counter("acumen_starts_total", "keeper").add()
    catalog = Catalog.open(settings.data, secret=settings.secret_key)
    try:
        keeper = make_keeper(settings, catalog)
        threading.Thread(target=_measure, args=(keeper, metrics, stop), daemon=True).start()
        context.say_ready()
        keeper.run(stop)
    finally:
        catalog.close()


def _measure(keeper: Keeper, metrics: Metrics, stop: threading.Event) -> None:
    unflushed = metrics.counter("acumen_events_unflushed")
    while not stop.wait(MEASURE_SECONDS):
        unflushed.set(keeper.unflushed_events)
