"""What a preview shows is what the key sees once it is made, for keys and questions of all kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from service.auth.access_keys import PERMITTED
from service.http.routes.administration.key_previews import NEWEST
from tests.service.whole import Whole
from tests.support.scale import examples

REGIONS = ["eu", "us", None]
UNSHRUNK = [phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Three collections, some of whose properties only some regions have; saved queries and a dataset."""
    whole = Whole(Path(tmp_path_factory.mktemp("preview")) / "data")
    now = datetime.now(UTC)
    for collection in ("orders", "visits", "secrets"):
        whole.record(
            whole.project,
            collection,
            [
                {
                    "n": at,
                    **({"region": region} if region else {}),
                    f"only_{region}": {"x": at},
                    # Of events of one time any may be among the newest.
                    "keen": {"timestamp": (now - timedelta(minutes=10 * at + number)).isoformat()},
                }
                for at in range(4)
                for number, region in enumerate(REGIONS if collection != "secrets" else ["us"])
            ],
        )
    whole.flush()
    whole.record(whole.project, "orders", [{"n": 99, "region": "eu", "fresh": True}])
    count = {"analysis_type": "count", "event_collection": "orders"}
    for name, rate in (("plain", 0), ("kept", 14_400)):
        body = {"query": {**count, "timeframe": "this_7_days"}, "refresh_rate": rate}
        whole.told(whole.project, "PUT", f"queries/saved/{name}", body)
    definition = {
        "display_name": "D",
        "query": {
            **count,
            "timeframe": "this_7_days",
            "interval": "daily",
            "analysis_type": "count",
        },
        "index_by": ["region"],
    }
    whole.told(whole.project, "PUT", "datasets/by-region", definition)
    yield whole
    whole.close()


def named(*names: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), unique=True, max_size=2)


FILTER = st.one_of(
    st.builds(
        lambda operator, value: {
            "property_name": "region",
            "operator": operator,
            "property_value": value,
        },
        st.sampled_from(["eq", "ne"]),
        st.sampled_from(["eu", "us", "nowhere"]),
    ),
    st.builds(
        lambda operator, value: {"property_name": "n", "operator": operator, "property_value": value},
        st.sampled_from(["lt", "gte"]),
        st.integers(0, 5),
    ),
    st.sampled_from(["only_eu.x", "region", "absent"]).map(
        lambda name: {"property_name": name, "operator": "exists", "property_value": True}
    ),
)
FILTERS = st.lists(FILTER, max_size=2)
SAVED = ("plain", "kept", "none")


@st.composite
def rights(draw: st.DrawFn) -> dict[str, Any]:
    """What a key may be made with, its options left out here and there."""
    optional = {
        "queries": st.fixed_dictionaries({}, optional={"filters": FILTERS, "extraction": st.booleans()}),
        "saved_queries": st.fixed_dictionaries(
            {}, optional={"filters": FILTERS, "allowed": named(*SAVED), "blocked": named(*SAVED)}
        ),
        "cached_queries": st.fixed_dictionaries(
            {}, optional={"allowed": named(*SAVED), "blocked": named(*SAVED)}
        ),
        "datasets": st.fixed_dictionaries(
            {},
            optional={
                "operations": st.lists(st.sampled_from(["read", "list", "retrieve"]), unique=True),
                "blocked": named("by-region", "none"),
            },
        ),
        "writes": st.just({"autofill": {"region": "eu"}}),
        "quotas": st.just({"events_per_day": 1}),
    }
    permitted = draw(st.lists(st.sampled_from(PERMITTED), unique=True))
    return {"permitted": permitted, "options": draw(st.fixed_dictionaries({}, optional=optional))}


QUESTIONS = st.one_of(
    st.builds(
        lambda analysis, collection, filters: {
            "analysis_type": analysis,
            "event_collection": collection,
            "filters": filters,
            **({} if analysis in ("count", "extraction") else {"target_property": "n"}),
        },
        st.sampled_from(["count", "sum", "extraction", "select_unique"]),
        st.sampled_from(["orders", "visits", "secrets", "nothing"]),
        FILTERS,
    ),
    st.just({"analysis_type": "count", "event_collection": "orders", "explain": True}),
    st.just({"analysis_type": "count", "event_collection": "orders", "group_by": "region"}),
    st.just({"analysis_type": "sum", "event_collection": "orders"}),
)
MUCH = settings(
    max_examples=examples(40),
    deadline=None,
    phases=UNSHRUNK,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def key_with(whole: Whole, given: dict[str, Any]) -> str:
    return str(whole.told(whole.project, "POST", "keys", {"name": "k", **given})["key"])


def result_or_none(reply: Any) -> Any:
    """The result; None where the key may not ask that."""
    if reply.status_code == 403:
        return None
    assert reply.status_code == 200, reply.text
    return reply.json()["result"]


@MUCH
@given(given_rights=rights())
def test_a_preview_shows_what_the_key_then_sees(shop: Whole, given_rights: dict[str, Any]) -> None:
    project = shop.project
    shown = shop.told(project, "POST", "key-preview", given_rights)
    key = key_with(shop, given_rights)
    listing = shop.call(project, "GET", "events", key=key)
    listed = {one["name"]: one["properties"] for one in listing.json()} if listing.status_code == 200 else {}
    assert [one["name"] for one in shown["collections"]] == ["orders", "secrets", "visits"]
    assert shown["next"] is None
    for one in shown["collections"]:
        asked = {"event_collection": one["name"]}
        events = result_or_none(shop.call(project, "POST", "queries/count", asked, key=key))
        newest = shop.call(project, "POST", "queries/extraction", {**asked, "latest": NEWEST}, key=key)
        seen = one["name"] in listed
        assert one == {
            "name": one["name"],
            "visible": seen or bool(events),
            "properties": listed.get(one["name"]),
            "events": events,
            "newest": None if events is None else result_or_none(newest),
        }
    results = {
        name: shop.call(project, "GET", f"queries/saved/{name}/result", key=key).status_code
        for name in ("plain", "kept")
    }
    assert set(results.values()) <= {200, 403}
    assert shown["readable"]["saved_queries"] == sorted(name for name, got in results.items() if got == 200)
    of_dataset = shop.call(
        project,
        "GET",
        "datasets/by-region/results",
        key=key,
        index_by={"region": "eu"},
        timeframe="this_2_days",
    )
    assert shown["readable"]["datasets"] == (["by-region"] if of_dataset.status_code == 200 else [])


@MUCH
@given(given_rights=rights(), question=QUESTIONS)
def test_a_question_is_answered_as_the_key_is(
    shop: Whole, given_rights: dict[str, Any], question: dict[str, Any]
) -> None:
    project = shop.project
    previewed = shop.call(project, "POST", "key-preview/answer", {**given_rights, "question": question})
    params = {name: value for name, value in question.items() if name != "analysis_type"}
    key = key_with(shop, given_rights)
    asked = shop.call(project, "POST", f"queries/{question['analysis_type']}", params, key=key)
    assert (previewed.status_code, without_times(previewed.json())) == (
        asked.status_code,
        without_times(asked.json()),
    )


def without_times(body: Any) -> Any:
    """An explanation tells how long its parts took."""
    return {name: value for name, value in body.items() if name != "explain"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"permitted": ["all"]}, "'permitted' must be a list of any of"),
        (
            {"permitted": ["queries"], "options": {"queries": {"filter": []}}},
            "'options.queries.filter' is unknown",
        ),
        ({"permitted": ["queries"], "options": {"queries": {"filters": [{}]}}}, "options.queries.filters"),
        ({"permitted": ["queries"], "question": 5}, "'question' must be an object"),
        (
            {"permitted": ["queries"], "question": {"analysis_type": "cuont"}},
            "'question.analysis_type' must name an analysis. Did you mean 'count'?",
        ),
        (
            {
                "permitted": ["queries"],
                "question": {"analysis_type": "extraction", "event_collection": "orders", "delivery": "link"},
            },
            "asks for a file",
        ),
    ],
)
def test_what_is_wrong_is_told_as_of_a_key(shop: Whole, body: dict[str, Any], told: str) -> None:
    path = "key-preview/answer" if "question" in body else "key-preview"
    reply = shop.call(shop.project, "POST", path, body)
    assert reply.status_code == 400 and told in reply.json()["message"], reply.text


def test_collections_come_in_pages(shop: Whole) -> None:
    body = {"permitted": ["queries"]}
    names, after = [], ""
    while after is not None:
        page = shop.told(shop.project, "POST", "key-preview", body, limit=1, after=after)
        names += [one["name"] for one in page["collections"]]
        after = page["next"]
    assert names == ["orders", "secrets", "visits"]


def test_a_preview_makes_nothing_and_counts_for_who_asks(shop: Whole) -> None:
    before = shop.told(shop.project, "GET", "keys")
    quotas = {"quotas": {"query_seconds_per_day": 1}}
    for _ in range(3):
        shop.told(shop.project, "POST", "key-preview", {"permitted": ["queries"], "options": quotas})
    assert json.dumps(shop.told(shop.project, "GET", "keys")) == json.dumps(before)
    tally = shop.parts.quotas.tally(
        shop.project.id, shop.parts.tenants.counted_as(shop.project.id, shop.project.master_key)
    )
    assert tally.query_us > 0 and not tally.limits
