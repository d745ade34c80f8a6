"""From the tables of a pipeline file to operations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from query.errors import InvalidQuery
from query.language.filters import CheckRegex, parse_filters
from query.limits import Limits
from query.transforms.expectations import ENTRY, read_expectation
from query.transforms.fields import Fields, InvalidPipeline, unknown
from query.transforms.nodes import (
    AggregateRows,
    Compute,
    Dedupe,
    Drop,
    EnrichColumns,
    Expect,
    Explode,
    Function,
    Keep,
    Lookup,
    Mask,
    Missing,
    OnError,
    Operation,
    Parse,
    PluginCall,
    PluginOperation,
    Python,
    RenameColumns,
    Select,
    Sessionise,
    Sql,
    Value,
    ValueType,
    Where,
)
from storage.schema import TIMESTAMP

FRAMES = ("arrow", "pandas", "polars")
DAY_US = 86_400_000_000


class OperationReader:
    """Reads operations; knows what they may refer to."""

    def __init__(
        self,
        masks: Mapping[str, Any],
        references: Mapping[str, Sequence[str]],
        limits: Limits,
        check_regex: CheckRegex,
        plugins: Mapping[str, str] = {},
    ) -> None:
        """``masks``: name → filters as JSON; ``references``: name → columns of the table; ``plugins``: kind
        and name, as ``operation:name`` → the package and its version."""
        self._masks, self._references, self._plugins = masks, references, plugins
        self._limits, self._check_regex = limits, check_regex
        self._kinds: dict[str, Callable[[Fields, str], Operation]] = {
            "mask": self._mask,
            "where": lambda step, key: Where(step.text(key)),
            "select": lambda step, key: Select(step.texts(key)),
            "drop": self._drop,
            "rename": self._rename,
            "compute": lambda step, key: Compute(step.pairs(key)),
            "parse": self._parse,
            "explode": self._explode,
            "dedupe": self._dedupe,
            "sessionise": self._sessionise,
            "lookup": self._lookup,
            "aggregate": self._aggregate,
            "sql": lambda step, key: Sql(step.text(key).strip().rstrip(";")),
            "python": self._python,
            "plugin": self._plugin,
            "enrich": self._enrich,
            "expect": self._expect,
        }

    def read_list(self, place: str, value: Any) -> tuple[Operation, ...]:
        """Raises InvalidPipeline."""
        if not isinstance(value, list):
            raise InvalidPipeline(place, "must be a list of operations, as [{ where = '…' }].")
        operations = [self._read(Fields.of(f"{place}[{n}]", one)) for n, one in enumerate(value)]
        masked = True
        for number, operation in enumerate(operations):
            masked = masked and isinstance(operation, Mask)
            if isinstance(operation, Mask) and not masked:
                raise InvalidPipeline(
                    f"{place}[{number}]",
                    "a mask stands before all other operations: it selects events as they were sent. Use "
                    "'where' here.",
                )
        names = Counter(one.name for one in operations if isinstance(one, Expect))
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise InvalidPipeline(
                place, f"two expectations have the name '{twice[0]}': reports tell them by it."
            )
        return tuple(operations)

    def _read(self, step: Fields) -> Operation:
        named = [key for key in step.values if key in self._kinds]
        if "expect" in named:
            named = ["expect"]
        if len(named) != 1:
            if not named and step.values:
                raise unknown(step.place, next(iter(step.values)), self._kinds)
            raise InvalidPipeline(step.place, "must be one operation: give each a table of its own.")
        operation = self._kinds[named[0]](step, named[0])
        step.end()
        return operation

    def _mask(self, step: Fields, key: str) -> Operation:
        names = step.texts(key)
        filters: list[Any] = []
        for name in names:
            if name not in self._masks:
                raise InvalidPipeline(step.at(key), f"there is no mask '{name}' in [masks].")
            filters += self._masks[name]
        try:
            return Mask(parse_filters(filters, self._limits, self._check_regex))
        except InvalidQuery as error:
            raise InvalidPipeline(step.at(key), error.message) from None

    def _drop(self, step: Fields, key: str) -> Operation:
        columns = step.texts(key)
        _keep_time(step.at(key), columns)
        return Drop(columns)

    def _rename(self, step: Fields, key: str) -> Operation:
        names = step.pairs(key)
        _keep_time(step.at(key), [old for old, _ in names])
        return RenameColumns(names)

    def _parse(self, step: Fields, key: str) -> Operation:
        inner = step.table(key)
        operation = Parse(
            inner.text("column"),
            inner.choice("to", ValueType),
            inner.optional_text("format"),
            inner.choice("on_error", OnError, OnError.NULL),
        )
        inner.end()
        if operation.format is not None and operation.to not in (ValueType.DATETIME, ValueType.DATE):
            raise InvalidPipeline(inner.at("format"), "is for 'datetime' and 'date' alone.")
        return operation

    def _explode(self, step: Fields, key: str) -> Operation:
        column = step.text(key)
        return Explode(column, step.text("as", column))

    def _dedupe(self, step: Fields, key: str) -> Operation:
        return Dedupe(step.texts(key), step.choice("keep", Keep, Keep.FIRST))

    def _sessionise(self, step: Fields, key: str) -> Operation:
        gap = step.length("gap", 1_800_000_000)
        assert gap is not None
        return Sessionise(step.text(key), gap)

    def _lookup(self, step: Fields, key: str) -> Operation:
        name = step.text(key)
        columns = self._references.get(name)
        if columns is None:
            raise InvalidPipeline(step.at(key), f"there is no table '{name}' in [references].")
        on = step.pairs("on") if isinstance(step.raw("on"), dict) else _same(step.texts("on"))
        take = step.pairs("take") if isinstance(step.raw("take"), dict) else _same(step.texts("take"))
        valid_from = step.optional_text("valid_from")
        for theirs in (*(one for _, one in on), *(one for one, _ in take), *filter(None, [valid_from])):
            if theirs not in columns:
                raise unknown(step.at(key), theirs, columns)
        return Lookup(name, on, take, step.choice("missing", Missing, Missing.NULL), valid_from)

    def _aggregate(self, step: Fields, key: str) -> Operation:
        inner = step.table(key)
        values = inner.table("values")
        if not values.values:
            raise InvalidPipeline(values.place, "must name at least one value, as { orders = 'count' }.")
        operation = AggregateRows(
            inner.texts("by", empty=True),
            inner.length("every"),
            tuple(_value(values, name) for name in values.values),
        )
        inner.end()
        if operation.every_us is not None and DAY_US % operation.every_us and operation.every_us % DAY_US:
            raise InvalidPipeline(inner.at("every"), "must divide a day, or be whole days.")
        return operation

    def _expect(self, step: Fields, key: str) -> Operation:
        return read_expectation(step, self._references, self._check_regex, self._called)

    def _plugin(self, step: Fields, key: str) -> Operation:
        return PluginOperation(self._called(step, key, "operation"))

    def _enrich(self, step: Fields, key: str) -> Operation:
        output = step.text("output")
        if output.split(".")[0] == "keen":
            raise step.wrong("output", "a column that is not in 'keen'")
        return EnrichColumns(self._called(step, key, "enricher"), step.pairs("input"), output)

    def _called(self, step: Fields, key: str, kind: str) -> PluginCall:
        """The plugin that a step names, with its settings."""
        name, release = step.text(key), self._plugins.get(f"{kind}:{step.values[key]}")
        if release is None:
            raise InvalidPipeline(
                step.at(key),
                f"there is no {kind} plugin '{name[:100]}': 'acumen plugins' lists those that are installed.",
            )
        settings = Fields.of(step.at("settings"), step.raw("settings", {}))
        text = json.dumps(settings.values, sort_keys=True, separators=(",", ":"), default=str)
        return PluginCall(name, text, release)

    def _python(self, step: Fields, key: str) -> Operation:
        entry, frame = step.text(key), step.text("frame", "arrow")
        if not ENTRY.fullmatch(entry):
            raise step.wrong(key, "a function of the folder, as 'module:function'")
        if frame not in FRAMES:
            raise step.wrong("frame", f"one of {', '.join(FRAMES)}")
        return Python(entry, frame)


def _value(values: Fields, name: str) -> Value:
    """One of ``{ orders = 'count', revenue = { sum = 'price' } }``."""
    given = values.raw(name)
    if given == Function.COUNT.value:
        return Value(name, Function.COUNT)
    if isinstance(given, dict) and len(given) == 1:
        ((function, column),) = given.items()
        if function in tuple(Function) and isinstance(column, str) and column:
            return Value(name, Function(function), column)
    functions = ", ".join(f"'{one}'" for one in Function)
    raise values.wrong(name, f"'count', or a table as {{ sum = 'price' }} with one of {functions}")


def _same(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name, name) for name in names)


def _keep_time(place: str, columns: Sequence[str]) -> None:
    if TIMESTAMP in columns:
        raise InvalidPipeline(place, f"'{TIMESTAMP}' must stay: it says which bucket a row belongs to.")
