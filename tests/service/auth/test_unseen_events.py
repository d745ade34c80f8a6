"""What a key does not see changes nothing that it is told, whatever the road.

Two projects differ only in events that the filters of a key hide. The key of one is told what the key of the
other is told, byte for byte, but for ids: by every analysis, with cohorts, linked ids and sessions, of
earlier versions, from kept partial answers, by SQL, and by tools of agents; errors, headers and refusals too.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from storage.catalog.catalog import system_clock
from storage.catalog.tenants.records import Project
from storage.instants import format_instant
from tests.service.whole import Whole
from tests.support.embed import embed_token

Json = dict[str, Any]

MINUTE_US = 60_000_000
DAY_US = 1_440 * MINUTE_US
SECRET = "topsecret"
NUMBER = 7_654_321
MINE: Json = {"property_name": "team", "operator": "eq", "property_value": "mine"}
READS = ["queries", "saved_queries", "cached_queries", "datasets", "schema", "query_definition"]
KEPT, REUSED = "acumen_partials_kept_total", "acumen_partials_reused_total"
VOLATILE = ("x-request-id", "date", "content-length", "etag")
_ID = re.compile(r"\b[0-9a-f]{24}\b|\b[0-9a-f]{32}\b")
_TIME = re.compile(r'(\\*"(?:total_processing_time|duration_ms|first_at)\\*":)[^,}]*')
_LAST_DIGITS = re.compile(r"(\d\.\d{9})\d*")


def event(at_us: int, team: str, **more: Any) -> Json:
    return {"team": team, "pad": "x" * 200, **more, "keen": {"timestamp": format_instant(at_us)}}


def made(seed: int, now_us: int, seen_in: Sequence[str]) -> list[list[tuple[str, Json]]]:
    """Batches of events with their collections. Those of the other team are of the same people, lie between
    those that are seen, and have other values, types of values and properties."""
    rng = random.Random(seed)
    people: list[Any] = ["ann", "bob", "cid", "a1", "a2", 7, "7", None]
    batches: list[list[tuple[str, Json]]] = []
    for _ in range(4):
        batch: list[tuple[str, Json]] = []
        for _ in range(60):
            at_us = now_us - rng.randrange(4 * DAY_US) // 1_000 * 1_000
            kind = rng.choice(["views", "views", "buys"])
            who = {} if (user := rng.choice(people)) is None else {"user": user}
            own = {"page": rng.choice(["/", "/buy", "/help"]), "price": rng.randrange(50)}
            batch.append((kind, event(at_us, "mine", **who, **own)))
            unseen = rng.choice([*people, f"{SECRET}-user", ["ann", f"{SECRET}-user"]])
            other: Json = {} if unseen is None else {"user": unseen}
            other |= {"page": rng.choice(["/", f"/{SECRET}"]), "price": rng.choice([NUMBER, SECRET, 0.5])}
            other |= rng.choice([{}, {SECRET: {"x": NUMBER}}, {"page": None}])
            where = rng.choice([kind, kind, SECRET])
            batch.append((where, event(at_us + rng.randrange(1, 20) * MINUTE_US, "other", **other)))
        batches.append(batch)
    said = [
        ("other", {"anonymous_id": "a2", "user_id": "ann"}),
        ("mine", {"anonymous_id": "a1", "user_id": "ann"}),
        ("mine", {"anonymous_id": "a2", "user_id": "bob"}),
        ("other", {"alias": "bob", "user_id": "ann"}),
        ("other", {"alias": "cid", "user_id": f"{SECRET}-user"}),
        ("mine", {"anonymous_id": "a1", "user_id": "bob"}),
    ]
    for number, (team, statement) in enumerate(said):
        at_us = now_us - DAY_US + number * MINUTE_US
        batches[number % 4].append(("acumen.identities", event(at_us, team, **statement)))
    for batch in batches:
        for where, one in batch:
            if where not in seen_in:
                one["team"] = "other"
    return batches


BOUGHT: Json = {"actor_property": "user", "all": [{"event_collection": "buys", "at_least": 2}]}
NEVER: Json = {
    "actor_property": "user",
    "all": [{"event_collection": "views"}, {"event_collection": SECRET, "at_most": 0}],
}
UNSEEN: Json = {"actor_property": "user", "all": [{"event_collection": SECRET}]}
OFTEN: Json = {
    "actor_property": "user",
    "any": [
        {"event_collection": "views", "at_most": 9, "timeframe": "this_3_days"},
        {"event_collection": "buys", "exactly": 3, "filters": [{**MINE, "operator": "ne"}]},
    ],
    "all": [{"event_collection": "views"}],
}
DROPPED: Json = {
    "actor_property": "user",
    "funnel": {
        "steps": [{"event_collection": name, "actor_property": "user"} for name in ("views", "buys")],
        "order": "ordered",
        "window": "60_minutes",
        "dropped": True,
    },
}
LISTED: Json = {"actor_property": "user", "actors": ["ann", f"{SECRET}-user", 7]}
NESTED: Json = {"actor_property": "user", "all": [{"event_collection": "views"}, {"in_cohort": "bought"}]}
NAMED = {"bought": BOUGHT, "never": NEVER, "unseen": UNSEEN, "often": OFTEN, "dropped": DROPPED}
NAMED |= {"listed": LISTED, "nested": NESTED}
SESSION: Json = {"actor_property": "user", "page_property": "page"}
OF_BOTH: Json = {**SESSION, "events": [{"event_collection": "views"}, {"event_collection": "buys"}]}
OF_UNSEEN: Json = {**SESSION, "events": [{"event_collection": "views"}, {"event_collection": SECRET}]}
DAYS: Json = {"timeframe": "this_4_days", "interval": "daily"}
VIEWS: Json = {"event_collection": "views"}
STEPS: Json = {
    "steps": [{"event_collection": name, "actor_property": "user"} for name in ("views", "buys", "views")]
}


def is_in(cohort: Any, operator: str = "in_cohort") -> Json:
    return {"filters": [{"operator": operator, "property_value": cohort}]}


def of_session(name: str, operator: str, value: Any) -> Json:
    return {"filters": [{"session": name, "operator": operator, "property_value": value}]}


Question = tuple[str, Json]


def metrics() -> Iterator[Question]:
    yield "count", VIEWS
    yield "count", {**VIEWS, "include_metadata": True}
    yield "count", {"event_collection": SECRET}
    for analysis in ("sum", "average", "minimum", "maximum", "median", "standard_deviation", "count_unique"):
        for target in ("price", "user", f"{SECRET}.x"):
            yield analysis, {**VIEWS, "target_property": target}
            yield (
                analysis,
                {"event_collection": "buys", "target_property": target, **DAYS, "group_by": "page"},
            )
    yield "percentile", {**VIEWS, "target_property": "price", "percentile": 90, "group_by": ["user", "page"]}
    for target in ("user", "page", "price"):
        yield "select_unique", {**VIEWS, "target_property": target}
    yield "select_unique", {**VIEWS, "target_property": "user", "identity": "merged"}
    yield "count", {**VIEWS, "group_by": {"property_name": "price", "buckets": {"size": 10}}}
    yield "count", {**VIEWS, **DAYS, "group_by": ["user", SECRET], "order_by": "result", "limit": 5}
    for path in ("price", "page", SECRET, f"{SECRET}.x", "user"):
        for value in (True, False):
            asked = {"property_name": path, "operator": "exists", "property_value": value}
            yield "count", {**VIEWS, "filters": [asked]}
        absent: Json = {"property_name": path, "operator": "eq", "property_value": None}
        yield "count", {**VIEWS, "filters": [absent]}
    yield "extraction", {**VIEWS, "property_names": ["user", "page", "price", "keen.timestamp", SECRET]}
    yield "extraction", {**VIEWS, "latest": 7, "property_names": ["user", "keen.timestamp"]}


def cohorts() -> Iterator[Question]:
    for cohort in (NEVER, DROPPED, LISTED, *NAMED):
        for operator in ("in_cohort", "not_in_cohort"):
            yield "count", {**VIEWS, **is_in(cohort, operator), "include_metadata": True}
        yield "select_unique", {**VIEWS, "target_property": "user", **is_in(cohort)}
        if isinstance(cohort, str):
            asked: Json = {"group_by": [{"cohort": cohort, "alias": "in"}, "page"]}
            yield "sum", {"event_collection": "buys", "target_property": "price", **asked, **DAYS}
        yield "count_unique", {**VIEWS, "target_property": "user", "identity": "merged", **is_in(cohort)}
    for cohort in ("unseen", "dropped"):
        member, group = is_in(cohort), {"group_by": [{"cohort": cohort, "alias": "in"}]}
        yield from behaviour(member)
        yield from behaviour(group)
        yield "funnel", {"steps": [{**step, **member} for step in STEPS["steps"]]}
        yield "extraction", {**VIEWS, "property_names": ["user", "keen.timestamp"], **member}
    yield "count", {**VIEWS, **is_in("nobody")}


def behaviour(more: Json) -> Iterator[Question]:
    here = {**VIEWS, "actor_property": "user", **more}
    yield "sessions", {**here, "page_property": "page", **DAYS}
    yield (
        "paths",
        {
            "by": "page",
            "events": [VIEWS, {"event_collection": "buys"}, {"event_collection": SECRET}],
            "actor_property": "user",
            "timeframe": "this_4_days",
            **{name: one for name, one in more.items() if name == "filters"},
        },
    )
    yield "lifecycle", {**here, **DAYS}
    yield "stickiness", {**VIEWS, "actor_property": "user", **DAYS, "filters": more.get("filters", [])}
    for cohort in ("first_time", "recurring"):
        asked = {"starting_event": VIEWS, "returning_event": {"event_collection": "buys"}, "cohort": cohort}
        yield "retention", {**asked, "actor_property": "user", **DAYS, **more}


def funnels() -> Iterator[Question]:
    yield "funnel", STEPS
    yield "funnel", {**STEPS, "include_metadata": True}
    last = {"event_collection": SECRET, "actor_property": "user"}
    for more in ({}, {"identity": "as_sent"}):
        yield "funnel", {**STEPS, "order": "ordered", **more}
        yield "funnel", {"steps": [*STEPS["steps"], last], "order": "ordered", "window": "2_hours", **more}
        yield "funnel", {**STEPS, "exclusions": [last], "order": "ordered", **more}
    for actor in ("ann", "bob", "a1", "a2", "cid", f"{SECRET}-user", 7, "7", "nobody"):
        yield "funnel", {**STEPS, "order": "ordered", "explain_actor": actor}
        yield "funnel", {**STEPS, "order": "ordered", "explain_actor": actor, "counting": "conversions"}


def of_sessions() -> Iterator[Question]:
    for session in (
        SESSION,
        OF_BOTH,
        OF_UNSEEN,
        {**SESSION, "gap": "90_minutes"},
        {**OF_BOTH, "cut": "daily"},
    ):
        here: Json = {**VIEWS, "session": session, "timeframe": "this_4_days"}
        for name in ("duration", "events", "entry", "exit", "position"):
            yield "count", {**here, "group_by": [{"session": name}], **DAYS}
        yield "count", {**here, **of_session("duration", "gte", 600), "include_metadata": True}
        yield "sum", {**here, "target_property": "price", **of_session("events", "gt", 2)}
        yield "count_unique", {**here, "target_property": "user", **of_session("entry", "eq", f"/{SECRET}")}
        yield "extraction", {**here, "property_names": ["user", "price"], **of_session("events", "eq", 1)}
        yield "count", {**here, **of_session("duration", "exists", False)}


def series() -> Iterator[Question]:
    three: Json = {
        "one": {"analysis_type": "count", **VIEWS},
        "two": {"analysis_type": "sum", "event_collection": "buys", "target_property": "price"},
        "three": {"analysis_type": "count_unique", "event_collection": SECRET, "target_property": "user"},
        "four": {"analysis_type": "count", **VIEWS, **is_in("bought")},
    }
    yield "series", {"series": three, **DAYS, "formulas": {"all": "one + two * three"}}
    yield "series", {"series": three, **DAYS, "completeness": True}
    yield "series", {"series": three, **DAYS, "completeness": {"intervals": 3}, "group_by": "page"}
    yield (
        "series",
        {
            "series": three,
            **DAYS,
            "compare": "previous_period",
            "rolling": {"one": 2},
            "cumulative": ["two"],
            "group_by": ["user"],
            "top": {"limit": 2, "by": "one", "other": True},
            "share": ["one"],
        },
    )
    yield (
        "multi_analysis",
        {
            **VIEWS,
            "analyses": {
                "n": {"analysis_type": "count"},
                "who": {"analysis_type": "count_unique", "target_property": "user"},
                "most": {"analysis_type": "maximum", "target_property": "price"},
            },
            **DAYS,
        },
    )


def past(moments: Sequence[int]) -> Iterator[Question]:
    """Of instants before, between and after the batches, and of one before there was anything."""
    for at_us in (*moments, moments[0] - 30 * DAY_US):
        as_of = {"as_of": format_instant(at_us)}
        yield "count", {**VIEWS, **as_of, "timeframe": "this_4_days"}
        yield "count", {**VIEWS, **as_of}
        yield "count", {"event_collection": SECRET, **as_of}
        yield "sum", {**VIEWS, **as_of, "target_property": "price", **is_in(BOUGHT), "group_by": "user"}
        yield "funnel", {**STEPS, **as_of, "order": "ordered"}
        yield "count", {**VIEWS, **as_of, "session": OF_BOTH, "group_by": [{"session": "entry"}]}
    yield "count", {**VIEWS, "as_of": "v3.1774951200000000.1-4"}
    yield "count", {**VIEWS, "as_of": "tomorrow"}


QUESTIONS: list[Question] = [*metrics(), *cohorts(), *behaviour({}), *funnels(), *of_sessions(), *series()]
STATEMENTS = [
    "SELECT count(*) AS n, sum(price) AS s, min(page) AS p FROM views",
    'SELECT * EXCLUDE ("keen.id", "keen.created_at") FROM views ORDER BY "keen.timestamp"',
    f'SELECT * FROM "{SECRET}"',
    'SELECT * EXCLUDE ("keen.id", "keen.created_at") FROM "acumen.identities" ORDER BY "keen.timestamp"',
    f'SELECT "{SECRET}.x" FROM views',
    "DESCRIBE views",
    'SELECT v.page, count(*) AS n FROM views v JOIN buys b USING ("user") GROUP BY ALL ORDER BY 1',
    "SELECT 1 AS one FROM topsecre",
]
IDS = ["ann", "bob", "a1", "a2", "cid", f"{SECRET}-user", "nobody", "7"]


@dataclass(frozen=True)
class Side:
    project: Project
    key: str


class Roads:
    """Two projects that the same key sees the same of: ``full`` has what it does not see too."""

    def __init__(self, whole: Whole, seen_in: Sequence[str], *, token: bool = False) -> None:
        self.whole = whole
        self.moments = [system_clock()]
        """Before the first batch of events, and after each."""
        projects = [whole.project, whole.new_project()]
        for number, batch in enumerate(made(len(seen_in), whole.now_us, seen_in)):
            for project in projects:
                kept = [one for one in batch if project is projects[0] or one[1]["team"] == "mine"]
                for where in sorted({where for where, _ in kept}):
                    whole.record(project, where, [one for place, one in kept if place == where])
            if number in (1, 2):
                whole.flush()
            self.moments.append(system_clock())
        whole.now_us = system_clock()
        self.full, self.rest = (Side(project, self._key(project, token=token)) for project in projects)
        for project in projects:
            for name, cohort in NAMED.items():
                whole.told(project, "PUT", f"cohorts/{name}", cohort)
            for name, query in SAVED.items():
                for rate in (0, 14_400):
                    body = {"query": query, "refresh_rate": rate}
                    whole.told(project, "PUT", f"queries/saved/{name}-{rate}", body)

    def _key(self, project: Project, *, token: bool) -> str:
        narrowed: Json = {} if token else {"filters": [MINE]}
        sql = {} if token else {"sql": True}
        options = {"queries": {**narrowed, **sql}, "saved_queries": narrowed}
        body = {"name": "k", "permitted": READS, "options": options}
        key = str(self.whole.told(project, "POST", "keys", body)["key"])
        uses = ["queries", "extractions", "exports", "schema"]
        return embed_token(key, {"filters": [MINE], "allow": uses}) if token else key

    def told(self, side: Side, method: str, path: str, body: Any = None, **query: Any) -> str:
        """Everything that an answer tells, without ids of events, projects and keys."""
        reply = self.whole.call(side.project, method, path, body, key=side.key, **query)
        headers = {name: one for name, one in sorted(reply.headers.items()) if name not in VOLATILE}
        text = reply.text.replace(side.project.id, "PROJECT").replace(side.key, "KEY")
        text = _TIME.sub(r"\1", _ID.sub("ID", text))
        if "standard_deviation" in path:
            # Threads add in any order.
            text = _LAST_DIGITS.sub(r"\1", text)
        return json.dumps([reply.status_code, headers, text])

    def same(self, method: str, path: str, body: Any = None, **query: Any) -> str:
        full, rest = (self.told(side, method, path, body, **query) for side in (self.full, self.rest))
        assert full == rest, (method, path, body, query)
        hidden = [word for word in (SECRET, str(NUMBER)) if word in full]
        asked = json.dumps([path, body, query, NAMED, SAVED])
        assert all(word in asked for word in hidden), (method, path, body, full)
        return full

    def owner_asks(self, questions: Iterable[Question]) -> None:
        """The owner of the full project asks, so that partial answers of all its events are kept."""
        for analysis, params in questions:
            self.whole.told(self.full.project, "POST", f"queries/{analysis}", params)
        self.await_kept()

    def await_kept(self) -> None:
        """Until what was to be kept of files is kept."""
        before = -1.0
        while (now := self.measured(KEPT)) != before:
            before = now
            time.sleep(0.1)

    def measured(self, metric: str) -> float:
        lines = self.whole.get("/metrics", key="").text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{metric} "))


SAVED: Json = {
    "counted": {"analysis_type": "count", **VIEWS, **DAYS, "group_by": "page"},
    "of-cohort": {"analysis_type": "count", **VIEWS, **is_in("bought")},
    "of-sessions": {
        "analysis_type": "count",
        **VIEWS,
        "session": OF_BOTH,
        "group_by": [{"session": "entry"}],
    },
    "ordered": {"analysis_type": "funnel", **STEPS, "order": "ordered"},
    "in-series": {
        "analysis_type": "series",
        "series": {"one": {"analysis_type": "count", **VIEWS}},
        **DAYS,
        "completeness": True,
    },
}


WORLDS: dict[str, Json] = {
    "events of others": {"seen_in": ("views", "buys", "acumen.identities")},
    "one collection": {"seen_in": ("views",)},
    "by a token": {"seen_in": ("views", "buys", "acumen.identities"), "token": True},
}


def open_roads(folder: Path, world: Json) -> Roads:
    return Roads(Whole(folder, partials_events_min=1, partials_share=1.0), **world)


@pytest.fixture(scope="module", params=WORLDS)
def roads(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roads]:
    opened = open_roads(tmp_path_factory.mktemp("roads") / "data", WORLDS[request.param])
    yield opened
    opened.whole.close()


ROADS = {
    "metrics": metrics,
    "cohorts": cohorts,
    "behaviour": lambda: behaviour({}),
    "funnels": funnels,
    "sessions": of_sessions,
    "series": series,
}


@pytest.mark.parametrize("road", ROADS)
def test_no_question_tells(roads: Roads, road: str) -> None:
    for analysis, params in ROADS[road]():
        roads.same("POST", f"queries/{analysis}", params)


def test_no_earlier_version_tells(roads: Roads) -> None:
    for analysis, params in past(roads.moments):
        roads.same("POST", f"queries/{analysis}", params)


def test_neither_explanations_nor_comparisons_tell(roads: Roads) -> None:
    for analysis, params in (("count", VIEWS), ("funnel", STEPS), ("count", {"event_collection": SECRET})):
        assert roads.same("POST", f"queries/{analysis}", {**params, "explain": True}).startswith("[403,")
        for since in (format_instant(roads.moments[1]), "v3.1774951200000000.1-4", "yesterday"):
            asked = {**params, "analysis_type": analysis, "from": since}
            assert roads.same("POST", "queries/diff", asked).startswith("[403,")


def test_no_cohort_or_linked_id_tells(roads: Roads) -> None:
    roads.same("GET", "cohorts")
    for name in (*NAMED, "nobody"):
        roads.same("GET", f"cohorts/{name}")
        roads.same("GET", f"cohorts/{name}/actors")
        roads.same("GET", f"cohorts/{name}/actors", limit="1")
    roads.same("GET", "identities")
    roads.same("GET", "identities", limit="1")
    for one in IDS:
        roads.same("GET", f"identities/{quote(one)}")
        roads.same("GET", f"identities/{quote(one)}", actor_property="user")


def test_no_schema_or_profile_tells(roads: Roads) -> None:
    roads.same("GET", "events")
    for name in ("views", "buys", SECRET, "acumen.identities", "nothing"):
        roads.same("GET", f"events/{name}")
        for path in ("page", "price", "user", SECRET, f"{SECRET}.x"):
            roads.same("GET", f"events/{name}/properties/{path}")
        for more in ({}, is_in("bought"), is_in(UNSEEN)):
            asked = {"property_names": ["page", "price", "user"], **more}
            roads.same("GET", f"events/{name}/profile", **asked)


def test_no_saved_question_tells(roads: Roads) -> None:
    roads.same("GET", "queries/saved")
    for name in SAVED:
        for rate in (0, 14_400):
            for _ in range(2):
                roads.same("GET", f"queries/saved/{name}-{rate}/result")
                for side in (roads.full, roads.rest):
                    roads.whole.told(side.project, "GET", f"queries/saved/{name}-{rate}/result")
            for at_us in roads.moments:
                roads.same("GET", f"queries/saved/{name}-{rate}/result", as_of=format_instant(at_us))
            roads.same("GET", f"queries/saved/{name}-{rate}")


def test_no_statement_tells(roads: Roads) -> None:
    for sql in STATEMENTS:
        roads.same("POST", "queries/sql", {"sql": sql})


def test_no_tool_tells(roads: Roads) -> None:
    calls = [
        ("list_collections", {}),
        *(("describe_collection", {"event_collection": name}) for name in ("views", "buys", SECRET)),
        *(
            ("profile_collection", {"event_collection": name, "property_names": ["page", "price", "user"]})
            for name in ("views", "buys", SECRET)
        ),
        ("funnel", {**STEPS, "order": "ordered", "explain_actor": "ann"}),
        *(("sql", {"sql": sql}) for sql in STATEMENTS),
        *(
            (analysis, params)
            for analysis, params in (*series(), *behaviour({}))
            if analysis != "multi_analysis"
        ),
        *(
            ("measure", {"analysis_type": analysis, **params})
            for analysis, params in [*cohorts(), *of_sessions()][::8]
            if analysis in ("count", "sum", "count_unique", "select_unique")
        ),
        *(("saved_query_result", {"query_name": f"{name}-0"}) for name in SAVED),
        ("measure", {"analysis_type": "count", **VIEWS, "explain": True}),
    ]
    for name, arguments in calls:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
        roads.same("POST", "mcp", {**body, "params": {"name": name, "arguments": arguments}})
    for method, params in (("tools/list", {}), ("resources/read", {"uri": "acumen://schema"})):
        roads.same("POST", "mcp", {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


@pytest.mark.parametrize("first", ["key", "owner"])
def test_nothing_that_is_kept_tells(tmp_path: Path, first: str) -> None:
    """Partial answers that the owner's questions left, or the key's: whoever asked first."""
    roads = open_roads(tmp_path, WORLDS["events of others"])
    asked = [(analysis, {**params, "max_age": 0}) for analysis, params in (*metrics(), *series())]
    if first == "owner":
        roads.owner_asks(asked)
    before = [roads.same("POST", f"queries/{analysis}", params) for analysis, params in asked]
    roads.await_kept()
    roads.owner_asks(asked)
    assert [roads.same("POST", f"queries/{analysis}", params) for analysis, params in asked] == before
    assert roads.measured(REUSED) > 100
    roads.whole.close()


@pytest.mark.parametrize("world", ["events of others", "one collection"])
def test_what_becomes_of_unseen_events_is_not_told(tmp_path: Path, world: str) -> None:
    """They are changed, merged with those that are seen, and erased."""
    roads = open_roads(tmp_path, WORLDS[world])
    questions = [*past(roads.moments), *[*metrics(), *cohorts(), *of_sessions(), *series()][::5]]
    before = [roads.same("POST", f"queries/{analysis}", params) for analysis, params in questions]
    for change in CHANGES:
        change(roads.whole, roads.full.project)
        told = [roads.same("POST", f"queries/{analysis}", params) for analysis, params in questions]
        assert told == before, change
        for name in SAVED:
            roads.same("GET", f"queries/saved/{name}-14400/result")
            as_of = format_instant(roads.moments[-1])
            roads.same("GET", f"queries/saved/{name}-14400/result", as_of=as_of)
        roads.same("GET", "events/views")
    roads.same("GET", "events")
    roads.whole.close()


def test_limits_count_what_is_seen(tmp_path: Path) -> None:
    """They are such that the owner is refused, and the key is not."""
    limits = {"identities_max": 3, "cohort_actors_max": 8, "query_session_events_max": 260}
    whole = Whole(tmp_path, query_funnel_actors_max=8, **limits)
    roads = Roads(whole, **WORLDS["events of others"])
    questions = [*cohorts(), *behaviour({}), *funnels(), *of_sessions()][::2]
    refused = 0
    for analysis, params in questions:
        told = roads.same("POST", f"queries/{analysis}", params)
        owner = whole.call(roads.full.project, "POST", f"queries/{analysis}", params)
        refused += told.startswith("[200") and owner.status_code == 400
    assert refused > 10
    whole.close()


@pytest.mark.parametrize("flushed", [False, True])
def test_properties_of_unseen_events_make_no_question_too_long(tmp_path: Path, flushed: bool) -> None:
    """How much a filter may read would tell which properties the events out of sight have."""
    whole = Whole(tmp_path)
    roads = Roads(whole, **WORLDS["events of others"])
    unseen = {f"p{number}": 1 for number in range(400)}
    for side in (roads.full, roads.rest):
        seen = [event(whole.now_us - n, "mine", user="ann", o={"p1": n}) for n in range(3)]
        whole.record(side.project, "views", seen)
    wide = event(whole.now_us, "other", user="bob", o=unseen)
    for name in ("views", "buys", "acumen.identities"):
        whole.record(roads.full.project, name, [{**wide, "anonymous_id": "a7", "user_id": "bob"}])
    if flushed:
        whole.flush()
    many = [{"property_name": "o", "operator": "exists", "property_value": True}] * 30
    wide_step = {"event_collection": "views", "actor_property": "user", "filters": many}
    cohort = {"actor_property": "user", "all": [{**VIEWS, "filters": many}]}
    session = {**SESSION, "events": [{**VIEWS, "filters": many}]}
    questions: list[Question] = [
        ("count", {**VIEWS, **is_in(cohort)}),
        ("count", {**VIEWS, "session": session, "group_by": [{"session": "events"}]}),
        ("funnel", {"steps": [wide_step, wide_step], "order": "ordered"}),
        ("count_unique", {**VIEWS, "target_property": "user", "identity": "merged", "filters": many}),
        ("sessions", {**VIEWS, "actor_property": "user", "filters": many}),
        ("series", {"series": {"a": {"analysis_type": "count", **VIEWS, "filters": many}}, **DAYS}),
    ]
    for analysis, params in questions:
        assert roads.same("POST", f"queries/{analysis}", params).startswith("[200"), (analysis, params)
        owner = whole.call(roads.full.project, "POST", f"queries/{analysis}", params)
        assert (owner.status_code, owner.json()["error_code"]) == (400, "QueryLimitError"), analysis
    whole.close()


NOT_MINE: Json = {**MINE, "operator": "ne"}


def update(whole: Whole, project: Project) -> None:
    changes = [{"property_name": "page", "property_value": f"/{SECRET}/2", "upsert_property": True}]
    for name in ("views", "buys"):
        body = {"property_updates": changes, "filters": [NOT_MINE]}
        whole.told(project, "PUT", f"events/{name}", body)


def delete_property(whole: Whole, project: Project) -> None:
    whole.told(project, "DELETE", f"events/views/properties/{SECRET}.x")


def erase(whole: Whole, project: Project) -> None:
    for name in ("views", "buys", "acumen.identities"):
        whole.told(project, "DELETE", f"events/{name}", filters=[NOT_MINE])


def delete_collection(whole: Whole, project: Project) -> None:
    whole.told(project, "DELETE", f"events/{SECRET}")


CHANGES = (update, lambda whole, _: whole.merge(), delete_property, erase, delete_collection)
