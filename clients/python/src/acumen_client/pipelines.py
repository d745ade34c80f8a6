"""Pipelines: ``client.pipelines``. A folder with ``pipelines.toml`` is applied, watched and derived again."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

from acumen_client import frames
from acumen_client._calls import (
    MASTER,
    AsyncPart,
    Call,
    Flow,
    Part,
    Pause,
    awaited,
    awaited_flow,
    blocking,
    blocking_flow,
    in_project,
)
from acumen_client._rows import Rows
from acumen_client._transport import Answer
from acumen_client.errors import AcumenError
from acumen_client.query import Zone, instant_text, zone_of
from acumen_client.results import instant

Json = dict[str, Any]
Folder = str | os.PathLike[str]
FILE = "pipelines.toml"
PAGE = 1_000
WAIT_SECONDS = 300.0
POLL_SECONDS = 0.5
STATES = ("stale", "frozen", "skipped")


class PipelineFailedError(AcumenError):
    """A bucket that was waited for cannot be derived as things are; the message says why."""


class NotFreshError(AcumenError):
    """A pipeline was not fresh within the time limit."""


@dataclass(frozen=True, slots=True)
class PipelineChange:
    """What applying a folder changes, or has changed, of one pipeline."""

    action: str
    """``create``, ``change``, ``relabel`` or ``remove``."""
    name: str
    buckets: int
    """To be derived at first."""
    events: int
    problem: str | None = None
    """Of a plan: why its steps would fail on the events of today."""
    raw: Json = field(default_factory=dict, repr=False)
    """Of a plan: also ``day``, what the pipeline takes on a day."""

    @classmethod
    def read(cls, sent: Json) -> PipelineChange:
        return cls(sent["action"], sent["name"], sent["buckets"], sent["events"], sent.get("problem"), sent)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline and its state."""

    name: str
    health: str
    """``fresh``, ``stale``, ``failed`` or ``paused``."""
    paused: bool
    owner: str
    sources: tuple[str, ...]
    output: str
    bucket: str
    buckets: Mapping[str, int]
    """State → how many are in it."""
    due: int
    rows: int
    derived_until: datetime | None
    problem: str | None
    definition: Json | None = field(default=None, repr=False)
    """None in lists."""
    raw: Json = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, sent: Json) -> Pipeline:
        return cls(
            sent["name"],
            sent["health"],
            sent["paused"],
            sent["owner"],
            tuple(sent["from"]),
            sent["into"],
            sent["bucket"],
            sent["buckets"],
            sent["due"],
            sent["rows"],
            _moment(sent["derived_until"]),
            sent["problem"],
            sent.get("definition"),
            sent,
        )


@dataclass(frozen=True, slots=True)
class Expectation:
    """What one expectation of a pipeline found, in the buckets as they are now."""

    name: str
    severity: str
    """``warn``, ``quarantine`` or ``stop``."""
    buckets: int
    """In how many it was checked."""
    broken_buckets: int
    """In how many more rows were faulty than are tolerated, or their number was wrong."""
    rows: int
    faulty: int
    rules: tuple[Json, ...]

    @classmethod
    def read(cls, sent: Json) -> Expectation:
        return cls(
            sent["name"],
            sent["severity"],
            sent["buckets"],
            sent["broken_buckets"],
            sent["rows"],
            sent["faulty"],
            tuple(sent["rules"]),
        )


@dataclass(frozen=True, slots=True)
class Expectations:
    """What the expectations of a pipeline found, and the rows that pass although they broke one."""

    quarantine: str | None
    """The collection of the rows that were set aside, each with its ``digest`` and why."""
    set_aside: int
    found: tuple[Expectation, ...]
    accepted: tuple[str, ...]
    """Digests of rows."""

    @classmethod
    def read(cls, sent: Json) -> Expectations:
        found = tuple(Expectation.read(one) for one in sent["expectations"])
        return cls(sent["quarantine"], sent["set_aside"], found, tuple(sent["accepted"]))


class Buckets(Rows):
    """Buckets of a pipeline, the newest first, each a dictionary; instants are datetimes."""

    def __init__(self, sent: Sequence[Json], zone: tzinfo = UTC) -> None:
        times = ("start", "end", "changed")
        rows = [{**one, **{name: instant(one[name], zone) for name in times}} for one in sent]
        super().__init__(rows, rows[0] if rows else (), zone)

    def __repr__(self) -> str:
        return f"Buckets({len(self)} buckets)"


def _moment(text: str | None) -> datetime | None:
    return None if text is None else instant(text)


def _pipeline(answer: Answer) -> Pipeline:
    return Pipeline.read(answer.json())


# A folder


def _files(folder: Folder) -> Json:
    """The file and the reference tables of a folder, as they are sent."""
    base = Path(folder)
    text = (base / FILE).read_text(encoding="utf-8")
    tables = tomllib.loads(text).get("references", {})
    names = [one["file"] for one in tables.values() if isinstance(one, dict) and "file" in one]
    other = [name for name in names if Path(name).name != name or Path(name).suffix not in (".csv", ".tsv")]
    if other:
        raise ValueError(
            f"{other[0]!r}: only CSV and TSV files that stand in the folder itself are sent; a folder with "
            "others is applied on the server, by 'acumen apply'"
        )
    return {"file": text, "references": {name: (base / name).read_text(encoding="utf-8") for name in names}}


def _changes(answer: Answer) -> list[PipelineChange]:
    return [PipelineChange.read(one) for one in answer.json()["changes"]]


def _plan(folder: Folder) -> Call[list[PipelineChange]]:
    """What applying a folder with ``pipelines.toml`` would change."""
    path = in_project("pipelines", "plan")
    return Call("POST", path, _changes, {**MASTER, "json": _files(folder), "repeatable": True})


def _apply(
    folder: Folder, *, revision: str | None = None, remove: bool = False
) -> Call[list[PipelineChange]]:
    """Make the project's pipelines those of a folder; what was changed. Applying the same again changes
    nothing, and pipelines that the folder lacks are removed with ``remove`` alone. ``revision`` is the
    folder's commit, which is kept."""
    body = _files(folder) | ({"remove": True} if remove else {})
    if revision is not None:
        body["revision"] = revision
    path = in_project("pipelines", "apply")
    return Call("POST", path, _changes, {**MASTER, "json": body, "repeatable": True})


# What is there


def _list() -> Call[list[Pipeline]]:
    """All pipelines of the project, by name."""
    path = in_project("pipelines")
    return Call("GET", path, lambda answer: [Pipeline.read(one) for one in answer.json()], MASTER)


def _get(name: str) -> Call[Pipeline]:
    """One pipeline, with its definition."""
    return Call("GET", in_project("pipelines", name), _pipeline, MASTER)


def _buckets(
    name: str,
    *,
    state: str | None = None,
    before: datetime | None = None,
    limit: int | None = None,
    timezone: Zone = "UTC",
) -> Flow[Buckets]:
    """The buckets of a pipeline that were derived, failed or were given a state, the newest first: all of
    them, or ``limit``. ``before``: only those that begin before it."""
    found: list[Json] = []
    next_before = None if before is None else instant_text(before)
    while limit is None or len(found) < limit:
        size = PAGE if limit is None else min(PAGE, limit - len(found))
        given = {"limit": size, "state": state, "before": next_before}
        params = {key: value for key, value in given.items() if value is not None}
        path = in_project("pipelines", name, "buckets")
        page: list[Json] = yield Call(
            "GET", path, lambda answer: answer.json()["buckets"], {**MASTER, "params": params}
        )
        found += page
        if len(page) < size:
            break
        next_before = page[-1]["start"]
    return Buckets(found, zone_of(timezone))


def _change(
    name: str, state: str, *, since: datetime | None = None, until: datetime | None = None
) -> Call[int]:
    """Give the buckets that meet a time a state, all of them without one: ``stale``, ``frozen`` or
    ``skipped``; how many were given it."""
    body: Json = {"state": state}
    body |= {key: instant_text(at) for key, at in (("since", since), ("until", until)) if at is not None}
    path = in_project("pipelines", name, "buckets")
    return Call(
        "POST",
        path,
        lambda answer: int(answer.json()["changed"]),
        {**MASTER, "json": body, "repeatable": True},
    )


def _rebuild(name: str, *, since: datetime | None = None, until: datetime | None = None) -> Call[int]:
    """Derive the buckets that meet a time again, also those that are frozen or skipped; how many."""
    return _change(name, "stale", since=since, until=until)


def _freeze(name: str, *, since: datetime | None = None, until: datetime | None = None) -> Call[int]:
    """Leave the rows of the buckets that meet a time as they are; how many."""
    return _change(name, "frozen", since=since, until=until)


def _skip(name: str, *, since: datetime | None = None, until: datetime | None = None) -> Call[int]:
    """Never derive the buckets that meet a time; how many."""
    return _change(name, "skipped", since=since, until=until)


def _pause(name: str) -> Call[Pipeline]:
    """Let a pipeline begin no run until it is resumed."""
    return Call("POST", in_project("pipelines", name, "pause"), _pipeline, {**MASTER, "repeatable": True})


def _resume(name: str) -> Call[Pipeline]:
    """Let a paused pipeline derive again what is stale."""
    return Call("POST", in_project("pipelines", name, "resume"), _pipeline, {**MASTER, "repeatable": True})


def _expectations_of(answer: Answer) -> Expectations:
    return Expectations.read(answer.json())


def _expectations(
    name: str, *, since: datetime | None = None, until: datetime | None = None
) -> Call[Expectations]:
    """What the expectations of a pipeline found: in all buckets, or in those that meet a time."""
    given = (("since", since), ("until", until))
    params = {key: instant_text(at) for key, at in given if at is not None}
    path = in_project("pipelines", name, "expectations")
    return Call("GET", path, _expectations_of, {**MASTER, "params": params})


def _accept(name: str, digests: Sequence[str]) -> Call[Expectations]:
    """Let rows pass that were set aside, by their ``digest``: a thousand at once at most. Their buckets are
    derived again."""
    return _changed(name, "accept", digests)


def _withdraw(name: str, digests: Sequence[str]) -> Call[Expectations]:
    """Set rows aside again that were accepted."""
    return _changed(name, "withdraw", digests)


def _changed(name: str, what: str, digests: Sequence[str]) -> Call[Expectations]:
    body = {what: list(digests)}
    path = in_project("pipelines", name, "expectations")
    return Call("POST", path, _expectations_of, {**MASTER, "json": body, "repeatable": True})


def _wait_until_fresh(
    name: str,
    until: datetime | None = None,
    *,
    timeout: float = WAIT_SECONDS,
    poll: float = POLL_SECONDS,
) -> Flow[Pipeline]:
    """Wait until all events that the server had acknowledged when this was called are in the pipeline's rows:
    those of all buckets, or of the buckets that begin before ``until``.

    Of pipelines that read each other's rows wait for the first one first. Raises PipelineFailedError where
    such a bucket failed, NotFreshError after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    since: datetime | None = None
    while True:
        found: Pipeline = yield _get(name)
        raw = found.raw
        since = since or instant(raw["as_of"])
        stored = instant(raw["stored_through"]) > since
        behind = _moment(raw["fresh_until"])
        if behind is None or (until is not None and behind >= until):
            if stored:
                return found
        elif found.due == 0 and stored:
            raise PipelineFailedError(f"{name}: {found.problem}")
        if time.monotonic() + poll > deadline:
            paused = " It is paused." if found.paused else ""
            raise NotFreshError(f"{name} was not fresh after {timeout:g} seconds.{paused}")
        yield Pause(poll)


class Pipelines(Part):
    """``client.pipelines``."""

    plan = blocking(_plan)
    apply = blocking(_apply)
    list = blocking(_list)
    get = blocking(_get)
    buckets = blocking_flow(_buckets)
    change = blocking(_change)
    rebuild = blocking(_rebuild)
    freeze = blocking(_freeze)
    skip = blocking(_skip)
    pause = blocking(_pause)
    resume = blocking(_resume)
    expectations = blocking(_expectations)
    accept = blocking(_accept)
    withdraw = blocking(_withdraw)
    wait_until_fresh = blocking_flow(_wait_until_fresh)


class AsyncPipelines(AsyncPart):
    """``client.pipelines``."""

    plan = awaited(_plan)
    apply = awaited(_apply)
    list = awaited(_list)
    get = awaited(_get)
    buckets = awaited_flow(_buckets)
    change = awaited(_change)
    rebuild = awaited(_rebuild)
    freeze = awaited(_freeze)
    skip = awaited(_skip)
    pause = awaited(_pause)
    resume = awaited(_resume)
    expectations = awaited(_expectations)
    accept = awaited(_accept)
    withdraw = awaited(_withdraw)
    wait_until_fresh = awaited_flow(_wait_until_fresh)


# Reference tables


def write_reference(folder: Folder, name: str, frame: Any, *, unique: Sequence[str] = ()) -> Path:
    """Write a pandas, Polars or Arrow table as the reference table ``name`` of a folder of pipelines: as
    ``name.csv``, which is replaced, and with its types in ``pipelines.toml``, where the table is added if the
    file lacks it. Returns the path of the CSV file.

    Null, NaN, NaT and empty texts are all no value. Raises FrameError where a column has values that a
    reference table cannot hold; ValueError, with nothing written, where ``pipelines.toml`` describes the
    table otherwise.
    """
    base = Path(folder)
    names, columns = _columns_of(frame)
    types = {column: _type_of(column, columns[column]) for column in names}
    file = f"{name}.csv"
    described = _described(name, file, types, unique)
    path = base / FILE
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    known = tomllib.loads(text).get("references", {}).get(name)
    if known is not None and (known.get("file"), known.get("types")) != (file, types):
        raise ValueError(f"{path} describes the table otherwise. It must say:\n{described}")
    _write_csv(base / file, names, columns)
    if known is None:
        between = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        path.write_text(f"{text}{between}{described}", encoding="utf-8")
    return base / file


def _columns_of(frame: Any) -> tuple[list[str], dict[str, list[Any]]]:
    reader = frames._reader_of(frame)
    names = reader.names(None)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    if len(columns) < len(names):
        raise frames.FrameError("a column's name is there twice")
    for part, _ in reader.slices(frames.BATCH_EVENTS):
        for name in names:
            columns[name] += map(_cell, part[name])
    return names, columns


def _cell(value: Any) -> Any:
    """A plain value; None for none."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "item") and type(value).__module__ == "numpy":
        value = value.item()
    if isinstance(value, Decimal):
        value = float(value)
    return None if isinstance(value, float) and math.isnan(value) else value


_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", date: "date"}


def _type_of(name: str, values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return "number"
    if kinds and all(issubclass(kind, datetime) for kind in kinds):
        return "datetime"
    if not kinds:
        return "string"
    found = _TYPES.get(next(iter(kinds))) if len(kinds) == 1 else None
    if found is None:
        said = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise frames.FrameError(f"column {name!r}: a reference table holds no column of {said}")
    if found == "integer" and any(value is not None and abs(value) > frames.INT64_MAX for value in values):
        raise frames.FrameError(f"column {name!r}: has integers beyond 64 bits")
    return found


def _described(name: str, file: str, types: Mapping[str, str], unique: Sequence[str]) -> str:
    """The table's part of ``pipelines.toml``; texts of JSON are texts of TOML."""
    listed = ", ".join(f"{_key(column)} = {_quoted(kind)}" for column, kind in types.items())
    lines = [f"[references.{_key(name)}]", f"file = {_quoted(file)}", f"types = {{ {listed} }}"]
    if unique:
        lines.append(f"unique = [{', '.join(map(_quoted, unique))}]")
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    """A name as a key of TOML."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _write_csv(path: Path, names: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in zip(*(columns[name] for name in names), strict=True):
            writer.writerow([_csv_text(value) for value in row])
    unfinished.replace(path)


def _csv_text(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return repr(value) if isinstance(value, float) else str(value)
