"""Requests to real servers of this machine, under policies that let them through, or do not."""

from __future__ import annotations

import gzip
import logging
import socket
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.outbound.connecting import Resolve, connected
from service.outbound.errors import (
    AddressRefused,
    AnswerRefused,
    HostRefused,
    OutboundError,
    RedirectRefused,
    TooSlow,
    Unreachable,
)
from service.outbound.fetching import Asking, Bounds, Fetched, Fetcher, bounds_of
from service.outbound.policy import Policy, policy_of
from service.settings import load
from tests.support.web import WebServer, web_server

BOUNDS = Bounds(connect_seconds=5.0, read_seconds=5.0, seconds=15.0)
LOOPBACK = {"outbound_networks": "127.0.0.0/8", "outbound_http": True}


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as made:
        yield made


def names(hosts: Mapping[str, Sequence[str]]) -> Resolve:
    def resolve(host: str, port: int) -> Sequence[str]:
        if host not in hosts:
            raise OSError("unknown")
        return hosts[host]

    return resolve


LOCAL = names({name: ["127.0.0.1"] for name in ("a.test", "b.test", "c.test")})


def policy(hosts: str = "a.test:*,b.test:*", **given: Any) -> Policy:
    return policy_of(load(outbound_hosts=hosts, **{**LOOPBACK, **given}))


def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    bounds: Bounds = BOUNDS,
    own: Policy | None = None,
    resolve: Resolve = LOCAL,
) -> Fetched:
    fetcher = Fetcher(policy() if own is None else own, bounds, resolve=resolve)
    return fetcher.fetch_now(Asking(method, url, headers or {}, body))


def at(web: WebServer, host: str = "a.test", path: str = "/") -> str:
    return f"http://{host}:{web.port}{path}"


def test_an_answer_is_fetched(web: WebServer) -> None:
    web.replies["/x"] = (200, {"content-type": "text/plain"}, b"hello")
    got = fetch(at(web, path="/x?token=1"), headers={"x-key": "k"})
    assert (got.status, got.body, got.origin) == (200, b"hello", f"http://a.test:{web.port}")
    [asked] = web.asked
    assert (asked.path, asked.headers["host"]) == ("/x?token=1", f"a.test:{web.port}")
    assert asked.headers["user-agent"].startswith("Acumen/")
    assert asked.headers["x-key"] == "k"


def test_a_body_and_any_status_come_through(web: WebServer) -> None:
    web.replies["/x"] = lambda asked: (503, {"retry-after": "7"}, asked.body)
    got = fetch(at(web, path="/x"), method="POST", body=b"{}")
    assert (got.status, got.headers["retry-after"], got.body) == (503, "7", b"{}")


def test_user_and_password_of_a_url_are_sent_and_never_told(web: WebServer) -> None:
    web.replies["/"] = (200, {}, b"")
    fetch(f"http://ann:pa%20ss@a.test:{web.port}/")
    assert web.asked[0].headers["authorization"] == "Basic YW5uOnBhIHNz"


def test_a_host_that_is_not_listed_is_never_connected_to(web: WebServer) -> None:
    with pytest.raises(HostRefused):
        fetch(at(web, "c.test"))
    assert web.asked == []


def test_names_that_lead_to_this_machine_are_refused(web: WebServer) -> None:
    for host in ("a.test", "127.0.0.1", "[::ffff:127.0.0.1]", "127.1", "2130706433", "localhost"):
        where = names({one: ["127.0.0.1"] for one in ("a.test", "127.1", "2130706433", "localhost")})
        with pytest.raises(AddressRefused):
            fetch(at(web, host), own=policy("*:*", outbound_networks=""), resolve=where)
    assert web.asked == []


def test_a_name_is_looked_up_once_and_the_address_that_was_checked_is_used(web: WebServer) -> None:
    asked = []

    def changing(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    web.replies["/"] = (200, {}, b"ok")
    assert fetch(at(web), resolve=changing).body == b"ok"
    assert asked == ["a.test"]


def test_a_name_that_changes_between_two_hops_is_checked_again(web: WebServer) -> None:
    asked = []

    def changing(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    web.replies["/"] = (302, {"location": "/secret"}, b"")
    with pytest.raises(AddressRefused):
        fetch(at(web), resolve=changing)
    assert [one.path for one in web.asked] == ["/"]


def test_the_next_address_is_tried_where_one_does_not_answer(web: WebServer) -> None:
    web.replies["/"] = (200, {}, b"ok")
    nobody = names({"a.test": ["127.0.0.2", "127.0.0.1"]})
    assert fetch(at(web), resolve=nobody).body == b"ok"
    with pytest.raises(Unreachable):
        fetch(at(web), resolve=names({"a.test": ["127.0.0.2"]}))
    with pytest.raises(Unreachable, match="no address"):
        fetch(at(web), resolve=names({}))


# Redirects


def test_redirects_are_followed_within_a_limit(web: WebServer) -> None:
    for number in range(7):
        web.replies[f"/{number}"] = (302, {"location": f"/{number + 1}"}, b"")
    web.replies["/5"] = (200, {}, b"end")
    assert fetch(at(web, path="/0")).body == b"end"
    with pytest.raises(RedirectRefused, match="more than 4 times"):
        fetch(at(web, path="/0"), bounds=replace(BOUNDS, redirects=4))
    assert fetch(at(web, path="/0"), bounds=replace(BOUNDS, redirects=0)).status == 302


def test_each_hop_is_checked(web: WebServer) -> None:
    for where in (f"http://c.test:{web.port}/", "ftp://a.test/", f"http://10.0.0.1:{web.port}/", "http://[/"):
        web.replies["/go"] = (302, {"location": where}, b"")
        with pytest.raises(RedirectRefused):
            fetch(at(web, path="/go"))
    assert {one.path for one in web.asked} == {"/go"}


def test_what_is_secret_stays_with_the_origin(web: WebServer) -> None:
    web.replies["/in"] = (302, {"location": "/there"}, b"")
    web.replies["/out"] = (302, {"location": f"http://eve:x@b.test:{web.port}/there"}, b"")
    web.replies["/there"] = (200, {}, b"")
    secret = {"authorization": "Bearer s", "cookie": "a=s", "x-api-key": "s", "accept": "text/csv"}
    fetch(at(web, path="/in"), headers=secret)
    kept = web.asked[-1].headers
    assert (kept["authorization"], kept["x-api-key"]) == ("Bearer s", "s")
    fetch(at(web, path="/out"), headers=secret)
    kept = web.asked[-1].headers
    assert not {"authorization", "cookie", "x-api-key"} & set(kept)
    assert kept["accept"] == "text/csv"
    fetch(f"http://ann:secret@a.test:{web.port}/out")
    assert "authorization" not in web.asked[-1].headers


def test_a_body_goes_to_no_other_origin(web: WebServer) -> None:
    web.replies["/in"] = (307, {"location": "/there"}, b"")
    web.replies["/see"] = (303, {"location": f"http://b.test:{web.port}/there"}, b"")
    web.replies["/out"] = (308, {"location": f"http://b.test:{web.port}/there"}, b"")
    web.replies["/there"] = (200, {}, b"")
    fetch(at(web, path="/in"), method="POST", body=b"{}")
    assert (web.asked[-1].method, web.asked[-1].body) == ("POST", b"{}")
    fetch(at(web, path="/see"), method="POST", body=b"{}", headers={"content-type": "application/json"})
    assert (web.asked[-1].method, web.asked[-1].body) == ("GET", b"")
    with pytest.raises(RedirectRefused, match="another origin"):
        fetch(at(web, path="/out"), method="POST", body=b"{}")


# Sizes and times


def test_bodies_are_bounded_as_sent_and_once_inflated(web: WebServer) -> None:
    plain = b"a" * 3_000
    packed = gzip.compress(b"\0" * 200_000)
    web.replies["/plain"] = (200, {}, plain)
    web.replies["/gzip"] = (200, {"content-encoding": "gzip"}, packed)
    web.replies["/many"] = (200, {"content-encoding": "gzip"}, packed * 3)
    web.replies["/deflate"] = (200, {"content-encoding": "deflate"}, zlib.compress(plain))
    assert fetch(at(web, path="/deflate")).body == plain
    assert len(fetch(at(web, path="/gzip")).body) == 200_000
    with pytest.raises(AnswerRefused, match="ACUMEN_OUTBOUND_BYTES_MAX"):
        fetch(at(web, path="/plain"), bounds=replace(BOUNDS, sent_bytes=2_999))
    with pytest.raises(AnswerRefused, match="ACUMEN_OUTBOUND_INFLATED_BYTES_MAX"):
        fetch(at(web, path="/gzip"), bounds=replace(BOUNDS, bytes=199_999))
    with pytest.raises(AnswerRefused, match="ACUMEN_OUTBOUND_INFLATED_BYTES_MAX"):
        fetch(at(web, path="/many"), bounds=replace(BOUNDS, bytes=599_999))


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip", "none of them"])
def test_a_body_that_cannot_be_read_is_refused(web: WebServer, encoding: str) -> None:
    web.replies["/"] = (200, {"content-encoding": encoding}, b"not packed")
    with pytest.raises(AnswerRefused, match="encoding"):
        fetch(at(web))


def test_headers_are_bounded(web: WebServer) -> None:
    web.replies["/"] = (200, {f"x-{number}": "y" * 1_000 for number in range(10)}, b"")
    with pytest.raises(AnswerRefused, match="ACUMEN_OUTBOUND_HEADER_BYTES_MAX"):
        fetch(at(web), bounds=replace(BOUNDS, header_bytes=9_000))
    web.raw["/endless"] = lambda write: [write(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 10_000) for _ in range(100)]
    with pytest.raises(Unreachable, match="HTTP"):
        fetch(at(web, path="/endless"))


def test_who_says_nothing_is_left(web: WebServer) -> None:
    web.raw["/"] = lambda write: web.stopped.wait(20)
    with pytest.raises(TooSlow):
        fetch(at(web), bounds=replace(BOUNDS, read_seconds=0.2))


def test_who_dribbles_is_left_at_the_limit_of_the_whole(web: WebServer) -> None:
    def dribble(write: Any) -> None:
        write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while not web.stopped.wait(0.05):
            write(b"a")

    web.raw["/"] = dribble
    began = time.monotonic()
    with pytest.raises(TooSlow, match=r"within 0\.6 seconds"):
        fetch(at(web), bounds=replace(BOUNDS, read_seconds=5.0, seconds=0.6))
    assert time.monotonic() - began < 5.0


def test_a_resolver_that_hangs_holds_nobody_up() -> None:
    over = threading.Event()

    def hanging(host: str, port: int) -> list[str]:
        over.wait(30)
        return ["127.0.0.1"]

    began = time.monotonic()
    try:
        with pytest.raises(TooSlow, match="connected to"):
            fetch("http://a.test:1/", bounds=replace(BOUNDS, connect_seconds=0.2), resolve=hanging)
    finally:
        over.set()
    assert time.monotonic() - began < 5.0


def test_a_body_that_breaks_off_is_an_error(web: WebServer) -> None:
    web.raw["/"] = lambda write: write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
    with pytest.raises(Unreachable):
        fetch(at(web))
    web.raw["/"] = lambda write: write(b"SSH-2.0-what\r\n")
    with pytest.raises(Unreachable):
        fetch(at(web))


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of a.test in one file."""
    path = tmp_path_factory.mktemp("tls") / "a.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=a.test", "-addext", "subjectAltName=DNS:a.test"]
    subprocess.run(
        [*command.split(), "-keyout", str(path), "-out", f"{path}.crt", *names],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def test_certificates_are_checked_against_the_name(certificate: Path) -> None:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate)
    known = ssl.create_default_context(cafile=str(certificate))
    with web_server(served) as web, web_server() as plain:
        web.replies["/"] = (200, {}, b"sealed")
        web.replies["/down"] = (302, {"location": f"http://a.test:{plain.port}/"}, b"")
        own = policy(outbound_http=False)
        sure = Fetcher(own, BOUNDS, resolve=LOCAL, tls=known)
        assert sure.fetch_now(Asking("GET", f"https://a.test:{web.port}/")).body == b"sealed"
        with pytest.raises(Unreachable, match="certificate"):
            sure.fetch_now(Asking("GET", f"https://b.test:{web.port}/"))
        with pytest.raises(Unreachable, match="certificate"):
            Fetcher(own, BOUNDS, resolve=LOCAL).fetch_now(Asking("GET", f"https://a.test:{web.port}/"))
        lax = Fetcher(policy(), BOUNDS, resolve=LOCAL, tls=known)
        with pytest.raises(RedirectRefused, match="without TLS"):
            lax.fetch_now(Asking("GET", f"https://a.test:{web.port}/down"))
        assert plain.asked == []


# Proxies and the environment


def test_proxies_of_the_environment_are_ignored(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        web.replies["/"] = (200, {}, b"ok")
        assert fetch(at(web)).body == b"ok"
        assert proxy.asked == []


class Tunnel:
    """A proxy that takes CONNECT, or refuses it."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
        self.answer, self.heads = answer, list[bytes]()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        client, _ = self.socket.accept()
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4_096)
        self.heads.append(head)
        client.sendall(self.answer)
        host, port = head.split()[1].decode().rsplit(":", 1)
        if self.answer.split()[1] == b"200":
            with socket.create_connection((host, int(port))) as other:
                other.sendall(client.recv(65_536))
                while part := other.recv(65_536):
                    client.sendall(part)
        client.close()


def test_the_proxy_of_the_settings_is_told_the_address_that_was_checked(web: WebServer) -> None:
    web.replies["/"] = (200, {}, b"ok")
    tunnel = Tunnel()
    own = policy(outbound_proxy=f"http://ann:s%40cret@{tunnel.url}")
    assert fetch(at(web), own=own).body == b"ok"
    [head] = tunnel.heads
    assert head.startswith(f"CONNECT 127.0.0.1:{web.port} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic YW5uOnNAY3JldA==" in head
    assert "proxy-authorization" not in web.asked[0].headers
    with pytest.raises(AddressRefused):
        fetch(at(web), own=policy(outbound_proxy=f"http://{tunnel.url}", outbound_networks=""))


def test_a_proxy_that_refuses_is_named(web: WebServer) -> None:
    tunnel = Tunnel(b"HTTP/1.1 407 secret words\r\n\r\n")
    with pytest.raises(Unreachable, match=r"ACUMEN_OUTBOUND_PROXY refuses the connection \(407\)"):
        fetch(at(web), own=policy(outbound_proxy=f"http://{tunnel.url}"))


# Secrets


def test_neither_errors_nor_logs_tell_secrets(web: WebServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "acumen")
    web.replies["/S3CRET"] = (302, {"location": "http://c.test/S3CRET?S3CRET"}, b"S3CRET")
    web.replies["/loop-S3CRET"] = (302, {"location": "/loop-S3CRET"}, b"")
    web.raw["/break-S3CRET"] = lambda write: write(b"S3CRET\r\n\r\n")
    web.replies["/large-S3CRET"] = (200, {"x": "S3CRET" * 1_000}, b"S3CRET" * 1_000)
    small = replace(BOUNDS, sent_bytes=100)
    for url in (
        f"http://S3CRET:S3CRET@a.test:{web.port}/S3CRET?k=S3CRET",
        f"http://S3CRET:S3CRET@a.test:{web.port}/loop-S3CRET",
        f"http://S3CRET:S3CRET@a.test:{web.port}/break-S3CRET#S3CRET",
        f"http://S3CRET:S3CRET@a.test:{web.port}/large-S3CRET",
        "http://S3CRET:S3CRET@a.test:1/S3CRET",
        "http://S3CRET:S3CRET@d.test:1/S3CRET",
        "https://S3CRET:S3CRET@a.test:x/S3CRET",
        "ftp://S3CRET:S3CRET@a.test/S3CRET",
    ):
        with pytest.raises(OutboundError) as raised:
            fetch(url, headers={"authorization": "S3CRET"}, bounds=small)
        assert "S3CRET" not in str(raised.value)
    assert "S3CRET" not in repr(Asking("GET", "http://S3CRET/", {"a": "S3CRET"}, b"S3CRET"))
    assert "S3CRET" not in caplog.text


def test_a_header_that_would_be_two_is_refused(web: WebServer) -> None:
    with pytest.raises(OutboundError):
        fetch(at(web), headers={"x": "a\r\nhost: evil"})
    assert web.asked == []


# Other protocols


def test_connections_of_other_protocols_are_checked_too(web: WebServer) -> None:
    own = policy("a.test:*")
    with connected(own, "a.test", web.port, 5.0, usual=5432, resolve=LOCAL) as made:
        assert made.getpeername() == ("127.0.0.1", web.port)
    with pytest.raises(HostRefused):
        connected(policy("a.test"), "a.test", web.port, 5.0, usual=5432, resolve=LOCAL)
    with pytest.raises(AddressRefused):
        connected(policy(outbound_networks=""), "a.test", web.port, 5.0, usual=5432, resolve=LOCAL)
    with pytest.raises(OSError):
        connected(own, "a.test", 1, 5.0, usual=5432, resolve=LOCAL)


def test_the_settings_have_the_same_bounds_as_the_class() -> None:
    assert bounds_of(load()) == Bounds()
