"""Names are bounded and come back: of properties, of collections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.whole import Whole

PROPERTIES_MAX = 8


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    found = Whole(tmp_path / "data", properties_max=PROPERTIES_MAX)
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
    whole.now_us += 3_600_000_000
    assert post(whole, {"a": 1})[0] == 201
    whole.keeper.step()
    whole.now_us += 60_000_000
    whole.keeper.step()
    assert post(whole, {"c": 1})[0] == 201
