"""A derived collection as clients see it: questions work, and nobody but its pipeline writes to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.pipelines import applying
from service.pipelines.definition import CheckContext, read_folder
from service.pipelines.planner_task import PipelinePlanner
from service.pipelines.run import BucketRuns
from service.pipelines.toolbox import Toolbox
from service.workflows.run_worker import RunWorker
from storage.catalog.derived.pipeline_records import BucketState
from tests.service.whole import Whole

PIPELINE = """
[pipelines.doubled]
owner = "data@shop.example"
from = "purchases"
into = "doubled"
steps = [{ compute = { price = "price * 2" } }]
"""
UPDATE = {"property_updates": [{"property_name": "price", "property_value": 1}]}


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    made = Whole(tmp_path / "data")
    try:
        yield made
    finally:
        made.close()


def apply(whole: Whole, folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "pipelines.toml").write_text(text)
    around = CheckContext(whole.settings.query_limits, whole.tools.engine.check_regex)
    applying.apply(
        whole.catalog, whole.project.id, read_folder(folder, around), remove=True, collections_max=100
    )


def derive(whole: Whole) -> None:
    whole.flush()
    tools = whole.tools
    toolbox = Toolbox(tools.settings, tools.catalog, tools.engine, tools.reader.verify)
    planner, worker = (
        PipelinePlanner(tools),
        RunWorker(tools.catalog, BucketRuns(toolbox).execute, threading.Event()),
    )
    try:
        planner.run_due(whole.now_us)
        while worker.execute_next():
            planner.run_due(whole.now_us)
    finally:
        toolbox.close()


def total(whole: Whole) -> object:
    return whole.told(
        whole.project,
        "POST",
        "queries/sum",
        {"event_collection": "doubled", "target_property": "price", "timeframe": "this_2_days"},
    )["result"]


def test_questions_read_it_and_clients_cannot_write_to_it(whole: Whole, tmp_path: Path) -> None:
    whole.record(whole.project, "purchases", [{"price": 2, "of": {"id": "a"}}, {"price": 3}])
    apply(whole, tmp_path / "folder", PIPELINE)
    derive(whole)
    assert total(whole) == 10
    for reply in (
        whole.call(whole.project, "POST", "events/doubled", {"price": 1}),
        whole.call(whole.project, "POST", "events", {"doubled": [{"price": 1}], "purchases": [{"price": 1}]}),
        whole.call(whole.project, "DELETE", "events/doubled"),
        whole.call(whole.project, "DELETE", "events/doubled/properties/price"),
        whole.call(whole.project, "PUT", "events/doubled", UPDATE),
    ):
        assert reply.status_code == 409, reply.text
        assert reply.json()["error_code"] == "CollectionDerivedError"
        assert "'doubled' is the output of a pipeline" in reply.json()["message"]
    derive(whole)
    assert total(whole) == 10


def test_a_person_is_erased_from_it_too(whole: Whole, tmp_path: Path) -> None:
    """At once, before the pipeline has run again, and from a bucket that is frozen."""
    whole.record(whole.project, "purchases", [{"price": 2, "who": "ann"}, {"price": 3, "who": "bea"}])
    whole.record(whole.project, "acumen.identities", [{"anonymous_id": "a1", "user_id": "ann"}])
    apply(whole, tmp_path / "folder", PIPELINE)
    derive(whole)
    (stored,) = whole.catalog.pipelines.of_project(whole.project.id)
    buckets = [(one.start_us, one.end_us) for one in whole.catalog.pipelines.buckets(stored.id)]
    whole.catalog.pipelines.set_states(stored.id, buckets, BucketState.FROZEN)
    erased = whole.told(whole.project, "DELETE", "identities/a1/events?actor_property=who")
    assert erased["deleted_events"] == {"acumen.identities": 1, "doubled": 1, "purchases": 1}
    assert total(whole) == 6
    whole.catalog.pipelines.set_states(stored.id, buckets, BucketState.STALE)
    derive(whole)
    assert total(whole) == 6


def test_once_its_pipeline_is_removed_its_rows_stay_and_clients_write_to_it(
    whole: Whole, tmp_path: Path
) -> None:
    whole.record(whole.project, "purchases", [{"price": 2}])
    apply(whole, tmp_path / "folder", PIPELINE)
    derive(whole)
    apply(whole, tmp_path / "folder", "")
    whole.record(whole.project, "doubled", [{"price": 100}])
    assert total(whole) == 104


def test_an_event_that_a_client_sent_before_is_never_replaced(whole: Whole, tmp_path: Path) -> None:
    whole.record(whole.project, "purchases", [{"price": 2}])
    apply(whole, tmp_path / "folder", PIPELINE)
    derive(whole)
    apply(whole, tmp_path / "folder", "")
    whole.record(whole.project, "doubled", [{"price": 100}])
    with pytest.raises(applying.NotApplied, match="has events that clients sent"):
        apply(whole, tmp_path / "folder", PIPELINE)
    assert total(whole) == 104


def test_what_is_deleted_from_the_input_is_gone_from_the_output(whole: Whole, tmp_path: Path) -> None:
    whole.record(whole.project, "purchases", [{"price": 2, "who": "a"}, {"price": 3, "who": "b"}])
    apply(whole, tmp_path / "folder", PIPELINE)
    derive(whole)
    assert total(whole) == 10
    filters = [{"property_name": "who", "operator": "eq", "property_value": "a"}]
    reply = whole.call(whole.project, "DELETE", "events/purchases", filters=filters)
    assert reply.status_code == 204, reply.text
    derive(whole)
    assert total(whole) == 6


def test_over_http_a_file_is_planned_applied_watched_and_derived_again(whole: Whole) -> None:
    project = whole.project
    whole.record(project, "purchases", [{"price": 2}, {"price": 3}])
    whole.flush()
    body = {"file": PIPELINE, "revision": "4f2a9c1"}
    [planned] = whole.told(project, "POST", "pipelines/plan", body)["changes"]
    day = planned.pop("day")
    assert planned == {
        "action": "create",
        "name": "doubled",
        "buckets": 1,
        "events": 2,
        "sinks": [],
        "problem": None,
    }
    assert (day["rows_read"], day["buckets"], day["measured"]) == (2 / 7, 1 / 7, False)
    assert whole.told(project, "GET", "pipelines") == []
    whole.told(project, "POST", "pipelines/apply", body)
    assert whole.told(project, "POST", "pipelines/apply", body) == {"changes": [], "sources": []}
    (stale,) = whole.told(project, "GET", "pipelines")
    assert (stale["health"], stale["due"], stale["revision"]) == ("stale", 1, "4f2a9c1")
    derive(whole)
    fresh = whole.told(project, "GET", "pipelines/doubled")
    assert (fresh["health"], fresh["due"], fresh["rows"]) == ("fresh", 0, 2)
    (bucket,) = whole.told(project, "GET", "pipelines/doubled/buckets")["buckets"]
    assert (bucket["state"], bucket["rows_in"], bucket["rows_out"]) == ("fresh", 2, 2)
    assert whole.told(project, "POST", "pipelines/doubled/buckets", {"state": "stale"}) == {"changed": 1}
    assert whole.told(project, "GET", "pipelines/doubled")["due"] == 1
    derive(whole)
    assert total(whole) == 10
    broken = {"file": PIPELINE.replace("price * 2", "prize * 2")}
    [planned] = whole.told(project, "POST", "pipelines/plan", broken)["changes"]
    assert (planned["action"], planned["day"]["measured"]) == ("change", True)
    assert 'Referenced column "prize" not found' in planned["problem"]
    [planned] = whole.told(project, "POST", "pipelines/plan", {"file": ""})["changes"]
    assert (planned["action"], planned["problem"], planned["day"]) == ("remove", None, None)


def test_over_http_a_pipeline_is_paused_and_resumed(whole: Whole) -> None:
    project = whole.project
    whole.record(project, "purchases", [{"price": 2}])
    whole.told(project, "POST", "pipelines/apply", {"file": PIPELINE})
    for _ in range(2):
        paused = whole.told(project, "POST", "pipelines/doubled/pause")
        assert (paused["paused"], paused["health"]) == (True, "paused")
    derive(whole)
    assert whole.told(project, "GET", "pipelines/doubled")["due"] == 1
    resumed = whole.told(project, "POST", "pipelines/doubled/resume")
    assert (resumed["paused"], resumed["health"]) == (False, "stale")
    derive(whole)
    assert total(whole) == 4
    (bucket,) = whole.told(project, "GET", "pipelines/doubled/buckets")["buckets"]
    assert bucket["failures"] == 0
    assert whole.call(project, "POST", "pipelines/none/pause").status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"file": "x ="}, "'file': pipelines.toml: cannot be read"),
        ({"file": PIPELINE.replace("from", "form")}, "pipelines.doubled: lacks 'from'"),
        ({"file": PIPELINE.replace("compute", "compte")}, "has no key 'compte'. Did you mean 'compute'?"),
        (
            {"file": PIPELINE.replace('{ compute = { price = "price * 2" } }', '{ python = "a:b" }')},
            "apply its folder on the server",
        ),
        (
            {"file": PIPELINE.replace("price * 2", "price *")},
            "steps[0]: Parser Error: syntax error at",
        ),
        (
            {"file": PIPELINE + '[references.codes]\nfile = "codes.csv"\n'},
            "references.codes.file: there is no 'codes.csv' in the folder, or it was not sent along.",
        ),
        ({"file": PIPELINE, "references": {"../a.csv": "a"}}, "'../a.csv' is no name of a CSV or TSV file"),
        ({"fil": PIPELINE}, "'file'"),
    ],
)
def test_a_wrong_file_is_refused_by_its_place(whole: Whole, body: dict[str, object], said: str) -> None:
    reply = whole.call(whole.project, "POST", "pipelines/apply", body)
    assert reply.status_code == 400
    assert said in reply.json()["message"]
