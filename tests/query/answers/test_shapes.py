"""The literal shapes of answers: what a client finds where."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from query import json_encoding
from query.answers import shape
from query.answers.pipeline import answer
from query.engine.engine import Engine
from query.errors import QueryCancelled, QueryLimitExceeded, QueryTimeout
from query.language.analyses.behaviour_nodes import FunnelQuery, Step
from query.language.nodes import (
    Analysis,
    Buckets,
    Condition,
    ExtractionQuery,
    Group,
    Metric,
    MetricQuery,
    Operator,
    Order,
    ParsedQuery,
    Span,
    ValueRange,
)
from query.limits import Limits
from query.plan.plan import plan_metrics
from query.plan.views import Views
from storage.instants import format_instant
from storage.schema import Schema
from storage.source import NOWHERE, DataFile, Source
from tests.query.compiled import statement_of
from tests.query.support_source import Event, read, schema_of, source_of, table_of, write_file

DAY_US = 86_400_000_000
START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
TWO_DAYS = Buckets((START_US, START_US + DAY_US, START_US + 2 * DAY_US))
BOTH = Span(START_US, START_US + 2 * DAY_US)
FIRST = {"start": "2026-01-01T00:00:00.000Z", "end": "2026-01-02T00:00:00.000Z"}
SECOND = {"start": "2026-01-02T00:00:00.000Z", "end": "2026-01-03T00:00:00.000Z"}
COUNT = (Metric(Analysis.COUNT),)
TWO = (Metric(Analysis.COUNT, label="total"), Metric(Analysis.COUNT_UNIQUE, "user.id", label="buyers"))


def event(number: int, day: int, **properties: Any) -> Event:
    stamp = f"2026-01-0{day}T10:00:0{number}.000Z"
    return {**properties, "keen": {"timestamp": stamp, "created_at": stamp, "id": f"{number:024x}"}}


EVENTS = [
    event(1, 1, g="a", h=1, user={"id": "x"}, price=2),
    event(2, 1, g="a", h=1, user={"id": "y"}, price=2.5),
    event(3, 1, g="b", h=2, user={"id": "x"}, price=10),
    event(4, 2, g="a", h=2, user={"id": "z"}, price=None),
    event(5, 2, user={"id": "z"}),
]


@pytest.fixture
def source(data_folder: Path) -> Source:
    return source_of(EVENTS, data_folder, random.Random(5))


def ask(engine: Engine, source: Source, query: Any, limits: Limits | None = None, **wrapping: Any) -> Any:
    request = ParsedQuery(query, **wrapping)
    return read(answer(request, lambda _: source, engine, limits=limits or Limits()))


def result(engine: Engine, source: Source, metrics: tuple[Metric, ...] = COUNT, **more: Any) -> Any:
    more.setdefault("multi", metrics[0].label is not None)
    return ask(engine, source, MetricQuery("c", metrics, **more))["result"]


def test_a_single_value_stands_alone(engine: Engine, source: Source) -> None:
    assert ask(engine, source, MetricQuery("c", COUNT)) == {"result": 5}


def test_grouped_rows_have_groups_first_then_result_with_null_last(engine: Engine, source: Source) -> None:
    rows = result(engine, source, groups=(Group("g"),))

    assert rows == [{"g": "a", "result": 3}, {"g": "b", "result": 1}, {"g": None, "result": 1}]
    assert [list(row) for row in rows] == [["g", "result"]] * 3


def test_two_groups_keep_the_order_asked_for(engine: Engine, source: Source) -> None:
    rows = result(engine, source, groups=(Group("h"), Group("g")))

    assert rows[0] == {"h": 1, "g": "a", "result": 2}
    assert list(rows[0]) == ["h", "g", "result"]
    assert json.dumps(rows[0]) == '{"h": 1, "g": "a", "result": 2}'


def test_nested_names_stay_dotted(engine: Engine, source: Source) -> None:
    assert result(engine, source, groups=(Group("user.id"),))[0] == {"user.id": "x", "result": 2}


def test_an_interval_has_value_and_timeframe_for_every_bucket(engine: Engine, source: Source) -> None:
    filters = (Condition("g", Operator.EQ, "b"),)

    rows = result(engine, source, span=BOTH, buckets=TWO_DAYS, filters=filters)

    assert rows == [{"value": 1, "timeframe": FIRST}, {"value": 0, "timeframe": SECOND}]


def test_intervals_of_groups_repeat_every_group(engine: Engine, source: Source) -> None:
    rows = result(engine, source, span=BOTH, buckets=TWO_DAYS, groups=(Group("g"),))

    first = [{"g": "a", "result": 2}, {"g": "b", "result": 1}, {"g": None, "result": 0}]
    second = [{"g": "a", "result": 1}, {"g": "b", "result": 0}, {"g": None, "result": 1}]
    assert rows == [{"value": first, "timeframe": FIRST}, {"value": second, "timeframe": SECOND}]


def test_what_cannot_be_counted_is_filled_with_null(engine: Engine, source: Source) -> None:
    metrics = (Metric(Analysis.AVERAGE, "price"),)

    rows = result(engine, source, metrics, span=BOTH, buckets=TWO_DAYS, groups=(Group("g"),))

    assert rows[0]["value"][0] == {"g": "a", "result": 2.25}
    assert {row["result"] for row in rows[1]["value"]} == {None}


def test_without_zero_fill_only_groups_that_occur_are_listed(engine: Engine, source: Source) -> None:
    third = Buckets((*TWO_DAYS.edges, START_US + 3 * DAY_US))
    span = Span(START_US, START_US + 3 * DAY_US)

    rows = result(engine, source, span=span, buckets=third, groups=(Group("g"),), zero_fill=False)

    assert rows[1]["value"] == [{"g": "a", "result": 1}, {"g": None, "result": 1}]
    assert rows[2]["value"] == []


def test_order_and_limit_apply_within_each_interval(engine: Engine, source: Source) -> None:
    order = (Order("result", descending=True),)

    rows = result(
        engine, source, span=BOTH, buckets=TWO_DAYS, groups=(Group("user.id"),), order=order, limit=1
    )

    assert [row["value"] for row in rows] == [
        [{"user.id": "x", "result": 2}],
        [{"user.id": "z", "result": 2}],
    ]


def test_unique_values_are_a_sorted_list(engine: Engine, source: Source) -> None:
    unique = (Metric(Analysis.SELECT_UNIQUE, "g"),)

    assert result(engine, source, unique) == ["a", "b"]
    assert result(engine, source, unique, groups=(Group("h"),))[1] == {"h": 2, "result": ["a", "b"]}
    values = result(engine, source, unique, span=BOTH, buckets=TWO_DAYS)
    assert [row["value"] for row in values] == [["a", "b"], ["a"]]
    both = result(engine, source, unique, span=BOTH, buckets=TWO_DAYS, groups=(Group("h"),))
    assert both[1]["value"][0] == {"h": 1, "result": []}


def test_a_null_that_was_sent_is_a_unique_value_and_comes_last(engine: Engine, source: Source) -> None:
    assert result(engine, source, (Metric(Analysis.SELECT_UNIQUE, "price"),)) == [2, 2.5, 10, None]
    assert result(engine, source, (Metric(Analysis.COUNT_UNIQUE, "price"),)) == 3


def test_several_analyses_are_named_by_their_labels(engine: Engine, source: Source) -> None:
    assert result(engine, source, TWO) == {"total": 5, "buyers": 3}
    assert result(engine, source, TWO, groups=(Group("g"),))[0] == {"g": "a", "total": 3, "buyers": 3}
    values = result(engine, source, TWO, span=BOTH, buckets=TWO_DAYS)
    assert values[1] == {"value": {"total": 2, "buyers": 1}, "timeframe": SECOND}
    both = result(engine, source, TWO, span=BOTH, buckets=TWO_DAYS, groups=(Group("g"),))
    assert both[1]["value"][1] == {"g": "b", "total": 0, "buyers": 0}


def test_buckets_answer_with_their_lower_bound_and_ranges_with_their_label(
    engine: Engine, source: Source
) -> None:
    tens = (Group("price", size=2.0),)
    ranges = (Group("price", ranges=(ValueRange(None, 3, "small"), ValueRange(3, None, "3.."))),)

    assert result(engine, source, groups=tens) == [
        {"price": 2, "result": 2},
        {"price": 10, "result": 1},
        {"price": None, "result": 2},
    ]
    assert result(engine, source, groups=ranges) == [
        {"price": "small", "result": 2},
        {"price": "3..", "result": 1},
        {"price": None, "result": 2},
    ]


def test_numbers_without_a_fraction_are_integers_in_the_text(engine: Engine, source: Source) -> None:
    body = ask(engine, source, MetricQuery("c", (Metric(Analysis.MAXIMUM, "price"),)))

    assert json_encoding.dumps(body) == b'{"result":10}'


def test_a_sum_of_integers_beyond_64_bits_is_exact_in_the_text(engine: Engine, data_folder: Path) -> None:
    events = [event(number, 1, n=2**62 + number) for number in range(1, 6)]
    source = source_of(events, data_folder, random.Random(1))

    body = ask(engine, source, MetricQuery("c", (Metric(Analysis.SUM, "n"),)))

    assert json_encoding.dumps(body) == b'{"result":%d}' % (5 * 2**62 + 15)


def test_metadata_counts_events_and_the_properties_named(engine: Engine, source: Source) -> None:
    query = MetricQuery(
        "c",
        (Metric(Analysis.SUM, "price"),),
        filters=(Condition("g", Operator.EQ, "a"),),
        groups=(Group("g"),),
    )

    metadata = ask(engine, source, query, include_metadata=True)["execution_metadata"]

    seconds = metadata.pop("total_processing_time")
    assert 0 <= seconds < 60
    assert metadata == {"events_scanned": 5, "properties_per_event": 2, "total_properties_scanned": 10}


def test_a_funnel_has_result_steps_and_actors_where_asked(engine: Engine, source: Source) -> None:
    echo = {"event_collection": "c", "with_actors": True}
    steps = (
        Step("c", "user.id", BOTH, with_actors=True, echo=echo),
        Step("c", "user.id", BOTH, (Condition("g", Operator.EQ, "b"),), echo={"event_collection": "c"}),
    )

    body = ask(engine, source, FunnelQuery(steps))

    assert list(body) == ["result", "steps", "actors"]
    assert body["result"] == [3, 1]
    assert body["steps"] == [echo, {"event_collection": "c"}]
    assert body["actors"] == [["x", "y", "z"], None]
    assert "actors" not in ask(engine, source, FunnelQuery((Step("c", "user.id", BOTH),)))


def test_chained_inverted_steps_take_away_one_after_the_other(engine: Engine, data_folder: Path) -> None:
    events = [event(n % 10, 1, kind="signup", who=n) for n in range(100)]
    events += [event(n % 10, 1, kind="left", who=n) for n in range(20)]
    events += [event(n % 10, 1, kind="paid", who=n) for n in range(15, 30)]
    source = source_of(events, data_folder, random.Random(2))

    def step(kind: str, inverted: bool) -> Step:
        return Step("c", "who", Span(), (Condition("kind", Operator.EQ, kind),), inverted=inverted)

    query = FunnelQuery((step("signup", False), step("left", True), step("paid", True)))
    assert ask(engine, source, query)["result"] == [100, 80, 70]


def test_an_extraction_lists_whole_events_newest_first(engine: Engine, source: Source) -> None:
    rows = ask(engine, source, ExtractionQuery("c", latest=2))["result"]

    assert rows == [EVENTS[4], EVENTS[3]]


def test_named_properties_come_nested_and_without_keen(engine: Engine, source: Source) -> None:
    query = ExtractionQuery("c", latest=2, properties=("user", "g", "price", "absent"))

    rows = ask(engine, source, query)["result"]

    assert rows == [{"user": {"id": "z"}}, {"user": {"id": "z"}, "g": "a", "price": None}]


@pytest.mark.parametrize(
    ("query", "empty"),
    [
        (MetricQuery("c", COUNT), 0),
        (MetricQuery("c", (Metric(Analysis.SUM, "x"),)), 0),
        (MetricQuery("c", (Metric(Analysis.MEDIAN, "x"),)), None),
        (MetricQuery("c", (Metric(Analysis.SELECT_UNIQUE, "x"),)), []),
        (MetricQuery("c", COUNT, groups=(Group("g"),)), []),
        (
            MetricQuery("c", COUNT, span=BOTH, buckets=Buckets(TWO_DAYS.edges[:2])),
            [{"value": 0, "timeframe": FIRST}],
        ),
        (ExtractionQuery("c", latest=3), []),
        (FunnelQuery((Step("c", "a", Span()),)), [0]),
    ],
    ids=["count", "sum", "median", "select_unique", "groups", "interval", "extraction", "funnel"],
)
def test_a_collection_that_does_not_exist_gives_the_empty_answer_and_a_warning(
    engine: Engine, query: Any, empty: Any
) -> None:
    given = answer(ParsedQuery(query), lambda _: NOWHERE, engine, limits=Limits())

    assert read(given)["result"] == empty
    assert given.warnings == ["The collection 'c' does not exist."]


def test_rows_of_whole_files_are_counted_without_reading_them(engine: Engine) -> None:
    nowhere = DataFile("/nowhere/at/all.parquet", 70, 1, START_US, START_US + 5, {})

    assert result(engine, Source(Schema(), (nowhere,)), span=BOTH) == 70


def test_limits_are_errors_and_never_cut_an_answer(engine: Engine, source: Source) -> None:
    def refused(query: Any, **limits: int) -> str:
        with pytest.raises(QueryLimitExceeded) as raised:
            ask(engine, source, query, Limits(**limits))
        return raised.value.message

    assert "2 groups" in refused(MetricQuery("c", COUNT, groups=(Group("g"),)), groups_max=2)
    assert "2 events" in refused(ExtractionQuery("c"), extraction_events_max=2)
    assert "4 events" in refused(ExtractionQuery("c"), extraction_scan_max=4)
    assert "4 events" in refused(MetricQuery("c", COUNT, groups=(Group("g"),)), rows_max=4)
    assert "4 events" in refused(FunnelQuery((Step("c", "user.id", BOTH),)), rows_max=4)
    assert "4 events" in refused(ExtractionQuery("c", latest=5), rows_max=4)
    assert "bytes" in refused(ExtractionQuery("c", latest=5), response_bytes_max=100)
    assert "2 actors" in refused(FunnelQuery((Step("c", "user.id", BOTH),)), funnel_actors_max=2)
    with_actors = Step("c", "user.id", BOTH, with_actors=True)
    assert "2 actors" in refused(FunnelQuery((with_actors,)), funnel_actors_max=2)
    filled = MetricQuery("c", COUNT, BOTH, groups=(Group("g"),), buckets=TWO_DAYS)
    assert "6 cells" in refused(filled, response_bytes_max=100)
    assert len(result(engine, source, groups=(Group("g"),), order=(Order("g"),), limit=2)) == 2


def test_what_is_not_read_is_not_held_against_a_question(engine: Engine, source: Source) -> None:
    """Neither events that the catalog counts, nor those of files beside the timeframe."""
    files = DataFile("/nowhere/at/all.parquet", 70, 1, START_US + 90 * DAY_US, START_US + 91 * DAY_US, {})
    more = Source(source.schema, (*source.files, files), source.tail)
    held = len(ask(engine, source, ExtractionQuery("c"))["result"])
    few = Limits(rows_max=held)
    span = Span(START_US, START_US + 30 * DAY_US)

    assert ask(engine, more, MetricQuery("c", COUNT, span), few)["result"] == held
    assert ask(engine, more, MetricQuery("c", COUNT), few)["result"] == held + 70
    with pytest.raises(QueryLimitExceeded):
        ask(engine, more, MetricQuery("c", COUNT, groups=(Group("g"),)), few)


def test_a_limit_on_what_is_read_does_not_say_how_much_there_is(engine: Engine, source: Source) -> None:
    """Under a key's filters that would tell of the events that it may not see."""
    with pytest.raises(QueryLimitExceeded) as raised:
        answer(
            ParsedQuery(MetricQuery("c", COUNT, groups=(Group("g"),))),
            lambda _: source,
            engine,
            limits=Limits(rows_max=3),
            forced_filters=(Condition("g", Operator.EQ, "nothing"),),
        )
    assert re.findall(r"\d+", raised.value.message) == ["3"]
    assert "shorter timeframe" in raised.value.message


def test_a_statement_has_values_apart_from_its_text(source: Source) -> None:
    query = MetricQuery("c", COUNT, filters=(Condition("g", Operator.EQ, "hidden"),))

    statement = statement_of(ParsedQuery(query), lambda _: source)

    assert statement is not None
    assert "count(*)" in statement.text
    assert "hidden" not in statement.text
    assert "hidden" in statement.values


def test_irregular_intervals_of_any_number_find_their_events(engine: Engine, data_folder: Path) -> None:
    """Months of centuries have no common length, and are more than arithmetic is used for."""
    edges = [START_US + position * DAY_US + position * position * 1_000_003 for position in range(500)]
    events = []
    for number, position in enumerate((0, 7, 7, 250, 498)):
        stamp = format_instant(edges[position] + number)
        events.append({"keen": {"timestamp": stamp, "created_at": stamp, "id": f"{number:024x}"}})
    source = source_of(events, data_folder, random.Random(8))

    rows = result(engine, source, span=Span(edges[0], edges[-1]), buckets=Buckets(tuple(edges)))

    found = {position: row["value"] for position, row in enumerate(rows) if row["value"]}
    assert found == {0: 1, 7: 2, 250: 1, 498: 1}
    grouped = result(
        engine,
        source,
        span=Span(edges[0], edges[-1]),
        buckets=Buckets(tuple(edges)),
        groups=(Group("absent"),),
    )
    assert grouped[7]["value"] == [{"absent": None, "result": 2}]


@pytest.mark.parametrize("days", [1, 7])
@pytest.mark.parametrize("first_us", [START_US, -3 * DAY_US, -400_000 * DAY_US])
@pytest.mark.parametrize("cut_us", [0, DAY_US // 3])
def test_days_of_utc_hold_what_lies_from_midnight_to_midnight(
    engine: Engine, data_folder: Path, days: int, first_us: int, cut_us: int
) -> None:
    midnights = [first_us + number * days * DAY_US for number in range(9)]
    edges = [midnights[0] + cut_us, *midnights[1:]]
    events: list[Event] = []
    for number, edge in enumerate(edges[:-1]):
        for us in [edge] + [edges[number + 1] - 1_000] * number:
            stamp = format_instant(us)
            events.append({"keen": {"timestamp": stamp, "created_at": stamp, "id": f"{len(events):024x}"}})
    source = source_of(events, data_folder, random.Random(3))

    rows = result(engine, source, span=Span(edges[0], edges[-1]), buckets=Buckets(tuple(edges)))

    assert [row["value"] for row in rows] == list(range(1, 9))


@pytest.mark.parametrize("sizes", [(8, 8, 8, 8), (30, 1, 1, 1), (1, 30, 2, 1), (1, 1, 30), (40,)])
@pytest.mark.parametrize("keep", [1, 2, 9])
def test_the_newest_events_are_found_however_files_share_them(
    engine: Engine, data_folder: Path, sizes: tuple[int, ...], keep: int
) -> None:
    """``keep``: the filter takes one event in so many, so that the first guess is often too short."""
    files, number = [], 0
    events: list[Event] = []
    for day, size in enumerate(sizes, 1):
        events = []
        for position in range(size):
            stamp = f"2026-01-0{day}T10:{position:02}:00.000Z"
            keen = {"timestamp": stamp, "created_at": stamp, "id": f"{number:024x}"}
            events.append({"n": number, "taken": number % keep == 0, "keen": keen})
            number += 1
        path = data_folder / f"newest-{keep}-{'-'.join(map(str, sizes))}-{day}.parquet"
        files.append(write_file(table_of(events, schema_of(events)), path))
    source = Source(schema_of(events), tuple(files))

    query = ExtractionQuery("c", filters=(Condition("taken", Operator.EQ, True),), latest=3)
    found = ask(engine, source, query)["result"]

    assert [one["n"] for one in found] == [n for n in range(number - 1, -1, -1) if n % keep == 0][:3]


@pytest.mark.parametrize("analysis", [Analysis.MINIMUM, Analysis.MAXIMUM, Analysis.SUM])
def test_long_integers_are_ordered_by_size_not_by_spelling_also_where_a_limit_cuts(
    engine: Engine, data_folder: Path, analysis: Analysis
) -> None:
    values = {"a": 10**20 + 1, "b": 9 * 10**19 + 1, "c": 8 * 10**20 + 3}
    events = [event(n, 1, g=g, v=v) for n, (g, v) in enumerate(values.items())]
    source = source_of(events, data_folder, random.Random(2))
    rows = result(
        engine,
        source,
        (Metric(analysis, "v"),),
        groups=(Group("g"),),
        order=(Order("result", descending=True),),
        limit=2,
    )
    assert rows == [{"g": "c", "result": values["c"]}, {"g": "a", "result": values["a"]}]


LISTS: list[list[Any]] = [
    [],
    [1],
    [1.0, "1"],
    [1, "1", True, None],
    [None, True, "1", 1],
    [2**53 + 1],
    [2**53],
    [10**20 + 1, 0.5, "é\"\\ 'x"],
    [{"a": 1}],
    [[1]],
    ["null", "true"],
    [None, True],
]


@pytest.mark.parametrize("wanted", [one for one in LISTS if one not in ([{"a": 1}], [[1]])])
def test_a_list_equals_a_list_of_the_same_elements_in_the_same_order(
    engine: Engine, data_folder: Path, wanted: list[Any]
) -> None:
    events = [event(n % 10, 1, l=value) for n, value in enumerate(LISTS)]
    source = source_of(events, data_folder, random.Random(4))
    assert result(engine, source, filters=(Condition("l", Operator.EQ, wanted),)) == 1


def test_a_long_list_is_compared_by_a_statement_no_longer_than_that_for_a_short_one(
    engine: Engine, data_folder: Path
) -> None:
    """One test for each element took gigabytes to plan, and no timeout ends planning."""
    long = list(range(20_000))
    source = source_of([event(1, 1, l=[1]), event(2, 1, l=long)], data_folder, random.Random(4))

    def statement(wanted: list[Any]) -> str:
        query = MetricQuery("c", COUNT, filters=(Condition("l", Operator.EQ, wanted),))
        compiled = statement_of(ParsedQuery(query), lambda _: source)
        assert compiled is not None
        return compiled.text

    assert len(statement(long)) == len(statement([1]))
    assert result(engine, source, filters=(Condition("l", Operator.EQ, long),)) == 1
    assert result(engine, source, filters=(Condition("l", Operator.EQ, [*long[:-1], -1]),)) == 0


@pytest.mark.parametrize("groups", [(), (Group("g"),)])
def test_a_timeframe_that_ends_where_it_starts_has_no_intervals(
    engine: Engine, source: Source, groups: tuple[Group, ...]
) -> None:
    empty = Span(START_US, START_US)
    assert result(engine, source, span=empty, buckets=Buckets((START_US,)), groups=groups) == []


def test_an_extraction_spells_out_integers_that_doubles_hold(engine: Engine, data_folder: Path) -> None:
    """9.223372036854776e+18 is another number to who reads decimals, and other answers spell it out."""
    sent = [
        event(n, 1, v=v)
        for n, v in enumerate((2**63, -(2**63), 10**20, 10**20 + 1, 1.5e300, 0.5, 2**127, -(2**200), 10**40))
    ]
    source = source_of(sent, data_folder, random.Random(1))
    body = ask(engine, source, ExtractionQuery("c", properties=("v",)))
    texts = {json_encoding.dumps(one["v"]).decode() for one in body["result"]}
    assert texts == {
        "9223372036854775808",
        "-9223372036854775808",
        "100000000000000000000",
        "100000000000000000001",
        str(2**127),
        str(-(2**200)),
        str(10**40),
        str(int(1.5e300)),
        "0.5",
    }


@pytest.mark.parametrize("buckets", [None, TWO_DAYS])
def test_arranging_an_answer_stops_where_nobody_waits_for_it_any_more(
    source: Source, buckets: Buckets | None
) -> None:
    """Millions of cells take longer to arrange than to count; the engine's interrupt does not reach them."""
    query = MetricQuery("c", COUNT, BOTH, groups=(Group("g"),), buckets=buckets)
    plan = plan_metrics(query, Views(lambda _: source), 10)
    rows = [(0, "a", 1), (1, "b", 2)] if buckets is not None else [("a", 1), ("b", 2)]

    def gone() -> None:
        raise QueryCancelled("gone")

    with pytest.raises(QueryCancelled):
        shape.metrics_result(plan, rows, Limits(), gone)


def test_a_question_whose_time_is_up_names_the_time_it_had(engine: Engine, source: Source) -> None:
    with pytest.raises(QueryTimeout, match=r"longer than its limit of 0\.0001 seconds"):
        ask(engine, source, MetricQuery("c", COUNT, groups=(Group("g"),)), Limits(timeout_seconds=0.0001))


def test_answers_spell_out_every_integer_that_doubles_hold(engine: Engine, data_folder: Path) -> None:
    values = [2**127, -(2**127), 2**200, 1]
    sent = [event(n, 1, v=value) for n, value in enumerate(values)]
    source = source_of(sent, data_folder, random.Random(1))

    def asked(analysis: Analysis, target: str | None = "v", **more: Any) -> str:
        query = MetricQuery("c", (Metric(analysis, target),), **more)
        return json.dumps(ask(engine, source, query)["result"])

    def counted(**how: Any) -> str:
        return asked(Analysis.COUNT, None, groups=(Group("v", **how),))

    rows = json.dumps([{"v": value, "result": 1} for value in sorted(values)])
    assert counted() == rows
    assert counted(size=1.0) == rows
    assert asked(Analysis.MAXIMUM) == str(2**200)
    assert asked(Analysis.MINIMUM) == str(-(2**127))
    assert asked(Analysis.SUM) == str(2**200 + 1)
    assert asked(Analysis.SELECT_UNIQUE) == str(sorted(values))
