"""``acumen import``: a file of events into a collection, over HTTP or straight into a data folder.

The file is cut into batches at fixed places. Each is sent under a key made of the file's digest and the
place, so that an import can be broken off and begun again, and what came before is recognised.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import orjson

from service.admission import Refusal, check_collection_name
from service.import_source import (
    BadSource,
    EventSource,
    Item,
    ItemBatch,
    as_it_is,
    digest_of,
    without_stamps,
)
from service.import_targets import ImportFailed, ImportTarget, open_data, open_url
from service.settings import BadSettings, load

IN_FLIGHT = 4
"""Batches sent and not yet answered."""
EVENT_BYTES_MAX = 900_000
REFUSED_TEXT_MAX = 20_000
BAR_SECONDS = 0.2
LINE_SECONDS = 10.0
BAR_WIDTH = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options, on the parser that the command line made for it."""
    parser.add_argument(
        "file", metavar="FILE", help="NDJSON or one JSON array, plain or gzip; '-': standard input"
    )
    parser.add_argument("--project", required=True, metavar="ID", help="the project")
    parser.add_argument("--collection", required=True, metavar="NAME", help="the collection of every event")
    parser.add_argument(
        "--keen-export",
        action="store_true",
        help="the events are Keen's own, from an extraction or its files in S3: leave out keen.created_at "
        "and keen.id, which only a server sets",
    )
    parser.add_argument("--url", metavar="URL", help="send to this server, as http://127.0.0.1:8000")
    parser.add_argument("--write-key", metavar="KEY", help="with --url: the project's write key")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="without --url: the data folder, with or without a server running on it "
        "(ACUMEN_DATA; default: data)",
    )


def run(args: argparse.Namespace) -> int:
    """The exit status: 0 once every batch is answered, whatever was refused; 1 where it was broken off;
    2 where it could not begin."""
    problem = _problem(args)
    if problem:
        _say(f"acumen: {problem}")
        return 2
    try:
        asyncio.run(_import(args))
    except (BadSource, BadSettings, ImportFailed, OSError) as error:
        _say(f"acumen: the import stopped: {error}")
        _say("What was counted is stored. The same command goes on from there and stores nothing twice.")
        return 1
    except KeyboardInterrupt:
        _say("\nBroken off. The same command goes on from there and stores nothing twice.")
        return 130
    return 0


def _problem(args: argparse.Namespace) -> str | None:
    refusal = check_collection_name(args.collection)
    if refusal is not None:
        return refusal.description
    if args.url and args.data:
        return "give --url or --data, not both"
    if args.url and not args.write_key:
        return "--url needs the project's --write-key"
    if args.file != "-" and not Path(args.file).is_file():
        return f"there is no file {args.file}"
    return None


async def _import(args: argparse.Namespace) -> None:
    source = EventSource(args.file, EVENT_BYTES_MAX)
    refused = RefusedFile(Path("stdin" if args.file == "-" else args.file))
    progress = Progress(source)
    try:
        # What is sent differs, so it is another import.
        identity = f"{args.project}/{args.collection}/{'keen/' if args.keen_export else ''}"
        prepare = without_stamps if args.keen_export else as_it_is
        if args.file == "-":
            keys = BatchKeys(identity, None)
        else:
            keys = BatchKeys(identity, await asyncio.to_thread(digest_of, Path(args.file)))
        async with _target(args) as target:
            try:
                await send_all(source, keys, target, refused, progress, prepare)
            finally:
                progress.finish(refused)
    finally:
        source.close()
        refused.close()


def _target(args: argparse.Namespace) -> AbstractAsyncContextManager[ImportTarget]:
    if args.url:
        return open_url(args.url, args.project, args.write_key, args.collection)
    settings = load(data=args.data)
    return open_data(settings, args.project, args.collection)


async def send_all(
    source: EventSource,
    keys: BatchKeys,
    target: ImportTarget,
    refused: RefusedFile,
    progress: Progress,
    prepare: Callable[[bytes], bytes] = as_it_is,
) -> None:
    """Send every batch, some at once; their answers are taken in order. ``prepare`` makes of an event what
    is sent."""
    waiting: deque[tuple[ItemBatch, asyncio.Task[dict[int, Refusal]]]] = deque()
    batches = source.batches()
    try:
        while True:
            batch = await asyncio.to_thread(next, batches, None)
            if batch is not None:
                waiting.append((batch, asyncio.ensure_future(_send(target, batch, keys.key(batch), prepare))))
            while waiting and (batch is None or len(waiting) >= IN_FLIGHT):
                done, task = waiting.popleft()
                _note(done, await task, refused, progress)
            if batch is None:
                return
    except BadSource:
        # What can be read of the file is sent.
        for done, task in waiting:
            _note(done, await task, refused, progress)
        waiting.clear()
        raise
    finally:
        for _, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)


async def _send(
    target: ImportTarget, batch: ItemBatch, key: str, prepare: Callable[[bytes], bytes]
) -> dict[int, Refusal]:
    """The refused items of the batch, by their place in it."""
    good = [index for index, item in enumerate(batch.items) if item.problem is None]
    answers: dict[int, Refusal] = {
        index: Refusal("InvalidJSONError", item.problem)
        for index, item in enumerate(batch.items)
        if item.problem is not None
    }
    if good:
        events = b"[" + b",".join([prepare(batch.items[index].text) for index in good]) + b"]"
        digest = hashlib.blake2b(events, digest_size=16).digest()
        found = await target.send(events, key, digest)
        answers.update({good[index]: refusal for index, refusal in found.items()})
    return answers


def _note(batch: ItemBatch, answers: dict[int, Refusal], refused: RefusedFile, progress: Progress) -> None:
    for index in sorted(answers):
        refused.write(batch.items[index], answers[index])
    progress.add(len(batch.items) - len(answers), len(answers))


class BatchKeys:
    """Names for batches: equal for equal content at the same place, for one project and collection.

    A file is known by the digest of the whole; of a stream that cannot be read twice, by what came so far.
    """

    def __init__(self, identity: str, file_digest: str | None) -> None:
        self._stream = hashlib.sha256(identity.encode()) if file_digest is None else None
        self._prefix = f"{identity}{file_digest}"

    def key(self, batch: ItemBatch) -> str:
        """To be asked once for each batch, in order."""
        if self._stream is None:
            text = f"{self._prefix}/{batch.offset}"
            return "import-" + hashlib.sha256(text.encode()).hexdigest()
        for item in batch.items:
            self._stream.update(b"%d:" % len(item.text))
            self._stream.update(item.text)
        return f"import-{self._stream.hexdigest()}-{batch.index}"


class RefusedFile:
    """``FILE.refused.ndjson``: what was not taken, and why. Made with the first such event."""

    def __init__(self, source: Path) -> None:
        self.path = source.with_name(source.name + ".refused.ndjson")
        self._file: IO[bytes] | None = None

    def write(self, item: Item, refusal: Refusal) -> None:
        if self._file is None:
            self._file = open(self.path, "wb")  # noqa: SIM115
        text = item.text[:REFUSED_TEXT_MAX].decode("utf-8", "replace")
        record = {
            "number": item.number,
            "offset": item.offset,
            "error": {"name": refusal.name, "description": refusal.description},
            "event": text,
        }
        self._file.write(orjson.dumps(record) + b"\n")

    @property
    def written(self) -> bool:
        return self._file is not None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


@dataclass(slots=True)
class Progress:
    """Says on standard error how far the import is: a bar on a terminal, now and then a line elsewhere."""

    source: EventSource
    accepted: int = 0
    refused: int = 0
    shown_at: float = field(default_factory=time.monotonic)

    def add(self, accepted: int, refused: int) -> None:
        self.accepted += accepted
        self.refused += refused
        terminal = sys.stderr.isatty()
        if time.monotonic() - self.shown_at < (BAR_SECONDS if terminal else LINE_SECONDS):
            return
        self.shown_at = time.monotonic()
        if terminal:
            sys.stderr.write(f"\r{self._bar()} {self._counts()}\x1b[K")
            sys.stderr.flush()
        else:
            _say(f"{self._share():.0%} {self._counts()}" if self.source.size else self._counts())

    def finish(self, refused: RefusedFile) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
        where = f"; the refused ones and why: {refused.path}" if refused.written else ""
        _say(f"{self._counts()}{where}")

    def _counts(self) -> str:
        return f"accepted: {self.accepted:,}, refused: {self.refused:,}"

    def _share(self) -> float:
        return min(1.0, self.source.position / self.source.size) if self.source.size else 0.0

    def _bar(self) -> str:
        if not self.source.size:
            return ""
        filled = round(self._share() * BAR_WIDTH)
        return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {self._share():4.0%}"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
