"""``explain``: what was run for an answer, for keys to which it tells nothing that they may not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.service.whole import Whole

PRO = [{"property_name": "plan", "operator": "eq", "property_value": "pro"}]
LAST_YEAR = {"start": "2025-01-01", "end": "2026-01-01"}


def event(stamp: str, **properties: Any) -> dict[str, Any]:
    return {**properties, "keen": {"timestamp": stamp}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Two events of 2020 and three of 2025, each in a file, and one of 2025 in none."""
    made = Whole(tmp_path_factory.mktemp("explain") / "data")
    made.record(made.project, "purchases", [event("2020-05-01", price=1, plan="pro")] * 2)
    made.flush()
    made.record(made.project, "purchases", [event("2025-05-01", price=10, plan="pro", user="ann")] * 3)
    made.flush()
    made.record(made.project, "purchases", [event("2025-06-01", price=5, plan="free", user="bob")])
    yield made
    made.close()


def asked(whole: Whole, analysis: str, key: str | None = None, **params: Any) -> Any:
    params = {"event_collection": "purchases", **params, "explain": True}
    return whole.told(whole.project, "POST", f"queries/{analysis}", params, key=key)


def test_the_result_is_as_always_and_explain_stands_beside_it(whole: Whole) -> None:
    answer = asked(whole, "sum", target_property="price", timeframe=LAST_YEAR)
    assert answer["result"] == 35
    assert list(answer) == ["result", "explain"]


def test_it_tells_what_is_read_and_what_is_skipped(whole: Whole) -> None:
    explain = asked(whole, "sum", target_property="price", timeframe=LAST_YEAR)["explain"]
    assert explain["sources"] == [
        {
            "collection": "purchases",
            "files": 2,
            "files_skipped": 1,
            "events_in_files": 5,
            "events_skipped": 2,
            "events_in_no_file": 1,
        }
    ]
    assert explain["events_counted_by_catalog"] == 0


def test_it_shows_the_statement_with_its_values_apart(whole: Whole) -> None:
    filters = [{"property_name": "plan", "operator": "eq", "property_value": "free"}]
    (statement,) = asked(whole, "count", filters=filters, timeframe=LAST_YEAR)["explain"]["statements"]
    assert statement.keys() == {"sql", "parameters"}
    assert statement["sql"].startswith("-- the results\nSELECT count(*)\n-- the events of the timeframe\n")
    assert statement["sql"].count("?") == len(statement["parameters"]) == 2
    assert "free" not in statement["sql"]
    assert statement["parameters"][1] == "free"


def test_files_are_named_as_below_the_data_folder(whole: Whole) -> None:
    (statement,) = asked(whole, "sum", target_property="price", timeframe=LAST_YEAR)["explain"]["statements"]
    ((name,),) = statement["parameters"]
    assert name.startswith(f"events/{whole.project.id}/purchases.")
    assert str(whole.folder.root) not in str(statement)


def test_what_the_catalog_counts_is_not_read(whole: Whole) -> None:
    answer = asked(whole, "count")
    assert answer["result"] == 6
    assert answer["explain"]["events_counted_by_catalog"] == 6
    assert answer["explain"]["statements"] == []


def test_each_step_of_a_funnel_has_its_source(whole: Whole) -> None:
    steps = [
        {"event_collection": "purchases", "actor_property": "user", "timeframe": LAST_YEAR},
        {"event_collection": "nothing", "actor_property": "user"},
    ]
    answer = whole.told(whole.project, "POST", "queries/funnel", {"steps": steps, "explain": True})
    assert answer["result"] == [2, 0]
    sources = answer["explain"]["sources"]
    assert [(one["collection"], one["files"], one["files_skipped"]) for one in sources] == [
        ("purchases", 2, 1),
        ("nothing", 0, 0),
    ]
    assert len(answer["explain"]["statements"]) == 1


def test_of_an_extraction_it_shows_what_was_run(whole: Whole) -> None:
    answer = asked(whole, "extraction", latest=1, property_names=["price"])
    assert answer["result"] == [{"price": 5}]
    assert "-- the newest events" in answer["explain"]["statements"][-1]["sql"]


def test_it_stands_in_a_query_string_too(whole: Whole) -> None:
    path = "queries/count?event_collection=purchases&explain=true"
    assert whole.told(whole.project, "GET", path).keys() == {"result", "explain"}


@pytest.mark.parametrize("value", [False, None, "false", "0", ""])
def test_without_it_there_is_none(whole: Whole, value: Any) -> None:
    params = {"event_collection": "purchases", "explain": value}
    assert whole.told(whole.project, "POST", "queries/count", params) == {"result": 6}


# Who may


def key_with(whole: Whole, *permitted: str, **options: Any) -> str:
    body = {"name": "k", "permitted": list(permitted), "options": options}
    return str(whole.told(whole.project, "POST", "keys", body)["key"])


@pytest.mark.parametrize("key", ["read_key", "master_key"])
def test_the_read_and_the_master_key_may_see_it(whole: Whole, key: str) -> None:
    assert "explain" in asked(whole, "count", key=getattr(whole.project, key))


def test_an_access_key_that_may_read_the_schema_may_see_it(whole: Whole) -> None:
    assert "explain" in asked(whole, "count", key=key_with(whole, "queries", "schema"))


@pytest.mark.parametrize(
    ("permitted", "options", "why"),
    [
        (("queries",), {}, "lacks the permission 'schema'"),
        (("queries", "schema"), {"queries": {"filters": PRO}}, "a key with filters cannot use it"),
        (("queries", "schema"), {"saved_queries": {"filters": PRO}}, "a key with filters cannot use it"),
    ],
)
def test_other_keys_may_not_and_are_told_why(
    whole: Whole, permitted: tuple[str, ...], options: dict[str, Any], why: str
) -> None:
    key = key_with(whole, *permitted, **options)
    params = {"event_collection": "purchases"}
    refused = whole.call(whole.project, "POST", "queries/count", {**params, "explain": True}, key=key)
    assert (refused.status_code, refused.json()["error_code"]) == (403, "ForbiddenError")
    assert why in refused.json()["message"]
    assert whole.call(whole.project, "POST", "queries/count", params, key=key).status_code == 200


def test_no_kept_answer_tells_it_to_a_key_that_may_not(whole: Whole) -> None:
    params = {"event_collection": "purchases", "explain": True, "max_age": 3600}
    assert "explain" in whole.told(whole.project, "POST", "queries/count", params)
    key = key_with(whole, "queries")
    assert whole.call(whole.project, "POST", "queries/count", params, key=key).status_code == 403


# What is kept


def test_a_saved_query_knows_nothing_of_it(whole: Whole) -> None:
    query = {"analysis_type": "count", "event_collection": "purchases", "explain": True}
    made = whole.told(whole.project, "PUT", "queries/saved/explained", {"query": query})
    assert "explain" not in made["query"]
    told = whole.told(whole.project, "GET", "queries/saved/explained/result")
    assert told["result"] == 6
    assert "explain" not in told
    asked_for = whole.call(whole.project, "GET", "queries/saved/explained/result?explain=true")
    assert (asked_for.status_code, asked_for.json()["error_code"]) == (400, "InvalidParameterError")


# Bounds


def test_long_values_are_cut_and_counted(whole: Whole) -> None:
    long = [f"plan {number}" for number in range(3_000)]
    filters = [
        {"property_name": "plan", "operator": "in", "property_value": long},
        {"property_name": "user", "operator": "eq", "property_value": "x" * 5_000},
    ]
    (statement,) = asked(whole, "count", filters=filters)["explain"]["statements"]
    (found,) = (one for one in statement["parameters"] if isinstance(one, dict))
    assert found == {"first": long[:100], "items_left_out": 2_900}
    (text,) = (one for one in statement["parameters"] if isinstance(one, str))
    assert text == "x" * 1_000 + "…"


def test_however_long_the_question_the_explanation_is_short(whole: Whole) -> None:
    operands = [
        {"property_name": "plan", "operator": "contains", "property_value": f"{number} " + "y" * 900}
        for number in range(990)
    ]
    filters = [{"operator": "or", "operands": operands}]
    (statement,) = asked(whole, "count", filters=filters)["explain"]["statements"]
    assert statement["parameters_left_out"] > 0
    assert len(str(statement)) < 250_000


def test_integers_of_any_length_are_shown(whole: Whole) -> None:
    filters = [{"property_name": "price", "operator": "in", "property_value": [1, 2**80 + 1]}]
    assert asked(whole, "count", filters=filters, group_by="plan")["result"]
