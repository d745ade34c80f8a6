"""Legal questions that are much work: they are answered, or refused by name, or stopped in time.

Deadlines here are many times what is needed, on a busy machine too; what may not grow is counted.
"""

from __future__ import annotations

import random
import re
import tracemalloc
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from query import json_encoding
from query.answers import shape
from query.answers.behaviour.funnel import funnel_body, plan_funnel
from query.answers.pipeline import answer
from query.engine.engine import CancelToken, Deadline, Engine
from query.errors import QueryCancelled, QueryLimitExceeded, QueryTimeout
from query.language.analyses.behaviour_nodes import FunnelQuery
from query.language.analyses.funnel import ECHO_DEPTH_MAX
from query.language.nodes import Analysis, Group, Metric, MetricQuery
from query.language.parameter_table import MAX_AGE_SECONDS_MAX
from query.language.parse import parse
from query.limits import Limits
from query.plan.plan import plan_metrics
from query.plan.predicates import LONG_LIST_SIZE, VALUES_INLINE_MAX
from query.plan.views import Views
from query.regex_cost import UNICODE_CLASS, written_out
from storage.source import Source
from tests.query.compiled import statement_of
from tests.query.support_source import Event, read, source_of
from tests.support.server import Served

NOW_US = 1_780_000_000_000_000
PATIENT = Limits(timeout_seconds=60)
PLACE = "keen.location.coordinates"


def event(number: int, /, **properties: Any) -> Event:
    stamp = f"2026-01-01T10:{number // 60 % 60:02d}:{number % 60:02d}.000Z"
    keen = {"timestamp": stamp, "created_at": stamp, "id": f"{number:024x}", **properties.pop("keen", {})}
    return {**properties, "keen": keen}


def ask(engine: Engine, source: Source, analysis: str, limits: Limits = PATIENT, **params: Any) -> Any:
    """The result of a question as a client words it."""
    body = {"event_collection": "c", **params}
    request = parse(analysis, body, now_us=NOW_US, limits=limits, check_regex=engine.check_regex)
    return read(answer(request, lambda _: source, engine, limits=limits))["result"]


def reads_of(source: Source, filters: list[dict[str, Any]]) -> int:
    """How often the statement of a count takes a stored text apart."""
    request = parse("count", {"event_collection": "c", "filters": filters}, now_us=NOW_US, limits=PATIENT)
    statement = statement_of(request, lambda _: source)
    assert statement is not None
    return len(re.findall(r"TRY_CAST|json_extract|regexp_full_match|from_json", statement.text))


def where(path: str, operator: str, value: Any) -> dict[str, Any]:
    return {"property_name": path, "operator": operator, "property_value": value}


def either(filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"operator": "or", "operands": filters}]


@pytest.fixture(scope="module")
def source(data_folder: Path) -> Source:
    """120 events of every kind of value."""
    sent = [
        event(
            number,
            when=f"2026-02-01T10:{number % 60:02d}:00+02:00",
            text=f"text {number}",
            number=number / 2,
            list=[number, f"e{number}", None],
            keen={"location": {"coordinates": [number / 2, 10]}},
        )
        for number in range(120)
    ]
    return source_of(sent, data_folder, random.Random(1))


@pytest.mark.parametrize(
    ("path", "operator", "operands"),
    [
        ("when", "gt", [f"2027-01-01T{n % 24:02d}:{n // 24:02d}:00Z" for n in range(999)]),
        (PLACE, "within", [{"coordinates": [-9, n / 20], "max_distance_miles": 1} for n in range(999)]),
        ("list", "contains", [n + 0.25 for n in range(999)]),
        ("list", "contains", [str(n) for n in range(999)]),
        ("list", "eq", [[n, "x"] for n in range(999)]),
    ],
)
@pytest.mark.parametrize("together", [False, True])
def test_as_many_filters_as_may_be_take_a_text_apart_no_more_often_than_two(
    engine: Engine, source: Source, path: str, operator: str, operands: list[Any], together: bool
) -> None:
    """What each reads in a text stood in the statement once for each: seconds, and gigabytes, of planning."""
    filters = [where(path, operator, operand) for operand in operands]
    combined = filters if together else either(filters)
    assert reads_of(source, combined) == reads_of(source, filters[:2] if together else either(filters[:2]))
    assert ask(engine, source, "count", filters=combined) == 0


def test_texts_compare_as_instants_in_every_step_of_a_funnel(engine: Engine, source: Source) -> None:
    step = {"event_collection": "c", "actor_property": "text"}
    late = [where("when", "gte", "2026-02-01T08:30:00Z")]
    steps = [step, {**step, "filters": late}, {**step, "filters": late, "inverted": True}]
    assert ask(engine, source, "funnel", steps=steps) == [120, 60, 0]


def test_many_ranges_of_many_properties_are_planned_in_no_time(engine: Engine, data_folder: Path) -> None:
    sent = [event(number, **{f"p{n}": number + n for n in range(100)}) for number in range(20)]
    source = source_of(sent, data_folder, random.Random(2))
    ranges = [{"from": n, "to": n + 1} for n in range(1000)]
    groups = [{"property_name": f"p{n}", "ranges": ranges} for n in range(100)]
    rows = ask(engine, source, "count", group_by=groups)
    assert len(rows) == 20
    assert rows[0] == {**{f"p{n}": f"{n}..{n + 1}" for n in range(100)}, "result": 1}


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 31, 32, 33, 64])
def test_a_number_is_in_the_range_that_holds_it_however_many_there_are(
    engine: Engine, data_folder: Path, count: int
) -> None:
    """Ranges with gaps between some, in no order, open at either end."""
    rng = random.Random(count)
    edges = sorted(rng.sample(range(-300, 300), 2 * count))
    ranges: list[dict[str, Any]] = [
        {"from": low, "to": edges[2 * n + 2] if n % 3 == 0 and n + 1 < count else high}
        for n, (low, high) in enumerate(zip(edges[::2], edges[1::2], strict=True))
    ]
    del ranges[0]["from"], ranges[-1]["to"]
    rng.shuffle(ranges)
    labelled: list[dict[str, Any]] = [{**one, "label": str(n)} for n, one in enumerate(ranges)]
    values = [*range(-310, 310), *(edge + 0.5 for edge in edges), 2**60 + 1, 10**30, None, "text"]
    source = source_of([event(n, v=value) for n, value in enumerate(values)], data_folder, rng)

    def label(value: Any) -> str | None:
        fits = (
            one["label"]
            for one in labelled
            if isinstance(value, int | float)
            and value >= one.get("from", -(10**40))
            and value < one.get("to", 10**40)
        )
        return next(iter(fits), None)

    expected: dict[str | None, int] = {}
    for value in values:
        expected[label(value)] = expected.get(label(value), 0) + 1
    rows = ask(engine, source, "count", group_by={"property_name": "v", "ranges": labelled})
    assert {row["v"]: row["result"] for row in rows} == expected


def test_conditions_are_counted_by_the_columns_that_they_read(engine: Engine, data_folder: Path) -> None:
    """'exists' reads all that is nested in an object: many of them were gigabytes of planning."""
    source = source_of([event(1, o={f"p{n}": n for n in range(500)})], data_folder, random.Random(3))
    filters = [where("o", "exists", True) for _ in range(20)]
    assert ask(engine, source, "count", filters=filters[:19]) == 1
    with pytest.raises(QueryLimitExceeded, match=r"10,000 conditions"):
        ask(engine, source, "count", filters=[*filters, where("o", "exists", False)])
    steps = [{"event_collection": "c", "actor_property": "o.p1", "filters": filters}] * 2
    with pytest.raises(QueryLimitExceeded, match=r"10,000 conditions"):
        ask(engine, source, "funnel", steps=steps)


@pytest.mark.parametrize("together", [False, True])
def test_long_lists_of_values_are_answered_or_refused_by_name(
    engine: Engine, source: Source, together: bool
) -> None:
    """Each is a table of its own, and a thousand of them were too deep for the engine: a 500."""
    lists = [where("text", "in", [f"text {n + m}" for m in range(60)]) for n in range(999)]
    some, every = ((f if together else either(f)) for f in (lists[:95], lists))
    assert ask(engine, source, "count", filters=some) == (0 if together else 120)
    with pytest.raises(QueryLimitExceeded, match=r"10,000 conditions.* a list of more than 50 values"):
        ask(engine, source, "count", filters=every)


@pytest.mark.parametrize(
    ("pattern", "size"),
    [
        ("", 0),
        ("abc", 3),
        (r"a\.b", 3),
        ("[a-z]{4}", 4),
        ("(ab){3}c", 10),
        ("a{2,3}", 33),
        ("a{2,}", 22),
        ("x?", 11),
        (r"\pL{300}", 90_000),
        (r"[\p{Greek}\PN]{2}", 1_200),
        ("a{99999}", 1_001),
        ("(((", 0),
        ("))", 2),
        ("a{5", 3),
    ],
)
def test_a_regular_expression_is_as_long_as_its_repetitions_make_it(pattern: str, size: int) -> None:
    assert written_out(pattern) == size


def test_regular_expressions_that_take_long_to_prepare_are_refused_together(
    engine: Engine, source: Source
) -> None:
    """One of these takes a third of a second to prepare, and several times that to run."""
    filters = [where("text", "regex", rf"\pL{{300}}{n}") for n in range(2)]
    assert ask(engine, source, "count", filters=filters[:1]) == 0
    with pytest.raises(QueryLimitExceeded, match=r"100,000 characters"):
        ask(engine, source, "count", filters=filters)
    steps = [{"event_collection": "c", "actor_property": "text", "filters": [one]} for one in filters]
    with pytest.raises(QueryLimitExceeded, match=r"100,000 characters"):
        ask(engine, source, "funnel", steps=steps)


def test_the_time_of_a_question_begins_before_it_is_read(engine: Engine) -> None:
    """Regular expressions are prepared as they are read, which may take long."""
    filters = [where("text", "regex", f"{n} never seen before") for n in range(900)]
    deadline = Deadline.after(0.002)
    with pytest.raises(QueryTimeout, match=r"0\.002 seconds"):
        parse(
            "count",
            {"event_collection": "c", "filters": filters},
            now_us=NOW_US,
            limits=Limits(),
            check_regex=engine.check_regex,
            check=deadline.check,
        )


@pytest.mark.parametrize(
    "params",
    [
        {"group_by": [{"property_name": f"p{n}", "ranges": [{"from": 0, "to": 1}]} for n in range(50)]},
        {"filters": [where("when", "gt", f"2027-01-01T00:00:{n:02d}Z") for n in range(50)]},
        {"filters": [where(PLACE, "within", {"coordinates": [9, 0], "max_distance_miles": 1})] * 50},
        {"filters": [where("text", "regex", f"{n} never seen") for n in range(50)]},
    ],
    ids=["ranges", "instants", "distances", "patterns"],
)
def test_the_time_of_a_question_is_looked_at_as_often_as_it_has_parts(
    engine: Engine, source: Source, params: dict[str, Any]
) -> None:
    """While it is read, and, but for groups, while it is planned."""
    looks: list[int] = []
    body = {"event_collection": "c", **params}
    request = parse("count", body, now_us=NOW_US, limits=PATIENT, check=lambda: looks.append(1))
    assert len(looks) >= 50

    def end_at_the_tenth() -> None:
        looks.append(1)
        if len(looks) == 10:
            raise QueryTimeout("late")

    looks.clear()
    with pytest.raises(QueryTimeout, match="late"):
        parse("count", body, now_us=NOW_US, limits=PATIENT, check=end_at_the_tenth)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(QueryCancelled):
        answer(request, lambda _: source, engine, limits=PATIENT, deadline=Deadline.after(6, cancel))


def test_time_that_was_spent_on_reading_is_no_longer_there_to_answer(engine: Engine) -> None:
    def never(_: str) -> Source:
        raise AssertionError

    request = parse("count", {"event_collection": "c"}, now_us=NOW_US, limits=Limits())
    with pytest.raises(QueryTimeout):
        answer(request, never, engine, limits=Limits(), deadline=Deadline.after(0))


def test_reading_a_question_is_part_of_its_time() -> None:
    with Served(env={"ACUMEN_QUERY_TIMEOUT_SECONDS": "0.02"}) as server:
        filters = [where("text", "regex", f"^{n}[a-z]+(.{{1,9}}){{2}}$") for n in range(300)]
        path = f"/3.0/projects/{server.project.id}/queries/count"
        body = {"event_collection": "c", "filters": filters}
        reply = server.request("POST", path, body, key=server.project.read_key)
        assert (reply.status, reply.json["error_code"]) == (504, "QueryTimeoutError")


# --- many groups ----------------------------------------------------------------------------------------

DAYS = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-04T00:00:00Z"}


@pytest.fixture(scope="module")
def grouped(data_folder: Path) -> Source:
    """Groups 0, 1, 2 on the first day, and 1, 2, 3 on the second."""
    sent = [event(day * 10 + g, g=g) for day in (1, 2) for g in (day - 1, day, day + 1)]
    for one in sent:
        day = int(one["keen"]["id"], 16) // 10
        one["keen"]["timestamp"] = f"2026-01-0{day}T12:00:00.000Z"
    return source_of(sent, data_folder, random.Random(6))


@pytest.mark.parametrize("fill", [True, False])
def test_groups_of_intervals_are_counted_once(engine: Engine, grouped: Source, fill: bool) -> None:
    params = {"group_by": "g", "interval": "daily", "timeframe": DAYS, "zero_fill": fill}
    days = ask(engine, grouped, "count", Limits(groups_max=4, cells_max=6), **params)
    assert [len(day["value"]) for day in days] == ([4, 4, 4] if fill else [3, 3, 0])
    with pytest.raises(QueryLimitExceeded, match="more than 3 groups"):
        ask(engine, grouped, "count", Limits(groups_max=3), **params)
    with pytest.raises(QueryLimitExceeded, match="More than 5 groups are found in all intervals"):
        ask(engine, grouped, "count", Limits(cells_max=5), **params)


def test_intervals_without_groups_are_no_groups(engine: Engine, grouped: Source) -> None:
    days = ask(engine, grouped, "count", Limits(groups_max=1), interval="daily", timeframe=DAYS)
    assert [day["value"] for day in days] == [3, 3, 0]


def test_a_limit_on_the_groups_of_each_interval_bounds_the_cells_that_are_filled(
    engine: Engine, grouped: Source
) -> None:
    limits = Limits(response_bytes_max=300)
    params: dict[str, Any] = {"group_by": "g", "interval": "daily", "timeframe": DAYS}
    with pytest.raises(QueryLimitExceeded, match=r"12 cells.*'order_by' with 'limit'"):
        ask(engine, grouped, "count", limits, **params)
    order = [{"property_name": "result", "direction": "DESC"}, {"property_name": "g", "direction": "DESC"}]
    days = ask(engine, grouped, "count", limits, order_by=order, limit=1, **params)
    assert [day["value"] for day in days] == [
        [{"g": 2, "result": 1}],
        [{"g": 3, "result": 1}],
        [{"g": 3, "result": 0}],
    ]


@pytest.mark.parametrize("big", [0, 2**60 + 1])
@pytest.mark.parametrize("descending", [False, True])
def test_the_first_of_many_groups_are_the_first_of_all(
    engine: Engine, data_folder: Path, big: int, descending: bool
) -> None:
    """The minimum of doubles and of big integers together is a result that the engine cannot order by."""
    rng = random.Random(8)
    values = {n + big: rng.choice((n % 97, 2**61 + 1 + n % 5, n % 97 + 0.5, None)) for n in range(6_000)}
    sent = [event(n, g=g, v=value) for n, (g, value) in enumerate(values.items())]
    source = source_of(sent, data_folder, rng)
    direction = "DESC" if descending else "ASC"
    order = {"property_name": "result", "direction": direction}
    rows = ask(engine, source, "minimum", target_property="v", group_by="g", order_by=order, limit=50)
    sign = -1 if descending else 1
    expected = sorted((sign * value, g) for g, value in values.items() if value is not None)[:50]
    assert [(sign * row["result"], row["g"]) for row in rows] == expected


def test_an_answer_too_large_is_refused_while_it_is_written(engine: Engine, source: Source) -> None:
    analyses = {f"a{n}": {"analysis_type": "select_unique", "target_property": "text"} for n in range(40)}
    for interval in ({}, {"interval": "minutely", "timeframe": {**DAYS, "end": "2026-01-01T12:00:00Z"}}):
        with pytest.raises(QueryLimitExceeded, match=r"more than 50,000 bytes.*fewer analyses"):
            ask(
                engine,
                source,
                "multi_analysis",
                Limits(response_bytes_max=50_000),
                analyses=analyses,
                group_by="number",
                zero_fill=False,
                **interval,
            )


def test_groups_take_little_more_memory_than_their_text(grouped: Source) -> None:
    """As objects 300,000 groups with two lists each took more than a gigabyte."""
    query = MetricQuery("c", (Metric(Analysis.SELECT_UNIQUE, "g"),), groups=(Group("g"),))
    plan = plan_metrics(query, Views(lambda _: grouped), 100_000)
    rows = ((float(n), [float(n), n + 0.5]) for n in range(20_000))
    tracemalloc.start()
    try:
        written = shape.metrics_result(plan, rows, Limits())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * len(json_encoding.dumps(written))


# --- actors and events ----------------------------------------------------------------------------------


def test_a_funnel_stops_and_is_bounded_while_it_lists_its_actors(engine: Engine, source: Source) -> None:
    """A million actors of twenty steps each took a minute to list, beside whatever time there was."""
    step = {"event_collection": "c", "actor_property": "text", "with_actors": True}
    limits = Limits(response_bytes_max=3_000)
    assert ask(engine, source, "funnel", limits, steps=[step]) == [120]
    with pytest.raises(QueryLimitExceeded, match=r"actors take more than 3,000 bytes"):
        ask(engine, source, "funnel", limits, steps=[step] * 3)
    asked = parse("funnel", {"steps": [step] * 3}, now_us=NOW_US, limits=limits).query
    assert isinstance(asked, FunnelQuery)
    plan = plan_funnel(asked, Views(lambda _: source), 1_000)
    checks: list[int] = []

    def patient_thrice() -> None:
        checks.append(1)
        if len(checks) > 3:
            raise QueryCancelled("gone")

    rows = [(f"actor {n}", 0b111) for n in range(10)]
    with pytest.raises(QueryCancelled):
        funnel_body(plan, rows, 3_000, patient_thrice)


def test_actors_stand_beside_steps_that_echo_anything(engine: Engine, source: Source) -> None:
    """Integers beyond 64 bits are written by another library than actors are."""
    filters = [where("number", "lt", 2**70), where("text", "ne", "é")]
    step = {"event_collection": "c", "actor_property": "number", "with_actors": True, "filters": filters}
    request = parse("funnel", {"steps": [step]}, now_us=NOW_US, limits=PATIENT)
    body = read(answer(request, lambda _: source, engine, limits=PATIENT))
    assert body["steps"][0]["filters"] == filters
    assert body["actors"] == [[n // 2 if n % 2 == 0 else n / 2 for n in range(120)]]


def test_property_names_are_found_at_once_however_many_they_are(engine: Engine, data_folder: Path) -> None:
    """Every null of every event was compared with every name: minutes that no timeout ended."""
    nulls = {f"p{n}": None for n in range(300)}
    sent = [event(n, **nulls, o={"a": {"b": n}}, ox=1) for n in range(2_000)]
    source = source_of(sent, data_folder, random.Random(9))
    names = [*(f"other{n}" for n in range(990)), "o.a", "p1.q", "p7"]
    found = ask(engine, source, "extraction", property_names=names)
    assert sorted(one["o"]["a"]["b"] for one in found) == list(range(2_000))
    assert all(one == {"o": one["o"], "p7": None} for one in found)


def test_every_limit_stands_in_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs" / "queries.md").read_text()
    limits = text.partition("## Limits")[2]
    values = [getattr(Limits(), one.name) for one in fields(Limits)]
    values += [ECHO_DEPTH_MAX, MAX_AGE_SECONDS_MAX, VALUES_INLINE_MAX, LONG_LIST_SIZE, UNICODE_CLASS]
    shown = {f"{value:,.0f}" for value in values}
    assert {one for one in shown if not re.search(rf"(?<![\d,]){one}(?![\d,])", limits)} == set()
