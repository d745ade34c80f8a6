"""Add-ons through the API: what clients send, what is stored, and what questions then find."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.ingest.admission import ENRICHMENT_BYTES_MAX, AdmissionLimits
from tests.service.intake import Intake, intake, run
from tests.support.mmdb import city, write_mmdb
from tests.support.scale import examples
from tests.support.server import Reply, Served, ServedProject

Json = dict[str, Any]

AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.1 Mobile/15E148 Safari/604.1"
)
OXFORD = city(
    "Oxford",
    country=("GB", "United Kingdom"),
    at=(-1.25, 51.75),
    subdivisions=[{"names": {"en": "England"}}],
    continent={"names": {"en": "Europe"}},
    postal={"code": "OX1"},
)
BERLIN = city("Berlin", country=("DE", "Germany"), at=(13.4, 52.5))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("geo") / "places.mmdb"
    return write_mmdb(path, {"81.2.69.0/24": OXFORD, "2a02:ff::/32": BERLIN})


@pytest.fixture(scope="module")
def served(database: Path) -> Iterator[Served]:
    env = {"ACUMEN_GEOIP_DATABASE": str(database), "ACUMEN_TRUSTED_PROXIES": "127.0.0.1"}
    with Served(env=env) as server:
        yield server


@pytest.fixture
def project(served: Served) -> ServedProject:
    return served.new_project("Enrichment")


def post(served: Served, project: ServedProject, name: str, event: Json, ip: str = "81.2.69.142") -> Reply:
    """One event, as a browser at this address would send it."""
    headers = {"User-Agent": AGENT, "X-Forwarded-For": ip}
    path = f"/3.0/projects/{project.id}/events/{name}"
    return served.request("POST", path, event, key=project.write_key, headers=headers)


def stored(served: Served, project: ServedProject, collection: str) -> list[Json]:
    """The collection's events in the order of their property ``n``, without what the server sets."""
    found: list[Json] = served.ask(project, "extraction", event_collection=collection)
    for event in found:
        keen = event.pop("keen")
        for name in ("id", "created_at", "timestamp"):
            keen.pop(name)
        if keen:
            event["keen"] = keen
    return sorted(found, key=lambda event: event.get("n", 0))


def wish(name: str, output: str, **inputs: Any) -> Json:
    return {"name": f"keen:{name}", "input": inputs, "output": output}


def pageview(*, collect_ip: bool) -> Json:
    """What keen-tracking's automatic tracking records, all of its add-ons included."""
    addons = [
        wish("ua_parser", "tech", ua_string="user_agent"),
        wish("url_parser", "url.info", url="url.full"),
        wish("url_parser", "referrer.info", url="referrer.full"),
        wish("date_time_parser", "time.utc", date_time="keen.timestamp"),
        wish("date_time_parser", "time.local", date_time="local_time_full"),
        wish("ip_to_geo", "geo", ip="ip_address", remove_ip_property=not collect_ip),
    ]
    return {
        "tracked_by": "keen-tracking-5.0.1",
        "local_time_full": "2026-11-21T09:05:07.890Z",
        "user": {"uuid": "d4c6a1c2-9f0e-4f31-8d0c-6d0f5a1b2c3d"},
        "page": {"title": "Tea", "scroll_state": {}, "time_on_page": 3, "time_on_page_ms": 3120},
        "ip_address": "${keen.ip}",
        "geo": {},
        "user_agent": "${keen.user_agent}",
        "tech": {"profile": {"cookies": True, "codeName": "Mozilla", "screen": {"height": 844}}},
        "url": {"full": "https://tea.example/green?utm_source=mail#price", "info": {}},
        "referrer": {"full": "https://www.google.com/", "info": {}},
        "time": {"local": {}, "utc": {}},
        "keen": {"timestamp": "2026-11-21T09:05:07.890Z", "addons": addons},
    }


CLOCK = {
    "year": 2026,
    "month": 11,
    "day_of_month": 21,
    "hour": 9,
    "minute": 5,
    "second": 7,
    "millisecond": 890,
    "week": 47,
    "day_of_week": 5,
    "day_of_week_string": "Saturday",
    "timezone_offset": 0,
}
PLACE = {
    "city": "Oxford",
    "province": "England",
    "country": "United Kingdom",
    "continent": "Europe",
    "postal_code": "OX1",
    "coordinates": [-1.25, 51.75],
}
TECH = {
    "browser": {"family": "Mobile Safari", "major": 17, "minor": 1},
    "os": {"family": "iOS", "major": 17, "minor": 1, "patch": 2},
    "device": {"family": "iPhone", "type": "mobile phone"},
}


@pytest.mark.parametrize("collect_ip", [True, False])
def test_automatic_tracking_comes_out_as_its_users_expect(
    served: Served, project: ServedProject, collect_ip: bool
) -> None:
    event = pageview(collect_ip=collect_ip)
    assert post(served, project, "pageviews", event).json == {"created": True}
    found = served.ask(project, "extraction", event_collection="pageviews")[0]
    assert found.pop("keen")["timestamp"] == "2026-11-21T09:05:07.890Z"
    del event["keen"]
    event["user_agent"] = AGENT
    event["geo"] = PLACE
    event["tech"] |= TECH
    event["url"]["info"] = {
        "protocol": "https",
        "domain": "tea.example",
        "path": "/green",
        "query_string": {"utm_source": "mail"},
        "anchor": "price",
    }
    event["referrer"]["info"] = {"protocol": "https", "domain": "www.google.com", "path": "/"}
    event["time"] = {"local": CLOCK, "utc": CLOCK}
    if collect_ip:
        event["ip_address"] = "81.2.69.142"
    else:
        del event["ip_address"]
    assert found == event


def test_a_mapped_event_of_segment_comes_out_with_what_is_known(
    served: Served, project: ServedProject
) -> None:
    event = {
        "userId": "user-id",
        "ip_address": "0.0.0.0",
        "user_agent": "user-agent",
        "page_url": "https://segment.io/docs",
        "keen": {
            "timestamp": "2014-01-01T00:00:00.000Z",
            "addons": [
                wish("ip_to_geo", "ip_geo_info", ip="ip_address"),
                wish("ua_parser", "parsed_user_agent", ua_string="user_agent"),
                wish("url_parser", "parsed_page_url", url="page_url"),
                wish("referrer_parser", "referrer_info", page_url="page_url", referrer_url="referrer_url"),
            ],
        },
    }
    assert post(served, project, "pages", event).status == 201
    del event["keen"]
    parsed = {"protocol": "https", "domain": "segment.io", "path": "/docs"}
    assert stored(served, project, "pages") == [{**event, "parsed_page_url": parsed}]


def test_an_event_stays_as_it_was_enriched_when_it_comes_to_its_file(served: Served) -> None:
    project = served.new_project("Filed")
    for n in range(3):
        event = pageview(collect_ip=True) | {"n": n}
        assert post(served, project, "pageviews", event).status == 201
    before = stored(served, project, "pageviews")
    served.restart()
    assert stored(served, project, "pageviews") == before
    assert [event["geo"]["city"] for event in before] == ["Oxford"] * 3
    grouped = served.ask(project, "sum", event_collection="pageviews", target_property="tech.os.major")
    assert grouped == 51


def test_each_event_of_a_batch_has_its_own_verdict_and_its_own_addons(
    served: Served, project: ServedProject
) -> None:
    def url(n: int, **more: Any) -> Json:
        return {"n": n, "u": f"http://x{n}.y/", "keen": {"addons": [wish("url_parser", "p", url="u") | more]}}

    events: list[Json] = [
        url(0),
        url(1, name="keen:tea_reader"),
        {"n": 2, "keen": {"addons": [wish("url_parser", "p", url="u")]}},
        {"n": 3, "u": "http://x3.y/"},
        url(4, output="p.deep.er"),
        url(5, output="keen.created_at"),
    ]
    path = f"/3.0/projects/{project.id}/events"
    verdicts = served.request("POST", path, {"batch": events}, key=project.write_key).json["batch"]
    assert [verdict["success"] for verdict in verdicts] == [True, False, True, True, True, False]
    assert {verdicts[n]["error"]["name"] for n in (1, 5)} == {"InvalidPropertyValueError"}
    parts = [{"protocol": "http", "domain": f"x{n}.y", "path": "/"} for n in range(5)]
    assert stored(served, project, "batch") == [
        {"n": 0, "u": "http://x0.y/", "p": parts[0]},
        {"n": 2},
        {"n": 3, "u": "http://x3.y/"},
        {"n": 4, "u": "http://x4.y/", "p": {"deep": {"er": parts[4]}}},
    ]


def test_a_location_that_was_found_is_one_to_ask_about(served: Served, project: ServedProject) -> None:
    addons = [wish("ip_to_geo", "keen.location", ip="ip")]
    for ip in ("81.2.69.142", "2a02:ff::7", "10.0.0.1"):
        event = {"ip": "${keen.ip}", "keen": {"addons": addons}}
        assert post(served, project, "visits", event, ip).status == 201
    near_oxford = {"coordinates": [-1.0, 51.5], "max_distance_miles": 50}
    where = {
        "property_name": "keen.location.coordinates",
        "operator": "within",
        "property_value": near_oxford,
    }
    asked = {"event_collection": "visits", "filters": [where]}
    assert served.ask(project, "select_unique", target_property="ip", **asked) == ["81.2.69.142"]
    cities = served.ask(
        project, "select_unique", event_collection="visits", target_property="keen.location.city"
    )
    assert sorted(cities) == ["Berlin", "Oxford"]


def test_a_place_can_be_sent_as_it_came_out(served: Served, project: ServedProject) -> None:
    """As when the history of a project is imported from an export."""
    locations: list[Json] = [
        {"city": "Oxford", "country": "United Kingdom"},
        {"coordinates": [-1.25, 51.75]},
        PLACE,
        {"coordinates": [13.4, 52.5]},
    ]
    for n, location in enumerate(locations):
        assert post(served, project, "places", {"n": n, "keen": {"location": location}}).status == 201
    found = stored(served, project, "places")
    assert found == [{"n": n, "keen": {"location": location}} for n, location in enumerate(locations)]
    served.record(project, "again", *found)
    assert stored(served, project, "again") == found


def test_an_event_in_a_url_is_enriched(served: Served, project: ServedProject) -> None:
    event = {
        "ip": "${keen.ip}",
        "keen": {"addons": [wish("ip_to_geo", "geo", ip="ip", remove_ip_property=True)]},
    }
    data = base64.urlsafe_b64encode(json.dumps(event).encode()).decode()
    path = f"/3.0/projects/{project.id}/events/pixel?api_key={project.write_key}&data={data}"
    assert served.request("GET", path, headers={"X-Forwarded-For": "81.2.69.1"}).status == 200
    assert stored(served, project, "pixel") == [{"geo": PLACE}]


def _key_with(served: Served, project: ServedProject, autofill: Json) -> str:
    body = {"name": "k", "permitted": ["writes"], "options": {"writes": {"autofill": autofill}}}
    path = f"/3.0/projects/{project.id}/keys"
    key: str = served.request("POST", path, body, key=project.master_key).json["key"]
    return key


def test_a_key_may_ask_for_addons_of_its_own(served: Served, project: ServedProject) -> None:
    addons = [wish("ip_to_geo", "geo", ip="ip", remove_ip_property=True)]
    key = _key_with(served, project, {"ip": "${keen.ip}", "keen": {"addons": addons}})
    keyed = replace(project, write_key=key)
    assert post(served, keyed, "filled", {"n": 1}).status == 201
    assert stored(served, project, "filled") == [{"n": 1, "geo": PLACE}]


def test_what_a_key_fills_in_is_out_of_reach_of_addons(served: Served, project: ServedProject) -> None:
    """Whoever has the key chooses the add-ons, and must not choose whose event it is."""
    autofill = {"customer": {"id": "eu"}, "source": "shop", "keen": {"location": {"coordinates": [1, 2]}}}
    keyed = replace(project, write_key=_key_with(served, project, autofill))
    addons = [
        wish("url_parser", "customer", url="url"),
        wish("url_parser", "customer.id", url="url"),
        wish("url_parser", "source", url="url"),
        wish("ip_to_geo", "gone", ip="customer.id", remove_ip_property=True),
        wish("ip_to_geo", "keen.location", ip="ip"),
    ]
    event = {"url": "http://x.y/", "ip": "${keen.ip}", "keen": {"addons": addons}}
    assert post(served, keyed, "guarded", event).status == 201
    batch = {"guarded": [event]}
    path = f"/3.0/projects/{project.id}/events"
    assert served.request("POST", path, batch, key=keyed.write_key).json == {"guarded": [{"success": True}]}
    data = base64.urlsafe_b64encode(json.dumps(event).encode()).decode()
    assert served.request("GET", f"{path}/guarded?api_key={keyed.write_key}&data={data}").status == 200
    found = stored(served, project, "guarded")
    assert len(found) == 3
    for one in found:
        assert (one["customer"]["id"], one["source"]) == ("eu", "shop")
        assert one["customer"]["domain"] == "x.y"
        assert one["keen"]["location"]["coordinates"] == [1, 2]


def test_a_token_counts_for_enriched_events_too(served: Served, project: ServedProject) -> None:
    event = pageview(collect_ip=True)
    event["keen"]["uniqueness_token"] = "once"
    for _ in range(2):
        assert post(served, project, "once", event).status == 201
    assert served.ask(project, "count", event_collection="once") == 1


def test_a_database_is_replaced_while_the_server_runs(
    served: Served, project: ServedProject, database: Path
) -> None:
    event = {"ip": "${keen.ip}", "keen": {"addons": [wish("ip_to_geo", "geo", ip="ip")]}}
    before = database.read_bytes()
    try:
        # Written over in place, as a careless copy does it.
        write_mmdb(database, {"81.2.69.0/24": BERLIN, "1.0.0.0/8": OXFORD})
        deadline = time.monotonic() + 120
        while True:
            assert post(served, project, "moved", event).status == 201
            found = served.ask(project, "select_unique", event_collection="moved", target_property="geo.city")
            if "Berlin" in found:
                break
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        database.write_bytes(before)


def test_a_database_that_is_not_there_is_told_of_at_the_start_and_costs_no_event(tmp_path: Path) -> None:
    missing = tmp_path / "missing.mmdb"
    with Served(env={"ACUMEN_GEOIP_DATABASE": str(missing)}) as server:
        deadline = time.monotonic() + 120
        while str(missing) not in server.output():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        event = {"ip": "8.8.8.8", "keen": {"addons": [wish("ip_to_geo", "geo", ip="ip")]}}
        for _ in range(3):
            assert post(server, server.project, "visits", event).status == 201
        assert stored(server, server.project, "visits") == [{"ip": "8.8.8.8"}] * 3
        assert server.output().count("GeoIP database") == 1


def test_what_became_of_addons_is_in_the_metrics(served: Served, project: ServedProject) -> None:
    def counted() -> dict[str, float]:
        lines = served.request("GET", "/metrics").body.decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("acumen_addons_total"))
        return {name: float(value) for name, value in pairs}

    before = counted()
    for ip in ("81.2.69.1", "10.0.0.1", "not one"):
        event = {"ip": ip, "keen": {"addons": [wish("ip_to_geo", "geo", ip="ip")]}}
        assert post(served, project, "counted", event).status == 201
    changes = {name: value - before[name] for name, value in counted().items() if value != before[name]}
    outcomes = ("enriched", "unknown", "unusable")
    assert changes == {f'acumen_addons_total{{addon="ip_to_geo",outcome="{one}"}}': 1.0 for one in outcomes}


def test_an_import_enriches(served: Served, project: ServedProject, tmp_path: Path) -> None:
    event = {"u": "http://x.y/", "keen": {"addons": [wish("url_parser", "p", url="u")]}}
    file = tmp_path / "events.ndjson"
    file.write_text(json.dumps(event) + "\n")
    served.run("import", str(file), "--project", project.id, "--collection", "imported")
    assert stored(served, project, "imported") == [
        {"u": "http://x.y/", "p": {"protocol": "http", "domain": "x.y", "path": "/"}}
    ]


# Without a server, for what needs other limits or many requests


def test_what_add_ons_find_never_costs_an_event_its_place(tmp_path: Path) -> None:
    """A site's query strings can hold any number of names, and each would be a property."""

    async def story() -> None:
        async with intake(tmp_path, admission=AdmissionLimits(properties_max=6)) as it:
            for n in range(20):
                found = await it.http.post(it.events + "/a", json=_visit(f"p{n}=1"))
                assert found.status_code == 201, found.text
            batch = await it.http.post(it.events, json={"a": [_visit(f"q{n}=1") for n in range(3)]})
            assert batch.json() == {"a": [{"success": True}] * 3}
            (collection,) = it.catalog.collections.of_project(it.project.id)
            assert {lane.path for lane in collection.schema.lanes} == {
                "url",
                "info.protocol",
                "info.domain",
                "info.path",
                "info.query_string.p0",
                "info.query_string.p1",
            }
            lines = [json.loads(line) for line in it.lines()]
            assert len(lines) == 23
            assert all(set(line) == {"url"} for line in lines[2:])
            assert lines[1]["info"]["query_string"] == {"p1": "1"}

    run(story())


def test_an_address_that_is_not_wanted_goes_also_where_there_is_no_room(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path, admission=AdmissionLimits(properties_max=2)) as it:
            event = _visit("a=1") | {"ip": "8.8.8.8"}
            event["keen"]["addons"].append(wish("ip_to_geo", "geo", ip="ip", remove_ip_property=True))
            assert (await it.http.post(it.events + "/a", json=event)).status_code == 201
            assert [json.loads(line) for line in it.lines()] == [{"url": event["url"]}]

    run(story())


def test_add_ons_add_so_much_to_an_event(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            event: Json = {"url": "http://x.y/?" + "&".join(f"{n:03}={'v' * 80}" for n in range(100))}
            assert (await _take(it, event, 1))["info0"]["query_string"]["099"] == "v" * 80
            assert set(await _take(it, event, 20)) == {"url"}
            assert 20 * len(event["url"]) > ENRICHMENT_BYTES_MAX

    async def _take(it: Intake, event: Json, number: int) -> Json:
        addons = [wish("url_parser", f"info{n}", url="url") for n in range(number)]
        reply = await it.http.post(it.events + "/a", json=event | {"keen": {"addons": addons}})
        assert reply.status_code == 201
        found: Json = json.loads(it.lines()[-1])
        return found

    run(story())


def test_a_header_longer_than_a_property_is_cut(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            event = {"ua": "${keen.user_agent}", "keen": {"addons": [wish("ua_parser", "t", ua_string="ua")]}}
            headers = {"user-agent": AGENT + "x" * 20_000}
            assert (await it.http.post(it.events + "/a", json=event, headers=headers)).status_code == 201
            (line,) = it.lines()
            assert json.loads(line)["ua"] == headers["user-agent"][:9_999]
            assert json.loads(line)["t"]["os"]["family"] == "iOS"

    run(story())


@pytest.mark.parametrize("properties_max", [1_000, 2])
def test_others_have_their_turn_while_a_large_batch_is_enriched(tmp_path: Path, properties_max: int) -> None:
    async def story() -> None:
        async with intake(tmp_path, admission=AdmissionLimits(properties_max=properties_max)) as it:
            # What is made once takes long once.
            await it.http.post(it.events + "/a", json=_visit(""))
            batch = asyncio.ensure_future(it.http.post(it.events, json={"a": [_visit("")] * 2_000}))
            # Collecting garbage takes as long as this process is large.
            gc.disable()
            longest, began = 0.0, time.thread_time()
            while not batch.done():
                await asyncio.sleep(0)
                now = time.thread_time()
                longest, began = max(longest, now - began), now
            gc.enable()
            assert batch.result().json() == {"a": [{"success": True}] * 2_000}
            assert longest < 0.05

    run(story())


def _visit(query: str) -> Json:
    addons = [wish("url_parser", "info", url="url")]
    return {"url": f"https://x.y/?{query}", "keen": {"addons": addons}}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
TEXT = st.text(max_size=30) | st.builds(
    str.__add__, st.sampled_from(["http://", "http://[", "::", "2026-"]), st.text()
)
EVENT = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("ip", "ua", "url", "page", "at"), TEXT | JSON)
).filter(lambda event: all(not isinstance(value, dict) for value in event.values()))
ADDONS = [
    wish("ip_to_geo", "geo", ip="ip", remove_ip_property=True),
    wish("ua_parser", "tech", ua_string="ua"),
    wish("url_parser", "info", url="url"),
    wish("referrer_parser", "from", referrer_url="url", page_url="page"),
    wish("date_time_parser", "info.time", date_time="at"),
]
DEFINITION = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from([addon["name"] for addon in ADDONS]) | JSON,
        "input": st.dictionaries(st.sampled_from(["ip", "url", "ua_string"]), JSON) | JSON,
        "output": st.text(max_size=5) | JSON,
    },
)


def test_no_garbage_in_events_is_refused_and_none_in_definitions_is_an_error(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path, admission=AdmissionLimits(properties_max=50)) as it:
            await _try_events(it)
            await _try_definitions(it)

    run(story())


async def _try_events(it: Intake) -> None:
    for event in _drawn(EVENT, examples(300)):
        event["keen"] = {"addons": ADDONS}
        reply = await it.http.post(it.events + "/events", content=_encoded(event))
        if reply.status_code != 201:
            del event["keen"]
            plain = await it.http.post(it.events + "/plain", content=_encoded(event))
            assert (plain.status_code, plain.json()) == (reply.status_code, reply.json()), event


async def _try_definitions(it: Intake) -> None:
    for addons in _drawn(st.lists(DEFINITION | JSON, max_size=3) | JSON, examples(300)):
        reply: httpx.Response = await it.http.post(
            it.events, content=_encoded({"d": [{"keen": {"addons": addons}}]})
        )
        assert reply.status_code in (200, 400), reply.text
        if reply.status_code == 200 and not reply.json()["d"][0]["success"]:
            assert reply.json()["d"][0]["error"]["name"] == "InvalidPropertyValueError"


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def _drawn(strategy: st.SearchStrategy[Any], number: int) -> list[Any]:
    """So many examples, to be tried in one event loop."""
    found: list[Any] = []

    @settings(max_examples=number, database=None, deadline=None)
    @given(strategy)
    def draw(value: Any) -> None:
        found.append(value)

    draw()
    return found
