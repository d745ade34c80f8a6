"""Expectations as SQL: which rules each row breaks, and what is told of them beside the rows.

A statement with expectations gives, beside the rows that come out of its steps, *aside rows*. These have a
text in the column ``ASIDE`` and nothing in all others. It is JSON: for each expectation ``{"step": n,
"rows": n, "faulty": n, "broken": {rule: n}}``, for each of its drifts what ``query.transforms.drift`` says,
and for each row that it sets aside ``{"step": n, "rules": [...], "digest": …, "at": µs, "row": {...}}``.
"""

from __future__ import annotations

from typing import TypeGuard

from query.sql.statement import Statement, bound, joined, name, sql
from query.transforms.drift import drift_row
from query.transforms.nodes import (
    BucketSpan,
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
    Required,
    RowCount,
    RowRule,
    Rule,
    Severity,
    Unique,
    ValueType,
    is_outside,
)
from query.transforms.values import has_value, is_of, kind_of, plain_text, text_of
from storage.schema import CREATED_AT, EVENT_ID, TIMESTAMP

ASIDE = "acumen_aside"
ACCEPTED = "acumen_accepted"
"""A table with a column ``digest``: rows that somebody accepted as they are."""
JUDGED = "acumen_judged"
"""The column with the numbers of the rules that other code found a row to break (``JudgedRows``)."""
ValueRule = OfType | InRange | MatchesPattern | OneOfValues | InReference
"""Rules of a value that is there."""
_BROKEN = "acumen_broken"
_DIGEST = "acumen_digest"
_TIME = name(TIMESTAMP)


def checked_rows(expect: Expect, rows: Statement) -> Statement:
    """The rows, each with the numbers of the rules that it breaks; with ``quarantine`` its digest too."""
    cases = [
        sql("CASE WHEN {} THEN {} END", _breaks(rule, rows), bound(number))
        for number, rule in _of_rows(expect)
    ]
    listed = joined(", ", cases) if cases else Statement("NULL")
    broken = sql("list_filter(CAST([{}] AS INTEGER[]), lambda rule: rule IS NOT NULL)", listed)
    marked = sql("SELECT *{}, {} AS {} FROM {}", _unjudged(expect), broken, name(_BROKEN), rows)
    if expect.severity is not Severity.QUARANTINE:
        return marked
    # What was accepted breaks nothing. Rows get a digest only where they break something.
    digest = sql(
        "SELECT *, CASE WHEN len({}) > 0 THEN {} END AS {} FROM ({}) AS marked",
        name(_BROKEN),
        _digest(Statement("marked")),
        name(_DIGEST),
        marked,
    )
    accepted = sql("{} IN (SELECT digest FROM {})", name(_DIGEST), name(ACCEPTED))
    return sql(
        "SELECT * REPLACE (CASE WHEN {} THEN CAST([] AS INTEGER[]) ELSE {} END AS {}) FROM ({})",
        accepted,
        name(_BROKEN),
        name(_BROKEN),
        digest,
    )


def _of_rows(expect: Expect) -> list[tuple[int, RowRule]]:
    """The rules that each row keeps or breaks, with their numbers."""
    return [(number, rule) for number, rule in enumerate(expect.rules) if is_of_rows(rule)]


def is_of_rows(rule: Rule) -> TypeGuard[RowRule]:
    """Whether each row keeps or breaks the rule; others are about all rows."""
    return not isinstance(rule, RowCount | Drift | JudgedWhole) and not is_outside(rule)


def _unjudged(expect: Expect) -> Statement:
    """Leaves out what was judged elsewhere."""
    is_judged = any(isinstance(rule, JudgedRows) for rule in expect.rules)
    return sql(" EXCLUDE ({})", name(JUDGED)) if is_judged else Statement("")


def kept_rows(expect: Expect, checked: Statement) -> Statement:
    """The rows that go on to the next step."""
    if expect.severity is not Severity.QUARANTINE:
        return sql("SELECT * EXCLUDE ({}) FROM {}", name(_BROKEN), checked)
    return sql(
        "SELECT * EXCLUDE ({}, {}) FROM {} WHERE len({}) = 0",
        name(_BROKEN),
        name(_DIGEST),
        checked,
        name(_BROKEN),
    )


def aside_rows(expect: Expect, step: int, checked: Statement, bucket: BucketSpan) -> list[Statement]:
    """What is told of the rows within the bucket; those before it are told of with their own."""
    within = sql("coalesce({} >= make_timestamptz({}), TRUE)", _TIME, bound(bucket.start_us))
    counts = joined(
        ", ",
        (
            sql(
                "{}, count(*) FILTER (WHERE list_contains({}, {}))",
                bound(str(number)),
                name(_BROKEN),
                bound(number),
            )
            for number, _ in _of_rows(expect)
        ),
    )
    told = sql(
        "SELECT CAST(json_object('step', {}, 'rows', count(*), 'faulty', count(*) FILTER (WHERE len({}) > 0),"
        " 'broken', json_object({})) AS VARCHAR) AS {} FROM {} WHERE {}",
        bound(step),
        name(_BROKEN),
        counts,
        name(ASIDE),
        checked,
        within,
    )
    drifts = [
        drift_row(rule, step, number, checked, bucket, ASIDE)
        for number, rule in enumerate(expect.rules)
        if isinstance(rule, Drift)
    ]
    if expect.severity is not Severity.QUARANTINE:
        return [told, *drifts]
    row = sql("json_merge_patch('{{}}', {})", _without(checked, (_BROKEN, _DIGEST)))
    set_aside = sql(
        "SELECT CAST(json_object('step', {}, 'rules', {}, 'digest', {}, 'at', epoch_us({}), 'row', {}) "
        "AS VARCHAR) AS {} FROM {} WHERE {} AND len({}) > 0",
        bound(step),
        name(_BROKEN),
        name(_DIGEST),
        _TIME,
        row,
        name(ASIDE),
        checked,
        within,
        name(_BROKEN),
    )
    return [told, set_aside]


def _without(rows: Statement, columns: tuple[str, ...]) -> Statement:
    """A row as JSON without some of its columns."""
    nulls = joined(", ", (sql("{}, NULL", bound(column)) for column in columns))
    return sql("json_merge_patch(to_json({}), json_object({}))", rows, nulls)


def _digest(rows: Statement) -> Statement:
    """Tells a row by its values: not by ids, which a derived row gets anew, nor by columns without one."""
    values = sql("json_merge_patch('{{}}', {})", _without(rows, (EVENT_ID, CREATED_AT, _BROKEN)))
    return sql("md5(CAST({} AS VARCHAR))", values)


def _breaks(rule: RowRule, rows: Statement) -> Statement:
    """Whether a row breaks the rule."""
    match rule:
        case Required(column):
            return sql("NOT {}", has_value(name(column)))
        case Unique(columns):
            return _repeats(columns, rows)
        case JudgedRows(_, number):
            return sql("list_contains({}, {})", name(JUDGED), bound(number))
        case Holds(expression):
            return sql("({}) IS FALSE", Statement(f"{expression}\n" if "--" in expression else expression))
        case OfType() | InRange() | MatchesPattern() | OneOfValues() | InReference():
            value = name(rule.column)
            return sql("{} AND NOT coalesce({}, FALSE)", has_value(value), _keeps(rule, value))
    raise TypeError(rule)


def _repeats(columns: tuple[str, ...], rows: Statement) -> Statement:
    """Whether another row before it has the same values; the whole row decides between those of one time."""
    keys = [name(column) for column in columns]
    number = sql(
        "row_number() OVER (PARTITION BY {} ORDER BY {}, to_json({}))", joined(", ", keys), _TIME, rows
    )
    return sql("{} AND {} > 1", joined(" AND ", map(has_value, keys)), number)


def _keeps(
    rule: OfType | InRange | MatchesPattern | OneOfValues | InReference, value: Statement
) -> Statement:
    """Whether a value that is there keeps the rule; null where that cannot be said."""
    match rule:
        case OfType(_, kind):
            return is_of(kind, value)
        case InRange(_, low, high):
            return _is_between(low, high, value)
        case MatchesPattern(_, pattern):
            return sql("regexp_matches({}, {})", plain_text(value), bound(pattern))
        case OneOfValues(_, values):
            return _is_one_of(values, value)
        case InReference(_, reference, key):
            theirs = name(f"reference_{reference}")
            return sql("{} IN (SELECT {} FROM {} WHERE {} IS NOT NULL)", value, name(key), theirs, name(key))
    raise TypeError(rule)


def _is_between(low: float | str | None, high: float | str | None, value: Statement) -> Statement:
    kind = Statement("TIMESTAMPTZ" if isinstance(low, str) or isinstance(high, str) else "DOUBLE")
    given = sql("TRY_CAST({} AS {})", text_of(value), kind)
    tests = [
        sql("{} {} CAST({} AS {})", given, Statement(sign), bound(end), kind)
        for sign, end in ((">=", low), ("<=", high))
        if end is not None
    ]
    if kind.text == "DOUBLE":
        # The text "12" is no number.
        tests.append(is_of(ValueType.NUMBER, value))
    return joined(" AND ", tests)


def _is_one_of(values: tuple[str | float | bool, ...], value: Statement) -> Statement:
    texts = [one for one in values if isinstance(one, str)]
    truths = [one for one in values if isinstance(one, bool)]
    numbers = [float(one) for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    tests = []
    if texts:
        tests.append(
            sql("({} = 'VARCHAR' AND list_contains({}, {}))", kind_of(value), bound(texts), text_of(value))
        )
    if truths:
        shown = [str(one).lower() for one in truths]
        tests.append(
            sql("({} = 'BOOLEAN' AND list_contains({}, {}))", kind_of(value), bound(shown), text_of(value))
        )
    if numbers:
        number = sql("TRY_CAST({} AS DOUBLE)", text_of(value))
        tests.append(
            sql("({} AND list_contains({}, {}))", is_of(ValueType.NUMBER, value), bound(numbers), number)
        )
    return sql("({})", joined(" OR ", tests))
