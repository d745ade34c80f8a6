"""Plans the scans of a question about behaviour.

Each (collection, actor property) is scanned once: a row has its actor and a mask of the selections that it
belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from query.language.nodes import Group, Selection, Span
from query.plan import predicates as p
from query.plan.actors import IdLinks
from query.plan.columns import TIMESTAMP_COLUMN
from query.plan.keys import GroupKey, KeyPart, key_of, key_of_actor, key_of_group
from query.plan.predicates import Predicate
from query.plan.scans import Scan, hull
from query.plan.sessions import session_tables
from query.plan.views import View, Views


@dataclass(frozen=True)
class Branch:
    """The selections that are evaluated by one scan."""

    view: View
    scan: Scan
    key: GroupKey
    tests: tuple[tuple[int, Predicate, Span], ...]
    """Position and condition of each selection, and its span if narrower than the scan's."""
    values: tuple[GroupKey, ...] = ()
    sent: GroupKey | None = None
    """The key of ids as they were sent, where those of ``key`` are merged."""


@dataclass(frozen=True)
class SelectionPlan:
    """The scans that read all selections, in whose order the bits of a mask are."""

    branches: tuple[Branch, ...]
    size: int
    """The number of selections."""
    links: IdLinks | None = None
    """By which ids are merged."""

    @property
    def parts(self) -> tuple[KeyPart, ...]:
        """The key parts that occur in any branch."""
        return tuple(part for part in KeyPart if any(part in branch.key.parts for branch in self.branches))

    @property
    def value_parts(self) -> tuple[tuple[KeyPart, ...], ...]:
        """For each further value the parts that occur in any branch."""
        each = zip(*(branch.values for branch in self.branches), strict=True)
        found = [{part for key in keys for part in key.value_parts} for keys in each]
        return tuple(tuple(part for part in KeyPart if part in parts) for parts in found)

    @property
    def live(self) -> list[Branch]:
        """The branches in which a row can have an actor."""
        return [branch for branch in self.branches if branch.key.parts and not branch.scan.empty]

    @property
    def as_sent(self) -> SelectionPlan | None:
        """The plan that reads ids as they were sent, to be merged later; None where nothing is merged, where
        an event may have several ids, of which some may be of one actor, or where sessions are joined by
        merged ids."""
        if self.links is None:
            return None
        if any(one.key.list_column is not None or one.scan.sessions for one in self.branches):
            return None
        branches = tuple(
            replace(one, key=one.sent or one.key, sent=None, scan=replace(one.scan, actors=()))
            for one in self.branches
        )
        return replace(self, branches=branches, links=None)

    def can_have(self, position: int) -> bool:
        """Whether any row can belong to the selection."""
        return any(at == position for branch in self.live for at, _, _ in branch.tests)

    @property
    def tables(self) -> dict[str, pa.Table]:
        """The tables of all scans. Those of sessions have the properties that any scan uses."""
        tables = {
            name: table for branch in self.branches for name, table in branch.view.tables(branch.scan).items()
        }
        return tables | session_tables(column for branch in self.branches for column in branch.scan.sessions)

    @property
    def scanned(self) -> int:
        """The stored rows in the views."""
        return sum(branch.view.rows for branch in self.branches)

    @property
    def read(self) -> int:
        """The stored rows that the scans read."""
        return sum(branch.view.rows for branch in self.branches if not branch.scan.empty)


def plan_selections(
    selections: Sequence[Selection], views: Views, *, timed: bool, values: Sequence[Group] = ()
) -> SelectionPlan:
    """``timed``: whether the times of the events are needed. ``values``: what else is read of each event."""
    positions_by_scan: dict[tuple[str, str], list[int]] = {}
    for position, selection in enumerate(selections):
        positions_by_scan.setdefault((selection.collection, selection.actor), []).append(position)
    branches = tuple(
        _branch(collection, actor, [(at, selections[at]) for at in positions], views, timed, values)
        for (collection, actor), positions in positions_by_scan.items()
    )
    merges = any(branch.sent is not None for branch in branches)
    return SelectionPlan(branches, len(selections), views.links() if merges else None)


def _branch(
    collection: str,
    actor: str,
    numbered: Sequence[tuple[int, Selection]],
    views: Views,
    timed: bool,
    values: Sequence[Group],
) -> Branch:
    spans = [selection.span for _, selection in numbered]
    common_span = hull(spans)
    view = views.view(collection, spans)
    tests = [
        (
            position,
            view.condition(selection.filters),
            Span() if selection.span == common_span else selection.span,
        )
        for position, selection in numbered
    ]
    sent = key_of(actor, view)
    key = key_of_actor(actor, view, views.links() if numbered[0][1].merged else None)
    read = tuple(key_of_group(value, view) for value in values)
    columns = [*key.columns, *(column for _, test, _ in tests for column in p.columns_of(test))]
    columns += [column for value in read for column in value.columns]
    if timed or any(span != Span() for _, _, span in tests):
        columns.append(TIMESTAMP_COLUMN)
    conditions = [test for _, test, _ in tests]
    scan = view.scan(columns, p.some_of(conditions), common_span, conditions)
    return Branch(view, scan, key, tuple(tests), read, sent if key != sent else None)
