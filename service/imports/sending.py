"""Sends the events of a file to a target, batch by batch.

The file is cut into batches at fixed places. Each batch is sent with an idempotency key made of the file's
digest and the batch's place, so that an interrupted import can be run again without storing events twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from query.language.suggestions import did_you_mean
from service.imports.json_source import (
    BadSource,
    BatchSource,
    Interrupted,
    Item,
    ItemBatch,
    has_property,
    names_of,
    with_time,
    without_stamps,
)
from service.imports.options import ImportOptions
from service.imports.refused_file import RefusedFile
from service.imports.tables import TableSource
from service.imports.times import NAMES
from service.ingest.admission import EventRefusal

IN_FLIGHT = 4
"""Batches that are sent and not yet answered."""
EVENT_BYTES_MAX = 900_000
HOPELESS_EVENTS = 2_000
"""Refused events, with none accepted, after which the import stops as probably given the wrong file."""


class ImportFailed(Exception):
    """The target does not accept the events, and retrying now would not help."""


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """The outcome of a batch: refused events by index, how many of the others were stored before, and how
    many there were in all."""

    refused: dict[int, EventRefusal]
    known: int = 0
    count: int = 0


class ImportTarget(Protocol):
    """Accepts batches: the JSON text of a list of events, and the batch's idempotency key."""

    async def send(self, events: bytes, key: str, digest: bytes) -> BatchOutcome:
        """Send a batch; returns once it is durable. Raises ImportFailed."""
        ...


class SendingProgress(Protocol):
    """Counts what became of the events."""

    new: int
    known: int
    refused: int

    def add(self, accepted: int, known: int, refused: int) -> None:
        """Count one batch; ``known`` are those of the accepted events that were stored before."""
        ...


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
        progress: SendingProgress,
        prepare: Prepare | None,
        time_path: Sequence[str] = (),
        *,
        on_first: Callable[[ItemBatch], None] = lambda _: None,
        resumable: bool = False,
    ) -> None:
        """``on_first`` gets the first batch before it is sent. ``resumable``: whether what is counted must be
        exactly what belongs to the batches answered so far, so that another sender can go on after them."""
        self._target = target
        self._time_path = time_path
        self._source = source
        self._refused = refused
        self._progress = progress
        self._prepare = prepare
        self._on_first = on_first
        self._resumable = resumable
        self._stopped = False
        self._waiting: deque[tuple[ItemBatch, asyncio.Task[Answers]]] = deque()

    def stop(self) -> None:
        """Send no further batches: ``send_all`` returns once those under way are answered."""
        self._stopped = True

    async def send_all(self, keys: BatchKeys, hopeless_events: int, *, skip: int = 0) -> None:
        """Send all batches but the first ``skip``. Raises BadSource, ImportFailed, Interrupted.

        ImportFailed also once ``hopeless_events`` were refused and none was accepted.
        """
        batches = self._source.batches()
        try:
            while True:
                batch = None if self._stopped else await asyncio.to_thread(next, batches, None)
                if batch is not None and batch.index < skip:
                    self._take_broken_rows(batch.items[-1].number)
                    continue
                if batch is not None:
                    self._begin(batch, keys)
                while self._waiting and (batch is None or len(self._waiting) >= IN_FLIGHT):
                    await self._process_first_answer()
                if batch is None:
                    break
                self._stop_if_hopeless(hopeless_events)
            if self._resumable and not self._stopped:
                self._note_broken_rows()
        except (BadSource, Interrupted):
            # Events before the unreadable part of the file are still sent.
            while self._waiting:
                await self._process_first_answer()
            raise
        finally:
            for _, task in self._waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in self._waiting), return_exceptions=True)
            if not self._resumable:
                self._note_broken_rows()

    def _begin(self, batch: ItemBatch, keys: BatchKeys) -> None:
        if not batch.index:
            self._check_times(batch)
            self._on_first(batch)
        task = asyncio.ensure_future(self._send(batch, keys.key(batch)))
        self._waiting.append((batch, task))

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
        broken = self._take_broken_rows(batch.items[-1].number)
        await asyncio.to_thread(self._write_refused, [*refused, *broken])
        self._progress.add(len(batch.items) - len(refused), answers.known, len(refused) + len(broken))

    def _write_refused(self, refused: list[tuple[Item, EventRefusal]]) -> None:
        refused.sort(key=lambda pair: pair[0].number)
        items = self._source.as_in_file([item for item, _ in refused])
        for item, (_, refusal) in zip(items, refused, strict=True):
            self._refused.write(item, refusal)

    def _take_broken_rows(self, last: float) -> list[tuple[Item, EventRefusal]]:
        """Take out the broken rows up to a number; later ones may have been read ahead."""
        broken = []
        if isinstance(self._source, TableSource):
            rows = self._source.broken_rows
            while rows and rows[0].number <= last:
                item = rows.popleft()
                broken.append((item, EventRefusal("InvalidEventError", item.problem or "")))
        return broken

    def _note_broken_rows(self) -> None:
        broken = self._take_broken_rows(math.inf)
        self._write_refused(broken)
        self._progress.refused += len(broken)

    def _check_times(self, batch: ItemBatch) -> None:
        """Raises ImportFailed if no event of the first batch has the property given as --timestamp."""
        if not self._time_path or isinstance(self._source, TableSource):
            return
        texts = [item.text for item in batch.items if item.problem is None]
        if texts and not any(has_property(text, self._time_path) for text in texts):
            name = ".".join(self._time_path)
            hint = did_you_mean(name, dict.fromkeys(name for text in texts for name in names_of(text)))
            raise ImportFailed(
                f"none of the first {len(texts):,} events has the property '{name}', which --timestamp names."
                f"{hint} Nothing was imported."
            )

    def _stop_if_hopeless(self, hopeless_events: int) -> None:
        progress = self._progress
        if progress.new or progress.known or progress.refused < hopeless_events:
            return
        raise ImportFailed(
            f"none of the first {progress.refused:,} events could be imported. Is this the right file, in "
            "the right format?"
        )


def likely_times(names: Sequence[str]) -> list[str]:
    """Those of an event's properties that seem to be its time; none if it has a ``keen.timestamp``."""
    return [] if "keen.timestamp" in names else [name for name in names if name.lower() in NAMES]


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


def batch_keys(project_id: str, collection: str, read_as: str, file_digest: str | None) -> BatchKeys:
    """The keys of one file's batches. With other reading options (``read_as``) the events differ, so it is a
    different import."""
    return BatchKeys(f"{project_id}/{collection}/{read_as}", file_digest)
