"""Extractions of any size: events one after another in constant memory, or a file.

The server makes a file of the events in the background; it is read while it comes, and removed at the end. Of
more events than one file may hold several are made, one after another, each of a part of the timeframe.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from acumen_client import _json, frames
from acumen_client._calls import Call, Flow, Pause, in_project, run, run_async, run_flow, run_flow_async
from acumen_client._progress import Progress, progress_for
from acumen_client._transport import AsyncTransport, Transport
from acumen_client.errors import AcumenError, BadRequestError, ConnectionFailedError
from acumen_client.query import Extraction, FilterLike, P, Zone, parameters_as_json
from acumen_client.results import event_of, instant, zone_of_question

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

Event: TypeAlias = dict[str, Any]
NDJSON = "application/json"
EVENTS_PER_FILE = 5_000_000
"""Events of which one file is made at most; a server's own limit is ten million unless set."""
EVENTS_AT_ONCE = 10_000
"""Events for which no file is made: they are asked for as an answer."""
LINES = {"content_type": NDJSON, "content_encoding": "gzip"}
UNPACKED_BYTES = 256 << 10
FIRST_PAUSE_SECONDS = 0.05
PAUSE_SECONDS_MAX = 2.0
CONTENT_TYPES = {
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".ndjson": NDJSON,
    ".jsonl": NDJSON,
    ".json": NDJSON,
}
_INTERVALS = ("yearly", "monthly", "daily", "hourly", "minutely")
_USUAL_TIMES = ("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
_ABOUT_WHICH = ("event_collection", "filters", "timeframe", "timezone", "week_start")


class ExtractionFailedError(AcumenError):
    """The server could not make the file of an extraction; the message is its reason."""


@dataclass(frozen=True, slots=True)
class ExtractionJob:
    """An extraction to a file: how far it is, and where the file is once it is made."""

    id: str
    state: Literal["queued", "running", "done", "failed", "expired"]
    event_collection: str
    content_type: str
    content_encoding: str | None
    message: str | None
    """Why it failed, or why its file is gone."""
    events: int
    of: int | None
    """How many events it has so far, and will have; the latter once they are counted."""
    bytes: int | None
    file_url: str | None
    created_date: datetime
    expires_date: datetime | None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, sent: Mapping[str, Any]) -> ExtractionJob:
        expires = sent.get("expires_date")
        return cls(
            id=sent["id"],
            state=sent["state"],
            event_collection=sent["event_collection"],
            content_type=sent["content_type"],
            content_encoding=sent.get("content_encoding"),
            message=sent.get("message"),
            events=sent["progress"]["events"],
            of=sent["progress"]["of"],
            bytes=sent.get("bytes"),
            file_url=sent.get("file_url"),
            created_date=instant(sent["created_date"]),
            expires_date=None if expires is None else instant(expires),
            raw=sent,
        )

    @property
    def file_path(self) -> str:
        """The file's address below the client's own, however the server is reached from elsewhere."""
        url = self.file_url or ""
        return url[url.index("/3.0/projects/") :]


# The calls


def show_job(job_id: str) -> Call[ExtractionJob]:
    """An extraction's job as it is now."""
    return Call("GET", in_project("extractions", job_id), lambda answer: ExtractionJob.read(answer.json()))


def remove_job(job_id: str) -> Call[None]:
    """Cancel an extraction, or remove its file. For the key that asked for it, and the master key."""
    return Call("DELETE", in_project("extractions", job_id), lambda answer: None, {"repeatable": True})


def start_job(parameters: Mapping[str, Any], email: str | None = None) -> Call[ExtractionJob]:
    """Ask for the file of an extraction whose parameters are JSON already."""
    whither = {"delivery": "link"} if email is None else {"email": email}
    return Call(
        "POST",
        in_project("queries", "extraction"),
        lambda answer: ExtractionJob.read(answer.json()["job"]),
        {"json": {**parameters, **whither}},
    )


def _counted(parameters: Mapping[str, Any], **more: Any) -> Call[Any]:
    asked = {name: parameters[name] for name in _ABOUT_WHICH if name in parameters}
    options = {"json": {**asked, **more}, "repeatable": True}
    return Call("POST", in_project("queries", "count"), lambda answer: answer.json()["result"], options)


# Which files


@dataclass(frozen=True, slots=True)
class Portion:
    """An extraction of which one file is made, and how many events it has about."""

    parameters: Mapping[str, Any]
    events: int


def portions(parameters: Mapping[str, Any], events_max: int) -> Flow[list[Portion]]:
    """The extraction, divided by time into files of ``events_max`` at most; the newest first.

    A minute is not divided. With ``latest`` nothing is.
    """
    if "latest" in parameters:
        return [Portion(parameters, parameters["latest"])]
    total = yield _counted(parameters)
    if total <= events_max:
        return [Portion(parameters, total)]
    found: list[Portion] = []
    for timeframe in _divisible(parameters.get("timeframe")):
        found += yield from _divided({**parameters, "timeframe": timeframe}, events_max, _INTERVALS)
    return [one for one in reversed(found) if one.events]


def _divisible(timeframe: Any) -> list[Any]:
    """Timeframes that together are this one, those with both ends set apart from open ones."""
    if isinstance(timeframe, str):
        return [timeframe]
    ends = timeframe or {}
    start, end = ends.get("start"), ends.get("end")
    if start and end:
        return [ends]
    inner = [
        time for time in _USUAL_TIMES if (not start or _after(time, start)) and (not end or _after(end, time))
    ]
    edges = [start, *inner, end]
    spans = [{"start": one, "end": other} for one, other in pairwise(edges)]
    return [{name: moment for name, moment in span.items() if moment} for span in spans]


def _after(one: str, other: str) -> bool:
    return instant(one) > instant(other)


def _divided(parameters: Mapping[str, Any], events_max: int, intervals: Sequence[str]) -> Flow[list[Portion]]:
    """The extraction of a timeframe in portions, the oldest first, as equal in size as its parts allow."""
    timeframe = parameters["timeframe"]
    if not intervals or (isinstance(timeframe, Mapping) and len(timeframe) < 2):
        return [Portion(parameters, (yield _counted(parameters)))]
    parts = yield _counted(parameters, interval=intervals[0])
    found: list[Portion] = []
    gathered: list[Any] = []
    for part in [*parts, None]:
        size = sum(one["value"] for one in gathered)
        if gathered and (part is None or size + part["value"] > events_max):
            span = {"start": gathered[0]["timeframe"]["start"], "end": gathered[-1]["timeframe"]["end"]}
            portion = {**parameters, "timeframe": span}
            if size > events_max:
                found += yield from _divided(portion, events_max, intervals[1:])
            else:
                found.append(Portion(portion, size))
            gathered = []
        gathered.append(part)
    return found


def _made(parameters: Mapping[str, Any], job: _JobId, watch: _Watch) -> Flow[ExtractionJob]:
    """Have the file made. ``job`` gets the id, so that whoever is interrupted can remove it.

    Raises ExtractionFailedError.
    """
    seen: ExtractionJob = yield start_job(parameters)
    job.value = seen.id
    pause = FIRST_PAUSE_SECONDS
    while seen.state in ("queued", "running"):
        watch.making(seen)
        yield Pause(pause)
        pause = min(pause * 1.5, PAUSE_SECONDS_MAX)
        seen = yield show_job(seen.id)
    if seen.state != "done":
        raise ExtractionFailedError(seen.message or f"the extraction is {seen.state}")
    return seen


class _JobId:
    value: str | None = None


class _Watch:
    """Shows how far an extraction is: events that were read, of all portions together."""

    def __init__(self, progress: Progress, total: int | None = None) -> None:
        self._progress = progress
        self.total = total
        self.read = 0

    def making(self, job: ExtractionJob) -> None:
        self._progress.update(self.read, self.total if self.total is not None else job.of)

    def got(self, events: int) -> None:
        self.read += events
        self._progress.update(self.read, self.total)

    def close(self) -> None:
        self._progress.close()


class _Lines:
    """Events out of the pieces of a gzipped file of lines, a part at a time of one that unpacks to much."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._unpacker = zlib.decompressobj(wbits=31)
        self._rest = b""

    def lists(self, piece: bytes) -> Iterator[list[Event]]:
        while piece:
            lines = (self._rest + self._unpacker.decompress(piece, UNPACKED_BYTES)).split(b"\n")
            self._rest = lines.pop()
            yield [event_of(_json.loads(line), self._zone) for line in lines if line]
            piece = self._unpacker.unconsumed_tail


class _Download:
    """A file that is fetched in pieces, and from where it broke off after a failure."""

    def __init__(self, job: ExtractionJob) -> None:
        self._job = job
        self._had = 0
        self._attempt = 1

    @property
    def is_whole(self) -> bool:
        return self._job.bytes is not None and self._had >= self._job.bytes

    @property
    def request(self) -> tuple[str, str, dict[str, Any]]:
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={self._had}-"} if self._had else {})}
        path = self._job.file_path
        return "GET", path, {"key": "none", "headers": headers}

    def check(self, status: int) -> None:
        if self._had and status != 206:
            raise ExtractionFailedError("the download broke off, and the server does not go on with it")

    def got(self, piece: bytes) -> bytes:
        self._had += len(piece)
        self._attempt = 1
        return piece

    def pause_after(self, transport: Transport | AsyncTransport, error: AcumenError) -> float:
        """How long to wait before it goes on; raises the error where it should not."""
        pause = transport.target.retries.next_pause(self._attempt, error, repeatable=True)
        if pause is None:
            raise error
        self._attempt += 1
        return pause


def _pieces(transport: Transport, job: ExtractionJob) -> Generator[bytes]:
    download = _Download(job)
    while not download.is_whole:
        method, path, options = download.request
        try:
            with transport.stream(method, path, **options) as response:
                download.check(response.status_code)
                for piece in response.iter_raw():
                    yield download.got(piece)
            if not download.is_whole:
                raise ConnectionFailedError("the download broke off")
        except AcumenError as error:
            time.sleep(download.pause_after(transport, error))


async def _pieces_async(transport: AsyncTransport, job: ExtractionJob) -> AsyncGenerator[bytes]:
    download = _Download(job)
    while not download.is_whole:
        method, path, options = download.request
        try:
            async with transport.stream(method, path, **options) as response:
                download.check(response.status_code)
                async for piece in response.aiter_raw():
                    yield download.got(piece)
            if not download.is_whole:
                raise ConnectionFailedError("the download broke off")
        except AcumenError as error:
            await asyncio.sleep(download.pause_after(transport, error))


# What is given to the caller


class EventStream:
    """The events of an extraction, one after another, newest first; each is held for as long as you hold it.

    It is closed, and the server's file removed, when it is read to its end, and by ``close`` or ``with``.
    """

    def __init__(self, lists: Generator[list[Event]], zone: tzinfo, watch: _Watch) -> None:
        self._lists = lists
        self._zone = zone
        self._watch = watch
        self._at_hand: Iterator[Event] = iter(())

    @property
    def total(self) -> int | None:
        """How many events there are; None until that is known, which is when the first has come."""
        return self._watch.total

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while True:
            for event in self._at_hand:
                return event
            self._at_hand = iter(next(self._lists))

    def batches(self, size: int = 10_000) -> Iterator[list[Event]]:
        """The same in lists of so many."""
        batch: list[Event] = []
        for event in self:
            batch.append(event)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def to_pandas(self) -> pandas.DataFrame:
        """All that are left as a pandas DataFrame, a column for each path of properties."""
        return frames.to_pandas(frames.columns_of_events(list(self)), self._zone)

    def to_polars(self) -> polars.DataFrame:
        """All that are left as a Polars DataFrame, a column for each path of properties."""
        return frames.to_polars(frames.columns_of_events(list(self)), self._zone)

    def to_arrow(self) -> pyarrow.Table:
        """All that are left as an Arrow table, a column for each path of properties."""
        return frames.to_arrow(frames.columns_of_events(list(self)), self._zone)

    def close(self) -> None:
        """End it before all are read."""
        self._lists.close()
        self._at_hand = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncEventStream:
    """The same as ``EventStream``, for ``async for`` and ``async with``."""

    def __init__(self, lists: AsyncGenerator[list[Event]], zone: tzinfo, watch: _Watch) -> None:
        self._lists = lists
        self._zone = zone
        self._watch = watch
        self._at_hand: Iterator[Event] = iter(())

    @property
    def total(self) -> int | None:
        """How many events there are; None until that is known, which is when the first has come."""
        return self._watch.total

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            for event in self._at_hand:
                return event
            self._at_hand = iter(await anext(self._lists))

    async def batches(self, size: int = 10_000) -> AsyncGenerator[list[Event]]:
        """The same in lists of so many."""
        batch: list[Event] = []
        async for event in self:
            batch.append(event)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    async def to_pandas(self) -> pandas.DataFrame:
        """All that are left as a pandas DataFrame, a column for each path of properties."""
        return frames.to_pandas(frames.columns_of_events([one async for one in self]), self._zone)

    async def to_polars(self) -> polars.DataFrame:
        """All that are left as a Polars DataFrame, a column for each path of properties."""
        return frames.to_polars(frames.columns_of_events([one async for one in self]), self._zone)

    async def to_arrow(self) -> pyarrow.Table:
        """All that are left as an Arrow table, a column for each path of properties."""
        return frames.to_arrow(frames.columns_of_events([one async for one in self]), self._zone)

    async def aclose(self) -> None:
        """End it before all are read."""
        await self._lists.aclose()
        self._at_hand = iter(())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _lists(
    transport: Transport, parameters: Mapping[str, Any], per_file: int, watch: _Watch
) -> Generator[list[Event]]:
    zone = zone_of_question(parameters)
    try:
        wanted = run_flow(transport, portions(parameters, per_file))
        watch.total = _total(wanted)
        for portion in wanted:
            at_once = run_flow(transport, _small(portion))
            if at_once is not None:
                yield _told(at_once, zone, watch)
                continue
            job = _JobId()
            try:
                made = run_flow(transport, _made({**portion.parameters, **LINES}, job, watch))
                lines = _Lines(zone)
                with closing(_pieces(transport, made)) as pieces:
                    for piece in pieces:
                        for events in lines.lists(piece):
                            watch.got(len(events))
                            yield events
            finally:
                if job.value is not None:
                    with suppress(AcumenError):
                        run(transport, remove_job(job.value))
    finally:
        watch.close()


async def _lists_async(
    transport: AsyncTransport, parameters: Mapping[str, Any], per_file: int, watch: _Watch
) -> AsyncGenerator[list[Event]]:
    zone = zone_of_question(parameters)
    try:
        wanted = await run_flow_async(transport, portions(parameters, per_file))
        watch.total = _total(wanted)
        for portion in wanted:
            at_once = await run_flow_async(transport, _small(portion))
            if at_once is not None:
                yield _told(at_once, zone, watch)
                continue
            job = _JobId()
            try:
                made = await run_flow_async(transport, _made({**portion.parameters, **LINES}, job, watch))
                lines = _Lines(zone)
                async with aclosing(_pieces_async(transport, made)) as pieces:
                    async for piece in pieces:
                        for events in lines.lists(piece):
                            watch.got(len(events))
                            yield events
            finally:
                if job.value is not None:
                    with suppress(AcumenError):
                        await run_async(transport, remove_job(job.value))
    finally:
        watch.close()


def _total(wanted: Sequence[Portion]) -> int | None:
    """How many events there are in all; not known beforehand of the newest so many."""
    return None if any("latest" in one.parameters for one in wanted) else sum(one.events for one in wanted)


def _small(portion: Portion) -> Flow[list[Event] | None]:
    """The events of a small portion, without a file; None where it is large, or takes too much reading."""
    if portion.events > EVENTS_AT_ONCE:
        return None
    try:
        options = {"json": dict(portion.parameters), "repeatable": True}
        path = in_project("queries", "extraction")
        events: list[Event] = yield Call("POST", path, lambda answer: answer.json()["result"], options)
    except BadRequestError as error:
        if error.code == "QueryLimitError":
            return None
        raise
    return events


def _told(sent: list[Event], zone: tzinfo, watch: _Watch) -> list[Event]:
    watch.got(len(sent))
    return [event_of(one, zone) for one in sent]


def _asked(
    what: str | Extraction,
    filters: FilterLike | Iterable[FilterLike] | None,
    timeframe: Any,
    timezone: Zone | None,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    given = {"filters": filters, "timeframe": timeframe, "timezone": timezone, **more}
    if isinstance(what, str):
        return parameters_as_json({"event_collection": what, **given})
    return {**what.to_json(), **parameters_as_json(given)}


class Extracting:
    """The part of ``Acumen`` that extracts events."""

    transport: Transport

    def extract(
        self,
        what: str | Extraction,
        *,
        filters: FilterLike | Iterable[FilterLike] | None = None,
        timeframe: Any = None,
        timezone: Zone | None = None,
        property_names: str | P | Iterable[str | P] | None = None,
        latest: int | None = None,
        progress: bool | None = None,
        events_per_file: int = EVENTS_PER_FILE,
    ) -> EventStream:
        """All events of a collection, or of a question, in constant memory, newest first.

        ``progress`` shows a bar on standard error; None: where that is a terminal or a notebook. A key that
        may not extract raises ForbiddenError with the first event.
        """
        more = {"property_names": property_names, "latest": latest}
        parameters = _asked(what, filters, timeframe, timezone, more)
        watch = _Watch(progress_for(str(parameters["event_collection"]), progress))
        lists = _lists(self.transport, parameters, events_per_file, watch)
        return EventStream(lists, zone_of_question(parameters), watch)

    def export(
        self,
        what: str | Extraction,
        path: str | Path,
        *,
        filters: FilterLike | Iterable[FilterLike] | None = None,
        timeframe: Any = None,
        timezone: Zone | None = None,
        property_names: str | P | Iterable[str | P] | None = None,
        latest: int | None = None,
        progress: bool | None = None,
    ) -> Path:
        """A file of events, as the server makes it: CSV, NDJSON or Parquet by the ending of ``path``.

        ``.csv``, ``.ndjson`` and ``.jsonl`` may be followed by ``.gz``. The file is there once it is whole.
        """
        target = _Target(Path(path))
        more = {"property_names": property_names, "latest": latest, **target.form}
        parameters = _asked(what, filters, timeframe, timezone, more)
        watch = _Watch(progress_for(target.path.name, progress))
        job = _JobId()
        try:
            made = run_flow(self.transport, _made(parameters, job, watch))
            with target.unfinished.open("wb") as file:
                for piece in _pieces(self.transport, made):
                    file.write(piece)
            watch.got(made.events)
            return target.finish()
        finally:
            watch.close()
            target.unfinished.unlink(missing_ok=True)
            if job.value is not None:
                with suppress(AcumenError):
                    run(self.transport, remove_job(job.value))


class AsyncExtracting:
    """The part of ``AsyncAcumen`` that extracts events."""

    transport: AsyncTransport

    def extract(
        self,
        what: str | Extraction,
        *,
        filters: FilterLike | Iterable[FilterLike] | None = None,
        timeframe: Any = None,
        timezone: Zone | None = None,
        property_names: str | P | Iterable[str | P] | None = None,
        latest: int | None = None,
        progress: bool | None = None,
        events_per_file: int = EVENTS_PER_FILE,
    ) -> AsyncEventStream:
        """As ``Acumen.extract``, for ``async for``."""
        more = {"property_names": property_names, "latest": latest}
        parameters = _asked(what, filters, timeframe, timezone, more)
        watch = _Watch(progress_for(str(parameters["event_collection"]), progress))
        lists = _lists_async(self.transport, parameters, events_per_file, watch)
        return AsyncEventStream(lists, zone_of_question(parameters), watch)

    async def export(
        self,
        what: str | Extraction,
        path: str | Path,
        *,
        filters: FilterLike | Iterable[FilterLike] | None = None,
        timeframe: Any = None,
        timezone: Zone | None = None,
        property_names: str | P | Iterable[str | P] | None = None,
        latest: int | None = None,
        progress: bool | None = None,
    ) -> Path:
        """As ``Acumen.export``."""
        target = _Target(Path(path))
        more = {"property_names": property_names, "latest": latest, **target.form}
        parameters = _asked(what, filters, timeframe, timezone, more)
        watch = _Watch(progress_for(target.path.name, progress))
        job = _JobId()
        try:
            made = await run_flow_async(self.transport, _made(parameters, job, watch))
            with target.unfinished.open("wb") as file:
                async for piece in _pieces_async(self.transport, made):
                    file.write(piece)
            watch.got(made.events)
            return target.finish()
        finally:
            watch.close()
            target.unfinished.unlink(missing_ok=True)
            if job.value is not None:
                with suppress(AcumenError):
                    await run_async(self.transport, remove_job(job.value))


class _Target:
    """A file that is written under another name until it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unfinished = path.with_name(f"{path.name}.part")
        self.form: dict[str, Any] = {}
        """The parameters of an extraction to such a file. Raises ValueError for an unknown ending."""
        suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
        if suffix not in CONTENT_TYPES:
            raise ValueError(f"{path.name} ends with none of {', '.join(CONTENT_TYPES)}")
        self.form["content_type"] = CONTENT_TYPES[suffix]
        if path.name.endswith(".gz"):
            self.form["content_encoding"] = "gzip"

    def finish(self) -> Path:
        self.unfinished.replace(self.path)
        return self.path
