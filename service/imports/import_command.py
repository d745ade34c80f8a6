"""``acumen import``: imports a file of events into a collection, over HTTP or directly into a data folder.

The file is cut into batches at fixed places. Each batch is sent with an idempotency key made of the file's
digest and the batch's place, so that an interrupted import can be run again without storing events twice.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from query.language.suggestions import did_you_mean
from service.imports.json_source import (
    BadSource,
    BatchSource,
    Item,
    ItemBatch,
    has_property,
    names_of,
    with_time,
    without_stamps,
)
from service.imports.opening import open_source
from service.imports.options import BadOption, ImportOptions, add_reading_arguments, options_of
from service.imports.tables import TableSource
from service.imports.targets import ImportFailed, ImportTarget, is_server_url, open_data, open_url
from service.imports.times import NAMES
from service.ingest.admission import EventRefusal, check_collection_name
from service.settings import BadSettings, key_of_environment, load
from storage.disk.durable_files import sha256_of

IN_FLIGHT = 4
"""Batches that are sent and not yet answered."""
EVENT_BYTES_MAX = 900_000
REFUSED_TEXT_MAX = 20_000
REFUSALS_SHOWN = 5
HOPELESS_EVENTS = 2_000
"""Refused events, with none accepted, after which the import stops as probably given the wrong file."""
BAR_SECONDS = 0.2
LINE_SECONDS = 10.0
BAR_WIDTH = 30
REFUSED_STATUS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="NDJSON, a JSON array, an answer of the API, CSV or TSV, plain or gzip; Parquet or Arrow IPC; "
        "'-': standard input",
    )
    parser.add_argument("--project", required=True, metavar="ID", help="the project")
    parser.add_argument("--collection", required=True, metavar="NAME", help="the collection of every event")
    add_reading_arguments(parser)
    parser.add_argument(
        "--allow-refused",
        type=int,
        default=0,
        metavar="N",
        help=f"refused events up to which the exit status is 0, and {REFUSED_STATUS} beyond (default 0)",
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        help="send to this server, such as http://127.0.0.1:8000; the project's write key comes from "
        "ACUMEN_WRITE_KEY or --write-key-file",
    )
    parser.add_argument(
        "--write-key-file", type=Path, metavar="FILE", help="with --url: a file that holds the write key"
    )
    parser.add_argument("--write-key", help=argparse.SUPPRESS)
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="without --url: the data folder, with or without a server running on it "
        "(ACUMEN_DATA; default: data)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the import; returns the exit status.

    0: every batch was answered; 1: the import stopped early; 2: it could not begin; 3: more events were
    refused than --allow-refused permits.
    """
    try:
        _check(args)
        options = options_of(args)
    except BadOption as error:
        _say(f"acumen: {error}")
        return 2
    progress = ImportProgress()
    try:
        asyncio.run(_import(args, options, progress))
    except (BadSource, BadSettings, ImportFailed, OSError) as error:
        _say(f"acumen: the import stopped: {error}")
        if progress.new or progress.known:
            _say(
                "What was counted is stored. Run the same command to continue from there; it stores nothing "
                "twice."
            )
        return 1
    except KeyboardInterrupt:
        _say("\nInterrupted. Run the same command to continue from there; it stores nothing twice.")
        return 130
    if not (progress.new or progress.known or progress.refused):
        _say(f"{'standard input' if args.file == '-' else args.file} is empty: there are no events in it.")
    if progress.refused > args.allow_refused:
        if args.allow_refused:
            _say(f"acumen: more events were refused than --allow-refused {args.allow_refused}")
        return REFUSED_STATUS
    return 0


def _check(args: argparse.Namespace) -> None:
    """Check the options. Raises BadOption."""
    refusal = check_collection_name(args.collection)
    if refusal is not None:
        raise BadOption(refusal.description)
    if args.url and args.data:
        raise BadOption("give --url or --data, not both")
    if args.url is not None and not is_server_url(args.url):
        raise BadOption(f"--url must be http://host:port or https://…, and '{args.url}' is neither")
    if args.write_key is not None:
        raise BadOption(
            "a key on the command line is visible to everybody who lists processes, and stays in the "
            "shell's history: set ACUMEN_WRITE_KEY, or give --write-key-file"
        )
    if args.write_key_file and not args.url:
        raise BadOption("--write-key-file goes with --url")
    if args.url and not _write_key(args):
        raise BadOption("--url needs the project's write key, in ACUMEN_WRITE_KEY or a --write-key-file")
    if args.allow_refused < 0:
        raise BadOption("--allow-refused is a number of events, from 0")
    if args.file != "-":
        _check_file(Path(args.file))


def _check_file(path: Path) -> None:
    """Raises BadOption if there is no file at the path that can be read more than once."""
    if path.is_dir():
        raise BadOption(f"{path} is a folder: name a file in it, and import one after the other")
    if not path.exists():
        raise BadOption(f"there is no file {path}")
    if not path.is_file():
        raise BadOption(f"{path} is a pipe or device, not a file: give '-', and send it to standard input")


def _write_key(args: argparse.Namespace) -> str:
    if args.write_key_file is None:
        return key_of_environment("write")
    try:
        text: str = args.write_key_file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadOption(f"the write key cannot be read from {args.write_key_file}: {reason}") from None
    return text.strip()


async def _import(args: argparse.Namespace, options: ImportOptions, progress: ImportProgress) -> None:
    refused = RefusedFile(Path("stdin" if args.file == "-" else args.file))
    source = await asyncio.to_thread(open_source, args.file, options, EVENT_BYTES_MAX)
    progress.source = source.source
    refused.of_rows = isinstance(source.source, TableSource)
    try:
        # With other reading options the events differ, so it is a different import.
        identity = f"{args.project}/{args.collection}/{source.identity}"
        digest = None if source.path is None else await asyncio.to_thread(sha256_of, source.path)
        async with _target(args) as target:
            prepare = preparation(options, source.drops_stamps, table=isinstance(source.source, TableSource))
            sending = BatchSender(target, source.source, refused, progress, prepare, options.timestamp_path)
            try:
                await sending.send_all(BatchKeys(identity, digest), args.allow_refused)
            finally:
                progress.finish(refused)
    finally:
        source.close()
        refused.close()


def _target(args: argparse.Namespace) -> AbstractAsyncContextManager[ImportTarget]:
    if args.url:
        return open_url(args.url, args.project, _write_key(args), args.collection, _notice)
    return open_data(load(data=args.data), args.project, args.collection)


Prepare = Callable[[bytes], bytes]
"""Converts the text of an event to what is sent. Raises ValueError if the event is invalid."""


def preparation(options: ImportOptions, drops_stamps: bool, *, table: bool) -> Prepare | None:
    """The conversion applied to each event; None if none is needed. Tables convert times themselves."""
    steps: list[Prepare] = []
    if drops_stamps:
        steps.append(without_stamps)
    if not table and options.timestamp_path and options.read_time is not None:
        path, read = options.timestamp_path, options.read_time
        steps.append(lambda text: with_time(text, path, read))
    if not steps:
        return None

    def prepare(text: bytes) -> bytes:
        for step in steps:
            text = step(text)
        return text

    return prepare


class BatchSender:
    """Sends all batches of a source, up to IN_FLIGHT at once; answers are processed in order."""

    def __init__(
        self,
        target: ImportTarget,
        source: BatchSource,
        refused: RefusedFile,
        progress: ImportProgress,
        prepare: Prepare | None,
        time_path: Sequence[str] = (),
    ) -> None:
        self._target = target
        self._time_path = time_path
        self._source = source
        self._refused = refused
        self._progress = progress
        self._prepare = prepare
        self._waiting: deque[tuple[ItemBatch, asyncio.Task[Answers]]] = deque()

    async def send_all(self, keys: BatchKeys, allow_refused: int) -> None:
        """Send all batches. Raises BadSource, ImportFailed."""
        batches = self._source.batches()
        try:
            while True:
                batch = await asyncio.to_thread(next, batches, None)
                if batch is not None:
                    self._check_times(batch)
                    self._hint(batch)
                    task = asyncio.ensure_future(self._send(batch, keys.key(batch)))
                    self._waiting.append((batch, task))
                while self._waiting and (batch is None or len(self._waiting) >= IN_FLIGHT):
                    await self._process_first_answer()
                if batch is None:
                    return
                self._stop_if_hopeless(allow_refused)
        except BadSource:
            # Events before the unreadable part of the file are still sent.
            while self._waiting:
                await self._process_first_answer()
            raise
        finally:
            for _, task in self._waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in self._waiting), return_exceptions=True)
            self._note_broken_rows()

    async def _send(self, batch: ItemBatch, key: str) -> Answers:
        answers = Answers()
        texts: list[bytes] = []
        places: list[int] = []
        for index, item in enumerate(batch.items):
            try:
                if item.problem is not None:
                    raise ValueError(item.problem)
                texts.append(self._prepare(item.text) if self._prepare else item.text)
                places.append(index)
            except ValueError as error:
                answers.refused[index] = EventRefusal("InvalidEventError", str(error))
        if texts:
            events = b"[" + b",".join(texts) + b"]"
            digest = hashlib.blake2b(events, digest_size=16).digest()
            outcome = await self._target.send(events, key, digest)
            answers.refused.update({places[index]: refusal for index, refusal in outcome.refused.items()})
            answers.known = outcome.known
        return answers

    async def _process_first_answer(self) -> None:
        batch, task = self._waiting.popleft()
        answers = await task
        refused = [(batch.items[index], answers.refused[index]) for index in sorted(answers.refused)]
        broken = self._broken_rows(batch.items[-1].number)
        await asyncio.to_thread(self._write_refused, [*refused, *broken])
        self._progress.add(len(batch.items) - len(refused), answers.known, len(refused) + len(broken))

    def _write_refused(self, refused: list[tuple[Item, EventRefusal]]) -> None:
        refused.sort(key=lambda pair: pair[0].number)
        items = self._source.as_in_file([item for item, _ in refused])
        for item, (_, refusal) in zip(items, refused, strict=True):
            self._refused.write(item, refusal)

    def _broken_rows(self, last: float) -> list[tuple[Item, EventRefusal]]:
        """Take out the broken rows up to a number; later ones may have been read ahead."""
        broken = []
        if isinstance(self._source, TableSource):
            rows = self._source.broken_rows
            while rows and rows[0].number <= last:
                item = rows.popleft()
                broken.append((item, EventRefusal("InvalidEventError", item.problem or "")))
        return broken

    def _note_broken_rows(self) -> None:
        broken = self._broken_rows(math.inf)
        self._write_refused(broken)
        self._progress.refused += len(broken)

    def _check_times(self, batch: ItemBatch) -> None:
        """Raises ImportFailed if no event of the first batch has the property given as --timestamp."""
        if batch.index or not self._time_path or isinstance(self._source, TableSource):
            return
        texts = [item.text for item in batch.items if item.problem is None]
        if texts and not any(has_property(text, self._time_path) for text in texts):
            name = ".".join(self._time_path)
            hint = did_you_mean(name, dict.fromkeys(name for text in texts for name in names_of(text)))
            raise ImportFailed(
                f"none of the first {len(texts):,} events has the property '{name}', which --timestamp names."
                f"{hint} Nothing was imported."
            )

    def _hint(self, batch: ItemBatch) -> None:
        """On the first batch, print the detected types, and a hint if a property seems to be the time."""
        if batch.index:
            return
        if isinstance(self._source, TableSource) and self._source.found_types:
            types = ", ".join(f"{name} {kind}" for name, kind in self._source.found_types.items())
            _say(f"types: {types}")
        first = next((item for item in batch.items if item.problem is None), None)
        if first is None:
            return
        names = names_of(self._prepare_or_none(first))
        likely = [name for name in names if name.lower() in NAMES]
        if likely and "keen.timestamp" not in names:
            _say(
                f"hint: the events have a property '{likely[0]}' and no 'keen.timestamp', so they have the "
                "time of this import. If it is their time, delete them and import the file again with "
                f"--timestamp {likely[0]}"
            )

    def _prepare_or_none(self, item: Item) -> bytes:
        try:
            return self._prepare(item.text) if self._prepare else item.text
        except ValueError:
            return b""

    def _stop_if_hopeless(self, allow_refused: int) -> None:
        progress = self._progress
        if progress.new or progress.known or progress.refused < max(HOPELESS_EVENTS, allow_refused + 1):
            return
        raise ImportFailed(
            f"none of the first {progress.refused:,} events could be imported. Is this the right file, in "
            "the right format?"
        )


@dataclass(slots=True)
class Answers:
    """The outcome of one batch: refused items by index, and the number of items stored before."""

    refused: dict[int, EventRefusal] = field(default_factory=dict)
    known: int = 0


class BatchKeys:
    """Idempotency keys of batches: equal for equal content at the same place, in one project and collection.

    A file is identified by its digest; a stream, which cannot be read twice, by its content up to the batch.
    """

    def __init__(self, identity: str, file_digest: str | None) -> None:
        self._stream = hashlib.sha256(identity.encode()) if file_digest is None else None
        self._prefix = f"{identity}{file_digest}"

    def key(self, batch: ItemBatch) -> str:
        """The key of a batch. Must be called once for each batch, in order."""
        if self._stream is None:
            text = f"{self._prefix}/{batch.offset}"
            return "import-" + hashlib.sha256(text.encode()).hexdigest()
        for item in batch.items:
            self._stream.update(b"%d:" % len(item.text))
            self._stream.update(item.text)
        return f"import-{self._stream.hexdigest()}-{batch.index}"


class RefusedFile:
    """``FILE.refused.ndjson``: the refused events with reasons. Created with the first refused event."""

    def __init__(self, source: Path) -> None:
        self.path = source.with_name(source.name + ".refused.ndjson")
        self.first: list[str] = []
        """The first refusals, as lines for a person."""
        self.of_rows = False
        """Whether the events are rows of a table, which have numbers and no offsets."""
        self._file: IO[bytes] | None = None

    def write(self, item: Item, refusal: EventRefusal) -> None:
        if self._file is None:
            self._file = open(self.path, "wb")  # noqa: SIM115
        text = item.text[:REFUSED_TEXT_MAX].decode("utf-8", "replace")
        record: dict[str, Any] = {"number": item.number}
        if item.line is not None:
            record["line"] = item.line
        if not self.of_rows:
            record["offset"] = item.offset
        record |= {
            "error": {"name": refusal.name, "description": refusal.description},
            "event": text,
        }
        self._file.write(orjson.dumps(record) + b"\n")
        if len(self.first) < REFUSALS_SHOWN:
            kind = "row" if self.of_rows else "event"
            place = f"{kind} {item.number}" if item.line is None else f"line {item.line}"
            self.first.append(f"  {place}: {refusal.description}  {' '.join(text[:60].splitlines())}")

    @property
    def written(self) -> bool:
        return self._file is not None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


@dataclass(slots=True)
class ImportProgress:
    """Shows the import's progress on standard error: as a bar on a terminal, elsewhere as periodic lines."""

    source: BatchSource | None = None
    new: int = 0
    known: int = 0
    """Events stored before, by an earlier run or with an equal uniqueness token."""
    refused: int = 0
    shown_at: float = field(default_factory=time.monotonic)

    def add(self, accepted: int, known: int, refused: int) -> None:
        self.new += accepted - known
        self.known += known
        self.refused += refused
        terminal = sys.stderr.isatty()
        if time.monotonic() - self.shown_at < (BAR_SECONDS if terminal else LINE_SECONDS):
            return
        self.shown_at = time.monotonic()
        if terminal:
            sys.stderr.write(f"\r{self._bar()} {self._counts()}\x1b[K")
            sys.stderr.flush()
        else:
            share = self._share()
            _say(f"{share:.0%} {self._counts()}" if share else self._counts())

    def finish(self, refused: RefusedFile) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
        _say(self._counts())
        if refused.written:
            _say("refused; the first of them:" if self.refused > len(refused.first) else "refused:")
            for line in refused.first:
                _say(line)
            _say(f"All refused events, with the reason of each: {refused.path}")

    def _counts(self) -> str:
        known = f", already known: {self.known:,}" if self.known else ""
        return f"stored: {self.new:,}{known}, refused: {self.refused:,}"

    def _share(self) -> float:
        if self.source is None or not self.source.size:
            return 0.0
        return min(1.0, self.source.position / self.source.size)

    def _bar(self) -> str:
        if self.source is None or not self.source.size:
            return ""
        filled = round(self._share() * BAR_WIDTH)
        return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {self._share():4.0%}"


def _notice(text: str) -> None:
    """Say something while the import goes on; the bar, which is drawn again, makes place for it."""
    _say(("\r\x1b[K" if sys.stderr.isatty() else "") + text)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
