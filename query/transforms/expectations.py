"""Reading the rules of an expectation, and their names in reports."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from query.language.filters import CheckRegex
from query.transforms.fields import Fields, InvalidPipeline, unknown
from query.transforms.nodes import (
    Drift,
    Expect,
    Holds,
    InRange,
    InReference,
    JudgedRows,
    JudgedWhole,
    MatchesPattern,
    OfType,
    OneOfValues,
    PluginCall,
    PluginRules,
    Required,
    RowCount,
    Rule,
    SchemaRules,
    Severity,
    Unique,
    ValueType,
)
from storage.instants import parse_instant

RULES_MAX = 200
DRIFT_MOST = 0.2
DRIFT_ROWS_MIN = 100
VALUES_MAX = 10_000
NAME_MAX = 100
ENTRY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""What names a part of a Python file of the folder."""
CalledPlugin = Callable[[Fields, str, str], PluginCall]
"""A step, the key that names a plugin, and its kind → the plugin, with its settings."""


def read_expectation(
    step: Fields,
    references: Mapping[str, Sequence[str]],
    check_regex: CheckRegex,
    called: CalledPlugin,
) -> Expect:
    """An operation ``expect``. ``references``: name → columns of the table. Raises InvalidPipeline."""
    name = step.text("expect")
    if len(name) > NAME_MAX:
        raise step.wrong("expect", f"a name of up to {NAME_MAX} characters")
    kinds: dict[str, Callable[[str], Iterable[Rule]]] = {
        "required": lambda key: map(Required, step.texts(key)),
        "types": lambda key: _types(step.table(key)),
        "range": lambda key: _ranges(step.table(key)),
        "pattern": lambda key: _patterns(step, key, check_regex),
        "one_of": lambda key: _choices(step.table(key)),
        "unique": lambda key: _unique(step, key),
        "in_reference": lambda key: _covered(step, key, references),
        "holds": lambda key: map(Holds, step.texts(key)),
        "rows": lambda key: _rows(step.table(key)),
        "drift": lambda key: _drifts(step.table(key)),
        "schema": lambda key: [SchemaRules(_entry(step, key))],
        "plugin": lambda key: [PluginRules(called(step, key, "expectation"))],
    }
    rules = tuple(rule for key, read in kinds.items() if step.has(key) for rule in read(key))
    known = {"expect", *kinds, "severity", "tolerate"} | ({"settings"} if step.has("plugin") else set())
    for key in step.values:
        if key not in known:
            raise unknown(step.place, key, known)
    if not rules:
        raise InvalidPipeline(step.place, f"expects nothing: give it one of {', '.join(kinds)}.")
    if len(rules) > RULES_MAX:
        raise InvalidPipeline(step.place, f"has more than {RULES_MAX} rules.")
    severity = step.choice("severity", Severity, Severity.WARN)
    if severity is Severity.QUARANTINE and any(isinstance(rule, RowCount | Drift) for rule in rules):
        raise InvalidPipeline(
            step.at("rows" if step.has("rows") else "drift"),
            "is of all rows, and none can be set aside for it: give it an 'expect' of its own.",
        )
    return Expect(name, rules, severity, _tolerated(step, severity))


def _drifts(table: Fields) -> list[Rule]:
    rules: list[Rule] = []
    for column in table.values:
        one = table.table(column)
        most = one.raw("max", DRIFT_MOST)
        if isinstance(most, bool) or not isinstance(most, int | float) or not 0 < most < math.inf:
            raise one.wrong("max", "a number above 0, as 0.2")
        against = one.length("against")
        if against is None:
            raise InvalidPipeline(one.place, "lacks 'against', the time before the bucket, as '28_days'.")
        rules.append(Drift(column, float(most), against, one.whole("min_rows", DRIFT_ROWS_MIN, 1, 10**9)))
        one.end()
    return rules


def _entry(step: Fields, key: str) -> str:
    entry = step.text(key)
    if not ENTRY.fullmatch(entry):
        raise step.wrong(key, "a schema of a file of the folder, as 'checks:Orders'")
    return entry


def _tolerated(step: Fields, severity: Severity) -> float:
    value = step.raw("tolerate", 1.0 if severity is Severity.QUARANTINE else 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise step.wrong("tolerate", "a share of the rows from 0 to 1")
    return float(value)


def _types(table: Fields) -> list[Rule]:
    return [OfType(column, table.choice(column, ValueType)) for column in table.values]


def _ranges(table: Fields) -> list[Rule]:
    rules: list[Rule] = []
    for column in table.values:
        ends = table.table(column)
        low, high = _end(ends, "min"), _end(ends, "max")
        ends.end()
        if low is None and high is None:
            raise InvalidPipeline(ends.place, "needs 'min', 'max' or both.")
        if low is not None and high is not None:
            if isinstance(low, str) != isinstance(high, str):
                raise InvalidPipeline(ends.place, "has a number and an instant: give two of a kind.")
            if _place(low) > _place(high):
                raise InvalidPipeline(ends.place, "has a 'min' above its 'max'.")
        rules.append(InRange(column, low, high))
    return rules


def _place(end: float | str) -> float:
    return float(parse_instant(end) or 0) if isinstance(end, str) else end


def _end(ends: Fields, key: str) -> float | str | None:
    """A number, or an instant as a text; None where it is absent."""
    value = ends.raw(key)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    text = value.isoformat() if isinstance(value, date | datetime) else value
    if isinstance(text, str):
        # A stored definition has instants as Python writes them.
        text = text.replace(" ", "T")
        if parse_instant(text) is not None:
            return text
    raise ends.wrong(key, "a number, or an instant, as '2026-01-31T00:00:00Z'")


def _patterns(step: Fields, key: str, check_regex: CheckRegex) -> list[Rule]:
    rules: list[Rule] = []
    for column, pattern in step.pairs(key):
        problem = check_regex(pattern)
        if problem is not None:
            raise InvalidPipeline(f"{step.at(key)}.{column}", f"is no regular expression of RE2: {problem}.")
        rules.append(MatchesPattern(column, pattern))
    return rules


def _choices(table: Fields) -> list[Rule]:
    rules: list[Rule] = []
    for column in table.values:
        values = table.raw(column)
        if not isinstance(values, list) or not values or not all(map(_is_plain, values)):
            raise table.wrong(column, "a list of texts, numbers, true and false")
        if len(values) > VALUES_MAX:
            raise InvalidPipeline(
                table.at(column), f"has more than {VALUES_MAX:,} values: put them in a reference table."
            )
        rules.append(OneOfValues(column, tuple(values)))
    return rules


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _unique(step: Fields, key: str) -> list[Rule]:
    """``['order_id']`` is one rule; ``[['shop', 'number'], ['token']]`` are two."""
    value = step.raw(key)
    if isinstance(value, list) and value and all(isinstance(one, list) for one in value):
        table = Fields(step.at(key), {str(number): one for number, one in enumerate(value)})
        return [Unique(table.texts(number)) for number in table.values]
    return [Unique(step.texts(key))]


def _covered(step: Fields, key: str, references: Mapping[str, Sequence[str]]) -> list[Rule]:
    rules: list[Rule] = []
    for column, place in step.pairs(key):
        name, _, theirs = place.partition(".")
        at = f"{step.at(key)}.{column}"
        if name not in references:
            raise InvalidPipeline(
                at, f"there is no table '{name[:100]}' in [references]: write 'table.column'."
            )
        if theirs not in references[name]:
            raise unknown(at, theirs, references[name])
        rules.append(InReference(column, name, theirs))
    return rules


def _rows(ends: Fields) -> list[Rule]:
    low, high = (ends.whole(key, 0, 0, 10**15) if ends.has(key) else None for key in ("min", "max"))
    ends.end()
    if low is None and high is None:
        raise InvalidPipeline(ends.place, "needs 'min', 'max' or both.")
    if low is not None and high is not None and low > high:
        raise InvalidPipeline(ends.place, "has a 'min' above its 'max'.")
    return [RowCount(low, high)]


def label(rule: Rule) -> str:
    """What reports and quarantined rows call a rule."""
    match rule:
        case Required(column):
            return f"required: {column}"
        case OfType(column, kind):
            return f"type: {column} is {kind.value}"
        case InRange(column, low, high):
            return f"range: {column} {_ends(low, high)}"
        case MatchesPattern(column, pattern):
            return f"pattern: {column} matches {pattern}"
        case OneOfValues(column, values):
            return f"one of: {column} in {json.dumps(values[:5], ensure_ascii=False)[1:-1]}" + (
                ", …" if len(values) > 5 else ""
            )
        case Unique(columns):
            return f"unique: {', '.join(columns)}"
        case InReference(column, reference, key):
            return f"in reference: {column} in {reference}.{key}"
        case Holds(expression):
            return f"holds: {expression}"
        case RowCount(low, high):
            return f"rows: {_ends(low, high)}"
        case Drift(column, most):
            return f"drift: {column} by at most {_shown(most)}"
        case JudgedRows(name) | JudgedWhole(name):
            return name
        case SchemaRules(entry):
            return f"schema: {entry}"
        case PluginRules(plugin):
            return f"plugin: {plugin.name}"
    raise TypeError(rule)


def _ends(low: float | str | None, high: float | str | None) -> str:
    if low is None:
        return f"at most {_shown(high)}"
    return f"at least {_shown(low)}" if high is None else f"from {_shown(low)} to {_shown(high)}"


def _shown(end: float | str | None) -> str:
    return end if isinstance(end, str) else f"{end:,.15g}"
