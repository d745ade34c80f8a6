"""Sinks: where a pipeline's buckets are delivered once they are derived, as its part of the file says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

from query.transforms.fields import Fields, InvalidPipeline
from service.exports.request import ExportFormat
from service.pipelines.connections.definition import PostgresConnection, any_connection
from storage.schema import TIMESTAMP

SINKS_MAX = 10
OWNER_COLUMN = "acumen_pipeline"
"""The column of a table that says whose a row is."""
PATH_MAX = 500
NAME_MAX = 200
_KINDS = ("webhook", "folder", "table", "plugin")
_TABLE = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,62}")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,62}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIRECTIVES = "YmdHjGVz"
_FORMAT = rf"(?:%[{_DIRECTIVES}]|[A-Za-z0-9_+=,. /-])+"
_PERIOD = re.compile(rf"\{{period:({_FORMAT})\}}")
_TEMPLATE = re.compile(rf"(?:[A-Za-z0-9_+=,. /-]|\{{period:{_FORMAT}\}})+")
_TELLING = {
    "hour": ("YmdH", "YjH"),
    "day": ("Ymd", "Yj"),
    "week": ("Ymd", "Yj", "GV"),
    "month": ("Ym", "Yj"),
}
"""Unit of buckets → what tells one from all others."""
_EXAMPLES = {
    "hour": "{period:%Y_%m_%d_%H%z}",
    "day": "{period:%Y_%m_%d}",
    "week": "{period:%G_W%V}",
    "month": "{period:%Y_%m}",
}
_SUFFIXES = {ExportFormat.PARQUET: "parquet", ExportFormat.CSV: "csv", ExportFormat.NDJSON: "ndjson"}


@dataclass(frozen=True, slots=True)
class WebhookSink:
    """A message to a webhook of the project for each derived bucket."""

    webhook: str

    def __str__(self) -> str:
        return f"webhook {self.webhook}"


@dataclass(frozen=True, slots=True)
class FolderSink:
    """A file for each derived bucket."""

    template: str
    """The file's path below the pipeline's folder, without what says its format."""
    form: ExportFormat

    def path(self, start_us: int, zone: tzinfo) -> str:
        """The path of a bucket's file, below the pipeline's folder."""
        start = (_EPOCH + timedelta(microseconds=start_us)).astimezone(zone)
        text = _PERIOD.sub(lambda found: start.strftime(found[1]), self.template)
        return f"{text}.{_SUFFIXES[self.form]}"

    def __str__(self) -> str:
        return f"folder {self.template}.{_SUFFIXES[self.form]}"


@dataclass(frozen=True, slots=True)
class PluginSink:
    """The rows of each derived bucket, given to a plugin."""

    plugin: str
    settings: str
    """Canonical JSON; secrets by their names."""

    def __str__(self) -> str:
        return f"plugin {self.plugin}"


@dataclass(frozen=True, slots=True)
class TableSink:
    """The rows of a table of PostgreSQL, or some of them: those of the pipeline."""

    name: str
    """That of the connection."""
    connection: PostgresConnection
    table: str
    """With its schema before a dot, if it is given."""
    time: str
    """The column of the time."""
    create: bool
    """Whether the table, and columns that it lacks, are made."""

    def __str__(self) -> str:
        time = "" if self.time == TIMESTAMP else f", its time in {self.time}"
        return f"table {self.table} of {self.name}{time}"


Sink = WebhookSink | FolderSink | TableSink | PluginSink


def read_sinks(fields: Fields, unit: str, zone: tzinfo, connections: Mapping[str, Any]) -> tuple[Sink, ...]:
    """The sinks of a pipeline whose buckets are of this unit. ``connections``: by name, as the file has them.
    Raises InvalidPipeline."""
    given = fields.raw("sinks", [])
    if not isinstance(given, list):
        raise fields.wrong("sinks", "a list, as [{ webhook = 'chat' }]")
    if len(given) > SINKS_MAX:
        raise InvalidPipeline(fields.at("sinks"), f"has more than {SINKS_MAX}.")
    places = [Fields.of(f"{fields.at('sinks')}[{number}]", value) for number, value in enumerate(given)]
    sinks = tuple(_sink(one, unit, zone, connections) for one in places)
    twice = next((one for one in sinks if sinks.count(one) > 1), None)
    if twice is not None:
        raise InvalidPipeline(fields.at("sinks"), f"has '{twice}' twice.")
    return sinks


def digest_of(sinks: Sequence[Sink]) -> str:
    told = (f"{one} {one.settings}" if isinstance(one, PluginSink) else str(one) for one in sinks)
    text = json.dumps(sorted(told))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sink(fields: Fields, unit: str, zone: tzinfo, connections: Mapping[str, Any]) -> Sink:
    sink: Sink
    if sum(map(fields.has, _KINDS)) != 1:
        raise InvalidPipeline(fields.place, "needs one of 'webhook', 'folder', 'table' and 'plugin'.")
    if fields.has("webhook"):
        sink = WebhookSink(fields.text("webhook"))
    elif fields.has("table"):
        sink = _table(fields, connections)
    elif fields.has("plugin"):
        settings = Fields.of(fields.at("settings"), fields.raw("settings", {})).values
        text = json.dumps(settings, sort_keys=True, separators=(",", ":"), default=str)
        sink = PluginSink(fields.text("plugin"), text)
    else:
        template = _template(fields, unit, zone)
        sink = FolderSink(template, fields.choice("format", ExportFormat, ExportFormat.PARQUET))
    fields.end()
    return sink


def _table(fields: Fields, connections: Mapping[str, Any]) -> TableSink:
    name, table, time = fields.text("connection"), fields.text("table"), fields.text("time", TIMESTAMP)
    if name not in connections:
        known = ", ".join(sorted(connections))
        raise InvalidPipeline(
            fields.at("connection"),
            f"there is no connection '{name:.100}' in [connections].{f' It has: {known}.' if known else ''}",
        )
    connection = any_connection(Fields.of(f"connections.{name}", connections[name]))
    if not isinstance(connection, PostgresConnection):
        raise InvalidPipeline(fields.at("connection"), "must be one to PostgreSQL.")
    if not _TABLE.fullmatch(table):
        raise fields.wrong(
            "table", "the name of a table of letters, digits and '_', with its schema before a dot if need be"
        )
    if not _COLUMN.fullmatch(time) or time == OWNER_COLUMN:
        raise fields.wrong("time", "the name of a column of its own, of letters, digits, '_' and '.'")
    return TableSink(name, connection, table, time, fields.flag("create"))


def _template(fields: Fields, unit: str, zone: tzinfo) -> str:
    text, place = fields.text("folder"), fields.at("folder")
    if len(text) > PATH_MAX:
        raise InvalidPipeline(place, f"has more than {PATH_MAX} characters.")
    if not _TEMPLATE.fullmatch(text):
        raise InvalidPipeline(
            place,
            "must be a path of letters, digits and any of '_+=,. -', with the bucket's start in braces, as "
            f"'{_EXAMPLES[unit]}': it may use {', '.join(f'%{one}' for one in _DIRECTIVES)}.",
        )
    names = FolderSink(text, ExportFormat.CSV).path(0, UTC).split("/")
    if any(name.strip(". ") != name or not 0 < len(name) <= NAME_MAX for name in names):
        raise InvalidPipeline(
            place,
            "must be a path below the pipeline's folder: no name in it is empty, begins or ends with a dot "
            f"or a space, or has more than {NAME_MAX} characters.",
        )
    used = set(re.findall(r"%([A-Za-z])", text))
    if not any(used >= set(wanted) for wanted in _TELLING[unit]):
        raise InvalidPipeline(place, f"must be another file for each {unit}, as '{_EXAMPLES[unit]}'.")
    if unit == "hour" and "z" not in used and not _is_fixed(zone):
        raise InvalidPipeline(
            place, "must have %z, as '{period:%Y_%m_%d_%H%z}': where clocks go back an hour is there twice."
        )
    return text


def _is_fixed(zone: tzinfo) -> bool:
    return isinstance(zone, timezone) or getattr(zone, "key", "") == "UTC"
