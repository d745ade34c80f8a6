"""The operations of a pipeline, as frozen nodes: each takes rows and gives rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeGuard

from query.language.nodes import Filter


class ValueType(StrEnum):
    """What a column is parsed to."""

    NUMBER = "number"
    INTEGER = "integer"
    STRING = "string"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    DATE = "date"


class OnError(StrEnum):
    """What becomes of a row with a value that cannot be parsed."""

    NULL = "null"
    DROP = "drop"
    FAIL = "fail"


class Function(StrEnum):
    """What an aggregation computes of the rows of a group."""

    COUNT = "count"
    COUNT_UNIQUE = "count_unique"
    SUM = "sum"
    AVERAGE = "average"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    MEDIAN = "median"
    STANDARD_DEVIATION = "standard_deviation"
    FIRST = "first"
    LAST = "last"


class Keep(StrEnum):
    FIRST = "first"
    LAST = "last"


class Missing(StrEnum):
    """What becomes of a row that a lookup finds nothing for."""

    NULL = "null"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Mask:
    """Keeps the events that satisfy filters of questions. Only before all other operations."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Where:
    """Keeps the rows for which an expression of SQL is true."""

    expression: str


@dataclass(frozen=True, slots=True)
class Select:
    """Keeps these columns and ``keen.timestamp``."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RenameColumns:
    names: tuple[tuple[str, str], ...]
    """(old, new)."""


@dataclass(frozen=True, slots=True)
class Compute:
    """Adds or replaces columns."""

    columns: tuple[tuple[str, str], ...]
    """(name, expression of SQL)."""


@dataclass(frozen=True, slots=True)
class Parse:
    column: str
    to: ValueType
    format: str | None = None
    """As DuckDB's strptime has it; for instants and dates."""
    on_error: OnError = OnError.NULL


@dataclass(frozen=True, slots=True)
class Explode:
    """One row for each element of a list; a row without elements goes."""

    column: str
    to: str


@dataclass(frozen=True, slots=True)
class Dedupe:
    by: tuple[str, ...]
    keep: Keep


@dataclass(frozen=True, slots=True)
class Sessionise:
    """Adds ``session.id``, ``session.start`` and ``session.position`` (from 1) by the gaps of each actor."""

    actor: str
    gap_us: int


@dataclass(frozen=True, slots=True)
class Lookup:
    """Adds columns of a reference table."""

    reference: str
    on: tuple[tuple[str, str], ...]
    """(column of the row, column of the table)."""
    take: tuple[tuple[str, str], ...]
    """(column of the table, name it gets)."""
    missing: Missing = Missing.NULL
    valid_from: str | None = None
    """The column of the table from whose instant on its row holds; of those for a key, the last before the
    event counts."""


@dataclass(frozen=True, slots=True)
class Value:
    name: str
    function: Function
    column: str | None = None


@dataclass(frozen=True, slots=True)
class AggregateRows:
    """One row for each window and each combination of values; ``keen.timestamp`` is the window's start."""

    by: tuple[str, ...]
    every_us: int | None
    """None for the whole bucket."""
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Sql:
    """A SELECT over the table ``input``."""

    statement: str


@dataclass(frozen=True, slots=True)
class Python:
    """A function of the folder's own code: ``module:name``, which takes and returns a table."""

    entry: str
    frame: str
    """arrow, pandas or polars."""


@dataclass(frozen=True, slots=True)
class PluginCall:
    """A plugin that a step names."""

    name: str
    settings: str
    """Canonical JSON."""
    release: str
    """The package and its version, as they were when the folder was applied."""


@dataclass(frozen=True, slots=True)
class PluginOperation:
    """A plugin that makes rows of rows."""

    plugin: PluginCall


@dataclass(frozen=True, slots=True)
class EnrichColumns:
    """Columns below ``output`` that a plugin finds out from others."""

    plugin: PluginCall
    inputs: tuple[tuple[str, str], ...]
    """What the plugin calls a column, and the column."""
    output: str


class Severity(StrEnum):
    """What follows where rows break an expectation."""

    WARN = "warn"
    """They stay, and the report says so."""
    QUARANTINE = "quarantine"
    """They go to the pipeline's quarantine."""
    STOP = "stop"
    """The bucket fails."""


@dataclass(frozen=True, slots=True)
class Required:
    """The column has a value."""

    column: str


@dataclass(frozen=True, slots=True)
class OfType:
    """Values are of a type, as JSON has types: the text "12" is no number."""

    column: str
    type: ValueType


@dataclass(frozen=True, slots=True)
class InRange:
    """Values are numbers, or with texts as ends instants, between the ends; these included."""

    column: str
    low: float | str | None
    high: float | str | None


@dataclass(frozen=True, slots=True)
class MatchesPattern:
    """Values are texts in which a regular expression is found."""

    column: str
    pattern: str


@dataclass(frozen=True, slots=True)
class OneOfValues:
    column: str
    values: tuple[str | float | bool, ...]


@dataclass(frozen=True, slots=True)
class Unique:
    """No two rows have the same values in these columns; of those that do, the first by time stays."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InReference:
    """Values are in a column of a reference table."""

    column: str
    reference: str
    key: str


@dataclass(frozen=True, slots=True)
class Holds:
    """An expression of SQL is not false."""

    expression: str


@dataclass(frozen=True, slots=True)
class RowCount:
    """The bucket has so many rows."""

    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class PluginRules:
    """The rules of a plugin, which are known once it has seen the rows."""

    plugin: PluginCall


@dataclass(frozen=True, slots=True)
class SchemaRules:
    """The rules of a pandera schema of the folder's own code: ``module:name``."""

    entry: str


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """A rule that was judged row by row: ``JUDGED`` has the numbers of those that a row breaks."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class JudgedWhole:
    """A rule about all rows that was judged."""

    name: str
    problem: str | None


OutsideRules = PluginRules | SchemaRules
"""Rules that other code judges: ``JudgedRows`` and ``JudgedWhole`` take their place when it has."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The values of a column are like those of the time before the bucket."""

    column: str
    most: float
    """The greatest population stability index."""
    against_us: int
    rows_min: int
    """Nothing is said with fewer rows before, or in the bucket."""


RowRule = (
    Required | OfType | InRange | MatchesPattern | OneOfValues | Unique | InReference | Holds | JudgedRows
)
"""A rule that each row keeps or breaks. A null keeps all but ``Required``."""
WholeRule = RowCount | Drift | JudgedWhole
"""A rule about all rows together."""
Rule = RowRule | WholeRule | OutsideRules


@dataclass(frozen=True, slots=True)
class Expect:
    """Checks the rows at its place among the steps."""

    name: str
    rules: tuple[Rule, ...]
    severity: Severity
    tolerated: float
    """The share of rows that may break it: with ``quarantine`` above it, otherwise up to it."""


Operation = (
    Mask
    | Where
    | Select
    | Drop
    | RenameColumns
    | Compute
    | Parse
    | Explode
    | Dedupe
    | Sessionise
    | Lookup
    | AggregateRows
    | Sql
    | Python
    | PluginOperation
    | EnrichColumns
    | Expect
)


OutsideStep = Python | PluginOperation | EnrichColumns
"""A step that code other than SQL runs."""
OUTSIDE = (Python, PluginOperation, EnrichColumns)


def is_outside(rule: Rule) -> TypeGuard[OutsideRules]:
    """Whether other code judges the rule."""
    return isinstance(rule, PluginRules | SchemaRules)


def needs_outside(step: Operation) -> bool:
    """Whether a step needs the rows before it as a table, for code that is not SQL."""
    return isinstance(step, OUTSIDE) or (isinstance(step, Expect) and any(map(is_outside, step.rules)))


def needs_folder(step: Operation) -> bool:
    """Whether a step runs code of the folder."""
    return isinstance(step, Python) or (
        isinstance(step, Expect) and any(isinstance(rule, SchemaRules) for rule in step.rules)
    )


@dataclass(frozen=True, slots=True)
class BucketSpan:
    """The part of time that is derived at once, ``[start, end)``."""

    start_us: int
    end_us: int
