"""What owners of a project are told of its deletions, its files, and what it was sent and asked."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from storage.catalog.stored.records import ErasureKind
from tests.service.whole import Whole

DAY = timedelta(days=1)
OF_BOB = [{"property_name": "user", "operator": "eq", "property_value": "bob"}]


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    made = Whole(tmp_path / "data", quota_events_per_month=1_000, rate_queries=500)
    yield made
    made.close()


def told(whole: Whole, path: str, **query: Any) -> Any:
    return whole.told(whole.project, "GET", path, **query)


def people(whole: Whole, *names: str) -> None:
    whole.record(whole.project, "logins", [{"user": name} for name in names])


class TestErasures:
    def test_one_that_is_done_tells_what_it_took_and_forgets_by_what(self, whole: Whole) -> None:
        people(whole, "ann", "bob", "bob")
        whole.call(whole.project, "DELETE", "events/logins", filters=OF_BOB)
        [one] = told(whole, "erasures")
        assert (one["kind"], one["state"], one["events"]) == ("events", "done", 2)
        assert (one["event_collection"], one["filters"], one["timeframe"]) == ("logins", None, None)
        assert one["requested_at"] <= one["ended_at"]
        assert told(whole, f"erasures/{one['id']}") == one

    def test_one_that_waits_tells_what_it_will_take(self, whole: Whole) -> None:
        people(whole, "ann")
        collection = whole.catalog.collections.get(whole.project.id, "logins").id
        given = {"filters": OF_BOB, "start_us": 0, "end_us": None}
        whole.catalog.erasures.request(collection, ErasureKind.EVENTS, given)
        [one] = told(whole, "erasures")
        assert (one["state"], one["filters"], one["on_disk"]) == ("waiting", OF_BOB, None)
        assert one["timeframe"] == {"start": "1970-01-01T00:00:00.000000+00:00", "end": None}

    def test_a_collection_that_is_gone_has_no_name(self, whole: Whole) -> None:
        people(whole, "ann")
        whole.call(whole.project, "DELETE", "events/logins")
        [one] = told(whole, "erasures")
        assert (one["event_collection"], one["events"]) == (None, 1)
        assert "logins" not in str(one)

    def test_bytes_are_there_until_files_and_segments_are_gone(self, whole: Whole) -> None:
        people(whole, "ann", "bob")
        whole.flush()
        whole.call(whole.project, "DELETE", "events/logins", filters=OF_BOB)
        [one] = told(whole, "erasures")
        assert one["on_disk"]["files"] == 1 and one["on_disk"]["bytes"] > 0
        assert not one["on_disk"]["gone"] and one["on_disk"]["by"] > one["ended_at"]
        segments = sorted(whole.folder.logs.rglob("*.seg"))
        long_ago = whole.now_us / 1_000_000 - 10
        for path in segments:
            os.utime(path, (long_ago, long_ago))
        whole.now_us += 3_600_000_000
        people(whole, "cal")
        while (left := told(whole, "erasures")[0]["on_disk"])["files"] or left["segments"]:
            whole.flush()
            whole.now_us += 60_000_000
        assert left == {"gone": True, "files": 0, "bytes": 0, "segments": 0, "by": None}

    def test_they_come_in_pages_newest_first_and_of_the_project_alone(self, whole: Whole) -> None:
        people(whole, "ann")
        for _ in range(3):
            whole.call(whole.project, "DELETE", "events/logins", filters=OF_BOB)
        ids = [one["id"] for one in told(whole, "erasures")]
        assert ids == sorted(ids, reverse=True) and len(ids) == 3
        assert [one["id"] for one in told(whole, "erasures", limit=1, before=ids[0])] == [ids[1]]
        other = whole.new_project()
        assert whole.told(other, "GET", "erasures") == []
        for named in (ids[0], "0", "-1", "x", "9" * 30, ids[0] + 1_000):
            assert whole.call(other, "GET", f"erasures/{named}").status_code == 404


class TestFiles:
    def test_each_collection_tells_what_it_holds(self, whole: Whole) -> None:
        whole.record(
            whole.project, "a", [{"keen": {"timestamp": f"2026-01-0{day}T00:00:00Z"}} for day in (2, 1)]
        )
        assert [one["files"] for one in told(whole, "files")] == [0]
        whole.flush()
        whole.record(whole.project, "b", [{"n": 1}])
        whole.flush()
        a, b = told(whole, "files")
        assert (a["event_collection"], a["files"], a["events"], a["damaged"]) == ("a", 1, 2, 0)
        assert (a["first"][:10], a["last"][:10]) == ("2026-01-01", "2026-01-02")
        assert b["bytes"] == whole.catalog.activity.stored_bytes(whole.project.id) - a["bytes"]
        assert whole.told(whole.new_project(), "GET", "files") == []

    def test_what_is_kept_besides_is_told(self, tmp_path: Path) -> None:
        """Of merged files for earlier versions, and partial answers of those that questions read."""
        whole = Whole(tmp_path / "kept", partials_events_min=1, partials_share=1.0)
        for number in range(4):
            whole.record(whole.project, "a", [{"n": number, "text": "x" * 300} for _ in range(50)])
            whole.flush()
        [before] = told(whole, "files")
        assert (before["superseded_files"], before["superseded_bytes"], before["partials_bytes"]) == (0, 0, 0)
        whole.told(whole.project, "POST", "queries/count", {"event_collection": "a", "group_by": "n"})
        deadline = time.monotonic() + 60
        while told(whole, "files")[0]["partials_bytes"] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        whole.merge()
        [one] = told(whole, "files")
        assert (one["files"], one["superseded_files"]) == (1, 4)
        assert one["superseded_bytes"] == before["bytes"]
        assert whole.told(whole.new_project(), "GET", "files") == []
        whole.close()

    def test_the_files_of_one_come_in_pages(self, whole: Whole) -> None:
        for at in range(3):
            whole.record(whole.project, "a", [{"n": at}])
            whole.flush()
        found, after = [], 0
        while after is not None:
            page = told(whole, "files/list", event_collection="a", limit=2, after=after)
            found += page["files"]
            after = page["next"]
        assert [one["events"] for one in found] == [1, 1, 1]
        for one in found:
            path = whole.folder.root / one["path"]
            assert path.stat().st_size == one["bytes"]

    def test_a_damaged_one_is_told_of_and_left_out_of_the_code(self, whole: Whole) -> None:
        for at in range(2):
            whole.record(whole.project, "a", [{"n": at}])
            whole.flush()
        first, second = told(whole, "files/list", event_collection="a")["files"]
        whole.catalog.files.set_aside(first["id"], "it is torn")
        assert told(whole, "files")[0]["damaged"] == 1
        assert told(whole, "files/list", event_collection="a")["files"][0]["damaged"] == "it is torn"
        code = told(whole, "files/code", event_collection="a")["code"]
        assert second["path"] in code and first["path"] not in code and "1 damaged" in code

    def test_the_code_reads_them_in_the_data_folder(
        self, whole: Whole, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole.record(whole.project, "it's", [{"n": at} for at in range(7)])
        whole.flush()
        told_code = told(whole, "files/code", event_collection="it's")
        assert told_code["reader"] == "DuckDB" and str(whole.folder.root) not in told_code["code"]
        monkeypatch.chdir(whole.folder.root)
        connection = duckdb.connect()
        connection.execute(told_code["code"])
        assert connection.execute('SELECT sum(n) FROM "it\'s"').fetchone() == (21,)
        for reader in ("polars", "pandas", "spark"):
            assert told(whole, "files/code", event_collection="it's", reader=reader)["code"]

    def test_a_collection_without_files_says_so(self, whole: Whole) -> None:
        people(whole, "ann")
        assert "no Parquet file yet" in told(whole, "files/code", event_collection="logins")["code"]
        assert told(whole, "files/list", event_collection="logins") == {"files": [], "next": None}


class TestUsage:
    def test_days_and_keys_add_up(self, whole: Whole) -> None:
        key = whole.told(whole.project, "POST", "keys", {"name": "App", "permitted": ["writes"]})
        people(whole, "ann", "bob")
        whole.told(whole.project, "POST", "events/logins", {"user": "cal"}, key=key["key"])
        whole.parts.quotas.sync()
        shown = told(whole, "usage", days=3)
        today = datetime.fromtimestamp(whole.now_us / 1_000_000, UTC).date()
        assert [one["day"] for one in shown["days"]] == [str(today - 2 * DAY), str(today - DAY), str(today)]
        assert [one["events"] for one in shown["days"]] == [0, 0, 3]
        by_kind = {one["kind"]: one for one in shown["keys"]}
        assert by_kind["access"]["events"] == 1 and by_kind["access"]["name"] == "App"
        assert by_kind["access"]["public_id"] == key["public_id"]
        assert by_kind["access"]["last_day"] == str(today)
        assert sum(one["events"] for one in shown["keys"]) == 3
        alone = told(whole, f"usage?days=1&key={key['public_id']}")
        assert [one["events"] for one in alone["days"]] == [1]

    def test_a_key_that_is_gone_is_counted_still(self, whole: Whole) -> None:
        key = whole.told(whole.project, "POST", "keys", {"name": "App", "permitted": ["writes"]})["key"]
        whole.told(whole.project, "POST", "events/logins", {"user": "cal"}, key=key)
        whole.parts.quotas.sync()
        whole.told(whole.project, "DELETE", f"keys/{key}")
        gone = [one for one in told(whole, "usage")["keys"] if one["kind"] == "gone"]
        assert [(one["name"], one["events"]) for one in gone] == [("keys that are gone", 1)]

    def test_limits_in_force_are_told_with_what_is_left(self, whole: Whole) -> None:
        people(whole, "ann")
        whole.parts.quotas.sync()
        shown = told(whole, "usage")
        assert [(one["name"], one["limit"], one["used"], one["left"]) for one in shown["quotas"]] == [
            ("events_per_month", 1_000, 1, 999)
        ]
        assert {"name": "queries", "limit": 500, "of_key": False} in shown["rates"]

    def test_of_another_projects_key_nothing_is_told(self, whole: Whole) -> None:
        other = whole.new_project()
        key = whole.told(other, "POST", "keys", {"name": "App", "permitted": ["writes"]})
        assert whole.call(whole.project, "GET", "usage", key=None).status_code == 200
        reply = whole.call(whole.project, "GET", f"usage?key={key['public_id']}")
        assert reply.status_code == 404
