"""What a question may say, and what is said of one that may not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.errors import InvalidQuery, QueryError, QueryLimitExceeded
from query.language.analyses.behaviour_nodes import FunnelQuery
from query.language.nodes import (
    Analysis,
    AnyOf,
    Buckets,
    Circle,
    Condition,
    ExtractionQuery,
    Group,
    Metric,
    MetricQuery,
    Operator,
    Order,
    ParsedQuery,
    Row,
    Span,
    ValueRange,
)
from query.language.parameter_table import ANALYSES
from query.language.parse import parse
from query.language.query_string import from_query_string
from query.limits import Limits
from storage.instants import parse_instant
from tests.support.scale import examples

LIMITS = Limits()
GEO = "keen.location.coordinates"


def us(text: str) -> int:
    instant = parse_instant(text)
    assert instant is not None
    return instant


NOW = us("2024-05-15T19:15:42Z")
THIS_DAY = Span(us("2024-05-15"), us("2024-05-16"))


def ask(analysis: str, *, limits: Limits = LIMITS, **params: Any) -> ParsedQuery:
    return parse(analysis, params, now_us=NOW, limits=limits)


def count(**params: Any) -> MetricQuery:
    query = ask("count", event_collection="c", **params).query
    assert isinstance(query, MetricQuery)
    return query


def extraction(**params: Any) -> ExtractionQuery:
    query = ask("extraction", event_collection="c", **params).query
    assert isinstance(query, ExtractionQuery)
    return query


def multi(analyses: Any, **params: Any) -> MetricQuery:
    query = ask("multi_analysis", event_collection="c", analyses=analyses, **params).query
    assert isinstance(query, MetricQuery)
    return query


def funnel(steps: Any, **params: Any) -> FunnelQuery:
    query = ask("funnel", steps=steps, **params).query
    assert isinstance(query, FunnelQuery)
    return query


def refusal(analysis: str, params: Mapping[str, Any], limits: Limits = LIMITS) -> InvalidQuery:
    with pytest.raises(InvalidQuery) as caught:
        parse(analysis, params, now_us=NOW, limits=limits)
    caught.value.message.encode()
    assert len(caught.value.message) < 1000
    return caught.value


def is_eq(path: str, value: Any) -> dict[str, Any]:
    return {"property_name": path, "operator": "eq", "property_value": value}


class TestMetrics:
    def test_the_least_question(self) -> None:
        assert ask("count", event_collection="c") == ParsedQuery(MetricQuery("c", (Metric(Analysis.COUNT),)))

    @pytest.mark.parametrize("analysis", sorted({*Analysis} - {Analysis.COUNT, Analysis.PERCENTILE}))
    def test_others_take_a_target(self, analysis: Analysis) -> None:
        query = ask(analysis.value, event_collection="c", target_property="a.b").query
        assert query == MetricQuery("c", (Metric(analysis, "a.b"),))

    def test_a_full_question(self) -> None:
        query = count(
            timeframe="this_day",
            timezone=0,
            interval="daily",
            filters=[is_eq("a", 1)],
            group_by=["g", "h"],
            order_by=[{"property_name": "result", "direction": "DESC"}, "g"],
            limit=5,
            zero_fill=False,
        )
        assert query == MetricQuery(
            collection="c",
            metrics=(Metric(Analysis.COUNT),),
            span=THIS_DAY,
            filters=(Condition("a", Operator.EQ, 1),),
            groups=(Group("g"), Group("h")),
            buckets=Buckets((us("2024-05-15"), us("2024-05-16"))),
            order=(Order("result", True), Order("g")),
            limit=5,
            zero_fill=False,
        )

    def test_null_is_absent(self) -> None:
        names = (
            "timeframe timezone interval filters group_by order_by limit zero_fill include_metadata max_age"
        )
        params: dict[str, Any] = dict.fromkeys(names.split())
        assert parse("count", {"event_collection": "c", **params}, now_us=NOW, limits=LIMITS) == ask(
            "count", event_collection="c"
        )

    def test_unknown_parameters_are_ignored(self) -> None:
        assert count(analysis_type="sum", dataset_name=5, force_refresh=[], percentile="x") == count()

    @pytest.mark.parametrize("value", [90, 90.5, 99.99, 0.01, 100, "90", "99.99", 33.33])
    def test_percentiles(self, value: Any) -> None:
        query = ask("percentile", event_collection="c", target_property="a", percentile=value).query
        assert query == MetricQuery("c", (Metric(Analysis.PERCENTILE, "a", float(value)),))

    @pytest.mark.parametrize("value", [0, -1, 100.01, 99.999, "x", "1e1", True, [], float("nan"), 10**400])
    def test_bad_percentiles(self, value: Any) -> None:
        error = refusal("percentile", {"event_collection": "c", "target_property": "a", "percentile": value})
        assert error.code == "InvalidParameterError"
        assert "'percentile'" in error.message

    @pytest.mark.parametrize(
        ("analysis", "params", "field"),
        [
            ("count", {}, "event_collection"),
            ("count", {"event_collection": None}, "event_collection"),
            ("count", {"event_collection": ""}, "event_collection"),
            ("sum", {"event_collection": "c"}, "target_property"),
            ("percentile", {"event_collection": "c", "target_property": "a"}, "percentile"),
            ("extraction", {}, "event_collection"),
            ("funnel", {}, "steps"),
            ("funnel", {"steps": [{"actor_property": "u"}]}, "steps[0].event_collection"),
            ("funnel", {"steps": [{"event_collection": "c"}]}, "steps[0].actor_property"),
            ("multi_analysis", {"analyses": {"a": {"analysis_type": "count"}}}, "event_collection"),
            ("multi_analysis", {"event_collection": "c"}, "analyses"),
            ("multi_analysis", {"event_collection": "c", "analyses": {"a": {}}}, "analyses.a.analysis_type"),
        ],
    )
    def test_missing_fields(self, analysis: str, params: dict[str, Any], field: str) -> None:
        error = refusal(analysis, params)
        assert error.code == "MissingRequiredRequestFieldError"
        assert error.message == f"Your request is missing a required field. Field: '{field}'."

    def test_a_field_that_another_one_requires_is_named_with_it(self) -> None:
        error = refusal("count", {"event_collection": "c", "interval": "daily"})
        assert error.code == "MissingRequiredRequestFieldError"
        assert error.message.endswith("Field: 'timeframe', because of 'interval'.")

    @pytest.mark.parametrize("analysis", ["", "counts", "COUNT", "saved", "__class__"])
    def test_an_unknown_analysis(self, analysis: str) -> None:
        assert analysis not in ANALYSES
        assert refusal(analysis, {"event_collection": "c"}).code == "ResourceNotFoundError"

    @pytest.mark.parametrize(
        ("name", "value", "code"),
        [
            ("event_collection", 5, "InvalidParameterError"),
            ("event_collection", ["c"], "InvalidParameterError"),
            ("event_collection", "\ud800", "InvalidParameterError"),
            ("target_property", 5, "InvalidParameterError"),
            ("target_property", {}, "InvalidParameterError"),
            ("timezone", [], "InvalidTimezoneError"),
            ("timeframe", 5, "TimeframeDefinitionError"),
            ("interval", 5, "InvalidIntervalError"),
            ("interval", ["daily"], "InvalidIntervalError"),
            ("zero_fill", "maybe", "InvalidParameterError"),
            ("zero_fill", 1, "InvalidParameterError"),
            ("include_metadata", [], "InvalidParameterError"),
            ("max_age", -1, "InvalidParameterError"),
            ("max_age", 129_601, "InvalidParameterError"),
            ("max_age", 1.5, "InvalidParameterError"),
            ("max_age", True, "InvalidParameterError"),
            ("max_age", "soon", "InvalidParameterError"),
            ("limit", 0, "InvalidLimitError"),
            ("limit", "0", "InvalidLimitError"),
            ("limit", 1.5, "InvalidLimitError"),
            ("limit", True, "InvalidLimitError"),
            ("limit", {}, "InvalidLimitError"),
            ("limit", "9" * 5000, "InvalidLimitError"),
            ("limit", 10**400, "InvalidLimitError"),
            ("order_by", "x", "InvalidOrderByError"),
            ("order_by", 5, "InvalidOrderByError"),
            ("order_by", [[]], "InvalidOrderByError"),
            ("order_by", {"property_name": "result", "direction": "UP"}, "InvalidOrderByError"),
            ("order_by", {"property_name": "result", "direction": 1}, "InvalidOrderByError"),
            ("order_by", {"direction": "ASC"}, "InvalidOrderByError"),
            ("order_by", ["result", "g", "result"], "InvalidOrderByError"),
        ],
    )
    def test_wrong_types_and_values_name_the_parameter(self, name: str, value: Any, code: str) -> None:
        params = {"event_collection": "c", "target_property": "a", "group_by": "g", "order_by": "g"}
        error = refusal("sum", {**params, "timeframe": "this_day", name: value})
        assert error.code == code
        assert name.split("_")[0] in error.message

    @pytest.mark.parametrize("params", [[], "x", None, 5])
    def test_params_must_be_an_object(self, params: Any) -> None:
        assert refusal("count", params).code == "InvalidParameterError"

    def test_scalars_from_text(self) -> None:
        request = ask(
            "count",
            event_collection="c",
            include_metadata="true",
            max_age="129600",
            group_by="g",
            order_by="result",
            limit="10",
            zero_fill="False",
        )
        assert (request.include_metadata, request.max_age) == (True, 129_600)
        assert isinstance(request.query, MetricQuery)
        assert (request.query.limit, request.query.zero_fill) == (10, False)

    def test_too_many_intervals(self) -> None:
        params = {"event_collection": "c", "timeframe": "this_10_days", "interval": "minutely"}
        error = refusal("count", params)
        assert isinstance(error, QueryLimitExceeded)
        assert error.code == "QueryLimitError"
        assert "9000" in error.message


class TestFilters:
    @pytest.mark.parametrize(
        ("operator", "operand"),
        [
            *[
                (operator, value)
                for operator in ("eq", "ne")
                for value in (1, 1.5, "a", "", True, None, [1, "a"], [])
            ],
            *[
                (operator, value)
                for operator in ("lt", "lte", "gt", "gte")
                for value in (1, -1.5, "a", 2**70)
            ],
            ("exists", True),
            ("exists", False),
            ("in", []),
            ("in", [1, "a", None, True]),
            ("contains", "a"),
            ("contains", 5),
            ("not_contains", "a"),
            ("regex", "^a.*[b-d]{2,3}$"),
        ],
    )
    def test_operands(self, operator: str, operand: Any) -> None:
        query = count(
            filters=[{"property_name": "p.q", "operator": operator, "property_value": operand, "x": 1}]
        )
        assert query.filters == (Condition("p.q", Operator(operator), operand),)
        assert isinstance(query.filters[0], Condition)
        assert type(query.filters[0].operand) is type(operand)

    @pytest.mark.parametrize(
        ("more", "row"),
        [
            ({"property_value": None}, Row(Group("p"), None)),
            ({"property_value": 10, "buckets": {"size": 5}}, Row(Group("p", size=5.0), 10)),
            (
                {"property_value": "1..", "ranges": [{"from": 1}]},
                Row(Group("p", ranges=(ValueRange(1, None, "1.."),)), "1.."),
            ),
        ],
    )
    def test_a_row_of_a_group(self, more: dict[str, Any], row: Row) -> None:
        query = count(filters=[{"property_name": "p", "operator": "in_group", **more}])
        assert query.filters == (Condition("p", Operator.IN_GROUP, row),)

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"property_value": "a", "buckets": {"size": 5}}, "invalid for the given operator"),
            (
                {"property_value": "b", "ranges": [{"from": 1, "label": "a"}]},
                "invalid for the given operator",
            ),
            ({"property_value": 1, "buckets": {"size": 0}}, "'filters[0].buckets' must be"),
            ({"property_value": "a", "ranges": []}, "'filters[0].ranges' must be"),
            ({"property_value": 1, "buckets": {"size": 1}, "ranges": [{}]}, "not both"),
            ({"property_value": 1, "operator": "eq", "buckets": {"size": 1}}, "'in_group' alone"),
        ],
    )
    def test_rows_that_no_group_has(self, more: dict[str, Any], said: str) -> None:
        item = {"property_name": "p", "operator": "in_group", **more}
        error = refusal("count", {"event_collection": "c", "filters": [item]})
        assert error.code == "InvalidFilterError"
        assert said in error.message

    @pytest.mark.parametrize(
        ("operator", "operand"),
        [
            ("eq", {}),
            ("eq", [[1]]),
            ("eq", [{}]),
            ("ne", {"a": 1}),
            ("eq", float("nan")),
            ("eq", float("inf")),
            ("eq", "\ud800"),
            ("lt", None),
            ("lt", True),
            ("gte", [1]),
            ("gt", {}),
            ("exists", "true"),
            ("exists", 1),
            ("exists", None),
            ("in", "abc"),
            ("in", 5),
            ("in", None),
            ("in", [[1]]),
            ("in", [{}]),
            ("contains", None),
            ("contains", []),
            ("not_contains", {}),
            ("in_group", ["a"]),
            ("in_group", {}),
            ("regex", 5),
            ("regex", None),
        ],
    )
    def test_operands_of_the_wrong_type(self, operator: str, operand: Any) -> None:
        item = {"property_name": "p", "operator": operator, "property_value": operand}
        error = refusal("count", {"event_collection": "c", "filters": [item]})
        assert error.code == "InvalidFilterError"
        assert error.message.startswith(
            f"The specified value is invalid for the given operator. Operator: {operator}. Value: "
        )

    def test_an_integer_too_long_to_write_is_refused(self) -> None:
        error = refusal("count", {"event_collection": "c", "filters": [is_eq("a", 2**20_000)]})
        assert error.code == "InvalidFilterError"

    def test_the_recorded_message(self) -> None:
        item = {"property_name": "p", "operator": "exists", "property_value": "true"}
        error = refusal("count", {"event_collection": "c", "filters": [item]})
        assert error.message == (
            "The specified value is invalid for the given operator. Operator: exists. Value: true"
        )

    @pytest.mark.parametrize(
        "filters",
        [
            5,
            True,
            {},
            is_eq("a", 1),
            "abc",
            [5],
            [None],
            [[]],
            [{}],
            [{"property_name": "a"}],
            [{"property_name": "a", "operator": "eq"}],
            [{"property_name": "a", "operator": "like", "property_value": 1}],
            [{"property_name": "a", "operator": 5, "property_value": 1}],
            [{"property_name": "a", "operator": ["eq"], "property_value": 1}],
            [{"operator": "eq", "property_value": 1}],
            [{"property_name": "", "operator": "eq", "property_value": 1}],
            [{"property_name": 5, "operator": "eq", "property_value": 1}],
            [{"property_name": "\ud800", "operator": "eq", "property_value": 1}],
            [{"property_name": "a" * 10_001, "operator": "eq", "property_value": 1}],
            [{"operator": "or"}],
            [{"operator": "or", "operands": []}],
            [{"operator": "or", "operands": {}}],
            [{"operator": "or", "operands": [5]}],
        ],
    )
    def test_malformed_lists(self, filters: Any) -> None:
        assert refusal("count", {"event_collection": "c", "filters": filters}).code == "InvalidFilterError"

    def test_or_nests(self) -> None:
        inner = {"operator": "or", "operands": [is_eq("a", 1), is_eq("b", 2)]}
        query = count(filters=[{"operator": "or", "operands": [inner, is_eq("c", 3)]}])
        either = AnyOf((Condition("a", Operator.EQ, 1), Condition("b", Operator.EQ, 2)))
        assert query.filters == (AnyOf((either, Condition("c", Operator.EQ, 3))),)

    def test_json_text(self) -> None:
        assert count(filters=json.dumps([is_eq("a", 1)])) == count(filters=[is_eq("a", 1)])
        assert refusal("count", {"event_collection": "c", "filters": "[{"}).code == "InvalidJSONError"
        assert (
            refusal("count", {"event_collection": "c", "filters": "[" * 100_000}).code == "InvalidJSONError"
        )
        assert refusal("count", {"event_collection": "c", "filters": "[NaN]"}).code == "InvalidJSONError"
        assert (
            refusal("count", {"event_collection": "c", "filters": "[" + "9" * 5000 + "]"}).code
            == "InvalidJSONError"
        )

    def test_size_and_depth_have_limits(self) -> None:
        for filters in (
            [is_eq("a", 1)] * 1001,
            [{"operator": "or", "operands": [is_eq("a", 1)] * 1000}],
            [{"property_name": "a", "operator": "in", "property_value": [1] * 100_001}],
            [{"property_name": "a", "operator": "regex", "property_value": "a" * 1001}],
        ):
            assert isinstance(
                refusal("count", {"event_collection": "c", "filters": filters}), QueryLimitExceeded
            )
        deep = is_eq("a", 1)
        for _ in range(100):
            deep = {"operator": "or", "operands": [deep]}
        assert count(filters=[deep]).filters
        deeper = {"operator": "or", "operands": [deep]}
        assert isinstance(
            refusal("count", {"event_collection": "c", "filters": [deeper]}), QueryLimitExceeded
        )

    def test_depth_beyond_the_stack_is_a_limit_too(self) -> None:
        deep: Any = is_eq("a", 1)
        for _ in range(100_000):
            deep = {"operator": "or", "operands": [deep]}
        assert isinstance(refusal("count", {"event_collection": "c", "filters": [deep]}), QueryLimitExceeded)
        refusal("count", {"event_collection": "c", "filters": [is_eq("a", deep)]})
        refusal("count", {"event_collection": "c", "timeframe": deep})
        refusal("count", {"event_collection": "c", "group_by": deep})

    def test_within(self) -> None:
        circle = {"coordinates": [-122.4, 37], "max_distance_miles": 10, "more": 1}
        query = count(filters=[{"property_name": GEO, "operator": "within", "property_value": circle}])
        assert query.filters == (Condition(GEO, Operator.WITHIN, Circle(-122.4, 37.0, 10.0)),)

    @pytest.mark.parametrize("path", ["location", "", None, 5, "keen.location"])
    def test_within_is_for_the_location_only(self, path: Any) -> None:
        item = {"property_name": path, "operator": "within", "property_value": {}}
        error = refusal("count", {"event_collection": "c", "filters": [item]})
        assert error.code == "InvalidPropertyNameForGeoFilter"
        assert error.message.startswith(
            "You specified a geo filter on a property other than keen.location.coordinates, "
            "which is not allowed. You specified: '"
        )

    @pytest.mark.parametrize(
        "circle",
        [
            {},
            5,
            None,
            [],
            {"coordinates": [0, 0]},
            {"max_distance_miles": 5},
            {"coordinates": [0], "max_distance_miles": 5},
            {"coordinates": ["0", "0"], "max_distance_miles": 5},
            {"coordinates": [True, 0], "max_distance_miles": 5},
            {"coordinates": [181, 0], "max_distance_miles": 5},
            {"coordinates": [0, 91], "max_distance_miles": 5},
            {"coordinates": [0, 0], "max_distance_miles": -1},
            {"coordinates": [0, 0], "max_distance_miles": "5"},
            {"coordinates": [0, 0], "max_distance_miles": True},
            {"coordinates": [0, 0], "max_distance_miles": float("inf")},
            {"coordinates": [0, 10**400], "max_distance_miles": 1},
        ],
    )
    def test_bad_circles(self, circle: Any) -> None:
        item = {"property_name": GEO, "operator": "within", "property_value": circle}
        assert refusal("count", {"event_collection": "c", "filters": [item]}).code == "InvalidFilterError"

    def test_within_does_not_go_with_group_by(self) -> None:
        circle = {"coordinates": [0, 0], "max_distance_miles": 10}
        item = {"property_name": GEO, "operator": "within", "property_value": circle}
        for filters in ([item], [{"operator": "or", "operands": [is_eq("a", 1), item]}]):
            error = refusal("count", {"event_collection": "c", "group_by": "g", "filters": filters})
            assert error.code == "InvalidFilterError"

    @pytest.mark.parametrize(
        "pattern",
        ["", "a|b", r"\d+\.\w*?", "(?i)abc", "(?P<n>a)", "[[]", r"\\1", r"[(?=]", "a{1000}", r"a\+\+"],
    )
    def test_patterns_without_an_engine_to_ask(self, pattern: str) -> None:
        assert count(filters=[{"property_name": "a", "operator": "regex", "property_value": pattern}]).filters

    @pytest.mark.parametrize(
        "pattern",
        [
            "(",
            "[a",
            "a**",
            "*",
            r"(a)\1",
            "a(?=b)",
            "a(?!b)",
            "(?<=a)b",
            "(?<!a)b",
            "(?>a)",
            "a++",
            "a{1001}",
            "(" * 1000,
            "\\",
            "(?P<a>.)(?P=a)",
            "(" * 400 + ")" * 400 + "(",
        ],
    )
    def test_patterns_that_re2_does_not_have(self, pattern: str) -> None:
        item = {"property_name": "a", "operator": "regex", "property_value": pattern}
        assert refusal("count", {"event_collection": "c", "filters": [item]}).code == "InvalidFilterError"

    def test_the_engine_can_be_asked_about_patterns(self) -> None:
        def no_vowels(pattern: str) -> str | None:
            return "a vowel" if "a" in pattern else None

        def filtered(pattern: str) -> ParsedQuery:
            params = {
                "event_collection": "c",
                "filters": [{"property_name": "p", "operator": "regex", "property_value": pattern}],
            }
            return parse("count", params, now_us=NOW, limits=LIMITS, check_regex=no_vowels)

        assert filtered("((")
        with pytest.raises(InvalidQuery, match="a vowel"):
            filtered("a")


class TestGrouping:
    @pytest.mark.parametrize(
        ("group_by", "groups"),
        [
            ("g.h", (Group("g.h"),)),
            (["g"], (Group("g"),)),
            ('["g","h"]', (Group("g"), Group("h"))),
            ('"g"', (Group("g"),)),
            ([], ()),
            ({"property_name": "g"}, (Group("g"),)),
            (["a", {"property_name": "g", "buckets": {"size": 10}}], (Group("a"), Group("g", size=10.0))),
            (
                {"property_name": "g", "ranges": [{"from": 0, "to": 18, "label": "minor"}, {"from": 18}]},
                (Group("g", ranges=(ValueRange(0.0, 18.0, "minor"), ValueRange(18.0, None, "18.."))),),
            ),
            (
                {
                    "property_name": "g",
                    "ranges": [{"from": 0.5, "to": 1e20}, {"to": -1.0}, {"from": -1, "to": 0}],
                },
                (
                    Group(
                        "g",
                        ranges=(
                            ValueRange(0.5, 1e20, "0.5..1e+20"),
                            ValueRange(None, -1.0, "..-1"),
                            ValueRange(-1, 0, "-1..0"),
                        ),
                    ),
                ),
            ),
        ],
    )
    def test_forms(self, group_by: Any, groups: tuple[Group, ...]) -> None:
        assert count(group_by=group_by).groups == groups

    @pytest.mark.parametrize(
        "group_by",
        [
            "",
            5,
            True,
            [""],
            [5],
            [None],
            [["a"]],
            {},
            ["a", "a"],
            ["a", {"property_name": "a", "buckets": {"size": 1}}],
            "result",
            {"property_name": "g", "buckets": 10},
            {"property_name": "g", "buckets": {}},
            {"property_name": "g", "buckets": {"size": 0}},
            {"property_name": "g", "buckets": {"size": -1}},
            {"property_name": "g", "buckets": {"size": "10"}},
            {"property_name": "g", "buckets": {"size": True}},
            {"property_name": "g", "buckets": {"size": 10**400}},
            {"property_name": "g", "buckets": {"size": 1}, "ranges": [{"from": 1}]},
            {"property_name": "g", "ranges": []},
            {"property_name": "g", "ranges": {}},
            {"property_name": "g", "ranges": [5]},
            {"property_name": "g", "ranges": [{"from": 2, "to": 1}]},
            {"property_name": "g", "ranges": [{"from": 1, "to": 1}]},
            {"property_name": "g", "ranges": [{"from": "1", "to": "2"}]},
            {"property_name": "g", "ranges": [{"from": True}]},
            {"property_name": "g", "ranges": [{"from": 10**400}]},
            {"property_name": "g", "ranges": [{"from": 1, "label": 5}]},
            {"property_name": "g", "ranges": [{"from": 1, "label": ""}]},
            {"property_name": "g", "ranges": [{"from": 0, "to": 10}, {"from": 9, "to": 20}]},
            {"property_name": "g", "ranges": [{"from": 5}, {"from": 9, "to": 20}]},
            {"property_name": "g", "ranges": [{"to": 5}, {"to": 3}]},
            {"property_name": "g", "ranges": [{}, {"to": 3}]},
            {"property_name": "g", "ranges": [{"to": 1, "label": "x"}, {"from": 1, "label": "x"}]},
        ],
    )
    def test_refusals(self, group_by: Any) -> None:
        assert refusal("count", {"event_collection": "c", "group_by": group_by}).code == "InvalidGroupByError"

    def test_sizes_have_limits(self) -> None:
        ranges = [{"from": n, "to": n + 1} for n in range(1001)]
        for group_by in ([str(n) for n in range(101)], {"property_name": "g", "ranges": ranges}):
            error = refusal("count", {"event_collection": "c", "group_by": group_by})
            assert isinstance(error, QueryLimitExceeded)

    @pytest.mark.parametrize(
        ("order_by", "order"),
        [
            ("result", (Order("result"),)),
            ("g", (Order("g"),)),
            ({"property_name": "result", "direction": "DESC"}, (Order("result", True),)),
            ({"property_name": "result", "direction": "desc"}, (Order("result", True),)),
            ({"property_name": "result", "direction": "ASC"}, (Order("result"),)),
            ({"property_name": "result"}, (Order("result"),)),
            ({"property_name": "result", "direction": None}, (Order("result"),)),
            (["g", {"property_name": "result", "direction": "DESC"}], (Order("g"), Order("result", True))),
            ('[{"property_name":"g","direction":"DESC"}]', (Order("g", True),)),
            ([], ()),
            (None, ()),
        ],
    )
    def test_orders(self, order_by: Any, order: tuple[Order, ...]) -> None:
        assert count(group_by="g", order_by=order_by).order == order

    def test_an_order_needs_groups_and_a_limit_needs_an_order(self) -> None:
        base = {"event_collection": "c"}
        assert refusal("count", {**base, "order_by": "result"}).code == "InvalidOrderByError"
        assert refusal("count", {**base, "group_by": "g", "limit": 5}).code == "InvalidLimitError"
        assert refusal("count", {**base, "limit": 5}).code == "InvalidLimitError"


class TestMultiAnalysis:
    def test_labels_become_metrics_in_order(self) -> None:
        query = multi(
            {
                "total": {"analysis_type": "sum", "target_property": "price"},
                "p 90": {"analysis_type": "percentile", "target_property": "price", "percentile": 90},
                "n": {"analysis_type": "count", "target_property": "ignored"},
            },
            group_by="g",
            order_by={"property_name": "total", "direction": "DESC"},
            limit=3,
        )
        assert query.multi
        assert query.metrics == (
            Metric(Analysis.SUM, "price", None, "total"),
            Metric(Analysis.PERCENTILE, "price", 90.0, "p 90"),
            Metric(Analysis.COUNT, None, None, "n"),
        )
        assert (query.order, query.limit) == ((Order("total", True),), 3)

    def test_analyses_as_json_text(self) -> None:
        analyses = {"n": {"analysis_type": "count"}}
        assert multi(json.dumps(analyses)) == multi(analyses)

    def test_a_property_named_result_can_group(self) -> None:
        assert multi({"n": {"analysis_type": "count"}}, group_by="result").groups == (Group("result"),)

    @pytest.mark.parametrize(
        ("analyses", "code"),
        [
            ({}, "InvalidParameterError"),
            ([], "InvalidParameterError"),
            (5, "InvalidParameterError"),
            ("x", "InvalidParameterError"),
            ({"n": 5}, "InvalidParameterError"),
            ({"n": None}, "InvalidParameterError"),
            ({"": {"analysis_type": "count"}}, "InvalidParameterError"),
            ({"result": {"analysis_type": "count"}}, "InvalidParameterError"),
            ({"g": {"analysis_type": "count"}}, "InvalidParameterError"),
            ({"n": {"analysis_type": "funnel"}}, "InvalidParameterError"),
            ({"n": {"analysis_type": "extraction"}}, "InvalidParameterError"),
            ({"n": {"analysis_type": "multi_analysis"}}, "InvalidParameterError"),
            ({"n": {"analysis_type": []}}, "InvalidParameterError"),
            ({"n": {"analysis_type": "count", "filters": [is_eq("a", 1)]}}, "InvalidParameterError"),
            ({"n": {"analysis_type": "sum"}}, "MissingRequiredRequestFieldError"),
            (
                {"n": {"analysis_type": "percentile", "target_property": "a"}},
                "MissingRequiredRequestFieldError",
            ),
            ({"n": {"analysis_type": "count", "timeframe": "this_day"}}, "MissingRequiredRequestFieldError"),
        ],
    )
    def test_refusals(self, analyses: Any, code: str) -> None:
        assert (
            refusal("multi_analysis", {"event_collection": "c", "group_by": "g", "analyses": analyses}).code
            == code
        )

    def test_result_is_no_order_there(self) -> None:
        params = {"event_collection": "c", "group_by": "g", "order_by": "result"}
        analyses = {"n": {"analysis_type": "count"}}
        assert refusal("multi_analysis", {**params, "analyses": analyses}).code == "InvalidOrderByError"

    def test_number_has_a_limit(self) -> None:
        analyses = {str(n): {"analysis_type": "count"} for n in range(101)}
        error = refusal("multi_analysis", {"event_collection": "c", "analyses": analyses})
        assert isinstance(error, QueryLimitExceeded)


class TestExtraction:
    def test_everything(self) -> None:
        query = extraction(
            timeframe="this_day",
            filters=[is_eq("a", 1)],
            latest=10,
            property_names=["a", "b.c", "a"],
            group_by=5,
        )
        assert query == ExtractionQuery("c", THIS_DAY, (Condition("a", Operator.EQ, 1),), 10, ("a", "b.c"))

    @pytest.mark.parametrize(
        ("names", "properties"),
        [("a", ("a",)), ('["a","b"]', ("a", "b")), ('"a"', ("a",)), ([], None), (None, None)],
    )
    def test_property_names(self, names: Any, properties: tuple[str, ...] | None) -> None:
        assert extraction(property_names=names).properties == properties

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("latest", 0),
            ("latest", -1),
            ("latest", 1.5),
            ("latest", "x"),
            ("latest", True),
            ("latest", []),
            ("latest", 100_001),
            ("property_names", 5),
            ("property_names", {}),
            ("property_names", [5]),
            ("property_names", [""]),
            ("property_names", ["a"] * 1001),
            ("email", "me@example.com"),
            ("email", ["me@example.com"]),
            ("email_address", "me@example.com"),
        ],
    )
    def test_refusals(self, name: str, value: Any) -> None:
        error = refusal("extraction", {"event_collection": "c", name: value})
        assert error.code in ("InvalidParameterError", "QueryLimitError")
        assert name in error.message


class TestFunnel:
    def test_the_echo_has_the_eight_keys(self) -> None:
        step = {
            "event_collection": "c",
            "actor_property": "user.id",
            "timeframe": "this_day",
            "colour": "red",
        }
        (found,) = funnel([step]).steps
        assert (found.collection, found.actor, found.span) == ("c", "user.id", THIS_DAY)
        assert found.echo == {
            "with_actors": False,
            "actor_property": "user.id",
            "filters": [],
            "timeframe": "this_day",
            "timezone": None,
            "event_collection": "c",
            "optional": False,
            "inverted": False,
        }

    def test_the_actor_is_echoed_as_it_was_sent(self) -> None:
        (step,) = funnel([{"event_collection": "c", "actor_property": ["u"]}]).steps
        assert (step.actor, step.echo["actor_property"]) == ("u", ["u"])

    def test_a_step_takes_from_the_whole_what_it_lacks(self) -> None:
        mine = [is_eq("mine", 1)]
        all_of_us = [is_eq("ours", 1)]
        own = {"timeframe": "previous_day", "timezone": "US/Pacific", "filters": mine}
        base = {"event_collection": "c", "actor_property": "u"}
        first, second, third = funnel(
            [{**base, **own}, base, {**base, "filters": []}],
            timeframe='"this_day"',
            timezone="UTC",
            filters=all_of_us,
        ).steps
        assert first.span == Span(us("2024-05-14T07:00Z"), us("2024-05-15T07:00Z"))
        assert first.filters == (Condition("mine", Operator.EQ, 1),)
        assert second.span == third.span == THIS_DAY
        assert second.filters == third.filters == (Condition("ours", Operator.EQ, 1),)
        assert second.echo["filters"] == all_of_us
        assert (second.echo["timeframe"], second.echo["timezone"]) == ("this_day", "UTC")

    def test_no_timeframe_anywhere_is_all_time(self) -> None:
        assert funnel([{"event_collection": "c", "actor_property": "u"}]).steps[0].span == Span()

    def test_flags(self) -> None:
        base = {"event_collection": "c", "actor_property": "u"}
        steps = funnel(
            [{**base, "with_actors": True}, {**base, "inverted": True}, {**base, "optional": "true"}]
        ).steps
        assert [(step.with_actors, step.inverted, step.optional) for step in steps] == [
            (True, False, False),
            (False, True, False),
            (False, False, True),
        ]

    def test_steps_as_json_text(self) -> None:
        steps = [{"event_collection": "c", "actor_property": "u"}]
        assert funnel(json.dumps(steps)) == funnel(steps)

    @pytest.mark.parametrize(
        "steps",
        [
            [],
            {},
            5,
            "x",
            [5],
            [None],
            [{"event_collection": "c", "actor_property": ["u", "v"]}],
            [{"event_collection": "c", "actor_property": [5]}],
            [{"event_collection": "c", "actor_property": {}}],
            [{"event_collection": 5, "actor_property": "u"}],
            [{"event_collection": "c", "actor_property": "u", "inverted": True}],
            [{"event_collection": "c", "actor_property": "u", "optional": True}],
            [{"event_collection": "c", "actor_property": "u", "with_actors": 1}],
            [{"event_collection": "c", "actor_property": "u", "with_actors": []}],
            [{"event_collection": "c", "actor_property": "u"}] * 21,
        ],
    )
    def test_refusals(self, steps: Any) -> None:
        assert refusal("funnel", {"steps": steps}).code in ("InvalidParameterError", "QueryLimitError")

    def test_a_step_with_a_bad_part_says_which(self) -> None:
        base = {"event_collection": "c", "actor_property": "u"}
        error = refusal("funnel", {"steps": [base, {**base, "filters": [5]}]})
        assert error.code == "InvalidFilterError"
        assert "steps[1].filters[0]" in error.message
        assert refusal("funnel", {"steps": [{**base, "timeframe": ""}]}).code == "TimeframeDefinitionError"


class TestQueryString:
    @pytest.mark.parametrize(
        ("text", "params"),
        [
            ("", {}),
            ("event_collection=a+b&latest=5", {"event_collection": "a b", "latest": "5"}),
            ("group_by=g", {"group_by": "g"}),
            ("group_by=%5B%22g%22%2C+%22h%22%5D", {"group_by": ["g", "h"]}),
            ("group_by=g&group_by=h", {"group_by": ["g", "h"]}),
            ("group_by[]=g&group_by[]=h", {"group_by": ["g", "h"]}),
            ("group_by=g&group_by=g", {"group_by": "g"}),
            ('property_names=["a"]', {"property_names": ["a"]}),
            ('timeframe="this_7_days"&timezone="UTC"', {"timeframe": "this_7_days", "timezone": "UTC"}),
            ("timeframe=this_day&timezone=-28800", {"timeframe": "this_day", "timezone": "-28800"}),
            ('timeframe={"start":"2014-10-01"}', {"timeframe": {"start": "2014-10-01"}}),
            (
                "timeframe[start]=2014-10-01&timeframe[end]=x",
                {"timeframe": {"start": "2014-10-01", "end": "x"}},
            ),
            ("timeframe[start]=a&timeframe=%7B%22start%22:%22a%22%7D", {"timeframe": {"start": "a"}}),
            ("filters=[]&steps=null", {"filters": [], "steps": None}),
            ("limit=5&limit=5", {"limit": "5"}),
            ("interval=&group_by=&filters=", {}),
            ("timeframe=", {"timeframe": ""}),
            ("_=1&_=2&api_key=k", {"_": "2", "api_key": "k"}),
            ('event_collection="c"', {"event_collection": '"c"'}),
        ],
    )
    def test_forms(self, text: str, params: dict[str, Any]) -> None:
        assert from_query_string(parse_qsl(text, keep_blank_values=True)) == params

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("filters=abc", "InvalidJSONError"),
            ("filters=[", "InvalidJSONError"),
            ("analyses={'a':1}", "InvalidJSONError"),
            ("group_by=[g]", "InvalidJSONError"),
            ("filters=[Infinity]", "InvalidJSONError"),
            ("timeframe=this_day&timeframe=this_week", "InvalidParameterError"),
            ("timeframe=this_day&timeframe[start]=2014-10-01", "InvalidParameterError"),
            ("timeframe[start]=a&timeframe[start]=b", "InvalidParameterError"),
            ("event_collection=a&event_collection=b", "InvalidParameterError"),
        ],
    )
    def test_refusals(self, text: str, code: str) -> None:
        with pytest.raises(InvalidQuery) as caught:
            from_query_string(parse_qsl(text, keep_blank_values=True))
        assert caught.value.code == code

    def test_doubles_have_the_recorded_message(self) -> None:
        with pytest.raises(InvalidQuery, match=r"^You have multiple values for timeframe specified\.$"):
            from_query_string([("timeframe", "this_day"), ("timeframe", "this_week")])

    @pytest.mark.parametrize("end", ["[" * 50_000, "[" * 50_000 + "]" * 50_000, '{"a":' * 50_000])
    def test_deep_json(self, end: str) -> None:
        with pytest.raises(InvalidQuery):
            from_query_string([("filters", end)])

    def test_a_get_asks_what_the_post_asks(self) -> None:
        body: dict[str, Any] = {
            "event_collection": "c",
            "timeframe": {"start": "2024-01-01", "end": "2024-02-01"},
            "interval": "weekly",
            "timezone": -28800,
            "filters": [is_eq("a", 1), {"operator": "or", "operands": [is_eq("b", None)]}],
            "group_by": ["g", {"property_name": "h", "buckets": {"size": 5}}],
            "order_by": [{"property_name": "result", "direction": "DESC"}],
            "limit": 3,
            "zero_fill": False,
            "include_metadata": True,
            "max_age": 60,
        }
        sent = {key: value if isinstance(value, str) else json.dumps(value) for key, value in body.items()}
        params = from_query_string(parse_qsl(urlencode(sent)))
        assert parse("count", params, now_us=NOW, limits=LIMITS) == parse(
            "count", body, now_us=NOW, limits=LIMITS
        )


NAMES = st.sampled_from(
    """event_collection target_property timeframe timezone filters group_by order_by limit zero_fill interval
    include_metadata max_age latest property_names percentile steps analyses email start end operator
    property_name property_value operands coordinates max_distance_miles buckets ranges size from to label
    actor_property inverted optional with_actors analysis_type direction""".split()  # noqa: SIM905
)
WORDS = st.sampled_from(
    [
        *"""eq ne lt in or exists contains within regex count sum percentile this_day this_9_years daily
        hourly every_2_days 2024-01-01 2025-01-01T00:00Z ASC desc result g c 5 1.5 true -3600 UTC
        Asia/Kathmandu [ { "a" []""".split(),  # noqa: SIM905
        GEO,
        "",
        "\ud800",
        "\x00",
        "9" * 5000,
    ]
)
LEAVES = st.one_of(
    WORDS,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([10**400, -(10**4000), 2**63, 1e308]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
CONDITIONS = st.fixed_dictionaries(
    {"operator": st.sampled_from([*Operator, "or"]), "property_name": st.sampled_from(["a", GEO])},
    optional={"property_value": VALUES, "operands": VALUES},
)
PARAMS = st.fixed_dictionaries(
    {"event_collection": st.one_of(st.just("c"), VALUES)},
    optional={
        "target_property": st.one_of(st.just("a"), VALUES),
        "timeframe": st.one_of(WORDS, VALUES),
        "timezone": st.one_of(WORDS, VALUES),
        "interval": st.one_of(WORDS, VALUES),
        "filters": st.one_of(st.lists(CONDITIONS, max_size=3), VALUES),
        "group_by": st.one_of(st.just("g"), VALUES),
        "order_by": st.one_of(st.just("g"), VALUES),
        "limit": VALUES,
        "latest": VALUES,
        "percentile": VALUES,
        "property_names": VALUES,
        "steps": st.one_of(st.lists(VALUES, max_size=3), VALUES),
        "analyses": VALUES,
        "max_age": VALUES,
    },
)


class TestAnything:
    """No input raises anything but an error of the query."""

    @settings(max_examples=examples(300), deadline=None)
    @given(st.sampled_from(sorted(ANALYSES)), PARAMS)
    def test_parse(self, analysis: str, params: dict[str, Any]) -> None:
        try:
            parse(analysis, params, now_us=NOW, limits=LIMITS)
        except QueryError as error:
            assert error.code != "InternalServerError"
            error.message.encode()

    @settings(max_examples=examples(200), deadline=None)
    @given(
        st.lists(
            st.tuples(st.one_of(NAMES, st.text(max_size=4)), st.one_of(WORDS, VALUES.map(repr))), max_size=6
        )
    )
    def test_query_strings(self, pairs: list[tuple[str, str]]) -> None:
        try:
            parse("count", from_query_string(pairs), now_us=NOW, limits=LIMITS)
        except QueryError as error:
            error.message.encode()
