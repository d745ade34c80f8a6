"""Starting and stopping: signals, drains, dead children, taken ports and folders."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import sys
import threading
import time
import urllib.error
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from service.version import version
from tests.support.command import acumen_command
from tests.support.server import Served, free_port


def count(server: Served, collection: str = "c") -> int:
    found: int = server.ask(server.project, "count", event_collection=collection)
    return found


@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_a_signal_to_the_server_or_its_group_stops_it_cleanly(number: int, group: bool) -> None:
    with Served(workers=2) as server:
        server.record(server.project, "c", {"a": 1})
        pids = [server.child_pid(name) for name in server.state()["children"]]
        assert server.stop(number, group=group) == 0
        assert "Traceback" not in server.output()
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        server.start()
        assert count(server) == 1


def test_a_second_signal_does_not_cut_the_drain_short() -> None:
    with Served(env={"ACUMEN_UNREADY_SECONDS": "1"}) as server:
        assert server._process is not None
        for _ in range(3):
            server._process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        assert server.stop() == 0


def test_events_of_a_clean_stop_are_in_parquet_files() -> None:
    with Served(env={"ACUMEN_FLUSH_SECONDS": "3600"}) as server:
        project = server.project
        server.record(project, "c", {"a": 1})
        assert server.run("files", "--project", project.id, "--collection", "c").stdout == ""
        server.stop()
        (path,) = server.run("files", "--project", project.id, "--collection", "c").stdout.split()
        assert Path(path).is_file()


def test_a_stopping_server_is_unready_and_finishes_what_it_has_begun() -> None:
    """A body that is still on its way when the signal comes is waited for and answered."""
    with Served(env={"ACUMEN_UNREADY_SECONDS": "1.5"}) as server:
        project = server.project
        head = (
            f"POST /3.0/projects/{project.id}/events/c HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: {project.write_key}\r\nContent-Length: 7\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + b'{"a"')
            time.sleep(0.2)
            os.kill(server.pid, signal.SIGTERM)
            deadline = time.monotonic() + 120
            while server.request("GET", "/ready").status != 503:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert server.request("GET", "/health").status == 200
            assert server.request("GET", "/ready").json["error_code"] == "ServiceUnavailableError"
            await_closed(server)
            connection.sendall(b":1}")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 201")
        assert server.stop() == 0
        server.start()
        assert count(server) == 1


def await_closed(server: Served) -> None:
    """Return once it takes no new connections."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            server.request("GET", "/health")
        except (urllib.error.URLError, ConnectionError):
            return
        time.sleep(0.02)
    raise AssertionError("the server still takes connections")


def test_who_does_not_finish_in_time_is_told_so() -> None:
    with Served(env={"ACUMEN_SHUTDOWN_SECONDS": "1"}) as server:
        project = server.project
        head = (
            f"POST /3.0/projects/{project.id}/events/c HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: {project.write_key}\r\nContent-Length: 7\r\n\r\n"
        )
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(head.encode() + b"{")
        time.sleep(0.2)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 30
        assert error_of(connection.recv(65_536)) == (503, "ServiceUnavailableError")
        connection.close()


def test_a_child_that_dies_is_replaced_and_nothing_acknowledged_is_lost() -> None:
    with Served(workers=2) as server:
        sent = 0
        for name in ("worker-1", "keeper", "runner"):
            for _ in range(10):
                server.record(server.project, "c", {"n": sent})
                sent += 1
            old = server.child_pid(name)
            server.kill(name)
            deadline = time.monotonic() + 120
            while server.child_pid(name) == old:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            server.wait_ready()
            server.record(server.project, "c", {"n": sent})
            sent += 1
            assert count(server) == sent
        assert server.stop() == 0


def test_a_worker_told_to_stop_from_outside_drains_and_is_replaced() -> None:
    with Served(workers=2) as server:
        old = server.child_pid("worker-0")
        os.kill(old, signal.SIGTERM)
        deadline = time.monotonic() + 120
        while server.child_pid("worker-0") == old:
            # A connection that has sent nothing yet may be closed with the worker that took it.
            with contextlib.suppress(ConnectionError):
                assert server.request("GET", "/health").status == 200
            assert time.monotonic() < deadline
            time.sleep(0.02)
        server.wait_ready()


def test_children_of_a_killed_server_end_and_another_takes_over() -> None:
    with Served(workers=2) as server:
        server.record(server.project, "c", {"a": 1})
        pids = [server.child_pid(name) for name in server.state()["children"]]
        server.kill()
        server.start()
        assert count(server) == 1
        await_gone(pids)


def await_gone(pids: Sequence[int]) -> None:
    """They have let the folder go as they end, a moment before the system forgets them."""
    deadline = time.monotonic() + 30
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(pid, 0)
                assert time.monotonic() < deadline, f"process {pid} has not ended"
                time.sleep(0.02)


SPAWNING = """
import sys
from service.process import start_child
start_child.FORKS = False
from service.__main__ import main
sys.exit(main())
"""


def test_children_in_interpreters_of_their_own_are_looked_after_as_well() -> None:
    """Where the system has no sound fork, as on macOS."""
    with Served(workers=1, command=[sys.executable, "-P", "-c", SPAWNING]) as server:
        server.record(server.project, "c", {"a": 1})
        old = server.child_pid("worker-0")
        assert b"start_child" in Path(f"/proc/{old}/cmdline").read_bytes() or sys.platform != "linux"
        server.kill("worker-0")
        deadline = time.monotonic() + 120
        while server.child_pid("worker-0") == old:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.wait_ready()
        assert count(server) == 1
        pids = [server.child_pid(name) for name in server.state()["children"]]
        server.kill()
        with Served(data=server.data) as successor:
            assert count(successor) == 1
            await_gone(pids)
            assert successor.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: children are forked there alone")
def test_a_forked_child_has_nothing_of_its_siblings_and_a_name_of_its_own(served: Served) -> None:
    for name, child in served.state()["children"].items():
        folder = Path(f"/proc/{child['pid']}")
        assert (folder / "comm").read_text().strip() == f"acumen-{name}"[:15]
        ours = {one.readlink() for one in Path(f"/proc/{served.pid}/fd").iterdir() if int(one.name) > 2}
        shared = ours & {one.readlink() for one in (folder / "fd").iterdir()}
        assert len([one for one in shared if str(one).startswith("pipe:")]) == 1, "that of its own commands"


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: the system tells which code is in use")
def test_duckdb_is_opened_once_there_are_events_and_not_by_the_first_question() -> None:
    with Served(workers=1) as server:
        before = engine_bytes(server.child_pid("worker-0"))
        server.record(server.project, "c", {"a": 1})
        deadline = time.monotonic() + 60
        while engine_bytes(server.child_pid("worker-0")) < before + (8 << 20):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert before < 8 << 20
        assert server.stop() == 0


def engine_bytes(pid: int) -> int:
    """Bytes of DuckDB's code that a process has in use."""
    found, inside = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if not line.split()[0].endswith(":"):
            inside = "/_duckdb." in line
        elif inside and line.startswith("Rss:"):
            found += int(line.split()[1]) * 1024
    return found


def test_a_taken_port_is_one_sentence_and_status_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with Served() as first:
            first.stop()
            done = first.run("serve", "--port", str(taken.getsockname()[1]), check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "--port" in line


def test_a_port_that_is_taken_at_the_first_start_leaves_the_first_start_to_come(tmp_path: Path) -> None:
    """Keys are printed at the first start only; one that failed was none."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = Served(data=tmp_path / "data")
        assert server.run("serve", "--port", str(taken.getsockname()[1]), check=False).returncode == 1
    with server:
        assert "Write key" in server.output()


def test_a_certificate_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "pem").write_text("no certificate")
    server = Served(data=tmp_path / "data")
    for name in ("pem", "missing"):
        pem = str(tmp_path / name)
        done = server.run("serve", "--tls-cert", pem, "--tls-key", pem, check=False)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "TLS" in line


def test_a_server_whose_children_never_start_gives_up(tmp_path: Path) -> None:
    """In a container, restarting for ever would look like a server."""
    server = Served(data=tmp_path / "data")
    server.run("projects", "create", "p")
    (tmp_path / "data" / "run").mkdir()
    (tmp_path / "data" / "run" / "metrics").mkdir()
    done = server.run("serve", "--port", "0", check=False)
    assert done.returncode == 1
    assert "failed to start" in done.stderr.splitlines()[-1]


def test_a_second_server_on_the_folder_says_so(served: Served) -> None:
    done = served.run("serve", "--port", str(free_port()), check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "Another Acumen server" in line


def test_a_folder_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    with Served(data=tmp_path) as server:
        server.stop()
        (tmp_path / "FORMAT").write_text("999\n")
        done = server.run("serve", check=False)
        assert done.returncode == 1
        assert "newer" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_disk_that_takes_no_state_file_does_not_end_the_server() -> None:
    """Workers that die are started again all the same."""
    with Served() as server:
        state = server.state()
        run = Path(server.data) / "run"
        (run / "server.tmp").mkdir()
        os.kill(state["children"]["keeper"]["pid"], signal.SIGKILL)
        deadline = time.monotonic() + 120
        while "could not be written" not in server.output() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.3)
        server.record(server.project, "c", {"a": 1})
        assert count(server) == 1
        assert server.stop() == 0


def test_the_folder_and_the_catalog_are_their_owners_alone(served: Served) -> None:
    assert stat.S_IMODE(served.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((served.data / "catalog.sqlite").stat().st_mode) == 0o600


def test_keys_are_printed_at_the_first_start_and_never_again() -> None:
    """Not even to a terminal, which may be shared or recorded."""
    with Served() as server:
        project = server.project
        first = server.output()
        for key in (project.master_key, project.write_key, project.read_key):
            assert key in first
        server.restart()
        later = server.output()[len(first) :] + _output_on_a_terminal(server)
        assert later.count("Acumen answers at") == 2
        assert "acumen projects list" in later
        for key in (project.master_key, project.write_key, project.read_key):
            assert key not in later


def test_the_log_tells_start_and_stop_in_a_line_each_and_no_inner_life() -> None:
    """Version, address, folder and what is set; of secrets that they are set. A second start is as quiet."""
    env = {"ACUMEN_SMTP_PASSWORD": "open sesame", "ACUMEN_RATE_QUERIES": "7"}
    with Served(env=env) as server:
        server.record(server.project, "c", {"n": 1})
        server.restart()
        assert server.stop(signal.SIGINT) == 0
        output = server.output()
        lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert [line["message"] for line in lines] == ["Acumen starts.", "Acumen has stopped."] * 2
    start, stop = lines[-2:]
    assert start["version"] == version()
    assert (start["url"], start["workers"]) == (server.url, 1)
    assert start["data"] == str(server.data)
    assert start["settings"]["ACUMEN_RATE_QUERIES"] == "7"
    assert start["settings"]["ACUMEN_SMTP_PASSWORD"] == "(set)"
    assert "ACUMEN_QUERY_SLOTS" not in start["settings"]
    assert "sesame" not in output
    assert stop["signal"] == "SIGINT"
    assert stop["seconds"] >= 0


def _output_on_a_terminal(server: Served) -> str:
    import pty
    import subprocess

    server.stop()
    ours, theirs = pty.openpty()
    command = [*acumen_command(), "serve", "--port", str(server.port), "--data", str(server.data)]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    output = b""
    while b"projects list" not in output:
        output += os.read(ours, 65_536)
    process.send_signal(signal.SIGINT)
    threading.Thread(target=_drain, args=(ours,), daemon=True).start()
    assert process.wait(60) == 0
    return output.decode()


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 65_536):
            pass
    except OSError:
        os.close(descriptor)


def test_the_printed_lines_send_an_event_and_count_it() -> None:
    """What a newcomer copies works as it stands."""
    import subprocess

    with Served() as server:
        said = server.output()
        blocks = [block for block in said.split("\n\n") if block.strip().startswith("curl")]
        for block, answer in zip(blocks, ({"created": True}, {"result": 1}), strict=True):
            done = subprocess.run(["sh", "-c", block], capture_output=True, check=True, timeout=30)
            assert json.loads(done.stdout) == answer


@pytest.fixture(scope="module")
def awake() -> Iterator[Served]:
    """A server with small limits on headers and time."""
    env = {
        "ACUMEN_HEADER_BYTES_MAX": "4096",
        "ACUMEN_HEADER_SECONDS": "1",
        "ACUMEN_BODY_TIMEOUT_SECONDS": "1",
        "ACUMEN_KEEP_ALIVE_SECONDS": "3",
    }
    with Served(env=env) as server:
        yield server


def exchange(server: Served, sent: bytes, *, seconds: float = 120.0) -> bytes:
    """What the server says to these bytes until it closes the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        try:
            connection.sendall(sent)
            while part := connection.recv(65_536):
                received += part
        except ConnectionError:
            pass
    return received


def error_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"access-control-allow-origin: *" in head.lower()
    return int(head.split()[1]), json.loads(body)["error_code"]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 10_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(1_000)) + b"\r\n",
        b"GET / HTTP/1.1\r\nX-Endless: " + b"y" * 100_000,
    ],
)
def test_headers_beyond_the_limit_are_a_431(awake: Served, sent: bytes) -> None:
    assert error_of(exchange(awake, sent)) == (431, "RequestHeadersTooLargeError")


@pytest.mark.parametrize(
    "sent", [b"NONSENSE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n"]
)
def test_what_is_no_http_is_a_400(awake: Served, sent: bytes) -> None:
    assert error_of(exchange(awake, sent)) == (400, "BadRequestError")


def test_headers_that_do_not_come_are_a_408(awake: Served) -> None:
    assert error_of(exchange(awake, b"GET / HTTP/1.1\r\nHost: x\r\n")) == (408, "RequestTimeoutError")


def test_a_connection_that_says_nothing_is_closed(awake: Served) -> None:
    assert exchange(awake, b"") == b""


def test_a_query_whose_body_does_not_come_is_a_408(awake: Served) -> None:
    project = awake.project
    head = (
        f"POST /3.0/projects/{project.id}/queries/count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: {project.read_key}\r\nContent-Length: 100\r\n\r\n{{"
    )
    assert error_of(exchange(awake, head.encode())) == (408, "RequestTimeoutError")


def test_requests_on_one_connection_are_each_answered(awake: Served) -> None:
    one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert exchange(awake, one * 5 + last).count(b'{"status":"ok"}') == 6


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_a_body_that_is_answered_before_its_end_does_not_cost_the_client_the_answer(
    served: Served, connection: str
) -> None:
    """Closing on what is still unread would reset the connection under the answer."""
    project = served.project
    size = 30_000_000
    head = (
        f"POST /3.0/projects/{project.id}/queries/count HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n"
        f"Authorization: {project.read_key}\r\nContent-Length: {size}\r\n\r\n"
    )
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", served.port), timeout=120) as client:
            client.sendall(head.encode() + b" " * size)
            assert error_of(client.recv(65_536)) == (413, "RequestTooLargeError")
