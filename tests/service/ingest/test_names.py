"""Names are bounded and come back: of properties, of collections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.ingest import collection_cache, kept_answers, log_session
from service.ingest.admission import DESCRIPTION_LENGTH_MAX, EventRefusal
from service.maintenance.purge_task import Purge
from storage.catalog.stored.records import request_scope
from storage.keeper import freed_collections
from tests.service.intake import intake, run
from tests.service.whole import Whole

PROPERTIES_MAX = 8
COLLECTIONS_MAX = 3
HOUR_US = 3_600_000_000


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    found = Whole(tmp_path / "data", properties_max=PROPERTIES_MAX, collections_max=COLLECTIONS_MAX)
    yield found
    found.close()


def junk(prefix: str = "junk") -> dict[str, Any]:
    """An event that uses up a collection's properties."""
    return {f"{prefix}{number}": 1 for number in range(PROPERTIES_MAX)}


def post(whole: Whole, event: dict[str, Any], collection: str = "orders") -> tuple[int, str]:
    key = whole.project.write_key
    reply = whole.call(whole.project, "POST", f"events/{collection}", event, key=key)
    return reply.status_code, reply.json().get("message", "")


def properties(whole: Whole) -> set[str]:
    found = whole.told(whole.project, "GET", "events/orders")["properties"]
    return {name for name in found if not name.startswith("keen.")}


def test_a_collection_full_of_properties_says_so_and_what_helps(whole: Whole) -> None:
    assert post(whole, junk())[0] == 201
    status, message = post(whole, {"coupon": "x"})
    assert status == 400
    assert "'coupon'" in message
    assert "ACUMEN_PROPERTIES_MAX" in message


def test_names_go_with_the_events_that_held_them(whole: Whole) -> None:
    whole.record(whole.project, "orders", [{"junk0": 1, "price": 1}])
    assert post(whole, {f"junk{number}": 1 for number in range(1, PROPERTIES_MAX - 1)})[0] == 201
    whole.flush()
    assert post(whole, {"coupon": "x"})[0] == 400
    filters = [{"property_name": "price", "operator": "exists", "property_value": False}]
    assert whole.call(whole.project, "DELETE", "events/orders", filters=filters).status_code == 204
    assert properties(whole) == {"junk0", "price"}
    assert post(whole, {"coupon": "x"})[0] == 201
    assert whole.told(whole.project, "DELETE", "events/orders/properties/junk0") is None
    assert properties(whole) == {"price", "coupon"}


def test_a_deleted_collection_has_room_for_other_names_and_for_other_types(whole: Whole) -> None:
    assert post(whole, junk())[0] == 201
    assert whole.told(whole.project, "DELETE", "events/orders") is None
    assert post(whole, junk("other"))[0] == 201
    assert whole.told(whole.project, "DELETE", "events/orders") is None
    texts = dict.fromkeys(junk(), "text")
    assert post(whole, texts)[0] == 201
    assert whole.told(whole.project, "GET", "events/orders")["properties"]["junk0"] == "string"
    for _ in range(2):
        counted = {"event_collection": "orders", "target_property": "junk0"}
        assert whole.told(whole.project, "POST", "queries/select_unique", counted) == {"result": ["text"]}
        whole.flush()


def test_names_of_events_that_were_not_stored_go_at_the_next_hour(whole: Whole) -> None:
    """Here, those of events that an earlier one of the same token stands for."""
    token: dict[str, Any] = {"keen": {"uniqueness_token": "t"}}
    assert post(whole, {"a": 1} | token)[0] == 201
    assert post(whole, {f"b{number}": 1 for number in range(PROPERTIES_MAX - 2)} | token)[0] == 201
    assert post(whole, {"c": 1})[0] == 400
    whole.flush()
    whole.now_us += HOUR_US
    assert post(whole, {"a": 1})[0] == 201
    whole.keeper.step()
    whole.now_us += 60_000_000
    whole.keeper.step()
    assert post(whole, {"c": 1})[0] == 201


@pytest.mark.parametrize("everything", [False, True])
def test_a_worker_that_has_not_heard_of_a_removal_loses_nothing_beside_new_properties(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything: bool
) -> None:
    """An event of known properties passes the quick check, and these went with the events that held them; the
    other event of the batch makes the worker look at the catalog."""
    monkeypatch.setattr(log_session, "WATCH_SECONDS", 3_600.0)
    whole = Whole(tmp_path / "data")
    whole.record(whole.project, "orders", [{"price": 1, "coupon": "x"}, {"price": 2}])
    whole.flush()
    gone: dict[str, Any] = (
        {}
        if everything
        else {"filters": [{"property_name": "coupon", "operator": "exists", "property_value": True}]}
    )
    assert whole.call(whole.project, "DELETE", "events/orders", **gone).status_code == 204

    whole.record(whole.project, "orders", [{"price": 3, "coupon": "y"}, {"price": 4, "colour": "red"}])

    asked = {"event_collection": "orders", "property_names": ["price", "coupon", "colour"]}
    for _ in range(2):
        found = whole.told(whole.project, "POST", "queries/extraction", asked)["result"]
        kept = [] if everything else [{"price": 2}]
        taken = [{"price": 3, "coupon": "y"}, {"price": 4, "colour": "red"}]
        assert sorted(found, key=lambda event: event["price"]) == kept + taken
        whole.flush()
    whole.close()


def names(whole: Whole) -> set[str]:
    return {found["name"] for found in whole.told(whole.project, "GET", "events")}


def fill(whole: Whole) -> None:
    """As many collections as the project may have."""
    whole.told(
        whole.project, "POST", "events", {f"c{number}": [{"n": 1}] for number in range(COLLECTIONS_MAX)}
    )


def test_a_project_full_of_collections_says_so_event_by_event_and_what_helps(whole: Whole) -> None:
    body = {f"c{number}": [{"n": 1}, {"n": 2}] for number in range(COLLECTIONS_MAX + 1)} | {"c0": [{"n": 3}]}
    verdicts = whole.told(whole.project, "POST", "events", body)
    last = verdicts.pop(f"c{COLLECTIONS_MAX}")
    assert all(one["success"] for found in verdicts.values() for one in found)
    assert [one["error"]["name"] for one in last] == ["InvalidCollectionNameError"] * 2
    assert "ACUMEN_COLLECTIONS_MAX" in last[0]["error"]["description"]
    status, message = post(whole, {"n": 1}, "one_more")
    assert (status, "ACUMEN_COLLECTIONS_MAX" in message) == (400, True)
    assert whole.told(whole.project, "POST", "events", {"one_more": [{}]})["one_more"][0]["success"] is False
    assert post(whole, {"n": 1}, "c1")[0] == 201
    assert names(whole) == {f"c{number}" for number in range(COLLECTIONS_MAX)}


def test_a_deleted_collection_gives_its_place_to_another(whole: Whole) -> None:
    fill(whole)
    assert post(whole, {"n": 1}, "d")[0] == 400
    assert whole.told(whole.project, "DELETE", "events/c1") is None
    assert post(whole, {"n": 1}, "d")[0] == 201
    assert post(whole, {"n": 1}, "e")[0] == 400
    assert names(whole) == {"c0", "c2", "d"}


def test_a_while_later_the_catalog_knows_no_name_of_it(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed_collections, "FREED_SECONDS", 0.0)
    assert post(whole, {"n": 1}, "private")[0] == 201
    whole.flush()
    before = whole.catalog.collections.get(whole.project.id, "private")
    assert whole.told(whole.project, "DELETE", "events/private") is None
    for _ in range(4):
        whole.now_us += HOUR_US
        whole.keeper.step()
    assert whole.catalog.collections.named(whole.project.id, ["private"]) == []
    assert b"private" not in whole.folder.catalog.read_bytes()
    after = whole.catalog.collections.ensure(whole.project.id, "private")
    assert after.id > before.id


def test_a_purged_project_leaves_no_names_of_collections_and_properties(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = whole.new_project()
    whole.record(other, "private_orders", [{"private_price": 1}])
    whole.flush()
    # The audit log names what was deleted for as long as its collection is there.
    filters = [{"property_name": "private_price", "operator": "gt", "property_value": 5}]
    assert whole.told(other, "DELETE", "events/private_orders", filters=filters) is None
    assert "private_price" in str(whole.told(other, "GET", "audit"))
    whole.catalog.projects.delete(other.id)
    monkeypatch.setattr(freed_collections, "FREED_SECONDS", 0.0)
    (deleted,) = whole.catalog.projects.deleted()
    Purge(whole._tools)._purge(deleted)
    for _ in range(5):
        whole.keeper.step()
        whole.now_us += HOUR_US
    whole.catalog.checkpoint()
    assert b"private_" not in whole.folder.catalog.read_bytes()


def test_keys_with_different_autofills_know_nothing_of_each_others_tokens(whole: Whole) -> None:
    """Nor does whoever writes without one; and each frees its own tokens when its event is deleted."""
    keys = [*(access_key(whole, customer) for customer in ("one", "other")), whole.project.write_key]
    event = {"keen": {"uniqueness_token": "order-1001"}}
    filters = [{"property_name": "customer", "operator": "eq", "property_value": "one"}]
    for _ in range(2):
        for key in keys * 2:
            reply = whole.call(whole.project, "POST", "events/orders", event, key=key)
            assert reply.status_code == 201
        grouped = {"event_collection": "orders", "group_by": "customer"}
        counts = whole.told(whole.project, "POST", "queries/count", grouped)["result"]
        assert {row["customer"]: row["result"] for row in counts} == {"one": 1, "other": 1, None: 1}
        assert whole.told(whole.project, "DELETE", "events/orders", filters=filters) is None


def access_key(whole: Whole, customer: str) -> str:
    wanted = {
        "name": customer,
        "is_active": True,
        "permitted": ["writes"],
        "options": {"writes": {"autofill": {"customer": customer}}},
    }
    made: str = whole.told(whole.project, "POST", "keys", wanted)["key"]
    return made


def test_what_an_idempotency_key_keeps_is_small_whatever_was_refused(whole: Whole) -> None:
    refused = [{f"{number}$" + "é" * 250 + ".": 1} for number in range(300)]
    body = {"orders": [{"n": 1}, *refused, {"n": 2}], "$" + "x" * 500: [{}, {}], "empty": []}
    headers = {"idempotency-key": "k", "authorization": whole.project.write_key}
    path = f"/3.0/projects/{whole.project.id}/events"
    first, again = [
        whole._loop.run(whole._http.post(path, json=body, headers=headers)).json() for _ in range(2)
    ]
    assert first == again
    assert [one["success"] for one in again["orders"]] == [True, *[False] * 300, True]
    assert all(len(one["error"]["description"]) <= DESCRIPTION_LENGTH_MAX for one in again["orders"][1:-1])
    [(_, claim)] = whole.catalog.claims.find([(request_scope(whole.project.id), "k")]).items()
    assert len(claim.response) < 100
    counted = {"event_collection": "orders"}
    assert whole.told(whole.project, "POST", "queries/count", counted) == {"result": 2}


def test_an_answer_that_was_kept_whole_is_given_as_it_was() -> None:
    old = b'{"counts":{"a":2},"refused":{"a":{"1":{"name":"InvalidPropertyNameError","description":"No."}}}}'
    assert kept_answers.refused(old, []) == {"a": {1: EventRefusal("InvalidPropertyNameError", "No.")}}


def test_nothing_is_logged_by_a_worker_that_has_not_seen_the_catalog_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its collections may have been removed for good; a look at the catalog mends it."""

    async def story() -> None:
        async with intake(tmp_path / "data") as it:
            assert (await it.http.post(it.events + "/a", json={"n": 1})).status_code == 201
            with monkeypatch.context() as patch:
                patch.setattr(collection_cache, "OUTDATED_SECONDS", -1.0)
                await it.session.ingestor.handles.refresh()
                assert (await it.http.post(it.events + "/a", json={"n": 2})).status_code == 503
            await it.session.ingestor.handles.refresh()
            assert (await it.http.post(it.events + "/a", json={"n": 2})).status_code == 201
            assert len(it.lines()) == 2

    run(story())
