"""A key with filters gets what the master key gets where nothing but the events that pass is stored.

Which events pass is told by a slow reference in Python; the rest goes through the whole application: keys
that filter, of both makes, and questions in every way that they can be asked.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from keen import scoped_keys

from query.language.analyses.behaviour_nodes import FunnelQuery
from query.language.analyses.sequence_nodes import PathsQuery, SessionsQuery
from query.language.filters import is_geo
from query.language.nodes import Condition, Filter, MetricQuery, Operator, Span
from storage.instants import format_instant, parse_instant
from tests.query import reference, spoken, strategies
from tests.query.answers.test_reference import close
from tests.query.support_source import Event
from tests.service.whole import Whole
from tests.support.scale import examples
from tests.support.server import TAKES_SCOPED_KEYS

INTERVALS = ["hourly", "daily", "every_2_hours", "every_90_minutes", "weekly"]
ZONES = [None, "Europe/Berlin", "America/New_York", 19_800]
OTHERS = {"keen.id": "u.c", "keen.created_at": "u.d", "keen": "b.a"}
"""Two stores have not these in common: asked for are others in their place."""
INDEXES = ["a", "u.id", "t", "b.c", "Price"]
READS = ["queries", "saved_queries", "cached_queries", "datasets", "schema"]
UNSHRUNK = [phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)]
"""Each example asks much of a server: shrinking one would take minutes."""
ROUNDED = ("average", "deviation")
_numbers = itertools.count()


class Sides:
    """Two projects, the second of which has only what the key lets through of the first."""

    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        self.all, self.rest = whole.project, whole.new_project()
        whole.catalog.projects.update(self.all.id, preferences=TAKES_SCOPED_KEYS)
        whole.parts.tenants.look_again()

    def access_key(self, filters: Sequence[Filter]) -> str:
        narrowed = {"filters": spoken.filters(filters)}
        options = {"queries": narrowed, "saved_queries": narrowed}
        body = {"name": "k", "permitted": READS, "options": options}
        return str(self.whole.told(self.all, "POST", "keys", body)["key"])

    def access_key_for(self, section: str, filters: Sequence[Filter]) -> str:
        """One with filters for one way of asking alone."""
        body = {"name": "k", "permitted": READS, "options": {section: {"filters": spoken.filters(filters)}}}
        return str(self.whole.told(self.all, "POST", "keys", body)["key"])

    def definer(self, section: str) -> str:
        """A key that may read definitions too."""
        filters = spoken.filters([Condition("open", Operator.EQ, True)])
        body = {
            "name": "k",
            "permitted": [*READS, "query_definition"],
            "options": {section: {"filters": filters}},
        }
        return str(self.whole.told(self.all, "POST", "keys", body)["key"])

    def scoped_key(self, filters: Sequence[Filter]) -> str:
        options = {"allowed_operations": ["read"], "filters": spoken.filters(filters)}
        made = scoped_keys.encrypt(self.all.master_key, options)
        return made.decode() if isinstance(made, bytes) else str(made)

    def extracted(self, collection: str) -> list[Event]:
        asked = {"event_collection": collection}
        found: list[Event] = self.whole.told(self.all, "POST", "queries/extraction", asked)["result"]
        return found

    def both(self, key: str, method: str, path: str, body: Any = None, **query: Any) -> tuple[Any, Any]:
        """Under the key where all is, and under the master key where the rest is."""
        return (
            self.whole.told(self.all, method, path, body, key=key, **query),
            self.whole.told(self.rest, method, path, body, **query),
        )

    def owners(self, method: str, path: str, body: Any = None) -> None:
        for project in (self.all, self.rest):
            self.whole.told(project, method, path, body)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    whole = Whole(tmp_path_factory.mktemp("filtered") / "data", dataset_refresh_seconds=3_600.0)
    yield Sides(whole)
    whole.close()


ACTIVITY = ("retention", "lifecycle", "stickiness")


@st.composite
def sent(draw: st.DrawFn, max_size: int) -> list[Event]:
    """As a client sends them, no two at one time."""
    made = draw(strategies.events_lists(max_size))
    for number, event in enumerate(made):
        at_us = parse_instant(event["keen"]["timestamp"])
        assert at_us is not None
        event["keen"] = {"timestamp": format_instant(at_us + number)}
        if draw(st.integers(0, 3)) == 0:
            place = draw(st.sampled_from([[0, 0], [-74.0, 40.7], [179.9, 0.01], [-179.9, 40]]))
            event["keen"]["location"] = {"coordinates": place}
    return made


def _asked(params: Any, names: dict[str, str]) -> Any:
    """With collections of this example, and without what two stores have not in common."""
    text = json.dumps(params)
    for path, other in OTHERS.items():
        text = text.replace(json.dumps(path), json.dumps(other))
    return _renamed(json.loads(text), names)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(one, names) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: names.get(one, one) if name == "event_collection" else _renamed(one, names)
        for name, one in value.items()
    }


@st.composite
def metric_questions(draw: st.DrawFn) -> tuple[str, Any]:
    query: MetricQuery = draw(strategies.metric_queries())
    analysis, asked = spoken.metrics(query)
    asked |= spoken.timeframe(spoken.closed(query.span))
    if query.groups and any(map(is_geo, query.filters)):
        asked["filters"] = []
    if query.buckets is not None:
        asked |= {"interval": draw(st.sampled_from(INTERVALS)), "timezone": draw(st.sampled_from(ZONES))}
    if query.order and any(word in metric.analysis for metric in query.metrics for word in ROUNDED):
        # What comes first of two that differ by rounding alone is anybody's guess.
        del asked["order_by"], asked["limit"]
    return analysis, asked


def _funnel(query: FunnelQuery) -> tuple[str, Any]:
    asked = spoken.funnel(query)
    for step, node in zip(asked["steps"], query.steps, strict=True):
        step |= spoken.timeframe(spoken.closed(node.span))
    return "funnel", asked


@st.composite
def series_questions(draw: st.DrawFn) -> tuple[str, Any]:
    """Of both collections, with what is computed of them."""
    analysis, asked = draw(
        metric_questions().filter(
            lambda made: made[0] not in ("select_unique", "multi_analysis", "standard_deviation")
        )
    )
    series = {
        name: asked.pop(name)
        for name in ("event_collection", "target_property", "percentile")
        if name in asked
    }
    asked = {name: value for name, value in asked.items() if name not in ("order_by", "limit")}
    asked["series"] = {
        "one": {"analysis_type": analysis, **series},
        "other": {"analysis_type": "count", "event_collection": "d"},
    }
    asked |= {"formulas": {"both": "one + other"}, "fill": draw(st.sampled_from([0, "null", "previous"]))}
    if len(asked.get("timeframe", ())) == 2:
        asked["compare"] = draw(st.sampled_from(["previous_period", "same_weekdays"]))
    if asked.get("interval"):
        asked |= {"cumulative": ["one"], "rolling": {"one": 2}}
    if asked.get("group_by"):
        asked |= {"top": {"limit": draw(st.integers(1, 2)), "by": "other", "other": True}, "share": ["other"]}
    return "series", asked


def _sessions(query: SessionsQuery) -> tuple[str, Any]:
    return "sessions", {**spoken.sessions(query), **spoken.timeframe(spoken.closed(query.span))}


@st.composite
def activity_questions(draw: st.DrawFn) -> tuple[str, Any]:
    """Retention, lifecycle and stickiness."""
    days = draw(st.integers(0, 1))
    start, end = (
        strategies.BASE_US - days * 24 * strategies.HOUR_US,
        strategies.BASE_US + 42 * strategies.HOUR_US,
    )
    asked: dict[str, Any] = {
        "actor_property": draw(st.sampled_from(["u.id", "u.id", "a"])),
        "filters": spoken.filters(draw(strategies.filter_lists)),
        "interval": draw(st.sampled_from(["every_3_hours", "daily"])),
        **spoken.timeframe(Span(start, end)),
    }
    analysis = draw(st.sampled_from(ACTIVITY))
    named = {"event_collection": draw(st.sampled_from("ccd"))}
    if analysis == "stickiness":
        histogram = draw(st.booleans())
        return analysis, {
            **asked,
            **named,
            "histogram": histogram,
            "interval": asked["interval"] if histogram else "daily",
        }
    asked["group_by"] = draw(st.none() | st.sampled_from(["b", "t"]))
    if analysis == "lifecycle":
        return analysis, {**asked, "events": [named, {"event_collection": "d", "actor_property": "b"}]}
    asked |= {"starting_event": named, "cohort": draw(st.sampled_from(["first_time", "recurring"]))}
    if asked["cohort"] == "first_time":
        asked["first_in"] = draw(st.sampled_from(["timeframe", "history"]))
    if draw(st.booleans()):
        other = {"event_collection": "c", "filters": spoken.filters(draw(strategies.filter_lists))}
        asked |= {"returning_event": other, "period_type": draw(st.sampled_from(["calendar", "rolling"]))}
    return analysis, asked


def _paths(query: PathsQuery) -> tuple[str, Any]:
    return "paths", {**spoken.paths(query), **spoken.timeframe(spoken.closed(query.span))}


questions = st.one_of(
    metric_questions(),
    metric_questions(),
    series_questions(),
    strategies.funnels().map(_funnel),
    strategies.sessions_queries().map(_sessions),
    strategies.paths_queries().map(_paths),
    activity_questions(),
    strategies.extractions().map(
        lambda query: (
            "extraction",
            {**spoken.extraction(query), **spoken.timeframe(spoken.closed(query.span))},
        )
    ),
)


@given(
    events=sent(14),
    others=sent(5),
    hidden=st.lists(strategies.filters, min_size=1, max_size=2),
    asked=st.lists(questions, min_size=1, max_size=3),
    member=st.none() | strategies.memberships(),
    flushes=st.tuples(st.booleans(), st.booleans()),
    scoped=st.booleans(),
    index=st.lists(st.sampled_from(INDEXES), min_size=1, max_size=2, unique=True),
    values=st.lists(st.one_of(st.none(), strategies.scalars), min_size=2, max_size=2),
)
@settings(max_examples=examples(50), deadline=None, phases=UNSHRUNK, suppress_health_check=list(HealthCheck))
def test_a_filtered_key_is_told_what_a_store_of_what_it_may_see_tells(
    sides: Sides,
    events: list[Event],
    others: list[Event],
    hidden: list[Filter],
    asked: list[tuple[str, Any]],
    member: Condition | None,
    flushes: tuple[bool, bool],
    scoped: bool,
    index: list[str],
    values: list[Any],
) -> None:
    number = next(_numbers)
    # Unlike those of other examples, which would be suggested.
    names = {one: hashlib.blake2b(f"{one}{number}".encode(), digest_size=12).hexdigest() for one in "cd"}
    for side, flushed in zip(("c", "d"), flushes, strict=True):
        _fill(sides, names[side], events if side == "c" else others, hidden, flushed=flushed)
    scoped |= _too_large(spoken.filters(hidden))
    key = sides.scoped_key(hidden) if scoped else sides.access_key(hidden)
    _check_schema(sides, key, list(names.values()))
    if not scoped:
        _check_schema(sides, sides.access_key_for("saved_queries", hidden), list(names.values()))
    for analysis, params in asked:
        params = _asked(_of_members(params, member), names)
        _check_asked(sides, key, analysis, params)
        _check_saved(sides, key, analysis, params)
        if member is None and "interval" in params and analysis not in ("series", *ACTIVITY):
            narrow = key if scoped else sides.scoped_key(hidden)
            values = [_found(events, path, other) for path, other in zip(index, values, strict=False)]
            _check_dataset(sides, narrow, {**params, "analysis_type": analysis}, index, values)


def _of_members(params: Any, member: Condition | None) -> Any:
    """The question of the events, or of the first step's events, whose actors are in a cohort."""
    if member is None:
        return params
    part = params["steps"][0] if "steps" in params else params
    part["filters"] = [*part.get("filters", []), *spoken.filters([member])]
    return params


def _found(events: list[Event], path: str, other: Any) -> Any:
    """A value that the last event with one has there; else the other."""
    values = [value for event in events for value in reference.values_of(event, path)]
    return values[-1] if values and values[-1] is not None else other


def _too_large(value: Any) -> bool:
    """Whether it holds a number that the options of an access key may not have."""
    if isinstance(value, dict | list):
        return any(map(_too_large, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and not -(2**63) <= value < 2**64


def _fill(
    sides: Sides, collection: str, events: list[Event], hidden: Sequence[Filter], *, flushed: bool
) -> None:
    """Everything on one side, what passes on the other; half of it in files, or all of it in the log."""
    half = len(events) // 2
    for some in (events[:half], events[half:]):
        sides.whole.record(sides.all, collection, some)
        if flushed and some is not events:
            sides.whole.flush()
    stored = {event["keen"]["timestamp"]: event for event in sides.extracted(collection)}
    assert len(stored) == len(events)
    kept = [
        event
        for event in events
        if all(reference.matches(stored[event["keen"]["timestamp"]], item) for item in hidden)
    ]
    sides.whole.record(sides.rest, collection, kept)


def _check_asked(sides: Sides, key: str, analysis: str, params: Any) -> None:
    """Ad hoc, and where an answer of some time ago would do, which others have had."""
    metadata = {**params, "include_metadata": True}
    narrowed, whole = sides.both(key, "POST", f"queries/{analysis}", metadata)
    scanned = [told.pop("execution_metadata")["events_scanned"] for told in (narrowed, whole)]
    if "series" not in params and analysis not in ACTIVITY:
        assert scanned[0] == sum(_within(sides, part) for part in _parts(params))
    assert close(_plain(narrowed), _plain(whole)), (narrowed, whole)
    recent = {**params, "max_age": 600}
    sides.whole.told(sides.all, "POST", f"queries/{analysis}", recent)
    for _ in range(2):
        again = sides.whole.told(sides.all, "POST", f"queries/{analysis}", recent, key=key)
        assert close(_plain(again), _plain(whole)), (again, whole)


def _check_schema(sides: Sides, key: str, collections: list[str]) -> None:
    """The same names, at every address, and no word of others."""
    for name in collections:
        narrowed = sides.whole.call(sides.all, "GET", f"events/{name}", key=key)
        whole = sides.whole.call(sides.rest, "GET", f"events/{name}")
        assert narrowed.status_code == whole.status_code
        if whole.status_code == 200:
            assert set(narrowed.json()["properties"]) == set(whole.json()["properties"])
            _check_profile(sides, key, name, [one for one in whole.json()["properties"] if "keen" not in one])
        else:
            assert narrowed.json() == whole.json()
    listed = {one["name"] for one in sides.whole.told(sides.all, "GET", "events", key=key)}
    there = {one["name"] for one in sides.whole.told(sides.rest, "GET", "events")}
    assert listed.intersection(collections) == there.intersection(collections)


def _check_profile(sides: Sides, key: str, collection: str, names: list[str]) -> None:
    """Computed and kept; ids differ between the two stores, and times of events that came without one."""
    asked = urlencode({"property_names": json.dumps(names or ["keen.timestamp"]), "limit": 100})
    whole = sides.whole.told(sides.rest, "GET", f"events/{collection}/profile?{asked}")
    for _ in range(2):
        narrowed = sides.whole.told(sides.all, "GET", f"events/{collection}/profile?{asked}", key=key)
        assert json.dumps(_undated(narrowed)) == json.dumps(_undated(whole))


def _undated(told: Any) -> Any:
    days = [one["events"] for one in told["over_time"]["counts"]]
    return {**told, "first": None, "last": None, "over_time": days}


def _parts(params: Any) -> list[Any]:
    """The steps of a funnel, the events of sessions and paths with the time before that they read, or the
    question."""
    if "events" not in params:
        return list(params.get("steps", [params]))
    frame = dict(params.get("timeframe", {}))
    start = parse_instant(frame["start"]) if "start" in frame else None
    if start is not None and params.get("counting", "sessions") == "sessions":
        lengths = [params["gap"], params.get("longest", "0_minutes")]
        minutes = sum(int(length.removesuffix("_minutes")) for length in lengths)
        frame["start"] = format_instant(start - minutes * 60_000_000)
    ends = [params[name] for name in ("from", "to") if isinstance(params.get(name), dict)]
    return [{**part, **({"timeframe": frame} if frame else {})} for part in (*params["events"], *ends)]


def _within(sides: Sides, part: Any) -> int:
    """How many of the events that the key may see are in the timeframe, which is what it is told of."""
    asked = {name: part[name] for name in ("event_collection", "timeframe", "timezone") if name in part}
    return int(sides.whole.told(sides.rest, "POST", "queries/count", asked)["result"])


def _check_saved(sides: Sides, key: str, analysis: str, params: Any) -> None:
    """Computed when asked for, or kept, and then asked for again."""
    for rate in (0, 14_400)[: 1 if analysis == "extraction" else 2]:
        body = {"query": {**params, "analysis_type": analysis}, "refresh_rate": rate}
        sides.owners("PUT", "queries/saved/q", body)
        sides.whole.told(sides.all, "GET", "queries/saved/q/result")
        for _ in range(2):
            narrowed, whole = sides.both(key, "GET", "queries/saved/q/result")
            assert close(_result(narrowed), _result(whole)), (narrowed, whole)
    sides.owners("DELETE", "queries/saved/q")


def _result(told: Any) -> Any:
    """What is told of a saved query's events: not the definition, whose filters are not shown to the key."""
    result, ran = _plain(told["result"]), told["run_information"]
    if isinstance(result, dict) and "steps" in result:
        result["steps"] = [{**step, "filters": []} for step in result["steps"]]
    return [result, ran and [ran["events_scanned"], ran["stale"], ran["last_run_status"]]]


def _check_dataset(sides: Sides, key: str, query: Any, index: list[str], values: list[Any]) -> None:
    """Asked of the events under the key; served from what was computed beforehand without."""
    sides.owners("PUT", "datasets/d", {"query": query, "index_by": index})
    sides.whole.refresh()
    given = [json.dumps(values), json.dumps(dict(zip(index, values, strict=True)))]
    if len(index) == 1 and isinstance(values[0], str) and values[0].strip():
        given.append(values[0])
    if len(index) == 1 and not isinstance(values[0], str):
        # As text without quotes: what it means depends on what events hold.
        given.append(json.dumps(values[0]))
    for index_by in given:
        narrowed, whole = sides.both(key, "GET", "datasets/d/results", index_by=index_by)
        assert close(narrowed["result"], whole["result"]), (index_by, narrowed, whole)
    sides.owners("DELETE", "datasets/d")


def _plain(told: Any) -> Any:
    """Without what the server gives each event, and an event's members by name: they come in the order in
    which the collection's properties first came."""
    if isinstance(told, list):
        return [_plain(one) for one in told]
    if not isinstance(told, dict):
        return told
    kept = {name: _plain(one) for name, one in told.items()}
    if isinstance(kept.get("keen"), dict):
        kept["keen"] = {
            name: kept["keen"][name] for name in ("timestamp", "location") if name in kept["keen"]
        }
        return _by_name(kept)
    return kept


def _by_name(value: Any) -> Any:
    if isinstance(value, list):
        return [_by_name(one) for one in value]
    return {name: _by_name(value[name]) for name in sorted(value)} if isinstance(value, dict) else value


def test_what_a_key_may_not_see_does_not_change_what_its_words_mean(sides: Sides) -> None:
    """The value 5 is the number, as long as no event that can be seen has a text there."""
    seen: list[Event] = [{"open": True, "t": 5}, {"open": True, "t": 6}, {"open": True}]
    at = {"keen": {"timestamp": format_instant(strategies.BASE_US)}}
    filters: list[Filter] = [Condition("open", Operator.EQ, True)]
    sides.whole.record(sides.all, "words", [one | at for one in [*seen, {"t": "5"}, {"t": ["x"]}]])
    sides.whole.record(sides.rest, "words", [one | at for one in seen])
    span = Span(strategies.BASE_US, strategies.BASE_US + 2 * strategies.HOUR_US)
    query = {"analysis_type": "count", "event_collection": "words", "interval": "hourly"}
    _check_dataset(sides, sides.scoped_key(filters), {**query, **spoken.timeframe(span)}, ["t"], [5])


def test_a_key_is_told_of_properties_that_are_only_null_in_what_it_sees(sides: Sides) -> None:
    """Whatever they are out of sight, and whichever event came first."""
    seen: list[Event] = [
        {"open": True, "a": None, "o": None, "n": {"m": None}},
        {"open": True, "o": {"p": 1}},
    ]
    key = sides.access_key([Condition("open", Operator.EQ, True)])
    for number, events in enumerate((seen, seen[::-1])):
        name = f"nulls{number}"
        sides.whole.record(sides.all, name, [{"a": 1, "o": 2, "b": None, "n": 3}, *events])
        sides.whole.record(sides.rest, name, events)
        for _ in range(2):
            _check_schema(sides, key, [name])
            told = sides.whole.told(sides.all, "GET", f"events/{name}", key=key)["properties"]
            own = {path: kind for path, kind in told.items() if not path.startswith("keen.")}
            assert own == {"a": "null", "n.m": "null", "o.p": "num", "open": "bool"}
            sides.whole.flush()


def test_what_a_key_may_not_see_does_not_make_its_questions_too_long(sides: Sides) -> None:
    """How much a filter may read would tell which properties the events out of sight have."""
    hidden = {f"p{number}": 1 for number in range(400)}
    seen: list[Event] = [{"open": True, "u": number, "o": {"p1": number}} for number in range(3)]
    sides.whole.record(sides.all, "wide", seen)
    sides.whole.flush()
    sides.whole.record(sides.all, "wide", [{"open": False, "u": 7, "o": hidden, "n": None}])
    key = sides.access_key([Condition("open", Operator.EQ, True)])
    filters = [{"property_name": "o", "operator": "exists", "property_value": True}] * 30
    step = {"event_collection": "wide", "actor_property": "u", "filters": filters}
    metric = {"event_collection": "wide", "filters": filters}
    for _ in range(2):
        assert _told(sides, key, "count", metric)["result"] == 3
        assert _told(sides, key, "funnel", {"steps": [step, step]})["result"] == [3, 3]
        assert len(_told(sides, key, "extraction", metric)["result"]) == 3
        sides.whole.flush()
    reply = sides.whole.call(sides.all, "POST", "queries/count", metric)
    assert (reply.status_code, reply.json()["error_code"]) == (400, "QueryLimitError")


def test_filters_of_a_key_read_no_more_than_those_of_a_question(sides: Sides) -> None:
    sides.whole.record(sides.all, "broad", [{"o": {f"p{number}": 1 for number in range(400)}}])
    few, many = (sides.access_key([Condition("o", Operator.EXISTS, True)] * number) for number in (5, 30))
    asked = {"event_collection": "broad", "include_metadata": True}
    assert _told(sides, few, "count", asked)["result"] == 1
    for method, path, body in (("POST", "queries/count", asked), ("GET", "events/broad", None)):
        reply = sides.whole.call(sides.all, method, path, body, key=many)
        assert (reply.status_code, reply.json()["error_code"]) == (400, "QueryLimitError")
    assert sides.whole.told(sides.all, "GET", "events/broad", key=few)["name"] == "broad"


def _told(sides: Sides, key: str, analysis: str, params: Any) -> Any:
    return sides.whole.told(sides.all, "POST", f"queries/{analysis}", params, key=key)


SECRET = "not for this key"
HIDING = [{"property_name": "who", "operator": "ne", "property_value": SECRET}]
STEP = {"event_collection": "seen", "actor_property": "u", "filters": HIDING}
COUNT = {"analysis_type": "count", "event_collection": "seen", "filters": HIDING}


@pytest.mark.parametrize("section", ["queries", "saved_queries"])
@pytest.mark.parametrize(
    "query", [COUNT, {"analysis_type": "funnel", "steps": [STEP, STEP]}], ids=["count", "funnel"]
)
@pytest.mark.parametrize("rate", [0, 14_400])
def test_a_filtered_key_is_told_no_value_that_a_saved_query_filters_by(
    sides: Sides, section: str, query: Any, rate: int
) -> None:
    """Neither in the definition nor with the result, whatever the filters of the key are for."""
    sides.whole.record(sides.all, "seen", [{"open": True, "u": 1}, {"open": False, "u": 2}])
    key = sides.access_key_for(section, [Condition("open", Operator.EQ, True)])
    body = {"query": query, "refresh_rate": rate, "metadata": {"display_name": "Q", "note": SECRET}}
    sides.whole.told(sides.all, "PUT", "queries/saved/hiding", body)
    told = sides.whole.told(sides.all, "GET", "queries/saved/hiding/result")
    assert SECRET in json.dumps(told["query"])
    definer = sides.definer(section)
    for path in ("queries/saved", "saved_queries"):
        for _ in range(2):
            assert SECRET not in json.dumps(
                sides.whole.told(sides.all, "GET", f"{path}/hiding/result", key=key)
            )
        assert SECRET not in json.dumps(sides.whole.told(sides.all, "GET", f"{path}/hiding", key=definer))
    again = sides.whole.told(sides.all, "GET", "queries/saved/hiding/result")
    assert SECRET in json.dumps(again["query"])


@pytest.mark.parametrize("section", ["queries", "saved_queries"])
def test_a_filtered_key_is_told_no_value_that_a_dataset_filters_by(sides: Sides, section: str) -> None:
    sides.whole.record(sides.all, "seen", [{"open": True, "u": 1}])
    key = sides.access_key_for(section, [Condition("open", Operator.EQ, True)])
    query = {**COUNT, "timeframe": "this_2_days", "interval": "daily"}
    made = sides.whole.told(sides.all, "PUT", "datasets/hiding", {"query": query, "index_by": "u"})
    assert SECRET in json.dumps(made)
    sides.whole.refresh()
    for path in ("datasets", "datasets/hiding"):
        assert SECRET not in json.dumps(sides.whole.told(sides.all, "GET", path, key=key))
    found = sides.whole.told(sides.all, "GET", "datasets/hiding/results", key=key, index_by=[1])
    assert SECRET not in json.dumps(found)
    sides.whole.told(sides.all, "DELETE", "datasets/hiding")


def test_a_filtered_key_is_told_no_reason_of_a_failed_run(tmp_path: Path) -> None:
    """It may quote what the query filters by, or tell of events out of sight."""
    whole = Whole(tmp_path / "data", query_groups_max=1)
    sides = Sides(whole)
    sides.whole.record(sides.all, "seen", [{"open": True, "u": n} for n in range(3)])
    query = {"analysis_type": "count", "event_collection": "seen", "group_by": ["u"]}
    sides.whole.told(sides.all, "PUT", "queries/saved/failing", {"query": query, "refresh_rate": 14_400})
    assert sides.whole.call(sides.all, "GET", "queries/saved/failing/result").status_code == 400
    master = sides.whole.told(sides.all, "GET", "queries/saved/failing")["run_information"]
    assert master["last_run_message"]
    definer = sides.definer("queries")
    ran = sides.whole.told(sides.all, "GET", "queries/saved/failing", key=definer)["run_information"]
    assert (ran["last_run_status"], ran["last_run_message"]) == ("failed", None)
    whole.close()
