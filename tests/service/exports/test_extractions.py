"""Extractions that become files: asked for, made, fetched by a link, and taken away when they must be."""

from __future__ import annotations

import gzip
import io
import json
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq
import pytest
from keen import scoped_keys

from query.errors import QueryCancelled
from service.errors import DAMAGED
from service.exports import export_task
from service.exports.export_task import ATTEMPTS_MAX, LEASE_SECONDS, Exporter
from service.exports.file_writer import Output
from service.exports.jobs import ERASED, OVERDUE, PROCESSING_NO_MAIL, REVOKED, Links
from service.maintenance.purge_task import Purge
from storage.catalog.catalog import system_clock
from storage.catalog.derived.records import ExportState
from storage.catalog.stored.records import ErasureKind
from storage.catalog.tenants.records import KeyKind
from storage.log.errors import LogUnreadable
from storage.read.snapshot_reader import SnapshotUnstable
from storage.source import SourceGone
from tests.service.export_bench import BASE, Bench
from tests.service.whole import Whole
from tests.support.server import TAKES_SCOPED_KEYS, Served, ServedProject

DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("extractions") / "data", min_free_bytes=0)
    sent: list[dict[str, Any]] = [{"n": 1, "who": "ann", "tags": ["x"]}, {"n": 2, "who": "bob"}]
    sent.append({"n": 3, "who": "=bob"})
    made.record("c", *(at(event["n"], event) for event in sent))
    yield made
    made.close()


def at(second: int, event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "keen": {"timestamp": datetime.now(UTC).replace(microsecond=second).isoformat()}}


@pytest.fixture
def bench(shared: Bench) -> Iterator[Bench]:
    """With no job of another test."""
    yield shared
    for job in shared.catalog.exports.of_project(shared.project.id):
        shared.call("DELETE", f"extractions/{job.id}")
    assert shared.files() == []


def lines(bench: Bench, job: dict[str, Any]) -> list[dict[str, Any]]:
    reply = bench.call("GET", job["file_url"], key="")
    assert reply.status_code == 200, reply.text
    return [json.loads(line) for line in reply.text.splitlines()]


def filtered_key(bench: Bench, value: str) -> str:
    where = [{"property_name": "who", "operator": "eq", "property_value": value}]
    body = {
        "name": value,
        "is_active": True,
        "permitted": ["queries"],
        "options": {"queries": {"filters": where}},
    }
    key: str = bench.call("POST", "keys", body).json()["key"]
    return key


# Asking


def test_a_file_is_asked_for_made_and_fetched_without_a_key(bench: Bench) -> None:
    job = bench.ask(bench.project.read_key, content_type="application/json")
    assert (job["state"], job["file_url"], job["progress"]) == ("queued", None, {"events": 0, "of": None})
    bench.work()
    done = bench.shown(job, bench.project.read_key)
    assert (done["state"], done["progress"]) == ("done", {"events": 3, "of": 3})
    told = bench.call("POST", "queries/extraction", {"event_collection": "c"}).json()["result"]
    assert lines(bench, done) == told
    assert done["bytes"] == len(bench.call("GET", done["file_url"], key="").content)
    assert done["file_url"].startswith(BASE)
    assert bench.files() == [bench.kept(done).file]


def test_a_get_asks_as_a_post_does(bench: Bench) -> None:
    query = "queries/extraction?event_collection=c&delivery=link&content_type=application/json&latest=1"
    job = bench.call("GET", query + '&property_names=["n"]').json()["job"]
    bench.work()
    assert lines(bench, bench.shown(job)) == [{"n": 3}]


def test_a_relative_timeframe_is_read_by_the_clock_of_questions(tmp_path: Path) -> None:
    then = datetime(2020, 1, 2, 12, tzinfo=UTC)
    whole = Whole(tmp_path / "data", int(then.timestamp()) * 1_000_000, min_free_bytes=0)
    times = ("2020-01-01T23:00:00Z", "2020-01-02T10:00:00Z", "2020-01-02T11:00:00Z")
    whole.record(whole.project, "c", [{"keen": {"timestamp": time}} for time in times])
    asked = {"event_collection": "c", "timeframe": "this_1_days", "delivery": "link"}
    job = whole.told(whole.project, "POST", "queries/extraction", asked)["job"]
    whole.export()
    (done,) = whole.told(whole.project, "GET", "extractions")["extractions"]
    assert (done["id"], done["state"], done["progress"]["events"]) == (job["id"], "done", 2)
    whole.close()


def test_each_format_has_its_type_and_name(bench: Bench) -> None:
    for content_type, packed, media, ending in (
        ("text/csv", False, "text/csv; charset=utf-8", ".csv"),
        ("text/csv", True, "application/gzip", ".csv.gz"),
        ("application/json", False, "application/x-ndjson", ".ndjson"),
        ("application/json", True, "application/gzip", ".ndjson.gz"),
        ("application/vnd.apache.parquet", False, "application/vnd.apache.parquet", ".parquet"),
    ):
        encoding = {"content_encoding": "gzip"} if packed else {}
        job = bench.made(content_type=content_type, property_names=["n", "who"], **encoding)
        reply = bench.call("GET", job["file_url"], key="")
        assert reply.headers["content-type"] == media
        assert "content-encoding" not in reply.headers
        assert reply.headers["x-content-type-options"] == "nosniff"
        name = f"c-{job['id'][:8]}{ending}"
        assert reply.headers["content-disposition"] == f'attachment; filename="{name}"'
        data = gzip.decompress(reply.content) if packed else reply.content
        if ending.startswith(".csv"):
            assert data == b"n,who\r\n3,'=bob\r\n2,bob\r\n1,ann\r\n"
        elif ending.startswith(".ndjson"):
            assert json.loads(data.splitlines()[1]) == {"n": 2, "who": "bob"}
        else:
            rows = pq.read_table(io.BytesIO(data)).to_pylist()
            assert rows[0] == {"n": 3.0, "who": "=bob"}


def test_a_relative_timeframe_is_that_of_the_request(bench: Bench) -> None:
    job = bench.ask(content_type="application/json", timeframe="this_1_day")
    question = json.loads(bench.kept(job).question)
    assert question["end_us"] - question["start_us"] == DAY_US
    bench.work()
    assert len(lines(bench, bench.shown(job))) == 3
    assert bench.kept(job).question == "{}", "what filters name is not kept any longer than needed"


def test_an_unknown_collection_is_a_file_of_nothing(bench: Bench) -> None:
    job = bench.made(event_collection="none", content_type="application/json")
    assert (lines(bench, job), job["bytes"], job["progress"]) == ([], 0, {"events": 0, "of": 0})


def test_a_mail_without_a_mail_server_is_a_link(bench: Bench) -> None:
    for name in ("email", "email_address"):
        asked = {"event_collection": "c", name: "ann@example.com"}
        reply = bench.call("POST", "queries/extraction", asked, key=bench.project.read_key).json()
        assert reply["result"] == PROCESSING_NO_MAIL
        assert reply["job"]["url"].endswith(f"/extractions/{reply['job']['id']}")
        assert "email" not in reply["job"]


@pytest.mark.parametrize("email", ["", None])
def test_an_empty_address_is_none(bench: Bench, email: str | None) -> None:
    asked = {"event_collection": "c", "email": email, "content_type": "text/csv"}
    assert len(bench.call("POST", "queries/extraction", asked).json()["result"]) == 3


@pytest.mark.parametrize(
    ("params", "status", "code", "says"),
    [
        ({"email": "ann"}, 400, "InvalidParameterError", "'email'"),
        ({"email": "ann@example.com\r\nBcc: all@example.com"}, 400, "InvalidParameterError", "'email'"),
        ({"email": "a@b.c, d@e.f"}, 400, "InvalidParameterError", "'email'"),
        ({"email": "Ann <ann@example.com>"}, 400, "InvalidParameterError", "'email'"),
        ({"email": ["ann@example.com"]}, 400, "InvalidParameterError", "'email'"),
        ({"email": 7}, 400, "InvalidParameterError", "'email'"),
        ({"email": "=?utf-8?q?all=40evil.com=2c?=@example.com"}, 400, "InvalidParameterError", "'email'"),
        ({"email": "all%evil.com@example.com"}, 400, "InvalidParameterError", "'email'"),
        ({"email": "evil.com!all@example.com"}, 400, "InvalidParameterError", "'email'"),
        ({"email": "é@example.com"}, 400, "InvalidParameterError", "'email'"),
        ({"email": "a" * 300 + "@example.com"}, 400, "InvalidParameterError", "'email'"),
        ({"email": "a@example.com", "delivery": "link"}, 400, "InvalidParameterError", "'delivery'"),
        ({"delivery": "pigeon"}, 400, "InvalidParameterError", "'delivery'"),
        ({"delivery": ["link"]}, 400, "InvalidParameterError", "'delivery'"),
        ({"delivery": "link", "content_type": "text/html"}, 400, "InvalidParameterError", "'content_type'"),
        ({"delivery": "link", "content_type": 1}, 400, "InvalidParameterError", "'content_type'"),
        ({"delivery": "link", "content_encoding": "br"}, 400, "InvalidParameterError", "'content_encoding'"),
        (
            {
                "delivery": "link",
                "content_type": "application/vnd.apache.parquet",
                "content_encoding": "gzip",
            },
            400,
            "InvalidParameterError",
            "'content_encoding'",
        ),
        ({"delivery": "link", "event_collection": None}, 400, "MissingRequiredRequestFieldError", "event_c"),
        ({"delivery": "link", "timeframe": "soon"}, 400, "TimeframeDefinitionError", "soon"),
        ({"delivery": "link", "latest": 0}, 400, "InvalidParameterError", "latest"),
        ({"delivery": "link", "latest": 10_000_001}, 400, "QueryLimitError", "latest"),
        ({"delivery": "link", "filters": [{}]}, 400, "InvalidFilterError", "filters[0]"),
    ],
)
def test_what_can_not_be_used_is_told_at_once(
    bench: Bench, params: dict[str, Any], status: int, code: str, says: str
) -> None:
    asked = {"event_collection": "c", **params}
    reply = bench.call("POST", "queries/extraction", asked, key=bench.project.read_key)
    assert (reply.status_code, reply.json()["error_code"]) == (status, code), reply.text
    assert says in reply.json()["message"]
    assert bench.catalog.exports.of_project(bench.project.id) == []


def test_a_key_that_may_not_query_may_not_extract(bench: Bench) -> None:
    asked = {"event_collection": "c", "delivery": "link"}
    for method, path in (
        ("POST", "queries/extraction"),
        ("GET", "extractions"),
        ("GET", "extractions/x"),
        ("DELETE", "extractions/x"),
    ):
        reply = bench.call(method, path, asked if method == "POST" else None, key=bench.project.write_key)
        assert reply.status_code == 403


# Who sees what


def test_a_key_with_filters_gets_its_events_and_sees_its_own_jobs_alone(bench: Bench) -> None:
    ann, bob = filtered_key(bench, "ann"), filtered_key(bench, "bob")
    every = bench.made(content_type="text/csv")
    mine = bench.made(ann, content_type="text/csv", email="ann@example.com")
    assert mine["progress"] == {"events": 1, "of": 1}
    head, line = bench.call("GET", mine["file_url"], key="").text.splitlines()
    assert head == "keen.created_at,keen.id,keen.timestamp,n,tags,who"
    assert line.endswith(',1,"[""x""]",ann')
    theirs = bench.made(bob, content_type="text/csv", property_names=["n", "tags"])
    assert bench.call("GET", theirs["file_url"], key="").text == "n,tags\r\n2,\r\n"

    def listed(key: str) -> list[str]:
        return [one["id"] for one in bench.call("GET", "extractions", key=key).json()["extractions"]]

    assert listed(ann) == [mine["id"]]
    assert listed(bob) == [theirs["id"]]
    assert listed(bench.project.read_key) == [theirs["id"], mine["id"], every["id"]]
    for job in (every, mine):
        for method in ("GET", "DELETE"):
            assert bench.call(method, job["url"], key=bob).status_code == 404


def test_a_key_whose_filters_were_changed_does_not_see_what_it_saw(bench: Bench) -> None:
    key = filtered_key(bench, "ann")
    job = bench.made(key)
    where = [{"property_name": "who", "operator": "eq", "property_value": "bob"}]
    body = {
        "name": "ann",
        "is_active": True,
        "permitted": ["queries"],
        "options": {"queries": {"filters": where}},
    }
    assert bench.call("POST", f"keys/{key}", body).status_code == 200
    deadline = time.monotonic() + 120
    while bench.call("GET", job["url"], key=key).status_code != 404:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_a_key_asked_for_dies_with_it_and_lives_again_with_it(bench: Bench) -> None:
    """A key is revoked because it is in the wrong hands, and links that were made with it are there too."""
    key = filtered_key(bench, "ann")
    done, other = bench.made(key), bench.made()

    def statuses() -> list[int]:
        return [bench.call("GET", job["file_url"], key="").status_code for job in (done, other)]

    assert statuses() == [200, 200]
    waiting = bench.ask(key)
    bench.call("POST", f"keys/{key}/revoke")
    assert statuses() == [410, 200]
    assert bench.call("GET", done["file_url"], key="").json()["message"] == REVOKED
    bench.work()
    assert (bench.shown(waiting)["state"], bench.shown(waiting)["message"]) == ("failed", REVOKED)
    bench.call("POST", f"keys/{key}/unrevoke")
    assert statuses() == [200, 200]
    bench.call("DELETE", f"keys/{key}")
    assert statuses() == [410, 200]


def test_what_keys_of_the_project_asked_for_dies_with_them(tmp_path: Path) -> None:
    """A scoped key is one as long as the master key is that made it."""
    bench = Bench(tmp_path / "data", min_free_bytes=0)
    bench.catalog.projects.update(bench.project.id, preferences=TAKES_SCOPED_KEYS)
    bench.parts.tenants.look_again()
    bench.record("c", {"n": 1})
    scope = {"allowed_operations": ["read"], "filters": []}
    keys = (
        bench.project.read_key,
        bench.project.master_key,
        scoped_keys.encrypt(bench.project.master_key, scope),
    )
    jobs = [bench.made(key) for key in keys]

    def statuses() -> list[int]:
        bench.parts.tenants.look_again()
        return [bench.call("GET", job["file_url"], key="").status_code for job in jobs]

    assert statuses() == [200, 200, 200]
    bench.catalog.projects.renew_keys(bench.project.id, {KeyKind.READ: None})
    assert statuses() == [410, 200, 200]
    bench.catalog.projects.renew_keys(bench.project.id, {KeyKind.MASTER: None})
    assert statuses() == [410, 410, 410]
    bench.close()


def test_another_project_sees_nothing_of_it(bench: Bench) -> None:
    other = bench.new_project()
    job = bench.made()
    elsewhere = job["url"].replace(bench.project.id, other.id)
    for method in ("GET", "DELETE"):
        assert bench.call(method, elsewhere, key=other.master_key).status_code == 404
    reply = bench.call("GET", f"/3.0/projects/{other.id}/extractions", key=other.master_key)
    assert reply.json() == {"extractions": [], "next_page_url": None}
    link = job["file_url"].replace(bench.project.id, other.id)
    assert bench.call("GET", link).status_code == 403


def test_only_who_asked_and_the_master_key_remove_a_job(bench: Bench) -> None:
    job = bench.made()
    reply = bench.call("DELETE", job["url"], key=bench.project.read_key)
    assert (reply.status_code, reply.json()["error_code"]) == (403, "ForbiddenError")
    mine = bench.made(bench.project.read_key)
    assert bench.call("DELETE", mine["url"], key=bench.project.read_key).status_code == 204
    assert bench.call("DELETE", job["url"]).status_code == 204
    assert bench.files() == []
    for one in (job, mine):
        assert bench.call("GET", one["url"]).status_code == 404
        gone = bench.call("GET", one["file_url"])
        assert (gone.status_code, gone.json()["error_code"]) == (410, "ResourceGoneError")


def test_jobs_are_listed_newest_first_in_pages(bench: Bench) -> None:
    jobs = [bench.ask()["id"] for _ in range(5)]
    found, path = [], "extractions?limit=2"
    while path:
        page = bench.call("GET", path).json()
        found += [one["id"] for one in page["extractions"]]
        path = page["next_page_url"]
    assert found == jobs[::-1]
    for limit in ("0", "101", "x", "-1"):
        assert bench.call("GET", f"extractions?limit={limit}").status_code == 400
    assert bench.call("GET", "extractions?before=nobody").status_code == 404


# Links


def test_a_link_that_was_changed_is_refused(bench: Bench) -> None:
    job = bench.made()
    good = urlsplit(job["file_url"])
    expires, signature = (parse_qs(good.query)[name][0] for name in ("expires", "signature"))
    other = bench.made()
    for query in (
        "",
        f"expires={expires}",
        f"signature={signature}",
        f"expires={int(expires) + 1}&signature={signature}",
        f"expires={expires}&signature={'0' * 64}",
        f"expires={expires}&signature={signature[:-1]}",
        f"expires={expires}&signature={signature}é",
        f"expires=9{'9' * 400}&signature={signature}",
        f"expires=x&signature={signature}",
        f"expires={expires}&signature=" + parse_qs(urlsplit(other["file_url"]).query)["signature"][0],
    ):
        reply = bench.call("GET", f"{good.path}?{query}", key=bench.project.master_key)
        assert (reply.status_code, reply.json()["error_code"]) == (403, "ForbiddenError"), query
    assert bench.call("GET", good.path.replace(job["id"], "x") + "?" + good.query).status_code == 403


def test_a_link_ends_when_its_time_is_over(bench: Bench) -> None:
    job = bench.made()
    export = bench.kept(job)
    links = Links(bench.catalog.keyring)
    query = parse_qs(urlsplit(links.path(export)).query)
    expires, signature = query["expires"][0], query["signature"][0]
    assert abs(int(expires) - time.time() - 30 * 86_400) < 60
    links.check(export.project_id, export.id, expires, signature, int(expires) - 1)
    with pytest.raises(Exception, match="kept for its time and has been removed"):
        links.check(export.project_id, export.id, expires, signature, int(expires))
    bench.exporter._swept = float("-inf")
    bench.exporter.run_due(system_clock() + 31 * DAY_US)
    assert bench.files() == []
    assert (bench.shown(job)["state"], bench.shown(job)["message"]) == ("expired", OVERDUE)
    reply = bench.call("GET", job["file_url"])
    assert (reply.status_code, reply.json()["message"]) == (410, OVERDUE)
    bench.exporter._swept = float("-inf")
    bench.exporter.run_due(system_clock() + 62 * DAY_US)
    assert bench.call("GET", job["url"]).status_code == 404


def test_a_part_of_a_file_can_be_fetched_and_its_head(bench: Bench) -> None:
    job = bench.made(property_names="n")
    whole = b"n\r\n3\r\n2\r\n1\r\n"
    for given, status, body in (
        (None, 200, whole),
        ("bytes=3-4", 206, whole[3:5]),
        ("bytes=3-", 206, whole[3:]),
        ("bytes=-3", 206, whole[-3:]),
        ("bytes=3-999", 206, whole[3:]),
        ("bytes=0-1,4-5", 200, whole),
        ("bytes=5-3", 200, whole),
        ("lines=1-2", 200, whole),
        ("bytes=-", 200, whole),
        ("nonsense", 200, whole),
    ):
        headers = {} if given is None else {"range": given}
        reply = bench.call("GET", job["file_url"], key="", **headers)
        assert (reply.status_code, reply.content) == (status, body), given
        head = bench.call("HEAD", job["file_url"], key="", **headers)
        assert (head.status_code, head.content) == (status, b"")
        assert head.headers["content-length"] == str(len(body))
    for given in ("bytes=99-", f"bytes={len(whole)}-", "bytes=-0"):
        reply = bench.call("GET", job["file_url"], key="", range=given)
        assert (reply.status_code, reply.headers["content-range"]) == (416, f"bytes */{len(whole)}")
        assert reply.json()["error_code"] == "RangeNotSatisfiableError"
    reply = bench.call("GET", job["file_url"], key="", **{"range": "bytes=99-", "if-range": '"x"'})
    assert (reply.status_code, reply.content) == (200, whole)


def test_a_link_to_a_file_that_is_not_made_yet_is_none(bench: Bench) -> None:
    job = bench.ask()
    assert job["file_url"] is None
    assert bench.call("GET", f"{job['url']}/file").status_code == 403
    assert bench.call("GET", f"/3.0/projects/{'0' * 24}/extractions/x/file").status_code == 404


# Limits


@pytest.fixture(scope="module")
def tight_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(
        tmp_path_factory.mktemp("tight") / "data",
        export_events_max=3,
        export_bytes_max=1_000,
        export_queue_max=2,
        export_store_bytes_max=20,
        min_free_bytes=0,
    )
    made.record("c", *({"n": n, "text": f"{n}" * 300} for n in range(5)))
    yield made
    made.close()


@pytest.fixture
def tight(tight_one: Bench) -> Iterator[Bench]:
    yield tight_one
    for job in tight_one.catalog.exports.of_project(tight_one.project.id):
        tight_one.call("DELETE", f"extractions/{job.id}")


def failure(bench: Bench, **params: Any) -> str:
    """Why a job fails."""
    job = bench.ask(**params)
    bench.work()
    told = bench.shown(job)
    assert (told["state"], told["file_url"], bench.files()) == ("failed", None, [])
    message: str = told["message"]
    return message


def test_too_many_events_are_a_failure_that_says_so(tight: Bench) -> None:
    assert "more than 3 events" in failure(tight, property_names="n")
    assert tight.made(latest=3, property_names="n")["progress"] == {"events": 3, "of": 3}
    asked = {"event_collection": "c", "delivery": "link", "latest": 4}
    assert tight.call("POST", "queries/extraction", asked).json()["error_code"] == "QueryLimitError"


@pytest.mark.parametrize("content_type", ["text/csv", "application/json", "application/vnd.apache.parquet"])
def test_too_many_bytes_are_a_failure_that_says_so(tight: Bench, content_type: str) -> None:
    assert "larger than 1,000 bytes" in failure(tight, latest=3, content_type=content_type)


def test_too_many_jobs_or_bytes_of_a_project_wait_for_room(tight: Bench) -> None:
    asked: dict[str, Any] = {"delivery": "link", "latest": 1, "property_names": ["n", "keen.id"]}
    asked["event_collection"] = "c"
    first = tight.ask(**asked)
    tight.ask(**asked)
    full = tight.call("POST", "queries/extraction", asked)
    assert (full.status_code, full.json()["error_code"]) == (429, "RateLimitExceededError")
    assert "2 extractions of this project are already waiting or running" in full.json()["message"]
    assert int(full.headers["retry-after"]) > 0
    other = tight.new_project()
    path = f"/3.0/projects/{other.id}/queries/extraction"
    reply = tight.call("POST", path, asked, key=other.master_key)
    assert reply.status_code == 200
    tight.work()
    assert tight.call("DELETE", reply.json()["job"]["url"], key=other.master_key).status_code == 204
    full = tight.call("POST", "queries/extraction", asked)
    assert (full.status_code, "Delete some" in full.json()["message"]) == (429, True)
    assert tight.shown(first)["state"] == "done"


def test_no_more_jobs_wait_than_may_however_many_ask_at_once(tight: Bench) -> None:
    assert tight.together(12, {"event_collection": "c", "delivery": "link"}) == [200] * 2 + [429] * 10


def test_a_server_may_make_no_files(tight: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tight.settings.model_copy(update={"export_queue_max": 0})
    monkeypatch.setitem(vars(tight.parts), "settings", settings)
    reply = tight.call("POST", "queries/extraction", {"event_collection": "c", "delivery": "link"})
    assert (reply.status_code, reply.json()["error_code"]) == (403, "ForbiddenError")


def test_a_disk_without_room_is_a_failure_that_says_so(tight: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tight.settings.model_copy(update={"min_free_bytes": 1 << 60})
    monkeypatch.setattr(tight.exporter, "_settings", settings)
    assert "no room" in failure(tight, latest=1)


def test_a_disk_that_is_full_all_at_once_keeps_nothing_of_a_file(tmp_path: Path) -> None:
    """Or each attempt would leave what it wrote, and keep the disk full."""
    output = Output(tmp_path / "some.csv", 1 << 30, 0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        output.write(bytes(5_000))
        with pytest.raises(OSError):
            output.finish()
        output.abandon()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


# Whoever works at a job may die


def claimed(bench: Bench, seconds_ago: float = 0) -> Any:
    """A job begun by a runner that says no more."""
    job = bench.ask()
    begun_us = system_clock() - int(seconds_ago * 1_000_000)
    export = bench.catalog.exports.claim("dead", begun_us, begun_us + int(LEASE_SECONDS * 1_000_000))
    assert export is not None
    assert export.id == job["id"]
    return export


def test_a_job_whose_runner_died_is_begun_again_once_its_lease_is_over(bench: Bench) -> None:
    export = claimed(bench)
    assert bench.shown(bench.ask())["state"] == "queued"
    bench.work()
    assert bench.kept({"id": export.id}).state is ExportState.RUNNING, "its lease is not over"
    while bench.exporter.run_due(system_clock() + int((LEASE_SECONDS + 1) * 1_000_000)):
        pass
    done = bench.kept({"id": export.id})
    assert (done.state, done.attempts) == (ExportState.DONE, 2)
    for late in (
        bench.catalog.exports.progress(export, 9, 9, 0),
        bench.catalog.exports.fail(export, "late", 0),
        bench.catalog.exports.release(export),
    ):
        assert not late, "what the dead one says changes nothing"
    assert bench.kept({"id": export.id}) == done


def test_a_job_that_never_comes_to_its_end_is_given_up(bench: Bench) -> None:
    job = bench.ask()
    for _ in range(ATTEMPTS_MAX):
        assert bench.catalog.exports.claim("dead", system_clock(), 0) is not None
    bench.work()
    told = bench.shown(job)
    assert told["state"] == "failed"
    assert f"{ATTEMPTS_MAX} times" in told["message"]


def test_a_stop_costs_no_attempt_and_leaves_no_file(bench: Bench) -> None:
    job = bench.ask()
    tools = bench.new_tools()
    tools.cancels.cancel(QueryCancelled("The server is stopping."))
    with pytest.raises(QueryCancelled):
        Exporter(tools).run_due(system_clock())
    assert (bench.kept(job).state, bench.kept(job).attempts) == (ExportState.QUEUED, 0)
    assert bench.files() == []
    bench.work()
    assert bench.shown(job)["state"] == "done"


@pytest.mark.parametrize(
    ("error", "state", "attempts"),
    [
        (SnapshotUnstable("later"), "queued", 0),
        (LogUnreadable(1, "bytes"), "failed", 1),
        (OSError(), "queued", 1),
    ],
)
def test_what_keeps_a_job_from_its_events_is_told_or_passes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception, state: str, attempts: int
) -> None:
    def source(*_: Any) -> Any:
        raise error

    job = bench.ask()
    with monkeypatch.context() as patched:
        patched.setattr(bench.reader, "source", source)
        with suppress(type(error)):
            bench.exporter.run_due(system_clock())
    told = bench.shown(job)
    assert (told["state"], bench.kept(job).attempts) == (state, attempts)
    assert told["message"] == (DAMAGED if state == "failed" else None)


def test_files_that_a_death_left_are_removed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = bench.made()
    for name in ("x-1.csv", "x-2.csv.tmp"):
        (bench.folder / name).write_bytes(b"left")
    bench.exporter._swept = float("-inf")
    bench.work()
    assert "x-1.csv" in bench.files(), "it may be about to be named"
    assert len(bench.files()) == 2
    monkeypatch.setattr(export_task, "STRAY_SECONDS", -1.0)
    bench.exporter._swept = float("-inf")
    bench.work()
    assert bench.files() == [bench.kept(kept).file]


def test_a_snapshot_whose_files_went_is_taken_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    found = bench.engine.chunks
    gone = iter([True, False])

    def chunks(*given: Any, **more: Any) -> Any:
        if next(gone, False):
            raise SourceGone("gone")
        return found(*given, **more)

    monkeypatch.setattr(bench.engine, "chunks", chunks)
    job = bench.made()
    assert (job["state"], bench.kept(job).attempts) == ("done", 2)


def test_a_job_that_is_removed_while_it_runs_leaves_no_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_task, "RENEW_SECONDS", -1.0)
    job = bench.ask()
    found = bench.engine.chunks
    calls = []

    def chunks(*given: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            bench.call("DELETE", job["url"])
        return found(*given, **more)

    monkeypatch.setattr(bench.engine, "chunks", chunks)
    bench.work()
    assert len(calls) >= 2
    assert bench.files() == []
    assert bench.call("GET", job["url"]).status_code == 404


def test_the_project_that_waited_longest_comes_first(bench: Bench) -> None:
    other = bench.new_project()
    mine = [bench.ask()["id"] for _ in range(2)]
    asked = {"event_collection": "c", "delivery": "link"}
    path = f"/3.0/projects/{other.id}/queries/extraction"
    theirs = bench.call("POST", path, asked, key=other.master_key).json()["job"]["id"]
    order = []
    while (export := bench.catalog.exports.claim("x", system_clock(), system_clock() + DAY_US)) is not None:
        order.append(export.id)
    assert order == [theirs, *mine] or order == [mine[0], theirs, mine[1]]


# Erasure


def erase(bench: Bench, collection: str) -> None:
    """As the keeper does: all events of the collection, in one transaction."""
    found = bench.catalog.collections.get(bench.project.id, collection)
    number = bench.catalog.erasures.request(found.id, ErasureKind.EVENTS, {})
    erasure = bench.catalog.erasures.find(number)
    assert erasure is not None
    assert bench.catalog.erasures.commit(erasure, [], [], erased=0, events=0)


def test_a_file_of_events_that_were_erased_is_told_no_more_and_goes(bench: Bench) -> None:
    for name in ("e", "f"):
        bench.record(name, {"n": 1})
    job, other = (bench.made(event_collection=name) for name in ("e", "f"))
    assert bench.call("GET", job["file_url"]).status_code == 200
    erase(bench, "e")
    reply = bench.call("GET", job["file_url"])
    assert (reply.status_code, reply.json()["message"]) == (410, ERASED), "before its bytes are gone"
    assert len(bench.files()) == 2
    with open(bench.folder / str(bench.kept(job).file), "rb") as reading:
        bench.work()
        assert reading.read() == b"", "nor does one that reads it have them"
    assert bench.files() == [bench.kept(other).file]
    told = bench.shown(job)
    assert (told["state"], told["message"], told["file_url"], told["bytes"]) == (
        "expired",
        ERASED,
        None,
        None,
    )
    assert bench.call("GET", job["file_url"]).json()["message"] == ERASED
    assert bench.call("GET", other["file_url"]).status_code == 200


def test_an_erasure_while_a_file_is_made_begins_it_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.record("g", {"n": 1})
    finish = bench.catalog.exports.finish
    erased: list[int] = []

    def finish_late(*given: Any) -> bool:
        if not erased:
            erased.append(1)
            erase(bench, "g")
        return finish(*given)

    monkeypatch.setattr(bench.catalog.exports, "finish", finish_late)
    job = bench.made(event_collection="g")
    assert bench.kept(job).attempts == 2
    assert bench.files() == [bench.kept(job).file]
    assert bench.call("GET", job["file_url"]).status_code == 200


def test_a_purged_project_leaves_no_job_and_no_file(bench: Bench) -> None:
    doomed = bench.new_project()
    bench.record("c", {"n": 1}, project=doomed)
    asked = {"event_collection": "c", "delivery": "link"}
    path = f"/3.0/projects/{doomed.id}/queries/extraction"
    job = bench.call("POST", path, asked, key=doomed.master_key).json()["job"]
    bench.work()
    link = bench.call("GET", job["url"], key=doomed.master_key).json()["file_url"]
    waiting = bench.call("POST", path, asked, key=doomed.master_key).json()["job"]
    bench.catalog.projects.delete(doomed.id)
    bench.work()
    assert bench.catalog.exports.find(doomed.id, waiting["id"])[0].state is ExportState.QUEUED  # type: ignore[index]
    deadline = time.monotonic() + 120
    while bench.call("GET", link).status_code != 404:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(bench.files()) == 1
    assert Purge(bench.tools).run_due(system_clock() + 8 * DAY_US)
    assert bench.files() == []
    assert bench.catalog.exports.of_project(doomed.id) == []


# The whole server


def test_a_served_extraction_is_made_and_goes_with_its_events(served: Served, project: ServedProject) -> None:
    served.record(project, "c", *({"n": n, "who": "bob"} for n in range(100)))
    path = f"/3.0/projects/{project.id}/queries/extraction"
    asked = {"event_collection": "c", "delivery": "link", "content_type": "application/json"}
    job = served.request("POST", path, asked, key=project.read_key).json["job"]
    done = awaited(served, project, job, "done")
    link = done["file_url"].removeprefix(served.url)
    reply = served.request("GET", link)
    assert len(reply.body.splitlines()) == 100
    assert served.request("GET", link, headers={"Range": "bytes=0-0"}).body == b"{"
    reply = served.request("DELETE", f"/3.0/projects/{project.id}/events/c", key=project.master_key)
    assert reply.status == 204
    assert served.request("GET", link).status == 410
    awaited(served, project, job, "expired")
    held = [path.read_bytes() for path in (served.data / "exports").glob(f"{job['id']}*")]
    assert held == []


def awaited(served: Served, project: ServedProject, job: dict[str, Any], state: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while True:
        told: dict[str, Any] = served.request("GET", job["url"], key=project.read_key).json
        if told["state"] == state:
            return told
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
