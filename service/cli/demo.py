"""``acumen demo``: makes a project with the events, saved queries and dashboards of a shop.

It writes into the data folder as ``acumen import`` does, beside a running server or without one.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import math
import sys
import time
from collections.abc import Callable, Iterator

from service.cli.demo_board import DASHBOARDS, SAVED_QUERIES, dashboard_tokens, make_viewer_key, store_board
from service.cli.demo_shop import COLLECTIONS, DAYS, DemoShop
from service.cli.errors import CannotDo
from service.imports.sending import ImportFailed, ImportTarget
from service.settings import Settings
from service.shell_import.targets import open_targets
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.tenants.records import Project

NAME = "Demo shop"
EVENTS = 300_000
EVENTS_MAX = 10_000_000
SEED = 7
BATCH_EVENTS = 5_000
IN_FLIGHT = 4
"""Batches that are stored at the same time."""
LINE_SECONDS = 3.0
BAR_SECONDS = 0.2

Batch = tuple[str, list[bytes]]
"""A collection, and events as JSON."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("--name", default=NAME, help=f"the name of the project (default: {NAME})")
    parser.add_argument(
        "--events",
        type=int,
        default=EVENTS,
        metavar="N",
        help=f"how many events, about {DAYS} days of them (default {EVENTS:,})",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=SEED,
        metavar="N",
        help=f"another number makes another shop (default {SEED})",
    )


def run(args: argparse.Namespace, settings: Settings, catalog: Catalog, say: Callable[[str], None]) -> int:
    """Run the command; returns the exit status. Raises CannotDo."""
    if not 1 <= args.events <= EVENTS_MAX:
        raise CannotDo(f"--events is a number from 1 to {EVENTS_MAX:,}.")
    known = next((one for one in catalog.projects.all() if one.name == args.name), None)
    if known is not None:
        say(
            f"There is a project '{known.name}' already: {known.id}. Nothing was changed.\n\n"
            f"Its keys:           acumen projects show {known.id}\n"
            f"To make another:    acumen demo --name 'Another shop'\n"
            f"To begin anew:      acumen projects delete {known.id}, and then this command"
        )
        return 0
    started, now_ms = time.monotonic(), system_clock() // 1_000
    project = catalog.projects.create(args.name)
    progress = DemoProgress(args.events)
    try:
        asyncio.run(_store(settings, project.id, DemoShop(args.seed, args.events, now_ms), progress))
        store_board(catalog, project.id, settings.query_limits)
        key = make_viewer_key(catalog, project.id)
    except BaseException as error:
        # Half a shop would stand in the way of the next run.
        catalog.projects.delete(project.id)
        progress.end("Nothing is left of it: the project was deleted.")
        if isinstance(error, ImportFailed | OSError):
            raise CannotDo(f"The events could not be stored: {error}") from error
        raise
    progress.end(f"{progress.stored:,} events in {time.monotonic() - started:.1f} seconds")
    say(_what_next(project, settings, key))
    return 0


async def _store(settings: Settings, project_id: str, shop: DemoShop, progress: DemoProgress) -> None:
    """Store the events of the shop. Raises ImportFailed."""
    async with open_targets(settings, project_id) as target_of:
        targets = {collection: target_of(collection) for collection in COLLECTIONS}
        batches, number = _batches(shop), 0
        waiting: set[asyncio.Task[int]] = set()
        try:
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                collection, events = batch
                number += 1
                waiting.add(asyncio.ensure_future(_send(targets[collection], events, number)))
                if len(waiting) >= IN_FLIGHT:
                    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    progress.add(sum(task.result() for task in done))
            progress.add(sum(await asyncio.gather(*waiting)))
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        progress.end(f"{progress.stored:,} events are stored; writing files …")


async def _send(target: ImportTarget, events: list[bytes], number: int) -> int:
    """Store one batch; returns how many events it has. Raises ImportFailed."""
    body = b"[" + b",".join(events) + b"]"
    digest = hashlib.blake2b(body, digest_size=16).digest()
    outcome = await target.send(body, f"demo-{number}", digest)
    if outcome.refused:
        raise ImportFailed(next(iter(outcome.refused.values())).description)
    return len(events)


def _batches(shop: DemoShop) -> Iterator[Batch]:
    gathered: dict[str, list[bytes]] = {collection: [] for collection in COLLECTIONS}
    for day in shop.days():
        for collection, event in day:
            gathered[collection].append(event)
        for collection, events in gathered.items():
            if len(events) >= BATCH_EVENTS:
                yield collection, events
                gathered[collection] = []
    yield from ((collection, events) for collection, events in gathered.items() if events)


class DemoProgress:
    """Shows on standard error how many events are stored."""

    def __init__(self, events: int) -> None:
        self.stored = 0
        self._events = events
        self._shown_at = -math.inf

    def add(self, events: int) -> None:
        self.stored += events
        terminal = sys.stderr.isatty()
        if time.monotonic() - self._shown_at < (BAR_SECONDS if terminal else LINE_SECONDS):
            return
        self._shown_at = time.monotonic()
        text = f"{self.stored / self._events:4.0%}  {self.stored:,} of {self._events:,} events"
        sys.stderr.write(f"\r{text}\x1b[K" if terminal else f"{text}\n")
        sys.stderr.flush()

    def end(self, text: str) -> None:
        """Write the text in place of what was shown last."""
        sys.stderr.write(f"\r\x1b[K{text}\n" if sys.stderr.isatty() else f"{text}\n")
        sys.stderr.flush()


def _what_next(project: Project, settings: Settings, access_key: str) -> str:
    url = settings.public_url or f"http://127.0.0.1:{settings.port}"
    tokens = dashboard_tokens(access_key, DASHBOARDS)
    pages = "\n\n".join(
        f"  {url}/3.0/projects/{project.id}/dashboards/{name}/embed?api_key={token}"
        for name, token in tokens.items()
    )
    api = f"{url}/3.0/projects/{project.id}/queries"
    question = "event_collection=purchases&timeframe=this_30_days&group_by=geo.country"
    return f"""
See it in the server's pages, with the server running (acumen serve, or make serve):

  {url}/app/

The first start of the server printed a one-time link that lets you in (`acumen people first-link` prints
another). Once there are people, an owner invites you, or `acumen people invite EMAIL` prints a link.

Project     {project.id}  ({project.name})
Master key  {project.master_key}
Write key   {project.write_key}
Read key    {project.read_key}

Its dashboards alone, without log-in: whoever has these addresses sees the dashboards and nothing else:

{pages}

Ask a question:

  curl '{api}/count?{question}&api_key={project.read_key}'

It has {len(SAVED_QUERIES)} saved queries, such as {", ".join(list(SAVED_QUERIES)[:3])}. One as a picture:

  {api}/saved/revenue-by-day/result.svg?api_key={project.read_key}

For programs that use the Python or JavaScript client:

  export ACUMEN_URL={url} ACUMEN_PROJECT={project.id} \\
    ACUMEN_WRITE_KEY={project.write_key} ACUMEN_READ_KEY={project.read_key}

Once it is not needed: acumen projects delete {project.id}
"""
