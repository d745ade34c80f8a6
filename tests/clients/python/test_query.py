"""Questions as values: what they are sent as, and that plain parameters say the same."""

from __future__ import annotations

import inspect
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acumen_client import Acumen, Metric, P, Query, Step, in_cohort, not_in_cohort
from acumen_client.asking import (
    Arranged,
    Computed,
    Extracted,
    Followed,
    InLifecycle,
    InSessions,
    InStickiness,
    OfIds,
    Retained,
    Taken,
)
from acumen_client.query import Condition, Narrowed, as_json, parameters_as_json
from query.language.parameter_table import ANALYSIS_NAMES, taken_by
from tests.support.scale import examples

OF_FILES = {"email", "email_address", "delivery", "content_type", "content_encoding"}
"""Parameters of extractions that have methods of their own: export and client.extractions."""


@pytest.mark.parametrize("analysis", ANALYSIS_NAMES)
def test_each_analysis_takes_what_the_server_takes(analysis: str) -> None:
    method = getattr(Acumen, analysis).__wrapped__
    own = {
        "extraction": Extracted,
        **dict.fromkeys(("count_unique", "select_unique", "multi_analysis"), OfIds),
        "funnel": Followed,
        "retention": Retained,
        "lifecycle": InLifecycle,
        "stickiness": InStickiness,
        "series": Computed,
        "sessions": InSessions,
        "paths": Taken,
    }
    hints = own.get(analysis, Arranged)
    named = {*inspect.signature(method).parameters, *get_type_hints(hints)} - {"parameters"}
    taken = {name.removesuffix("_") for name in named}
    assert taken == {parameter.name for parameter in taken_by(analysis)} - OF_FILES


@pytest.mark.parametrize("analysis", ANALYSIS_NAMES)
def test_each_analysis_can_be_built(analysis: str) -> None:
    assert callable(getattr(Query, analysis))


def test_a_question_that_was_built() -> None:
    query = (
        Query.count("purchases")
        .where(P("price") > 5, P("country").in_(["DE"]))
        .where((P("plan") == None) | P("plan").contains("pro"))  # noqa: E711
        .by("country", P("price").buckets(10), P("age").ranges((None, 18, "minor"), (18, None)))
        .daily()
        .this(14, "days", tz="Europe/Berlin")
        .order_by("result", descending=True)
        .limit(3)
        .zero_fill(False)
        .round(2)
        .week_start("monday")
        .max_age(60)
        .include_metadata()
        .explain()
    )
    assert query.to_json() == {
        "event_collection": "purchases",
        "filters": [
            {"property_name": "price", "operator": "gt", "property_value": 5},
            {"property_name": "country", "operator": "in", "property_value": ["DE"]},
            {
                "operator": "or",
                "operands": [
                    {"property_name": "plan", "operator": "eq", "property_value": None},
                    {"property_name": "plan", "operator": "contains", "property_value": "pro"},
                ],
            },
        ],
        "group_by": [
            "country",
            {"property_name": "price", "buckets": {"size": 10}},
            {"property_name": "age", "ranges": [{"to": 18, "label": "minor"}, {"from": 18}]},
        ],
        "interval": "daily",
        "timeframe": "this_14_days",
        "timezone": "Europe/Berlin",
        "order_by": [{"property_name": "result", "direction": "DESC"}],
        "limit": 3,
        "zero_fill": False,
        "round": 2,
        "week_start": "monday",
        "max_age": 60,
        "include_metadata": True,
        "explain": True,
    }
    assert query.to_definition() == {"analysis_type": "count", **query.to_json()}


def test_funnels_and_multi_analyses() -> None:
    funnel = Query.funnel(
        Step("visits", "user.id").today(tz=ZoneInfo("Asia/Tokyo")),
        Step("signups", P("user.id")).where(P("plan") != "free").inverted().optional().with_actors(),
    )
    assert funnel.to_json() == {
        "steps": [
            {"event_collection": "visits", "actor_property": "user.id", "timeframe": "today",
             "timezone": "Asia/Tokyo"},
            {"event_collection": "signups", "actor_property": "user.id", "inverted": True, "optional": True,
             "filters": [{"property_name": "plan", "operator": "ne", "property_value": "free"}],
             "with_actors": True},
        ]
    }  # fmt: skip
    ordered = funnel.ordered(window="7_days").to_json()
    assert ordered == {**funnel.to_json(), "order": "ordered", "window": "7_days"}
    assert funnel.ordered(strict=True, equal_times="apart").to_json()["order"] == "strict"
    sessions = Query.sessions("visits").actor("user.id").gap("1_hours").cut_daily().longest("4_hours")
    assert sessions.pages(P("path"), 3).by("plan").by_exit().measures(
        "sessions", "duration_p90"
    ).to_json() == {
        "event_collection": "visits",
        "actor_property": "user.id",
        "gap": "1_hours",
        "cut": "daily",
        "longest": "4_hours",
        "page_property": "path",
        "pages": 3,
        "group_by": ["plan"],
        "attribution": "exit",
        "measures": ["sessions", "duration_p90"],
    }
    both = Query.sessions("visits", {"event_collection": "carts", "filters": P("price") > 5}).to_json()
    assert both["events"] == [
        {"event_collection": "visits"},
        {
            "event_collection": "carts",
            "filters": [{"property_name": "price", "operator": "gt", "property_value": 5}],
        },
    ]
    paths = Query.paths("visits").actor("user.id").named_by("path").starting_at("/").depth(3).within("1_days")
    paths = paths.counting("sessions", "1_hours").rename({"/p/*": "a product"}).repeats().most(5, least=2)
    assert paths.to_json() == {
        "event_collection": "visits",
        "actor_property": "user.id",
        "by": "path",
        "from": "/",
        "depth": 3,
        "window": "1_days",
        "counting": "sessions",
        "gap": "1_hours",
        "rename": [{"match": "/p/*", "as": "a product"}],
        "collapse_repeats": False,
        "nodes": 5,
        "least": 2,
    }
    assert Query.paths("a", "b").ending_at({"event_collection": "b", "filters": P("x") == 1}).to_json() == {
        "events": [{"event_collection": "a"}, {"event_collection": "b"}],
        "to": {
            "event_collection": "b",
            "filters": [{"property_name": "x", "operator": "eq", "property_value": 1}],
        },
    }
    several = Query.multi_analysis("purchases", {"p 90": Metric.percentile("price", 90)}, n=Metric.count())
    assert several.to_json()["analyses"] == {
        "p 90": {"analysis_type": "percentile", "target_property": "price", "percentile": 90},
        "n": {"analysis_type": "count"},
    }


def test_retention() -> None:
    visits = Step("visits", "who").where(P("seconds") > 10)
    query = Query.retention("signups", visits, actor=P("user.id")).this(6, "weeks").weekly().by("plan")
    assert query.to_json() == {
        "starting_event": {"event_collection": "signups"},
        "returning_event": {
            "event_collection": "visits",
            "actor_property": "who",
            "filters": [{"property_name": "seconds", "operator": "gt", "property_value": 10}],
        },
        "actor_property": "user.id",
        "timeframe": "this_6_weeks",
        "interval": "weekly",
        "group_by": ["plan"],
    }
    assert Query.lifecycle("visits").actor("who").monthly().first_in_timeframe().by("plan").to_json() == {
        "event_collection": "visits",
        "actor_property": "who",
        "interval": "monthly",
        "first_in": "timeframe",
        "group_by": ["plan"],
    }
    assert Query.stickiness("visits", visits.to_json()).histogram().month_days(28).round(2).to_json() == {
        "events": [{"event_collection": "visits"}, query.to_json()["returning_event"]],
        "histogram": True,
        "month_days": 28,
        "round": 2,
    }
    more = query.recurring().rolling().on_or_after().periods(4).brackets((1, 3)).first_in_history()
    assert more.to_json() == {
        **query.to_json(),
        "cohort": "recurring",
        "period_type": "rolling",
        "returned": "on_or_after",
        "periods": 4,
        "brackets": [[1, 3]],
        "first_in": "history",
    }


def test_a_funnel_in_order_with_all_that_it_may_say() -> None:
    much = (
        Query.funnel(Step("visits"), Step("orders").gap(least="1_minutes", most="2_days").with_dropped())
        .ordered()
        .excluding(Step("refunds").where(P("n") > 1), after_step=1)
        .hold(P("shop"))
        .by("country", attribution=2)
        .every("weekly")
        .counting("sessions", "1_hours")
        .times(percentiles=[50], histogram=[0, 60])
        .explain_actor("ann")
    )
    assert much.to_json() == {
        "steps": [
            {"event_collection": "visits"},
            {"event_collection": "orders", "min_gap": "1_minutes", "max_gap": "2_days", "with_dropped": True},
        ],
        "order": "ordered",
        "exclusions": [
            {"event_collection": "refunds", "after_step": 1,
             "filters": [{"property_name": "n", "operator": "gt", "property_value": 1}]},
        ],
        "hold": "shop",
        "group_by": "country",
        "attribution": 2,
        "interval": "weekly",
        "counting": "sessions",
        "session_gap": "1_hours",
        "times": {"percentiles": [50], "histogram": [0, 60]},
        "explain_actor": "ann",
    }  # fmt: skip


def test_a_funnel_is_divided_by_intervals_as_other_questions_are() -> None:
    funnel = Query.funnel(Step("visits", "who"), Step("orders", "who")).ordered()
    assert funnel.weekly() == funnel.every("weekly")
    assert funnel.daily().by("plan").to_json()["interval"] == "daily"


def test_cohorts_are_conditions() -> None:
    definition = {"actor_property": "who", "actors": ["ann"]}
    query = Query.count("a").where(
        in_cohort("loyal") | (P("x") == 1), not_in_cohort(definition, P("user.id"))
    )
    assert query.by({"cohort": "loyal"}).to_json() == {
        "event_collection": "a",
        "filters": [
            {
                "operator": "or",
                "operands": [
                    {"operator": "in_cohort", "property_value": "loyal"},
                    {"property_name": "x", "operator": "eq", "property_value": 1},
                ],
            },
            {"property_name": "user.id", "operator": "not_in_cohort", "property_value": definition},
        ],
        "group_by": [{"cohort": "loyal"}],
    }


BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 29, 12, 0)


@pytest.mark.parametrize(
    ("query", "timeframe", "zone"),
    [
        (Query.count("a").this(7, "days"), "this_7_days", None),
        (Query.count("a").previous(1, "month"), "previous_1_months", None),
        (Query.count("a").last(2, "weeks", tz=7200), "previous_2_weeks", 7200),
        (Query.count("a").yesterday(timezone(timedelta(hours=-5))), "yesterday", -18000),
        (Query.count("a").during("this_year"), "this_year", None),
        (Query.count("a").since("2026-01-01"), {"start": "2026-01-01"}, None),
        (
            Query.count("a").between(date(2026, 3, 29), date(2026, 3, 30), tz=BERLIN),
            {"start": "2026-03-29T00:00:00+01:00", "end": "2026-03-30T00:00:00+02:00"},
            "Europe/Berlin",
        ),
        (
            Query.count("a").until(NOON.replace(tzinfo=BERLIN)),
            {"end": "2026-03-29T12:00:00+02:00"},
            "Europe/Berlin",
        ),
        (Query.count("a").until(NOON.replace(tzinfo=UTC)), {"end": "2026-03-29T12:00:00+00:00"}, None),
        (
            Query.count("a").until(NOON.replace(tzinfo=UTC), tz="Europe/Berlin"),
            {"end": "2026-03-29T14:00:00+02:00"},
            "Europe/Berlin",
        ),
        (
            Query.count("a").timezone("Europe/Berlin").since(NOON),
            {"start": "2026-03-29T12:00:00+02:00"},
            "Europe/Berlin",
        ),
        (Query.count("a").since(date(2026, 1, 1)), {"start": "2026-01-01T00:00:00+00:00"}, None),
    ],
    ids=lambda one: str(one)[:60],
)
def test_timeframes(query: Query, timeframe: Any, zone: Any) -> None:
    assert query.to_json()["timeframe"] == timeframe
    assert query.to_json().get("timezone") == zone


def test_a_datetime_without_a_zone_needs_one() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        Query.count("a").since(NOON)
    with pytest.raises(ValueError, match="has no time zone"):
        P("keen.timestamp") > NOON  # noqa: B015


def test_no_step_changes_the_question_before() -> None:
    first = Query.count("a").where(P("x") == 1)
    sent = first.to_json()
    first.where(P("y") == 2).by("z").daily().this(2, "days").with_(limit=3)
    first.to_json()["filters"].append("not mine")
    assert first.to_json() == sent
    with pytest.raises(AttributeError):
        first.analysis = "sum"  # type: ignore[misc]
    assert first == Query.count("a").where(P("x") == 1)
    assert len({first, Query.count("a").where(P("x") == 1)}) == 1


def test_plain_parameters_say_the_same() -> None:
    plain = parameters_as_json(
        {
            "event_collection": "purchases",
            "target_property": P("price"),
            "filters": P("country") == "DE",
            "group_by": P("country"),
            "order_by": ("result", "DESC"),
            "timeframe": (date(2026, 1, 1), None),
            "timezone": BERLIN,
            "limit": None,
        }
    )
    built = (
        Query.sum("purchases", "price")
        .where(P("country") == "DE")
        .by("country")
        .order_by("result", descending=True)
        .since(date(2026, 1, 1), tz=BERLIN)
    )
    assert plain == built.to_json()
    assert parameters_as_json({"order_by": ["a", "b"], "group_by": ["a", "b"], "property_names": "x"}) == {
        "order_by": [{"property_name": "a", "direction": "ASC"}, {"property_name": "b", "direction": "ASC"}],
        "group_by": ["a", "b"],
        "property_names": ["x"],
    }


class Colour(Enum):
    RED = "red"


def test_values_as_json() -> None:
    assert as_json([Colour.RED, Decimal("7"), Decimal("7.5"), date(2026, 1, 2), (1,), {"a": None}]) == [
        "red", 7, 7.5, "2026-01-02", [1], {"a": None},
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no JSON number"):
        as_json(float("inf"))
    with pytest.raises(TypeError, match="not with another property"):
        P("a") == P("b")  # noqa: B015
    with pytest.raises(TypeError, match="nothing that JSON holds"):
        P("a") == object()  # noqa: B015
    with pytest.raises(TypeError, match="in_ takes a list"):
        P("a").in_("abc")


def test_mistakes_are_told_where_they_are_written() -> None:
    with pytest.raises(TypeError, match="chained comparisons"):
        1 < P("a") < 3  # noqa: B015
    with pytest.raises(TypeError, match="join conditions with &"):
        bool(P("a") == 1 and P("b") == 2)
    with pytest.raises(ValueError, match="units are"):
        Query.count("a").this(3, "fortnights")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        Query.count("a").this(0, "days")
    with pytest.raises(TypeError, match="a filter is a condition"):
        Query.count("a").where("price > 5")  # type: ignore[arg-type]


def test_a_step_has_what_a_question_has_in_common_with_it() -> None:
    assert issubclass(Step, Narrowed) and issubclass(Query, Narrowed)
    assert not hasattr(Step, "max_age")


# Conditions against a slow reference: a tree is evaluated as it is, and what is sent as the server reads it.

Tree = Any
LEAVES = st.tuples(st.sampled_from("abc"), st.sampled_from([0, 1, 2]))
TREES = st.recursive(
    LEAVES, lambda inner: st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
    max_leaves=6,
)  # fmt: skip


def condition(tree: Tree) -> Condition:
    name, value = tree
    if name not in ("and", "or"):
        equal: Condition = P(name) == value
        return equal
    joined, *others = [condition(one) for one in value]
    for other in others:
        joined = joined & other if name == "and" else joined | other
    return joined


def holds(tree: Tree, event: dict[str, int]) -> bool:
    name, value = tree
    if name not in ("and", "or"):
        return bool(event[name] == value)
    return (all if name == "and" else any)(holds(one, event) for one in value)


def passes(sent: dict[str, Any], event: dict[str, int]) -> bool:
    if sent["operator"] == "or":
        return any(passes(one, event) for one in sent["operands"])
    return bool(event[sent["property_name"]] == sent["property_value"])


@settings(max_examples=examples(300), deadline=None)
@given(TREES)
def test_conditions_mean_what_they_say(tree: Tree) -> None:
    sent = condition(tree).to_json()
    for a in range(3):
        for b in range(3):
            for c in range(3):
                event = {"a": a, "b": b, "c": c}
                assert all(passes(one, event) for one in sent) == holds(tree, event)
