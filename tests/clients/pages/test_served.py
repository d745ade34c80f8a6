"""How the server delivers the pages, and what they weigh."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.pages.conftest import DIST, ROOT
from tests.support.npm import installed_packages
from tests.support.server import Served

CLIENTS = ROOT / "clients"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGES_BYTES_MAX = 160_000
ALL_BYTES_MAX = 250_000
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
}


def packed(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), 9, mtime=0))


def test_the_pages_are_small() -> None:
    pages = sum(map(packed, DIST.iterdir()))
    assert pages <= PAGES_BYTES_MAX
    assert pages + packed(CLIENTS / "charts/dist/acumen-charts.js") <= ALL_BYTES_MAX


@pytest.mark.parametrize("path", ["/", "/login", "/join", "/reset", "/app/p", "/app/p/data/a%2Fb", "/app/x"])
def test_a_browser_gets_the_shell_under_a_strict_policy(served: Served, path: str) -> None:
    reply = served.request("GET", path, headers=HTML)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.body == (DIST / "index.html").read_bytes()
    told = (part.strip().partition(" ") for part in reply.headers["content-security-policy"].split(";"))
    assert {name: value for name, _, value in told} == POLICY
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-cache"
    assert "Accept" in reply.headers["vary"]


def test_the_shell_has_nothing_that_its_policy_forbids() -> None:
    text = (DIST / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]* src=)", text)
    assert "http" not in text


def test_files_are_kept_for_a_year_where_the_address_names_their_content(served: Served) -> None:
    shell = (DIST / "index.html").read_text()
    addresses = re.findall(r'"(/pages/[^"]+)"', shell)
    assert {address.partition("?")[0] for address in addresses} == {
        "/pages/icon.svg",
        "/pages/app.css",
        "/pages/app.js",
    }
    for address in addresses:
        name, _, version = address.removeprefix("/pages/").partition("?v=")
        content = (DIST / name).read_bytes()
        assert hashlib.sha256(content).hexdigest().startswith(version)
        kept = served.request("GET", address)
        assert kept.body == content
        assert "immutable" in kept.headers["cache-control"]
        plain = served.request("GET", f"/pages/{name}?v=0")
        assert plain.headers["cache-control"] == "no-cache"


def test_parts_of_the_script_are_kept_for_a_year(served: Served) -> None:
    parts = set(re.findall(r'"\./([\w-]+\.js)"', (DIST / "app.js").read_text()))
    assert parts
    assert parts < {path.name for path in DIST.iterdir()}
    for name in parts:
        reply = served.request("GET", f"/pages/{name}")
        assert reply.body == (DIST / name).read_bytes()
        assert "immutable" in reply.headers["cache-control"]


def test_files_are_packed_and_told_apart_by_their_tags(served: Served) -> None:
    first = served.request("GET", "/pages/app.js", headers={"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    assert gzip.decompress(first.body) == (DIST / "app.js").read_bytes()
    headers = {"Accept-Encoding": "gzip", "If-None-Match": first.headers["etag"]}
    again = served.request("GET", "/pages/app.js", headers=headers)
    assert (again.status, again.body) == (304, b"")
    for name in ("nothing.js", "index.html", "..%2Findex.html"):
        assert served.request("GET", f"/pages/{name}").status == 404


def test_the_built_pages_are_what_the_sources_build(tmp_path: Path) -> None:
    tools = installed_packages(CLIENTS)
    copy = tmp_path / "clients"
    shutil.copytree(CLIENTS, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (copy / "node_modules").symlink_to(CLIENTS / "node_modules")
    subprocess.run([tools, "build.mjs"], cwd=copy / "pages", check=True, capture_output=True)
    built = {path.name: path.read_bytes() for path in (copy / "pages/dist").iterdir()}
    assert built == {path.name: path.read_bytes() for path in DIST.iterdir()}
