"""Managing a served Acumen: definitions, keys, collections, projects."""

from __future__ import annotations

import asyncio
import inspect
import time
from datetime import date, timedelta
from typing import Any

import pytest

from acumen_client import (
    Acumen,
    AsyncAcumen,
    ConfigurationError,
    ConflictError,
    Events,
    FunnelResult,
    NotFoundError,
    P,
    Query,
    Result,
    Step,
    UnauthorizedError,
)
from tests.clients.python.conftest import options_for
from tests.support.server import Served, ServedProject

REVENUE = Query.sum("purchases", "price").by("country").between(date(2026, 1, 1), date(2026, 1, 3)).daily()


@pytest.fixture
def shop(client: Acumen) -> Acumen:
    """The client, with three purchases."""
    client.record_many(
        "purchases",
        [
            {
                "price": 7,
                "country": "DE",
                "customer": {"id": "c1"},
                "keen": {"timestamp": "2026-01-01T10:00:00Z"},
            },
            {
                "price": 9,
                "country": "PL",
                "customer": {"id": "c2"},
                "keen": {"timestamp": "2026-01-01T11:00:00Z"},
            },
            {
                "price": 5,
                "country": "DE",
                "customer": {"id": "c1"},
                "keen": {"timestamp": "2026-01-02T10:00:00Z"},
            },
        ],
    )
    return client


def test_saved_queries(shop: Acumen) -> None:
    made = shop.saved_queries.put("revenue", REVENUE, display_name="Revenue", metadata={"team": "sales"})
    assert (made.name, made.display_name, made.refresh_rate) == ("revenue", "Revenue", 0)
    assert made.query["analysis_type"] == "sum"
    assert made.metadata == {"team": "sales", "display_name": "Revenue"}
    assert [one.name for one in shop.saved_queries.list()] == ["revenue"]
    assert shop.saved_queries.get("revenue").query == made.query
    result = shop.saved_queries.result("revenue")
    assert isinstance(result, Result)
    assert result.rows == shop.ask(REVENUE).rows
    assert result.to_pandas().equals(shop.ask(REVENUE).to_pandas())
    renamed = shop.saved_queries.rename("revenue", "sales")
    assert (renamed.name, renamed.display_name) == ("sales", "Revenue")
    shop.saved_queries.put("other", {"analysis_type": "count", "event_collection": "purchases"})
    with pytest.raises(ConflictError):
        shop.saved_queries.rename("other", "sales")
    shop.saved_queries.delete("sales")
    with pytest.raises(NotFoundError):
        shop.saved_queries.get("sales")


def test_saved_results_of_every_shape(shop: Acumen) -> None:
    steps = [Step("purchases", "customer.id"), Step("purchases", "customer.id").where(P("price") > 8)]
    shop.saved_queries.put("funnel", Query.funnel(*steps), refresh_rate=14_400)
    funnel = shop.saved_queries.result("funnel")
    assert isinstance(funnel, FunnelResult)
    assert [step.value for step in funnel] == [2, 1]
    assert funnel.steps[0].event_collection == "purchases"
    shop.saved_queries.put("events", Query.extraction("purchases").only("price"))
    events = shop.saved_queries.result("events")
    assert isinstance(events, Events)
    assert sorted(event["price"] for event in events) == [5, 7, 9]
    cached = shop.saved_queries.get("funnel")
    assert cached.run_information is not None
    assert cached.run_information.stale is False
    assert cached.run_information.last_run_status == "success"


def test_a_definition_warns_of_names_that_no_event_has(shop: Acumen) -> None:
    (notice,) = shop.saved_queries.put("typo", Query.sum("purchases", "prise")).warnings
    assert notice.did_you_mean == "price"


def test_datasets(shop: Acumen) -> None:
    made = shop.datasets.create("by-customer", REVENUE, "customer.id", display_name="Revenue")
    assert (made.name, made.index_by) == ("by-customer", ("customer.id",))
    with pytest.raises(ConflictError):
        shop.datasets.create("by-customer", REVENUE, ["customer.id"])
    asked = REVENUE.where(P("customer.id") == "c1")
    assert shop.datasets.results("by-customer", "c1").rows == shop.ask(asked).rows
    one_day = shop.datasets.results(
        "by-customer", {"customer.id": "c1"}, timeframe=(date(2026, 1, 1), date(2026, 1, 2))
    )
    assert [row.value for row in one_day] == [7]
    for number in range(3):
        shop.datasets.create(f"more-{number}", REVENUE, "country")
    assert [one.name for one in shop.datasets.list()] == ["by-customer", "more-0", "more-1", "more-2"]
    assert shop.datasets.get("more-0").status in ("Created", "Bootstrapping", "OK")
    shop.datasets.delete("by-customer")
    with pytest.raises(NotFoundError):
        shop.datasets.get("by-customer")


def test_pages_of_datasets(shop: Acumen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acumen_client.managing.PAGE", 2)
    names = [f"set-{number}" for number in range(5)]
    for name in names:
        shop.datasets.create(name, REVENUE, "country")
    assert [one.name for one in shop.datasets.list()] == names


def test_access_keys(shop: Acumen, served: Served, project: ServedProject) -> None:
    options = {"queries": {"filters": [P("customer.id") == "c1"]}}
    made = shop.access_keys.create("Dashboard of c1", ["queries"], options=options)
    assert made.key and made.key not in repr(made)
    assert made.options is not None
    assert made.options["queries"] == {
        "filters": [{"property_name": "customer.id", "operator": "eq", "property_value": "c1"}]
    }
    holder = Acumen(served.url, project_id=project.id, read_key=made.key)
    assert holder.count("purchases").value == 2
    assert [one.name for one in shop.access_keys.list()] == ["Dashboard of c1"]
    assert shop.access_keys.list("none") == []
    changed = shop.access_keys.update(made.key, name="c1", permitted=["queries", "schema"])
    assert (changed.name, changed.options) == ("c1", made.options)
    assert changed.permitted == ("queries", "schema")
    assert not shop.access_keys.revoke(made.key).is_active
    refused_within(5, holder)
    assert shop.access_keys.unrevoke(made.key).is_active
    assert shop.access_keys.get(made.key).is_active
    shop.access_keys.delete(made.key)
    with pytest.raises(NotFoundError):
        shop.access_keys.get(made.key)


def refused_within(seconds: float, holder: Acumen) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            holder.count("purchases")
        except UnauthorizedError:
            return
        assert time.monotonic() < deadline, "the revoked key still lives"
        time.sleep(0.05)


def test_pages_of_keys(client: Acumen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acumen_client.managing.KEYS_PAGE", 2)
    for number in range(4):
        client.access_keys.create(f"key {number}", ["queries"])
    assert [one.name for one in client.access_keys.list()] == [f"key {number}" for number in range(4)]


def test_dashboards(client: Acumen) -> None:
    shown = {"widgets": [{"query": "revenue"}], "version": 1}
    assert client.dashboards.put("sales", shown, metadata={"title": "Sales – żółw"}) == shown
    assert client.dashboards.get("sales") == shown
    assert client.dashboards.metadata("sales")["title"] == "Sales – żółw"
    client.dashboards.put("sales", {**shown, "version": 2})
    assert client.dashboards.metadata("sales")["title"] == "Sales – żółw"
    client.dashboards.put_metadata("sales", {"title": "Other"})
    assert [(one["id"], one["title"]) for one in client.dashboards.list()] == [("sales", "Other")]
    client.dashboards.delete("sales")
    with pytest.raises(NotFoundError):
        client.dashboards.get("sales")


def test_collections(shop: Acumen) -> None:
    (listed,) = shop.collections.list()
    assert listed.name == "purchases"
    assert listed.properties is not None
    assert listed.properties["customer.id"] == "string"
    assert shop.collections.list(include_schema=False)[0].properties is None
    assert shop.collections.get("purchases") == listed
    assert shop.collections.property_type("purchases", "price") == "num"
    with pytest.raises(NotFoundError):
        shop.collections.get("none")


def test_a_profile_is_asked_for_a_page_at_a_time(shop: Acumen) -> None:
    events = shop.collections.profile("purchases")["events"]
    assert events == shop.count("purchases").value
    first = shop.collections.profile("purchases", limit=1, top=1)
    second = shop.collections.profile("purchases", limit=1, after=first["next"])
    assert first["properties"][0]["name"] < second["properties"][0]["name"]
    narrowed = shop.collections.profile("purchases", property_names=["price"], filters=P("price") < 8)
    assert [one["name"] for one in narrowed["properties"]] == ["price"]
    assert narrowed["properties"][0]["numbers"]["max"] < 8


def test_a_name_of_any_kind_is_a_path(client: Acumen) -> None:
    for name in ("a/b c", "100%", "..", "q?x=1#y", "a+b"):
        client.record(name, {"n": 1})
        assert client.collections.get(name).name == name
        assert client.count(name).value == 1


def test_changes_and_deletions(shop: Acumen) -> None:
    updated = shop.collections.update_events(
        "purchases", {"plan": "free"}, filters=P("price") < 8, upsert=True
    )
    assert updated == 2
    assert shop.count("purchases", filters=P("plan") == "free").value == 2
    assert (
        shop.collections.update_events("purchases", {"plan": "pro"}, timeframe=(date(2026, 1, 2), None)) == 1
    )
    shop.collections.delete_events("purchases", filters=P("plan") == "pro")
    assert shop.count("purchases").value == 2
    shop.collections.delete_events("purchases", timeframe=(None, date(2025, 1, 1)), timezone="Europe/Berlin")
    assert shop.count("purchases").value == 2
    with pytest.raises(ValueError, match="filters or a timeframe"):
        shop.collections.delete_events("purchases")
    with pytest.raises(ValueError, match="filters or a timeframe"):
        shop.collections.delete_events("purchases", filters=[], timezone="UTC")
    shop.collections.delete_property("purchases", "customer.id")
    assert shop.count("purchases", filters=P("customer.id").exists()).value == 0
    shop.collections.delete("purchases")
    assert shop.count("purchases").value == 0


def test_retention(shop: Acumen) -> None:
    assert shop.collections.retention("purchases") is None
    shop.collections.keep("purchases", 36_000)
    assert shop.collections.retention("purchases") == 36_000
    shop.collections.keep("purchases", None)
    assert shop.collections.retention("purchases") is None


def test_the_project(shop: Acumen, project: ServedProject) -> None:
    shop.saved_queries.put("revenue", REVENUE)
    told = shop.project.describe()
    assert (told.id, told.collections) == (project.id, ("purchases",))
    assert shop.project.usage()["saved_queries"] == 1
    (reader,) = shop.project.lineage("purchases")["readers"]
    assert (reader["kind"], reader["name"]) == ("saved_query", "revenue")
    assert reader["reads"] == [{"kind": "collection", "name": "purchases"}]
    assert shop.project.lineage("visits") == {"collections": [], "readers": []}


def test_projects_of_an_organisation(served: Served) -> None:
    first = served.project
    client = Acumen(served.url, organization_key=first.organization_key)
    name = f"Made by {id(client)}"
    made = client.projects.create(
        first.organization_id, name, users=["ann@example.com"], preferences={"round": 2}
    )
    assert (made.name, made.users, made.preferences) == (name, ("ann@example.com",), {"round": 2})
    assert made.master_key not in repr(made)
    with pytest.raises(ConflictError):
        client.projects.create(first.organization_id, name)
    changed = client.projects.update(first.organization_id, made.id, users=[])
    assert (changed.name, changed.users) == (name, ())
    assert made.id in [one.id for one in client.projects.list(first.organization_id)]
    assert client.projects.get(first.organization_id, made.id).read_key == made.read_key
    assert client.projects.usage(first.organization_id).collections >= 0
    client.projects.delete(first.organization_id, made.id)
    with pytest.raises(NotFoundError):
        client.projects.get(first.organization_id, made.id)


def test_a_key_that_was_not_given_is_named(served: Served, project: ServedProject) -> None:
    reader = Acumen(served.url, project_id=project.id, read_key=project.read_key)
    with pytest.raises(ConfigurationError, match="master_key"):
        reader.saved_queries.list()
    with pytest.raises(ConfigurationError, match="organization_key"):
        reader.projects.list("x")


PARTS = (
    "saved_queries",
    "datasets",
    "access_keys",
    "dashboards",
    "collections",
    "extractions",
    "project",
    "projects",
)


@pytest.mark.parametrize("part", PARTS)
def test_both_clients_have_the_same_parts(client: Acumen, async_client: AsyncAcumen, part: str) -> None:
    def surface(of: Any) -> dict[str, list[str]]:
        members = inspect.getmembers(getattr(of, part), callable)
        return {
            name: list(inspect.signature(one).parameters) for name, one in members if not name.startswith("_")
        }

    found = surface(client)
    assert found and found == surface(async_client)
    for name in found:
        assert getattr(getattr(client, part), name).__doc__, f"{part}.{name} does not say what it does"


def test_awaited_it_is_the_same(served: Served, project: ServedProject) -> None:
    async def manage() -> None:
        async with AsyncAcumen(**options_for(served, project)) as client:
            await client.record("purchases", {"price": 7})
            await client.saved_queries.put("n", Query.count("purchases"))
            assert (await client.saved_queries.result("n")).value == 1
            assert (await client.saved_queries.rename("n", "m")).name == "m"
            made = await client.access_keys.create("k", ["queries"])
            assert [one.key for one in await client.access_keys.list()] == [made.key]
            with pytest.raises(NotFoundError):
                await client.datasets.get("none")
            assert await client.datasets.list() == []
            assert (await client.collections.get("purchases")).name == "purchases"
            assert await client.collections.update_events("purchases", {"price": 8}) == 1
            await client.dashboards.put("d", {"widgets": []})
            assert (await client.dashboards.list())[0]["id"] == "d"
            assert (await client.project.describe()).id == project.id
            assert [one["name"] for one in (await client.project.lineage())["readers"]] == ["m"]

    asyncio.run(manage())


def test_ids_are_linked_told_split_exported_and_erased(client: Acumen) -> None:
    client.record_many("views", [{"who": "a1"}, {"who": "ann"}, {"who": 42}])
    client.identify("a1", "ann", site=1)
    client.alias(42, "ann")
    assert client.count_unique("views", "who", identity="merged").value == 1
    assert client.count_unique("views", "who", identity="as_sent").value == 3
    for one in ("a1", 42, "ann"):
        assert client.identities.get(one).id == "ann"
    assert [(one.id, set(one.ids)) for one in client.identities.all()] == [("ann", {"ann", "a1", 42})]
    assert [one["conflict"] for one in client.identities.get(42).links] == [False, False]
    client.identities.revoke("ann", alias=42)
    assert client.count_unique("views", "who", identity="merged").value == 2
    exported = client.identities.export("a1", "who", "other")
    assert {name: len(listed) for name, listed in exported.items()} == {"views": 2, "acumen.identities": 1}
    assert client.identities.erase("a1", "who") == {"views": 2, "acumen.identities": 1}
    assert client.count("views").value == 1
    with pytest.raises(NotFoundError):
        client.identities.get("a1")


def test_cohorts_are_kept_and_asked_by(shop: Acumen) -> None:
    made = shop.cohorts.put(
        "dear",
        {
            "actor_property": "price",
            "all": [{"event_collection": "purchases", "filters": [P("price") > 2], "at_least": 1}],
        },
    )
    assert (made.name, made.kind, made.actors_listed) == ("dear", "behaviour", None)
    found = shop.cohorts.actors("dear", limit=1)
    assert (len(found.actors), found.number > 0) == (1, True)
    static = shop.cohorts.put("listed", {"actor_property": "price", "actors": [7, 8]})
    assert (static.actors_listed, shop.cohorts.change("listed", remove=[8]).actors_listed) == (2, 1)
    assert [one.name for one in shop.cohorts.list()] == ["dear", "listed"]
    member = {"operator": "in_cohort", "property_value": "listed"}
    assert shop.count("purchases", filters=[member]).value == 1
    shop.cohorts.delete("listed")
    assert shop.cohorts.get("dear").raw["all"][0]["at_least"] == 1


def test_alerts_and_webhooks_are_kept(shop: Acumen) -> None:
    made = shop.webhooks.put("chat", "https://hooks.example.com/services/T1")
    assert made.origin == "https://hooks.example.com"
    assert made.secret is not None
    assert shop.webhooks.put("chat", "https://hooks.example.com/x").secret is None
    assert [one.name for one in shop.webhooks.list()] == ["chat"]
    sent = shop.webhooks.test("chat")
    assert [one["id"] for one in shop.webhooks.deliveries("chat", limit=10)] == [sent["id"]]
    assert shop.webhooks.replay("chat", sent["id"])["state"] == "waiting"
    alert = shop.alerts.put(
        "few",
        {"analysis_type": "count", "event_collection": "purchases", "filters": [P("price") > 2]},
        {"below": 1},
        notify=[{"webhook": "chat"}],
    )
    assert (alert.name, alert.interval, alert.state) == ("few", "hourly", "ok")
    assert alert.raw["query"]["filters"][0]["property_name"] == "price"
    assert [one.name for one in shop.alerts.list()] == ["few"]
    assert shop.alerts.get("few").condition == {"below": 1}
    assert shop.alerts.silence("few", timedelta(hours=1)).raw["silenced_until"] is not None
    shop.alerts.end_silence("few")
    assert shop.alerts.test("few")["webhooks"] == 1
    assert shop.alerts.history("few", limit=5) is not None
    shop.saved_queries.put("sold", Query.count("purchases").during("this_2_days"))
    assert shop.alerts.put("saved", "sold", {"above": 1}).raw["saved_query"] == "sold"
    shop.dashboards.put("sold", {"widgets": []})
    report = shop.reports.put("monday", "sold", every="weekly", at="07:30", notify=[{"webhook": "chat"}])
    assert (report.dashboard, report.schedule["at"], report.is_active) == ("sold", "07:30", True)
    assert [one.name for one in shop.reports.list()] == ["monday"]
    assert shop.reports.get("monday").notify == ({"webhook": "chat"},)
    assert shop.reports.test("monday")["webhooks"] == 1
    assert shop.reports.history("monday", limit=5)[0]["is_test"] is True
    shop.reports.delete("monday")
    shop.dashboards.delete("sold")
    for name in ("few", "saved"):
        shop.alerts.delete(name)
    shop.webhooks.delete("chat")
    assert shop.alerts.list() == []
