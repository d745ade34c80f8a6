"""Sinks: derived buckets as messages and files, through the API, the runs and the runner's task."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from query.transforms.fields import InvalidPipeline
from service.cli.pipelines.simulate import simulate_all
from service.outbound.webhook_task import Deliverer
from service.pipelines.definition import CheckContext, read_folder
from service.pipelines.planner_task import PipelinePlanner
from service.pipelines.run import BucketRuns
from service.pipelines.sinks.content import content_of
from service.pipelines.toolbox import Toolbox
from service.workflows.run_worker import RunWorker
from storage.files.derived_buckets import DerivedRows
from storage.schema import LaneKind
from tests.service.whole import Whole
from tests.support.web import WebServer, web_server

DAY_US = 86_400_000_000
NOW_US = 1_800_000_000_000_000
FIRST, SECOND = "2027-01-13", "2027-01-14"
STEPS = """
owner = "data@shop.example"

[pipelines.revenue]
from = "purchases"
into = "revenue"
sinks = [SINKS]

[[pipelines.revenue.steps]]
where = "price > 0"

[[pipelines.revenue.steps]]
aggregate.by = ["country"]
aggregate.values = { total = { sum = "price" } }
"""
CHAT = '{ webhook = "chat" }'
FILES = '{ folder = "by month/{period:%Y_%m}/{period:%d}", format = "csv" }'


class Site:
    """An Acumen with a webhook at a server, a folder for sinks, and the tasks that derive and send."""

    def __init__(self, whole: Whole, web: WebServer, target: Path) -> None:
        self.whole, self.web, self.target = whole, web, target
        tools = whole.tools
        self.deliverer = Deliverer(tools, lambda host, port: ["127.0.0.1"])
        self.toolbox = Toolbox(tools.settings, tools.catalog, tools.engine, tools.reader.verify)
        self.runs = BucketRuns(self.toolbox)
        self.planner = PipelinePlanner(tools)
        self.worker = RunWorker(tools.catalog, self.runs.execute, threading.Event())
        self.put_webhook()

    def put_webhook(self) -> None:
        self.told("PUT", "webhooks/chat", {"url": f"http://hooks.test:{self.web.port}/chat"})

    def told(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        return self.whole.told(self.whole.project, method, path, body, **query)

    def apply(self, *sinks: str) -> Any:
        body = {"file": STEPS.replace("SINKS", ", ".join(sinks))}
        return self.told("POST", "pipelines/apply", body)["changes"]

    def record(self, day: str, **prices: float) -> None:
        """A purchase in each country."""
        events = [
            {"country": country, "price": price, "keen": {"timestamp": f"{day}T10:00:00Z"}}
            for country, price in prices.items()
        ]
        self.whole.record(self.whole.project, "purchases", events)

    def derive(self) -> None:
        self.whole.flush()
        self.planner.run_due(self.whole.now_us)
        while self.worker.execute_next():
            self.planner.run_due(self.whole.now_us)

    def messages(self) -> list[tuple[str, dict[str, Any]]]:
        """Send what waits; keys and bodies of all that was received since the last call."""
        while self.deliverer.run_due(self.whole.now_us):
            continue
        asked, self.web.asked[:] = list(self.web.asked), []
        return [(one.headers["idempotency-key"], json.loads(one.body)) for one in asked]

    def files(self) -> dict[str, list[list[str]]]:
        """The CSV files of the pipeline, by path, with their sorted lines."""
        own = self.target / self.whole.project.id / "revenue"
        return {
            str(path.relative_to(own)): sorted(csv.reader(path.read_text().splitlines()))
            for path in sorted(own.rglob("*.csv"))
        }


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    target = tmp_path / "delivered"
    target.mkdir()
    with web_server() as web:
        whole = Whole(
            tmp_path / "data",
            NOW_US,
            outbound_hosts="hooks.test:*",
            outbound_networks="127.0.0.1",
            outbound_http=True,
            outbound_seconds=2.0,
            sink_folder=target,
            public_url="https://acumen.example",
        )
        web.replies["/chat"] = (204, {}, b"")
        made = Site(whole, web, target)
        try:
            yield made
        finally:
            made.toolbox.close()
            whole.close()


def test_a_webhook_is_told_of_each_derived_bucket(site: Site) -> None:
    (change,) = site.apply(CHAT)
    assert change["sinks"] == ["webhook chat"]
    assert site.told("GET", "pipelines/revenue")["sinks"] == ["webhook chat"]
    site.record(FIRST, DE=7, FR=2)
    site.record(SECOND, DE=1)
    site.derive()
    messages = site.messages()
    assert len({key for key, _ in messages}) == 2
    told = {body["data"]["bucket"]["start"][:10]: body for _, body in messages}
    assert sorted(told) == [FIRST, SECOND]
    body = told[FIRST]
    assert (body["type"], body["project_id"]) == ("pipeline.derived", site.whole.project.id)
    data = body["data"]
    assert {key: data[key] for key in ("pipeline", "collection", "state", "rows", "version")} == {
        "pipeline": "revenue",
        "collection": "revenue",
        "state": "fresh",
        "rows": 2,
        "version": 1,
    }
    address = urlsplit(data["url"])
    assert (address.scheme, address.netloc) == ("https", "acumen.example")
    path = address.path.partition(site.whole.project.id + "/")[2]
    query = {name: values[0] for name, values in parse_qs(address.query).items()}
    rows = site.told("GET", path, **query)["result"]
    assert {row["country"]: row["total"] for row in rows} == {"DE": 7, "FR": 2}


def test_what_is_derived_again_is_told_if_its_rows_are_others(site: Site) -> None:
    site.apply(CHAT)
    site.record(FIRST, DE=7)
    site.record(SECOND, DE=1)
    site.derive()
    first = site.messages()
    site.record(FIRST, DE=0)
    site.derive()
    assert site.told("GET", "pipelines/revenue/buckets")["buckets"][1]["rows_in"] == 2
    assert site.messages() == [], "the rows are the same"
    site.record(FIRST, DE=2)
    site.derive()
    ((key, body),) = site.messages()
    assert (body["data"]["version"], body["data"]["rows"]) == (2, 1)
    assert key not in {one for one, _ in first}
    # Rows that come back are another version: whoever remembers keys must hear of them.
    filters = [{"property_name": "price", "operator": "eq", "property_value": 2}]
    site.whole.call(site.whole.project, "DELETE", "events/purchases", filters=filters)
    site.derive()
    ((again, body),) = site.messages()
    assert body["data"]["version"] == 3
    assert again not in {key, *(one for one, _ in first)}
    # An operator who asks for a bucket gets it, also with the same rows.
    site.told("POST", "pipelines/revenue/buckets", {"state": "stale", "until": f"{SECOND}T00:00:00Z"})
    site.derive()
    ((_, body),) = site.messages()
    assert (body["data"]["version"], body["data"]["bucket"]["start"][:10]) == (4, FIRST)


def test_a_message_that_is_given_up_is_replayed_under_its_key(site: Site) -> None:
    site.web.replies["/chat"] = (400, {}, b"")
    site.apply(CHAT)
    site.record(FIRST, DE=7)
    site.derive()
    ((key, body),) = site.messages()
    (dead,) = site.told("GET", "webhooks/chat/deliveries", state="dead")["deliveries"]
    assert (dead["id"], dead["type"]) == (key, "pipeline.derived")
    site.web.replies["/chat"] = (204, {}, b"")
    site.told("POST", f"webhooks/chat/deliveries/{key}/replay")
    assert site.messages() == [(key, body)]


def test_a_folder_has_a_file_for_each_bucket_with_rows(site: Site) -> None:
    (change,) = site.apply(FILES)
    assert change["sinks"] == ["folder by month/{period:%Y_%m}/{period:%d}.csv"]
    site.record(FIRST, DE=7, FR=2)
    site.record(SECOND, DE=1)
    site.record("2027-01-01", DE=-1)
    site.derive()
    head = ["country", "keen.timestamp", "total"]
    first, second = f"{FIRST}T00:00:00.000Z", f"{SECOND}T00:00:00.000Z"
    assert site.files() == {
        "by month/2027_01/13.csv": [["DE", first, "7"], ["FR", first, "2"], head],
        "by month/2027_01/14.csv": [["DE", second, "1"], head],
    }
    site.record(SECOND, DE=2)
    site.derive()
    assert site.files()["by month/2027_01/14.csv"][0][2] == "3"
    filters = [{"property_name": "price", "operator": "gt", "property_value": 2}]
    site.whole.call(site.whole.project, "DELETE", "events/purchases", filters=filters)
    filters = [{"property_name": "country", "operator": "eq", "property_value": "FR"}]
    site.whole.call(site.whole.project, "DELETE", "events/purchases", filters=filters)
    site.derive()
    assert list(site.files()) == ["by month/2027_01/14.csv"]
    assert [path.name for path in site.target.rglob("*") if path.name.startswith(".")] == []


def test_the_formats_hold_the_same_rows(site: Site) -> None:
    site.apply(*(f'{{ folder = "{{period:%Y_%m_%d}}", format = "{one}" }}' for one in ("parquet", "ndjson")))
    site.record(FIRST, DE=7, FR=2)
    site.derive()
    own = site.target / site.whole.project.id / "revenue"
    table = pq.read_table(own / "2027_01_13.parquet")
    assert table.column_names == ["country", "keen.timestamp", "total"]
    by_country = {row["country"]: row["total"] for row in table.to_pylist()}
    lines = [json.loads(line) for line in (own / "2027_01_13.ndjson").read_text().splitlines()]
    assert by_country == {row["country"]: row["total"] for row in lines} == {"DE": 7, "FR": 2}
    assert lines[0]["keen"] == {"timestamp": f"{FIRST}T00:00:00.000Z"}


def test_a_sink_that_is_added_later_gets_all_once_they_are_asked_for(site: Site) -> None:
    site.apply()
    site.record(FIRST, DE=7)
    site.record(SECOND, DE=1)
    site.derive()
    (change,) = site.apply(CHAT, FILES)
    assert (change["action"], change["buckets"]) == ("relabel", 0)
    site.derive()
    assert (site.messages(), site.files()) == ([], {})
    site.told("POST", "pipelines/revenue/buckets", {"state": "stale"})
    site.derive()
    assert (len(site.messages()), len(site.files())) == (2, 2)
    # Other sinks get the same rows once, those before not again without a cause.
    site.apply(CHAT)
    site.derive()
    assert site.messages() == []


def test_a_folder_that_is_missing_fails_the_delivery_and_not_the_bucket(site: Site) -> None:
    site.apply(FILES)
    site.target.rename(site.target.with_name("elsewhere"))
    site.record(FIRST, DE=7)
    site.derive()
    assert site.told("GET", "pipelines/revenue")["health"] == "fresh"
    (dead,) = site.told("GET", "runs", state="dead")["runs"]
    assert (dead["start"][:10], dead["cause"]) == (FIRST, "deliver: 1 rows")
    site.target.with_name("elsewhere").rename(site.target)
    run = site.whole.catalog.runs.find(site.whole.project.id, dead["id"])
    assert run.message is not None
    assert "of ACUMEN_SINK_FOLDER does not exist" in run.message
    site.whole.catalog.runs.replay(run.project_id, run.id)
    assert site.worker.execute_next()
    assert len(site.files()) == 1


def test_a_webhook_that_is_gone_is_passed_over(site: Site) -> None:
    site.apply(CHAT, FILES)
    site.told("DELETE", "webhooks/chat")
    site.record(FIRST, DE=7)
    site.derive()
    assert len(site.files()) == 1
    reply = site.whole.call(
        site.whole.project, "POST", "pipelines/apply", {"file": STEPS.replace("SINKS", CHAT)}
    )
    assert reply.status_code == 400
    assert "pipelines.revenue.sinks[0].webhook: there is no webhook 'chat'" in reply.json()["message"]


def test_a_paused_pipeline_delivers_nothing_until_it_is_resumed(site: Site) -> None:
    site.apply(FILES)
    site.record(FIRST, DE=7)
    site.whole.flush()
    site.planner.run_due(site.whole.now_us)
    assert site.worker.execute_next()
    site.told("POST", "pipelines/revenue/pause")
    assert not site.worker.execute_next()
    assert site.files() == {}
    site.told("POST", "pipelines/revenue/resume")
    assert site.worker.execute_next()
    assert len(site.files()) == 1


def test_a_simulation_delivers_nothing(site: Site, tmp_path: Path) -> None:
    site.record(FIRST, DE=7)
    site.whole.flush()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "pipelines.toml").write_text(STEPS.replace("SINKS", f"{CHAT}, {FILES}"))
    read = read_folder(folder, site.toolbox.reader.around)
    said: list[str] = []
    simulate_all(
        site.toolbox, site.whole.project.id, read, list(read.pipelines), site.whole.now_us, said.append
    )
    assert said
    assert (site.messages(), list(site.target.iterdir())) == ([], [])


@pytest.mark.parametrize(
    ("sinks", "more", "said"),
    [
        ("3", "", "sinks.*must be a list"),
        ("[3]", "", r"sinks\[0\]"),
        ("[{}]", "", "needs one of 'webhook', 'folder', 'table' and 'plugin'"),
        ('[{ webhook = "a", folder = "b" }]', "", "needs one of 'webhook', 'folder', 'table' and 'plugin'"),
        ('[{ webhook = "a" }, { webhook = "a" }]', "", "has 'webhook a' twice"),
        ('[{ webhook = "a", formt = "csv" }]', "", "no key 'formt'"),
        ('[{ folder = "{period:%Y_%m_%d}", format = "xls" }]', "", "format"),
        ('[{ folder = "all" }]', "", "must be another file for each day"),
        ('[{ folder = "{period:%Y_%m}" }]', "", "must be another file for each day"),
        ('[{ folder = "{period:%y_%m_%d}" }]', "", "it may use %Y"),
        ('[{ folder = "{period:%1000000Y_%m_%d}" }]', "", "it may use %Y"),
        ('[{ folder = "{day:%Y_%m_%d}" }]', "", "must be a path"),
        ('[{ folder = "../{period:%Y_%m_%d}" }]', "", "must be a path below the pipeline's folder"),
        ('[{ folder = "/{period:%Y_%m_%d}" }]', "", "must be a path below the pipeline's folder"),
        ('[{ folder = "a/{period:.%Y_%m_%d}" }]', "", "must be a path below the pipeline's folder"),
        (
            '[{ folder = "{period:%Y_%m_%d_%H}" }]',
            'bucket = "hour"\ntimezone = "Europe/Berlin"',
            "must have %z",
        ),
        (f'[{{ folder = "{"a" * 200}{{period:%Y_%m_%d}}" }}]', "", "more than 200 characters"),
        ('[{ folder = "{period:%G}" }]', 'bucket = "week"', "must be another file for each week"),
    ],
)
def test_a_wrong_sink_is_refused_by_its_place(
    site: Site, tmp_path: Path, sinks: str, more: str, said: str
) -> None:
    text = f'[pipelines.p]\nowner = "a"\nfrom = "a"\ninto = "b"\nsinks = {sinks}\n{more}\n'
    (tmp_path / "pipelines.toml").write_text(text)
    around = CheckContext(site.whole.settings.query_limits, site.whole.tools.engine.check_regex)
    with pytest.raises(InvalidPipeline, match=said):
        read_folder(tmp_path, around)


@pytest.mark.parametrize(
    ("bucket", "template"),
    [("hour", "%Y%m%d/%H"), ("day", "%Y-%j"), ("week", "%G-W%V"), ("month", "%Y/%m")],
)
def test_no_two_buckets_have_one_file(site: Site, tmp_path: Path, bucket: str, template: str) -> None:
    zone = "UTC" if bucket == "hour" else "Europe/Berlin"
    text = f"""[pipelines.p]
owner = "a"
from = "a"
into = "b"
bucket = "{bucket}"
timezone = "{zone}"
sinks = [{{ folder = "{{period:{template}}}" }}]
"""
    (tmp_path / "pipelines.toml").write_text(text)
    (one,) = read_folder(tmp_path, site.toolbox.reader.around).pipelines
    from service.pipelines.inputs import BucketEdges

    edges, at_us = BucketEdges(one.unit, one.zone), NOW_US
    (sink,) = one.sinks
    paths = []
    for _ in range(2_000):
        span = edges.at(at_us)
        paths.append(sink.path(span.start_us, one.zone))  # type: ignore[union-attr]
        at_us = span.end_us
    assert len(set(paths)) == len(paths)


def test_the_digest_of_rows_does_not_depend_on_their_order() -> None:
    times = pa.array([3, 1, 2], pa.timestamp("us"))
    texts = pa.array(["a", None, ""])
    numbers = pa.array([1.5, None, 2.0])
    lanes = {("t", LaneKind.STRING): texts, ("n", LaneKind.NUMBER): numbers}
    one = content_of(DerivedRows(times, lanes))
    order = pa.array([2, 0, 1])
    other = DerivedRows(times.take(order), {key: lanes[key].take(order) for key in reversed(lanes)})
    assert content_of(other) == one
    empty = DerivedRows(times, {**lanes, ("t", LaneKind.STRING): pa.array(["a", "", None])})
    assert content_of(empty) != one
    renamed = DerivedRows(times, {("u", LaneKind.STRING): texts, ("n", LaneKind.NUMBER): numbers})
    assert content_of(renamed) != one
