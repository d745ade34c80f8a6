"""In the process of a plugin: what it is given, what it may return, and what is told where it fails."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from service.plugins.contract import ChannelNotice, SinkBucket, SourcePortion
from service.plugins.installed import PluginKind
from service.plugins.loading import BadPlugin, RefusedSettings, found_class, made, read_settings

IN, OUT, TOLD, ROWS = "in.arrow", "out.arrow", "told.json", "rows.ndjson"


def call(work: dict[str, Any], runner: asyncio.Runner) -> None:
    """Do the work. Ends the process where the plugin fails."""
    try:
        found = found_class(PluginKind(work["kind"]), work["name"], work["release"])
        if work["do"] == "check":
            is_strict = work["kind"] != PluginKind.ALERT_CHANNEL
            _tell([_problem(found, settings, strict=is_strict) for settings in work["settings"]])
            return
        plugin = made(found, work["settings"], strict=work["kind"] != PluginKind.ALERT_CHANNEL)
        _DOES[work["kind"]](plugin, work, runner)
    except BadPlugin as error:
        sys.exit(str(error))
    except RefusedSettings as error:
        sys.exit(f"settings.{error}")
    except BadReturn as error:
        sys.exit(str(error))
    except Exception as error:
        sys.exit(_told(error))


class BadReturn(Exception):
    """A plugin returned what it may not; the text says what it is to return."""


def _told(error: Exception) -> str:
    """The error as Python prints it, without the calls of this server."""
    told = traceback.TracebackException.from_exception(error)
    calls = list(told.stack)
    first = max((n for n, one in enumerate(calls, 1) if one.filename == __file__), default=0)
    told.stack = traceback.StackSummary.from_list(calls[first:])
    return "".join(told.format() if calls[first:] else told.format_exception_only()).strip()


def _problem(found: Any, settings: Mapping[str, Any], *, strict: bool) -> str | None:
    """What is wrong with settings."""
    kind = getattr(found, "Settings", None)
    try:
        if kind is None:
            for key in settings:
                raise RefusedSettings(f"{key}: the plugin has no settings.")
        else:
            read_settings(kind, settings, strict=strict)
    except RefusedSettings as error:
        return str(error)
    return None


def _tell(value: Any) -> None:
    Path(TOLD).write_bytes(msgspec.json.encode(value))


def _finished(value: Any, runner: asyncio.Runner) -> Any:
    """What a method returned, once it is there where it is asynchronous."""

    async def waited() -> Any:
        return await value

    return runner.run(waited()) if inspect.isawaitable(value) else value


def _operation(plugin: Any, work: Mapping[str, Any], runner: asyncio.Runner) -> None:
    with pa.memory_map(IN) as file, pa.ipc.open_stream(file) as rows:
        given = _finished(plugin.run(rows), runner)
        _write(_batches(given))


def _batches(given: Any) -> tuple[pa.Schema, Iterable[pa.RecordBatch]]:
    if isinstance(given, pa.Table | pa.RecordBatchReader):
        return given.schema, given.to_batches() if isinstance(given, pa.Table) else given
    if isinstance(given, pa.RecordBatch):
        return given.schema, [given]
    if not isinstance(given, Iterable):
        raise BadReturn(f"'run' returned a {type(given).__name__}: return an Arrow table, or batches.")
    listed = iter(given)
    first = next(listed, None)
    if not isinstance(first, pa.RecordBatch):
        raise BadReturn("'run' gave no batch: give at least one, which may have no rows but has its columns.")
    return first.schema, itertools.chain([first], listed)


def _write(given: tuple[pa.Schema, Iterable[pa.RecordBatch]]) -> None:
    schema, batches = given
    with pa.OSFile(OUT, "wb") as out, pa.ipc.new_stream(out, schema) as written:
        for batch in batches:
            written.write_batch(batch)


def _enricher(plugin: Any, work: Mapping[str, Any], runner: asyncio.Runner) -> None:
    """Writes the columns that were found."""
    with pa.memory_map(IN) as file, pa.ipc.open_stream(file) as rows:
        batches = [_enriched(plugin, batch, runner) for batch in rows]
        if not batches:
            batches = [_enriched(plugin, pa.RecordBatch.from_pylist([], schema=rows.schema), runner)]
    _write((batches[0].schema, batches))


def _enriched(plugin: Any, batch: pa.RecordBatch, runner: asyncio.Runner) -> pa.RecordBatch:
    found = _finished(plugin.enrich(batch), runner)
    if not isinstance(found, pa.RecordBatch) or found.num_rows != batch.num_rows:
        raise BadReturn("'enrich' must return an Arrow batch with as many rows as it is given.")
    return found


def _expectation(plugin: Any, work: Mapping[str, Any], runner: asyncio.Runner) -> None:
    """Writes one column of truths for each rule of rows, and tells of the others."""
    with pa.memory_map(IN) as file, pa.ipc.open_stream(file) as stream:
        rows = stream.read_all()
    found = _finished(plugin.check(rows), runner)
    if not isinstance(found, Mapping) or not all(isinstance(rule, str) and rule for rule in found):
        raise BadReturn("'check' must return a mapping: rule → whether each row keeps it, or what is wrong.")
    kept: dict[str, pa.Array] = {}
    findings: dict[str, str | None] = {}
    for rule, value in found.items():
        if value is None or isinstance(value, str):
            findings[rule] = value
        elif not isinstance(value, pa.Array | pa.ChunkedArray) or not pa.types.is_boolean(value.type):
            raise BadReturn(f"'check' gave a {type(value).__name__} for '{rule}': give booleans, or a text.")
        elif len(value) != rows.num_rows:
            raise BadReturn(f"'check' gave {len(value):,} booleans for '{rule}': rows are {rows.num_rows:,}.")
        else:
            kept[rule] = value
    table = pa.table(kept)
    _write((table.schema, table.to_batches()))
    _tell(findings)


def _source(plugin: Any, work: Mapping[str, Any], runner: asyncio.Runner) -> None:
    """Writes the rows, each a line, and tells the cursor."""
    found = _finished(plugin.read(work["cursor"]), runner)
    if found is None:
        _tell(None)
        return
    if not isinstance(found, SourcePortion):
        raise BadReturn(f"'read' returned a {type(found).__name__}: return a SourcePortion, or None.")
    with open(ROWS, "wb") as file:
        for row in found.rows:
            if not isinstance(row, Mapping):
                raise BadReturn(f"'read' gave a {type(row).__name__} as a row: give mappings.")
            file.write(msgspec.json.encode(row) + b"\n")
    _tell({"cursor": found.cursor})


def _sink(plugin: Any, work: Mapping[str, Any], runner: asyncio.Runner) -> None:
    with pa.memory_map(IN) as file, pa.ipc.open_stream(file) as stream:
        rows = stream.read_all()
        _finished(plugin.deliver(msgspec.convert(work["bucket"], SinkBucket), rows), runner)


def _channel(plugin: Any, work: Mapping[str, Any], runner: asyncio.Runner) -> None:
    body = msgspec.json.decode(work["body"])
    created = datetime.fromisoformat(body["created_date"])
    notice = ChannelNotice(body["type"], body["project_id"], created, work["key"], body["data"])
    _finished(plugin.send(notice), runner)


_DOES: dict[str, Callable[[Any, Mapping[str, Any], asyncio.Runner], None]] = {
    PluginKind.OPERATION: _operation,
    PluginKind.ENRICHER: _enricher,
    PluginKind.EXPECTATION: _expectation,
    PluginKind.SOURCE: _source,
    PluginKind.SINK: _sink,
    PluginKind.ALERT_CHANNEL: _channel,
}
