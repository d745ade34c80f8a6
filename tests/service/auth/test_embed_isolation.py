"""An embed token is told what the master key is told where nothing but the events that pass is stored.

Which events pass is told by a slow reference in Python, from the filters of the access key and of every link
of the token's chain; the rest goes through the whole application.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from query.language.filters import is_geo
from query.language.nodes import Filter
from query.language.parameter_table import METRICS, MULTI_ANALYSIS
from service.auth.embed_tokens import TOKEN_LENGTH_MAX
from service.saved_queries.definition import KEPT_BESIDE
from tests.query import spoken, strategies
from tests.query.answers.test_reference import close
from tests.query.support_source import Event
from tests.service.auth.test_filtered import (
    INDEXES,
    INTERVALS,
    OTHERS,
    UNSHRUNK,
    Sides,
    _asked,
    _check_asked,
    _check_dataset,
    _check_schema,
    _fill,
    _found,
    _plain,
    _too_large,
    metric_questions,
    questions,
    sent,
)
from tests.service.whole import Whole
from tests.support.embed import chained
from tests.support.scale import examples

ALL_USES = ["queries", "extractions", "exports", "schema", "tail"]
VIEWER = {"timeframe": True, "interval": True, "filters": [*strategies.PATHS, *OTHERS.values()]}
FRAMES = [
    {"start": "2023-11-14T00:00:00Z", "end": "2023-11-15T06:00:00Z"},
    {"start": "2023-11-14T22:15:00Z", "end": "2023-11-16T00:00:00Z"},
]
_numbers = itertools.count()


OF_DATASETS = METRICS | {MULTI_ANALYSIS}


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    whole = Whole(tmp_path_factory.mktemp("embedded") / "data", dataset_refresh_seconds=3_600.0)
    yield Sides(whole)
    whole.close()


@given(
    events=sent(14),
    others=sent(5),
    of_key=st.lists(strategies.filters, max_size=1),
    of_links=st.lists(st.lists(strategies.filters, max_size=1), min_size=1, max_size=3),
    asked=st.lists(questions, min_size=1, max_size=2),
    changes=st.fixed_dictionaries(
        {},
        optional={
            "timeframe": st.sampled_from(FRAMES),
            "interval": st.sampled_from(INTERVALS),
            "filters": st.lists(strategies.filters, min_size=1, max_size=2),
        },
    ),
    flushes=st.tuples(st.booleans(), st.booleans()),
    index=st.lists(st.sampled_from(INDEXES), min_size=1, max_size=2, unique=True),
    values=st.lists(st.one_of(st.none(), strategies.scalars), min_size=2, max_size=2),
)
@settings(max_examples=examples(40), deadline=None, phases=UNSHRUNK, suppress_health_check=list(HealthCheck))
def test_a_token_is_told_what_a_store_of_what_it_may_see_tells(
    sides: Sides,
    events: list[Event],
    others: list[Event],
    of_key: list[Filter],
    of_links: list[list[Filter]],
    asked: list[tuple[str, Any]],
    changes: dict[str, Any],
    flushes: tuple[bool, bool],
    index: list[str],
    values: list[Any],
) -> None:
    number = next(_numbers)
    names = {one: hashlib.blake2b(f"e{one}{number}".encode(), digest_size=12).hexdigest() for one in "cd"}
    if _too_large(spoken.filters(of_key)):
        of_key = []
    hidden = [*of_key, *itertools.chain(*of_links)]
    assume(hidden)
    links: list[dict[str, Any]] = [{"filters": spoken.filters(some)} for some in of_links]
    links[0] |= {"allow": ALL_USES, "viewer": VIEWER}
    token = chained(sides.access_key(of_key), *links)
    unfiltered_key = chained(sides.access_key([]), *links[:-1], {"filters": [*spoken.filters(hidden)]})
    if max(len(token), len(unfiltered_key)) > TOKEN_LENGTH_MAX:
        return
    for side, flushed in zip(("c", "d"), flushes, strict=True):
        _fill(sides, names[side], events if side == "c" else others, hidden, flushed=flushed)
    _check_schema(sides, token, list(names.values()))
    for analysis, params in asked:
        params = _asked(params, names)
        _check_asked(sides, token, analysis, params)
        _check_saved(sides, token, analysis, params)
        if analysis not in ("extraction", "funnel"):
            # These take no interval, or one alone.
            fixed = ("interval",) if analysis in ("paths", "stickiness") else ()
            able = {name: one for name, one in changes.items() if name not in fixed}
            _check_changed(sides, token, analysis, params, _asked(_spoken(able), names))
        if analysis == "extraction":
            _check_export(sides, token, params)
        if "interval" in params and analysis in OF_DATASETS:
            values = [_found(events, path, other) for path, other in zip(index, values, strict=False)]
            _check_dataset(sides, unfiltered_key, {**params, "analysis_type": analysis}, index, values)


@given(
    events=sent(14),
    of_key=st.lists(strategies.filters, max_size=1),
    of_links=st.lists(st.lists(strategies.filters, max_size=1), min_size=1, max_size=3),
    asked=metric_questions().filter(lambda one: "group_by" in one[1] and "deviation" not in json.dumps(one)),
    interval=st.one_of(st.none(), st.sampled_from(INTERVALS)),
    looks=st.sampled_from([{}, {"type": "table"}, {"type": "pie"}, {"type": "bar"}, {"type": "stacked"}]),
    flushed=st.booleans(),
)
@settings(max_examples=examples(60), deadline=None, phases=UNSHRUNK, suppress_health_check=list(HealthCheck))
def test_a_picture_shows_what_that_of_a_store_of_what_it_may_see_shows(
    sides: Sides,
    events: list[Event],
    of_key: list[Filter],
    of_links: list[list[Filter]],
    asked: tuple[str, Any],
    interval: str | None,
    looks: dict[str, str],
    flushed: bool,
) -> None:
    """Every event is a group of its own name: those that a filter hides are nowhere in the picture."""
    if _too_large(spoken.filters(of_key)):
        of_key = []
    hidden = [*of_key, *itertools.chain(*of_links)]
    assume(hidden)
    token = chained(sides.access_key(of_key), *({"filters": spoken.filters(some)} for some in of_links))
    if len(token) > TOKEN_LENGTH_MAX:
        return
    name = hashlib.blake2b(f"p{next(_numbers)}".encode(), digest_size=12).hexdigest()
    for number, event in enumerate(events):
        event["mark"] = f"mark-{number}."
    _fill(sides, name, events, hidden, flushed=flushed)
    marks: dict[str, Any] = {"event_collection": name, "analysis_type": "count", "group_by": "mark"}
    if interval is not None:
        marks |= {"interval": interval, "timeframe": FRAMES[0]}
    kept = {one["mark"] for one in _stored_in_rest(sides, name)}
    unseen = {event["mark"] for event in events} - kept
    for query in (marks, {**_asked(asked[1], {"c": name, "d": name}), "analysis_type": asked[0]}):
        picture = _check_picture(sides, token, query, looks)
        assert not [mark for mark in unseen if mark in picture]
        if query is marks and interval is None and looks == {"type": "table"}:
            assert not [mark for mark in kept if mark not in picture]


def _stored_in_rest(sides: Sides, collection: str) -> list[Event]:
    asked = {"event_collection": collection}
    found: list[Event] = sides.whole.told(sides.rest, "POST", "queries/extraction", asked)["result"]
    return found


def _check_picture(sides: Sides, token: str, query: dict[str, Any], looks: dict[str, Any]) -> str:
    """The picture of a saved query, or why there is none; every text in it is in that of the other store."""
    sides.owners("PUT", "queries/saved/q", {"query": query})
    body = {"name": "whole", "permitted": ["saved_queries"]}
    other = chained(sides.whole.told(sides.rest, "POST", "keys", body)["key"], {})
    looks = {"width": "1200", "height": "900", **looks}
    narrowed, whole = (
        sides.whole.call(side, "GET", "queries/saved/q/result.svg", key=key, **looks)
        for side, key in ((sides.all, token), (sides.rest, other))
    )
    sides.owners("DELETE", "queries/saved/q")
    assert (narrowed.status_code, whole.status_code) in ((200, 200), (400, 400)), (narrowed.text, whole.text)
    if narrowed.status_code == 200:
        assert _texts(narrowed.content) == _texts(whole.content)
    else:
        assert narrowed.json() == whole.json()
    return narrowed.text


def _texts(svg: bytes) -> list[str]:
    """All that can be read in a picture: texts, titles, and what is said of it to screen readers."""
    found: list[str] = []
    for element in ET.fromstring(svg).iter():
        found += [text for text in (element.text, element.tail, element.get("aria-label")) if text]
    return found


def _spoken(changes: dict[str, Any]) -> dict[str, Any]:
    if "filters" not in changes:
        return changes
    filters: Sequence[Filter] = [one for one in changes["filters"] if not is_geo(one)]
    return {**changes, "filters": spoken.filters(filters)}


def _check_saved(sides: Sides, token: str, analysis: str, params: Any) -> None:
    """Computed when asked for, or kept, and then asked for again."""
    for rate in (0, 14_400)[: 1 if analysis == "extraction" else 2]:
        body = {"query": {**params, "analysis_type": analysis}, "refresh_rate": rate}
        sides.owners("PUT", "queries/saved/q", body)
        sides.whole.told(sides.all, "GET", "queries/saved/q/result")
        for _ in range(2):
            narrowed, whole = sides.both(token, "GET", "queries/saved/q/result")
            beside = sorted(set(whole) & set(KEPT_BESIDE))
            assert set(narrowed) == {"viewer", "query_name", "query", "metadata", "result", *beside}
            assert close(
                [narrowed[name] for name in sorted(beside)], [whole[name] for name in sorted(beside)]
            )
            assert set(narrowed["query"]) == SHOWN
            assert close(_drawn(narrowed["result"]), _drawn(whole["result"])), (narrowed, whole)
    sides.owners("DELETE", "queries/saved/q")


SHOWN = {"analysis_type", "interval", "group_by", "timeframe", "timezone"}
LABELS = ("event_collection", "optional", "inverted", "timeframe", "timezone")


def _drawn(result: Any) -> Any:
    """A result without what a token is not told of a funnel."""
    result = _plain(result)
    if isinstance(result, dict) and "steps" in result:
        steps = [{name: step[name] for name in LABELS} for step in result["steps"]]
        return {**result, "steps": steps, "actors": None}
    return result


def _check_changed(sides: Sides, token: str, analysis: str, params: Any, changes: dict[str, Any]) -> None:
    """What a viewer changes of a saved query, against one that was saved so."""
    if "interval" in changes and not _bounded({**params, **changes}.get("timeframe")):
        changes = {**changes, "timeframe": FRAMES[0]}
    query = {**params, "analysis_type": analysis}
    added = changes.get("filters", [])
    wanted = {**query, **changes, "filters": [*(query.get("filters") or []), *added]}
    sides.whole.told(sides.all, "PUT", "queries/saved/q", {"query": query, "refresh_rate": 14_400})
    before = sides.whole.told(sides.all, "GET", "queries/saved/q/result")
    sides.whole.told(sides.rest, "PUT", "queries/saved/q", {"query": wanted})
    whole = sides.whole.told(sides.rest, "GET", "queries/saved/q/result")
    for _ in range(2):
        narrowed = sides.whole.told(sides.all, "GET", "queries/saved/q/result", key=token, **changes)
        assert close(_drawn(narrowed["result"]), _drawn(whole["result"])), (narrowed, whole)
    assert sides.whole.told(sides.all, "GET", "queries/saved/q/result")["result"] == before["result"]
    sides.owners("DELETE", "queries/saved/q")


def _bounded(timeframe: Any) -> bool:
    """Whether it has both a start and an end, as intervals need."""
    return isinstance(timeframe, str) or {"start", "end"} <= set(timeframe or ())


def _check_export(sides: Sides, token: str, params: Any) -> None:
    """The file that a token asks for holds the events that it may see."""
    asked = {**params, "delivery": "link", "content_type": "application/json"}
    asked.pop("latest", None)
    job = sides.whole.told(sides.all, "POST", "queries/extraction", asked, key=token)["job"]
    sides.whole.export()
    made = sides.whole.told(sides.all, "GET", f"extractions/{job['id']}", key=token)
    assert made["state"] == "done", made
    path = made["file_url"].partition(f"{sides.all.id}/")[2]
    address, _, query = path.partition("?")
    pairs = dict(pair.split("=") for pair in query.split("&"))
    lines = sides.whole.call(sides.all, "GET", address, **pairs).text.splitlines()
    whole = sides.whole.told(
        sides.rest,
        "POST",
        "queries/extraction",
        {name: value for name, value in params.items() if name not in ("latest",)},
    )["result"]
    assert len(lines) == len(whole), (lines, whole)
    times = sorted(json.dumps(json.loads(line).get("keen", {}).get("timestamp")) for line in lines)
    assert times == sorted(json.dumps((one.get("keen") or {}).get("timestamp")) for one in whole)
    assert sides.whole.told(sides.all, "DELETE", f"extractions/{job['id']}", key=token) is None
