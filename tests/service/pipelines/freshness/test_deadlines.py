"""Deadlines of pipelines: when they are missed, why, and that each is told once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from query.transforms.fields import InvalidPipeline
from service.alerts.deadline_task import DeadlineWatch
from service.pipelines.definition import read_folder
from service.pipelines.sinks.checking import check_targets
from storage.catalog.catalog import system_clock
from storage.catalog.derived.pipeline_records import BucketState
from storage.catalog.derived.records import Delivery
from storage.catalog.runs.troubles import PipelineTrouble, TroubleCause, TroubleKind
from tests.service.pipelines.bench import DAY_US, HOUR_US, SECOND_US, PipelineBench
from tests.service.pipelines.times import text_at
from tests.service.whole import Whole
from tests.support.scale import examples

MINUTE_US = 60 * SECOND_US
PIPELINE = """
[pipelines.made]
owner = "team@shop.example"
from = ["one", "two"]
into = "made"
fresh_within = "2_hours"
notify = [{ webhook = "chat" }, { email = "ops@shop.example" }]
columns = { n = "number" }
STEPS
"""
BROKEN = """steps = [{ python = "broken:fail", frame = "arrow" }]"""
CODE = "def fail(rows):\n    raise ValueError('no')\n"


class Watch:
    """The task beside a bench, which may be begun again, as after a kill."""

    def __init__(self, bench: PipelineBench) -> None:
        self.bench, self.catalog = bench, bench.store.catalog
        self.catalog.webhooks.put(bench.store.project, "chat", "https://chat.example/", None)
        self.begin()

    def begin(self) -> None:
        self.task = DeadlineWatch(self.bench.tools)

    def look(self) -> None:
        self.task.run_due(self.bench.now_us)

    def wait(self, us: int) -> None:
        self.bench.now_us += us
        self.look()

    def troubles(self) -> list[PipelineTrouble]:
        return self.catalog.troubles.listed(self.bench.pipeline("made").id, 100)

    def state(self) -> list[tuple[str, str, bool]]:
        """Kind, cause and whether it has ended, the newest first."""
        return [(str(one.kind), str(one.why), one.ended_us is not None) for one in self.troubles()]

    def told(self) -> list[str]:
        """What the webhook is told, in order."""
        return [one.kind for one in reversed(self.sent())]

    def sent(self) -> list[Delivery]:
        webhook = self.catalog.webhooks.find(self.bench.store.project, "chat")
        assert webhook is not None
        return list(self.catalog.webhooks.deliveries(webhook, limit=100))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PipelineBench]:
    bench = PipelineBench(
        tmp_path,
        smtp_host="localhost",
        mail_domains=("shop.example",),
        smtp_from="acumen@shop.example",
        public_url="https://acumen.example",
    )
    yield bench
    bench.close()


@pytest.fixture
def watch(bench: PipelineBench) -> Watch:
    """Of a pipeline that has derived all."""
    bench.send("one", [{"n": 1}])
    bench.send("two", [{"n": 1}])
    watch = Watch(bench)
    apply(bench)
    bench.derive()
    watch.look()
    assert watch.state() == []
    return watch


def apply(bench: PipelineBench, steps: str = "", **files: str) -> None:
    bench.write(PIPELINE.replace("STEPS", steps), **files)
    bench.apply()


def test_what_is_derived_is_never_late(bench: PipelineBench, watch: Watch) -> None:
    """Also where no events come at all."""
    for _ in range(5):
        watch.wait(10 * HOUR_US)
    assert watch.state() == []
    for _ in range(8):
        bench.send("one", [{"n": 1}])
        watch.look()
        bench.derive()
        watch.wait(HOUR_US)
    assert watch.state() == []


def test_a_deadline_is_missed_and_told_once_when_it_begins_and_when_it_ends(
    bench: PipelineBench, watch: Watch
) -> None:
    bench.now_us += HOUR_US
    bench.send("one", [{"n": 2}])
    watch.look()
    began_us = bench.now_us
    watch.wait(2 * HOUR_US)
    assert watch.state() == [], "it is late after two hours, not with them"
    watch.wait(SECOND_US)
    assert watch.state() == [("overdue", "waiting", False)]
    (trouble,) = watch.troubles()
    assert trouble.since_us == began_us + 2 * HOUR_US
    assert trouble.bucket_us == began_us // DAY_US * DAY_US
    for _ in range(3):
        watch.wait(HOUR_US)
    assert watch.told() == ["pipeline.overdue"]
    bench.derive()
    watch.look()
    assert watch.state() == [("overdue", "waiting", True)]
    watch.wait(HOUR_US)
    assert watch.told() == ["pipeline.overdue", "pipeline.on_time"]
    mails = [watch.catalog.notices.claim_mail(2**60, 2**61) for _ in range(3)]
    assert [(one.recipient, one.subject) for one in mails if one is not None] == [
        ("ops@shop.example", "Pipeline made is overdue"),
        ("ops@shop.example", "Pipeline made is on time again"),
    ]


def test_late_events_count_from_when_they_came(bench: PipelineBench, watch: Watch) -> None:
    bench.now_us += 10 * HOUR_US
    bench.send("one", [{"n": 2, "keen": {"timestamp": text_at(bench.now_us - 30 * DAY_US)}}])
    watch.look()
    watch.wait(HOUR_US)
    assert watch.state() == []
    watch.wait(HOUR_US + SECOND_US)
    assert watch.state() == [("overdue", "waiting", False)]


def test_a_bucket_that_is_always_behind_a_little_is_not_late(bench: PipelineBench, watch: Watch) -> None:
    """It is never seen as fresh: new events come while it is derived."""
    for _ in range(6):
        bench.send("one", [{"n": 2}])
        watch.look()
        bench.derive()
        bench.send("one", [{"n": 3}])
        watch.look()
        assert bench.planner.run_due(bench.now_us) is False
        watch.wait(HOUR_US)
    assert watch.state() == []


def test_what_is_in_no_file_yet_holds_the_watermark(bench: PipelineBench, watch: Watch) -> None:
    """The pipeline cannot derive what it cannot read."""
    bench.send("two", [{"n": 2}], flush=False)
    bench.send("one", [{"n": 2}], flush=False)
    watch.wait(9 * HOUR_US)
    assert watch.state() == []
    bench.store.keeper.step()
    bench.store.keeper.flush()
    watch.look()
    watch.wait(HOUR_US)
    assert watch.state() == []
    bench.send("two", [{"n": 3}], flush=False)
    watch.wait(5 * HOUR_US)
    assert watch.state() == [], "by its inputs, an hour has passed"


def test_a_paused_pipeline_says_so(bench: PipelineBench, watch: Watch) -> None:
    watch.catalog.pipelines.set_paused(bench.store.project, "made", True)
    watch.wait(5 * HOUR_US)
    assert watch.state() == [], "it lacks nothing"
    bench.send("one", [{"n": 2}])
    watch.look()
    watch.wait(3 * HOUR_US)
    assert watch.state() == [("overdue", "paused", False)]
    watch.catalog.pipelines.set_paused(bench.store.project, "made", False)
    bench.derive()
    watch.look()
    assert watch.state() == [("overdue", "paused", True)]


def test_where_nothing_executes_runs(bench: PipelineBench, watch: Watch) -> None:
    bench.settings = bench.settings.model_copy(update={"run_workers": 0})
    object.__setattr__(bench.tools, "settings", bench.settings)
    # Runs are dated by the clock of the machine: none of them has begun since.
    bench.now_us = system_clock() + DAY_US
    bench.send("one", [{"n": 2}])
    bench.planner.run_due(bench.now_us)
    watch.look()
    watch.wait(3 * HOUR_US)
    assert watch.state() == [("overdue", "no_run_worker", False)]


def test_a_bucket_that_fails_for_good(bench: PipelineBench, watch: Watch) -> None:
    apply(bench, BROKEN, broken_py=CODE)
    bench.derive()
    watch.look()
    assert watch.state() == [("failed", "failed", False)]
    watch.wait(3 * HOUR_US)
    assert watch.state() == [("overdue", "failed", False), ("failed", "failed", False)]
    bench.apply()
    watch.look()
    assert [one[0] for one in watch.state() if not one[2]] == ["overdue", "failed"], "it was not derived yet"
    bench.derive()
    watch.look()
    assert watch.told() == ["pipeline.failed", "pipeline.overdue"]
    apply(bench)
    bench.derive()
    watch.look()
    assert {ended for _, _, ended in watch.state()} == {True}
    assert sorted(watch.told()[2:]) == ["pipeline.on_time", "pipeline.recovered"]


def test_frozen_and_skipped_buckets_wait_for_nothing(bench: PipelineBench, watch: Watch) -> None:
    bench.send("one", [{"n": 2}])
    watch.look()
    stored = bench.pipeline("made")
    spans = [(one.start_us, one.end_us) for one in bench.buckets("made")]
    watch.catalog.pipelines.set_states(stored.id, spans, BucketState.FROZEN)
    watch.wait(9 * HOUR_US)
    assert watch.state() == []


def test_after_a_restart_it_is_known_since_when(bench: PipelineBench, watch: Watch) -> None:
    bench.send("one", [{"n": 2}])
    watch.look()
    watch.wait(HOUR_US)
    watch.begin()
    watch.wait(SECOND_US)
    watch.begin()
    watch.look()
    watch.wait(HOUR_US)
    assert watch.state() == [("overdue", "waiting", False)]
    for _ in range(2):
        watch.begin()
        watch.wait(HOUR_US)
    assert watch.told() == ["pipeline.overdue"]
    bench.derive()
    watch.begin()
    watch.look()
    assert watch.told() == ["pipeline.overdue", "pipeline.on_time"]
    watch.begin()
    watch.wait(HOUR_US)
    assert watch.told() == ["pipeline.overdue", "pipeline.on_time"]


def test_nothing_is_late_while_no_server_ran(bench: PipelineBench, watch: Watch) -> None:
    """What waits at a start is derived first."""
    bench.send("one", [{"n": 2}])
    watch.look()
    watch.wait(30 * MINUTE_US)
    watch.begin()
    watch.wait(DAY_US)
    assert watch.state() == []
    watch.wait(30 * SECOND_US)
    assert watch.state() == []
    bench.derive()
    watch.wait(MINUTE_US)
    assert watch.state() == []


def test_two_tasks_tell_once(bench: PipelineBench, watch: Watch) -> None:
    other = DeadlineWatch(bench.tools)
    other.run_due(bench.now_us)
    bench.send("one", [{"n": 2}])
    for _ in range(3):
        watch.wait(2 * HOUR_US)
        other.run_due(bench.now_us)
    assert watch.told() == ["pipeline.overdue"]
    bench.derive()
    watch.look()
    other.run_due(bench.now_us)
    assert watch.told() == ["pipeline.overdue", "pipeline.on_time"]


def test_without_a_deadline_any_more_nobody_is_told(bench: PipelineBench, watch: Watch) -> None:
    bench.send("one", [{"n": 2}])
    watch.look()
    watch.wait(3 * HOUR_US)
    before = bench.pipeline("made")
    bench.write(PIPELINE.replace("STEPS", "").replace('fresh_within = "2_hours"\n', ""))
    bench.apply()
    assert bench.pipeline("made").digest == before.digest, "nothing is derived again for it"
    watch.look()
    watch.look()
    assert watch.state() == [("overdue", "waiting", True)]
    assert watch.told() == ["pipeline.overdue"]


def test_with_the_pipeline_all_of_it_goes(bench: PipelineBench, watch: Watch) -> None:
    bench.send("one", [{"n": 2}])
    watch.look()
    watch.wait(3 * HOUR_US)
    assert watch.catalog.troubles.waits()
    watch.catalog.pipelines.remove(bench.store.project, "made")
    watch.wait(HOUR_US)
    assert watch.catalog.troubles.open() == []
    assert watch.catalog.troubles.waits() == {}


def test_what_is_told_holds_no_value(bench: PipelineBench, watch: Watch) -> None:
    code = "def fail(rows):\n    raise ValueError('secret of a person')\n"
    apply(bench, BROKEN, broken_py=code)
    bench.derive()
    watch.look()
    assert "secret of a person" in watch.troubles()[0].message
    (sent,) = watch.sent()
    assert "secret" not in sent.body
    data = json.loads(sent.body)["data"]
    assert (data["pipeline"], data["owner"], data["why"]) == ("made", "team@shop.example", "failed")
    mail = watch.catalog.notices.claim_mail(2**60, 2**61)
    assert mail is not None
    assert "secret" not in mail.subject + mail.body


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('fresh_within = "soon"', "a length of time"),
        ('fresh_within = "30_seconds"', "from 1_minutes to 400_days"),
        ('notify = "chat"', "a list of"),
        ("notify = [{ webhook = 1 }]", "a text"),
        ('notify = [{ email = "not an address" }]', "one plain e-mail address"),
        ('notify = [{ webhook = "a", email = "b" }]', "webhook"),
        ('notify = [{ webhook = "none" }]', "The project has: chat"),
        ('notify = [{ email = "ops@other.example" }]', "ACUMEN_MAIL_DOMAINS"),
    ],
)
def test_what_cannot_be_is_refused(bench: PipelineBench, watch: Watch, line: str, said: str) -> None:
    bench.write(f'[pipelines.other]\nowner = "x"\nfrom = "one"\ninto = "other"\n{line}\n')
    with pytest.raises(InvalidPipeline, match=said):
        check_targets(
            watch.catalog,
            bench.store.project,
            read_folder(bench.folder, bench.around).pipelines,
            bench.settings,
        )


def test_the_owner_is_told_by_default(bench: PipelineBench, watch: Watch) -> None:
    bench.write(PIPELINE.replace("STEPS", "").replace("notify =", "# notify ="))
    (definition,) = read_folder(bench.folder, bench.around).pipelines
    assert [(one.means, one.address) for one in definition.notify] == [("email", "team@shop.example")]


SENT = st.tuples(st.sampled_from(["one", "two"]), st.integers(0, 3), st.booleans())


@settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(steps=st.lists(st.one_of(SENT, st.sampled_from(["derive", "restart", "hour", "hour"])), max_size=14))
def test_late_is_what_lacks_an_event_that_was_stored_long_ago(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    """Against a list of when each event was stored, and whether its bucket was derived since."""
    bench = PipelineBench(tmp_path_factory.mktemp("deadline"))
    try:
        bench.send("one", [{"n": 1}])
        bench.send("two", [{"n": 1}])
        watch = Watch(bench)
        apply(bench)
        bench.derive()
        watch.look()
        lacking: dict[int, int] = {}
        day_us = bench.now_us
        for step in steps:
            if step == "derive":
                bench.derive()
                lacking = {}
            elif step == "restart":
                watch.begin()
            elif step == "hour":
                bench.now_us += HOUR_US
            else:
                collection, days, _ = step
                bench.send(collection, [{"n": 1, "keen": {"timestamp": text_at(day_us - days * DAY_US)}}])
                lacking.setdefault(days, bench.now_us)
            watch.look()
            watch.look()
            late = any(bench.now_us - since_us > 2 * HOUR_US for since_us in lacking.values())
            lasting = [one for one in watch.troubles() if one.ended_us is None]
            # For a minute after a start nothing new is late.
            if step != "restart":
                assert bool(lasting) == late
        begun = watch.told().count("pipeline.overdue")
        assert begun == len(watch.troubles())
        assert watch.told().count("pipeline.on_time") == sum(
            one.ended_us is not None for one in watch.troubles()
        )
    finally:
        bench.close()


def test_it_is_shown_over_http(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data")
    try:
        whole.record(whole.project, "purchases", [{"price": 2}])
        whole.flush()
        text = PIPELINE.replace("STEPS", "").replace("notify =", "# notify =")
        whole.told(whole.project, "POST", "pipelines/apply", {"file": text})
        (listed,) = whole.told(whole.project, "GET", "pipelines")
        assert (listed["fresh_within_seconds"], listed["overdue"]) == (7_200, None)
        catalog = whole.catalog
        stored = catalog.pipelines.find(whole.project.id, "made")
        assert stored is not None
        overdue = PipelineTrouble(
            stored.id, TroubleKind.OVERDUE, 0, DAY_US, TroubleCause.PAUSED, "The pipeline is paused."
        )
        assert catalog.troubles.begin(whole.project.id, overdue, None) == []
        assert catalog.troubles.begin(whole.project.id, overdue, None) is None
        (listed,) = whole.told(whole.project, "GET", "pipelines")
        expected = {
            "since": "1970-01-01T00:00:00.000000+00:00",
            "bucket": "1970-01-02T00:00:00.000000+00:00",
            "why": "paused",
            "message": "The pipeline is paused.",
        }
        assert listed["overdue"] == expected
        shown = whole.told(whole.project, "GET", "pipelines/made")
        assert shown["overdue"] == expected
        (trouble,) = catalog.troubles.open()
        assert catalog.troubles.end(whole.project.id, trouble, None) == []
        assert catalog.troubles.end(whole.project.id, trouble, None) is None
        shown = whole.told(whole.project, "GET", "pipelines/made")
        assert shown["overdue"] is None
        (one,) = shown["troubles"]
        assert (one["kind"], one["why"], one["until"] is not None) == ("overdue", "paused", True)
    finally:
        whole.close()
