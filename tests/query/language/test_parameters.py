"""Which parameters a question takes, and what is said of one that is misspelt or misplaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from query.errors import InvalidQuery
from query.language.parameter_table import ANALYSES, BEHAVIOURS, BY_NAME, METRICS
from query.language.parameters import ENTRIES_MAX, SENT_BY_SDKS, check, check_filters, without_use
from query.language.parse import parse
from query.language.query_string import from_query_string
from query.limits import Limits
from tests.support.scale import examples

FILTER = {"property_name": "plan", "operator": "eq", "property_value": "pro"}
STEP = {"event_collection": "c", "actor_property": "user.id"}


def refusal(analysis: str, **params: Any) -> InvalidQuery:
    with pytest.raises(InvalidQuery) as raised:
        check(analysis, params)
    return raised.value


@pytest.mark.parametrize(
    ("analysis", "name", "meant"),
    [
        ("count", "filter", "filters"),
        ("count", "time_frame", "timeframe"),
        ("count", "groupby", "group_by"),
        ("count", "group-by", "group_by"),
        ("count", "groupBy", "group_by"),
        ("sum", "targetProperty", "target_property"),
        ("sum", "target_propery", "target_property"),
        ("percentile", "percentil", "percentile"),
        ("count", "collection", "event_collection"),
        ("count", "Timezone", "timezone"),
        ("count", "order", "order_by"),
        ("extraction", "properties_names", "property_names"),
        ("extraction", "lates", "latest"),
        ("funnel", "step", "steps"),
        ("multi_analysis", "analysis", "analyses"),
        ("count", "maxage", "max_age"),
        ("count", "explian", "explain"),
        ("funnel", "EXPLAIN", "explain"),
        ("count", "filter[0][property_name]", "filters"),
        ("count", "filter.0.property_name", "filters"),
        ("count", "time_frame[start]", "timeframe"),
    ],
)
@pytest.mark.parametrize("value", ["x", None, [], 1])
def test_an_unknown_parameter_is_refused_and_the_nearest_named(
    analysis: str, name: str, meant: str, value: Any
) -> None:
    with pytest.raises(InvalidQuery) as raised:
        check(analysis, {"event_collection": "c", name: value})
    error = raised.value
    assert error.code == "InvalidParameterError"
    assert f"'{name}'" in error.message
    assert f"Did you mean '{meant}'?" in error.message


@pytest.mark.parametrize(
    ("analysis", "params", "hint"),
    [
        (
            "funnel",
            {"breakdown": "plan"},
            "not a parameter of funnel. Did you mean 'group_by'?",
        ),
        ("funnel", {"conversion_window": 7}, "Did you mean 'window'?"),
        ("funnel", {"gap": "1_hours"}, "Did you mean 'session_gap'?"),
        ("funnel", {"steps": [{"event": "visits"}]}, "Did you mean 'event_collection'?"),
        ("sessions", {"session_gap": "1_hours"}, "Did you mean 'gap'?"),
        ("count", {"where": []}, "Did you mean 'filters'?"),
        ("count", {"filters": [{"property": "a", "operator": "eq"}]}, "Did you mean 'property_name'?"),
        ("retention", {"date_range": "this_7_days"}, "Did you mean 'timeframe'?"),
    ],
)
def test_what_other_services_call_otherwise_is_named(analysis: str, params: Any, hint: str) -> None:
    assert refusal(analysis, **params).message.endswith(hint)


def test_a_parameter_of_other_analyses_is_said_to_be_theirs() -> None:
    message = refusal("funnel", compare="previous_period").message
    assert message == "'compare' is not a parameter of funnel. It belongs to series."
    assert refusal("count", window="1_days").message.endswith("It belongs to funnel, paths.")


def test_where_none_is_near_all_are_named() -> None:
    error = refusal("count", event_collection="c", colour="red")
    assert all(name in error.message for name in ("event_collection", "timeframe", "filters", "max_age"))


@pytest.mark.parametrize(
    ("analysis", "name", "value"),
    [
        ("count", "latest", 5),
        ("count", "steps", [STEP]),
        ("extraction", "group_by", "plan"),
        ("extraction", "interval", "daily"),
        ("funnel", "group_by", "c"),
        ("funnel", "limit", 3),
        ("count", "email", "a@example.com"),
        ("select_unique", "property_names", ["a"]),
    ],
)
def test_a_parameter_of_other_analyses_passes_and_is_known_to_have_no_use(
    analysis: str, name: str, value: Any
) -> None:
    check(analysis, {name: value})
    assert without_use(analysis, {"filters": [FILTER], name: value}) == [BY_NAME[name]]
    nothings: tuple[Any, ...] = (None, "", [], {})
    for nothing in nothings:
        assert without_use(analysis, {name: nothing}) == []


@pytest.mark.parametrize("analysis", sorted(ANALYSES))
def test_what_narrows_and_arranges_nothing_is_not_mentioned(analysis: str) -> None:
    sent = {"event_collection": "c", "target_property": "p", "percentile": 9, "zero_fill": False}
    check(analysis, sent)
    assert without_use(analysis, sent) == []


@pytest.mark.parametrize("analysis", sorted(ANALYSES))
def test_what_it_takes_and_what_sdks_send_passes(analysis: str) -> None:
    taken = [parameter.name for parameter in BY_NAME.values() if analysis in parameter.analyses]
    check(analysis, dict.fromkeys([*taken, *SENT_BY_SDKS], 1))


Wrap = Callable[[dict[str, Any]], dict[str, Any]]
PLACES: dict[str, tuple[str, Wrap, dict[str, Any]]] = {
    "filters": ("count", lambda one: {"filters": [one]}, FILTER),
    "filters as JSON text": ("count", lambda one: {"filters": json.dumps([one])}, FILTER),
    "operands": ("count", lambda one: {"filters": [{"operator": "or", "operands": [FILTER, one]}]}, FILTER),
    "or": ("count", lambda one: {"filters": [one]}, {"operator": "or", "operands": [FILTER]}),
    "within": (
        "count",
        lambda one: {"filters": [{"property_name": "p", "operator": "within", "property_value": one}]},
        {"coordinates": [0, 0], "max_distance_miles": 1},
    ),
    "group_by": ("count", lambda one: {"group_by": one}, {"property_name": "p"}),
    "group_by list": ("count", lambda one: {"group_by": ["a", one]}, {"property_name": "p"}),
    "buckets": ("count", lambda one: {"group_by": {"property_name": "p", "buckets": one}}, {"size": 1}),
    "ranges": ("count", lambda one: {"group_by": {"property_name": "p", "ranges": [one]}}, {"from": 1}),
    "order_by": ("count", lambda one: {"order_by": one}, {"property_name": "result"}),
    "order_by list": ("count", lambda one: {"order_by": [one]}, {"property_name": "result"}),
    "timeframe": ("count", lambda one: {"timeframe": one}, {"start": "2024-01-01", "end": "2024-02-01"}),
    "steps": ("funnel", lambda one: {"steps": [STEP, one]}, STEP),
    "steps' filters": ("funnel", lambda one: {"steps": [{**STEP, "filters": [one]}]}, FILTER),
    "steps' timeframe": ("funnel", lambda one: {"steps": [{**STEP, "timeframe": one}]}, {"start": "2024"}),
    "analyses": ("multi_analysis", lambda one: {"analyses": {"n": one}}, {"analysis_type": "count"}),
}


@pytest.mark.parametrize("place", PLACES)
def test_unknown_keys_are_refused_within_parameters_too(place: str) -> None:
    analysis, wrap, good = PLACES[place]
    check(analysis, wrap(good))
    for known in good:
        misspelt = f"{known}s"
        error = refusal(analysis, **wrap({**good, misspelt: None}))
        assert f"'{misspelt}'" in error.message
        assert f"'{known}'" in error.message
    assert refusal(analysis, **wrap({**good, "zzz": 1})).message.count("zzz") == 1


def test_the_error_code_is_that_of_the_place() -> None:
    assert refusal("count", filters=[{**FILTER, "x": 1}]).code == "InvalidFilterError"
    assert refusal("count", group_by={"property_name": "p", "x": 1}).code == "InvalidGroupByError"
    assert refusal("count", order_by={"property_name": "p", "x": 1}).code == "InvalidOrderByError"
    assert refusal("count", timeframe={"start": "2024", "x": 1}).code == "TimeframeDefinitionError"


def test_operands_belong_to_or_alone() -> None:
    check("count", {"filters": [{**FILTER, "operands": None, "property_type": "String"}]})
    refusal("count", filters=[{**FILTER, "operands": [FILTER]}])
    refusal("count", filters=[{"operator": "or", "operands": [FILTER], "property_name": "plan"}])


def test_a_member_of_a_multi_analysis_has_nothing_of_the_whole_but_what_says_the_same() -> None:
    member = {"analysis_type": "sum", "target_property": "price", "percentile": None}
    check("multi_analysis", {"analyses": {"n": member}})
    check("multi_analysis", {"timeframe": "today", "analyses": {"n": {**member, "timeframe": "today"}}})
    for own in ({"timeframe": "yesterday"}, {"event_collection": "d"}, {"group_by": "x"}):
        error = refusal("multi_analysis", timeframe="today", analyses={"n": {**member, **own}})
        assert "belongs to the whole query" in error.message


def test_filters_of_a_key_are_looked_at_likewise() -> None:
    check_filters([FILTER])
    with pytest.raises(InvalidQuery, match="Did you mean 'operator'"):
        check_filters([{**FILTER, "operater": "eq"}])


def test_work_is_bounded() -> None:
    check("count", {"filters": [FILTER] * ENTRIES_MAX + [{"x": 1}]})
    nested: Any = [{"x": 1}]
    for _ in range(5_000):
        nested = [{"operator": "or", "operands": nested}]
    check("count", {"filters": nested})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(ANALYSES)), st.dictionaries(st.sampled_from(sorted(BY_NAME)), JSON))
@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_but_a_refusal_is_raised_whatever_is_sent(analysis: str, params: dict[str, Any]) -> None:
    try:
        check(analysis, params)
    except InvalidQuery as error:
        assert error.message


def bracketed(name: str, value: Any) -> list[tuple[str, str]]:
    """As PHP's http_build_query writes it, but for types: numbers, true, false and null as JSON."""
    if isinstance(value, dict):
        return [pair for key, part in value.items() for pair in bracketed(f"{name}[{key}]", part)]
    if isinstance(value, list):
        return [pair for index, part in enumerate(value) for pair in bracketed(f"{name}[{index}]", part)]
    text = value if isinstance(value, str) and "property_value" not in name else json.dumps(value)
    return [(name, text)]


class TestBrackets:
    def test_filters_as_php_writes_them(self) -> None:
        text = "filters[0][property_name]=a&filters[0][operator]=eq&filters[0][property_value]=b"
        assert from_query_string(parse_qsl(text)) == {
            "filters": [{"property_name": "a", "operator": "eq", "property_value": "b"}]
        }

    @pytest.mark.parametrize(
        ("text", "params"),
        [
            ("filters[0][property_value]=5", {"filters": [{"property_value": 5}]}),
            ("filters[0][property_value]=true", {"filters": [{"property_value": True}]}),
            ("filters[0][property_value]=null", {"filters": [{"property_value": None}]}),
            ('filters[0][property_value]="5"', {"filters": [{"property_value": "5"}]}),
            ("filters[0][property_value]=", {"filters": [{"property_value": ""}]}),
            ("filters[0][property_value]=007", {"filters": [{"property_value": "007"}]}),
            ("filters[0][property_value]=2024-01-01", {"filters": [{"property_value": "2024-01-01"}]}),
            ("filters[0][property_value][]=a&filters[0][property_value][]=2",
             {"filters": [{"property_value": ["a", 2]}]}),
            ("filters[2][operator]=b&filters[0][operator]=a",
             {"filters": [{"operator": "a"}, {"operator": "b"}]}),
            ("filters[0][operands][1][operator]=eq", {"filters": [{"operands": [{"operator": "eq"}]}]}),
            ("group_by[0]=a&group_by[1]=b", {"group_by": ["a", "b"]}),
            ("group_by[property_name]=a&group_by[buckets][size]=10",
             {"group_by": {"property_name": "a", "buckets": {"size": 10}}}),
            ("order_by[0][property_name]=result&order_by[0][direction]=DESC",
             {"order_by": [{"property_name": "result", "direction": "DESC"}]}),
            ("steps[0][actor_property]=u&steps[0][with_actors]=true",
             {"steps": [{"actor_property": "u", "with_actors": "true"}]}),
            ("analyses[0][analysis_type]=count", {"analyses": {"0": {"analysis_type": "count"}}}),
            ("timeframe[start]=2024-01-01", {"timeframe": {"start": "2024-01-01"}}),
            ('filters=[{"operator":"eq"}]&filters[0][operator]=eq', {"filters": [{"operator": "eq"}]}),
        ],
    )  # fmt: skip
    def test_each_structure(self, text: str, params: dict[str, Any]) -> None:
        assert from_query_string(parse_qsl(text, keep_blank_values=True)) == params

    @pytest.mark.parametrize(
        "text",
        [
            "filters[0][operator=eq",
            "filters[0]operator=eq",
            "filters[=x",
            "filters[][operator]=eq",
            "limit[]=5",
            "event_collection[0]=c",
            "filters[0]=a&filters[0][operator]=eq",
            "filters[0][operator]=eq&filters[0][operator]=ne",
            "filters=[]&filters[0][operator]=eq",
            'filters[0][property_value]="a',
            "filters" + "[0]" * 500 + "=1",
        ],
    )
    def test_what_cannot_be_read_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidQuery):
            from_query_string(parse_qsl(text))

    def test_an_end_that_is_empty_is_no_open_end(self) -> None:
        params = from_query_string([("timeframe[start]", ""), ("event_collection", "c")])
        with pytest.raises(InvalidQuery) as raised:
            parse("count", params, now_us=0, limits=Limits())
        assert raised.value.code == "TimeframeDefinitionError"

    CONDITION = st.fixed_dictionaries(
        {
            "property_name": st.text("ab.", min_size=1, max_size=4),
            "operator": st.sampled_from(["eq", "ne", "in"]),
            "property_value": st.text(max_size=4) | st.integers() | st.booleans() | st.none(),
        }
    )
    FILTERS = st.lists(
        st.recursive(
            CONDITION,
            lambda inner: st.fixed_dictionaries(
                {"operator": st.just("or"), "operands": st.lists(inner, min_size=1, max_size=3)}
            ),
            max_leaves=5,
        ),
        min_size=1,
        max_size=4,
    )

    @given(FILTERS)
    @settings(max_examples=examples(100))
    def test_they_say_what_the_json_says(self, filters: list[Any]) -> None:
        pairs = parse_qsl(urlencode(bracketed("filters", filters)), keep_blank_values=True)
        assert from_query_string(pairs) == {"filters": filters}


def test_every_metric_can_be_a_member() -> None:
    assert {*METRICS, *BEHAVIOURS, "extraction", "multi_analysis", "series"} == ANALYSES
