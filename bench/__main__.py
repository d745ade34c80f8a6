"""The command: ``python -m bench [SECTION ...] [--events N]``."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence

from bench import (
    bars,
    behaviour,
    bulk,
    cached,
    charts,
    clients,
    datasets,
    erasure,
    lag,
    large,
    memory,
    pages,
    partials,
    pauses,
    pictures,
    pipelines,
    planning,
    posts,
    profile,
    queries,
    returning,
    shredding,
    tenants,
)
from bench.report import Report, Wrong
from bench.store import loaded

SECTIONS = (
    "posts",
    "bulk",
    "shred",
    "queries",
    "bars",
    "behaviour",
    "partials",
    "pipelines",
    "profile",
    "memory",
    "erasure",
    "cached",
    "datasets",
    "pauses",
    "tenants",
    "planning",
    "lag",
    "clients",
    "charts",
    "pictures",
    "pages",
    "large",
)
LOADED = {
    "queries",
    "bars",
    "behaviour",
    "partials",
    "pipelines",
    "memory",
    "erasure",
    "charts",
    "large",
}
"""The sections that share one loaded server."""
EVENTS = 1_000_000

_ABOUT = """\
Measures speed and memory, each as a ratio to something simple that is measured in the same run, and says
whether it is what it should be. Answers are compared first: where one differs there is no figure."""


def run(report: Report, sections: Sequence[str], events: int) -> None:
    """Raises Wrong where answers differ, or a server refused."""
    if "posts" in sections:
        posts.run(report, events)
    if "bulk" in sections:
        bulk.run(report, events)
    if "shred" in sections:
        shredding.run(report, events)
    if {
        "queries",
        "bars",
        "behaviour",
        "partials",
        "pipelines",
        "memory",
        "erasure",
        "charts",
        "large",
    } & set(sections):
        with loaded(report, events) as store:
            if "charts" in sections:
                charts.run(report, store.server, store.events)
            if "queries" in sections:
                queries.run(report, store)
            if "bars" in sections:
                bars.run(report, store)
            if "behaviour" in sections:
                behaviour.run(report, store)
                returning.run(report, store)
            if "partials" in sections:
                partials.run(report, store)
            if "pipelines" in sections:
                pipelines.run(report, store)
            if "memory" in sections:
                memory.run(report, store)
            if "large" in sections:
                large.run(report, store)
            if "erasure" in sections:
                # The last: afterwards it is another store.
                erasure.run(report, store)
        if "queries" in sections:
            queries.run_tiny(report)
    if "profile" in sections:
        with loaded(report, events, extra=profile.EXTRA) as store:
            profile.run(report, store)
    if "cached" in sections:
        cached.run(report)
    if "datasets" in sections:
        datasets.run(report, events)
    if "pauses" in sections:
        pauses.run(report)
    if "tenants" in sections:
        tenants.run(report, events)
    if "planning" in sections:
        planning.run(report, events)
    if "lag" in sections:
        lag.run(report, events)
    if "pictures" in sections:
        pictures.run(report)
    if "pages" in sections:
        pages.run(report)
    if "clients" in sections:
        clients.run(report, events)


def main() -> int:
    """0 where all is as it should be, 1 where a figure is not, 2 where there is none."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=_ABOUT)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; none: all")
    parser.add_argument(
        "--events",
        type=int,
        default=EVENTS,
        metavar="N",
        help=f"events to load, and the most that any part measures with ({EVENTS:,}; in full: 10000000)",
    )
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="as many rounds of each figure at most; 1 shows that it runs"
    )
    args = parser.parse_args()
    if args.rounds is not None:
        most = max(1, args.rounds)
        bulk.ROUNDS, posts.ROUNDS = min(most, bulk.ROUNDS), min(most, posts.ROUNDS)
        shredding.ROUNDS, erasure.ROUNDS = min(most, shredding.ROUNDS), min(most, erasure.ROUNDS)
        queries.ROUNDS_MIN, queries.ROUNDS_MAX = min(most, queries.ROUNDS_MIN), min(most, queries.ROUNDS_MAX)
        tenants.ROUNDS, clients.ROUNDS = min(most, tenants.ROUNDS), min(most, clients.ROUNDS)
        charts.ROUNDS, pages.ROUNDS = min(most, charts.ROUNDS), min(most, pages.ROUNDS)
        large.ROUNDS = min(most, large.ROUNDS)
        behaviour.ROUNDS, bars.ROUNDS = min(most, behaviour.ROUNDS), min(most, bars.ROUNDS)
        partials.ROUNDS = min(most, partials.ROUNDS)
        pipelines.ROUNDS = min(most, pipelines.ROUNDS)
    sections = args.sections or SECTIONS
    if unknown := set(sections) - set(SECTIONS):
        parser.error(f"there is no section {', '.join(sorted(unknown))}: choose from {', '.join(SECTIONS)}")
    if args.events < 1_000:
        parser.error("--events must be 1000 at least")
    # Told to stop, it leaves through the same doors as otherwise, and stops its servers on the way.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    report = Report()
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    print(f"{os.cpu_count()} processors, {machine}")
    try:
        run(report, sections, args.events)
    except Wrong as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    if args.events < EVENTS:
        print(f"\nThese are too few events to judge by: fixed costs weigh more than with {EVENTS:,}.")
    print(f"\n{report.checks} answers compared, all equal; {time.monotonic() - started:.0f} s in all.")
    if report.missed:
        print(f"Not as they should be: {', '.join(report.missed)}.")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
