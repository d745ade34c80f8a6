"""What the API says to requests that are wrong: one row for each rule, sent to a real server."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import zstandard

from tests.support.server import Reply, Served, ServedProject

Body = bytes | str | dict[str, Any] | list[Any] | Callable[[], bytes] | None
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A rule and a request that breaks it. ``@`` begins a path in the project; ``key`` is M, W, R or a text.

    A body that is text is sent as it is, one that is an object or a list as JSON. Without a ``code`` the
    request is expected to succeed.
    """

    rule: str
    method: str
    path: str
    status: int
    code: str | None
    key: str | None = "M"
    body: Body = None
    headers: Mapping[str, str] = field(default_factory=dict)


def post(rule: str, body: Body, code: str | None, status: int = 400, **headers: str) -> Row:
    """One event."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Row(rule, "POST", "@/events/purchases", status, code, "W", body, named)


def bulk(rule: str, body: Body, code: str | None, status: int = 400, **headers: str) -> Row:
    """A whole batch."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Row(rule, "POST", "@/events", status, code, "W", body, named)


def into(rule: str, name: str, code: str | None, status: int = 400) -> Row:
    """An event into the collection of this name, as a path has it."""
    return Row(rule, "POST", f"@/events/{name}", status, code, "W", {"a": 1})


def ask(rule: str, code: str | None, analysis: str = "count", status: int = 400, **params: Any) -> Row:
    """A question by POST; about ``purchases`` unless it says otherwise."""
    asked = {"event_collection": "purchases", "timeframe": "this_7_days", **params}
    return Row(rule, "POST", f"@/queries/{analysis}", status, code, "R", asked)


def raw_ask(
    rule: str, body: Body, code: str | None, status: int = 400, analysis: str = "count", **headers: str
) -> Row:
    """A question by POST whose body is this."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Row(rule, "POST", f"@/queries/{analysis}", status, code, "R", body, named)


def get(rule: str, code: str | None, analysis: str = "count", status: int = 400, **params: str) -> Row:
    """A question by GET."""
    query = urlencode({"event_collection": "purchases", **params})
    return Row(rule, "GET", f"@/queries/{analysis}?{query}", status, code, "R")


def filtered(rule: str, item: Any, code: str | None = "InvalidFilterError", status: int = 400) -> Row:
    """A count with this one filter."""
    return ask(rule, code, status=status, filters=[item])


def operand(operator: str, value: Any, says: str, name: str = "price") -> Row:
    """A filter whose operand its operator does not take."""
    item = {"property_name": name, "operator": operator, "property_value": value}
    return filtered(f"filter {operator}: not {says}", item)


def grouped(rule: str, group: Any, code: str = "InvalidGroupByError") -> Row:
    return ask(rule, code, group_by=group)


def ranged(rule: str, ranges: Any) -> Row:
    return grouped(rule, {"property_name": "price", "ranges": ranges})


def sorted_by(rule: str, order: Any, **params: Any) -> Row:
    return ask(rule, "InvalidOrderByError", group_by="item", order_by=order, **params)


def funnel(rule: str, steps: Any, code: str | None = "InvalidParameterError", status: int = 400) -> Row:
    return ask(rule, code, "funnel", status, steps=steps)


def multi(rule: str, analyses: Any, code: str = "InvalidParameterError", **params: Any) -> Row:
    return ask(rule, code, "multi_analysis", analyses=analyses, **params)


def beacon(rule: str, code: str = "InvalidParameterError", status: int = 400, **params: str) -> Row:
    """An event in a URL, otherwise a good one."""
    query = urlencode({"data": base64.b64encode(b'{"a":1}').decode(), **params})
    return Row(rule, "GET", f"@/events/purchases?{query}", status, code, "W")


def b64(text: bytes) -> str:
    return base64.b64encode(text).decode()


def nested(levels: int, inner: str = "1") -> str:
    return '{"a":' * levels + inner + "}" * levels


def bare_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def each(*values: Any) -> tuple[Any, ...]:
    return values


EVENT = b'{"a":1}'
QUESTION = b'{"event_collection":"purchases"}'
STEP = {"event_collection": "purchases", "actor_property": "item"}
COUNT = {"analysis_type": "count"}
HERE = {"coordinates": [13.4, 52.5], "max_distance_miles": 10}
WITHIN = {"property_name": "keen.location.coordinates", "operator": "within", "property_value": HERE}
CHEAP = {"property_name": "price", "operator": "lt", "property_value": 3}


def keen(**properties: Any) -> Json:
    return {"keen": properties}


def addon(**changes: Any) -> Json:
    """An event with one add-on, which is good but for these."""
    return keen(addons=[{**URL_PARSER, **changes}])


def addons(number: int) -> Json:
    return {"u": "http://x.y", **keen(addons=[URL_PARSER] * number)}


URL_PARSER = {"name": "keen:url_parser", "input": {"url": "u"}, "output": "o"}


JSON_ROWS = [
    post("an event is JSON: nothing is not", b"", "InvalidJSONError"),
    post("an event is JSON: blanks are not", b" \n", "InvalidJSONError"),
    post("an event is JSON: words are not", "price=1", "InvalidJSONError"),
    post("an event is JSON: cut off", '{"a":', "InvalidJSONError"),
    post("an event is JSON: a comma too many", '{"a":1,}', "InvalidJSONError"),
    post("an event is JSON: something follows", '{"a":1} x', "InvalidJSONError"),
    post("an event is JSON: two of them", '{"a":1}{"a":2}', "InvalidJSONError"),
    post("an event is JSON: single quotes", "{'a':1}", "InvalidJSONError"),
    post("an event is JSON: a comment", '{"a":1 /* one */}', "InvalidJSONError"),
    post("an event is JSON: a name without quotes", "{a:1}", "InvalidJSONError"),
    post("an event is JSON: NaN is no number", '{"a":NaN}', "InvalidJSONError"),
    post("an event is JSON: Infinity is no number", '{"a":-Infinity}', "InvalidJSONError"),
    post("an event is JSON: 01 is no number", '{"a":01}', "InvalidJSONError"),
    post("an event is JSON: +1 is no number", '{"a":+1}', "InvalidJSONError"),
    post("an event is JSON: 1. is no number", '{"a":1.}', "InvalidJSONError"),
    post("an event is JSON: a raw line end in text", '{"a":"x\ny"}', "InvalidJSONError"),
    post("an event is JSON: an unknown escape", r'{"a":"\x41"}', "InvalidJSONError"),
    post("an event is UTF-8: a stray byte", b'{"a":"\xff"}', "InvalidJSONError"),
    post("an event is UTF-8: a long form of NUL", b'{"a":"\xc0\x80"}', "InvalidJSONError"),
    post("an event is UTF-8: half a pair as bytes", b'{"a":"\xed\xa0\x80"}', "InvalidJSONError"),
    post("an event is UTF-8: UTF-16 is not", '{"a":1}'.encode("utf-16"), "InvalidJSONError"),
    bulk("a batch is JSON: nothing is not", b"", "InvalidJSONError"),
    bulk("a batch is JSON: cut off", '{"a":[{}', "InvalidJSONError"),
    bulk("a batch is JSON: NaN in an event", '{"a":[{"b":NaN}]}', "InvalidJSONError"),
    bulk("a batch is JSON: cut off after half a pair", r'{"a":[{"b":"\ud800"}]', "InvalidJSONError"),
    bulk("a batch is JSON: a comma after half a pair", r'{"a":[{"b":"\ud800"},]}', "InvalidJSONError"),
    bulk("a batch is JSON: NaN after half a pair", r'{"a":[{"b":"\ud800"},NaN]}', "InvalidJSONError"),
    bulk("a batch's names have whole characters", r'{"\ud800":[{}]}', "InvalidJSONError"),
    bulk("a batch is UTF-8", b'{"a":[{"b":"\xff"}]}', "InvalidJSONError"),
    bulk("a batch is UTF-8: its names too", b'{"\xff":[{}]}', "InvalidJSONError"),
    bulk("a batch is no bottomless list", b'{"a":' + b"[" * 100_000, "InvalidJSONError"),
    raw_ask("a question is JSON: nothing is not", b"", "InvalidJSONError"),
    raw_ask("a question is JSON: a form is not", "event_collection=purchases", "InvalidJSONError"),
    raw_ask("a question is JSON: NaN is no number", '{"latest":NaN}', "InvalidJSONError"),
    raw_ask("a question is JSON: no end of brackets", b"[" * 100_000, "InvalidJSONError"),
    raw_ask("a question is UTF-8", b'{"event_collection":"\xff"}', "InvalidJSONError"),
    raw_ask(
        "a question is UTF-8: half a pair as bytes",
        b'{"event_collection":"purchases","x":"\xed\xa0\x80"}',
        "InvalidJSONError",
    ),
    raw_ask(
        "a question is UTF-8: UTF-16 is not",
        '{"event_collection":"purchases"}'.encode("utf-16"),
        "InvalidJSONError",
    ),
    raw_ask("a question is an object: a list is not", "[]", "InvalidParameterError"),
    raw_ask("a question is an object: null is not", "null", "InvalidParameterError"),
    raw_ask("a question is an object: a text is not", '"count"', "InvalidParameterError"),
]

EVENT_ROWS = [
    post("an event is an object: a list is not", "[]", "InvalidEventError"),
    post("an event is an object: a list of events is not", '[{"a":1}]', "InvalidEventError"),
    post("an event is an object: null is not", "null", "InvalidEventError"),
    post("an event is an object: a number is not", "1", "InvalidEventError"),
    post("an event is an object: a text is not", '"a"', "InvalidEventError"),
    post("an event may be empty", "{}", None, 201),
    post("a property has a name", {"": 1}, "InvalidPropertyNameError"),
    post("a property's name has no dot", {"a.b": 1}, "InvalidPropertyNameError"),
    post("a property's name has no dot, deeper too", {"a": {"b.c": 1}}, "InvalidPropertyNameError"),
    post("a property's name does not begin with $", {"$a": 1}, "InvalidPropertyNameError"),
    post("a property's name may hold $", {"a$": 1}, None, 201),
    post("a property's name has 256 characters", {"n" * 256: 1}, None, 201),
    post("a property's name has no 257 characters", {"n" * 257: 1}, "InvalidPropertyNameError"),
    post("a name in a list has no 257 characters", {"a": [{"n" * 257: 1}]}, "InvalidPropertyNameError"),
    post("a text has 9,999 characters", {"a": "x" * 9_999}, None, 201),
    post("a text has no 10,000 characters", {"a": "x" * 10_000}, "InvalidPropertyValueError"),
    post("a text in a list has no 10,000 characters", {"a": ["x" * 10_000]}, "InvalidPropertyValueError"),
    post("a text has whole characters", r'{"a":"\ud800"}', "InvalidPropertyValueError"),
    post("a name has whole characters", r'{"\udfff":1}', "InvalidPropertyValueError"),
    post("an event is 100 levels deep", nested(100), None, 201),
    post("an event is not 101 levels deep", nested(101), "InvalidPropertyValueError"),
    post("an event is not 50,000 levels deep", nested(50_000), "InvalidPropertyValueError"),
    post("a list is not 101 levels deep", '{"a":' + "[" * 101 + "]" * 101 + "}", "InvalidPropertyValueError"),
    post("a number fits a double", '{"a":1e400}', "InvalidPropertyValueError"),
    post("a number fits a double, below too", '{"a":-1e999999}', "InvalidPropertyValueError"),
    post("an integer may be long", '{"a":' + "9" * 400 + "}", None, 201),
    post("an integer has no 5,000 digits", '{"a":' + "9" * 5_000 + "}", "InvalidPropertyValueError"),
    post("keen is an object: a text is not", {"keen": "now"}, "InvalidKeenNamespaceProperty"),
    post("keen is an object: null is not", {"keen": None}, "InvalidKeenNamespaceProperty"),
    post("keen.id is the server's", keen(id="1"), "InvalidKeenNamespaceProperty"),
    post("keen.created_at is the server's", keen(created_at="2024-01-01"), "InvalidKeenNamespaceProperty"),
    post("keen has no other property", keen(colour="red"), "InvalidKeenNamespaceProperty"),
    post("keen.location has no other property", keen(location={"x": 1}), "InvalidKeenNamespaceProperty"),
    post("keen.timestamp is a text", keen(timestamp=1_700_000_000), "InvalidPropertyValueError"),
    post("keen.timestamp is not null", keen(timestamp=None), "InvalidPropertyValueError"),
    post("keen.timestamp is a time", keen(timestamp="yesterday"), "InvalidPropertyValueError"),
    post("keen.timestamp is in a month", keen(timestamp="2024-13-01T00:00:00Z"), "InvalidPropertyValueError"),
    post("keen.timestamp is on a day", keen(timestamp="2023-02-29T00:00:00Z"), "InvalidPropertyValueError"),
    post(
        "keen.timestamp is after year 0", keen(timestamp="0000-01-01T00:00:00Z"), "InvalidPropertyValueError"
    ),
    post("a place's city is a text", keen(location={"city": 7}), "InvalidPropertyValueError"),
    post("a place may have no coordinates", keen(location={"city": "Oxford"}), None, 201),
    post("coordinates are not null", keen(location={"coordinates": None}), "InvalidPropertyValueError"),
    post("coordinates are a list", keen(location={"coordinates": "1,2"}), "InvalidPropertyValueError"),
    post("coordinates are two", keen(location={"coordinates": [1]}), "InvalidPropertyValueError"),
    post("coordinates are numbers", keen(location={"coordinates": ["1", "2"]}), "InvalidPropertyValueError"),
    post("a token is a text", keen(uniqueness_token=7), "InvalidPropertyValueError"),
    post("a token is not empty", keen(uniqueness_token=""), "InvalidPropertyValueError"),
    post("a token has no 65 characters", keen(uniqueness_token="t" * 65), "InvalidPropertyValueError"),
    post("add-ons are a list", keen(addons={}), "InvalidPropertyValueError"),
    post("an add-on has a name", keen(addons=[{"input": {}}]), "InvalidPropertyValueError"),
    post("an add-on is an object", keen(addons=["keen:url_parser"]), "InvalidPropertyValueError"),
    post("an add-on is one of five", addon(name="keen:tea_reader"), "InvalidPropertyValueError"),
    post("an add-on has its input", addon(input={"ip": "u"}), "InvalidPropertyValueError"),
    post("an add-on's input is an object", addon(input="u"), "InvalidPropertyValueError"),
    post("an add-on's input names a property", addon(input={"url": ["u"]}), "InvalidPropertyValueError"),
    post("an add-on's input is a path", addon(input={"url": "u..v"}), "InvalidPropertyValueError"),
    post("an add-on has an output", addon(output=None), "InvalidPropertyValueError"),
    post("an add-on's output is a path", addon(output="$o"), "InvalidPropertyValueError"),
    post("an add-on's output is not in keen", addon(output="keen.id"), "InvalidPropertyValueError"),
    post("a location comes of an address", addon(output="keen.location"), "InvalidPropertyValueError"),
    post(
        "remove_ip_property is true or false",
        addon(name="keen:ip_to_geo", input={"ip": "u", "remove_ip_property": 1}),
        "InvalidPropertyValueError",
    ),
    post("an event has 20 add-ons at most", addons(21), "InvalidPropertyValueError"),
    post("an event may have 20 add-ons", addons(20), None, 201),
    post("an add-on's input may be missing", addon(input={"url": "missing"}), None, 201),
    bulk("a batch is an object: a list is not", [{"a": 1}], "InvalidBatchError"),
    bulk("a batch is an object: null is not", "null", "InvalidBatchError"),
    bulk("a batch holds lists: an event is none", {"purchases": {"a": 1}}, "InvalidBatchError"),
    bulk("a batch holds lists: null is none", {"purchases": None}, "InvalidBatchError"),
    bulk("a batch holds lists: all of it", {"purchases": [{}], "other": 1}, "InvalidBatchError"),
    bulk("a batch may be empty", {}, None, 200),
    bulk("a batch's list may be empty", {"purchases": []}, None, 200),
]

BODY_ROWS = [
    post(
        "an event's bytes are bounded",
        lambda: b" " * 10,
        "RequestTooLargeError",
        413,
        Content_Length="900001",
    ),
    bulk(
        "a batch's bytes are bounded",
        lambda: b" " * 10,
        "RequestTooLargeError",
        413,
        Content_Length="10000001",
    ),
    raw_ask(
        "a question's bytes are bounded",
        lambda: b" " * 10,
        "RequestTooLargeError",
        413,
        Content_Length="10000001",
    ),
    *(
        make(f"{what} is no {name} bomb", pack, "RequestTooLargeError", 413, Content_Encoding=name)
        for make, what, size in ((post, "an event", 1_000_000), (bulk, "a batch", 60_000_000))
        for name, pack in (
            ("gzip", lambda size=size: gzip.compress(bytes(size), 1)),
            ("deflate", lambda size=size: zlib.compress(bytes(size), 1)),
            ("zstd", lambda size=size: zstandard.compress(bytes(size))),
        )
    ),
    raw_ask(
        "a question is no gzip bomb",
        lambda: gzip.compress(bytes(11_000_000), 1),
        "RequestTooLargeError",
        413,
        Content_Encoding="gzip",
    ),
    post("gzip is gzip", EVENT, "InvalidEncodingError", Content_Encoding="gzip"),
    post("gzip has an end", gzip.compress(EVENT)[:-4], "InvalidEncodingError", Content_Encoding="gzip"),
    post(
        "gzip has its checksum",
        gzip.compress(EVENT)[:-8] + bytes(8),
        "InvalidEncodingError",
        Content_Encoding="gzip",
    ),
    post(
        "gzip is followed by nothing",
        gzip.compress(EVENT) + b"x",
        "InvalidEncodingError",
        Content_Encoding="gzip",
    ),
    post("gzip is not empty", b"", "InvalidEncodingError", Content_Encoding="gzip"),
    post("deflate is deflate", EVENT, "InvalidEncodingError", Content_Encoding="deflate"),
    post("deflate has an end", zlib.compress(EVENT)[:-3], "InvalidEncodingError", Content_Encoding="deflate"),
    post("deflate may be bare", bare_deflate(EVENT), None, 201, Content_Encoding="deflate"),
    post("zstd is zstd", EVENT, "InvalidEncodingError", Content_Encoding="zstd"),
    post("zstd has an end", zstandard.compress(EVENT)[:-2], "InvalidEncodingError", Content_Encoding="zstd"),
    bulk("a batch's gzip is gzip", b"{}", "InvalidEncodingError", Content_Encoding="gzip"),
    raw_ask("a question's gzip is gzip", QUESTION, "InvalidEncodingError", Content_Encoding="gzip"),
    post("brotli is not read", EVENT, "UnsupportedEncodingError", 415, Content_Encoding="br"),
    post("two encodings are not read", EVENT, "UnsupportedEncodingError", 415, Content_Encoding="gzip, gzip"),
    bulk("an encoding has a known name", b"{}", "UnsupportedEncodingError", 415, Content_Encoding="lzma"),
    raw_ask(
        "a question's encoding is known", QUESTION, "UnsupportedEncodingError", 415, Content_Encoding="br"
    ),
    post("no encoding has a name", EVENT, None, 201, Content_Encoding="identity"),
    post("what is unpacked is JSON", gzip.compress(b"{"), "InvalidJSONError", Content_Encoding="gzip"),
    post("an Idempotency-Key is not empty", EVENT, "InvalidParameterError", Idempotency_Key=""),
    post("an Idempotency-Key is not blank", EVENT, "InvalidParameterError", Idempotency_Key="  "),
    post("an Idempotency-Key has 255 characters", EVENT, None, 201, Idempotency_Key="k" * 255),
    post(
        "an Idempotency-Key has no 256 characters", EVENT, "InvalidParameterError", Idempotency_Key="k" * 256
    ),
    bulk("a batch's Idempotency-Key is not empty", {}, "InvalidParameterError", Idempotency_Key=""),
    post(
        "an Idempotency-Key belongs to one body",
        b'{"b":2}',
        "IdempotencyKeyReusedError",
        409,
        Idempotency_Key="one",
    ),
    post("any content type is JSON", EVENT, None, 201, Content_Type="text/plain"),
]

KEY_ROWS = [
    Row("recording needs a key", "POST", "@/events/purchases", 401, "InvalidApiKeyError", None, "{}"),
    Row(
        "recording needs a right key", "POST", "@/events/purchases", 401, "InvalidApiKeyError", "0" * 64, "{}"
    ),
    Row("a batch needs a key", "POST", "@/events", 401, "InvalidApiKeyError", None, "{}"),
    Row("asking needs a key", "POST", "@/queries/count", 401, "InvalidApiKeyError", None, "{}"),
    Row("asking in a URL needs a key", "GET", "@/queries/count", 401, "InvalidApiKeyError", None),
    Row("a schema needs a key", "GET", "@/events", 401, "InvalidApiKeyError", None),
    Row("a project needs a key", "GET", "@", 401, "InvalidApiKeyError", None),
    Row("the projects need a key", "GET", "/3.0/projects", 401, "InvalidApiKeyError", None),
    Row("a key is sent without Bearer", "GET", "@/events", 401, "InvalidApiKeyError", "Bearer {M}"),
    Row("a key is ASCII", "GET", "@/events", 401, "InvalidApiKeyError", "cl\xe9"),
    Row("a key is not cut short", "GET", "@/events", 401, "InvalidApiKeyError", "{M:.16}"),
    Row("the header wins over api_key", "GET", "@/events?api_key={M}", 401, "InvalidApiKeyError", "wrong"),
    Row("a key is not in the body", "POST", "@/events", 401, "InvalidApiKeyError", None, '{"api_key":"{W}"}'),
    Row("a read key does not record", "POST", "@/events/purchases", 403, "ForbiddenError", "R", "{}"),
    Row("a read key records no batch", "POST", "@/events", 403, "ForbiddenError", "R", "{}"),
    Row("a read key records no beacon", "GET", "@/events/a?data=e30", 403, "ForbiddenError", "R"),
    Row("a write key does not ask", "POST", "@/queries/count", 403, "ForbiddenError", "W", QUESTION),
    Row("a write key does not ask in a URL", "GET", "@/queries/count", 403, "ForbiddenError", "W"),
    Row("a write key does not list queries", "GET", "@/queries", 403, "ForbiddenError", "W"),
    Row("a write key reads no schema", "GET", "@/events/purchases", 403, "ForbiddenError", "W"),
    Row("a read key is no master key", "GET", "@/organization-usage", 401, "AdminOnlyEndpointError", "R"),
    Row("a write key lists no projects", "GET", "/3.0/projects", 401, "AdminOnlyEndpointError", "W"),
    Row("the key comes before the JSON", "POST", "@/events", 401, "InvalidApiKeyError", "wrong", "{"),
    Row("the right comes before the JSON", "POST", "@/queries/count", 403, "ForbiddenError", "W", "{"),
    Row(
        "the key comes before the encoding",
        "POST",
        "@/events",
        401,
        "InvalidApiKeyError",
        "wrong",
        "{}",
        {"Content-Encoding": "br"},
    ),
    Row(
        "the project comes before the key",
        "POST",
        "/3.0/projects/none/events",
        404,
        "ResourceNotFoundError",
        None,
    ),
    Row(
        "a question needs its project",
        "GET",
        "/3.0/projects/none/queries/count",
        404,
        "ResourceNotFoundError",
    ),
]

ROUTE_ROWS = [
    Row("an unknown route is not found", "GET", "/nothing", 404, "ResourceNotFoundError"),
    Row("another version is not found", "GET", "/2.0/projects", 404, "ResourceNotFoundError"),
    Row("an unknown part of a project is not found", "GET", "@/nothing", 404, "ResourceNotFoundError"),
    Row("an unknown analysis is not found", "GET", "@/queries/mode", 404, "ResourceNotFoundError"),
    Row(
        "an unknown analysis is not found by POST",
        "POST",
        "@/queries/mode",
        404,
        "ResourceNotFoundError",
        "R",
        "{}",
    ),
    Row("an analysis is in small letters", "GET", "@/queries/Count", 404, "ResourceNotFoundError"),
    Row("an analysis has nothing below it", "GET", "@/queries/count/all", 404, "ResourceNotFoundError"),
    Row("an unknown collection has no schema", "GET", "@/events/none", 404, "ResourceNotFoundError"),
    Row(
        "an unknown property has no type",
        "GET",
        "@/events/purchases/properties/no",
        404,
        "ResourceNotFoundError",
    ),
    Row("a project has an id", "GET", "/3.0/projects//events", 404, "ResourceNotFoundError"),
    Row("a path is not climbed", "GET", "/3.0/projects/../../etc/passwd", 404, "ResourceNotFoundError"),
    Row(
        "a path is not climbed in hiding", "GET", "/3.0/projects/%2e%2e/events", 404, "ResourceNotFoundError"
    ),
    Row("a path begins with one slash", "GET", "//3.0/projects", 404, "ResourceNotFoundError"),
    Row("a project's id is not a path", "POST", "/3.0/projects/a%2Fb/events", 404, "ResourceNotFoundError"),
    Row("a project's id holds no NUL", "GET", "/3.0/projects/%00/events", 404, "ResourceNotFoundError"),
    Row("queries are not deleted", "DELETE", "@/queries/count", 405, "MethodNotAllowedError"),
    Row("queries are not patched", "PATCH", "@/queries/count", 405, "MethodNotAllowedError", "M", "{}"),
    Row("the map of queries is not posted to", "POST", "@/queries", 405, "MethodNotAllowedError", "M", "{}"),
    Row("a batch is not put", "PUT", "@/events", 405, "MethodNotAllowedError", "M", "{}"),
    Row("events are not patched", "PATCH", "@/events/purchases", 405, "MethodNotAllowedError", "M", "{}"),
    Row("time zones are not posted", "POST", "/timezones", 405, "MethodNotAllowedError", "M", "{}"),
    Row("the root is not deleted", "DELETE", "/", 405, "MethodNotAllowedError"),
    Row("a made up method is no HTTP", "BREW", "@/queries/count", 400, "BadRequestError"),
    into("a collection's name may hold a slash", "a/b", None, 201),
    into("a collection's name may hold a hidden slash", "a%2Fb", None, 201),
    into("a collection's name may hold dots", "a/../b", None, 201),
    into("a collection's name may hold blanks", "signed%20up", None, 201),
    into("a collection's name has 64 characters", "c" * 64, None, 201),
    into("a collection's name has no 65 characters", "c" * 65, "InvalidCollectionNameError"),
    into("a collection's name does not begin with $", "$x", "InvalidCollectionNameError"),
    into("a collection's name does not begin with a hidden $", "%24x", "InvalidCollectionNameError"),
    into("a collection's name does not begin with _", "_x", "InvalidCollectionNameError"),
    into("a collection's name is not blank", "%20%20", "InvalidCollectionNameError"),
    into("a collection's name is ASCII", "caf%C3%A9", "InvalidCollectionNameError"),
    into("a collection's name is UTF-8", "%FF", "InvalidCollectionNameError"),
    into("a collection's name holds no NUL", "a%00b", "InvalidCollectionNameError"),
    into("a collection's name holds no line end", "a%0Ab", "InvalidCollectionNameError"),
    into("no collection's name is a batch", "", "InvalidBatchError"),
    into("a property is not posted to", "purchases/properties/a", "MethodNotAllowedError", 405),
]

TIME_ROWS = [
    *(
        ask(f"timeframe: {value!r} is none", "TimeframeDefinitionError", timeframe=value)
        for value in each(
            "",
            "soon",
            "this_7_eons",
            "this_0_days",
            "this_-1_days",
            "this_999999999_years",
            "next_7_days",
            "THIS_7_DAYS",
            "this_7_days ",
            "this_\u0667_days",
            7,
            True,
            [],
            {},
            ["this_7_days"],
            {"start": 1},
            {"start": "soon"},
            {"start": "2024-02-30", "end": "2024-03-01"},
            {"start": "2024-03-02", "end": "2024-03-01"},
            {"begin": "2024-03-01"},
            "{",
            "\ud800",
        )
    ),
    ask(
        "a timeframe with an interval has both ends",
        "TimeframeDefinitionError",
        timeframe={"start": "2024-01-01"},
        interval="daily",
    ),
    ask("an interval has a timeframe", "MissingRequiredRequestFieldError", timeframe=None, interval="daily"),
    *(
        ask(f"interval: {value!r} is none", "InvalidIntervalError", interval=value)
        for value in each(
            "fortnightly",
            "every_0_days",
            "every_-1_days",
            "every_2_eons",
            "Daily",
            7,
            [],
            {"a": 1},
            True,
        )
    ),
    ask("an interval makes 9,000 parts", "QueryLimitError", timeframe="this_2_years", interval="minutely"),
    *(
        ask(f"timezone: {value!r} is none", "InvalidTimezoneError", timezone=value)
        for value in each(
            "Mars/Olympus",
            "../UTC",
            "/etc/passwd",
            "utc\0",
            "\ud800",
            86_400,
            True,
            [],
            {},
            "x" * 1000,
        )
    ),
    raw_ask(
        "timezone: 1e400 is none",
        '{"event_collection":"purchases","timeframe":"today","timezone":1e400}',
        "InvalidTimezoneError",
    ),
    Row(
        "a URL has one timeframe",
        "GET",
        "@/queries/count?event_collection=purchases&timeframe=today&timeframe[start]=2024-01-01",
        400,
        "InvalidParameterError",
        "R",
    ),
    get("a URL's timeframe is not empty", "TimeframeDefinitionError", timeframe=""),
    get("a URL's timeframe is JSON where it begins so", "TimeframeDefinitionError", timeframe='{"start"'),
]

FILTER_ROWS = [
    ask("filters are a list: an object is not", "InvalidFilterError", filters=CHEAP),
    ask("filters are a list: a number is not", "InvalidFilterError", filters=1),
    ask("filters as text are JSON", "InvalidJSONError", filters="[{"),
    get("a URL's filters are JSON", "InvalidJSONError", filters="price<3"),
    filtered("a filter is an object", "price<3"),
    filtered("a filter is not null", None),
    filtered("a filter has an operator", {"property_name": "price", "property_value": 1}),
    filtered("a filter's operator exists", {**CHEAP, "operator": "like"}),
    filtered("a filter's operator is a text", {**CHEAP, "operator": ["eq"]}),
    filtered("a filter has a property", {"operator": "eq", "property_value": 1}),
    filtered("a filter's property is not empty", {**CHEAP, "property_name": ""}),
    filtered("a filter's property is a text", {**CHEAP, "property_name": 7}),
    filtered("a filter's property has whole characters", {**CHEAP, "property_name": "\ud800"}),
    filtered("a filter has a value", {"property_name": "price", "operator": "eq"}),
    operand("eq", {"a": 1}, "an object"),
    operand("eq", "\ud800", "half a pair"),
    operand("ne", [[1]], "a list in a list"),
    operand("lt", None, "null"),
    operand("lte", True, "a boolean"),
    operand("gt", [1], "a list"),
    operand("gte", {}, "an object"),
    operand("exists", "true", "a text"),
    operand("exists", 1, "a number"),
    operand("exists", None, "null"),
    operand("in", "abc", "a text"),
    operand("in", None, "null"),
    operand("in", [{}], "a list of objects"),
    operand("contains", None, "null"),
    operand("contains", ["a"], "a list"),
    operand("not_contains", {}, "an object"),
    operand("regex", 1, "a number"),
    operand("regex", None, "null"),
    operand("regex", "(", "an open group"),
    operand("regex", "[z-a]", "a range turned round"),
    operand("regex", "*a", "a repeat of nothing"),
    operand("regex", "a{1001}", "too many repeats"),
    operand("regex", r"(a)\1", "a reference back"),
    operand("regex", "(?=a)", "a look ahead"),
    operand("regex", "\ud800", "half a pair"),
    filtered(
        "a regular expression has 1,000 characters",
        {"property_name": "item", "operator": "regex", "property_value": "a" * 1001},
        "QueryLimitError",
    ),
    operand("within", [13.4, 52.5], "a list", "keen.location.coordinates"),
    operand("within", {**HERE, "coordinates": [13.4]}, "one coordinate", "keen.location.coordinates"),
    operand("within", {**HERE, "coordinates": [181, 0]}, "off the earth", "keen.location.coordinates"),
    operand("within", {**HERE, "coordinates": ["1", "2"]}, "texts", "keen.location.coordinates"),
    operand("within", {**HERE, "max_distance_miles": -1}, "a distance below 0", "keen.location.coordinates"),
    operand("within", {"coordinates": [1, 2]}, "without a distance", "keen.location.coordinates"),
    filtered(
        "within is of coordinates", {**WITHIN, "property_name": "home"}, "InvalidPropertyNameForGeoFilter"
    ),
    filtered("within has a property", {"operator": "within"}, "InvalidPropertyNameForGeoFilter"),
    ask("within does not go with group_by", "InvalidFilterError", filters=[WITHIN], group_by="item"),
    ask(
        "within in an or does not go with group_by",
        "InvalidFilterError",
        filters=[{"operator": "or", "operands": [CHEAP, WITHIN]}],
        group_by="item",
    ),
    filtered("or has operands", {"operator": "or"}),
    filtered("or has operands: none are none", {"operator": "or", "operands": []}),
    filtered("or has a list of operands", {"operator": "or", "operands": CHEAP}),
    filtered(
        "or in or has good operands",
        {"operator": "or", "operands": [{"operator": "or", "operands": [{**CHEAP, "operator": "x"}]}]},
    ),
    raw_ask(
        "or is not 150 levels deep",
        '{"event_collection":"purchases","filters":['
        + '{"operator":"or","operands":[' * 150
        + json.dumps(CHEAP)
        + "]}" * 150
        + "]}",
        "QueryLimitError",
    ),
    ask("a question has 1,000 filters", "QueryLimitError", filters=[CHEAP] * 1001),
    raw_ask(
        "a filter's number fits a double",
        '{"event_collection":"purchases","filters":[{"property_name":"a","operator":"eq","property_value":1e400}]}',
        "InvalidFilterError",
    ),
    raw_ask("a question has no 5,000 digits", '{"limit":' + "9" * 5_000 + "}", "InvalidJSONError"),
]

GROUP_ROWS = [
    grouped("a group is a text: a number is not", 7),
    grouped("a group is a text: true is not", True),
    grouped("a group is not empty", ""),
    grouped("a group in a list is a text", [None]),
    grouped("a group has whole characters", "\ud800"),
    grouped("a group is named once", ["item", "item"]),
    grouped("a group is not 'result'", "result"),
    grouped("a group has a property", {"buckets": {"size": 10}}),
    grouped("a group as text is JSON", "[", "InvalidJSONError"),
    grouped("groups are 100", [f"p{number}" for number in range(101)], "QueryLimitError"),
    *(
        grouped(f"buckets: {size!r} is no size", {"property_name": "price", "buckets": {"size": size}})
        for size in each(0, -1, "10", None, True, [])
    ),
    grouped("buckets have a size", {"property_name": "price", "buckets": 10}),
    grouped(
        "a group has buckets or ranges",
        {"property_name": "price", "buckets": {"size": 1}, "ranges": [{"from": 0}]},
    ),
    ranged("ranges are a list", {"from": 0}),
    ranged("ranges are not none", []),
    ranged("a range is an object", [[0, 1]]),
    ranged("a range's ends are numbers", [{"from": "0"}]),
    ranged("a range is not empty", [{"from": 1, "to": 1}]),
    ranged("a range goes up", [{"from": 2, "to": 1}]),
    ranged("ranges do not overlap", [{"from": 0, "to": 10}, {"from": 9, "to": 20}]),
    ranged("open ranges do not overlap", [{"from": 0}, {"from": 10}]),
    ranged("a range's label is a text", [{"from": 0, "label": 1}]),
    ranged("ranges have different labels", [{"to": 0, "label": "a"}, {"from": 0, "label": "a"}]),
    ask("order_by has a group_by", "InvalidOrderByError", order_by="result"),
    sorted_by("order_by names a group or 'result'", "price"),
    sorted_by("order_by is a text or an object", 7),
    sorted_by("order_by has a property", {"direction": "ASC"}),
    sorted_by("order_by has a known direction", {"property_name": "result", "direction": "UP"}),
    sorted_by("order_by's direction is a text", {"property_name": "result", "direction": 1}),
    sorted_by("order_by names each once", ["result", "item", "result"]),
    ask("limit has an order_by", "InvalidLimitError", group_by="item", limit=1),
    ask("limit has a group_by", "InvalidLimitError", limit=1),
    *(
        ask(f"limit: {value!r} is none", "InvalidLimitError", group_by="item", order_by="result", limit=value)
        for value in each(0, -1, 1.5, "many", True, [], {})
    ),
]

ANALYSIS_ROWS = [
    ask("a question has a collection", "MissingRequiredRequestFieldError", event_collection=None),
    ask("a question's collection is not empty", "MissingRequiredRequestFieldError", event_collection=""),
    ask("a question's collection is a text", "InvalidParameterError", event_collection=["purchases"]),
    *(
        ask(f"{analysis} has a target", "MissingRequiredRequestFieldError", analysis)
        for analysis in (
            "count_unique",
            "minimum",
            "maximum",
            "sum",
            "average",
            "median",
            "percentile",
            "standard_deviation",
            "select_unique",
        )
    ),
    ask("a target is a text", "InvalidParameterError", "sum", target_property=7),
    ask("a target has whole characters", "InvalidParameterError", "sum", target_property="\udc00"),
    ask("a percentile says which", "MissingRequiredRequestFieldError", "percentile", target_property="price"),
    *(
        ask(
            f"percentile: {value!r} is none",
            "InvalidParameterError",
            "percentile",
            target_property="price",
            percentile=value,
        )
        for value in each(0, -1, 100.01, 50.123, "half", True, [50], {})
    ),
    ask("zero_fill is a boolean", "InvalidParameterError", zero_fill="maybe"),
    ask("include_metadata is a boolean", "InvalidParameterError", include_metadata=[]),
    ask("max_age is a number", "InvalidParameterError", max_age="old"),
    ask("max_age is not below 0", "InvalidParameterError", max_age=-1),
    ask("max_age is a day and a half", "InvalidParameterError", max_age=129_601),
    *(
        ask(f"latest: {value!r} is none", "InvalidParameterError", "extraction", latest=value)
        for value in each(0, -1, 1.5, "all", True, [])
    ),
    ask("latest is 100,000", "QueryLimitError", "extraction", latest=100_001),
    ask("property_names are texts", "InvalidParameterError", "extraction", property_names=[1]),
    ask("property_names are a list", "InvalidParameterError", "extraction", property_names={"a": 1}),
    ask("property_names are not empty", "InvalidParameterError", "extraction", property_names=[""]),
    ask("property_names as text are JSON", "InvalidJSONError", "extraction", property_names="["),
    ask("a file is delivered by link", "InvalidParameterError", "extraction", delivery="pigeon"),
    ask(
        "a file has a known type", "InvalidParameterError", "extraction", delivery="link", content_type="a/b"
    ),
    ask(
        "a file is packed by gzip",
        "InvalidParameterError",
        "extraction",
        delivery="link",
        content_encoding="z",
    ),
    ask("a mail has one address", "InvalidParameterError", "extraction", email="a@b.c,d@e.f"),
    ask("an address has one line", "InvalidParameterError", "extraction", email_address="a@b.c\nBcc: d@e.f"),
    Row(
        "a list of jobs has 100 at most", "GET", "@/extractions?limit=101", 400, "InvalidParameterError", "R"
    ),
    Row("a job is there", "GET", "@/extractions/nobody", 404, "ResourceNotFoundError", "R"),
    Row("a job before is there", "GET", "@/extractions?before=nobody", 404, "ResourceNotFoundError", "R"),
    Row("a link is whole", "GET", "@/extractions/nobody/file", 403, "ForbiddenError", None),
    Row(
        "a link is signed",
        "GET",
        f"@/extractions/nobody/file?expires=9999999999&signature={'0' * 64}",
        403,
        "ForbiddenError",
        None,
    ),
    ask("property_names are 1,000", "QueryLimitError", "extraction", property_names=["a"] * 1001),
    ask(
        "an extraction has a collection",
        "MissingRequiredRequestFieldError",
        "extraction",
        event_collection=None,
    ),
    funnel("a funnel has steps", None, "MissingRequiredRequestFieldError"),
    funnel("a funnel has a step", []),
    funnel("a funnel's steps are a list", STEP),
    funnel("a funnel's steps as text are JSON", "[{", "InvalidJSONError"),
    funnel("a step is an object", ["purchases"]),
    funnel("a step has a collection", [{"actor_property": "item"}], "MissingRequiredRequestFieldError"),
    funnel("a step has an actor", [{"event_collection": "purchases"}], "MissingRequiredRequestFieldError"),
    funnel("a step has one actor", [{**STEP, "actor_property": ["a", "b"]}]),
    funnel("a step's flags are booleans", [STEP, {**STEP, "inverted": "perhaps"}]),
    funnel("the first step is not inverted", [{**STEP, "inverted": True}]),
    funnel("the first step is not optional", [{**STEP, "optional": True}]),
    funnel("a step's timeframe is one", [{**STEP, "timeframe": "soon"}], "TimeframeDefinitionError"),
    funnel("a step's timezone is one", [{**STEP, "timezone": "Mars"}], "InvalidTimezoneError"),
    funnel("a step's filters are good", [{**STEP, "filters": [{}]}], "InvalidFilterError"),
    funnel("a funnel has 20 steps", [STEP] * 21, "QueryLimitError"),
    multi("several analyses are given", None, "MissingRequiredRequestFieldError"),
    multi("several analyses are one at least", {}),
    multi("several analyses are an object", [COUNT]),
    multi("an analysis is an object", {"a": "count"}),
    multi("an analysis has a type", {"a": {}}, "MissingRequiredRequestFieldError"),
    multi("an analysis has a known type", {"a": {"analysis_type": "mode"}}),
    multi("an analysis is no funnel", {"a": {"analysis_type": "funnel"}}),
    multi("an analysis is no extraction", {"a": {"analysis_type": "extraction"}}),
    multi("an analysis has a target", {"a": {"analysis_type": "sum"}}, "MissingRequiredRequestFieldError"),
    multi("an analysis has no filters", {"a": {**COUNT, "filters": [CHEAP]}}),
    multi("a label is not 'result'", {"result": COUNT}),
    multi("a label is not empty", {"": COUNT}),
    multi("a label is no group", {"item": COUNT}, group_by="item"),
    multi("analyses are 100", {f"a{number}": COUNT for number in range(101)}, "QueryLimitError"),
    multi(
        "an analysis's timeframe is not the whole's",
        {"a": {**COUNT, "timeframe": "today"}},
        "MissingRequiredRequestFieldError",
        timeframe=None,
    ),
    Row(
        "a URL has one collection",
        "GET",
        "@/queries/count?event_collection=a&event_collection=b",
        400,
        "InvalidParameterError",
        "R",
    ),
    get("a URL's callback is a name", "InvalidParameterError", jsonp="alert(1)"),
    get("a URL's steps are JSON", "InvalidJSONError", "funnel", steps="first"),
]

BEACON_ROWS = [
    beacon("a beacon is base64", data="!!"),
    beacon("a beacon is whole base64", data="e30=e30="),
    beacon("a beacon is base64 of JSON", "InvalidJSONError", data=b64(b"hello")),
    beacon("a beacon is base64 of UTF-8", "InvalidJSONError", data=b64(b'{"a":"\xff"}')),
    beacon("a beacon is not empty", "InvalidJSONError", data=""),
    beacon("a beacon is an event", "InvalidEventError", data=b64(b"[]")),
    beacon("a beacon's event is a good one", "InvalidPropertyNameError", data=b64(b'{"a.b":1}')),
    beacon("a beacon's redirect is absolute", redirect="/home"),
    beacon("a beacon's redirect has a scheme", redirect="//example.com/"),
    beacon("a beacon's redirect is no script", redirect="javascript:alert(1)"),
    beacon("a beacon's redirect is one line", redirect="https://example.com/\r\nSet-Cookie: a=b"),
    beacon("a beacon's redirect has a port", redirect="https://example.com:port/"),
    beacon("a beacon's redirect is not empty", redirect=""),
    beacon("a beacon's callback is a name", jsonp="alert(1)"),
    beacon("a beacon's callback is not empty", jsonp=""),
    beacon("a beacon's callback is no markup", jsonp="<script>"),
    beacon("a beacon's callback has 128 characters", jsonp="f" * 129),
    beacon("a script is told of its error", "InvalidJSONError", data=b64(b"{"), jsonp="f"),
    Row(
        "a beacon's collection is a good one",
        "GET",
        "@/events/$x?data=e30",
        400,
        "InvalidCollectionNameError",
        "W",
    ),
    Row("a script is told of its key", "GET", "@/events/a?data=e30&jsonp=f", 401, "InvalidApiKeyError", None),
    Row("a batch is no beacon", "GET", "@/events?data=e30", 403, "ForbiddenError", "W"),
]

IGNORED_ROWS = [
    ask("what SDKs add to a question is ignored", None, status=200, analysis_type="sum", _=7),
    ask("a question has no unknown parameters", "InvalidParameterError", colour="red"),
    ask("a question's parameters are spelt right", "InvalidParameterError", filter=[CHEAP]),
    ask(
        "a parameter of another analysis is ignored", None, status=200, latest="all", percentile="x", steps=1
    ),
    ask(
        "an extraction has no groups", None, "extraction", 200, group_by=7, order_by=7, limit="x", interval=7
    ),
    filtered("what SDKs add to a filter is ignored", {**CHEAP, "property_type": "Number"}, None, 200),
    filtered("a filter has no unknown keys", {**CHEAP, "colour": "red"}),
    get("what SDKs add to a URL is ignored", None, status=200, callback="f", _="7"),
    get("a URL has no unknown parameters", "InvalidParameterError", colour="red", _="7"),
    Row("a recording's parameters are ignored", "POST", "@/events/a?colour=red&&", 201, None, "W", "{}"),
    Row("a description's parameters are ignored", "GET", "@?include=all&", 200, None, "R"),
    funnel("a step has no unknown keys", [{**STEP, "colour": "red"}]),
    raw_ask(
        "an ignored parameter may hold anything",
        '{"event_collection":"purchases","_":[1e400,"\\ud800",' + nested(300) + "]}",
        None,
        200,
    ),
    *(
        Row(
            f"what a funnel ignores, it may hold: {what}",
            "POST",
            "@/queries/funnel",
            200,
            None,
            "R",
            '{"steps":[{"event_collection":"purchases","actor_property":"item","filters":[{"property_name":"price",'
            f'"operator":"gt","property_value":0,"property_type":{value}}}]}}]}}',
        )
        for what, value in (
            ("half a pair", '"\\ud800"'),
            ("half a pair as a name", '{"\\udfff":1}'),
            ("a number beyond a double", "1e400"),
            ("an integer of 4,000 digits", "9" * 4_000),
            ("200 levels", nested(200)),
        )
    ),
    raw_ask(
        "what a funnel repeats is not 600 levels deep",
        '{"steps":[{"event_collection":"a","actor_property":"b","filters":[{"property_name":"c","operator":"eq",'
        '"property_value":1,"property_type":' + nested(600) + "}]}]}",
        "QueryLimitError",
        analysis="funnel",
    ),
]

ROWS = [
    *JSON_ROWS,
    *EVENT_ROWS,
    *BODY_ROWS,
    *KEY_ROWS,
    *ROUTE_ROWS,
    *TIME_ROWS,
    *FILTER_ROWS,
    *GROUP_ROWS,
    *ANALYSIS_ROWS,
    *BEACON_ROWS,
    *IGNORED_ROWS,
]


@pytest.fixture(scope="module")
def filled(served: Served) -> Iterator[ServedProject]:
    """A project with a few purchases, whose idempotency key ``one`` is used up."""
    project = served.new_project("Bad input")
    served.record(project, "purchases", {"price": 1, "item": "tea"}, {"price": 4.5, "item": "cup"})
    path = f"/3.0/projects/{project.id}/events/purchases"
    first = served.request("POST", path, EVENT, key=project.write_key, headers={"Idempotency-Key": "one"})
    assert first.status == 201
    yield project
    # Whatever was sent, the server works, and holds what it took.
    assert served.ask(project, "count", event_collection="purchases") >= 3


@pytest.mark.parametrize("row", ROWS, ids=[row.rule for row in ROWS])
def test_a_bad_request_is_told_what_is_wrong(served: Served, filled: ServedProject, row: Row) -> None:
    reply = send(served, filled, row)
    assert reply.headers["access-control-allow-origin"] == "*"
    assert (reply.status, error_of(reply)) == (row.status, row.code), reply.body[:500]


@pytest.mark.parametrize(
    ("name", "events", "verdicts"),
    [
        ("good", "[{},{}]", ["", ""]),
        ("good", '[{"a":1},{"a.b":1},{"a":2}]', ["", "InvalidPropertyNameError", ""]),
        ("good", '[1,null,"x",[],{}]', ["InvalidPropertyValueError"] * 4 + [""]),
        ("good", '[{"$a":1},{"":1}]', ["InvalidPropertyNameError"] * 2),
        ("good", f'[{{"{"n" * 257}":1}},{{"{"n" * 256}":1}}]', ["InvalidPropertyNameError", ""]),
        ("good", f'[{{"a":"{"x" * 10_000}"}}]', ["InvalidPropertyValueError"]),
        ("good", f'[{{"a":"{"x" * 900_000}"}},{{}}]', ["InvalidPropertyValueError", ""]),
        ("good", f"[{nested(101)},{nested(100)}]", ["InvalidPropertyValueError", ""]),
        ("good", '[{"a":1e400},{"a":1}]', ["InvalidPropertyValueError", ""]),
        ("good", f'[{{"a":{"9" * 5_000}}},{{"a":1}}]', ["InvalidPropertyValueError", ""]),
        ("good", r'[{"a":"\ud800"},{"a":1}]', ["InvalidPropertyValueError", ""]),
        (
            "good",
            r' [ {"\uDFFF" : [1e5, "]"]} , {"a":"\ud83d\ude00"} , 7 ] ',
            ["InvalidPropertyValueError", "", "InvalidPropertyValueError"],
        ),
        ("good", '[{"keen":1},{"keen":{"id":"x"}}]', ["InvalidPropertyNameError"] * 2),
        ("good", '[{"keen":{"timestamp":7}},{"keen":{"addons":1}}]', ["InvalidPropertyValueError"] * 2),
        ("good", '[{"keen":{"uniqueness_token":""}}]', ["InvalidPropertyValueError"]),
        ("$x", "[{},{}]", ["InvalidCollectionNameError"] * 2),
        ("_x", "[{}]", ["InvalidCollectionNameError"]),
        ("", "[{}]", ["InvalidCollectionNameError"]),
        ("  ", "[{}]", ["InvalidCollectionNameError"]),
        ("caf\u00e9", "[{}]", ["InvalidCollectionNameError"]),
        ("c" * 65, "[{}]", ["InvalidCollectionNameError"]),
        ("c" * 65, "[]", []),
    ],
)
def test_a_batch_has_a_verdict_on_each_event(
    served: Served, filled: ServedProject, name: str, events: str, verdicts: list[str]
) -> None:
    body = f'{{{json.dumps(name)}:{events},"beside":[{{"a":1}}]}}'
    reply = send(served, filled, bulk("", body, None))
    assert reply.status == 200, reply.body[:500]
    assert list(reply.json) == [name, "beside"]
    assert reply.json["beside"] == [{"success": True}]
    assert [verdict_of(item) for item in reply.json[name]] == verdicts


def verdict_of(item: Json) -> str:
    """The name of what is wrong with one event of a batch, nothing where it was taken."""
    if item == {"success": True}:
        return ""
    assert item.keys() == {"success", "error"} and item["success"] is False
    assert item["error"].keys() == {"name", "description"} and item["error"]["description"]
    return str(item["error"]["name"])


def error_of(reply: Reply) -> str | None:
    """The ``error_code`` of an error, which has nothing else but a message; None for a success."""
    if reply.status < 400:
        assert b'"error_code"' not in reply.body
        return None
    body = reply.body
    if reply.headers["content-type"].startswith("text/javascript"):
        assert body.startswith(b"f(") and body.endswith(b");")
        body = body[2:-2]
    error = json.loads(body)
    assert error.keys() == {"message", "error_code"}
    assert isinstance(error["message"], str) and error["message"]
    return str(error["error_code"])


def send(served: Served, project: ServedProject, row: Row) -> Reply:
    """The request as the row spells it: no client library puts it right."""
    keys = {"M": project.master_key, "W": project.write_key, "R": project.read_key}
    path = row.path.replace("@", f"/3.0/projects/{project.id}", 1).replace("{M}", project.master_key)
    body = body_of(row.body)
    sent = {"Content-Length": str(len(body)), **row.headers} if body is not None else dict(row.headers)
    if row.key is not None:
        sent["Authorization"] = keys[row.key] if row.key in keys else row.key.format_map(keys)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    try:
        connection.putrequest(row.method, quote(path, safe="/%?&=$+.[]"), skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, headers, answer.read())
    finally:
        connection.close()


def body_of(body: Body) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return body() if callable(body) else json.dumps(body).encode()
