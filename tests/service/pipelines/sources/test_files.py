"""Watched files: what is read once, what is read on, and what is said of those that are not read."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.service.pipelines.sources.site import SourceSite

ORDERS = """
[sources.orders]
files = "orders/*"
into = "orders"
time = "at"
"""
FIRST = "id,at,total\na1,2026-11-01T10:00:00Z,5\na2,2026-11-01T11:00:00Z,7\n"
SECOND = "id,at,total\na3,2026-11-02T10:00:00Z,1\n"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SourceSite]:
    made = SourceSite(tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_a_paused_source_is_not_read_until_it_is_resumed(site: SourceSite) -> None:
    site.apply(ORDERS)
    assert site.told("POST", "sources/orders/pause")["health"] == "paused"
    site.write("orders/1.csv", FIRST)
    site.told("POST", "sources/orders/run")  # It waits, as what is asked of a paused pipeline does.
    assert (site.read(), site.source()["events"]) == (0, 0)
    assert site.told("POST", "sources/orders/resume")["paused"] is False
    assert site.read() == 1
    assert (site.source()["events"], site.source()["health"]) == (2, "current")
    # A run that was queued before the pause waits too; applying the folder again does not resume.
    site.write("orders/2.csv", SECOND)
    site.whole.now_us += 3_600_000_000
    site.planner.run_due(site.whole.now_us)
    site.told("POST", "sources/orders/pause")
    site.apply(ORDERS.replace('"orders/*"', '["orders/*"]'))
    assert not site.worker.execute_next()
    assert (site.source()["paused"], site.source()["version"]) == (True, 2)
    site.told("POST", "sources/orders/resume")
    assert site.worker.execute_next()
    assert site.count() == 3


def test_each_file_is_read_once_whatever_its_format(site: SourceSite) -> None:
    assert site.apply(ORDERS) == [{"action": "create", "name": "orders"}]
    assert site.source()["health"] == "new"
    site.write("orders/1.csv", FIRST)
    site.write("orders/2.ndjson", '{"id": "a3", "at": "2026-11-02T10:00:00Z", "total": 1}\n')
    site.write("orders/3.json.gz", gzip.compress(b'[{"id":"a4","at":"2026-11-03T10:00:00Z","total":2}]'))
    pq.write_table(
        pa.table({"id": ["a5"], "at": ["2026-11-04T10:00:00Z"], "total": [9]}),
        site.folder / "orders" / "4.parquet",
    )
    os.utime(site.folder / "orders" / "4.parquet", (1_790_000_000, 1_790_000_000))
    assert site.read() == 1
    assert [(row["id"], row["total"], row["keen"]["timestamp"][:10]) for row in site.rows()] == [
        ("a1", 5, "2026-11-01"),
        ("a2", 7, "2026-11-01"),
        ("a3", 1, "2026-11-02"),
        ("a4", 2, "2026-11-03"),
        ("a5", 9, "2026-11-04"),
    ]
    assert site.read() == 0
    told = site.source()
    assert (told["health"], told["events"], told["files"]) == ("current", 5, {"read": 4})
    assert [one["path"] for one in told["newest_files"] if one["events"] == 2] == ["orders/1.csv"]
    assert list(site.whole.folder.sources.iterdir()) == []
    # And clients may send to the collection as before.
    site.told("POST", "events/orders", {"id": "b", "total": 3})
    assert site.count() == 6


def test_what_is_being_written_or_hidden_is_left_alone(site: SourceSite) -> None:
    site.apply(ORDERS)
    site.write("orders/young.csv", FIRST, age=0)
    site.write("orders/.hidden.csv", FIRST)
    site.write("orders/half.csv.part", FIRST)
    (site.folder / "orders" / "folder").mkdir()
    os.mkfifo(site.folder / "orders" / "pipe")
    outside = site.root / "outside.csv"
    outside.write_text(FIRST)
    (site.folder / "orders" / "link.csv").symlink_to(outside)
    assert site.read() == 0
    site.write("orders/young.csv", FIRST)
    assert site.read() == 1
    assert site.count() == 2


def test_a_file_is_its_content_whatever_its_name(site: SourceSite) -> None:
    site.apply(ORDERS)
    path = site.write("orders/1.csv", FIRST)
    site.read()
    path.rename(path.with_name("renamed.csv"))
    os.utime(path.with_name("renamed.csv"))
    site.write("orders/renamed.csv", FIRST)
    site.write("orders/copy.csv", FIRST)
    site.read()
    assert site.count() == 2
    assert site.source()["files"] == {"read": 1, "same": 2}
    assert site.source()["health"] == "current"


def test_a_bad_file_is_refused_as_a_whole_and_says_where(site: SourceSite) -> None:
    site.apply(ORDERS)
    bad = FIRST + "a3,yesterday,1\n" + "a4,2026-11-03T10:00:00Z,1,9\n" + "a5,,2\n"
    site.write("orders/1.csv", bad)
    site.write("orders/2.csv", SECOND)
    site.write("orders/3.csv.gz", gzip.compress(FIRST.encode())[:-12])
    site.write("orders/4.xlsx", b"PK\x03\x04 and so on")
    site.read()
    assert [row["id"] for row in site.rows()] == ["a3"]
    told = site.source()
    assert told["health"] == "failing"
    assert told["problem"].startswith("3 files are not read, the first orders/1.csv: 3 rows at fault.")
    said = {one["path"]: one["problem"] for one in told["newest_files"] if one["state"] == "failed"}
    assert "line 4: " in said["orders/1.csv"]
    assert "line 5: " in said["orders/1.csv"]
    assert "line 6: It has no 'at', which is to be its time." in said["orders/1.csv"]
    assert "is a ZIP archive" in said["orders/4.xlsx"]
    assert said["orders/3.csv.gz"]
    assert site.read() == 0, "a bad file is not read again and again"
    site.write("orders/1.csv", FIRST, age=30)
    (site.folder / "orders" / "3.csv.gz").unlink()
    (site.folder / "orders" / "4.xlsx").unlink()
    site.read()
    assert site.count() == 3
    assert (site.source()["health"], site.source()["problem"]) == ("current", None)


def test_bad_rows_may_be_left_out(site: SourceSite) -> None:
    site.apply(f'{ORDERS}on_error = "drop"\n')
    site.write("orders/1.csv", FIRST + "a3,yesterday,1\n")
    site.write("orders/2.ndjson", '{"at": "2026-11-02T10:00:00Z"}\n{"at": \n[1]\n{"total": 3}\n')
    site.read()
    assert site.count() == 3
    told = site.source()
    assert (told["health"], told["events"], told["refused"]) == ("current", 3, 4)
    said = {one["path"]: one["problem"] for one in told["newest_files"]}
    assert said["orders/1.csv"].startswith("1 row at fault. line 4: ")
    assert said["orders/2.ndjson"].startswith("3 rows at fault. line 2: Not valid JSON")
    assert "line 4: It has no 'at'" in said["orders/2.ndjson"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (FIRST[:-1].rpartition("\n")[0] + "\n", "It was cut: it had"),
        (FIRST + SECOND.partition("\n")[2], "It has grown from"),
        (FIRST.replace("a1", "b1"), "Its content is another"),
    ],
)
def test_a_file_that_changes_is_not_read_again_unless_told(site: SourceSite, content: str, said: str) -> None:
    site.apply(ORDERS)
    site.write("orders/1.csv", FIRST)
    site.read()
    site.write("orders/1.csv", content, age=30)
    site.read()
    assert site.count() == 2
    told = site.source()
    assert told["health"] == "failing"
    assert said in told["problem"]
    assert "What was stored stays, and what it holds now is not read." in told["problem"]
    site.write("orders/1.csv", FIRST, age=20)
    site.read()
    assert (site.count(), site.source()["health"]) == (2, "current")


def test_a_changed_file_is_read_again_by_the_ids_of_its_rows(site: SourceSite) -> None:
    site.apply(f'{ORDERS}id = "id"\nchanges = "again"\n')
    site.write("orders/1.csv", FIRST)
    site.read()
    site.write("orders/1.csv", SECOND + FIRST.partition("\n")[2].replace(",5", ",6"), age=30)
    site.read()
    assert [(row["id"], row["total"]) for row in site.rows()] == [("a1", 5), ("a2", 7), ("a3", 1)]


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_a_file_that_grows_is_read_on_by_whole_lines(site: SourceSite, kind: str) -> None:
    def line(number: int) -> str:
        at = f"2026-11-01T{number:02}:00:00Z"
        return f"n{number},{at}\n" if kind == "csv" else json.dumps({"id": f"n{number}", "at": at}) + "\n"

    site.apply(f'{ORDERS}changes = "append"\n')
    content = ("id,at\n" if kind == "csv" else "") + line(1) + line(2)
    site.write("orders/log", content + line(3)[:4])
    site.read()
    assert [row["id"] for row in site.rows()] == ["n1", "n2"]
    content += line(3)
    site.write("orders/log", content, age=50)
    site.read()
    content += line(4) + line(5)
    site.write("orders/log", content, age=40)
    site.read()
    assert site.read() == 0
    assert [row["id"] for row in site.rows()] == ["n1", "n2", "n3", "n4", "n5"]
    bad = line(6).replace("2026-11-01T06", "soon")
    site.write("orders/log", content + bad, age=30)
    site.read()
    assert f"line {7 if kind == 'csv' else 6}: " in site.source()["problem"]
    site.write("orders/log", content + line(6), age=20)
    site.read()
    assert (site.count(), site.source()["health"]) == (6, "current")
    # Cut and begun anew, as logs are that are rotated in place: it is no longer what was read.
    site.write("orders/log", line(7), age=10)
    site.read()
    assert "It was cut" in site.source()["problem"]
    assert site.count() == 6


def test_a_run_that_is_asked_for_looks_at_bad_files_again(site: SourceSite) -> None:
    site.apply(ORDERS)
    site.write("orders/1.csv", FIRST.replace("at,", "when,"))
    site.read()
    assert site.count() == 0
    site.apply(ORDERS.replace('"at"', '"when"'))
    site.read()
    assert site.count() == 0
    assert site.told("POST", "sources/orders/run")["name"] == "orders"
    assert site.worker.execute_next()
    assert (site.count(), site.source()["health"]) == (2, "current")


def test_many_files_of_one_look_are_each_read_once(site: SourceSite) -> None:
    site.apply(ORDERS)
    for number in range(30):
        site.write(f"orders/{number}.csv", FIRST if number % 3 == 0 else FIRST.replace("a1", f"b{number}"))
    assert site.read() == 1
    assert site.source()["files"] == {"read": 21, "same": 9}
    assert site.count() == 42


def test_a_large_file_and_a_missing_folder_are_said(tmp_path: Path) -> None:
    site = SourceSite(tmp_path, source_bytes=100)
    try:
        site.apply(ORDERS)
        site.write("orders/1.csv", FIRST * 3)
        site.read()
        assert "more than 100 bytes (ACUMEN_SOURCE_BYTES)" in site.source()["problem"]
        site.root.rename(tmp_path / "elsewhere")
        site.read()
        assert "of ACUMEN_SOURCE_FOLDER does not exist" in site.source()["problem"]
        (tmp_path / "elsewhere").rename(site.root)
    finally:
        site.close()


def test_a_source_goes_on_when_it_is_changed_and_begins_anew_when_it_is_made_anew(site: SourceSite) -> None:
    site.apply(ORDERS)
    site.write("orders/1.csv", FIRST)
    site.read()
    assert site.apply(ORDERS) == []
    assert site.apply(f'{ORDERS}every = "2_minutes"\n') == [{"action": "change", "name": "orders"}]
    assert site.read() == 0
    said = site.refused(ORDERS.replace('into = "orders"', 'into = "others"'))
    assert "sources.orders: cannot go on where it is with another 'into'" in said
    assert "lacks the source orders" in site.refused("", 409)
    assert site.apply("", remove=True) == [{"action": "remove", "name": "orders"}]
    assert site.told("GET", "sources") == []
    assert site.count() == 2
    site.apply(ORDERS)
    site.read()
    assert site.count() == 4, "a source that is made anew reads all from its start"


def test_a_source_and_a_pipeline_may_not_fill_one_collection(site: SourceSite) -> None:
    pipeline = '[pipelines.p]\nfrom = "a"\ninto = "orders"\n'
    assert "is the output of the pipeline 'p'" in site.refused(ORDERS + pipeline)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('files = "../x.csv"', "must be a path below the project's folder"),
        ('files = "/etc/*"', "must be a path below the project's folder"),
        ('files = "a**/x"', "must be a path below the project's folder"),
        ('files = "*"\nchanges = "maybe"', "must be one of 'refuse', 'append', 'again'"),
        ('files = "*"\nchanges = "again"', "'again' needs 'id'"),
        ('files = "*"\nevery = "1_fortnights"', "must be a length of time"),
        ('files = "*"\ntime = "at"\ntime_format = "odd"', "'time_format' is auto, epoch"),
        ('files = "*"\ntimezone = "Europe/Berlin"', "'timezone' goes with 'time'"),
        ('files = "*"\nformat = "xls"', "'format' is one of"),
        ('files = "*"\nfile = "x"', "has no key 'file'"),
        ("", "needs one of 'files', 'url', 'query' and 'plugin'"),
    ],
)
def test_a_wrong_definition_is_refused_by_its_place(site: SourceSite, more: str, said: str) -> None:
    message = site.refused(f'[sources.orders]\ninto = "orders"\n{more}\n')
    assert message.startswith("'file': sources.orders")
    assert said in message


def test_a_server_without_a_folder_for_sources_refuses_them(tmp_path: Path) -> None:
    site = SourceSite(tmp_path, source_folder=None)
    try:
        assert "ACUMEN_SOURCE_FOLDER is not set" in site.refused(ORDERS)
    finally:
        site.close()


def test_events_of_a_source_count_towards_the_quotas(tmp_path: Path) -> None:
    site = SourceSite(tmp_path, quota_events_per_day=2)
    try:
        site.apply(ORDERS)
        site.write("orders/1.csv", FIRST)
        site.write("orders/2.csv", SECOND)
        site.read()
        assert site.count() == 2
        assert "limit of 2 events a day" in site.source()["problem"]
        assert site.stored().pending is not None, "what was read is kept until the quota is there again"
    finally:
        site.close()
