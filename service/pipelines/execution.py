"""Derives the rows of one bucket: the operations run in processes of their own, with limits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from query.answers.visible_properties import lanes_standing
from query.engine.engine import CancelToken, Deadline, Engine
from query.errors import InvalidQuery, QueryTimeout
from query.language.nodes import Filter, Span
from query.limits import Limits, SqlLimits
from query.sql.statement import Statement, bound, joined, sql
from query.sql.statement import name as quoted
from query.transforms.checks import ACCEPTED
from query.transforms.compile import (
    DROPPED,
    INPUT,
    INPUTS,
    TYPES,
    WHICH,
    beside,
    compiled,
    declared,
    derived_together,
    reference_table,
)
from query.transforms.nodes import (
    OUTSIDE,
    BucketSpan,
    Expect,
    InReference,
    Lookup,
    Mask,
    Operation,
    OutsideStep,
    Python,
    Severity,
    needs_outside,
)
from query.untrusted.answer import SqlQuery, Surroundings, answer_sql
from query.untrusted.messages import Format
from query.untrusted.processes import SqlProcesses
from query.untrusted.rows import JSON_MARK
from query.untrusted.tables import Excerpt
from service.pipelines.definition import PipelineDefinition
from service.pipelines.expectations.quarantine import quarantined_rows
from service.pipelines.expectations.reports import (
    BrokenExpectation,
    ExpectationReport,
    SetAside,
    check_reports,
    read_aside,
    without_aside,
)
from service.pipelines.outside.code import OutsideCode
from service.pipelines.references import Reference, ReferenceStore
from service.plugins.confined import CodeFailed
from storage.columns.arrow_lanes import Unstorable, lanes_of_table
from storage.events.validation import EventLimits
from storage.files.derived_buckets import DerivedRows
from storage.schema import TIMESTAMP, LaneKind
from storage.source import Source

_GIVEN = "given_rows"
_OWN_NAMES = re.compile(r"\bstep_(\d+)\b")
_ABSENT = re.compile(r'Column "([^"]+)" in \w+ list not found|Referenced column "([^"]+)" not found')


class DerivationFailed(Exception):
    """A bucket that cannot be derived; the text says why, and in which step. ``reports``: those of the
    expectations that were checked."""

    def __init__(self, message: str, reports: Sequence[ExpectationReport] = ()) -> None:
        super().__init__(message)
        self.reports = reports


@dataclass(frozen=True, slots=True)
class Derivation:
    """What a run of a bucket gives."""

    rows: DerivedRows
    quarantined: DerivedRows | None = None
    """Rows that expectations have set aside, and what they broke."""
    reports: Sequence[ExpectationReport] = ()

    @property
    def set_aside(self) -> int:
        return 0 if self.quarantined is None else len(self.quarantined.times)


@dataclass
class Deriver:
    """Derives buckets. Used by one thread."""

    engine: Engine
    processes: SqlProcesses
    references: ReferenceStore
    folder: Callable[[str], Path]
    """Project → the folder of its files."""
    limits: Limits
    sql_limits: SqlLimits
    event_limits: EventLimits
    outside: OutsideCode

    def derive(
        self,
        project_id: str,
        definition: PipelineDefinition,
        sources: Mapping[str, Source],
        bucket: BucketSpan,
        cancel: CancelToken,
    ) -> Derivation:
        """The rows of a bucket. Raises DerivationFailed, QueryError, SourceGone, OSError."""
        return self.derive_all(project_id, definition, sources, [bucket], cancel)[0]

    def derive_all(
        self,
        project_id: str,
        definition: PipelineDefinition,
        sources: Mapping[str, Source],
        buckets: Sequence[BucketSpan],
        cancel: CancelToken,
        accepted: Sequence[str] = (),
    ) -> list[Derivation]:
        """The rows of neighbouring buckets, which must be derivable together (``derived_together``) or beside
        each other (``derived_beside``) where there are several. ``accepted``: the digests of rows that no
        expectation sets aside. Raises as ``derive`` does."""
        span = BucketSpan(buckets[0].start_us, buckets[-1].end_us)
        if len(buckets) > 1 and not together(definition, buckets):
            table = _BucketRun(self, project_id, definition, sources, span, cancel, each=buckets).table()
            return [
                Derivation(stored_rows(_of(table, number), one, self.event_limits))
                for number, one in enumerate(buckets)
            ]
        work = _BucketRun(self, project_id, definition, sources, span, cancel, accepted)
        table = work.table()
        if len(buckets) == 1 or TIMESTAMP not in table.column_names:
            rows = stored_rows(table, span, self.event_limits)
            quarantined = quarantined_rows(work.set_aside, span, self.event_limits)
            return [Derivation(rows, quarantined, work.reports)]
        return [Derivation(stored_rows(part, one, self.event_limits)) for one, part in _parts(table, buckets)]

    def derived_rows(
        self,
        project_id: str,
        definition: PipelineDefinition,
        source: Source,
        bucket: BucketSpan,
        cancel: CancelToken,
    ) -> pa.Table:
        """The stored rows of a bucket; ``source``: the pipeline's output. Raises as ``derive`` does."""
        if not source.known:
            return pa.table({TIMESTAMP: pa.array([], pa.timestamp("us", "UTC"))})
        plain = replace(definition, sources=(definition.output,), operations=(), columns=(), lookback_us=0)
        rows = _BucketRun(self, project_id, plain, {definition.output: source}, bucket, cancel).table()
        return rows.drop_columns([name for name in DROPPED if name in rows.column_names])


def together(definition: PipelineDefinition, buckets: Sequence[BucketSpan]) -> bool:
    """Whether one statement derives the buckets as if they were one."""
    return not definition.lookback_us and derived_together(definition.operations, buckets)


def _of(table: pa.Table, number: int) -> pa.Table:
    """The rows of one of the buckets that were derived beside each other."""
    return table.filter(pc.equal(table.column(WHICH), number)).drop_columns([WHICH])


def _parts(table: pa.Table, buckets: Sequence[BucketSpan]) -> Iterator[tuple[BucketSpan, pa.Table]]:
    """The rows of each bucket; those of none are with the last, where they are refused."""
    times = table.column(TIMESTAMP).cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    for bucket in buckets[:-1]:
        within = pc.and_(pc.greater_equal(times, bucket.start_us), pc.less(times, bucket.end_us))
        yield bucket, table.filter(within)
    before = pc.less(times, buckets[-1].start_us)
    early = pc.and_(before, pc.greater_equal(times, buckets[0].start_us))
    yield buckets[-1], table.filter(pc.invert(pc.fill_null(early, False)))


def stored_rows(table: pa.Table, bucket: BucketSpan, limits: EventLimits) -> DerivedRows:
    """The table as rows of the output. Raises DerivationFailed."""
    if TIMESTAMP not in table.column_names:
        raise DerivationFailed(
            f"The last step gives no column '{TIMESTAMP}', which says when a row's event was. Select it, as "
            f'in SELECT … AS "{TIMESTAMP}".'
        )
    times = table.column(TIMESTAMP)
    if not pa.types.is_timestamp(times.type):
        raise DerivationFailed(f"'{TIMESTAMP}' is of type {times.type}: it must be an instant.")
    times = times.cast(pa.timestamp("us"), safe=False)
    if times.null_count:
        raise DerivationFailed(f"{_rows(times.null_count)} no '{TIMESTAMP}'.")
    numbers = times.cast(pa.int64())
    outside = pc.or_(pc.less(numbers, bucket.start_us), pc.greater_equal(numbers, bucket.end_us))
    count = pc.sum(outside).as_py() or 0
    if count:
        raise DerivationFailed(
            f"{_rows(count)} a '{TIMESTAMP}' outside of the bucket that they were derived for: a step "
            "must keep each row's time within its bucket."
        )
    rest = table.drop_columns([name for name in (TIMESTAMP, *DROPPED) if name in table.column_names])
    json_columns = frozenset(one.name for one in rest.schema if _is_json(one))
    try:
        lanes = lanes_of_table(rest, json_columns, limits)
    except Unstorable as error:
        raise DerivationFailed(str(error)) from None
    return DerivedRows(times.combine_chunks(), lanes)


def _rows(count: int) -> str:
    return "1 row has" if count == 1 else f"{count:,} rows have"


def _kinds(source: Source) -> dict[str, set[str]]:
    """Path → the kinds of its values, of the columns that a table of the source has."""
    kinds: dict[str, set[str]] = {}
    for lane in lanes_standing(source) if source.known else ():
        kinds.setdefault(lane.path, set())
        if lane.kind is not LaneKind.NULL:
            kinds[lane.path].add(lane.kind.value)
    return kinds


def _is_json(column: pa.Field) -> bool:
    """Whether the texts of a column are JSON."""
    metadata = column.metadata or {}
    names = metadata.get(b"ARROW:extension:name"), getattr(column.type, "extension_name", None)
    return b"arrow.json" in names or "arrow.json" in names or JSON_MARK.items() <= metadata.items()


def _marked(made: pa.Table, given: pa.Table) -> pa.Table:
    """What an operation gave, with JSON columns of its input still known as such where it kept their texts:
    frames have no types of that kind."""
    for index, column in enumerate(made.schema):
        known = given.schema.get_field_index(column.name)
        if known < 0 or _is_json(column) or not _is_json(given.schema.field(known)):
            continue
        texts = made.column(index)
        if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
            continue
        texts = texts.cast(pa.string())
        if pc.all(pc.is_in(texts, given.column(known))).as_py() is not False:
            made = made.set_column(index, pa.field(column.name, pa.string(), metadata=JSON_MARK), texts)
    return made


def _refused(made: pa.Table, rows_max: int) -> str | None:
    """Why what an operation gave cannot be used."""
    if made.num_rows > rows_max:
        return f"{made.num_rows:,} rows, more than the {rows_max:,} of ACUMEN_PIPELINE_ROWS_MAX."
    twice = [name for name, count in Counter(made.column_names).items() if count > 1]
    return f"the column '{twice[0]}' more than once: rename or drop one." if twice else None


def _typed(rows: pa.Table) -> Statement:
    """The rows of a Python operation as a table in which JSON is JSON."""
    columns = [one.name for one in rows.schema if _is_json(one)]
    cells = joined(", ", (sql("CAST({} AS JSON) AS {}", quoted(one), quoted(one)) for one in columns))
    replaced = sql(" REPLACE ({})", cells) if columns else Statement("")
    return sql("SELECT *{} FROM {}", replaced, Statement(_GIVEN))


def segments(operations: Sequence[Operation]) -> list[list[Operation]]:
    """The operations as parts, each of which is run at once: a step of other code alone, and statements,
    which begin anew with an expectation that other code judges."""
    parts: list[list[Operation]] = []
    for one in operations:
        if not parts or needs_outside(one) or isinstance(parts[-1][0], OUTSIDE):
            parts.append([])
        parts[-1].append(one)
    return parts


@dataclass
class _BucketRun:
    deriver: Deriver
    project_id: str
    definition: PipelineDefinition
    sources: Mapping[str, Source]
    bucket: BucketSpan
    cancel: CancelToken
    accepted: Sequence[str] = ()
    each: Sequence[BucketSpan] = ()
    """The buckets, where several are derived beside each other."""
    reports: list[ExpectationReport] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    _done: int = field(default=0)
    """Operations that earlier segments did."""

    def table(self) -> pa.Table:
        """The rows after all operations."""
        operations = self.definition.operations
        masks = [one for one in operations if isinstance(one, Mask)]
        rest = [*declared(self.definition.columns), *operations[len(masks) :]]
        self._done = len(masks) - len(self.definition.columns)
        rows: pa.Table | None = None
        for part in segments(rest):
            first = part[0]
            if isinstance(first, OUTSIDE):
                rows = self._made_outside(first, rows, masks)
            elif isinstance(first, Expect) and needs_outside(first):
                given = self._sql([], rows, masks) if rows is None else rows
                judged, rows = self._judged(first, given)
                rows = self._sql([judged, *part[1:]], rows, masks)
            else:
                rows = self._sql(part, rows, masks)
            self._done += len(part)
        return self._sql([], rows, masks) if rows is None else rows

    def _deadline(self) -> Deadline:
        return Deadline.after(self.deriver.sql_limits.timeout_seconds, self.cancel)

    def _made_outside(self, step: OutsideStep, rows: pa.Table | None, masks: Sequence[Mask]) -> pa.Table:
        given = self._sql([], rows, masks) if rows is None else rows
        try:
            made = self.deriver.outside.made(step, given, self._deadline())
        except CodeFailed as error:
            raise DerivationFailed(f"steps[{self._done}]: {error}") from None
        problem = _refused(made, self.deriver.sql_limits.rows_max)
        if problem:
            name = step.entry if isinstance(step, Python) else step.plugin.name
            raise DerivationFailed(f"steps[{self._done}]: {name} returned {problem}")
        return _marked(made, given)

    def _judged(self, expect: Expect, rows: pa.Table) -> tuple[Expect, pa.Table]:
        """The expectation once other code has judged its rules, and the rows with what it found."""
        try:
            return self.deriver.outside.judged(expect, rows, self._deadline())
        except CodeFailed as error:
            raise DerivationFailed(f"steps[{self._done}]: {error}") from None

    def _sql(self, operations: Sequence[Operation], rows: pa.Table | None, masks: Sequence[Mask]) -> pa.Table:
        expects = {number: one for number, one in enumerate(operations) if isinstance(one, Expect)}
        try:
            made = self._run(operations, rows, masks)
            if not expects:
                return made
            made, told = without_aside(made)
            reports, set_aside = read_aside(expects, told)
            self.reports += reports
            self.set_aside += set_aside
            check_reports(reports)
            return made
        except BrokenExpectation as error:
            raise DerivationFailed(str(error), self.reports) from None
        except (InvalidQuery, QueryTimeout) as error:
            # The limits of these statements are those of pipelines.
            message = error.message.replace("ACUMEN_SQL_", "ACUMEN_PIPELINE_")
            raise DerivationFailed(self._place(message, len(operations))) from None

    def _run(self, operations: Sequence[Operation], rows: pa.Table | None, masks: Sequence[Mask]) -> pa.Table:
        if self.each:
            table, statement = INPUTS, beside(operations, self.each, self.definition.lookback_us)
        else:
            table = INPUT
            statement = compiled(operations, self.bucket, looks_back=self.definition.lookback_us > 0)
        memory = {
            reference_table(name): self._reference(name, reference)
            for name, reference in self._looked_up(operations).items()
        }
        if any(isinstance(one, Expect) and one.severity is Severity.QUARANTINE for one in operations):
            memory[ACCEPTED] = pa.table({"digest": pa.array(self.accepted, pa.string())})
        excerpts: dict[str, Excerpt] = {}
        given = self._input() if rows is None else _typed(rows)
        statement = sql("WITH {} AS ({}) SELECT * FROM ({})", Statement(table), given, statement)
        if rows is None:
            filters: tuple[Filter, ...] = tuple(one for mask in masks for one in mask.filters)
            span = Span(self.bucket.start_us - self.definition.lookback_us, self.bucket.end_us)
            excerpts = {name: Excerpt(span, filters, opaque=False, typed=False) for name in self.sources}
        else:
            memory[_GIVEN] = rows
        answer = answer_sql(
            SqlQuery(statement.text, list(statement.values), format=Format.ARROW),
            Surroundings(
                sources=lambda name: self.sources[name],
                names=lambda: list(self.sources),
                forced=(),
                suggests=True,
                folder=str(self.deriver.folder(self.project_id)),
                project_id=self.project_id,
                excerpts=excerpts,
                memory=memory,
            ),
            self.deriver.engine,
            self.deriver.processes,
            limits=self.deriver.limits,
            sql_limits=self.deriver.sql_limits,
            deadline=self._deadline(),
        )
        try:
            with pa.ipc.open_stream(pa.py_buffer(answer.body)) as stream:
                return stream.read_all()
        finally:
            answer.reservation.release()

    def _input(self) -> Statement:
        """The events of all collections as one table; with several, ``source`` names each event's own."""
        names = [name for name, source in self.sources.items() if source.known]
        if len(self.sources) == 1:
            return sql("SELECT *{} FROM {}", self._absent(), quoted(names[0]))
        kinds = self._kinds_of_all()
        selects = (self._of_one(name, kinds) for name in names)
        return joined(" UNION ALL BY NAME ", selects)

    def _of_one(self, name: str, kinds: Mapping[str, Set[str]]) -> Statement:
        """One of several collections. ``kinds``: those of the values of each path in all of them: what is of
        several becomes JSON, and a path without values here is null, of whatever type it has there."""
        cells = []
        for path, own in sorted(_kinds(self.sources[name]).items()):
            if len(kinds[path]) > 1:
                cells.append(sql("to_json({}) AS {}", quoted(path), quoted(path)))
            elif kinds[path] and not own:
                cells.append(sql("NULL AS {}", quoted(path)))
        replaced = sql(" REPLACE ({})", joined(", ", cells)) if cells else Statement("")
        return sql("SELECT {} AS source, *{}{} FROM {}", bound(name), replaced, self._absent(), quoted(name))

    def _kinds_of_all(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for source in self.sources.values():
            for path, kinds in _kinds(source).items():
                found.setdefault(path, set()).update(kinds)
        return found

    def _absent(self) -> Statement:
        """Declared columns that no collection has yet, without values."""
        known = {path for source in self.sources.values() for path in source.schema.valued}
        missing = [(name, kind) for name, kind in self.definition.columns if name not in known]
        cells = (
            sql(", CAST(NULL AS {}) AS {}", Statement(TYPES[kind]), quoted(name)) for name, kind in missing
        )
        return joined("", cells)

    def _reference(self, name: str, reference: Reference) -> pa.Table:
        try:
            return self.deriver.references.rows(reference)
        except FileNotFoundError:
            raise DerivationFailed(
                f"The reference table '{name}' is missing in the data folder: apply the folder again."
            ) from None

    def _looked_up(self, operations: Sequence[Operation]) -> dict[str, Reference]:
        names = {one.reference for one in operations if isinstance(one, Lookup)}
        rules = (rule for one in operations if isinstance(one, Expect) for rule in one.rules)
        names |= {rule.reference for rule in rules if isinstance(rule, InReference)}
        return {name: self.definition.references[name] for name in sorted(names)}

    def _place(self, message: str, count: int) -> str:
        """The message in one line, with the numbers of steps as the file has them, and before it those of the
        operations that ran together."""
        line = " ".join(
            _OWN_NAMES.sub(lambda found: f"steps[{int(found[1]) - 1 + self._done}]", message).split()
        )
        absent = _ABSENT.search(line)
        if absent:
            column = absent[1] or absent[2]
            line += f" No event has '{column}' now: name it in `columns` with its type if events may lack it."
        first, last = max(self._done, 0), self._done + count - 1
        if last < 0:
            return f"columns: {line}" if count else line
        return f"steps[{first}]: {line}" if last <= first else f"steps[{first}] to steps[{last}]: {line}"
