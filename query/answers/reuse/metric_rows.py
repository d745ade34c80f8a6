"""The rows of a metric query: of the events alone, or with the help of what was kept of files.

Both give the same answer. What was kept of the large files is merged with one statement over all else: files
of which nothing was kept, small files, those partly in the timeframe, and events in no file. What is missing
is computed later, while no query runs, so that no question takes longer for the sake of those to come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from query.answers.percentiles import narrowed_rows
from query.answers.reuse import keeping
from query.answers.reuse.keeping import MissingPartial
from query.engine.engine import Row
from query.engine.partials import PartialStore
from query.engine.runner import Reuse, Runner
from query.language.nodes import Buckets, Span
from query.plan.partials import Contribution, FilePart, PartialsPlan, Unkeepable, part_of_file, plan_partials
from query.plan.plan import MetricsPlan
from query.plan.scans import inside
from query.sql import statements
from query.sql.reuse import partials as sql
from query.sql.statement import Statement
from storage.source import DataFile

FORMAT = 1
"""Part of every key: raise it when the same statement text gives other partials than before."""
MERGED_ROWS_MIN = 2_000
MERGED_FILES_MIN = 8
"""Partials of fewer files that have fewer rows together are merged anew for each question."""


@dataclass
class _Files:
    """Where each file of a query is read."""

    kept: dict[tuple[str, int], tuple[FilePart, pa.Table]] = field(default_factory=dict)
    """What was kept, by key and first bucket."""
    merged: pa.Table | None = None
    """What was kept and merged before."""
    merged_of: frozenset[tuple[str, int]] = frozenset()
    missing: list[MissingPartial] = field(default_factory=list)
    refused: dict[tuple[str, int], DataFile] = field(default_factory=dict)
    """Files within the timeframe whose partials are each too large to be kept."""
    rest: list[DataFile] = field(default_factory=list)
    """The files whose events are read."""

    reused_events: int = 0
    """The events of the files of which a partial was kept."""

    @property
    def reused(self) -> int:
        return len(self.kept) + len(self.merged_of)


def metric_rows(plan: MetricsPlan, runner: Runner) -> tuple[MetricsPlan, Iterable[Row]]:
    """The rows of the query, and the plan by which they are to be shaped.

    Raises what running a statement raises.
    """
    store = runner.engine.partials
    if store is not None:
        eligible = _eligible(plan, store)
        partials = _planned(plan) if eligible else None
        if partials is not None:
            work = _Reuse(partials, plan, runner, store, eligible)
            if work.files.reused:
                return partials.merged, work.rows()
    narrowed = narrowed_rows(plan, runner)
    if narrowed is not None:
        return plan, narrowed
    tables = plan.view.tables(plan.scan)
    rows = runner.rows(statements.metrics(plan), tables, reads=plan.view.rows, lists=plan.has_lists)
    return plan, rows


def _eligible(plan: MetricsPlan, store: PartialStore) -> dict[str, FilePart]:
    """The files whose partials may be kept, by path."""
    parts = (part_of_file(file, plan) for file in plan.view.files if store.may_keep(file))
    return {part.file.path: part for part in parts if part is not None}


def _planned(plan: MetricsPlan) -> PartialsPlan | None:
    try:
        return plan_partials(plan)
    except Unkeepable:
        return None


class _Reuse:
    """The work for one query: first it finds what was kept, and has the rest of it computed later."""

    def __init__(
        self,
        partials: PartialsPlan,
        plan: MetricsPlan,
        runner: Runner,
        store: PartialStore,
        eligible: dict[str, FilePart],
    ) -> None:
        self._partials = partials
        self._plan = plan
        self._runner = runner
        self._store = store
        self._name = _named(partials, plan)
        buckets = plan.buckets
        # What was merged has no rows beyond the last bucket.
        self._slot = self._name if buckets is None else f"{self._name} {len(buckets.edges)}"
        self.files = self._sorted_out(eligible)
        missing = self.files.missing
        if missing and not plan.view.source.past:
            keeping.compute(partials, missing, runner.engine, store, lambda: self._merge_again(eligible))
        self._gather(self.files)

    def rows(self) -> Iterable[Row]:
        files, query, view = self.files, self._plan.query, self._plan.view
        spared = self._runner.trace.reused.setdefault(query.collection, Reuse())
        spared.partials += files.reused
        spared.events += files.reused_events
        self._store.note_reused(files.reused)
        rest_view = view.part(files.rest, with_tail=True)
        rest = self._partials.contribution(rest_view, query.span, query.buckets)
        tables = self._tables(files)
        columns = {name: table.column_names for name, table in tables.items()}
        for table in tables.values():
            self._runner.reservation.reserve(table.nbytes)
        if not rest.scan.empty:
            tables |= rest_view.tables(rest.scan)
        statement = sql.merged(self._partials, columns, None if rest.scan.empty else rest)
        reads = sum(file.rows for file in files.rest) + sum(table.num_rows for table in tables.values())
        return self._runner.rows(statement, tables, reads=reads, lists=self._partials.merged.has_lists)

    def _merge_again(self, eligible: dict[str, FilePart]) -> None:
        """Have all that is kept now merged for the next question.

        It runs on another thread, maybe while this query still runs: what the query reads stays as it was.
        """
        now = self._sorted_out(eligible)
        if now.kept:
            self._tables(now)
        self._gather(now)

    def _gather(self, files: _Files) -> None:
        """Have one partial computed of the files whose own ones are too large: together they may be smaller,
        since most values occur in many files."""
        query, view = self._plan.query, self._plan.view
        if not files.refused or view.source.past or not self._store.may_merge(self._slot):
            return
        those = view.part(files.refused.values())
        keeping.gather(
            self._partials,
            lambda: self._partials.contribution(those, query.span, query.buckets),
            sum(file.rows for file in files.refused.values()),
            (files.merged_of | files.refused.keys(), files.merged),
            self._slot,
            self._runner.engine,
            self._store,
        )

    def _sorted_out(self, eligible: dict[str, FilePart]) -> _Files:
        files = _Files()
        found: dict[tuple[str, int], FilePart] = {}
        for file in self._plan.view.files:
            part = eligible.get(file.path)
            if part is None:
                files.rest.append(file)
                continue
            key = self._key(part)
            if key:
                # Otherwise no event of the file can match.
                found[key, part.first] = part
        before = self._store.find_merged(self._slot)
        if before is not None and before[0] <= found.keys():
            files.merged_of, files.merged = before
            files.reused_events = sum(found[place].file.rows for place in files.merged_of)
            found = {place: one for place, one in found.items() if place not in files.merged_of}
        for (key, first), part in found.items():
            table = self._store.find(part.file, key)
            if table is not None:
                files.kept[key, first] = part, table
                files.reused_events += part.file.rows
                continue
            files.rest.append(part.file)
            if not self._store.is_refused(part.file, key):
                files.missing.append(MissingPartial(part.file, key, partial(self._contribution, part)))
            elif inside(part.file, self._plan.query.span):
                files.refused[key, first] = part.file
        return files

    def _key(self, part: FilePart) -> str:
        """The key of a file's partial; empty where no event of the file can match.

        It is remembered, since compiling the statement for each of many files takes longer than all else.
        """
        edges = None if part.buckets is None else part.buckets.edges
        place = (self._name, part.file.path, edges)
        key = self._store.find_key(place)
        if key is None:
            one = self._contribution(part)
            key = "" if one.scan.empty else _key(part.file, one)
            self._store.keep_key(place, key)
        return key

    def _contribution(self, part: FilePart) -> Contribution:
        alone = self._plan.view.part([part.file])
        return self._partials.contribution(alone, Span(), part.buckets)

    def _tables(self, files: _Files) -> dict[str, pa.Table]:
        """The table of all that was kept, with buckets as the query counts them."""
        buckets = self._plan.buckets
        tables = [] if files.merged is None else [files.merged]
        for part, table in files.kept.values():
            tables.append(table if buckets is None else _in_buckets(table, part.first, buckets))
        together = pa.concat_tables(tables, promote_options="permissive")
        many = len(files.kept) >= MERGED_FILES_MIN or together.num_rows >= MERGED_ROWS_MIN
        # An earlier version is asked about seldom, and its files are to go: nothing is kept for it.
        if files.kept and many and not self._plan.view.source.past:
            of = files.merged_of | files.kept.keys()
            keeping.merge(self._partials, together, of, self._slot, self._runner.engine, self._store)
        return {sql.PARTIALS: together}


def _in_buckets(table: pa.Table, first: int, buckets: Buckets) -> pa.Table:
    """The rows within the query's buckets, numbered as these are."""
    if sql.BUCKET not in table.column_names:
        index = pa.nulls(table.num_rows, pa.int32()).fill_null(0)
        table = table.append_column(sql.BUCKET, index)
    at = table.column_names.index(sql.BUCKET)
    index = pc.add(table.column(at), pa.scalar(first, pa.int32()))
    table = table.set_column(at, sql.BUCKET, index)
    count = len(buckets.edges) - 1
    inside = pc.and_(pc.greater_equal(index, 0), pc.less(index, count))
    return table if pc.all(inside).as_py() else table.filter(inside)


def _named(partials: PartialsPlan, plan: MetricsPlan) -> str:
    """A name for what is computed of each file: equal for queries with the same partials."""
    groups = [(group.path, group.ranges) for group in plan.query.groups]
    query, view = plan.query, plan.view
    return _digest(
        view.source.collection_id, partials.states, groups, query.filters, view.forced, plan.buckets is None
    )


def _key(file: DataFile, one: Contribution) -> str:
    """A digest of all that a file's partial depends on: its bytes, and the statement without its path."""
    statement: Statement = sql.contribution(one)
    values = [value for value in statement.values if value != [file.path]]
    return _digest(FORMAT, file.name, file.sha256, statement.text, values)


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
