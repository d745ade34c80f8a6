"""Events in a URL: the pixel, the redirect, the JSONP call, and what base64 may look like."""

from __future__ import annotations

import base64
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.http.pixel import PIXEL, BadBeacon, check_callback, check_redirect, decode_data
from tests.service.intake import intake, run


@given(st.binary(max_size=200), st.booleans(), st.booleans(), st.booleans())
def test_data_is_read_in_every_spelling_of_base64(
    raw: bytes, url_safe: bool, padded: bool, form_decoded: bool
) -> None:
    text = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(raw).decode()
    text = text if padded else text.rstrip("=")
    text = text.replace("+", " ") if form_decoded else text
    assert decode_data(text) == raw


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_data_may_be_cut_into_lines(end: str) -> None:
    """As ``base64`` and MIME write it, 76 characters a line."""
    raw = b'{"text":"' + b"x" * 200 + b'"}'
    lines = base64.encodebytes(raw).decode().splitlines()
    assert len(lines) > 3
    assert decode_data(end.join(lines) + end) == raw


@pytest.mark.parametrize("text", ["!", "a", "ab$d", "e30=e30=", "\u00e9\u00e9\u00e9\u00e9"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(BadBeacon):
        decode_data(text)


@pytest.mark.parametrize("name", ["cb", "$", "_x1", "jQuery123_45", "Keen.callbacks[12]", "a.b.c"])
def test_callbacks_are_names_of_functions(name: str) -> None:
    assert check_callback(name) == name


@pytest.mark.parametrize(
    "name", ["", "1a", "a-b", "alert(1)", "a;b", "a.", ".a", "a[b]", "a b", "a\n", "<x>", "é", "a" * 129]
)
def test_callbacks_are_nothing_but_names(name: str) -> None:
    with pytest.raises(BadBeacon):
        check_callback(name)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://example.com/a?b=c#d", "https://example.com/a?b=c#d"),
        ("HTTP://example.com:8080", "HTTP://example.com:8080"),
        ("https://example.com/é", "https://example.com/%C3%A9"),
    ],
)
def test_redirects_go_to_absolute_addresses(url: str, sent: str) -> None:
    assert check_redirect(url) == sent


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/local",
        "//example.com",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://example.com",
        "https:example.com",
        "https:///path",
        "https://example.com/\r\nSet-Cookie: a=b",
        "https://example.com\\@evil.example",
        " https://example.com",
        "https://example.com:port/",
        "https://[::1",
        "https://example.com/" + "a" * 9_000,
    ],
)
def test_redirects_go_nowhere_else(url: str) -> None:
    with pytest.raises(BadBeacon):
        check_redirect(url)


def test_a_beacon_records_and_answers_a_pixel(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            data = base64.b64encode(b'{"x":"??>>~~"}').decode()
            path = f"{it.events}/a?api_key={it.project.write_key}&data={data}&modified=1&c=clv1"
            reply = await it.http.get(path, headers={"authorization": ""})
            assert (reply.status_code, reply.headers["content-type"]) == (200, "image/gif")
            assert reply.headers["cache-control"] == "no-store"
            assert reply.content == PIXEL
            assert it.lines() == [b'{"x":"??>>~~"}']

    run(story())


def test_a_beacon_with_redirect_records_and_sends_on(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            params = {"data": "e30", "redirect": "https://example.com/?a=b&c=d"}
            reply = await it.http.get(it.events + "/a", params=params)
            assert (reply.status_code, reply.headers["location"]) == (302, "https://example.com/?a=b&c=d")
            assert reply.headers["cache-control"] == "no-store"
            params["redirect"] = "javascript:alert(1)"
            assert (await it.http.get(it.events + "/a", params=params)).status_code == 400
            assert it.lines() == [b"{}"], "what is not sent on is not recorded either"

    run(story())


def test_a_beacon_with_jsonp_calls_back_with_the_answer_or_the_error(tmp_path: Path) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            params = {"data": "e30=", "jsonp": "Keen.cb[1]"}
            reply = await it.http.get(it.events + "/a", params=params)
            assert (reply.status_code, reply.text) == (200, 'Keen.cb[1]({"created":true});')
            assert reply.headers["content-type"].startswith("text/javascript")
            assert reply.headers["x-content-type-options"] == "nosniff"
            params["data"] = base64.b64encode(b"[]").decode()
            bad = await it.http.get(it.events + "/a", params=params)
            assert bad.status_code == 400
            error = orjson.loads(bad.text.removeprefix("Keen.cb[1](").removesuffix(");"))
            assert error["error_code"] == "InvalidEventError"
            params["jsonp"] = "alert(1)//"
            evil = await it.http.get(it.events + "/a", params=params)
            assert (evil.status_code, evil.headers["content-type"]) == (400, "application/json")

    run(story())


@pytest.mark.parametrize(
    ("query", "status"),
    [("data=!!!", 400), ("data=", 400), ("data=e30&api_key=wrong", 401), ("api_key=K&data=bnVsbA", 400)],
)
def test_a_beacon_that_cannot_be_recorded_says_why(tmp_path: Path, query: str, status: int) -> None:
    async def story() -> None:
        async with intake(tmp_path) as it:
            headers = {"authorization": ""} if "wrong" in query else {}
            reply = await it.http.get(f"{it.events}/a?{query}", headers=headers)
            assert reply.status_code == status
            assert set(reply.json()) == {"message", "error_code"}
            assert reply.headers["cache-control"] == "no-store"
            assert it.lines() == []

    run(story())
