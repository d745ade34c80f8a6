"""Asking a served Acumen: every analysis by plain parameters and built, blocking and awaited."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from acumen_client import Acumen, AsyncAcumen, BadRequestError, Metric, P, Query, Row, Step, UnauthorizedError
from query.language.parameter_table import ANALYSIS_NAMES
from tests.clients.python.conftest import options_for
from tests.support.server import Served, ServedProject

BERLIN = ZoneInfo("Europe/Berlin")
JANUARY = ("2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z")
EVENTS: list[dict[str, Any]] = [
    {"price": 7, "country": "DE", "user": {"id": "ann"}, "keen": {"timestamp": "2026-01-01T10:00:00Z"}},
    {"price": 30, "country": "PL", "user": {"id": "bob"}, "keen": {"timestamp": "2026-01-01T23:30:00.5Z"}},
    {"price": 12.5, "country": "DE", "user": {"id": "ann"}, "keen": {"timestamp": "2026-01-02T09:00:00Z"}},
    {"price": None, "user": {"id": "cid"}, "keen": {"timestamp": "2026-01-02T09:00:00Z"}},
]


@pytest.fixture(scope="module")
def shop(served: Served) -> ServedProject:
    project = served.new_project("Shop")
    served.record(project, "purchases", *EVENTS)
    return project


@pytest.fixture
def asker(served: Served, shop: ServedProject) -> Acumen:
    return Acumen(served.url, project_id=shop.id, read_key=shop.read_key)


def in_one_loop(*answers: Callable[[], Awaitable[Any]]) -> list[Any]:
    async def wait() -> list[Any]:
        return [await answer() for answer in answers]

    return asyncio.run(wait())


PLAIN: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "count": (("purchases",), {"filters": P("price") > 5, "group_by": "country"}),
    "count_unique": (("purchases", "user.id"), {"timeframe": JANUARY, "interval": "daily"}),
    "minimum": (("purchases", "price"), {}),
    "maximum": (("purchases", P("price")), {"group_by": [P("country"), "user.id"]}),
    "sum": (("purchases", "price"), {"group_by": P("price").buckets(10)}),
    "average": (("purchases", "price"), {"round": 1}),
    "median": (("purchases",), {"target_property": "price"}),
    "percentile": (("purchases", "price", 90), {"filters": [P("country") == "DE"]}),
    "standard_deviation": (("purchases", "price"), {}),
    "select_unique": (("purchases", "country"), {}),
    "multi_analysis": (
        ("purchases", {"n": Metric.count(), "top": {"analysis_type": "maximum", "target_property": "price"}}),
        {"timeframe": JANUARY, "interval": "daily", "group_by": "country"},
    ),
    "series": (
        (
            {
                "buyers": Query.count_unique("purchases", "user.id"),
                "revenue": {
                    "event_collection": "purchases",
                    "analysis_type": "sum",
                    "target_property": "price",
                    "filters": P("price") > 5,
                },
            },
        ),
        {
            "timeframe": JANUARY,
            "interval": "daily",
            "group_by": "country",
            "formulas": {"each": "revenue / buyers"},
            "compare": "previous_period",
            "rolling": {"buyers": 2},
            "cumulative": "revenue",
            "share": ["revenue"],
            "top": {"limit": 1, "by": "revenue", "other": True},
            "fill": 0,
            "show": ["revenue", "each", "buyers.rolling", "revenue.cumulative", "revenue.share"],
        },
    ),
    "funnel": (([Step("purchases", "user.id"), Step("purchases", "user.id").where(P("price") > 10)],), {}),
    "paths": (("purchases",), {"actor_property": P("user.id"), "by": "country", "from_": "DE", "depth": 3}),
    "sessions": (("purchases",), {"actor_property": P("user.id"), "gap": "2_hours", "group_by": "country"}),
    "retention": (
        ("purchases",),
        {
            "returning_event": Step("purchases").where(P("price") > 5),
            "actor_property": "user.id",
            "timeframe": JANUARY,
            "interval": "daily",
        },
    ),
    "lifecycle": (
        ("purchases",),
        {"actor_property": "user.id", "timeframe": JANUARY, "interval": "daily", "group_by": "country"},
    ),
    "stickiness": (("purchases",), {"actor_property": P("user.id"), "timeframe": JANUARY}),
    "extraction": (("purchases",), {"latest": 2, "property_names": ["price", "keen.id"]}),
}
BUILT = {
    "count": Query.count("purchases").where(P("price") > 5).by("country"),
    "count_unique": Query.count_unique("purchases", "user.id").between(*JANUARY).daily(),
    "minimum": Query.minimum("purchases", "price"),
    "maximum": Query.maximum("purchases", P("price")).by(P("country"), "user.id"),
    "sum": Query.sum("purchases", "price").by(P("price").buckets(10)),
    "average": Query.average("purchases", "price").round(1),
    "median": Query.median("purchases", "price"),
    "percentile": Query.percentile("purchases", "price", 90).where(P("country") == "DE"),
    "standard_deviation": Query.standard_deviation("purchases", "price"),
    "select_unique": Query.select_unique("purchases", "country"),
    "multi_analysis": Query.multi_analysis("purchases", n=Metric.count(), top=Metric.maximum("price"))
    .between(*JANUARY)
    .daily()
    .by("country"),
    "series": Query.series(
        {"buyers": Query.count_unique("purchases", "user.id")},
        revenue=Query.sum("purchases", "price").where(P("price") > 5),
    )
    .between(*JANUARY)
    .daily()
    .by("country")
    .formula("each", "revenue / buyers")
    .compare("previous_period")
    .rolling(buyers=2)
    .cumulative("revenue")
    .share("revenue")
    .top(1, by="revenue", other=True)
    .fill(0)
    .show("revenue", "each", "buyers.rolling", "revenue.cumulative", "revenue.share"),
    "funnel": Query.funnel(Step("purchases", "user.id"), Step("purchases", "user.id").where(P("price") > 10)),
    "paths": Query.paths("purchases").actor("user.id").named_by("country").starting_at("DE").depth(3),
    "sessions": Query.sessions("purchases").actor("user.id").gap("2_hours").by("country"),
    "retention": Query.retention("purchases", Step("purchases").where(P("price") > 5), actor=P("user.id"))
    .between(*JANUARY)
    .daily(),
    "lifecycle": Query.lifecycle("purchases").actor("user.id").between(*JANUARY).daily().by("country"),
    "stickiness": Query.stickiness("purchases").actor("user.id").between(*JANUARY),
    "extraction": Query.extraction("purchases").latest(2).only("price", "keen.id"),
}


@pytest.mark.parametrize("analysis", ANALYSIS_NAMES)
def test_each_way_of_asking_gets_the_servers_answer(
    served: Served, shop: ServedProject, asker: Acumen, analysis: str
) -> None:
    arguments, parameters = PLAIN[analysis]
    expected = served.ask(shop, analysis, **BUILT[analysis].to_json())
    other = AsyncAcumen(served.url, project_id=shop.id, read_key=shop.read_key)
    answers = [
        getattr(asker, analysis)(*arguments, **parameters),
        asker.ask(BUILT[analysis]),  # type: ignore[call-overload]
        *in_one_loop(
            lambda: getattr(other, analysis)(*arguments, **parameters),
            lambda: other.ask(BUILT[analysis]),  # type: ignore[call-overload]
        ),
    ]
    for answer in answers:
        assert answer.value == expected
        assert answer.analysis == analysis
        assert answer.complete
        assert answer.request_id
        assert list(answer) == list(answer.rows)
        assert len(answer) == len(answer.rows)
    assert all(list(answer) == list(answers[0]) for answer in answers)


def test_rows_of_one_number(asker: Acumen) -> None:
    (row,) = asker.count("purchases")
    assert row == Row(4)
    assert row["result"] == 4
    assert row.as_dict() == {"result": 4}
    with pytest.raises(KeyError):
        row["country"]


def test_rows_of_groups(asker: Acumen) -> None:
    rows = asker.count("purchases", group_by="country", order_by="country").rows
    assert [(row["country"], row.value) for row in rows] == [("DE", 2), ("PL", 1), (None, 1)]


def test_rows_of_groups_in_intervals(asker: Acumen) -> None:
    answer = asker.sum("purchases", "price", group_by="country", timeframe=JANUARY, interval="daily")
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    found = [(row.start, row["country"], row.value) for row in answer]
    assert found == [
        (first, "DE", 7), (first, "PL", 30), (first, None, 0),
        (second, "DE", 12.5), (second, "PL", 0), (second, None, 0),
    ]  # fmt: skip
    assert {row.end - row.start for row in answer if row.start and row.end} == {timedelta(days=1)}


def test_rows_of_several_analyses(asker: Acumen) -> None:
    answer = asker.multi_analysis("purchases", {"n": Metric.count(), "sum": Metric.sum("price")})
    (row,) = answer
    assert (row["n"], row["sum"]) == (4, 49.5)
    assert row.as_dict() == {"n": 4, "sum": 49.5}


def test_rows_of_series_and_what_they_are_compared_with(asker: Acumen) -> None:
    series = {"n": Query.count("purchases"), "revenue": Query.sum("purchases", "price")}
    answer = asker.series(series, timeframe=("2026-01-02", "2026-01-03"), compare="previous_period")
    (row,) = answer
    names = ["", ".compared", ".change", ".change_percent"]
    assert {name: row[f"revenue{name}"] for name in names} == {
        "": 12.5, ".compared": 37, ".change": -24.5, ".change_percent": 100 * -24.5 / 37,
    }  # fmt: skip
    assert answer.compare is not None
    assert answer.compare["timeframe"]["start"] == "2026-01-01T00:00:00.000Z"
    by_day = asker.ask(Query.series(series).between(*JANUARY).daily().by("country").rolling(n=2))
    assert [row["n.rolling"] for row in by_day if row["country"] == "DE"] == [1, 2]
    assert list(by_day.columns()[0].values) == [row.start for row in by_day]


def test_rows_of_sessions(asker: Acumen) -> None:
    answer = asker.sessions(
        events=["purchases"], actor_property="user.id", page_property="country", group_by="country"
    )
    assert [(row["country"], row["sessions"]) for row in answer] == [("DE", 2), ("PL", 1), (None, 1)]
    assert answer.rows[0]["entries"]["values"] == [{"value": "DE", "sessions": 2}]
    table = answer.to_arrow()
    assert table.column_names[:3] == ["country", "sessions", "actors"]
    assert "entries" not in table.column_names
    assert str(table.schema.field("duration_average").type) == "double"


def test_edges_of_paths(asker: Acumen) -> None:
    answer = asker.paths("purchases", actor_property="user.id", by="price", timezone="UTC")
    edges = [(edge.source.name, edge.target.name, edge.step, edge.paths) for edge in answer]
    assert edges == [(7, 12.5, 0, 1)]
    assert [node.id for node in answer.nodes] == list(range(len(answer.nodes)))
    table = answer.to_arrow()
    assert table.column_names == ["step", "source", "target", "source_name", "target_name", "paths"]
    assert table.num_rows == len(edges)
    to = asker.paths("purchases", actor_property="user.id", to={"event_collection": "purchases"})
    assert to.nodes[0].began is not None
    assert to.nodes[0].ended is None


def test_rows_of_different_values(asker: Acumen) -> None:
    assert [row.value for row in asker.select_unique("purchases", "country")] == ["DE", "PL"]
    times = [row.value for row in asker.select_unique("purchases", "keen.timestamp")]
    assert datetime(2026, 1, 1, 23, 30, 0, 500_000, UTC) in times


def test_steps_of_a_funnel(asker: Acumen) -> None:
    steps = [Step("purchases", "user.id"), Step("purchases", "user.id").where(P("price") > 10).with_actors()]
    answer = asker.funnel(steps)
    assert [(step.number, step.value) for step in answer] == [(1, 3), (2, 2)]
    assert answer.steps[0].actors is None
    assert answer.steps[1].actors == ["ann", "bob"]
    assert {step.event_collection for step in answer} == {"purchases"}


def test_cohorts_of_a_retention(asker: Acumen) -> None:
    query = Query.retention("purchases", actor="user.id").between(*JANUARY).daily().by("country")
    answer = asker.ask(query)
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    found = [(one.start, one["country"], one.size, one.retained) for one in answer.cohorts]
    assert found == [(first, "DE", 1, [1, 1]), (first, "PL", 1, [1, 0]), (second, None, 1, [1])]
    assert answer.cohorts[0].rates == [1, 1]
    assert [one["sizes"] for one in answer.summary] == [[1, 1], [1, 1], [1, 0]]
    table = answer.to_polars()
    assert table.columns == [
        "timeframe.start", "timeframe.end", "country", "size", "period", "retained", "rate", "unfinished",
    ]  # fmt: skip
    assert table["period"].to_list() == [0, 1, 0, 1, 0]
    brackets = asker.ask(query.brackets((0, 0), (1, 3))).to_polars()
    assert brackets["period"].to_list() == ["0-0", "1-3", "0-0", "1-3", "0-0"]


def test_steps_of_a_funnel_in_order_by_interval_and_group(asker: Acumen) -> None:
    query = Query.funnel(
        Step("purchases", "user.id"), Step("purchases", "user.id").where(P("price") > 10).with_dropped()
    )
    ordered = query.between(*JANUARY, tz="Europe/Berlin").ordered()
    whole = asker.ask(ordered.times().explain_actor("bob"))
    assert [(step.value, step.dropped) for step in whole] == [(3, None), (1, ["bob", "cid"])]
    assert whole.steps[1].times is not None
    assert whole.steps[1].times["median"] == 82_800
    assert whole.times is not None
    assert whole.times["total"]["count"] == 1
    assert whole.actor is not None
    assert whole.actor["stopped"]["reason"] == "before"
    grouped = asker.ask(ordered.by("country"))
    assert [(step.groups, step.number, step.value) for step in grouped] == [
        ({"country": "DE"}, 1, 1),
        ({"country": "DE"}, 2, 1),
        ({"country": "PL"}, 1, 1),
        ({"country": "PL"}, 2, 0),
        ({"country": None}, 1, 1),
        ({"country": None}, 2, 0),
    ]
    daily = asker.ask(ordered.every("daily").times())
    assert [(step.start, step.value) for step in daily if step.number == 1] == [
        (datetime(2026, 1, 1, tzinfo=UTC), 2),
        (datetime(2026, 1, 2, tzinfo=UTC), 2),
    ]
    both = asker.ask(ordered.every("daily").by("country"))
    assert len(both) == 2 * 3 * 2
    assert [column.name for column in both.columns()][:4] == [
        "timeframe.start",
        "timeframe.end",
        "country",
        "step",
    ]


def test_rows_of_lifecycle_and_stickiness(asker: Acumen) -> None:
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    states = asker.ask(Query.lifecycle("purchases").actor("user.id").between(*JANUARY).daily())
    assert [(row.start, row["new"], row["returning"], row["dormant"]) for row in states] == [
        (first, 2, 0, 0),
        (second, 1, 1, 1),
    ]
    assert states.to_polars()["resurrected"].to_list() == [0, 0]
    active = Query.stickiness("purchases").actor("user.id").between(*JANUARY)
    found = asker.ask(active)
    assert [(row.start, row["dau"], row["mau"], row["dau_mau"]) for row in found] == [
        (first, 2, 2, 1),
        (second, 2, 3, 2 / 3),
    ]
    assert found.to_polars().columns[2:] == ["dau", "wau", "mau", "dau_wau", "dau_mau", "wau_mau"]
    often = asker.ask(active.daily().histogram())
    assert [(row["periods"], row.value) for row in often] == [(1, 2), (2, 1)]
    assert often.to_polars().columns == ["periods", "result"]


def test_events_have_instants_in_the_questions_zone(asker: Acumen) -> None:
    events = asker.extraction("purchases", timezone="Europe/Berlin").rows
    by_price = {event.get("price"): event for event in events}
    moment = by_price[30]["keen"]["timestamp"]
    assert moment == datetime(2026, 1, 2, 0, 30, 0, 500_000, BERLIN)
    assert moment.tzinfo == BERLIN
    assert by_price[30]["user"] == {"id": "bob"}


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", date(2026, 3, 29)),
        ("Europe/Berlin", date(2026, 10, 25)),
        ("Australia/Lord_Howe", date(2026, 4, 5)),
        ("America/Havana", date(2026, 3, 8)),
    ],
)
def test_days_begin_when_they_do_in_the_zone(asker: Acumen, zone: str, day: date) -> None:
    """Over changes of the clocks: a row for each day, of 23 hours and of 25."""
    frame = (day - timedelta(days=1), day + timedelta(days=2))
    answer = asker.count("none", timeframe=frame, timezone=zone, interval="daily")
    assert len(answer) == 3
    for number, row in enumerate(answer):
        assert row.start is not None
        assert row.start.date() == day + timedelta(days=number - 1)
        assert row.start.tzinfo == ZoneInfo(zone)


@pytest.mark.parametrize(
    ("question", "zone"),
    [
        ({}, UTC),
        ({"timezone": 7200}, timezone(timedelta(hours=2))),
        ({"timezone": ZoneInfo("Asia/Tokyo")}, ZoneInfo("Asia/Tokyo")),
        ({"timeframe": ("2026-01-01T00:00:00+05:30", "2026-01-02T00:00:00+05:30")},
         timezone(timedelta(hours=5, minutes=30))),
        ({"timeframe": (datetime(2026, 1, 1, tzinfo=BERLIN), datetime(2026, 1, 2, tzinfo=BERLIN))}, BERLIN),
    ],
    ids=str,
)  # fmt: skip
def test_the_zone_of_an_answer(asker: Acumen, question: dict[str, Any], zone: Any) -> None:
    assert asker.count("purchases", **question).zone == zone


def test_warnings_say_what_was_meant(asker: Acumen) -> None:
    answer = asker.sum("purchases", "prise")
    (warning,) = answer.warnings
    assert (warning.code, warning.parameter, warning.did_you_mean) == (
        "UnknownProperty",
        "target_property",
        "price",
    )
    assert "Did you mean 'price'?" in str(warning)


def test_what_an_answer_took_and_how_old_it_is(asker: Acumen) -> None:
    answer = asker.count("purchases", include_metadata=True, explain=True, filters=P("price") > 0)
    assert answer.execution_metadata and answer.execution_metadata["events_scanned"] >= 3
    assert answer.explain and answer.explain["statements"]
    assert answer.age_seconds is None
    asker.count("purchases", max_age=100)
    assert asker.count("purchases", max_age=100).age_seconds is not None


def test_a_question_of_any_length_is_asked(asker: Acumen) -> None:
    """Longer than any URL may be."""
    filters = P("user.id").in_([f"user-{number}" for number in range(20_000)] + ["ann"])
    assert asker.count("purchases", filters=filters).value == 2


def test_errors_carry_code_message_and_request(served: Served, asker: Acumen) -> None:
    with pytest.raises(BadRequestError) as caught:
        asker.count("purchases", timeframe="this_14_dayz")
    assert caught.value.code == "TimeframeDefinitionError"
    assert "this_14_days" in caught.value.message
    assert caught.value.request_id
    with pytest.raises(BadRequestError, match="Did you mean 'filters'"):
        asker.count("purchases", filter=[])  # type: ignore[call-arg]
    wrong = Acumen(served.url, project_id=asker.transport.target.project_id, read_key="wrong")
    with pytest.raises(UnauthorizedError):
        wrong.count("purchases")


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    def surface(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(getattr(member, "__wrapped__", member)).parameters)
            for name, member in inspect.getmembers(kind, callable)
            if not name.startswith("_") and "close" not in name
        }

    assert surface(Acumen) == surface(AsyncAcumen)


def test_methods_say_what_they_do(asker: Acumen) -> None:
    assert asker.count.__doc__ == "How many events."
    assert "target_property" in inspect.signature(asker.sum).parameters


def test_the_clients_of_the_fixture_share_a_project(
    client: Acumen, served: Served, project: ServedProject
) -> None:
    client.record("visits", {"page": "/"})

    async def ask() -> int:
        async with AsyncAcumen(**options_for(served, project)) as other:
            value: int = (await other.count("visits")).value
            return value

    assert asyncio.run(ask()) == 1


SPENT = (
    'SELECT "user.id" AS user_id, sum(price) AS spent, max("keen.timestamp") AS last FROM purchases '
    "WHERE price >= $least GROUP BY ALL ORDER BY user_id"
)


def test_sql_gives_rows(served: Served, shop: ServedProject) -> None:
    client = Acumen(served.url, project_id=shop.id, read_key=shop.master_key)
    rows = client.sql(SPENT, {"least": 10}, timezone="Europe/Berlin")
    assert list(rows) == [
        {"user_id": "ann", "spent": 12.5, "last": datetime(2026, 1, 2, 10, tzinfo=BERLIN)},
        {"user_id": "bob", "spent": 30, "last": datetime(2026, 1, 2, 0, 30, 0, 500_000, tzinfo=BERLIN)},
    ]
    assert rows.types == {"user_id": "VARCHAR", "spent": "DOUBLE", "last": "TIMESTAMP WITH TIME ZONE"}
    assert len(rows) == 2 and rows[0]["user_id"] == "ann" and not rows.truncated
    assert rows.to_pandas()["spent"].tolist() == [12.5, 30.0]
    assert rows.to_arrow().column_names == ["user_id", "spent", "last"]
    assert client.sql("SELECT price FROM purchases WHERE price > ?", [5], limit=1).truncated
    with pytest.raises(BadRequestError, match="DROP statements are refused"):
        client.sql("DROP TABLE purchases")


def test_sql_can_be_awaited(served: Served, shop: ServedProject) -> None:
    async def ask() -> list[dict[str, Any]]:
        async with AsyncAcumen(served.url, project_id=shop.id, read_key=shop.master_key) as client:
            return list(await client.sql("SELECT count(*) AS n FROM purchases"))

    assert asyncio.run(ask()) == [{"n": 4}]


def test_an_answer_is_repeated_and_compared(served: Served, shop: ServedProject) -> None:
    client = Acumen(served.url, project_id=shop.id, read_key=shop.master_key)
    question = Query.sum("purchases", "price")
    first = client.ask(question.explain())
    assert first.version is not None and not first.erased_since
    assert client.ask(question.as_of(first.version)).value == first.value
    moved = client.diff(question, first.version, events=1)
    assert moved["from"]["answer"]["result"] == first.value
    assert set(moved["changes"][0]["counts"]) == {"late", "new", "updated", "erased"}
