"""Results that are kept, against the same questions asked of the events, over whatever streams of them.

Late events, duplicates, changes, erasures and retention come through the whole application, in zones whose
clocks have just been changed. After every refresh what is kept is what the events say; before it a result
that is not so any more says that it is stale, and nothing is told of events that were taken away.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.catalog.stored.records import event_scope
from storage.instants import format_instant, parse_instant
from tests.query.answers.test_reference import close
from tests.service.whole import Whole
from tests.support.scale import examples

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
RATE = 14_400
CHANGED = {
    "Europe/Berlin": (datetime(2024, 3, 31, 9, tzinfo=UTC), datetime(2024, 10, 27, 9, tzinfo=UTC)),
    "US/Pacific": (datetime(2024, 3, 10, 14, tzinfo=UTC), datetime(2024, 11, 4, 3, tzinfo=UTC)),
    "Australia/Lord_Howe": (datetime(2024, 4, 6, 22, tzinfo=UTC), datetime(2024, 10, 5, 23, tzinfo=UTC)),
}
"""Zones, and times some hours after their clocks were changed, the last by half an hour."""
VALUES = ["a", "a", "b", 1, 2.5, True, None, ["a", "c"], "1"]
RELATIVE = [
    "this_4_days",
    "previous_3_days",
    "this_2_weeks",
    "previous_1_week",
    "this_70_hours",
    "this_1_month",
]
WHERE = [[], [{"property_name": "n", "operator": "lt", "property_value": 7}]]
STEPS: list[dict[str, Any]] = [
    {"event_collection": "c", "actor_property": "v"},
    {"event_collection": "c", "actor_property": "v", "filters": WHERE[1], "with_actors": True},
]
ANALYSES: list[dict[str, Any]] = [
    {"analysis_type": "count"},
    {"analysis_type": "sum", "target_property": "n"},
    {"analysis_type": "count_unique", "target_property": "v"},
    {"analysis_type": "median", "target_property": "n"},
    {"analysis_type": "select_unique", "target_property": "g"},
    {
        "analysis_type": "multi_analysis",
        "analyses": {
            "most": {"analysis_type": "maximum", "target_property": "n"},
            "all": {"analysis_type": "count"},
        },
    },
]
_numbers = itertools.count()

arranged = st.fixed_dictionaries(
    {
        "what": st.sampled_from(ANALYSES),
        "interval": st.sampled_from(["daily", "daily", "weekly", "hourly", "every_5_hours"]),
        "filters": st.sampled_from(WHERE),
        "group_by": st.sampled_from([None, "g"]),
    }
)
frames = st.one_of(st.sampled_from(RELATIVE), st.tuples(st.integers(1, 9), st.integers(0, 4)))
"""Relative, or so many days before and after the change."""
questions = st.tuples(
    arranged,
    frames,
    st.sampled_from(
        ["plain", "interval", "interval", "series", "funnel", "ordered", "retention", "lifecycle"]
    ),
)
events = st.fixed_dictionaries(
    {
        "hours": st.one_of(st.integers(-50, 10), st.integers(-200, 50)),
        "minutes": st.integers(0, 59),
        "n": st.integers(0, 9),
    },
    optional={
        "v": st.sampled_from(VALUES),
        "g": st.sampled_from(["p", "q", 3]),
        "token": st.sampled_from(["t0", "t1", "t2"]),
    },
)
sent = st.lists(events, min_size=3, max_size=8)
VERBS = ["send"] * 7 + ["refresh"] * 6 + ["flush", "flush", "merge", "hour", "day"]
VERBS += ["erase", "erase", "change", "change", "forget", "retain"]
GIVEN = {"send": sent, "erase": st.integers(0, 9), "change": st.integers(0, 9), "retain": st.integers(1, 8)}


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[str, Any]]:
    verbs = draw(st.lists(st.sampled_from(VERBS), min_size=3, max_size=7))
    return [(verb, draw(GIVEN[verb]) if verb in GIVEN else None) for verb in ["send", *verbs, "refresh"]]


class Stream:
    """One collection, what is kept of it, and the events that should be there."""

    def __init__(self, whole: Whole, zone: str, changed: datetime) -> None:
        self.whole, self.zone, self.changed = whole, zone, changed
        self.name = f"c{next(_numbers)}"
        whole.now_us = int(changed.timestamp()) * SECOND_US
        self.begun_us = whole.now_us
        self.events: list[dict[str, Any]] | None = []
        """None once some went by their age."""
        self.refreshed: Any = None
        """The moment of the collection that the dataset was computed at."""
        self.questions: dict[str, dict[str, Any]] = {}
        self.dataset: dict[str, Any] = {}
        self.index: list[str] = []

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        return self.whole.told(self.whole.project, method, path, body, **query)

    def define(self, asked: list[Any], kept: Any, frame: Any, index: list[str]) -> None:
        for number, (arrangement, where, form) in enumerate(asked):
            query = self._query(arrangement, where, form)
            self.questions[f"{self.name}-{number}"] = query
            self.call("PUT", f"queries/saved/{self.name}-{number}", {"query": query, "refresh_rate": RATE})
        self.dataset, self.index = self._query(kept, frame, "interval"), index
        self.call("PUT", f"datasets/{self.name}", {"query": self.dataset, "index_by": index})

    def _query(self, given: dict[str, Any], frame: Any, form: str) -> dict[str, Any]:
        if not isinstance(frame, str):
            local = self.changed.astimezone(ZoneInfo(self.zone)).replace(hour=0)
            start, end = local - timedelta(days=frame[0]), local + timedelta(days=frame[1])
            frame = {"start": start.isoformat(), "end": end.isoformat()}
        asked: dict[str, Any] = {"timeframe": frame, "timezone": self.zone}
        if form in ("funnel", "ordered"):
            if form == "ordered":
                asked |= {"order": "ordered", "window": "36_hours"}
            steps: list[dict[str, Any]] = [{**step, "event_collection": self.name} for step in STEPS]
            return {"analysis_type": "funnel", "steps": steps, **asked}
        if form == "series":
            return {**asked, **self._series(given)}
        if form in ("retention", "lifecycle"):
            asked |= {"analysis_type": form, "actor_property": "v", "interval": "daily"}
            asked |= {"filters": given["filters"], "group_by": given["group_by"], "first_in": "timeframe"}
            named = {"event_collection": self.name}
            return {**asked, **({"starting_event": named} if form == "retention" else named)}
        asked |= {**given["what"], "event_collection": self.name, "filters": given["filters"]}
        if form == "interval":
            asked["interval"] = given["interval"]
        return asked if given["group_by"] is None else {**asked, "group_by": given["group_by"]}

    def _series(self, given: dict[str, Any]) -> dict[str, Any]:
        """Two of them, compared with a timeframe whose events no other does cover."""
        label_less = given["what"]["analysis_type"] not in ("select_unique", "multi_analysis")
        one = given["what"] if label_less else {"analysis_type": "count"}
        start = self.changed - timedelta(days=3, hours=5)
        asked = {
            "analysis_type": "series",
            "series": {
                "one": {**one, "event_collection": self.name},
                "all": {"analysis_type": "count", "event_collection": self.name},
            },
            "formulas": {"each": "one / all"},
            "filters": given["filters"],
            "interval": given["interval"],
            "cumulative": "one",
            "compare": {"start": start.isoformat(), "end": (start + timedelta(hours=31)).isoformat()},
        }
        return asked if given["group_by"] is None else {**asked, "group_by": given["group_by"], "top": 1}

    def end(self) -> None:
        for name in self.questions:
            self.call("DELETE", f"queries/saved/{name}")
        self.call("DELETE", f"datasets/{self.name}")
        path = f"retention/{self.name}"
        self.whole.call(self.whole.project, "DELETE", path)

    # What happens

    def send(self, given: list[dict[str, Any]]) -> None:
        sent: list[dict[str, Any]] = []
        for one in given:
            at_us = self.begun_us + (one["hours"] * 60 + one["minutes"]) * 60 * SECOND_US
            event: dict[str, Any] = {name: one[name] for name in ("n", "v", "g") if name in one}
            event["keen"] = {"timestamp": format_instant(at_us)}
            if self.events is not None and self._counts(one.get("token")):
                self.events.append({**event, "token": one.get("token")})
            if "token" in one:
                event = {**event, "keen": {**event["keen"], "uniqueness_token": one["token"]}}
            sent.append(event)
        self.whole.record(self.whole.project, self.name, sent)

    def _counts(self, token: str | None) -> bool:
        """Whether no event that is stored has this token."""
        return token is None or all(one["token"] != token for one in self.events or ())

    def erase(self, n: int) -> None:
        filters = [{"property_name": "n", "operator": "eq", "property_value": n}]
        if self._there():
            self.call("DELETE", f"events/{self.name}", filters=filters)
            self._keep([one for one in self.events or () if one["n"] != n])

    def change(self, n: int) -> None:
        filters = [{"property_name": "n", "operator": "gte", "property_value": n}]
        updates = [
            {"property_name": "n", "property_value": 9 - n},
            {"property_name": "g", "property_value": "new", "upsert_property": True},
        ]
        if self._there():
            body = {"property_updates": updates, "filters": filters}
            found = self.call("PUT", f"events/{self.name}", body)["updated_events"]
            changed = [one for one in self.events or () if one["n"] >= n]
            assert self.events is None or found == len(changed)
            for one in changed:
                one |= {"n": 9 - n, "g": "new"}

    def forget(self) -> None:
        if self._there():
            self.call("DELETE", f"events/{self.name}")
            self._keep([])

    def retain(self, days: int) -> None:
        if self._there():
            self.call("PUT", f"retention/{self.name}", {"days": days})
            self.events = None

    def _keep(self, events: list[dict[str, Any]]) -> None:
        self.events = None if self.events is None else events

    def _there(self) -> bool:
        return bool(self.asked({"analysis_type": "count", "event_collection": self.name})["result"])

    def keep_house(self) -> None:
        """Twice: what is too old is found, and then taken away."""
        self.whole.keeper.step()
        self.whole.keeper.step()

    # What is told

    def asked(self, query: dict[str, Any]) -> Any:
        """Of the events, now."""
        return self.call("POST", f"queries/{query['analysis_type']}", query)

    def check_results(self, *, fresh: bool) -> None:
        """Each result is what the events say, as of when it was asked, or says that it is stale."""
        now_us = self.whole.now_us
        for name, query in self.questions.items():
            told = self.call("GET", f"queries/saved/{name}/result")
            ran = told["run_information"]
            as_of_us = parse_instant(ran["data_through"])
            assert as_of_us is not None
            if fresh:
                assert (as_of_us, ran["stale"]) == (now_us, False)
            self.whole.now_us = as_of_us
            covered = self._covered(query)
            assert ran["stale"] is (covered != ran["events_scanned"]), (query, ran, covered)
            if not ran["stale"]:
                assert close(_result(told, query), _result(self.asked(query), query)), (query, told)
            self.whole.now_us = now_us

    def _covered(self, query: dict[str, Any]) -> int:
        """The events that a question is about: for a funnel, those of each step."""
        parts = query.get("steps", [query])
        frame = {name: query[name] for name in ("timeframe", "timezone")}
        if "compare" in query:
            parts = [query, {**query, "timeframe": query["compare"]}]
        found = 0
        for part in parts:
            asked: dict[str, Any] = {
                "event_collection": self.name,
                "filters": part.get("filters", []),
                **frame,
                **({"timeframe": part["timeframe"]} if "compare" in part else {}),
            }
            found += self.asked({"analysis_type": "count", **asked})["result"]
        return found

    def moment(self) -> tuple[int, int] | None:
        """Another one once events were taken away or changed."""
        found = self.whole.catalog.collections.named(self.whole.project.id, [self.name])
        return (found[0].id, found[0].erase_version) if found else None

    def check_dataset(self, *values: Any, stored: bool) -> None:
        """For values of its first property; ``stored``: none of it is computed now."""
        for value in values:
            given = [value, "p"][: len(self.index)]
            before = self.answered()
            told = self.call("GET", f"datasets/{self.name}/results", index_by=json.dumps(given))
            assert not stored or self.answered() == before
            filters = [
                {"property_name": path, "operator": "eq", "property_value": one}
                for path, one in zip(self.index, given, strict=True)
            ]
            query = {**self.dataset, "filters": [*self.dataset["filters"], *filters]}
            assert close(told["result"], self.asked(query)["result"]), (query, told)

    def answered(self) -> str:
        """How many questions were answered by asking the events, as the metrics say."""
        lines = self.whole.parts.metrics.text().splitlines()
        return next(one for one in lines if one.startswith('acumen_queries_total{outcome="answered"}'))

    def check_events(self) -> None:
        if self.events is not None:
            found = self.asked({"analysis_type": "extraction", "event_collection": self.name})["result"]
            assert _told(found) == _told(self.events)


def _told(events: list[dict[str, Any]]) -> list[str]:
    """What they say themselves, in an order."""
    bare = [{name: one[name] for name in ("n", "v", "g") if name in one} for one in events]
    return sorted(json.dumps(one, sort_keys=True) for one in bare)


def _result(told: Any, query: dict[str, Any]) -> Any:
    if query["analysis_type"] != "funnel":
        return [told["result"], told.get("compare")]
    inner = told["result"] if isinstance(told["result"], dict) else told
    return [inner["result"], inner["actors"]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    made = Whole(tmp_path_factory.mktemp("derived") / "data", dataset_refresh_seconds=3_600.0)
    yield made
    made.close()


@given(
    zone=st.sampled_from(sorted(CHANGED)),
    autumn=st.booleans(),
    asked=st.lists(questions, min_size=1, max_size=2),
    kept=arranged,
    frame=frames,
    wide=st.booleans(),
    stream=streams(),
)
@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_kept_is_what_the_events_say_or_says_that_it_is_not(
    whole: Whole,
    zone: str,
    autumn: bool,
    asked: list[Any],
    kept: Any,
    frame: Any,
    wide: bool,
    stream: list[tuple[str, Any]],
) -> None:
    made = Stream(whole, zone, CHANGED[zone][autumn])
    made.define(asked, kept, frame, ["v", "g"] if wide else ["v"])
    try:
        made.check_results(fresh=True)
        for verb, what in stream:
            _take(made, verb, what)
            made.check_results(fresh=False)
            if made.moment() != made.refreshed:
                made.check_dataset("a", None, stored=False)
    finally:
        made.end()


def _take(made: Stream, verb: str, what: Any) -> None:
    whole = made.whole
    if verb in ("send", "erase", "change", "retain"):
        getattr(made, verb)(what)
    elif verb == "forget":
        made.forget()
    elif verb in ("flush", "merge"):
        whole.flush() if verb == "flush" else whole.merge()
    elif verb == "refresh":
        whole.now_us += RATE * SECOND_US
        made.keep_house()
        whole.refresh()
        made.check_events()
        made.check_results(fresh=True)
        made.refreshed = made.moment()
        made.check_dataset("a", "c", 1, None, stored=True)
    else:
        whole.now_us += HOUR_US * (24 if verb == "day" else 1)
        made.keep_house()


def test_a_token_is_free_again_with_its_own_event_and_not_before(whole: Whole) -> None:
    """Though all of a batch were claimed together."""
    made = Stream(whole, "Europe/Berlin", CHANGED["Europe/Berlin"][0])
    one, other = ({"hours": 0, "minutes": 0, "n": n, "token": f"t{n}"} for n in (1, 2))
    made.send([{"hours": 0, "minutes": 0, "n": 3}, one, other])
    for gone, wanted in ((3, [1, 2]), (2, [1]), (1, [])):
        made.erase(gone)
        (collection,) = whole.catalog.collections.named(whole.project.id, [made.name])
        scope = event_scope(collection.id)
        held = whole.catalog.claims.find([(scope, f"t{n}") for n in (1, 2)])
        assert sorted(token for _, token in held) == [f"t{n}" for n in wanted]
    made.send([one, other, one])
    made.check_events()
