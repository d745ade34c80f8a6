"""Profiles: what the properties of a collection are like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from query.answers.pipeline import Answer, answered, note_damage
from query.answers.profiles.found import (
    ColumnProfile,
    Json,
    PropertyProfile,
    body_of,
    described,
    nothing_of,
    value_of,
)
from query.answers.results import fold_metric
from query.answers.values import Row
from query.engine.engine import Deadline, Engine
from query.engine.runner import Runner
from query.language.nodes import Filter
from query.limits import Limits
from query.plan.columns import NUMERIC, TIMESTAMP_COLUMN, ColumnKind
from query.plan.profile import (
    DISTINCT_EXACT_MAX,
    Fact,
    GroupedColumn,
    ProfilePlan,
    ProfileQuery,
    facts_of,
    plan_profile,
)
from query.plan.scans import Scan
from query.plan.views import SourceOf, Views
from query.sql import profiles
from query.sql.statement import Statement
from storage.instants import format_instant, parse_instant

PERIODS_MAX = 1_000
"""Days or months of events up to which each is counted; beyond, months or years are."""
CELLS_MAX = 2_000_000
"""Cells of the distinct values that one statement counts: DuckDB sorts them, with all columns in each row."""
CANDIDATES_MIN = 20
"""Values that are tried at least for the most frequent ones of a column with many."""
DAY_US = 86_400_000_000


def profile(
    query: ProfileQuery,
    sources: SourceOf,
    engine: Engine,
    *,
    limits: Limits,
    deadline: Deadline,
    forced_filters: Sequence[Filter] = (),
    project_id: str = "",
) -> Answer:
    """The profile. Raises QueryLimitExceeded, QueryTimeout, QueryCancelled, QueryOverloaded, QueryError."""

    def work(views: Views, runner: Runner) -> Answer:
        runner.check()
        plan = plan_profile(query, views)
        if not plan.scan.empty:
            limits.check_rows(plan.view.rows)
        body = ProfileReading(plan, runner).body()
        note_damage(body, views)
        return Answer(body, complete=not views.damaged)

    return answered(
        work,
        sources,
        engine,
        limits=limits,
        ends=deadline,
        forced_filters=forced_filters,
        project_id=project_id,
    )


class ProfileReading:
    """Runs the statements of one profile."""

    def __init__(self, plan: ProfilePlan, runner: Runner) -> None:
        self._plan = plan
        self._runner = runner

    def body(self) -> Json:
        """The profile as JSON."""
        if self._plan.scan.empty:
            return body_of(
                0, None, None, None, [described(nothing_of(one), 0, 0) for one in self._plan.properties]
            )
        events, first, last, found = self._totals()
        if not events:
            return body_of(0, None, None, None, [described(one, 0, 0) for one in found])
        self._count_nulls(found)
        columns = [column for one in found for column in one.columns]
        self._count_values(columns)
        self._read_dates(columns)
        unit = _unit(first, last)
        scan = self._plan.reading((TIMESTAMP_COLUMN,))
        periods = [
            {"start": format_instant(start), "events": count}
            for start, count in self._rows(profiles.periods(scan, unit), scan)
        ]
        over_time = {"interval": _INTERVALS[unit], "counts": periods}
        properties = [described(one, events, self._plan.query.top) for one in found]
        return body_of(events, first, last, over_time, properties)

    def _rows(self, statement: Statement, scan: Scan, *, lists: bool = False) -> Iterator[Row]:
        tables = self._plan.view.tables(scan)
        return self._runner.rows(statement, tables, reads=self._plan.view.rows, lists=lists)

    def _totals(self) -> tuple[int, int, int, list[PropertyProfile]]:
        """The number of events, the first and the last in µs, and what one pass tells of each property."""
        properties = self._plan.properties
        columns = [column for one in properties for column in one.columns]
        scan = self._plan.reading((TIMESTAMP_COLUMN, *columns))
        (row,) = self._rows(profiles.totals(scan, properties), scan)
        cells = iter(row)
        events, first, last = next(cells), next(cells), next(cells)
        found = []
        for one in properties:
            read = [
                ColumnProfile(column, {fact: next(cells) for fact in facts_of(column)})
                for column in one.columns
            ]
            parts = [[next(cells) for _ in metric.aggregates] for metric in one.numbers]
            has_numbers = any(column.present and column.column.kind in NUMERIC for column in read)
            numbers = [fold_metric(metric, part) for metric, part in zip(one.numbers, parts, strict=True)]
            found.append(PropertyProfile(one, read, numbers if has_numbers else []))
        return events, first, last, found

    def _count_nulls(self, found: Sequence[PropertyProfile]) -> None:
        if self._plan.nulls is None:
            return
        scan = self._plan.reading((self._plan.nulls,))
        counts = {row[0]: row[1] for row in self._rows(profiles.nulls(scan, self._plan.nulls), scan)}
        for one in found:
            one.nulls = counts.get(one.plan.path, 0)

    def _count_values(self, columns: Sequence[ColumnProfile]) -> None:
        """Find the distinct and the most frequent values of each column."""
        top = self._plan.query.top
        found = [one for one in columns if Fact.DISTINCT in one.facts and one.present]
        for one in found:
            one.distinct = min(one.facts[Fact.DISTINCT], one.present)
            one.exact = one.facts[Fact.DISTINCT] <= DISTINCT_EXACT_MAX
        grouped = [(one, GroupedColumn(one.column)) for one in found if one.exact]
        # Where most values occur once, none is frequent.
        many = [one for one in found if not one.exact and 2 * one.distinct <= one.present] if top else []
        if many:
            wanted = [one.column for one in many]
            scan = self._plan.reading(wanted)
            statement = profiles.frequent(scan, wanted, max(CANDIDATES_MIN, 2 * top))
            (lists,) = self._rows(statement, scan, lists=True)
            grouped += [
                (one, GroupedColumn(one.column, tuple(values)))
                for one, values in zip(many, lists, strict=True)
                if values
            ]
        for part in _parts(grouped):
            self._count_groups(part)

    def _count_groups(self, grouped: Sequence[tuple[ColumnProfile, GroupedColumn]]) -> None:
        keys = [key for _, key in grouped]
        scan = self._plan.reading(key.column for key in keys)
        for row in self._rows(profiles.frequencies(scan, keys, self._plan.query.top), scan):
            position, count, distinct = row[:3]
            one = grouped[position][0]
            if one.exact:
                one.distinct = distinct
            one.top.append((value_of(one.column, row[3 + position]), count))

    def _read_dates(self, columns: Sequence[ColumnProfile]) -> None:
        """Read the dates in columns of texts whose least and greatest text are dates."""
        found = [one for one in columns if _may_be_dates(one)]
        if not found:
            return
        wanted = [one.column for one in found]
        scan = self._plan.reading(wanted)
        (row,) = self._rows(profiles.dates(scan, wanted), scan)
        for position, one in enumerate(found):
            count, first, last = row[3 * position : 3 * position + 3]
            one.dates = (count, first, last) if count else None


def _parts(
    grouped: Sequence[tuple[ColumnProfile, GroupedColumn]],
) -> Iterator[list[tuple[ColumnProfile, GroupedColumn]]]:
    """The columns in parts that are counted together: one row for each value, with a cell for each column."""
    part: list[tuple[ColumnProfile, GroupedColumn]] = []
    rows = 0
    for one, key in grouped:
        values = one.distinct if key.among is None else len(key.among)
        if part and (rows + values) * (len(part) + 1) > CELLS_MAX:
            yield part
            part, rows = [], 0
        part.append((one, key))
        rows += values
    if part:
        yield part


_INTERVALS = {"day": "daily", "month": "monthly", "year": "yearly"}


def _unit(first_us: int, last_us: int) -> str:
    if (last_us - first_us) // DAY_US < PERIODS_MAX:
        return "day"
    return "month" if (last_us - first_us) // DAY_US // 31 < PERIODS_MAX else "year"


def _may_be_dates(one: ColumnProfile) -> bool:
    if one.column.kind is not ColumnKind.STRING or not one.present:
        return False
    return all(parse_instant(one.facts[fact]) is not None for fact in (Fact.LEAST, Fact.GREATEST))
