"""The JavaScript clients, served to pages of any site."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from service.bodies.accepted import takes_gzip
from service.client_files import SERVED
from tests.support.server import Served

ROOT = Path(__file__).resolve().parents[3]
BUILT = {path.name: path for name in ("js", "charts") for path in ROOT.glob(f"clients/{name}/dist/*.js")}


def test_all_that_is_built_is_served() -> None:
    assert BUILT.keys() <= set(SERVED)


@pytest.mark.parametrize("name", SERVED)
def test_a_script_can_be_loaded_by_any_site(served: Served, name: str) -> None:
    reply = served.request("GET", f"/clients/{name}", headers={"Origin": "https://shop.example"})
    assert reply.headers["access-control-allow-origin"] == "*"
    if name not in BUILT:
        assert (reply.status, reply.json["error_code"]) == (404, "ResourceNotFoundError")
        return
    assert reply.status == 200
    assert reply.body == BUILT[name].read_bytes()
    assert reply.headers["content-type"] == "text/javascript; charset=utf-8"
    assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"].startswith("public, max-age=3600")
    assert reply.headers["vary"] == "Accept-Encoding"


def test_it_comes_compressed_where_that_is_accepted_and_not_again_where_it_is_known(served: Served) -> None:
    path, content = "/clients/tracker.js", BUILT["tracker.js"].read_bytes()
    plain = served.request("GET", path)
    zipped = served.request("GET", path, headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert len(zipped.body) < len(content) / 2
    assert gzip.decompress(zipped.body) == content
    tags = [reply.headers["etag"] for reply in (plain, zipped)]
    assert tags[0] != tags[1]
    for tag, accepted in zip(tags, ("identity", "gzip"), strict=True):
        assert tag.startswith('"'), "a strong tag"
        known = {"Accept-Encoding": accepted, "If-None-Match": f'"other", {tag}'}
        reply = served.request("GET", path, headers=known)
        assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", tag)
        assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
    head = served.request("HEAD", path)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(content)))


@pytest.mark.parametrize("name", ["", "nothing.js", "..%2f..%2fpyproject.toml", "index.d.ts", "tracker.js/"])
def test_nothing_else_is_served(served: Served, name: str) -> None:
    reply = served.request("GET", f"/clients/{name}")
    assert (reply.status, reply.json["error_code"]) == (404, "ResourceNotFoundError")


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, GZIP ; q=0.1", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
        ("x-gzip", True),
        ("gzip;q=much", False),
    ],
)
def test_which_clients_take_gzip(header: str, takes: bool) -> None:
    assert takes_gzip(header) is takes
