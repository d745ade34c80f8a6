"""Pages fetched by HTTP: what is new, what is said of what is none, and what goes along."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.__main__ import main
from storage.catalog.runs.records import RunState
from tests.service.pipelines.sources.site import SourceSite
from tests.support.web import Asked, Reply, WebServer, web_server


class Api:
    """A server with orders, which it gives two at a time, those from ``since`` on."""

    def __init__(self, web: WebServer) -> None:
        self.web = web
        self.orders: list[dict[str, Any]] = []
        self.linked = False
        web.replies["/orders"] = self.answer

    def answer(self, asked: Asked) -> Reply:
        query = {name: values[0] for name, values in parse_qs(urlsplit(asked.path).query).items()}
        found = [one for one in self.orders if one["at"] >= query.get("since", "")]
        begin = int(query.get("page", "0"))
        more = str(begin + 2) if begin + 2 < len(found) else None
        body = {"data": {"items": found[begin : begin + 2]}, "next": more}
        headers = {}
        if self.linked and more:
            headers["link"] = f'</orders?page={more}>; rel="next"'
        return (200, headers, json.dumps(body).encode())


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, web: WebServer) -> Iterator[SourceSite]:
    made = SourceSite(
        tmp_path,
        outbound_hosts="127.0.0.1:*",
        outbound_networks="127.0.0.1",
        outbound_http=True,
        outbound_seconds=5.0,
    )
    try:
        yield made
    finally:
        made.close()


def _orders(web: WebServer, more: str = "") -> str:
    return f"""
[connections.shop]
url = "{web.url}"
headers = {{ Authorization = {{ secret = "shop_key", prefix = "Bearer " }} }}

[sources.orders]
connection = "shop"
url = "/orders"
into = "orders"
events = "data.items"
next = "next"
next_parameter = "page"
time = "at"
cursor = "at"
cursor_parameter = "since"
every = "10_minutes"
{more}
"""


def _order(number: int, minute: int) -> dict[str, Any]:
    return {"id": number, "at": f"2026-11-01T10:{minute:02}:00Z"}


def _ids(site: SourceSite) -> list[int]:
    return sorted(row["id"] for row in site.rows())


def test_what_is_new_is_read_page_by_page_with_ties_and_late_rows(site: SourceSite, web: WebServer) -> None:
    api = Api(web)
    site.whole.catalog.secrets.put(site.whole.project.id, "shop_key", "s3cret")
    site.apply(_orders(web))
    api.orders = [_order(number, number // 2) for number in range(5)]
    assert site.read() == 1
    assert _ids(site) == [0, 1, 2, 3, 4]
    assert [one.headers["authorization"] for one in web.asked] == ["Bearer s3cret"] * 3
    assert "s3cret" not in json.dumps(site.source())
    site.read()
    assert "since=2026-11-01T10%3A02%3A00Z" in web.asked[-1].path
    assert _ids(site) == [0, 1, 2, 3, 4]
    # Of the same value as the last one, and after it; an equal row is one more.
    api.orders += [_order(5, 2), _order(4, 2), _order(6, 3)]
    site.read()
    assert _ids(site) == [0, 1, 2, 3, 4, 4, 5, 6]
    site.read()
    # Earlier than what was read: it is not asked for, unless the definition says how late rows may be.
    api.orders.append(_order(7, 1))
    site.read()
    assert 7 not in _ids(site)
    site.apply(_orders(web, 'overlap = "10_minutes"'))
    api.orders.append(_order(8, 3))
    site.read()
    assert _ids(site).count(8) == 1


def test_late_rows_within_the_overlap_are_read_once(site: SourceSite, web: WebServer) -> None:
    api = Api(web)
    site.whole.catalog.secrets.put(site.whole.project.id, "shop_key", "s3cret")
    site.apply(_orders(web, 'overlap = "5_minutes"'))
    api.orders = [_order(number, number) for number in range(10)]
    site.read()
    api.orders.insert(0, _order(10, 6))
    api.orders.insert(0, _order(11, 1))
    for _ in range(2):
        site.read()
        assert _ids(site) == list(range(11))


def test_pages_are_followed_by_links_and_no_further_than_told(site: SourceSite, web: WebServer) -> None:
    api = Api(web)
    api.linked = True
    api.orders = [_order(number, number) for number in range(5)]
    text = f'[sources.orders]\nurl = "{web.url}/orders"\ninto = "orders"\nevents = "data.items"\n'
    site.apply(f"{text}pages = 2")
    site.read()
    assert (site.count(), site.source()["problem"]) == (
        0,
        "There are more than 2 pages: 'pages' allows more.",
    )
    site.apply(text)
    site.read()
    assert site.count() == 5
    web.replies["/orders"] = (
        200,
        {"link": '<https://elsewhere.example/>; rel="next"'},
        b'{"data":{"items":[]}}',
    )
    site.read()
    assert "of another origin, https://elsewhere.example" in site.source()["problem"]
    assert site.count() == 5


def test_what_has_not_changed_is_not_stored_again(site: SourceSite, web: WebServer) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.headers.get("if-none-match") == '"1"':
            return (304, {}, b"")
        return (200, {"etag": '"1"'}, b'[{"rate": 1}, {"rate": 2}]')

    web.replies["/rates"] = answer
    site.apply(f'[sources.orders]\nurl = "{web.url}/rates"\ninto = "orders"\n')
    for _ in range(3):
        site.read()
    assert site.count() == 2
    assert len(web.asked) == 3
    # Nor without an ETag.
    web.replies["/rates"] = (200, {}, b'[{"rate": 3}]')
    for _ in range(2):
        site.read()
    assert site.count() == 3
    assert site.source()["health"] == "current"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "Page 1 has no list at 'items'"),
        (b'{"error": "no"}', "there is no 'items'"),
        (b'{"items": [{"at": "2026-11-01T10:00:00Z"}, {}]}', "page 1, row 2: It has no 'at'"),
        (b'{"items": [{"at": "2026-11-01T10:00:00Z"}, 3]}', "page 1, row 2: It is no JSON object"),
        (b'{"items": [{"at": "soon"}]}', "page 1, row 1: 'soon' is neither a number nor a time"),
    ],
)
def test_a_page_that_is_none_stores_nothing(site: SourceSite, web: WebServer, body: bytes, said: str) -> None:
    text = f'[sources.orders]\nurl = "{web.url}/x"\ninto = "orders"\nevents = "items"\n'
    site.apply(f'{text}time = "at"\ncursor = "at"\n')
    web.replies["/x"] = (200, {}, body)
    site.read()
    told = site.source()
    assert (told["health"], site.count()) == ("failing", 0)
    assert said in told["problem"]
    assert list(site.whole.folder.sources.iterdir()) == []
    web.replies["/x"] = (200, {}, b'{"items": [{"at": "2026-11-01T10:00:00Z"}]}')
    site.read()
    assert (site.source()["health"], site.count()) == ("current", 1)


@pytest.mark.parametrize(
    ("reply", "state", "said"),
    [
        ((404, {}, b""), RunState.DEAD, "answered with 404."),
        ((500, {}, b""), RunState.WAITING, "answered with 500."),
        ((429, {"retry-after": "120"}, b""), RunState.WAITING, "to be left alone for 120 seconds."),
        ((302, {"location": "http://10.0.0.1/"}, b""), RunState.DEAD, "redirects to where this may not go"),
    ],
)
def test_a_refusal_is_said_and_tried_again_where_that_may_help(
    site: SourceSite, web: WebServer, reply: Reply, state: RunState, said: str
) -> None:
    web.replies["/x"] = reply
    site.apply(f'[sources.orders]\nurl = "{web.url}/x"\ninto = "orders"\n')
    site.planner.run_due(site.whole.now_us)
    assert site.worker.execute_next()
    assert said in site.source()["problem"]
    (run,) = site.whole.catalog.runs.listed(site.whole.project.id)
    assert run.state is state
    if reply[1].get("retry-after"):
        assert run.due_us == site.whole.now_us + 120_000_000
    assert site.told("GET", "runs")["runs"] == [], "runs of sources are not runs of pipelines"


def test_hosts_and_secrets_are_checked_before_anything_is_applied(site: SourceSite, web: WebServer) -> None:
    assert "there is no secret 'shop_key': set it by" in site.refused(_orders(web))
    other = '[sources.orders]\nurl = "https://elsewhere.example/x"\ninto = "orders"\n'
    assert "is not among the hosts" in site.refused(other)
    assert "there is no connection 'shop'" in site.refused(
        _orders(web).replace("[connections.shop]", "[connections.s]")
    )
    broken = _orders(web).replace('"shop_key"', '"shop_key", sekret = "x"')
    assert "has no key 'sekret'" in site.refused(broken)


def test_a_secret_that_is_gone_is_said(site: SourceSite, web: WebServer) -> None:
    Api(web)
    site.whole.catalog.secrets.put(site.whole.project.id, "shop_key", "s3cret")
    site.apply(_orders(web))
    site.whole.catalog.secrets.remove(site.whole.project.id, "shop_key")
    site.read()
    assert site.source()["problem"].startswith("There is no secret 'shop_key'")
    assert web.asked == []


def test_secrets_are_set_from_standard_input_and_never_shown(
    site: SourceSite, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    data = ["--data", str(site.whole.folder.root)]
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\n"))
    assert main(["secrets", "set", "shop_key", *data]) == 0
    assert main(["secrets", "list", *data]) == 0
    said = capsys.readouterr().out
    assert "shop_key is set." in said
    assert "s3cret" not in said
    assert site.whole.catalog.secrets.value(site.whole.project.id, "shop_key") == "s3cret"
    assert b"s3cret" not in site.whole.folder.catalog.read_bytes()
    assert main(["secrets", "remove", "shop_key", *data]) == 0
    assert main(["secrets", "remove", "shop_key", *data]) == 1
    assert "There is no secret 'shop_key'" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["secrets", "set", "shop_key", *data]) == 1
