"""What operators get ready for use: proxies, a systemd unit, a Grafana board, image and compose file."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml_rs

from service.settings import Settings
from service.telemetry.metrics import FAMILIES
from tests.sdk.certificate import Certificate, make_certificate
from tests.support.server import Served, free_port

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
SERIES = re.compile(r"\bacumen_[a-z_]+\b")


def known_series() -> set[str]:
    """Every name that /metrics has, histograms' three included."""
    names = {family.name for family in FAMILIES}
    histograms = [family.name for family in FAMILIES if family.buckets]
    return names | {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}


class Proxy:
    """nginx with the example's configuration, with addresses and certificate of this test."""

    def __init__(self, folder: Path, server: Served, certificate: Certificate) -> None:
        assert NGINX is not None
        self.port = free_port()
        self._context = ssl.create_default_context(cafile=str(certificate.authority))
        text = (EXAMPLES / "nginx.conf").read_text()
        for old, new in (
            ("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
            ("server 127.0.0.1:8000", f"server 127.0.0.1:{server.port}"),
            ("/etc/letsencrypt/live/events.example.com/fullchain.pem", str(certificate.certificate)),
            ("/etc/letsencrypt/live/events.example.com/privkey.pem", str(certificate.key)),
        ):
            assert text.count(old) == 1
            text = text.replace(old, new)
        places = "".join(
            f"{name}_temp_path {folder}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        whole = f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        whole += f"http {{ access_log off; {places}\n{text}\n}}\n"
        (folder / "whole.conf").write_text(whole)
        self._process = subprocess.Popen(
            [NGINX, "-p", str(folder), "-c", str(folder / "whole.conf")], stderr=subprocess.PIPE, text=True
        )

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(
            f"https://localhost:{self.port}{path}",
            body,
            {name.replace("_", "-"): value for name, value in headers.items()},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=600, context=self._context) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def wait(self) -> None:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._process.communicate()[1]
            try:
                self.request("GET", "/3.0")
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("nginx does not answer")

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=600)


@pytest.fixture(scope="module")
def behind() -> Iterator[Served]:
    with Served(env={"ACUMEN_TRUSTED_PROXIES": "127.0.0.1"}) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(behind: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    if NGINX is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    running = Proxy(folder, behind, make_certificate(folder))
    try:
        running.wait()
        yield running
    finally:
        running.stop()


def test_large_bodies_and_names_with_slashes_pass_nginx(behind: Served, proxy: Proxy) -> None:
    """Up to what Acumen takes itself; beyond that either of the two says 413."""
    project = behind.project
    events = f"/3.0/projects/{project.id}/events"
    body = json.dumps({"big": [{"text": "x" * 9_000} for _ in range(1_050)]}).encode()
    assert 9_000_000 < len(body) < 10_000_000
    key = {"Authorization": project.write_key}
    assert proxy.request("POST", events, body, **key)[0] == 200
    assert proxy.request("POST", events, body * 2, **key)[0] == 413
    assert proxy.request("POST", f"{events}/shop%2Forders", b'{"n":1}', **key) == (201, b'{"created":true}')
    assert behind.ask(project, "count", event_collection="shop/orders") == 1
    query = f"/3.0/projects/{project.id}/queries/count?event_collection=big"
    status, answer = proxy.request("GET", query, Authorization=project.read_key)
    assert (status, json.loads(answer)["result"]) == (200, 1_050)


def test_behind_nginx_nobody_can_say_that_they_come_from_elsewhere(behind: Served, proxy: Proxy) -> None:
    project = behind.project
    path = f"/3.0/projects/{project.id}/events/visits"
    sent = b'{"ip":"${keen.ip}"}'
    for forged in ({"X_Forwarded_For": "203.0.113.9"}, {"Forwarded": "for=203.0.113.9"}, {}):
        assert proxy.request("POST", path, sent, Authorization=project.write_key, **forged)[0] == 201
    found = behind.ask(project, "select_unique", event_collection="visits", target_property="ip")
    assert found == ["127.0.0.1"]


def test_nginx_and_caddy_keep_what_is_for_operators_from_the_world(proxy: Proxy) -> None:
    for path in ("/metrics", "/health", "/ready"):
        assert proxy.request("GET", path)[0] == 404
        assert path in (EXAMPLES / "Caddyfile").read_text()


def test_proxies_are_set_for_the_limits_of_acumen() -> None:
    caddy, nginx = (EXAMPLES / "Caddyfile").read_text(), (EXAMPLES / "nginx.conf").read_text()
    fields = Settings.model_fields
    assert fields["bulk_bytes_max"].default == 10_000_000
    assert "max_size 10MB" in caddy
    assert "client_max_body_size 10m" in nginx
    for text, pattern in ((caddy, r"response_header_timeout (\d+)s"), (nginx, r"proxy_read_timeout (\d+)s")):
        (seconds,) = re.findall(pattern, text)
        assert int(seconds) > fields["query_timeout_seconds"].default
    for text, pattern in ((caddy, r"keepalive (\d+)s"), (nginx, r"keepalive_timeout (\d+)s")):
        (seconds,) = re.findall(pattern, text)
        assert int(seconds) < fields["keep_alive_seconds"].default


def test_every_metric_of_the_board_and_of_the_table_is_there_and_every_one_is_in_the_table() -> None:
    board = json.loads((EXAMPLES / "grafana/acumen.json").read_text())
    asked = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in SERIES.findall(target["expr"])
    }
    assert asked
    assert asked <= known_series()
    told = set(SERIES.findall((ROOT / "docs/operating.md").read_text()))
    assert told <= known_series()
    assert {family.name for family in FAMILIES} <= told


def test_the_unit_runs_the_server_without_rights() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(EXAMPLES / "acumen.service")
    service = unit["Service"]
    assert service["ExecStart"].endswith("/acumen serve")
    assert "HUP" in service["ExecReload"]
    assert service["User"] != "root"
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert int(service["TimeoutStopSec"]) > Settings.model_fields["shutdown_seconds"].default + 60
    verify = shutil.which("systemd-analyze")
    if verify is not None:
        done = subprocess.run([verify, "verify", EXAMPLES / "acumen.service"], capture_output=True, text=True)
        assert "Unknown" not in done.stderr


def test_compose_gives_the_container_no_more_than_it_needs() -> None:
    compose: Any = yaml_rs.loads((ROOT / "compose.yaml").read_text())
    acumen = compose["services"]["acumen"]
    assert acumen["read_only"] is True
    assert acumen["cap_drop"] == ["ALL"]
    assert acumen["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in acumen
    assert all(port.startswith("127.0.0.1:") for port in acumen["ports"])


def test_the_image_runs_as_a_user_and_holds_nothing_that_builds() -> None:
    text = (ROOT / "Dockerfile").read_text()
    last = text[text.rindex("\nFROM ") :]
    assert "USER acumen" in last
    assert "HEALTHCHECK" in last
    assert "pip install" not in last
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 3
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert not locked & {
        "hatchling",
        "editables",
        "setuptools",
        "tomlkit",
        "trove-classifiers",
        "pluggy",
        "pip",
    }
    for name in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE):
        for path in name.split():
            assert f"!{path}\n" in (ROOT / ".dockerignore").read_text(), path


def test_backups_and_keys_are_not_committed() -> None:
    for path in ("backup/catalog.sqlite", "backups/2026-11-29/BACKUP.json", "secret.key", "data/FORMAT"):
        assert subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0, path
