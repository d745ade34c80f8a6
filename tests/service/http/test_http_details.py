"""What browsers and operators see of HTTP: preflights, pixels, long addresses, nonsense, restarts."""

from __future__ import annotations

import base64
import http.client
import resource
import time
from urllib.parse import quote

import pytest

from service.http.middleware import ASKED_BYTES_MAX
from tests.support.server import Served, ServedProject

DATA = base64.b64encode(b'{"n":1}').decode()


@pytest.mark.parametrize(
    "asked", ["traceparent, baggage", "sentry-trace,x-datadog-trace-id", "x-anything-" + "a" * 200]
)
def test_a_preflight_allows_the_headers_that_it_asks_for(served: Served, asked: str) -> None:
    reply = served.request(
        "OPTIONS", "/3.0/projects/p/events/c", headers={"Access-Control-Request-Headers": asked}
    )
    allowed = {name.strip() for name in reply.headers["access-control-allow-headers"].split(",")}
    assert allowed >= {name.strip() for name in asked.split(",")} | {"authorization", "content-type"}
    assert "access-control-request-headers" in reply.headers["vary"].lower()
    assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize("asked", ["a b", "x-a;", '"x"', "x-" + "a" * ASKED_BYTES_MAX])
def test_a_preflight_repeats_nothing_but_names_and_not_many(served: Served, asked: str) -> None:
    reply = served.request(
        "OPTIONS", "/3.0/projects/p/events/c", headers={"Access-Control-Request-Headers": asked}
    )
    assert reply.status == 204
    assert asked not in reply.headers["access-control-allow-headers"]


def test_a_beacon_needs_no_preflight_as_text(served: Served, project: ServedProject) -> None:
    """``navigator.sendBeacon`` sends credentials, which no preflight here allows; text needs none."""
    path = f"/3.0/projects/{project.id}/events/c?api_key={project.write_key}"
    reply = served.request("POST", path, b'{"n":1}', headers={"Content-Type": "text/plain;charset=UTF-8"})
    assert reply.status == 201


@pytest.mark.parametrize("more", ["", "&redirect=https%3A%2F%2Fexample.com%2F", "&jsonp=cb"])
def test_head_of_a_beacon_answers_as_get_and_records_nothing(
    served: Served, project: ServedProject, more: str
) -> None:
    path = f"/3.0/projects/{project.id}/events/c?api_key={project.write_key}&data={DATA}{more}"
    head, get = served.request("HEAD", path), served.request("GET", path)
    assert head.status == get.status
    assert head.body == b""
    varying = {"x-request-id", "date"}
    assert {k: v for k, v in head.headers.items() if k not in varying} == {
        k: v for k, v in get.headers.items() if k not in varying
    }
    assert served.ask(project, "count", event_collection="c") == 1
    assert served.request("HEAD", path.replace(project.write_key, "wrong")).status == 401


@pytest.mark.parametrize(
    "path",
    [
        f"events/c?data={DATA}",
        f"events/c?data={DATA}&jsonp=cb",
        f"events/c?data={DATA}&redirect=https%3A%2F%2Fexample.com%2F",
        "events/c?data=e&jsonp=cb",
        "queries/count?event_collection=c&jsonp=cb",
    ],
)
def test_pages_that_isolate_themselves_may_embed_pixels_and_scripts(
    served: Served, project: ServedProject, path: str
) -> None:
    reply = served.request("GET", f"/3.0/projects/{project.id}/{path}", key=project.master_key)
    assert reply.headers["cross-origin-resource-policy"] == "cross-origin"


@pytest.mark.parametrize("size", [60_000, 70_000, 100_000])
def test_an_address_may_be_as_long_as_the_headers(served: Served, project: ServedProject, size: int) -> None:
    data = quote(base64.b64encode(b'{"n":1}' + b" " * (size * 3 // 4)).decode(), safe="")
    base = f"/3.0/projects/{project.id}"
    assert served.request("GET", f"{base}/events/c?data={data}", key=project.write_key).status == 200
    filters = quote('[{"property_name":"n","operator":"eq","property_value":1}]' + " " * 10, safe="")
    path = f"{base}/queries/count?event_collection=c&filters={filters}&timezone=" + "%20" * (size // 3)
    reply = served.request("GET", path, key=project.read_key)
    assert reply.status in (200, 400)
    assert reply.status == 200 or "imezone" in reply.json["message"], "it was read to its end"


def test_addresses_beyond_it_are_told_so(served: Served, project: ServedProject) -> None:
    base = f"/3.0/projects/{project.id}"
    reply = served.request("GET", f"{base}/events/c?data=" + "e" * 140_000, key=project.write_key)
    assert (reply.status, reply.json["error_code"]) == (431, "RequestHeadersTooLargeError")
    reply = served.request("POST", f"{base}/events/" + "c" * 66_000, {"n": 1}, key=project.write_key)
    assert (reply.status, reply.json["error_code"]) == (414, "RequestUriTooLongError")


def test_what_is_no_json_counts_as_refused(served: Served, project: ServedProject) -> None:
    def counts() -> dict[str, float]:
        text = served.request("GET", "/metrics").body.decode()
        lines = [line for line in text.splitlines() if line.startswith("acumen_queries_total")]
        return {line.split('"')[1]: float(line.split()[-1]) for line in lines}

    before = counts()
    path = f"/3.0/projects/{project.id}/queries/count"
    assert served.request("POST", path, b'{"x"', key=project.read_key).status == 400
    after = counts()
    assert after["refused"] == before["refused"] + 1
    assert after["failed"] == before["failed"]


def test_a_child_that_cannot_be_started_for_now_is_started_later() -> None:
    with Served() as server:
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        old = server.child_pid("worker-0")
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (4, hard))
        server.kill("worker-0")
        deadline = time.monotonic() + 120
        while "could not be started" not in server.output() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "could not be started" in server.output()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))
        while time.monotonic() < deadline:
            child = server.state()["children"].get("worker-0", {})
            if child.get("ready") and child["pid"] != old:
                break
            time.sleep(0.05)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()
