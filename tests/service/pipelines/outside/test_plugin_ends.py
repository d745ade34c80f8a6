"""Sources and sinks that are plugins: where they go on, what comes again, and what is said of faults."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from query.limits import Limits
from query.transforms.fields import InvalidPipeline
from service.pipelines import applying
from service.pipelines.definition import CheckContext, read_folder
from service.pipelines.outside.checking import check_plugins
from service.pipelines.sinks.checking import check_targets
from service.pipelines.sources.applying import check_sources
from service.plugins.installed import installed_plugins
from service.workflows.recovery import RetryPolicy
from service.workflows.run_worker import RunWorker, WorkerOptions
from storage.catalog.runs.records import RunState
from tests.service.pipelines.bench import PipelineBench
from tests.service.pipelines.sources.site import SourceSite
from tests.support.plugins import see_plugins, write_package

CODE = """
import json
import pathlib
import msgspec
from service.plugins.contract import SourcePortion


class Counting:
    api = 1

    class Settings(msgspec.Struct):
        file: str
        password: str = ""

    def __init__(self, settings):
        self.settings = settings

    def read(self, cursor):
        lines = pathlib.Path(self.settings.file).read_text().split()
        at = cursor or 0
        if at >= len(lines):
            return None
        if lines[at] == "boom":
            raise ConnectionError("the other side is away")
        stays = lines[at] == "stay"
        row = {"n": lines[at], "password": self.settings.password, "at": "2026-11-01T10:00:00Z"}
        if lines[at] == "timeless":
            del row["at"]
        return SourcePortion([row], at if stays else at + 1)


class Telling:
    api = 1

    class Settings(msgspec.Struct):
        file: str

    def __init__(self, settings):
        self.path = pathlib.Path(settings.file)

    async def deliver(self, bucket, rows):
        told = [bucket.key, bucket.version, bucket.start.isoformat(), rows.column_names, rows.num_rows]
        with self.path.open("a") as file:
            file.write(json.dumps(told) + "\\n")
        if self.path.with_name("down").exists():
            raise ConnectionError("after the rows were written")
"""
ENTRIES = {"sources/counting": "ends:Counting", "sinks/telling": "ends:Telling"}
AROUND = CheckContext(Limits(), lambda _: None)


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that the source reads, in a folder with that which the sink writes."""
    write_package(tmp_path / "packages", "ends", ENTRIES, CODE)
    see_plugins(tmp_path / "packages", monkeypatch)
    yield tmp_path / "given.txt"
    installed_plugins.cache_clear()


@pytest.fixture
def site(tmp_path: Path, given: Path) -> Iterator[SourceSite]:
    made = SourceSite(tmp_path)
    try:
        yield made
    finally:
        made.close()


def source(given: Path, more: str = "") -> str:
    return f"""
owner = "data@shop.example"
[sources.orders]
plugin = "counting"
settings = {{ file = "{given}", password = {{ secret = "shop" }} }}
into = "orders"
time = "at"
{more}
"""


def apply(site: SourceSite, tmp_path: Path, text: str) -> None:
    (tmp_path / "pipelines.toml").write_text(text)
    folder, catalog = read_folder(tmp_path, AROUND), site.whole.catalog
    check_plugins(folder)
    check_sources(catalog, site.whole.project.id, site.whole.tools.settings, folder.sources)
    applying.apply(catalog, site.whole.project.id, folder, remove=False, collections_max=10)


def test_a_source_reads_portions_until_nothing_is_new_and_goes_on_there(
    site: SourceSite, tmp_path: Path, given: Path
) -> None:
    given.write_text("a b")
    with pytest.raises(InvalidPipeline, match=r"sources\.orders: there is no secret 'shop'"):
        apply(site, tmp_path, source(given))
    site.whole.catalog.secrets.put(site.whole.project.id, "shop", "open sesame")
    apply(site, tmp_path, source(given))
    assert site.read() == 1
    assert [(row["n"], row["password"]) for row in site.rows()] == [
        ("a", "open sesame"),
        ("b", "open sesame"),
    ]
    given.write_text("a b c boom d")
    site.read()
    assert [row["n"] for row in site.rows()] == ["a", "b", "c"]
    assert site.source()["health"] == "failing"
    assert site.source()["problem"].startswith("The source plugin 'counting' failed:\nTraceback")
    assert site.source()["problem"].endswith("ConnectionError: the other side is away")
    given.write_text("a b c c d")
    site.read()
    assert [row["n"] for row in site.rows()] == ["a", "b", "c", "c", "d"]
    assert site.source()["health"] == "current"
    assert "open sesame" not in json.dumps(site.source())


def test_a_source_that_does_not_move_on_or_gives_bad_rows_stores_nothing(
    site: SourceSite, tmp_path: Path, given: Path
) -> None:
    site.whole.catalog.secrets.put(site.whole.project.id, "shop", "x")
    given.write_text("a timeless stay")
    apply(site, tmp_path, source(given))
    site.read()
    assert "Nothing was stored: 1 row at fault. row 1: It has no 'at'" in site.source()["problem"]
    assert [row["n"] for row in site.rows()] == ["a"]
    apply(site, tmp_path, source(given, 'on_error = "drop"'))
    site.read()
    assert "gave rows with the cursor that it was given" in site.source()["problem"]
    assert [row["n"] for row in site.rows()] == ["a"]


def test_a_plugin_that_may_open_connections_is_not_applied_by_a_client(site: SourceSite, given: Path) -> None:
    said = site.refused(source(given).replace('owner = "data@shop.example"', ""))
    assert "sources.orders: a plugin that may open connections is the operator's to use" in said


PIPELINE = """
owner = "data@shop.example"
[pipelines.made]
from = "given"
into = "made"
sinks = [{ plugin = "telling", settings = { file = "FILE" } }]
"""


def test_a_sink_gets_each_version_of_a_bucket_at_least_once_with_its_key(tmp_path: Path, given: Path) -> None:
    bench, told = PipelineBench(tmp_path), given.with_name("told.ndjson")
    catalog, options = bench.store.catalog, WorkerOptions(policy=RetryPolicy(2, 0.0))
    bench.worker = RunWorker(catalog, bench.runs.execute, threading.Event(), options)

    def delivered() -> list[Any]:
        return [json.loads(line) for line in told.read_text().splitlines()]

    try:
        bench.send("given", [{"n": 1}, {"n": 2}])
        bench.write(PIPELINE.replace("FILE", str(told)))
        check_plugins(read_folder(bench.folder, bench.around))
        given.with_name("down").touch()
        bench.apply()
        bench.derive()
        first, again = delivered()
        assert first == again
        assert (first[1], first[3], first[4]) == (1, ["keen.timestamp", "n"], 2)
        (dead,) = catalog.runs.listed(bench.store.project, states=[RunState.DEAD], limit=2)
        assert dead.message is not None and dead.message.endswith("after the rows were written")
        given.with_name("down").unlink()
        catalog.runs.replay(bench.store.project, dead.id)
        assert bench.worker.execute_next()
        assert delivered()[2] == first
        bench.send("given", [{"n": 3}])
        bench.derive()
        _, _, _, last = delivered()
        assert (last[1], last[-1]) == (2, 3)
        assert last[0] != first[0]
    finally:
        bench.close()


def test_a_sink_that_fails_holds_up_no_other(tmp_path: Path, given: Path) -> None:
    """Whatever their order and their kinds are."""
    bench, told = PipelineBench(tmp_path), given.with_name("told.ndjson")
    options = WorkerOptions(policy=RetryPolicy(1, 0.0))
    bench.worker = RunWorker(bench.store.catalog, bench.runs.execute, threading.Event(), options)
    failing = given.with_name("absent") / "told.ndjson"
    try:
        bench.send("given", [{"n": 1}])
        one = PIPELINE.replace("FILE", str(failing))
        more = f', {{ plugin = "telling", settings = {{ file = "{told}" }} }}'
        more += ', { folder = "{period:%Y_%m_%d}" }]'
        bench.write(one.rstrip().removesuffix("]") + more + "\n")
        bench.apply()
        bench.derive()
        assert len(told.read_text().splitlines()) == 1
        (dead,) = bench.store.catalog.runs.listed(bench.store.project, states=[RunState.DEAD], limit=2)
        # That the folder is not set cannot pass by itself; that the other side is away can.
        assert dead.message is not None and "FileNotFoundError" in dead.message
    finally:
        bench.close()


@pytest.mark.parametrize(
    ("sink", "said"),
    [
        ('{ plugin = "telling" }', "pipelines.made.sinks[0]: settings.file: is lacking."),
        ('{ plugin = "tell" }', "pipelines.made.sinks[0]: The sink plugin 'tell' failed:\nThere is no sink"),
        ('{ plugin = "telling", settings = { file = 1 } }', "sinks[0]: settings.file: expected `str`"),
        ('{ plugin = "telling", webhook = "x" }', "needs one of 'webhook', 'folder', 'table' and 'plugin'."),
    ],
)
def test_a_wrong_sink_is_refused_by_its_place(tmp_path: Path, given: Path, sink: str, said: str) -> None:
    line = next(one for one in PIPELINE.splitlines() if one.startswith("sinks"))
    (tmp_path / "pipelines.toml").write_text(PIPELINE.replace(line, f"sinks = [{sink}]"))
    with pytest.raises(InvalidPipeline) as raised:
        check_plugins(read_folder(tmp_path, AROUND))
    assert said in str(raised.value)


def test_the_secrets_of_a_sink_must_be_there(site: SourceSite, tmp_path: Path) -> None:
    text = PIPELINE.replace('"FILE"', '{ secret = "absent" }')
    (tmp_path / "pipelines.toml").write_text(text)
    found = read_folder(tmp_path, AROUND).pipelines
    with pytest.raises(InvalidPipeline, match=r"made\.sinks\[0\]: there is no secret 'absent'"):
        check_targets(site.whole.catalog, site.whole.project.id, found, site.whole.tools.settings)
