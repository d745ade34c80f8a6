"""``acumen mcp`` as a client starts it: a process, lines in, lines out, and a server it asks over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import acumen_command
from tests.support.server import Served, ServedProject, free_port

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Client:
    """A client that holds the process by its standard streams."""

    def __init__(self, url: str, project: ServedProject, key_file: Path | None, **env: str) -> None:
        options = [] if key_file is None else ["--key-file", str(key_file)]
        self.process = subprocess.Popen(
            [*acumen_command(), "mcp", "--url", url, "--project", project.id, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env},
        )

    def write(self, *messages: Any) -> None:
        assert self.process.stdin is not None
        for one in messages:
            line = one if isinstance(one, bytes) else json.dumps(one).encode()
            self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, method: str, **params: Any) -> Any:
        self.write({"jsonrpc": "2.0", "id": "a", "method": method, "params": params})
        told = self.read()
        assert told["id"] == "a"
        return told

    def end(self) -> tuple[list[Any], str, int]:
        """What is still written, what is said beside it, and the status, once the input has ended."""
        out, problems = self.process.communicate(timeout=60)
        return [json.loads(line) for line in out.splitlines()], problems.decode(), self.process.returncode


@pytest.fixture
def shop(served: Served, project: ServedProject) -> ServedProject:
    served.record(project, "buys", *({"price": n, "shop": "ab"[n % 2]} for n in range(6)))
    return project


@pytest.fixture
def key_file(shop: ServedProject, tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{shop.read_key}\n")
    return path


@pytest.fixture
def client(served: Served, shop: ServedProject, key_file: Path) -> Iterator[Client]:
    made = Client(served.url, shop, key_file)
    yield made
    made.process.kill()
    made.process.wait()


def test_a_client_begins_lists_and_calls(client: Client) -> None:
    begun = client.ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "t"})
    assert begun["result"]["protocolVersion"] == "2025-11-25"
    client.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert client.ask("ping")["result"] == {}
    assert "measure" in {tool["name"] for tool in client.ask("tools/list")["result"]["tools"]}
    question = {"analysis_type": "sum", "event_collection": "buys", "target_property": "price"}
    result = client.ask("tools/call", name="measure", arguments=question)["result"]
    assert result["structuredContent"] == {"result": 15}
    wrong = client.ask("tools/call", name="measure", arguments={"analysis_type": "sum"})["result"]
    assert wrong["isError"] is True
    assert client.ask("no/method")["error"]["code"] == -32601
    assert client.end() == ([], "", 0)


def test_a_newer_client_needs_no_beginning(client: Client) -> None:
    assert client.ask("server/discover", _meta=MODERN)["result"]["supportedVersions"][0] == "2026-07-28"
    where = {"analysis_type": "count", "event_collection": "buys"}
    told = client.ask("tools/call", name="measure", arguments=where, _meta=MODERN)["result"]
    assert (told["resultType"], told["structuredContent"]) == ("complete", {"result": 6})
    assert client.ask("tools/call", name="größe", _meta=MODERN)["error"]["code"] == -32602


def test_what_is_no_message_is_answered(client: Client) -> None:
    client.write(b"{", b"", [])
    codes = {client.read()["error"]["code"], client.read()["error"]["code"]}
    assert codes == {-32700, -32600}
    client.write(b"[" * 17_000_000)
    assert client.read()["error"]["code"] == -32600
    client.write({"jsonrpc": "2.0", "id": 3, "method": "ping", "params": {"text": "x" * 12_000_000}})
    refused = client.read()
    assert (refused["id"], refused["error"]["data"]["status"]) == (3, 413)
    assert client.ask("ping")["result"] == {}


def test_answers_under_way_are_written_before_the_end(client: Client) -> None:
    asked = [{"jsonrpc": "2.0", "id": n, "method": "tools/list"} for n in range(20)]
    client.write(*asked)
    told, problems, status = client.end()
    assert ({one["id"] for one in told}, problems, status) == (set(range(20)), "", 0)


def test_a_cancelled_request_gets_no_answer(client: Client) -> None:
    client.write({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    client.write({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    client.write({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "never"}})
    told, problems, status = client.end()
    # Where it was answered before it was cancelled, the answer is whole.
    assert all(one["id"] == 1 and "result" in one for one in told)
    assert (problems, status) == ("", 0)


def test_the_key_may_stand_in_the_environment(served: Served, shop: ServedProject) -> None:
    client = Client(served.url, shop, None, ACUMEN_ACCESS_KEY=shop.read_key)
    assert client.ask("tools/list")["result"]["tools"]
    assert client.end()[2] == 0


def test_a_key_that_may_not_is_told_why(served: Served, shop: ServedProject, tmp_path: Path) -> None:
    for key, status in ((shop.write_key, 403), ("0" * 64, 401)):
        (tmp_path / "bad").write_text(key)
        client = Client(served.url, shop, tmp_path / "bad")
        client.write({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        ((told,), _, ended) = client.end()
        assert (told["id"], told["error"]["data"]["status"], ended) == (1, status, 0)
        assert key not in json.dumps(told)


def test_a_server_that_is_away_is_an_error_of_each_request(shop: ServedProject, key_file: Path) -> None:
    client = Client(f"http://127.0.0.1:{free_port()}", shop, key_file)
    client.write({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    client.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
    ((told,), problems, status) = client.end()
    assert "does not answer" in told["error"]["message"]
    assert "does not answer" in problems
    assert status == 0


@pytest.mark.parametrize(
    ("url", "file", "said"),
    [
        ("localhost:8000", "key", "--url"),
        ("http://127.0.0.1:1", "-", "--key-file"),
        ("http://127.0.0.1:1", "gone", "cannot be read"),
        ("http://127.0.0.1:1", None, "Which key?"),
    ],
)
def test_what_cannot_be_begun_is_said(
    shop: ServedProject, tmp_path: Path, key_file: Path, url: str, file: str | None, said: str
) -> None:
    given = None if file is None else Path(file) if file == "-" else tmp_path / file
    client = Client(url, shop, given, ACUMEN_ACCESS_KEY="")
    told, problems, status = client.end()
    assert (told, status) == ([], 1)
    assert said in problems
