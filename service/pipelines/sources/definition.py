"""Sources as ``pipelines.toml`` describes them: what is read, how its rows become events, and how often."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from query.transforms.fields import Fields, InvalidPipeline
from service.imports.formats import ImportFormat
from service.imports.options import BadOption, GivenOptions, ImportOptions, checked, in_words_of_api
from service.ingest.admission import check_collection_name
from service.pipelines.connections.definition import HttpConnection, PostgresConnection, any_connection
from storage.catalog.runs.records import PRIORITY_MAX

SOURCES_MAX = 1_000
PATTERNS_MAX = 20
EVERY_US_MIN = 1_000_000
EVERY_US_MAX = 400 * 86_400_000_000
FILES_EVERY_US = 5_000_000
OTHERS_EVERY_US = 300_000_000
PAGES = 100
PAGES_MAX = 10_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")


class FileChanges(StrEnum):
    """What a file may do once it was read."""

    REFUSE = "refuse"
    """Nothing: its new content is not read, and the status says so."""
    APPEND = "append"
    """It grows at its end; whole lines are read."""
    AGAIN = "again"
    """It is read again; the ids of its rows tell which are new."""


class PageFormat(StrEnum):
    JSON = "json"
    NDJSON = "ndjson"


class RowFaults(StrEnum):
    """What is done if a row cannot become an event."""

    FAIL = "fail"
    """Nothing of the file, page or query is stored."""
    DROP = "drop"
    """The row is left out and counted."""


@dataclass(frozen=True, slots=True)
class RowRules:
    """How rows become events."""

    options: ImportOptions
    time: tuple[str, ...]
    """The property that is their time; empty: they have a ``keen.timestamp`` or that of their arrival."""
    id: tuple[str, ...]
    """The property of which each value is stored once; empty: none."""
    faults: RowFaults


@dataclass(frozen=True, slots=True)
class WatchedFiles:
    """Files below the project's folder."""

    patterns: tuple[str, ...]
    changes: FileChanges

    def __str__(self) -> str:
        return f"files {', '.join(self.patterns)}"


@dataclass(frozen=True, slots=True)
class FetchedPages:
    """Pages that are fetched by HTTP, in one list or several."""

    connection: HttpConnection
    """With the whole URL."""
    lines: bool
    """Whether a page has an event on each line; others are JSON."""
    events: tuple[str, ...]
    """Where in the answer the list is; empty: the answer is the list."""
    next: tuple[str, ...]
    """Where in the answer the next page is named; empty: the header ``Link`` says it, if anything."""
    next_parameter: str | None
    """The parameter that has what is named there; None: that is a URL."""
    pages: int
    cursor: tuple[str, ...] | None
    cursor_parameter: str | None
    start: str | int | None
    overlap_us: int

    def __str__(self) -> str:
        return f"pages of {shown_origin(self.connection.url)}"


@dataclass(frozen=True, slots=True)
class QueriedRows:
    """Rows of a PostgreSQL database."""

    connection: PostgresConnection
    query: str
    cursor: str | None
    """The column; its value stands for ``$cursor`` in the query."""
    start: str | int | None
    overlap_us: int

    def __str__(self) -> str:
        return f"query of {self.connection.parameters['dbname']} at {self.connection.parameters['host']}"


@dataclass(frozen=True, slots=True)
class PluginRows:
    """Rows that a plugin reads."""

    plugin: str
    settings: str
    """Canonical JSON; secrets by their names."""

    def __str__(self) -> str:
        return f"plugin {self.plugin}"


Reads = WatchedFiles | FetchedPages | QueriedRows | PluginRows


@dataclass(frozen=True, slots=True)
class SourceDefinition:
    """One source, checked."""

    name: str
    owner: str
    collection: str
    every_us: int
    pool: str
    priority: int
    rows: RowRules
    reads: Reads
    text: str
    """What is stored: canonical JSON."""
    identity: str
    """Another one is another source, which cannot go on where this one is."""


def read_sources(document: Mapping[str, Any]) -> list[SourceDefinition]:
    """The sources of a document, ordered by name. Raises InvalidPipeline."""
    tables = document.get("sources", {})
    if not isinstance(tables, dict):
        raise InvalidPipeline("sources", "must be tables, as [sources.name].")
    if len(tables) > SOURCES_MAX:
        raise InvalidPipeline("sources", f"has more than {SOURCES_MAX:,} tables.")
    owner, connections = document.get("owner"), document.get("connections", {})
    if not isinstance(connections, dict):
        raise InvalidPipeline("connections", "must be tables, as [connections.name].")
    for name, table in connections.items():
        any_connection(Fields.of(f"connections.{name}", table))
    found = []
    for name, table in sorted(tables.items()):
        values = dict(Fields.of(f"sources.{name}", table).values)
        if owner is not None:
            values.setdefault("owner", owner)
        stored: dict[str, Any] = {"source": values}
        if "connection" in values:
            stored["connection"] = _named(name, values["connection"], connections)
        found.append(checked_source(name, stored))
    return found


def _named(source: str, name: Any, connections: Mapping[str, Any]) -> Any:
    if not isinstance(name, str) or name not in connections:
        known = f" It has: {', '.join(sorted(connections))}." if connections else ""
        raise InvalidPipeline(
            f"sources.{source}.connection",
            f"there is no connection '{str(name)[:100]}' in [connections].{known}",
        )
    return connections[name]


def stored_source(name: str, text: str) -> SourceDefinition:
    """The definition of what is stored. Raises InvalidPipeline."""
    return checked_source(name, json.loads(text))


def checked_source(name: str, stored: Mapping[str, Any]) -> SourceDefinition:
    """Raises InvalidPipeline."""
    place = f"sources.{name}"
    if not _NAME.fullmatch(name):
        raise InvalidPipeline(
            place, "a source's name has up to 100 letters, digits, '_' and '-', and begins with a letter."
        )
    fields = Fields.of(place, stored["source"])
    collection = fields.text("into")
    refused = check_collection_name(collection)
    if refused is not None:
        raise InvalidPipeline(fields.at("into"), refused.description)
    fields.raw("connection")
    reads = _reads(fields, stored.get("connection"))
    rows = _rows(fields)
    if isinstance(reads, QueriedRows) and reads.cursor is None and not rows.id:
        raise InvalidPipeline(
            place, "needs 'cursor', or 'id', by which rows that are stored already are told."
        )
    if isinstance(reads, WatchedFiles) and reads.changes is FileChanges.AGAIN and not rows.id:
        raise InvalidPipeline(
            fields.at("changes"), "'again' needs 'id', by which rows that are stored already are told."
        )
    is_files = isinstance(reads, WatchedFiles)
    every_us = fields.length("every", FILES_EVERY_US if is_files else OTHERS_EVERY_US)
    assert every_us is not None
    if not EVERY_US_MIN <= every_us <= EVERY_US_MAX:
        raise fields.wrong("every", "from 1_seconds to 400_days")
    definition = SourceDefinition(
        name=name,
        owner=fields.text("owner"),
        collection=collection,
        every_us=every_us,
        pool=fields.text("pool", "default"),
        priority=fields.whole("priority", 0, -PRIORITY_MAX, PRIORITY_MAX),
        rows=rows,
        reads=reads,
        text=json.dumps(stored, sort_keys=True, separators=(",", ":"), default=str),
        identity=_identity(reads, collection),
    )
    fields.raw("description")
    fields.end()
    return definition


def check_collections(sources: Iterable[SourceDefinition], outputs: Mapping[str, str]) -> None:
    """``outputs``: derived collection → its pipeline. Raises InvalidPipeline."""
    for one in sources:
        pipeline = outputs.get(one.collection)
        if pipeline is not None:
            raise InvalidPipeline(
                f"sources.{one.name}.into",
                f"'{one.collection}' is the output of the pipeline '{pipeline}': a source needs another one.",
            )


def _files(fields: Fields) -> WatchedFiles:
    patterns = fields.texts("files")
    if len(patterns) > PATTERNS_MAX:
        raise InvalidPipeline(fields.at("files"), f"has more than {PATTERNS_MAX} patterns.")
    for pattern in patterns:
        parts = PurePosixPath(pattern).parts
        odd = any("**" in part and part != "**" for part in parts)
        if pattern.startswith("/") or ".." in parts or "\0" in pattern or odd or not parts:
            raise InvalidPipeline(
                fields.at("files"),
                f"'{pattern[:100]}' must be a path below the project's folder, as 'orders/*.csv'.",
            )
    return WatchedFiles(patterns, fields.choice("changes", FileChanges, FileChanges.REFUSE))


def _reads(fields: Fields, connection: Any) -> Reads:
    kinds = [key for key in ("files", "url", "query", "plugin") if fields.has(key)]
    if not kinds:
        raise InvalidPipeline(fields.place, "needs one of 'files', 'url', 'query' and 'plugin'.")
    if len(kinds) > 1:
        raise InvalidPipeline(fields.place, f"has '{kinds[0]}' and '{kinds[1]}': a source reads one of them.")
    through = None if connection is None else any_connection(Fields.of("connections", connection))
    if "query" in kinds:
        if not isinstance(through, PostgresConnection):
            raise InvalidPipeline(fields.at("query"), "needs a 'connection' that has 'postgres'.")
        return _query(fields, through)
    if "url" in kinds:
        if isinstance(through, PostgresConnection):
            raise InvalidPipeline(fields.at("url"), "needs a 'connection' that has 'url', or none.")
        return _pages(fields, through)
    if through is not None:
        raise InvalidPipeline(fields.at("connection"), "goes with 'url' or 'query'.")
    if "plugin" in kinds:
        settings = Fields.of(fields.at("settings"), fields.raw("settings", {})).values
        text = json.dumps(settings, sort_keys=True, separators=(",", ":"), default=str)
        return PluginRows(fields.text("plugin"), text)
    return _files(fields)


def _query(fields: Fields, connection: PostgresConnection) -> QueriedRows:
    query, cursor = fields.text("query"), fields.optional_text("cursor")
    start = fields.raw("start")
    if not isinstance(start, str | int | None) or isinstance(start, bool):
        raise fields.wrong("start", "a text or a whole number")
    if cursor is None and (start is not None or fields.has("overlap")):
        raise InvalidPipeline(fields.at("cursor"), "is lacking: 'start' and 'overlap' are about it.")
    if (cursor is not None) != ("$cursor" in query):
        raise InvalidPipeline(
            fields.at("query"), "must have $cursor where the source has a 'cursor', as 'WHERE at > $cursor'."
        )
    return QueriedRows(connection, query, cursor, start, fields.length("overlap", 0) or 0)


def _pages(fields: Fields, connection: HttpConnection | None) -> FetchedPages:
    url, through = fields.text("url"), connection or HttpConnection("")
    if connection is not None:
        if not url.startswith("/"):
            raise fields.wrong("url", "the part of the URL behind that of the connection, as '/orders'")
        url = through.url.rstrip("/") + url
    cursor, parameter = fields.optional_text("cursor"), fields.optional_text("cursor_parameter")
    start = fields.raw("start")
    if not isinstance(start, str | int | None) or isinstance(start, bool):
        raise fields.wrong("start", "a text or a whole number")
    for key, is_given in (
        ("cursor_parameter", parameter),
        ("start", start),
        ("overlap", fields.has("overlap")),
    ):
        if is_given and cursor is None:
            raise InvalidPipeline(fields.at(key), "goes with 'cursor', the property that it is about.")
    next_, next_parameter = fields.optional_text("next"), fields.optional_text("next_parameter")
    if next_parameter and not next_:
        raise InvalidPipeline(fields.at("next_parameter"), "goes with 'next', which says where its value is.")
    return FetchedPages(
        HttpConnection(url, through.headers),
        fields.choice("format", PageFormat, PageFormat.JSON) is PageFormat.NDJSON,
        _path(fields.optional_text("events")),
        _path(next_),
        next_parameter,
        fields.whole("pages", PAGES, 1, PAGES_MAX),
        None if cursor is None else _path(cursor),
        parameter,
        start,
        fields.length("overlap", 0) or 0,
    )


def _identity(reads: Reads, collection: str) -> str:
    if isinstance(reads, QueriedRows):
        return f"postgres/{collection}/{reads.cursor or ''}"
    if isinstance(reads, WatchedFiles):
        return f"files/{collection}"
    if isinstance(reads, PluginRows):
        return f"plugin/{collection}/{reads.plugin}"
    return f"pages/{collection}/{'.'.join(reads.cursor or ())}"


def shown_origin(url: str) -> str:
    """Scheme and host: what follows may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}"


def _rows(fields: Fields) -> RowRules:
    time, id_ = fields.optional_text("time"), fields.optional_text("id")
    types = dict(fields.pairs("types")) if fields.has("types") else {}
    given = GivenOptions(
        format=fields.optional_text("format"),
        timestamp=time,
        timestamp_format=fields.text("time_format", "auto"),
        timezone=fields.text("timezone", "UTC"),
        types=types,
        columns=fields.texts("columns", empty=True),
        delimiter=fields.optional_text("delimiter"),
        encoding=fields.optional_text("encoding"),
    )
    try:
        options = checked(given)
    except BadOption as error:
        said = in_words_of_api(str(error)).replace("'timestamp", "'time")
        raise InvalidPipeline(fields.place, f"{said}.") from None
    if options.format is ImportFormat.ANSWER:
        raise fields.wrong("format", "ndjson, json, csv, tsv, parquet or arrow")
    return RowRules(options, _path(time), _path(id_), fields.choice("on_error", RowFaults, RowFaults.FAIL))


def _path(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(".")) if text else ()
