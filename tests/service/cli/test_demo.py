"""``acumen demo``: a shop whose events make sense and are the same every time, in one project."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import __main__ as cli
from service.cli.demo_board import DASHBOARDS, SAVED_QUERIES
from service.cli.demo_shop import COLLECTIONS, DAYS, SALE_DAYS, DemoShop
from storage.catalog.catalog import Catalog
from tests.support.server import Served

NOON_MS = int(datetime.fromisoformat("2026-11-25T12:00:00Z").timestamp() * 1000)
"""A Wednesday."""
DAY_MS = 86_400_000
ORDER = ("page_views", "carts", "checkouts", "purchases")


def events_of(seed: int, count: int, now_ms: int = NOON_MS) -> list[tuple[str, dict[str, Any]]]:
    shop = DemoShop(seed, count, now_ms)
    return [(collection, json.loads(text)) for day in shop.days() for collection, text in day]


def ms_of(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["keen"]["timestamp"]).timestamp() * 1000


@pytest.fixture(scope="module")
def shop() -> list[tuple[str, dict[str, Any]]]:
    return events_of(7, 40_000)


def test_a_seed_makes_the_same_events_on_one_day() -> None:
    assert events_of(1, 2_000) == events_of(1, 2_000)
    assert events_of(1, 2_000) != events_of(2, 2_000)
    later = DemoShop(1, 2_000, NOON_MS + DAY_MS // 3)
    evening, yesterday = list(later.days())[:2]
    noon, before = list(DemoShop(1, 2_000, NOON_MS).days())[:2]
    assert noon == evening[: len(noon)]
    assert before == yesterday[: len(before)]


def test_it_has_as_many_events_as_were_asked_for_in_about_ninety_days(
    shop: list[tuple[str, dict[str, Any]]],
) -> None:
    assert len(shop) == 40_000
    times = [ms_of(event) for _, event in shop]
    assert max(times) <= NOON_MS
    assert NOON_MS - (DAYS + 8) * DAY_MS < min(times) < NOON_MS - (DAYS - 8) * DAY_MS
    assert {collection for collection, _ in shop} == set(COLLECTIONS)


def test_who_buys_came_and_filled_a_cart_before(shop: list[tuple[str, dict[str, Any]]]) -> None:
    """But for sessions of the first day, whose beginning may be left out."""
    first = min(ms_of(event) for _, event in shop) + DAY_MS
    reached: dict[str, dict[str, float]] = defaultdict(dict)
    for collection, event in sorted(shop, key=lambda one: ms_of(one[1])):
        reached[event["session"]["id"]].setdefault(collection, ms_of(event))
    sessions = [times for times in reached.values() if min(times.values()) > first]
    for times in sessions:
        for before, after in pairwise(ORDER):
            if after in times:
                assert before in times
                assert times[before] <= times[after]
    counts = Counter(name for times in sessions for name in times)
    assert counts["page_views"] > 4 * counts["carts"] > 4 * counts["checkouts"] > 4 * counts["purchases"] > 0


def test_it_has_rhythm_growth_and_a_sale(shop: list[tuple[str, dict[str, Any]]]) -> None:
    midnight = NOON_MS - NOON_MS % DAY_MS
    days = Counter(int((midnight - ms_of(event)) // DAY_MS) + 1 for _, event in shop)
    sale = sum(days[ago] for ago in SALE_DAYS) / len(SALE_DAYS)
    usual = [ago for ago in range(1, DAYS - 9) if ago not in SALE_DAYS]
    assert sale > 1.5 * sum(days[ago] for ago in usual) / len(usual)
    assert sum(days[ago] for ago in range(1, 29)) > sum(days[ago] for ago in range(45, 73))
    sundays = [ago for ago in usual if ago % 7 == 3]
    fridays = [ago for ago in usual if ago % 7 == 5]
    assert sum(days[ago] for ago in sundays) > 1.05 * sum(days[ago] for ago in fridays)


def test_users_return_and_some_properties_are_missing(shop: list[tuple[str, dict[str, Any]]]) -> None:
    views = [event for collection, event in shop if collection == "page_views"]
    sessions: dict[str, set[str]] = defaultdict(set)
    for event in views:
        sessions[event["user"]["id"]].add(event["session"]["id"])
    returned = sum(len(found) > 1 for found in sessions.values()) / len(sessions)
    assert 0.1 < returned < 0.9
    for name in ("referrer", "load_ms"):
        assert 0.01 < sum(name not in event for event in views) / len(views) < 0.5
    assert any("city" not in event["geo"] for event in views)
    orders = [event["order"] for collection, event in shop if collection == "purchases"]
    assert any(order["total"] % 1 for order in orders)
    assert any("coupon" in order for order in orders)
    assert any("coupon" not in order for order in orders)


def test_a_stopped_servers_folder_is_filled_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["demo", "--data", str(tmp_path / "data"), "--events", "1200"]
    assert cli.main(command) == 0
    said = capsys.readouterr()
    assert "1,200 events are stored" in said.err
    assert cli.main(command) == 0
    again = capsys.readouterr().out
    assert "already" in again
    assert cli.main([*command, "--name", "Another shop"]) == 0
    catalog = Catalog.open(tmp_path / "data")
    try:
        first, second = catalog.projects.all()
        assert (first.name, second.name) == ("Demo shop", "Another shop")
        for text in (first.id, first.master_key, first.write_key, first.read_key):
            assert text in said.out
        assert f"acumen projects delete {first.id}" in again
        for project in (first, second):
            rows = 0
            for collection in catalog.collections.of_project(project.id):
                rows += sum(file.rows for file in catalog.files.live(collection.id))
            assert rows == 1_200
            assert {one.name for one in catalog.saved_queries.of_project(project.id)} == set(SAVED_QUERIES)
            assert {one.name for one in catalog.dashboards.of_project(project.id)} == set(DASHBOARDS)
    finally:
        catalog.close()


def test_a_running_server_shows_what_the_command_names(capsys: pytest.CaptureFixture[str]) -> None:
    """Every saved query has a result, and every address that is printed answers."""
    with Served() as server:
        command = ["demo", "--data", str(server.data), "--events", "3000"]
        assert cli.main(command) == 0
        said = capsys.readouterr().out
        ((project_id, read_key),) = re.findall(r"Project +(\w+).*Read key +(\w+)", said, re.DOTALL)
        with httpx.Client(base_url=server.url, headers={"authorization": read_key}) as client:
            path = f"/3.0/projects/{project_id}/queries"
            counts = [
                client.get(f"{path}/count", params={"event_collection": name}).json()["result"]
                for name in COLLECTIONS
            ]
            assert sum(counts) == 3_000
            for name in SAVED_QUERIES:
                answer = client.get(f"{path}/saved/{name}/result")
                assert answer.status_code == 200, answer.text
                assert answer.json()["metadata"]["display_name"]
        addresses = re.findall(r"http://127\.0\.0\.1:8000(/\S+)[ '\n]", said)
        assert len(addresses) == len(DASHBOARDS) + 3
        assert addresses[0] == "/app/"
        assert said.index("/app/") < said.index("first-link") < said.index("Master key") < said.index("curl")
        for address in addresses:
            answer = httpx.get(server.url + address.rstrip("'"))
            assert answer.status_code == 200, answer.text
            if "/embed" in address:
                assert "<acumen-dashboard" in answer.text


def test_nothing_is_left_of_a_shop_that_could_not_be_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACUMEN_PROPERTIES_MAX", "3")
    assert cli.main(["demo", "--data", str(tmp_path / "data"), "--events", "300"]) == 1
    assert "could not be stored" in capsys.readouterr().err
    catalog = Catalog.open(tmp_path / "data")
    try:
        assert catalog.projects.all() == []
    finally:
        catalog.close()


@pytest.mark.parametrize("count", ["0", "-1", "10000001"])
def test_a_count_out_of_bounds_is_refused(
    tmp_path: Path, count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "--data", str(tmp_path / "data"), "--events", count]) == 1
    assert "--events is a number from 1 to" in capsys.readouterr().err
