"""Percentiles found with the help of a sample equal those of all values collected."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from query import json_encoding
from query.answers import percentiles
from query.answers.pipeline import answer
from query.engine.engine import Engine
from query.language.nodes import Analysis, Filter, Metric, MetricQuery, ParsedQuery, Span
from query.limits import Limits
from query.sql.statement import Note
from storage.source import Source
from tests.query import strategies
from tests.query.support_source import Event, schema_of, source_of, table_of, write_file
from tests.support.scale import examples

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
MOMENT = "2026-01-01T00:00:00.000Z"


def body(engine: Engine, query: MetricQuery, source: Source, forced: tuple[Filter, ...] = ()) -> bytes:
    given = answer(ParsedQuery(query), lambda _: source, engine, limits=Limits(), forced_filters=forced)
    return json_encoding.dumps(given.body)


@pytest.fixture
def sampling() -> Iterator[pytest.MonkeyPatch]:
    """Few events are many, and a sample is small enough to be wrong."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(percentiles, "SAMPLED_MIN", 1)
        patch.setattr(percentiles, "SAMPLED_EACH", 4)
        patch.setattr(percentiles, "SAMPLED_PART", 0.001)
        yield patch


@st.composite
def asked(draw: st.DrawFn) -> MetricQuery:
    target = draw(st.sampled_from(["a", "a", "a", "b", "u.id", "absent"]))
    percents = draw(st.lists(st.integers(1, 10_000).map(lambda part: part / 100), max_size=4))
    metrics = [
        Metric(Analysis.PERCENTILE, target, percent, label=f"p{number}")
        for number, percent in enumerate(percents)
    ]
    metrics.append(Metric(Analysis.MEDIAN, target, label="median"))
    filters = draw(st.one_of(st.just(()), strategies.filter_lists))
    span = draw(st.one_of(st.just(Span()), strategies.spans()))
    return MetricQuery("visits", tuple(metrics), span, filters, multi=True)


@settings(max_examples=examples(200), deadline=None, suppress_health_check=QUIET)
@given(
    events=strategies.events_lists(max_size=20),
    numbers=st.lists(st.one_of(st.integers(-9, 9), st.floats(-9, 9), st.none()), max_size=40),
    query=asked(),
    forced=st.one_of(st.just(()), strategies.filter_lists),
    margin=st.sampled_from([Decimal(0), Decimal("0.1"), Decimal("0.4"), Decimal(1)]),
    seed=st.integers(0, 2**32),
)
def test_percentiles_by_a_sample_are_those_of_all_values(
    engine: Engine,
    data_folder: Path,
    sampling: pytest.MonkeyPatch,
    events: list[Event],
    numbers: list[float | None],
    query: MetricQuery,
    forced: tuple[Filter, ...],
    margin: Decimal,
    seed: int,
) -> None:
    for event, number in zip(events * 2, numbers, strict=False):
        event["a"] = number
    source = source_of(events, data_folder, random.Random(seed), files_max=12)
    sampling.setattr(percentiles, "ROWS_MIN", 10**9)
    expected = body(engine, query, source, forced)
    sampling.setattr(percentiles, "ROWS_MIN", 1)
    sampling.setattr(percentiles, "MARGIN", margin)
    assert body(engine, query, source, forced) == expected


def priced(folder: Path, files: list[list[int]]) -> Source:
    """A file for each list of prices."""
    keen = {"timestamp": MOMENT, "created_at": MOMENT, "id": "0" * 24}
    events = [[{"price": price, "keen": keen} for price in prices] for prices in files]
    schema = schema_of([event for held in events for event in held])
    written = (write_file(table_of(held, schema), folder / f"{uuid4().hex}.parquet") for held in events)
    return Source(schema, tuple(written), None)


def explained(engine: Engine, source: Source) -> tuple[float, list[str]]:
    """The median, and the statements that were run for it."""
    query = MetricQuery("visits", (Metric(Analysis.MEDIAN, "price"),))
    given = answer(ParsedQuery(query, explain=True), lambda _: source, engine, limits=Limits())
    found = json.loads(json_encoding.dumps(given.body))
    return found["result"], [one["sql"] for one in found["explain"]["statements"]]


def test_only_values_near_those_of_the_sample_are_collected(
    engine: Engine, data_folder: Path, sampling: pytest.MonkeyPatch
) -> None:
    sampling.setattr(percentiles, "ROWS_MIN", 1)
    sampling.setattr(percentiles, "MARGIN", Decimal("0.2"))
    sampling.setattr(percentiles, "SAMPLED_EACH", 1_000)
    source = priced(data_folder, [list(range(0, 100, 2)), list(range(1, 101, 2))])
    median, statements = explained(engine, source)
    assert median == 49
    assert [Note.NEAR.value in text for text in statements] == [False, True]


def test_a_percentile_of_which_the_sample_is_wrong_is_found_among_all_values(
    engine: Engine, data_folder: Path, sampling: pytest.MonkeyPatch
) -> None:
    sampling.setattr(percentiles, "ROWS_MIN", 1)
    sampling.setattr(percentiles, "MARGIN", Decimal(0))
    source = priced(data_folder, [[1], [1], [2, 3, 4, 5, 6, 7]])
    median, statements = explained(engine, source)
    assert median == 3
    assert "quantile_disc" in statements[-1]
    assert len(statements) == 3


def test_few_events_have_all_their_values_collected(engine: Engine, data_folder: Path) -> None:
    median, statements = explained(engine, priced(data_folder, [[3, 1, 2]]))
    assert median == 2
    assert len(statements) == 1
