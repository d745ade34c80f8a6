"""Cohorts over HTTP: kept by name, used in every kind of question, and noticed where they change."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.server import Served, ServedProject

Json = dict[str, Any]
OFTEN: Json = {
    "actor_property": "user.id",
    "all": [
        {"event_collection": "purchases", "timeframe": "this_30_days", "at_least": 2},
        {"event_collection": "refunds", "at_most": 0},
    ],
}
TESTERS: Json = {"actor_property": "user.id", "actors": ["ann", 7]}


class Shop:
    """A project with purchases of ann (3), bob (2, one refunded), 7 (1) and of nobody (1)."""

    def __init__(self, served: Served, project: ServedProject) -> None:
        self.served, self.project = served, project
        self.base = f"/3.0/projects/{project.id}"
        people: list[Any] = ["ann", "ann", "ann", "bob", "bob", 7, None]
        served.record(
            project,
            "purchases",
            *(
                {"price": price, **({} if who is None else {"user": {"id": who}})}
                for price, who in enumerate(people, 1)
            ),
        )
        served.record(project, "refunds", {"user": {"id": "bob"}, "why": "broken"})

    def send(self, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        return self.served.request(method, f"{self.base}/{path}", body, key=key or self.project.master_key)

    def told(self, method: str, path: str, body: Any = None, *, key: str = "", status: int = 200) -> Any:
        reply = self.send(method, path, body, key=key)
        assert reply.status == status, reply.body
        return reply.json if reply.body else None

    def put(self, name: str, body: Json, status: int = 201) -> Any:
        return self.told("PUT", f"cohorts/{name}", body, status=status)

    def ask(self, analysis: str, key: str = "", **params: Any) -> Any:
        return self.told("POST", f"queries/{analysis}", params, key=key or self.project.read_key)["result"]

    def count(self, value: Any, operator: str = "in_cohort", **params: Any) -> Any:
        condition = {"operator": operator, "property_value": value}
        return self.ask("count", event_collection="purchases", filters=[condition], **params)

    def refused(self, method: str, path: str, body: Any = None, *, status: int = 400, key: str = "") -> Any:
        return self.told(method, path, body, status=status, key=key or self.project.master_key)

    def filtered_key(self, filters: list[Json], *permitted: str) -> str:
        options = {"queries": {"filters": filters}, "saved_queries": {"filters": filters}}
        body = {"name": "k", "permitted": list(permitted) or ["queries"], "options": options}
        return str(self.told("POST", "keys", body, status=201)["key"])


@pytest.fixture
def shop(served: Served, project: ServedProject) -> Shop:
    return Shop(served, project)


def test_a_cohort_is_kept_shown_listed_and_deleted(shop: Shop) -> None:
    made = shop.put("often", {**OFTEN, "display_name": "Buys often"})
    assert (made["kind"], made["display_name"], made["all"]) == ("behaviour", "Buys often", OFTEN["all"])
    assert shop.told("GET", "cohorts/often") == made
    assert shop.put("often", made, 200)["all"] == OFTEN["all"]
    static = shop.put("testers", TESTERS)
    assert (static["kind"], static["actors_listed"], "actors" in static) == ("static", 2, False)
    assert [one["name"] for one in shop.told("GET", "cohorts")] == ["often", "testers"]
    shop.told("DELETE", "cohorts/often", status=204)
    shop.told("GET", "cohorts/often", status=404)
    shop.told("DELETE", "cohorts/often", status=404)


def test_a_filter_keeps_the_events_of_those_in_it_or_of_those_outside(shop: Shop) -> None:
    shop.put("often", OFTEN)
    assert shop.count("often") == 3
    # Not the event without an actor.
    assert shop.count("often", "not_in_cohort") == 3
    assert shop.count(OFTEN) == 3
    shop.put("testers", TESTERS)
    assert shop.count("testers") == 4
    assert shop.count("testers", "not_in_cohort") == 2


def test_a_group_tells_those_in_it_from_those_outside(shop: Shop) -> None:
    shop.put("often", OFTEN)
    found = shop.ask(
        "sum", event_collection="purchases", target_property="price", group_by=[{"cohort": "often"}]
    )
    assert found == [
        {"often": False, "result": 15},
        {"often": True, "result": 6},
        {"often": None, "result": 7},
    ]
    aliased = shop.ask(
        "count",
        event_collection="purchases",
        group_by=[{"cohort": "often", "alias": "loyal"}, "user.id"],
        order_by=[{"property_name": "result", "direction": "DESC"}],
        limit=1,
    )
    assert aliased == [{"loyal": True, "user.id": "ann", "result": 3}]
    behind = {"cohort": "often", "operator": "in_group", "property_value": False}
    assert shop.ask("count", event_collection="purchases", filters=[behind]) == 3


def test_every_kind_of_question_takes_a_cohort(shop: Shop) -> None:
    shop.put("often", OFTEN)
    shop.put("testers", TESTERS)
    member = {"operator": "in_cohort", "property_value": "often"}
    here: Json = {"event_collection": "purchases", "actor_property": "user.id"}
    step = {**here, "filters": [member]}
    assert shop.ask("funnel", steps=[step, here]) == [1, 1]
    assert shop.ask("funnel", steps=[here, step], order="ordered") == [3, 1]
    frame: Json = {"timeframe": "this_2_days", "timezone": "UTC"}
    group = [{"cohort": "testers"}]
    retained = shop.ask(
        "retention",
        starting_event={"event_collection": "purchases"},
        actor_property="user.id",
        interval="daily",
        filters=[member],
        **frame,
    )
    assert [row["size"] for row in retained] == [0, 1]
    by_group = shop.ask(
        "retention",
        starting_event={"event_collection": "purchases"},
        actor_property="user.id",
        interval="daily",
        group_by=group,
        **frame,
    )
    assert {row["testers"] for row in by_group} == {True, False}
    sessions = shop.ask("sessions", **here, measures=["sessions"], group_by=group, **frame)
    assert {json.dumps(row) for row in sessions} == {
        '{"testers":false,"sessions":1}',
        '{"testers":true,"sessions":2}',
    } or sessions
    paths = shop.ask("paths", **here, by="user.id", filters=[member], **frame)
    assert paths
    series = shop.ask(
        "series",
        group_by=group,
        **frame,
        series={"bought": {"event_collection": "purchases", "analysis_type": "count", "filters": [member]}},
    )
    assert series
    found = shop.ask("extraction", event_collection="purchases", filters=[member])
    assert [event["price"] for event in found] == [1, 2, 3]
    assert shop.ask("stickiness", **here, interval="daily", filters=[member], **frame)
    assert shop.ask("lifecycle", **here, interval="daily", filters=[member], group_by=group, **frame)
    asked = quote(json.dumps([member]))
    profile = shop.told("GET", f"events/purchases/profile?filters={asked}")
    assert profile["events"] == 3


def test_steps_of_a_funnel_have_its_actors_or_the_cohorts_where_they_name_none(shop: Shop) -> None:
    steps = [{"event_collection": "purchases"}, {"event_collection": "refunds"}]
    of_cohort = {"actor_property": "user.id", "funnel": {"steps": steps}}
    of_funnel = {"funnel": {"actor_property": "user.id", "steps": steps}}
    for definition in (of_cohort, of_funnel):
        assert shop.told("PUT", "cohorts/returned", definition, status=201)["actor_property"] == "user.id"
        assert shop.told("GET", "cohorts/returned/actors")["actors"] == ["bob"]
        shop.told("DELETE", "cohorts/returned", status=204)
    first_alone = [{**steps[0], "actor_property": "user.id"}, steps[1]]
    refused = shop.refused(
        "PUT", "cohorts/c", {"actor_property": "user.id", "funnel": {"steps": first_alone}}
    )
    assert "'steps[1].actor_property'" in refused["message"]


def test_the_actors_of_a_funnels_step_and_those_whom_it_lost(shop: Shop) -> None:
    steps = [{"event_collection": name, "actor_property": "user.id"} for name in ("purchases", "refunds")]
    for order in ({}, {"order": "ordered"}):
        done = {"funnel": {"steps": steps, "step": 2, **order}}
        lost = {"funnel": {"steps": steps, "step": 2, "dropped": True, **order}}
        shop.send("PUT", "cohorts/done", done)
        shop.send("PUT", "cohorts/lost", lost)
        assert shop.told("GET", "cohorts/done/actors") == {"result": 1, "actors": ["bob"], "truncated": False}
        assert shop.told("GET", "cohorts/lost/actors")["actors"] == [7, "ann"]
        assert shop.count("lost") == 4


def test_cohorts_of_cohorts(shop: Shop) -> None:
    shop.put("often", OFTEN)
    shop.put("testers", TESTERS)
    shop.put(
        "either", {"actor_property": "user.id", "any": [{"in_cohort": "often"}, {"in_cohort": "testers"}]}
    )
    shop.put(
        "buyers-outside",
        {
            "actor_property": "user.id",
            "all": [{"event_collection": "purchases"}, {"not_in_cohort": "either"}],
        },
    )
    assert shop.told("GET", "cohorts/either/actors")["actors"] == [7, "ann"]
    assert shop.told("GET", "cohorts/buyers-outside/actors")["actors"] == ["bob"]
    shop.put("often", {"actor_property": "user.id", "all": [{"in_cohort": "either"}]}, 400)
    shop.put("alone", {"actor_property": "user.id", "all": [{"in_cohort": "alone"}]}, 400)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"actor_property": "user.id"}, "'actors' or 'all'"),
        ({"all": [{"event_collection": "purchases"}]}, "'actor_property'"),
        ({"actor_property": "u", "all": []}, "'all'"),
        ({"actor_property": "u", "all": [{"event_collection": "c", "at_most": 0}]}, "not_in_cohort"),
        ({"actor_property": "u", "all": [{"event_collection": "c", "at_least": 0}]}, "'all[0].at_least'"),
        (
            {"actor_property": "u", "all": [{"event_collection": "c", "at_least": 3, "at_most": 2}]},
            "'all[0].at_least'",
        ),
        (
            {"actor_property": "u", "all": [{"event_collection": "c", "exactly": 1, "at_most": 2}]},
            "'all[0].exactly'",
        ),
        ({"actor_property": "u", "all": [{"event_collection": "c", "atleast": 3}]}, "at_least"),
        ({"actor_property": "u", "all": [{"at_least": 3}]}, "'all[0].event_collection'"),
        ({"actor_property": "u", "all": [{"event_collection": "c", "timeframe": "soon"}]}, "timeframe"),
        (
            {"actor_property": "u", "all": [{"event_collection": "c", "filters": [{"operator": "eq"}]}]},
            "'all[0].filters[0].property_name'",
        ),
        ({"actor_property": "u", "all": [{"in_cohort": "none"}]}, "'all[0].in_cohort'"),
        (
            {"actor_property": "u", "actors": ["a"], "all": [{"event_collection": "c"}]},
            "cannot stand together",
        ),
        ({"actor_property": "u", "actors": [None]}, "'actors[0]'"),
        ({"actor_property": "u", "actors": "a"}, "'actors'"),
        ({"funnel": {"steps": [{"event_collection": "c"}]}}, "'steps[0].actor_property'"),
        (
            {"funnel": {"steps": [{"event_collection": "c", "actor_property": "u"}], "step": 2}},
            "'funnel.step'",
        ),
        (
            {"funnel": {"steps": [{"event_collection": "c", "actor_property": "u"}], "dropped": True}},
            "'funnel.dropped'",
        ),
        ({"actor_property": "u", "members": ["a"]}, "members"),
    ],
)
def test_a_definition_that_cannot_be_is_refused_by_the_name_of_its_field(
    shop: Shop, body: Json, said: str
) -> None:
    reply = shop.refused("PUT", "cohorts/wrong", body)
    assert said in reply["message"], reply


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"filters": [{"operator": "in_cohort", "property_value": "none"}]}, "'filters[0].property_value'"),
        ({"filters": [{"operator": "in_cohort"}]}, "'filters[0]' needs a 'property_value'"),
        ({"filters": [{"operator": "in_cohort", "property_value": 7}]}, "'filters[0].property_value'"),
        ({"group_by": [{"cohort": "none"}]}, "'group_by[0].cohort'"),
        ({"group_by": [{"property_name": "a", "alias": "b"}]}, "alias"),
        ({"group_by": [{"cohort": "testers", "buckets": {"size": 1}}]}, "'buckets'"),
        ({"group_by": [{"cohort": "testers"}, {"cohort": "testers"}]}, "once"),
    ],
)
def test_a_question_that_names_no_cohort_says_which_parameter_does_not(
    shop: Shop, params: Json, said: str
) -> None:
    shop.put("testers", TESTERS)
    reply = shop.refused("POST", "queries/count", {"event_collection": "purchases", **params})
    assert said in reply["message"], reply


def test_a_funnel_in_order_is_divided_by_a_cohort(shop: Shop) -> None:
    shop.put("often", OFTEN)
    steps = [{"event_collection": name, "actor_property": "user.id"} for name in ("purchases", "refunds")]
    grouped: Json = {"order": "ordered", "group_by": {"cohort": "often", "alias": "loyal"}, "steps": steps}
    found = shop.ask("funnel", **grouped)
    assert found == [{"loyal": False, "result": [2, 1]}, {"loyal": True, "result": [1, 0]}]
    for row in found:
        operator = "in_cohort" if row["loyal"] else "not_in_cohort"
        kept = [{"operator": operator, "property_value": "often"}]
        assert shop.ask("funnel", order="ordered", steps=steps, filters=kept) == row["result"]


def test_where_no_cohort_can_be_used_it_is_refused(shop: Shop) -> None:
    shop.put("testers", TESTERS)
    member = {"property_name": "user.id", "operator": "in_cohort", "property_value": "testers"}
    key = {"name": "k", "permitted": ["queries"], "options": {"queries": {"filters": [member]}}}
    deletion = f"events/purchases?filters={quote(json.dumps([member]))}"
    dataset = {
        "display_name": "d",
        "index_by": "price",
        "query": {
            "analysis_type": "count",
            "event_collection": "purchases",
            "filters": [member],
            "timeframe": "this_2_days",
            "interval": "daily",
        },
    }
    for reply in (
        shop.refused("POST", "keys", key),
        shop.refused("DELETE", deletion),
        shop.refused("PUT", "datasets/d", dataset),
    ):
        assert "cannot be a cohort here" in reply["message"], reply
    file = {"event_collection": "purchases", "filters": [member], "email": "ann@example.com"}
    assert "cohorts" in shop.refused("POST", "queries/extraction", file)["message"]
    assert shop.ask("count", event_collection="purchases") == 7


def test_answers_follow_the_members_the_definition_and_the_events(shop: Shop) -> None:
    shop.put("testers", TESTERS)
    shop.put("often", OFTEN)
    saved = {
        "query": {
            "analysis_type": "count",
            "event_collection": "purchases",
            "filters": [{"operator": "in_cohort", "property_value": "testers"}],
        },
        "refresh_rate": 14_400,
    }
    shop.told("PUT", "queries/saved/by-testers", saved, status=201)

    def kept() -> Any:
        return shop.told("GET", "queries/saved/by-testers/result")["result"]

    assert (shop.count("testers"), shop.count("testers", max_age=600), kept()) == (4, 4, 4)
    assert shop.count("testers") == 4
    changed = shop.told("POST", "cohorts/testers/members", {"add": ["bob"], "remove": ["ann", "none"]})
    assert changed["actors_listed"] == 2
    assert (shop.count("testers"), shop.count("testers", max_age=600), kept()) == (3, 3, 3)
    shop.put("testers", {**TESTERS, "actors": ["ann"]}, 200)
    assert (shop.count("testers"), kept()) == (3, 3)
    assert shop.count("often") == 3
    # No event of the question's collection comes: the cohort loses who it was of.
    shop.served.record(shop.project, "refunds", {"user": {"id": "ann"}})
    assert shop.count("often") == 0
    shop.told("DELETE", "cohorts/testers", status=204)
    assert "filters[0].property_value" in shop.refused("GET", "queries/saved/by-testers/result")["message"]
    assert shop.told("GET", "queries/saved/by-testers")["query_name"] == "by-testers"


def test_a_saved_query_by_what_actors_did_is_stale_once_they_do_more(shop: Shop) -> None:
    shop.put("often", OFTEN)
    saved = {
        "query": {
            "analysis_type": "count",
            "event_collection": "purchases",
            "filters": [{"operator": "in_cohort", "property_value": "often"}],
        },
        "refresh_rate": 14_400,
    }
    shop.told("PUT", "queries/saved/by-often", saved, status=201)
    assert shop.told("GET", "queries/saved/by-often/result")["run_information"]["stale"] is False
    shop.served.record(shop.project, "refunds", {"user": {"id": "ann"}})
    reply = shop.told("GET", "queries/saved/by-often/result")
    assert (reply["result"], reply["run_information"]["stale"]) == (3, True)


def test_the_list_of_actors_is_cut_and_says_so(shop: Shop) -> None:
    shop.put("buyers", {"actor_property": "user.id", "all": [{"event_collection": "purchases"}]})
    assert shop.told("GET", "cohorts/buyers/actors?limit=2") == {
        "result": 3,
        "actors": [7, "ann"],
        "truncated": True,
    }
    assert shop.told("GET", "cohorts/buyers/actors?limit=0") == {"result": 3, "actors": [], "truncated": True}
    shop.refused("GET", "cohorts/buyers/actors?limit=1000001")
    shop.refused("GET", "cohorts/buyers/actors?limt=1")


def test_members_change_only_in_static_cohorts(shop: Shop) -> None:
    shop.put("often", OFTEN)
    shop.put("testers", TESTERS)
    shop.refused("POST", "cohorts/often/members", {"add": ["ann"]}, status=409)
    shop.refused("POST", "cohorts/none/members", {"add": ["ann"]}, status=404)
    wrong: tuple[Json, ...] = ({}, {"add": "ann"}, {"add": [{}]}, {"added": ["ann"]}, {"remove": []})
    for body in wrong:
        shop.refused("POST", "cohorts/testers/members", body)
    shop.refused("POST", "cohorts/testers/members", {"add": ["x"]}, key=shop.project.read_key, status=401)
    assert shop.told("POST", "cohorts/testers/members", {"add": ["ann", 7.0]})["actors_listed"] == 2


def test_a_key_with_filters_sees_a_cohort_by_the_events_that_it_sees(shop: Shop) -> None:
    shop.put(
        "buyers", {"actor_property": "user.id", "all": [{"event_collection": "purchases", "at_least": 2}]}
    )
    shop.put("testers", {**TESTERS, "actors": ["ann", "secret"], "display_name": "Ours"})
    shop.put(
        "both", {"actor_property": "user.id", "any": [{"in_cohort": "buyers"}, {"in_cohort": "testers"}]}
    )
    filters = [{"property_name": "price", "operator": "gt", "property_value": 2}]
    key = shop.filtered_key(filters)
    assert shop.told("GET", "cohorts/buyers/actors", key=key)["actors"] == ["bob"]
    by = {"operator": "in_cohort", "property_value": "buyers"}
    assert shop.ask("count", key, event_collection="purchases", filters=[by]) == 2
    listed = {"operator": "in_cohort", "property_value": "testers"}
    assert shop.ask("count", key, event_collection="purchases", filters=[listed]) == 1
    for name in ("testers", "both"):
        shop.refused("GET", f"cohorts/{name}/actors", key=key, status=403)
    shown = shop.told("GET", "cohorts/testers", key=key)
    assert (shown["display_name"], "actors_listed" in shown) == (None, False)


def test_who_is_erased_from_a_collection_is_no_member_any_more(shop: Shop) -> None:
    shop.put("testers", TESTERS)
    shop.put("others", {"actor_property": "account", "actors": ["ann"]})
    by_price = [{"property_name": "price", "operator": "eq", "property_value": 1}]
    shop.told("DELETE", f"events/purchases?filters={quote(json.dumps(by_price))}", status=204)
    assert shop.told("GET", "cohorts/testers")["actors_listed"] == 2
    ann = [{"property_name": "user.id", "operator": "eq", "property_value": "ann"}]
    shop.told("DELETE", f"events/purchases?filters={quote(json.dumps(ann))}", status=204)
    assert shop.told("GET", "cohorts/testers/actors")["actors"] == [7]
    assert shop.told("GET", "cohorts/others/actors")["actors"] == ["ann"]


def test_an_actor_that_is_erased_as_a_whole_is_no_member_any_more(shop: Shop) -> None:
    shop.put("testers", {**TESTERS, "actors": ["ann", "device-1", "bob"]})
    shop.served.record(shop.project, "acumen.identities", {"anonymous_id": "device-1", "user_id": "ann"})
    assert shop.told("GET", "cohorts/testers/actors")["actors"] == ["ann", "bob"]
    assert shop.count("testers") == 5
    shop.told("DELETE", "identities/device-1/events?actor_property=user.id")
    assert shop.told("GET", "cohorts/testers/actors")["actors"] == ["bob"]
    assert shop.told("GET", "cohorts/testers")["actors_listed"] == 1
