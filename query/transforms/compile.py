"""The operations of a pipeline as one SELECT over the table ``input``.

Expressions and statements in it are those of the pipeline's own folder; values are bound and names quoted.
The statement runs in a confined process, as that of an analyst does (``query.untrusted``).
"""

from __future__ import annotations

from collections.abc import Sequence

from query.sql.statement import Statement, bound, joined, name, sql
from query.transforms.checks import aside_rows, checked_rows, kept_rows
from query.transforms.nodes import (
    AggregateRows,
    BucketSpan,
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
from storage.schema import CREATED_AT, EVENT_ID, TIMESTAMP

INPUT = "input"
INPUTS = "input_of_all"
"""What all buckets read that are derived beside each other."""
WHICH = "keen.bucket"
BESIDE = (
    Mask,
    Where,
    Select,
    Drop,
    RenameColumns,
    Compute,
    Parse,
    Explode,
    Dedupe,
    Sessionise,
    Lookup,
    AggregateRows,
    Sql,
)
"""Operations whose SELECTs may stand beside those of other buckets."""
_TIME = name(TIMESTAMP)
TYPES = {
    ValueType.NUMBER: "DOUBLE",
    ValueType.INTEGER: "BIGINT",
    ValueType.STRING: "VARCHAR",
    ValueType.BOOLEAN: "BOOLEAN",
    ValueType.DATETIME: "TIMESTAMPTZ",
    ValueType.DATE: "DATE",
}
_FUNCTIONS = {
    Function.SUM: "sum({})",
    Function.AVERAGE: "avg({})",
    Function.MINIMUM: "min({})",
    Function.MAXIMUM: "max({})",
    Function.MEDIAN: "median({})",
    Function.STANDARD_DEVIATION: "stddev_samp({})",
    Function.COUNT_UNIQUE: "count(DISTINCT {})",
}


def declared(columns: Sequence[tuple[str, ValueType]]) -> list[Operation]:
    """The operations that give declared columns their types."""
    return [Parse(column, kind) for column, kind in columns]


def reference_table(reference: str) -> str:
    """The name of the table that a lookup joins."""
    return f"reference_{reference}"


def compiled(operations: Sequence[Operation], bucket: BucketSpan, *, looks_back: bool) -> Statement:
    """The SELECT of all operations but masks, which the source applies; with expectations it also gives what
    ``query.transforms.checks`` says. ``looks_back``: rows before the bucket, which are read for those within
    it, are left out at the end."""
    before = Statement(INPUT)
    steps: list[Statement] = []
    aside: list[Statement] = []
    for number, operation in enumerate(operations, 1):
        step = Statement(f"step_{number}")
        if isinstance(operation, Expect):
            # Materialized: what is set aside and what goes on are of one and the same row.
            checked = Statement(f"checked_{number}")
            steps.append(sql("{} AS MATERIALIZED ({})", checked, checked_rows(operation, before)))
            steps.append(sql("{} AS ({})", step, kept_rows(operation, checked)))
            aside += aside_rows(operation, number - 1, checked, bucket)
        else:
            steps.append(sql("{} AS ({})", step, _step(operation, before, bucket)))
        before = step
    last = sql("SELECT * FROM {}", before)
    if looks_back:
        # What has no time is kept, and refused later.
        last = sql("{} WHERE coalesce({} >= {}, TRUE)", last, _TIME, _at(bucket.start_us))
    last = joined(" UNION ALL BY NAME ", [last, *aside])
    return sql("WITH {} {}", joined(", ", steps), last) if steps else last


def beside(operations: Sequence[Operation], buckets: Sequence[BucketSpan], lookback_us: int) -> Statement:
    """The SELECTs of several buckets as one, each over what its bucket reads of the table ``INPUTS``. In each
    row ``WHICH`` is the number of its bucket, from 0."""
    parts = []
    for number, bucket in enumerate(buckets):
        own = sql(
            "SELECT * FROM {} WHERE {} >= {} AND {} < {}",
            Statement(INPUTS),
            _TIME,
            _at(bucket.start_us - lookback_us),
            _TIME,
            _at(bucket.end_us),
        )
        statement = compiled(operations, bucket, looks_back=lookback_us > 0)
        given = sql("WITH {} AS ({})", Statement(INPUT), own)
        parts.append(
            sql(
                "SELECT {} AS {}, * FROM ({} SELECT * FROM ({}))",
                bound(number),
                name(WHICH),
                given,
                statement,
            )
        )
    return joined(" UNION ALL BY NAME ", [sql("({})", part) for part in parts])


def derived_beside(operations: Sequence[Operation]) -> bool:
    """Whether ``beside`` can derive several buckets."""
    return all(isinstance(one, BESIDE) for one in operations)


def derived_together(operations: Sequence[Operation], buckets: Sequence[BucketSpan]) -> bool:
    """Whether neighbouring buckets can be derived by one statement: each row then depends on rows of its own
    bucket alone, and keeps its time."""
    for operation in operations:
        match operation:
            case Dedupe() | Sessionise() | Sql() | Python() | PluginOperation() | EnrichColumns() | Expect():
                return False
            case AggregateRows(every_us=every_us):
                # Windows begin with the first bucket: they must begin with each of the others too.
                starts = [one.start_us - buckets[0].start_us for one in buckets]
                if every_us is None or any(start % every_us for start in starts):
                    return False
            case Compute(columns):
                if any(key == TIMESTAMP for key, _ in columns):
                    return False
            case RenameColumns(names):
                if any(new == TIMESTAMP for _, new in names):
                    return False
            case Parse(column=column):
                if column == TIMESTAMP:
                    return False
    return True


def _at(us: int) -> Statement:
    return sql("make_timestamptz({})", bound(us))


def _us(column: Statement) -> Statement:
    return sql("epoch_us({})", column)


def _step(operation: Operation, rows: Statement, bucket: BucketSpan) -> Statement:
    match operation:
        case Where(expression):
            return sql("SELECT * FROM {} WHERE ({})", rows, _written(expression))
        case Select(columns):
            kept = dict.fromkeys((TIMESTAMP, *columns))
            return sql("SELECT {} FROM {}", joined(", ", map(name, kept)), rows)
        case Drop(columns):
            return sql("SELECT * EXCLUDE ({}) FROM {}", joined(", ", map(name, columns)), rows)
        case RenameColumns(names):
            pairs = (sql("{} AS {}", name(old), name(new)) for old, new in names)
            return sql("SELECT * RENAME ({}) FROM {}", joined(", ", pairs), rows)
        case Compute(columns):
            return _computed([(key, _written(text)) for key, text in columns], rows)
        case Parse():
            return _parsed(operation, rows)
        case Explode(column, to):
            return _exploded(column, to, rows)
        case Dedupe():
            return _deduped(operation, rows)
        case Sessionise():
            return _sessions(operation, rows)
        case Lookup():
            return _looked_up(operation, rows)
        case AggregateRows():
            return _aggregated(operation, rows, bucket)
        case Sql(statement):
            # In parentheses, since a statement may begin with a WITH of its own.
            return sql("WITH input AS (SELECT * FROM {}) SELECT * FROM ({})", rows, _written(statement))
    raise TypeError(operation)


def _written(text: str) -> Statement:
    """Text of the folder; a comment at its end ends with its line."""
    return Statement(f"{text}\n" if "--" in text else text)


def _computed(columns: Sequence[tuple[str, Statement]], rows: Statement) -> Statement:
    """The rows with these columns: those of a name that they have already are replaced."""
    made = joined(", ", (sql("({}) AS {}", value, name(key)) for key, value in columns))
    taken = joined(", ", (sql("lower({})", bound(key)) for key, _ in columns))
    return sql("SELECT COLUMNS(lambda c: lower(c) NOT IN ({})), {} FROM {}", taken, made, rows)


def _text(column: Statement) -> Statement:
    """A value as text: of JSON, a text without its quotes."""
    return sql("json_extract_string(to_json({}), '$')", column)


def _parsed(operation: Parse, rows: Statement) -> Statement:
    text, kind = _text(name(operation.column)), Statement(TYPES[operation.to])
    fails = operation.on_error is OnError.FAIL
    if operation.format is not None:
        function = Statement("strptime" if fails else "try_strptime")
        value = sql("CAST({}({}, {}) AS {})", function, text, bound(operation.format), kind)
    else:
        value = sql("{}({} AS {})", Statement("CAST" if fails else "TRY_CAST"), text, kind)
    parsed = _computed([(operation.column, value)], rows)
    if operation.on_error is not OnError.DROP:
        return parsed
    column = name(operation.column)
    refused = sql("{} IS NOT NULL AND ({}) IS NULL", column, value)
    kept = sql("(SELECT * FROM {} WHERE NOT ({}))", rows, refused)
    return _computed([(operation.column, value)], kept)


def _exploded(column: str, to: str, rows: Statement) -> Statement:
    elements = sql("unnest(json_extract(to_json({}), '$[*]'))", name(column))
    return (
        _computed([(to, elements)], rows)
        if column == to
        else sql("SELECT * EXCLUDE ({}), {} AS {} FROM {}", name(column), elements, name(to), rows)
    )


def _deduped(operation: Dedupe, rows: Statement) -> Statement:
    order = Statement("DESC" if operation.keep is Keep.LAST else "ASC")
    # The whole row decides between rows of one time, so that the same one stays however they are stored.
    return sql(
        "SELECT * FROM {} QUALIFY row_number() OVER (PARTITION BY {} ORDER BY {} {}, to_json({}) {}) = 1",
        rows,
        joined(", ", map(name, operation.by)),
        _TIME,
        order,
        rows,
        order,
    )


def _sessions(operation: Sessionise, rows: Statement) -> Statement:
    """The whole row decides between events of one time, so that positions are the same however events are
    stored."""
    actor, gap = name(operation.actor), bound(operation.gap_us)
    window = sql("(PARTITION BY {} ORDER BY {}, session_row)", actor, _TIME)
    numbered = sql("SELECT *, to_json({}) AS session_row FROM {} WHERE {} IS NOT NULL", rows, rows, actor)
    begins = sql(
        "SELECT *, coalesce({} - lag({}) OVER {} > {}, TRUE) AS session_begins FROM ({})",
        _us(_TIME),
        _us(_TIME),
        window,
        gap,
        numbered,
    )
    counted = sql(
        "SELECT *, sum(CAST(session_begins AS INTEGER)) OVER {} AS session_number FROM ({})", window, begins
    )
    session = sql("(PARTITION BY {}, session_number", actor)
    start = sql("min({}) OVER {})", _TIME, session)
    position = sql("row_number() OVER {} ORDER BY {}, session_row)", session, _TIME)
    identity = sql("concat({}, '@', epoch_ms({}))", _text(actor), start)
    helping = Statement("session_row, session_begins, session_number")
    return sql(
        "SELECT * EXCLUDE ({}), {} AS {}, {} AS {}, {} AS {} FROM ({})",
        helping,
        identity,
        name("session.id"),
        start,
        name("session.start"),
        position,
        name("session.position"),
        counted,
    )


def _looked_up(operation: Lookup, rows: Statement) -> Statement:
    table = name(reference_table(operation.reference))
    tests = [
        sql("{} = {}", sql("{}.{}", rows, name(own)), sql("found.{}", name(theirs)))
        for own, theirs in operation.on
    ]
    kind = "" if operation.missing is Missing.DROP else "LEFT "
    if operation.valid_from is not None:
        kind = f"ASOF {kind}"
        # Tables have days and texts too: what is no instant fails.
        since = sql("CAST(found.{} AS TIMESTAMPTZ)", name(operation.valid_from))
        tests.append(sql("{}.{} >= {}", rows, _TIME, since))
    taken = [sql("found.{} AS {}", name(theirs), name(new)) for theirs, new in operation.take]
    return sql(
        "SELECT {}.*, {} FROM {} {}JOIN {} AS found ON {}",
        rows,
        joined(", ", taken),
        rows,
        Statement(kind),
        table,
        joined(" AND ", tests),
    )


def _aggregated(operation: AggregateRows, rows: Statement, bucket: BucketSpan) -> Statement:
    start = bound(bucket.start_us)
    if operation.every_us is None:
        at = _at(bucket.start_us)
    else:
        width = bound(operation.every_us)
        # Windows begin with the bucket, so that none is in two.
        at = sql("make_timestamptz({} + (({} - {}) // {}) * {})", start, _us(_TIME), start, width, width)
    groups = joined(", ", map(name, operation.by))
    values = joined(", ", (_value(value, rows) for value in operation.values))
    inside = sql("{} >= {} AND {} < {}", _TIME, _at(bucket.start_us), _TIME, _at(bucket.end_us))
    listed = sql("{}, {}", groups, values) if operation.by else values
    # Without groups there would be a row even where no row is.
    return sql(
        "SELECT {} AS {}, {} FROM {} WHERE {} GROUP BY ALL HAVING count(*) > 0",
        at,
        _TIME,
        listed,
        rows,
        inside,
    )


def _value(value: Value, rows: Statement) -> Statement:
    if value.function is Function.COUNT:
        counted = Statement("*") if value.column is None else name(value.column)
        return sql("count({}) AS {}", counted, name(value.name))
    assert value.column is not None
    column = name(value.column)
    if value.function in (Function.FIRST, Function.LAST):
        function = Statement("arg_min" if value.function is Function.FIRST else "arg_max")
        # Of equal times the whole row decides.
        at = sql("{{'time': {}, 'row': to_json({})}}", _TIME, rows)
        return sql("{}({}, {}) AS {}", function, column, at, name(value.name))
    return sql("{} AS {}", sql(_FUNCTIONS[value.function], column), name(value.name))


DROPPED = (EVENT_ID, CREATED_AT)
"""Columns of the input that derived rows get anew."""
