"""The official Python SDK (`keen` 0.7.0), unmodified, with only its base URL changed."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import requests
from keen import direction, scoped_keys
from keen.client import KeenClient
from keen.exceptions import KeenApiError

from service.exports.jobs import PROCESSING_NO_MAIL
from tests.sdk import scenario
from tests.sdk.conftest import Acumen


def client_of(acumen: Acumen, **keys: Any) -> Any:
    """A client with the project's own keys, or with those given instead."""
    chosen = {
        "write_key": acumen.write_key,
        "read_key": acumen.read_key,
        "master_key": acumen.master_key,
        **keys,
    }
    return KeenClient(acumen.project_id, base_url=acumen.url, **chosen)


@pytest.fixture(scope="module")
def shop(acumen: Acumen) -> Any:
    """A client of a project that holds the scenario, recorded by the client itself."""
    client = client_of(acumen)
    answer = client.add_events({"purchases": scenario.PURCHASES, "visits": scenario.VISITS})
    assert answer == {
        "purchases": [{"success": True}] * len(scenario.PURCHASES),
        "visits": [{"success": True}] * len(scenario.VISITS),
    }
    return client


@pytest.mark.parametrize(("analysis", "parameters", "expected"), scenario.SCALARS)
def test_analyses(shop: Any, analysis: str, parameters: dict[str, Any], expected: Any) -> None:
    """Every analysis method of the client answers over an absolute timeframe."""
    ask = getattr(shop, analysis)
    assert ask("purchases", timeframe=scenario.TIMEFRAME, **parameters) == expected


@pytest.mark.parametrize(("condition", "expected"), scenario.FILTERS)
def test_filters(shop: Any, condition: dict[str, Any], expected: int) -> None:
    """Filters travel as JSON in the query string."""
    assert shop.count("purchases", timeframe=scenario.TIMEFRAME, filters=[condition]) == expected


def test_several_filters_all_hold(shop: Any) -> None:
    conditions = [scenario.FILTERS[0][0], scenario.FILTERS[4][0]]
    assert shop.count("purchases", timeframe=scenario.TIMEFRAME, filters=conditions) == 2


def test_without_a_timeframe_all_time_is_asked(shop: Any) -> None:
    assert shop.count("purchases") == 5


def test_relative_timeframe_with_a_timezone_in_seconds(shop: Any) -> None:
    """The scenario is in the past of any run, and long before this minute."""
    assert shop.count("purchases", timeframe="this_1_minute", timezone=-28_800) == 0


def test_group_by_one_property(shop: Any) -> None:
    answer = shop.count("purchases", timeframe=scenario.TIMEFRAME, group_by="country")
    assert answer == scenario.BY_COUNTRY


def test_group_by_two_properties(shop: Any) -> None:
    answer = shop.count("purchases", timeframe=scenario.TIMEFRAME, group_by=["country", "user.id"])
    assert answer == [
        {"country": "DE", "user.id": "bob", "result": 1},
        {"country": "PL", "user.id": "ann", "result": 2},
        {"country": "PL", "user.id": "cid", "result": 1},
        {"country": None, "user.id": "dora", "result": 1},
    ]


def test_order_by_and_limit(shop: Any) -> None:
    answer = shop.sum(
        "purchases",
        target_property="price",
        timeframe=scenario.TIMEFRAME,
        group_by="country",
        order_by={"property_name": "result", "direction": direction.DESCENDING},
        limit=2,
    )
    assert answer == scenario.BY_COUNTRY_MOST_FIRST


def test_interval(shop: Any) -> None:
    answer = shop.count("purchases", timeframe=scenario.TIMEFRAME, interval="daily")
    assert answer == scenario.DAILY_COUNTS


def test_interval_with_group_by(shop: Any) -> None:
    answer = shop.sum(
        "purchases",
        target_property="price",
        timeframe=scenario.TIMEFRAME,
        interval="daily",
        group_by="country",
    )
    assert answer == scenario.DAILY_SUMS_BY_COUNTRY


def test_multi_analysis(shop: Any) -> None:
    answer = shop.multi_analysis("purchases", scenario.ANALYSES, timeframe=scenario.TIMEFRAME)
    assert answer == scenario.MULTI


def test_multi_analysis_by_group_and_interval(shop: Any) -> None:
    analyses = {"orders": {"analysis_type": "count"}}
    answer = shop.multi_analysis(
        "purchases", analyses, timeframe=scenario.TIMEFRAME, interval="daily", group_by="country"
    )
    assert [bucket["timeframe"] for bucket in answer] == scenario.days()
    assert answer[1]["value"] == [
        {"country": "DE", "orders": 0},
        {"country": "PL", "orders": 1},
        {"country": None, "orders": 0},
    ]


def test_funnel(shop: Any) -> None:
    """Without `all_keys` the client hands back the counts alone."""
    assert shop.funnel(scenario.STEPS, timeframe=scenario.TIMEFRAME) == scenario.FUNNEL


def test_funnel_with_actors_and_steps(shop: Any) -> None:
    answer = shop.funnel(scenario.STEPS, timeframe=scenario.TIMEFRAME, all_keys=True)
    assert answer["result"] == scenario.FUNNEL
    assert sorted(answer["actors"][1]) == scenario.SECOND_STEP_ACTORS
    assert (answer["actors"][0], answer["actors"][2]) == (None, None)
    assert [step["event_collection"] for step in answer["steps"]] == ["visits", "purchases", "purchases"]


def test_extraction_gives_the_events_that_were_sent(shop: Any) -> None:
    rows = shop.extraction("purchases", timeframe=scenario.TIMEFRAME)
    assert all(set(row["keen"]) == {"timestamp", "created_at", "id"} for row in rows)
    bare = [{**row, "keen": {"timestamp": row["keen"]["timestamp"]}} for row in rows]
    assert sorted(bare, key=lambda row: str(row["keen"]["timestamp"])) == scenario.PURCHASES


def test_an_extraction_by_email_is_begun(shop: Any) -> None:
    """What the client gives back is the text of the answer; the shared server sends no mail."""
    told = shop.extraction("purchases", timeframe=scenario.TIMEFRAME, email="ann@example.com")
    assert told == PROCESSING_NO_MAIL


def test_extraction_of_the_latest_few_properties(shop: Any) -> None:
    rows = shop.extraction("purchases", latest=2, property_names=["user.id", "price"])
    assert rows == [{"user": {"id": "cid"}, "price": 40}, {"user": {"id": "dora"}}]


def test_max_age_is_accepted(shop: Any) -> None:
    assert shop.count("purchases", timeframe=scenario.TIMEFRAME, max_age=300) == 5


def test_schema_of_one_collection(shop: Any) -> None:
    assert shop.get_collection("purchases")["properties"] == scenario.SCHEMA


def test_schema_of_all_collections(shop: Any, acumen: Acumen) -> None:
    by_name = {row["name"]: row for row in shop.get_all_collections()}
    assert by_name["purchases"]["properties"] == scenario.SCHEMA
    assert by_name["purchases"]["url"] == f"/3.0/projects/{acumen.project_id}/events/purchases"


def test_deleting_events(shop: Any) -> None:
    """By filter, by timeframe, and all there are; then the collection is not known any more."""
    events = [{"n": n, "keen": {"timestamp": f"2024-05-0{n}T00:00:00Z"}} for n in range(1, 7)]
    shop.add_events({"passing": events})
    filters = [{"property_name": "n", "operator": "lt", "property_value": 3}]
    assert shop.delete_events("passing", filters=filters) is True
    assert sorted(shop.select_unique("passing", target_property="n")) == [3, 4, 5, 6]
    timeframe = {"start": "2024-05-04T00:00:00Z", "end": "2024-05-06T00:00:00Z"}
    assert shop.delete_events("passing", timeframe=timeframe) is True
    assert sorted(shop.select_unique("passing", target_property="n")) == [3, 6]
    assert shop.delete_events("passing") is True
    with pytest.raises(KeenApiError) as caught:
        shop.get_collection("passing")
    assert caught.value.api_error["error_code"] == "ResourceNotFoundError"
    shop.add_event("passing", {"n": 7})
    assert shop.count("passing") == 1
    shop.delete_events("passing")


def test_add_event_with_a_naive_timestamp_means_utc(shop: Any) -> None:
    """The client sends `datetime.isoformat()`, which for a naive time has no zone."""
    shop.add_event("naive times", {"n": 1}, timestamp=dt.datetime(2026, 2, 3, 4, 5, 6, 123456))
    shop.add_event("naive times", {"n": 2, "keen": {"location": {"coordinates": [21.0, 52.2]}}})
    first = {"start": "2026-02-03T04:05:06Z", "end": "2026-02-03T04:05:07Z"}
    rows = shop.extraction("naive times", timeframe=first)
    assert [row["n"] for row in rows] == [1]
    assert rows[0]["keen"]["timestamp"].startswith("2026-02-03T04:05:06.123")
    assert shop.count("naive times") == 2


def test_a_slash_in_a_collection_name(shop: Any) -> None:
    """This client leaves the slash as it is in the path."""
    shop.add_event("web/signups", {"n": 1})
    assert shop.count("web/signups") == 1


def test_image_beacon(shop: Any, acumen: Acumen) -> None:
    """The URL that the client makes records its event when a browser loads it as an image."""
    # On Python 3 this method takes the key as bytes only.
    beacons = client_of(acumen, write_key=acumen.write_key.encode())
    url = beacons.generate_image_beacon("beacons", {"name": "Zoë ≥ ?~", "n": 7})
    picture = requests.get(url, timeout=30)
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/gif")
    assert [row["name"] for row in shop.extraction("beacons")] == ["Zoë ≥ ?~"]


def test_a_refused_event_of_a_batch_names_its_fault(shop: Any) -> None:
    answer = shop.add_events({"verdicts": [{"good": 1}, {"$bad": 1}, {"a.b": 1}]})
    assert [verdict["success"] for verdict in answer["verdicts"]] == [True, False, False]
    faults = {verdict["error"]["name"] for verdict in answer["verdicts"][1:]}
    assert faults == {"InvalidPropertyNameError"}
    assert shop.count("verdicts") == 1


def test_a_refused_event_raises(shop: Any) -> None:
    with pytest.raises(KeenApiError) as refused:
        shop.add_event("verdicts", {"$bad": 1})
    assert refused.value.api_error["error_code"] == "InvalidPropertyNameError"


@pytest.mark.parametrize("method", ["count", "add_event"])
def test_a_wrong_key_raises(acumen: Acumen, method: str) -> None:
    stranger = client_of(acumen, write_key="0" * 64, read_key="0" * 64)
    arguments = ("purchases",) if method == "count" else ("purchases", {"n": 1})
    with pytest.raises(KeenApiError) as refused:
        getattr(stranger, method)(*arguments)
    assert refused.value.api_error["error_code"] == "InvalidApiKeyError"


def test_the_write_key_may_not_ask(acumen: Acumen) -> None:
    with pytest.raises(KeenApiError):
        client_of(acumen, read_key=acumen.write_key).count("purchases")


def test_a_bad_timeframe_raises_its_code(shop: Any) -> None:
    with pytest.raises(KeenApiError) as refused:
        shop.count("purchases", timeframe="last_tuesday")
    assert refused.value.api_error["error_code"] == "TimeframeDefinitionError"


def test_saved_queries(shop: Any) -> None:
    """Every operation of the client's interface; its update sends back what it got, less what is empty."""
    saved = shop.saved_queries
    query = {
        "analysis_type": "sum",
        "event_collection": "purchases",
        "target_property": "price",
        "timeframe": scenario.TIMEFRAME,
    }
    attributes = {"query": query, "refresh_rate": 0, "metadata": {"display_name": "Prices"}}
    made = saved.create("prices", attributes)
    assert made["query"] == {**made["query"], **query}
    assert saved.get("prices") == made
    assert [one["query_name"] for one in saved.all()] == ["prices"]
    assert saved.results("prices") == {**made, "result": 100}

    updated = saved.update("prices", {"query": {"group_by": ["country"]}, "refresh_rate": 14_400})
    assert updated["metadata"] == {"display_name": "Prices"}
    assert (updated["query"]["group_by"], updated["refresh_rate"]) == (["country"], 14_400)
    cached = saved.results("prices")
    assert cached["result"][1] == {"country": "PL", "result": 80}
    assert cached["run_information"]["stale"] is False

    assert saved.update("prices", {"query_name": "by_country"})["query_name"] == "by_country"
    assert saved.results("by_country")["result"] == cached["result"]
    bare = saved.update_full("by_country", {"query": query})
    assert (bare["metadata"], bare["refresh_rate"], bare["query"]["group_by"]) == (None, 0, None)

    saved.create("funnel", {"query": {"analysis_type": "funnel", "steps": scenario.STEPS}})
    assert saved.results("funnel")["result"]["result"] == scenario.FUNNEL
    for name in ("by_country", "funnel"):
        saved.delete(name)
    assert saved.all() == []


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda saved: saved.get("none"), "ResourceNotFoundError"),
        (lambda saved: saved.results("none"), "ResourceNotFoundError"),
        (lambda saved: saved.delete("none"), "ResourceNotFoundError"),
        (lambda saved: saved.create("n", {"query": {}}), "MissingRequiredRequestFieldError"),
        (lambda saved: saved.create("n", "{"), "InvalidJSONError"),
    ],
)
def test_saved_queries_that_are_refused(shop: Any, ask: Any, code: str) -> None:
    with pytest.raises(KeenApiError) as caught:
        ask(shop.saved_queries)
    assert caught.value.api_error["error_code"] == code


def test_cached_datasets(shop: Any) -> None:
    """Every operation of the client on datasets; its values of an index are text or lists and objects."""
    datasets = shop.cached_datasets
    query = {
        "analysis_type": "count",
        "event_collection": "purchases",
        "timeframe": scenario.TIMEFRAME,
        "interval": "daily",
        "group_by": "country",
    }
    made = datasets.create("by-user", query, "user.id", "Purchases by user")
    assert (made["dataset_name"], made["index_by"]) == ("by-user", ["user.id"])
    assert made["query"]["group_by"] == ["country"]
    assert datasets.get("by-user")["query"] == made["query"]
    listed = datasets.all()
    assert [row["dataset_name"] for row in listed["datasets"]] == ["by-user"]
    assert (listed["count"], listed["next_page_url"]) == (1, None)
    part = {"start": "2026-01-01", "end": "2026-01-03"}
    for index_by in ("ann", ["ann"], {"user.id": "ann"}):
        answer = datasets.results("by-user", index_by, part)
        assert [row["value"] for row in answer["result"]] == [[{"country": "PL", "result": 1}]] * 2
        assert answer["metadata"]["request"] == {"index_by": index_by, "timeframe": part}
        assert answer["metadata"]["dataset"]["dataset_name"] == "by-user"
    assert datasets.delete("by-user") is True
    with pytest.raises(KeenApiError) as caught:
        datasets.get("by-user")
    assert caught.value.api_error["error_code"] == "ResourceNotFoundError"


def test_access_keys(acumen: Acumen, shop: Any) -> None:
    """Every operation of the client on keys; what each answers is what the next one builds on."""
    options = {"queries": {"filters": [scenario.FILTERS[0][0]]}}
    made = shop.create_access_key("Bob", permitted=["queries"], options=options)
    key = made["key"]
    assert made["options"]["queries"] == options["queries"]
    assert shop.get_access_key(key) == made
    assert made in shop.list_access_keys()
    assert shop.update_access_key_name(key, "Bobby")["name"] == "Bobby"
    assert set(shop.add_access_key_permissions(key, ["schema"])["permitted"]) == {"queries", "schema"}
    assert shop.remove_access_key_permissions(key, ["schema"])["permitted"] == ["queries"]
    assert shop.update_access_key_permissions(key, ["queries"])["permitted"] == ["queries"]
    holder = client_of(acumen, read_key=key)
    assert holder.count("purchases") == scenario.FILTERS[0][1]
    assert shop.update_access_key_options(key, {})["options"]["queries"] is None
    full = shop.update_access_key_full(key, "B", True, ["writes"], {"writes": {"autofill": {"a": 1}}})
    assert (full["name"], full["permitted"]) == ("B", ["writes"])
    assert shop.revoke_access_key(key)["is_active"] is False
    assert shop.unrevoke_access_key(key)["is_active"] is True
    shop.delete_access_key(key)
    with pytest.raises(KeenApiError):
        shop.get_access_key(key)


def test_scoped_keys(acumen: Acumen, shop: Any) -> None:
    options = {"allowed_operations": ["read"], "filters": [scenario.FILTERS[0][0]]}
    key = scoped_keys.encrypt(acumen.master_key, options)
    text = key.decode() if isinstance(key, bytes) else key
    assert client_of(acumen, read_key=text).count("purchases") == scenario.FILTERS[0][1]
