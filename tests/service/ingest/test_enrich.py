"""Add-ons, one by one: what each makes of its input, and how what they find comes into an event."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.ingest.enrich.agents import Agents
from service.ingest.enrich.enricher import Enricher
from service.ingest.enrich.geo import Places, place_of, read_address
from service.ingest.enrich.referrers import SERVICES, parse_referrer
from service.ingest.enrich.times import parse_time
from service.ingest.enrich.urls import PARAMETERS_MAX, parse_url
from service.telemetry.metrics import Metrics
from storage.events.validation import Context, EventLimits, InvalidEvent, Received, examine
from tests.support.mmdb import city, write_mmdb
from tests.support.scale import examples

Json = dict[str, Any]
RECEIVED = Received(1_767_225_600_000_000, None)  # 2026-01-01T00:00:00Z


@pytest.fixture(scope="module")
def agents() -> Agents:
    return Agents()


@pytest.fixture(scope="module")
def enricher() -> Enricher:
    return Enricher()


# User agents

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.6099.71 Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.1 Mobile/15E148 Safari/604.1"
)
PIXEL = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Mobile Safari/537.36"
)


def test_a_user_agent_has_a_browser_a_system_and_a_device(agents: Agents) -> None:
    assert agents.parse(CHROME) == {
        "browser": {"family": "Chrome", "major": 120, "minor": 0, "patch": 6099},
        "os": {"family": "Windows 10", "major": 10},
        "device": {"type": "desktop"},
    }
    assert agents.parse(IPHONE) == {
        "browser": {"family": "Mobile Safari", "major": 17, "minor": 1},
        "os": {"family": "iOS", "major": 17, "minor": 1, "patch": 2},
        "device": {"family": "iPhone", "type": "mobile phone"},
    }


@pytest.mark.parametrize(
    ("agent", "browser", "system", "kind"),
    [
        (PIXEL, "Chrome Mobile", "Android", "mobile phone"),
        (CHROME + " Edg/120.0.2210.77", "Edge", "Windows 10", "desktop"),
        (
            "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
            "IE",
            "Windows 7",
            "desktop",
        ),
        (
            "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)",
            "IE",
            "Windows XP",
            "desktop",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/17.1 Safari/605.1.15",
            "Safari",
            "Mac OS X",
            "desktop",
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
            "Firefox",
            "Ubuntu",
            "desktop",
        ),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/119.0.0.0 Safari/537.36",
            "Chrome",
            "Chrome OS",
            "desktop",
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/16.6 Mobile/15E148 Safari/604.1",
            "Mobile Safari",
            "iOS",
            "tablet",
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/119.0.0.0 Safari/537.36",
            "Chrome",
            "Android",
            "tablet",
        ),
        (
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) "
            "SamsungBrowser/4.0 TV Safari/537.36",
            "Samsung Internet",
            "Tizen",
            "tv",
        ),
        (
            "Mozilla/5.0 (PlayStation 5 3.03/SmartTV) AppleWebKit/605.1.15 (KHTML, like Gecko)",
            "Apple Mail",
            None,
            "game console",
        ),
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Googlebot",
            None,
            "crawler",
        ),
        ("curl/8.4.0", "curl", None, None),
    ],
)
def test_kinds_of_devices(
    agents: Agents, agent: str, browser: str, system: str | None, kind: str | None
) -> None:
    found = agents.parse(agent)
    assert found is not None
    assert found["browser"]["family"] == browser
    assert found.get("os", {}).get("family") == system
    assert found.get("device", {}).get("type") == kind


def test_an_unknown_agent_tells_nothing(agents: Agents) -> None:
    assert agents.parse("entirely unheard of") is None


# URLs


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://example.com", {"protocol": "http", "domain": "example.com"}),
        ("https://user:pass@Example.COM:8443/", {"protocol": "https", "domain": "example.com", "path": "/"}),
        (
            "https://keen.io/guides/a%20b?utm_source=mail&q=green+tea&empty=#top",
            {
                "protocol": "https",
                "domain": "keen.io",
                "path": "/guides/a%20b",
                "query_string": {"utm_source": "mail", "q": "green tea", "empty": ""},
                "anchor": "top",
            },
        ),
        (
            "https://x.y/?a=1&a=2",
            {"protocol": "https", "domain": "x.y", "path": "/", "query_string": {"a": "2"}},
        ),
        ("https://x.y?flag", {"protocol": "https", "domain": "x.y", "query_string": {"flag": ""}}),
        (
            "https://x.y?a.b=1&$c=2&=3",
            {"protocol": "https", "domain": "x.y", "query_string": {"a_b": "1", "_c": "2"}},
        ),
        (
            "https://x.y?n=%F0%9F%8D%B5&bad=%FF",
            {"protocol": "https", "domain": "x.y", "query_string": {"n": "🍵", "bad": "�"}},
        ),
        ("http://[2001:db8::1]:80/p", {"protocol": "http", "domain": "2001:db8::1", "path": "/p"}),
        ("//cdn.example.com/app.js", {"domain": "cdn.example.com", "path": "/app.js"}),
        ("http://bücher.example/?", {"protocol": "http", "domain": "bücher.example", "path": "/"}),
        ("file:///pages/a.html", {"protocol": "file", "path": "/pages/a.html"}),
        ("  https://x.y  ", {"protocol": "https", "domain": "x.y"}),
        ("http://x.y./a", {"protocol": "http", "domain": "x.y", "path": "/a"}),
    ],
)
def test_parts_of_a_url(url: str, parts: Json) -> None:
    assert parse_url(url) == parts


@pytest.mark.parametrize(
    "text",
    [
        "no url",
        "/only/a/path",
        "http://",
        "http://[::1",
        "mailto:a@b.c",
        "javascript:alert(1)",
        "http://[x]/",
    ],
)
def test_what_is_no_url(text: str) -> None:
    assert parse_url(text) is None


def test_a_query_string_has_so_many_parameters() -> None:
    found = parse_url("http://x.y/?" + "&".join(f"p{n}={n}" for n in range(PARAMETERS_MAX + 50)))
    assert found is not None
    assert len(found["query_string"]) == PARAMETERS_MAX


# Referrers


@pytest.mark.parametrize(
    ("referrer", "page", "found"),
    [
        ("https://www.google.com/", None, {"medium": "SEARCH", "source": "Google"}),
        (
            "https://www.google.co.uk/search?q=green+tea&hl=en",
            "https://tea.example/",
            {"medium": "SEARCH", "source": "Google", "term": "green tea"},
        ),
        (
            "http://images.google.de/imgres?q=tea",
            None,
            {"medium": "SEARCH", "source": "Google Images", "term": "tea"},
        ),
        (
            "https://www.google.fr/imgres?q=thé",
            None,
            {"medium": "SEARCH", "source": "Google Images", "term": "thé"},
        ),
        ("https://maps.google.com/x", None, {"medium": "UNKNOWN", "source": "Google"}),
        ("https://mail.google.com/mail/u/0", None, {"medium": "EMAIL", "source": "Gmail"}),
        ("android-app://com.google.android.gm/", None, {"medium": "EMAIL", "source": "Gmail"}),
        ("https://www.bing.com/search?q=tea", None, {"medium": "SEARCH", "source": "Bing", "term": "tea"}),
        (
            "https://de.search.yahoo.com/search?p=tee",
            None,
            {"medium": "SEARCH", "source": "Yahoo!", "term": "tee"},
        ),
        ("https://mail.yahoo.co.jp/", None, {"medium": "EMAIL", "source": "Yahoo! Mail"}),
        ("https://duckduckgo.com/?q=tea", None, {"medium": "SEARCH", "source": "DuckDuckGo", "term": "tea"}),
        (
            "https://yandex.ru/search/?text=%D1%87%D0%B0%D0%B9",
            None,
            {"medium": "SEARCH", "source": "Yandex", "term": "чай"},
        ),
        ("https://www.baidu.com/s?wd=cha", None, {"medium": "SEARCH", "source": "Baidu", "term": "cha"}),
        ("https://l.facebook.com/l.php?u=x", None, {"medium": "SOCIAL", "source": "Facebook"}),
        ("https://t.co/abc", None, {"medium": "SOCIAL", "source": "X"}),
        ("https://out.reddit.com/", None, {"medium": "SOCIAL", "source": "Reddit"}),
        ("https://news.ycombinator.com/item?id=1", None, {"medium": "SOCIAL", "source": "Hacker News"}),
        ("https://chatgpt.com/", None, {"medium": "CHATBOT", "source": "ChatGPT"}),
        ("https://tea.example/cart", "https://tea.example/pay", {"medium": "INTERNAL"}),
        ("https://www.tea.example/", "http://tea.example:8080/", {"medium": "INTERNAL"}),
        ("https://blog.tea.example/", "https://tea.example/", {"medium": "UNKNOWN"}),
        ("https://somebody.example/", "https://tea.example/", {"medium": "UNKNOWN"}),
        ("https://somebody.example/", "no url", {"medium": "UNKNOWN"}),
        ("https://google.evil.example/", None, {"medium": "UNKNOWN"}),
        ("https://notgoogle.com/", None, {"medium": "UNKNOWN"}),
        ("https://www.google.com.evil.example/", None, {"medium": "UNKNOWN"}),
        ("https://www.google.com/search?q=", None, {"medium": "SEARCH", "source": "Google"}),
        ("https://mail.daum.net/hanmailex", None, {"medium": "EMAIL", "source": "Daum Mail"}),
        ("https://mail.naver.com/", None, {"medium": "EMAIL", "source": "Naver Mail"}),
        ("https://webmail.provider.example/inbox", None, {"medium": "EMAIL"}),
        ("https://mail.sogou.com/", None, {"medium": "EMAIL", "source": "Sogou Mail"}),
        ("https://www.google.com/maps/place/Tea", None, {"medium": "UNKNOWN"}),
        ("https://www.google.de/travel/flights?q=tea", None, {"medium": "UNKNOWN"}),
        (
            "https://www.google.com/url?q=https://shop.example/",
            None,
            {"medium": "SEARCH", "source": "Google"},
        ),
        ("https://blog.naver.com/somebody", None, {"medium": "UNKNOWN"}),
        ("https://tieba.baidu.com/f?word=tea", None, {"medium": "UNKNOWN"}),
        ("https://www.naver.com/?query=tea", None, {"medium": "SEARCH", "source": "Naver", "term": "tea"}),
        (
            "https://m.search.naver.com/search.naver?query=tea",
            None,
            {"medium": "SEARCH", "source": "Naver", "term": "tea"},
        ),
        (
            "https://es.search.yahoo.com/search?p=tea",
            None,
            {"medium": "SEARCH", "source": "Yahoo!", "term": "tea"},
        ),
        ("android-app://com.pinterest/", None, {"medium": "SOCIAL", "source": "Pinterest"}),
        ("android-app://com.reddit.frontpage", None, {"medium": "SOCIAL", "source": "Reddit"}),
        ("android-app://com.zhihu.android/", None, {"medium": "SOCIAL", "source": "Zhihu"}),
        ("android-app://com.google.android.gm/", None, {"medium": "EMAIL", "source": "Gmail"}),
        ("android-app://com.example.shop/", None, {"medium": "UNKNOWN"}),
    ],
)
def test_where_a_visitor_came_from(referrer: str, page: str | None, found: Json) -> None:
    assert parse_referrer(referrer, page) == found


@pytest.mark.parametrize("text", ["direct", "ftp://ftp.example.com/", "http://[::1", "about:blank"])
def test_what_is_no_referrer(text: str) -> None:
    assert parse_referrer(text, None) is None


def test_the_list_of_services_is_whole() -> None:
    assert {service.medium for service in SERVICES.values()} == {
        "UNKNOWN",
        "EMAIL",
        "SEARCH",
        "SOCIAL",
        "CHATBOT",
    }
    for name, service in SERVICES.items():
        host, _, path = name.partition("/")
        scheme = "android-app" if host.startswith(("com.", "org.")) else "https"
        url = f"{scheme}://{host.replace('*', 'com')}/{path}"
        found = parse_referrer(url, None)
        assert found is not None
        assert found == {"medium": service.medium, "source": service.source}, url


# Times


def test_parts_of_a_time() -> None:
    assert parse_time("2026-11-21T23:05:07.890Z") == {
        "year": 2026,
        "month": 11,
        "day_of_month": 21,
        "hour": 23,
        "minute": 5,
        "second": 7,
        "millisecond": 890,
        "week": 47,
        "day_of_week": 5,
        "day_of_week_string": "Saturday",
        "timezone_offset": 0,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01", {"year": 2026, "hour": 0, "week": 1, "day_of_week_string": "Thursday"}),
        ("2027-01-01T00:00:00", {"year": 2027, "week": 53, "day_of_week": 4}),
        ("2026-11-21T23:05:07-08:00", {"hour": 23, "day_of_month": 21, "timezone_offset": -28_800}),
        ("2026-11-21T23:05:07+0545", {"hour": 23, "day_of_month": 21, "timezone_offset": 20_700}),
        ("2026-11-21 23:05+14", {"hour": 23, "minute": 5, "timezone_offset": 50_400}),
        ("2026-11-21T23:05:07.999999Z", {"second": 7, "millisecond": 999}),
        ("1969-12-31T23:59:59.999Z", {"year": 1969, "second": 59, "millisecond": 999}),
    ],
)
def test_times_are_those_of_their_own_zone(text: str, expected: Json) -> None:
    found = parse_time(text)
    assert found is not None
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("text", ["yesterday", "1700000000", "2026-02-30", "10:00", "2026-01-01T24:00:00Z"])
def test_what_is_no_time(text: str) -> None:
    assert parse_time(text) is None


# Places

HERE = city(
    "Boxford",
    country=("GB", "United Kingdom"),
    at=(-1.25, 51.75),
    subdivisions=[{"iso_code": "ENG", "names": {"en": "England"}}, {"names": {"en": "West Berkshire"}}],
    continent={"code": "EU", "names": {"en": "Europe"}},
    postal={"code": "OX1"},
)
PLACE = {
    "city": "Boxford",
    "province": "England",
    "country": "United Kingdom",
    "continent": "Europe",
    "postal_code": "OX1",
    "coordinates": [-1.25, 51.75],
}


def find(places: Places, text: str) -> Any:
    address = read_address(text)
    assert address is not None
    return places.find(address)


@pytest.mark.parametrize(
    "text",
    ["81.2.69.142", "::ffff:81.2.69.142", " 81.2.69.142 ", "2a02:ff::1", "[2a02:ff::1]", "2a02:ff::1%eth0"],
)
def test_an_address_has_a_place(tmp_path: Path, text: str) -> None:
    places = Places(write_mmdb(tmp_path / "a.mmdb", {"81.2.69.0/24": HERE, "2a02:ff::/32": HERE}))
    assert find(places, text) == PLACE


@pytest.mark.parametrize(
    "text",
    [
        "10.1.2.3",
        "192.168.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "100.64.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "0.0.0.0",
    ],
)
def test_a_private_address_has_none(tmp_path: Path, text: str) -> None:
    places = Places(
        write_mmdb(tmp_path / "a.mmdb", {"0.0.0.0/1": HERE, "128.0.0.0/1": HERE, "8000::/1": HERE})
    )
    assert find(places, text) is None
    assert find(Places(), text) is None


@pytest.mark.parametrize(
    "text", ["", "localhost", "1.2.3", "1.2.3.4, 5.6.7.8", "1.2.3.4:80", "256.1.1.1", "x" * 10_000]
)
def test_what_is_no_address(text: str) -> None:
    assert read_address(text) is None


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({"country": {"iso_code": "DE"}}, {"country": "Germany", "continent": "Europe"}),
        ({"country_code": "ZA"}, {"country": "South Africa", "continent": "Africa"}),
        ({"country": "jp", "continent": "AS"}, {"country": "Japan", "continent": "Asia"}),
        (
            {"registered_country": {"iso_code": "US"}},
            {"country": "United States", "continent": "North America"},
        ),
        ({"country_code": "ZZ"}, {"country": "ZZ"}),
        (
            {"city": "Boxford", "country_name": "United Kingdom", "latitude": "51.75", "longitude": "-1.25"},
            {"city": "Boxford", "country": "United Kingdom", "coordinates": [-1.25, 51.75]},
        ),
        ({"location": {"latitude": 0.0, "longitude": 0.0}}, {"coordinates": [0.0, 0.0]}),
        ({"location": {"latitude": 91.0, "longitude": 0.0}}, None),
        ({"city": 7, "country": [], "subdivisions": [3], "location": "x", "postal": None}, None),
        ({}, None),
    ],
)
def test_records_of_several_makers(record: Json, place: Json | None) -> None:
    assert place_of(record) == place


def test_without_a_database_the_registries_tell_the_country() -> None:
    assert find(Places(), "8.8.8.8") == {"country": "United States", "continent": "North America"}
    assert find(Places(), "2001:4860:4860::8888") == {
        "country": "United States",
        "continent": "North America",
    }


def test_a_database_that_changes_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.ingest.enrich.geo.LOOK_SECONDS", 0.0)
    path = write_mmdb(tmp_path / "a.mmdb", {"81.2.69.0/24": {"country_code": "GB"}})
    places = Places(path)
    assert not places.ready
    places.prepare()
    assert places.ready
    assert find(places, "81.2.69.142") == {"country": "United Kingdom", "continent": "Europe"}
    write_mmdb(tmp_path / "b.mmdb", {"81.2.69.0/24": {"country_code": "DE"}, "9.0.0.0/8": {}}).rename(path)
    assert not places.ready
    places.prepare()
    assert find(places, "81.2.69.142") == {"country": "Germany", "continent": "Europe"}


def test_a_database_that_is_no_longer_one_leaves_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("service.ingest.enrich.geo.LOOK_SECONDS", 0.0)
    path = write_mmdb(tmp_path / "a.mmdb", {"81.2.69.0/24": {"country_code": "GB"}})
    places = Places(path)
    places.prepare()
    for spoil in (lambda: path.write_bytes(b"half a file"), path.unlink):
        spoil()
        with caplog.at_level(logging.ERROR, "acumen.enrich"):
            for _ in range(3):
                places.prepare()
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == 1, "said once, not for every event"
        assert str(path) in errors[0].getMessage()
        assert find(places, "81.2.69.142") == {"country": "United Kingdom", "continent": "Europe"}
        caplog.clear()


def test_without_the_database_that_was_named_nothing_is_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    places = Places(tmp_path / "missing.mmdb")
    with caplog.at_level(logging.ERROR, "acumen.enrich"):
        assert find(places, "8.8.8.8") is None
        assert find(places, "8.8.4.4") is None
    assert len(caplog.records) == 1


def test_a_cut_database_is_no_error(tmp_path: Path) -> None:
    """Every prefix of a database, with its end still there, is read or refused: no event meets an error."""
    whole = write_mmdb(tmp_path / "a.mmdb", {"81.2.69.0/24": HERE}).read_bytes()
    end = whole[whole.rindex(b"\xab\xcd\xefMaxMind.com") :]
    for cut in range(0, len(whole) - len(end), 37):
        path = tmp_path / "cut.mmdb"
        path.write_bytes(whole[:cut] + end)
        places = Places(path)
        places.prepare()
        find(places, "81.2.69.142")


# Events


def addon(name: str, output: str, **inputs: Any) -> Json:
    return {"name": f"keen:{name}", "input": inputs, "output": output}


def enriched(enricher: Enricher, event: Json, *addons: Json, received: Received = RECEIVED) -> Json:
    result = copy.deepcopy(event)
    enricher(result, list(addons), received)
    return result


def test_what_is_found_is_merged_into_what_is_there(enricher: Enricher) -> None:
    event = {"url": "https://x.y/p", "page": {"title": "T", "info": {"path": "old", "seen": {"by": 1}}}}
    assert enriched(enricher, event, addon("url_parser", "page.info", url="url")) == {
        "url": "https://x.y/p",
        "page": {
            "title": "T",
            "info": {"path": "/p", "seen": {"by": 1}, "protocol": "https", "domain": "x.y"},
        },
    }


@pytest.mark.parametrize("before", [None, 7, "text", [1], {}])
def test_what_is_no_object_at_the_output_is_replaced(enricher: Enricher, before: Any) -> None:
    found = enriched(enricher, {"u": "http://x.y", "out": before}, addon("url_parser", "out.put", url="u"))
    assert found["out"] == {"put": {"protocol": "http", "domain": "x.y"}}


def test_an_addon_may_replace_its_own_input(enricher: Enricher) -> None:
    assert enriched(enricher, {"u": "http://x.y"}, addon("url_parser", "u", url="u")) == {
        "u": {"protocol": "http", "domain": "x.y"}
    }


def test_addons_run_in_their_order_each_on_what_those_before_it_found(enricher: Enricher) -> None:
    event = {"url": "https://x.y/?next=https%3A%2F%2Fwww.google.com%2Fsearch%3Fq%3Dtea"}
    first = addon("url_parser", "a", url="url")
    second = addon("url_parser", "b", url="a.query_string.next")
    third = addon("referrer_parser", "c", referrer_url="a.query_string.next", page_url="url")
    found = enriched(enricher, event, first, second, third)
    assert found["b"]["domain"] == "www.google.com"
    assert found["c"] == {"medium": "SEARCH", "source": "Google", "term": "tea"}
    assert set(enriched(enricher, event, third, second, first)) == {"url", "a"}


def test_the_time_of_an_event_can_be_an_input(enricher: Enricher) -> None:
    def times(received: Received) -> Json:
        stamp, made = (
            addon("date_time_parser", name, date_time=f"keen.{name}") for name in ("timestamp", "created_at")
        )
        return enriched(enricher, {}, {**stamp, "output": "t"}, {**made, "output": "c"}, received=received)

    sent = times(Received(RECEIVED.received_us, "2020-02-02T02:02:02+02:00"))
    assert (sent["t"]["year"], sent["t"]["hour"], sent["t"]["timezone_offset"]) == (2020, 2, 7_200)
    assert sent["c"]["year"] == 2026
    assert times(RECEIVED)["t"] == sent["c"]


@pytest.mark.parametrize("address", ["8.8.8.8", "10.0.0.1", "no address", ""])
def test_an_address_that_is_not_wanted_goes_whatever_came_of_it(enricher: Enricher, address: str) -> None:
    wish = addon("ip_to_geo", "geo", ip="client.ip", remove_ip_property=True)
    found = enriched(enricher, {"client": {"ip": address, "n": 1}, "a": 1}, wish)
    assert found["client"] == {"n": 1}
    assert ("geo" in found) == (address == "8.8.8.8")


def test_an_address_goes_when_all_addons_have_seen_it(enricher: Enricher) -> None:
    wish = addon("ip_to_geo", "geo", ip="ip", remove_ip_property=True)
    found = enriched(enricher, {"ip": "8.8.8.8"}, wish, {**wish, "output": "again"})
    assert set(found) == {"geo", "again"}
    assert set(enriched(enricher, {"ip": "8.8.8.8"}, {**wish, "output": "ip"})) == {"ip"}


def test_a_location_is_taken_where_there_are_coordinates(tmp_path: Path, enricher: Enricher) -> None:
    wish = addon("ip_to_geo", "keen.location", ip="ip")
    event = {"ip": "81.2.69.142"}
    known = Enricher(write_mmdb(tmp_path / "a.mmdb", {"81.2.69.0/24": HERE}))
    assert enriched(known, event, wish)["keen"] == {"location": PLACE}
    assert enriched(enricher, event, wish) == event, "a country alone is no location"


@pytest.mark.parametrize("value", [None, 7, True, [], ["http://x.y"], {}, {"url": "http://x.y"}, ""])
def test_an_input_that_is_no_text_is_a_missing_one(value: Any) -> None:
    metrics = Metrics()
    for event in ({"u": value}, {}):
        assert enriched(Enricher(metrics=metrics), event, addon("url_parser", "out", url="u")) == event
    assert 'acumen_addons_total{addon="url_parser",outcome="missing"} 2.0' in metrics.text()


def test_what_became_of_addons_is_counted() -> None:
    metrics = Metrics()
    enricher = Enricher(metrics=metrics)
    for ip in ("8.8.8.8", "10.0.0.1", "10.0.0.2", "nowhere"):
        enriched(enricher, {"ip": ip}, addon("ip_to_geo", "geo", ip="ip"))
    for outcome, count in (("enriched", 1), ("unknown", 2), ("unusable", 1), ("missing", 0)):
        assert f'acumen_addons_total{{addon="ip_to_geo",outcome="{outcome}"}} {count}.0' in metrics.text()


GOOD = addon("url_parser", "out", url="u")


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (7, "keen.addons[1] must be an object"),
        ({**GOOD, "name": "keen:palm_reader"}, "keen.addons[1].name must be one of keen:ip_to_geo, "),
        ({**GOOD, "name": None}, "keen.addons[1].name"),
        ({"input": {}, "output": "o"}, "keen.addons[1].name"),
        ({**GOOD, "input": None}, "keen.addons[1].input must be an object"),
        ({**GOOD, "input": {}}, "keen.addons[1].input.url must be the path"),
        ({**GOOD, "input": {"ip": "u"}}, "keen.addons[1].input.url"),
        ({**GOOD, "input": {"url": 7}}, "keen.addons[1].input.url"),
        ({**GOOD, "input": {"url": ""}}, "keen.addons[1].input.url"),
        ({**GOOD, "input": {"url": "a..b"}}, "keen.addons[1].input.url"),
        ({**GOOD, "input": {"url": "a.$b"}}, "keen.addons[1].input.url"),
        ({**GOOD, "input": {"url": "a" * 257}}, "keen.addons[1].input.url"),
        ({**GOOD, "output": None}, "keen.addons[1].output"),
        ({**GOOD, "output": ["a"]}, "keen.addons[1].output"),
        ({**GOOD, "output": ".a"}, "keen.addons[1].output"),
        ({**GOOD, "output": "a" + ".a" * 60}, "keen.addons[1].output"),
        ({**GOOD, "output": "keen"}, "keen.addons[1].output must not be in 'keen'"),
        ({**GOOD, "output": "keen.location"}, "keen.addons[1].output must not be in 'keen'"),
        (addon("ip_to_geo", "keen.id", ip="u"), "keen.addons[1].output must not be in 'keen'"),
        (
            addon("ip_to_geo", "keen.location.coordinates", ip="u"),
            "keen.addons[1].output must not be in 'keen'",
        ),
        (
            addon("ip_to_geo", "g", ip="u", remove_ip_property="yes"),
            "remove_ip_property must be true or false",
        ),
        (addon("referrer_parser", "r", page_url="u"), "keen.addons[1].input.referrer_url"),
        (addon("referrer_parser", "r", referrer_url="u", page_url=None), "keen.addons[1].input.page_url"),
    ],
)
def test_a_definition_that_cannot_be_meant_is_refused(enricher: Enricher, definition: Any, said: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        enricher({"u": "http://x.y"}, [GOOD, definition], RECEIVED)
    assert refused.value.name == "InvalidPropertyValueError"
    assert said in refused.value.description


def test_an_event_has_so_many_addons(enricher: Enricher) -> None:
    enricher({}, [GOOD] * 20, RECEIVED)
    with pytest.raises(InvalidEvent, match="at most 20 add-ons; there are 21"):
        enricher({}, [GOOD] * 21, RECEIVED)


# Any event at all

NAMES = st.sampled_from(["a", "b", "c", "ip", "url"])
TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "8.8.8.8",
            "::1",
            "10.0.0.1",
            CHROME,
            IPHONE,
            "2026-01-01T00:00:00+01:00",
            "http://x.y/?a.b=1&c",
            "https://google.com/?q=x",
        ]
    ),
    st.builds(
        lambda head, tail: head + tail,
        st.sampled_from(["http://", "http://[", "//", "android-app://", "::"]),
        st.text(),
    ),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.none(), st.booleans(), st.integers(-9, 9), st.lists(TEXTS, max_size=2)),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=5)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
ADDONS = st.lists(
    st.one_of(
        st.builds(
            lambda i, o, r: addon("ip_to_geo", o, ip=i, remove_ip_property=r), PATHS, PATHS, st.booleans()
        ),
        st.builds(lambda i, o: addon("ua_parser", o, ua_string=i), PATHS, PATHS),
        st.builds(lambda i, o: addon("url_parser", o, url=i), PATHS, PATHS),
        st.builds(
            lambda i, j, o: addon("referrer_parser", o, referrer_url=i, page_url=j), PATHS, PATHS, PATHS
        ),
        st.builds(lambda i, o: addon("date_time_parser", o, date_time=i), PATHS, PATHS),
    ),
    max_size=4,
)


def slowly(event: Json, addons: list[Json], places: Places, agents: Agents) -> Json:
    """What an enriched event is, said as plainly as can be, on (path, value) pairs."""

    def at(value: Any, path: str) -> str | None:
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, str) and value else None

    def deep(old: Any, new: Any) -> Any:
        if not isinstance(new, dict):
            return new
        kept = old if isinstance(old, dict) else {}
        return {
            name: deep(kept.get(name), new[name]) if name in new else kept[name] for name in {**kept, **new}
        }

    for wish in addons:
        inputs, found = wish["input"], None
        first = at(event, next(iter(inputs.values())))
        if first is not None and wish["name"] == "keen:ip_to_geo":
            address = read_address(first)
            found = places.find(address) if address else None
        elif first is not None and wish["name"] == "keen:referrer_parser":
            found = parse_referrer(first, at(event, inputs["page_url"]))
        elif first is not None:
            run: Any = {
                "keen:ua_parser": agents.parse,
                "keen:url_parser": parse_url,
                "keen:date_time_parser": parse_time,
            }
            found = run[wish["name"]](first)
        if found:
            for name in reversed(wish["output"].split(".")):
                found = {name: found}
            event = deep(event, found)
    for wish in addons:
        if wish["input"].get("remove_ip_property"):
            *parents, last = wish["input"]["ip"].split(".")
            holder: Any = event
            for name in parents:
                holder = holder.get(name) if isinstance(holder, dict) else None
            if isinstance(holder, dict) and isinstance(holder.get(last), str):
                del holder[last]
    return event


@settings(max_examples=examples(300), deadline=None)
@given(event=EVENTS, addons=ADDONS)
def test_an_enriched_event_is_what_the_reference_says(
    enricher: Enricher, agents: Agents, event: Json, addons: list[Json]
) -> None:
    expected = slowly(copy.deepcopy(event), addons, Places(), agents)
    assert enriched(enricher, event, *addons) == expected


@settings(max_examples=examples(300), deadline=None)
@given(event=EVENTS, addons=ADDONS)
def test_no_input_makes_an_event_fail(enricher: Enricher, event: Json, addons: list[Json]) -> None:
    raw = json.dumps({**event, "keen": {"addons": addons}}).encode()
    context = Context("8.8.8.8", "Tester/1", RECEIVED.received_us, enricher)
    found = examine(raw, EventLimits(), context)
    assert "addons" not in json.loads(found.payload).get("keen", {})


def test_what_is_remembered_is_never_changed(enricher: Enricher) -> None:
    """Answers are shared by events of many requests."""
    wishes = (addon("ua_parser", "tech", ua_string="ua"), addon("ip_to_geo", "tech.browser", ip="ip"))
    for _ in range(2):
        found = enriched(enricher, {"ua": CHROME, "ip": "8.8.8.8"}, *wishes)
        found["tech"]["browser"]["family"] = "spoilt"
        found["tech"]["device"]["type"] = "spoilt"
    assert enriched(enricher, {"ua": CHROME}, wishes[0])["tech"] == Agents().parse(CHROME)


def test_the_example_of_the_documentation(enricher: Enricher) -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "enrichment.md").read_text(encoding="utf-8")
    sent, kept = (json.loads(block.partition("```")[0]) for block in text.split("```json\n")[1:3])
    found = examine(json.dumps(sent).encode(), EventLimits(), Context("8.8.8.8", IPHONE, 0, enricher))
    assert json.loads(found.payload) == kept | {"user_agent": IPHONE}
