"""``explain``: the statements that were run for an answer, and how much of the stored data they read.

Must not be shown to a key with filters: the numbers of events include events that the key does not see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from query.engine.runner import Trace
from query.json_encoding import dumps
from query.language.nodes import ParsedQuery
from query.plan.views import View, Views
from query.sql.statement import Statement
from storage.instants import format_instant
from storage.source import Source

SQL_LENGTH_MAX = 100_000
"""Most characters of a statement that are shown."""
PARAMETERS_LENGTH_MAX = 100_000
"""Most bytes of JSON for the values of a statement."""
ITEMS_MAX = 100
"""Most items of a list that are shown."""
TEXT_LENGTH_MAX = 1_000
_INT64_END = 2**63


def explanation(trace: Trace, views: Views) -> dict[str, Any]:
    """The explanation as a JSON value: statements in the order run, sources in the order requested, what was
    reused of earlier answers, and the number of events that the catalog counted.

    Its size is limited; the numbers of characters, items and parameters left out are included.
    """
    names = {file.path: file.name for _, view in views.asked for file in view.source.files}
    return {
        "statements": [_statement(one, names) for one in trace.statements],
        "sources": [_source(collection, view) for collection, view in views.asked],
        "reused": [
            {"collection": name, "partial_answers": one.partials, "events": one.events}
            for name, one in trace.reused.items()
        ],
        "events_counted_by_catalog": trace.counted,
    }


def snapshot_of(request: ParsedQuery, asked: Sequence[tuple[str, View]]) -> dict[str, Any]:
    """The version that was read, by which ``as_of`` repeats the answer, what was now for it, and what it has
    of each collection; then what was not read of it, and why."""
    if not request.version:
        return {}
    sources = {name: view.source for name, view in asked}
    snapshot = {
        "version": request.version,
        "instant": format_instant(request.now_us),
        "collections": [_collection(name, source) for name, source in sources.items()],
    }
    return {"snapshot": snapshot, "pruned": [_pruned(name, view) for name, view in asked]}


def _collection(name: str, source: Source) -> dict[str, Any]:
    shown = {
        "collection": name,
        "files": [file.name for file in source.files[:ITEMS_MAX]],
        "events_in_files": sum(file.rows for file in source.files),
        "events_in_no_file": 0 if source.tail is None else source.tail.num_rows,
    }
    left_out = len(source.files) - ITEMS_MAX
    return {**shown, "files_left_out": left_out} if left_out > 0 else shown


def _pruned(name: str, view: View) -> dict[str, Any]:
    """The files that were skipped: by their first and last times none of their events is in a timeframe."""
    read = {file.path for file in view.files}
    skipped = [file for file in view.source.files if file.path not in read]
    return {
        "collection": name,
        "outside_timeframe": {"files": len(skipped), "events": sum(file.rows for file in skipped)},
    }


def _source(collection: str, view: View) -> dict[str, Any]:
    source = view.source
    stored = sum(file.rows for file in source.files)
    return {
        "collection": collection,
        "files": len(source.files),
        "files_skipped": len(source.files) - len(view.files),
        "events_in_files": stored,
        "events_skipped": stored - sum(file.rows for file in view.files),
        "events_in_no_file": 0 if source.tail is None else source.tail.num_rows,
    }


def _statement(statement: Statement, names: Mapping[str, str]) -> dict[str, Any]:
    text = statement.text.strip()
    shown: dict[str, Any] = {"sql": text[:SQL_LENGTH_MAX]}
    if len(text) > SQL_LENGTH_MAX:
        shown["sql_characters_left_out"] = len(text) - SQL_LENGTH_MAX
    parameters = _parameters(statement.values, names)
    shown["parameters"] = parameters
    if len(parameters) < len(statement.values):
        shown["parameters_left_out"] = len(statement.values) - len(parameters)
    return shown


def _parameters(values: Sequence[Any], names: Mapping[str, str]) -> list[Any]:
    """As many values as the limit allows. Files have their names below the data folder."""
    shown: list[Any] = []
    bytes_left = PARAMETERS_LENGTH_MAX
    for value in values:
        parameter = _value(value, names)
        bytes_left -= len(dumps(parameter))
        if bytes_left < 0:
            break
        shown.append(parameter)
    return shown


def _value(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        items = [_value(item, names) for item in value[:ITEMS_MAX]]
        if len(value) <= ITEMS_MAX:
            return items
        return {"first": items, "items_left_out": len(value) - ITEMS_MAX}
    if isinstance(value, str):
        text = names.get(value, value)
        return text if len(text) <= TEXT_LENGTH_MAX else text[:TEXT_LENGTH_MAX] + "…"
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -_INT64_END <= value < _INT64_END:
        return value
    return str(value)
