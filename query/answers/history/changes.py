"""Which events made a question's answer another one between two versions of the stored events.

Files that both versions have hold the same events, so only what is in others is read, unless filters by
cohorts or sessions may let other events of them match.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from query.answers.freshness import parts_beside
from query.answers.history.filter_counts import Scope, scopes
from query.engine.runner import Runner
from query.language.cohorts.finding import cohorts_in, selections_of
from query.language.event_sessions.finding import session_of
from query.language.nodes import (
    ActorCohort,
    ExtractionQuery,
    ParsedQuery,
    Query,
    SessionDefinition,
    Span,
    found_in,
)
from query.limits import Limits
from query.plan import predicates as p
from query.plan.actors import ALIAS, ANONYMOUS, USER
from query.plan.columns import (
    CREATED_AT_COLUMN,
    EMPTIES_COLUMN,
    ID_COLUMN,
    NULLS_COLUMN,
    SYSTEM_PATHS,
    TIMESTAMP_COLUMN,
    Column,
)
from query.plan.operators import filter_paths
from query.plan.views import SourceOf, View, Views
from query.sql import statements
from storage.instants import format_instant

_SYSTEM = frozenset(SYSTEM_PATHS)


@dataclass(frozen=True, slots=True)
class Between:
    """Two versions, by the sources of their collections. ``since_us``: the instant of the earlier one."""

    before: SourceOf
    after: SourceOf
    since_us: int


def changes_of(
    question: ParsedQuery,
    properties: Sequence[str],
    between: Between,
    views: Views,
    runner: Runner,
    limits: Limits,
    shown_max: int,
) -> list[dict[str, Any]]:
    """What came, changed and went of each part of the question, with the first ``shown_max`` events; then of
    what its cohorts, its sessions and the ids that belong together are found in, where anything did.

    ``properties`` are those whose values count for the answer.
    """
    query = question.query
    # Kept while anything is read: what a view looks up later, it looks up in them.
    before, after = views.of_others(between.before), views.of_others(between.after)
    everything = isinstance(query, ExtractionQuery) and not properties
    own = {repr(scope): scope for scope in scopes(query)}

    def results(some: Iterable[Scope], counted: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        for scope in some:
            compared = _Comparison(scope, counted, before, after, between.since_us)
            yield compared.result(runner, limits, shown_max)

    beside = [(one.collection, one.span, one.filters) for one in parts_beside(query)]
    further = {repr(scope): scope for scope in beside if repr(scope) not in own}
    found = results(further.values(), sorted(_named_beside(query)))
    return [
        *results(own.values(), None if everything else properties),
        *(one for one in found if any(one["counts"].values())),
    ]


def _named_beside(query: Query) -> set[str]:
    """The properties by which cohorts, sessions and ids that belong together are found."""
    definition = session_of(query)
    read = [one for cohort in cohorts_in(query) for one in selections_of(cohort)]
    if definition is not None:
        read += definition.events
    named = {path for one in read for path in (one.actor, *filter_paths(one.filters))}
    pages = {definition.page} if definition is not None and definition.page is not None else set()
    return named | pages | {ANONYMOUS, USER, ALIAS}


@dataclass(frozen=True)
class _Comparison:
    scope: Scope
    properties: Sequence[str] | None
    """None: all of them."""
    before: Views
    after: Views
    since_us: int

    def result(self, runner: Runner, limits: Limits, shown_max: int) -> dict[str, Any]:
        collection, span, _ = self.scope
        before, after = self.before.source(collection), self.after.source(collection)
        erased = sum(
            one.events
            for one in before.erased
            if one not in after.erased and one.meets(span.start_us, span.end_us)
        )
        kinds = self._kinds(runner, limits)
        shown: list[dict[str, Any]] = []
        for kind, events in kinds.items():
            rows = events.sort_by([("at_us", "ascending"), ("id", "ascending")])
            shown += [_shown(kind, row) for row in rows.slice(0, shown_max - len(shown)).to_pylist()]
        counts = {kind: events.num_rows for kind, events in kinds.items()}
        return {
            "event_collection": collection,
            "timeframe": _timeframe(span),
            "counts": {**counts, "erased": erased},
            "events": shown,
            "truncated": sum(counts.values()) > len(shown),
        }

    def _kinds(self, runner: Runner, limits: Limits) -> dict[str, pa.Table]:
        """The events of each kind: columns ``id``, ``at_us`` and ``received_us``."""
        collection, span, _ = self.scope
        whole = [one.view(collection, (span,)) for one in (self.before, self.after)]
        first, second = ({file.id for file in view.source.files} for view in whole)
        # By cohorts and sessions an event may come to match through others.
        common = set() if _looks_at_others(self.scope) else first & second
        views = [_without(view, common) for view in whole]
        columns = self._columns(views)
        old, new = (self._rows(view, columns, runner, limits) for view in views)
        both = old.join(
            new, "id", join_type="full outer", left_suffix="_old", right_suffix="_new", coalesce_keys=True
        )
        was, now = (pc.is_valid(both.column(f"at_us_{name}")) for name in ("old", "new"))
        meant_then, meant_now = (pc.fill_null(both.column(f"meant_{name}"), False) for name in ("old", "new"))
        came = pc.and_(pc.and_(pc.invert(was), now), meant_now)
        late = pc.and_(came, pc.fill_null(pc.less(both.column("at_us_new"), self.since_us), False))
        differs = pc.or_(
            pc.xor(meant_then, meant_now),
            pc.fill_null(pc.not_equal(both.column("digest_old"), both.column("digest_new")), False),
        )
        updated = pc.and_(pc.and_(pc.and_(was, now), pc.or_(meant_then, meant_now)), differs)
        masks = {"late": late, "new": pc.and_not(came, late), "updated": updated}
        return {kind: _events(both.filter(mask)) for kind, mask in masks.items()}

    def _columns(self, views: Sequence[View]) -> tuple[Column, ...]:
        """The columns of the values that count, of either version, in an order of their own."""
        found: set[Column] = set()
        for view in views:
            paths = view.source.schema.by_path if self.properties is None else self.properties
            for path in paths:
                found.update((*view.available.at(path), *view.available.under(path)))
            found.update(
                column for column in (NULLS_COLUMN, EMPTIES_COLUMN) if column.name in view.available.names
            )
        return tuple(sorted(found - {SYSTEM_PATHS[name] for name in _SYSTEM}, key=lambda one: one.name))

    def _rows(self, view: View, columns: Sequence[Column], runner: Runner, limits: Limits) -> pa.Table:
        _, span, filters = self.scope
        limits.check_rows(view.rows)
        condition = view.condition(filters)
        system = (ID_COLUMN, TIMESTAMP_COLUMN, CREATED_AT_COLUMN)
        scan = view.scan((*system, *columns, *p.columns_of(condition)), p.TRUE, span, tests=(condition,))
        statement = statements.compared(scan, condition, columns)
        if scan.empty:
            return _NO_ROWS
        table = runner.table(statement, view.tables(scan), reads=view.rows)
        return table.cast(_NO_ROWS.schema)


_NO_ROWS = pa.schema(
    [
        ("id", pa.string()),
        ("at_us", pa.int64()),
        ("received_us", pa.int64()),
        ("meant", pa.bool_()),
        ("digest", pa.uint64()),
    ]
).empty_table()


def _looks_at_others(scope: Scope) -> bool:
    """Whether the filters name cohorts or properties of sessions."""
    return any(next(found_in(scope, kind), None) is not None for kind in (ActorCohort, SessionDefinition))


def _without(view: View, ids: AbstractSet[int]) -> View:
    """The view of all other files: its cohorts and sessions are still those of all."""
    files = tuple(file for file in view.files if file.id not in ids)
    return replace(view, files=files, source=replace(view.source, files=files))


def _events(rows: pa.Table) -> pa.Table:
    """One version's values of columns that do not change."""
    columns = {
        name: pc.coalesce(rows.column(f"{name}_new"), rows.column(f"{name}_old"))
        for name in ("at_us", "received_us")
    }
    return pa.table({"id": rows.column("id"), **columns})


def _shown(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": kind,
        "id": row["id"],
        "timestamp": format_instant(row["at_us"]),
        "created_at": format_instant(row["received_us"]),
    }


def _timeframe(span: Span) -> dict[str, Any]:
    return {"start": _instant(span.start_us), "end": _instant(span.end_us)}


def _instant(us: int | None) -> str | None:
    return None if us is None else format_instant(us)
