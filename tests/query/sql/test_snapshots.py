"""The statements of questions, one file each in ``snapshots/``, reviewed like code.

``ACUMEN_RENEW_SNAPSHOTS=1`` writes them anew; the change is then seen in the diff.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from query.answers.behaviour.selections import plan_selections
from query.language.nodes import (
    Analysis,
    Condition,
    MetricQuery,
    Operator,
    ParsedQuery,
    Selection,
    SessionProperty,
    Span,
)
from query.language.parse import parse
from query.limits import Limits
from query.plan.actors import LINK_TYPES, IdLinks
from query.plan.columns import (
    CREATED_AT_COLUMN,
    ID_COLUMN,
    NULLS_COLUMN,
    TIMESTAMP_COLUMN,
    Column,
    ColumnKind,
)
from query.plan.keys import key_of
from query.plan.partials import Contribution, PartialsPlan, plan_partials
from query.plan.plan import plan_indexed, plan_metrics
from query.plan.predicates import TRUE, Compare, all_of
from query.plan.profile import GroupedColumn, ProfilePlan, ProfileQuery, plan_profile
from query.plan.scans import Scan
from query.plan.sessions import SessionColumn, SessionJoin
from query.plan.views import Views
from query.sql import behaviour, identities, profiles, statements
from query.sql.reuse import partials
from query.sql.statement import Note, Statement
from tests.query.compiled import statement_of
from tests.query.sql.questions import DAY_US, JANUARY_US, NOW_US, QUESTIONS, source_of, where

FOLDER = Path(__file__).parent / "snapshots"
RENEW = os.environ.get("ACUMEN_RENEW_SNAPSHOTS") == "1"
VALUES_SHOWN = 10


def asked(name: str) -> ParsedQuery:
    analysis, params = QUESTIONS[name]
    return parse(analysis, params, now_us=NOW_US, limits=Limits())


def of_a_dataset() -> Statement:
    query = asked("multi_analysis").query
    assert isinstance(query, MetricQuery)
    return statements.indexed(plan_indexed(query, ["user.id", "paid"], Views(source_of), 100), 2)


def scanned(*columns: Column) -> Scan:
    span = Span(JANUARY_US, JANUARY_US + DAY_US)
    return Views(source_of).view("files", (span,)).scan(columns, TRUE, span)


def profiled() -> ProfilePlan:
    query = ProfileQuery("files", Span(), (), ("price", "plan", "keen.created_at"), 10)
    return plan_profile(query, Views(source_of))


def of_linked_ids() -> Statement:
    links = IdLinks(pa.table([["a1"], [None], ["ann"], [None]], schema=LINK_TYPES), "1")
    views = Views(source_of, read_links=lambda _: links)
    query = parse("count_unique", LINKED, now_us=NOW_US, limits=Limits()).query
    assert isinstance(query, MetricQuery)
    return statements.metrics(plan_metrics(query, views, 100))


def of_a_cohort() -> Statement:
    plan = plan_selections((Selection("files", "plan", Span()),), Views(source_of), timed=False)
    branches = [behaviour.rows(one.scan, one.key, plan.parts, one.tests) for one in plan.live]
    return behaviour.cohort_actors(branches, plan.parts, [behaviour.CountTest(0, 3, None)], [], 1_000)


LINKED = {"event_collection": "files", "target_property": "plan", "identity": "merged"}


def with_sessions() -> Statement:
    """Values of events in long sessions, which are made of some of the events."""
    span = Span(JANUARY_US, JANUARY_US + DAY_US)
    view = Views(source_of).view("purchases", (span,))
    made_of = view.condition((Condition("paid", Operator.EQ, True),))
    join = SessionJoin("$sessions0", key_of("user.id", view).without_lists, made_of, lambda _: pa.table({}))
    duration = SessionColumn(
        "$session0.duration.number", ColumnKind.NUMBER, SessionProperty.DURATION, join, 1e15
    )
    own = view.condition((Condition("plan", Operator.EQ, "pro"),))
    scan = view.scan((PRICE,), all_of((own, Compare(duration, ">=", 300.0))), span)
    return statements.values(scan, PRICE)


def kept() -> PartialsPlan:
    query = asked("multi_analysis").query
    assert isinstance(query, MetricQuery)
    metrics = tuple(one for one in query.metrics if one.analysis is not Analysis.STANDARD_DEVIATION)
    return plan_partials(plan_metrics(replace(query, metrics=metrics), Views(source_of), 100))


def contributed() -> Contribution:
    plan = kept()
    return plan.contribution(plan.merged.view, plan.merged.query.span, plan.merged.buckets)


def layout() -> list[tuple[str, str]]:
    return list(partials.layout(kept()))


PRICE = Column("price", ColumnKind.NUMBER)
MIXED = (Column("plan", ColumnKind.STRING), CREATED_AT_COLUMN)
GROUPED = (GroupedColumn(MIXED[0], ("pro", "free")), GroupedColumn(MIXED[1]))
BESIDE: dict[str, Callable[[], Statement]] = {
    "beside_dataset_by_two_indexes": of_a_dataset,
    "beside_extents_of_numbers": lambda: statements.extents(["purchases/1.parquet"], PRICE),
    "beside_times_of_the_newest": lambda: statements.newest_times(scanned(TIMESTAMP_COLUMN), 10),
    "beside_slices_of_an_export": lambda: statements.cuts(scanned(TIMESTAMP_COLUMN), 1_000, 5_000),
    "beside_presence_of_properties": lambda: statements.presence(scanned(PRICE), (PRICE,)),
    "beside_values_of_one": lambda: statements.values(scanned(PRICE), PRICE),
    "beside_values_of_long_sessions": with_sessions,
    "beside_what_filters_leave": lambda: statements.kept(scanned(PRICE), (Compare(PRICE, ">", 3.0), TRUE)),
    "beside_versions_compared": lambda: statements.compared(
        scanned(PRICE, ID_COLUMN, TIMESTAMP_COLUMN, CREATED_AT_COLUMN), Compare(PRICE, ">", 3.0), (PRICE,)
    ),
    "beside_names_that_are_null": lambda: statements.texts_listed(scanned(NULLS_COLUMN), NULLS_COLUMN),
    "beside_actors_of_a_cohort": of_a_cohort,
    "beside_linked_ids": of_linked_ids,
    "beside_what_is_linked": lambda: identities.said(scanned(*identities.ORDER, *MIXED), [MIXED[:1]], 100),
    "beside_profile_totals": lambda: profiles.totals(profiled().scan, profiled().properties),
    "beside_profile_frequent_values": lambda: profiles.frequent(scanned(*MIXED), MIXED, 20),
    "beside_profile_frequencies": lambda: profiles.frequencies(scanned(*MIXED), GROUPED, 10),
    "beside_profile_dates": lambda: profiles.dates(scanned(MIXED[0]), MIXED[:1]),
    "beside_profile_nulls": lambda: profiles.nulls(scanned(NULLS_COLUMN), NULLS_COLUMN),
    "beside_profile_periods": lambda: profiles.periods(scanned(TIMESTAMP_COLUMN), "day"),
    "beside_percentiles_of_a_sample": lambda: statements.percentiles_of_sample(
        [scanned(PRICE), scanned(PRICE)], (PRICE,), [Decimal("0.494"), Decimal("0.506")], 20_000
    ),
    "beside_percentiles_near_the_sample": lambda: statements.percentiles_between(
        scanned(PRICE), (PRICE,), [(Decimal("0.5"), (3.5, 4.25))]
    ),
    "beside_partial_of_files": lambda: partials.with_all_columns(contributed(), kept()),
    "beside_partials_merged": lambda: partials.merged_partials(kept(), [name for name, _ in layout()]),
    "beside_partials_and_other_events": lambda: partials.merged(
        kept(), {partials.PARTIALS: [name for name, _ in layout()]}, contributed()
    ),
}
"""Statements that stand beside those of questions."""
NAMES = [*QUESTIONS, *BESIDE]


def compiled(name: str) -> Statement:
    if name in BESIDE:
        return BESIDE[name]()
    forced = (Condition("plan", Operator.EQ, "pro"),) if name == "count_of_a_key_with_filters" else ()
    statement = statement_of(asked(name), source_of, forced=forced)
    assert statement is not None
    return statement


def snapshot(name: str) -> str:
    """The question, its statement and the values of its placeholders."""
    analysis, params = QUESTIONS.get(name, (name.replace("_", " "), None))
    statement = compiled(name)
    values = "".join(f"-- {shown(value)}\n" for value in statement.values)
    head = analysis if params is None else f"asked: {analysis} {json.dumps(params)}"
    return f"-- {head}\n{statement.text}\n\n-- values:\n{values}"


def shown(value: object) -> str:
    if isinstance(value, list) and len(value) > VALUES_SHOWN:
        return f"{json.dumps(value[:VALUES_SHOWN])[:-1]}, … {len(value)} in all]"
    return json.dumps(value) if isinstance(value, list | str | float | int | bool) else str(value)


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_is_the_one_that_was_reviewed(name: str) -> None:
    file = FOLDER / f"{name}.sql"
    text = snapshot(name)
    if RENEW:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    kept = file.read_text(encoding="utf-8") if file.exists() else ""
    assert text == kept, f"{file.name} is out of date: ACUMEN_RENEW_SNAPSHOTS=1 writes it anew for review"


def test_no_snapshot_is_without_its_question() -> None:
    assert {file.stem for file in FOLDER.glob("*.sql")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_comment_is_one_of_the_constants(name: str) -> None:
    found = re.findall(r"^-- (.*)$", compiled(name).text, re.MULTILINE)
    assert found
    assert set(found) <= {note.value for note in Note}


def test_every_step_that_the_compiler_writes_is_in_a_snapshot() -> None:
    texts = "".join(file.read_text(encoding="utf-8") for file in FOLDER.glob("*.sql"))
    assert [note for note in Note if f"\n-- {note.value}\n" not in texts] == [Note.NOWHERE]


def test_what_a_client_sent_is_neither_in_the_text_nor_in_a_comment() -> None:
    sent = "x\n-- '); DROP TABLE events; --\""
    filters = [where("plan", "eq", sent), where("tags", "contains", sent), where("plan", "regex", "-- [a]\n")]
    groups = [{"property_name": "score", "ranges": [{"to": 1, "label": sent}]}]
    params = {"event_collection": "files", "filters": filters, "group_by": groups}
    request = parse("count", params, now_us=NOW_US, limits=Limits())

    statement = statement_of(request, source_of)

    assert statement is not None
    assert "DROP" not in statement.text
    assert "[a]" not in statement.text
    assert sent in statement.values


def test_equal_questions_have_equal_statements() -> None:
    """So that the text, comments and all, is one for the engine."""
    assert [compiled(name).text for name in NAMES] == [compiled(name).text for name in NAMES]
