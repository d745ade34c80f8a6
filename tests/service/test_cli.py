"""The ``acumen`` command: help for newcomers, projects, files, check."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service import __main__ as cli
from tests.support.server import Served, acumen_command


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*acumen_command(), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("serve", "projects", "import", "files", "check", "repair")),
        (("serve",), ("--host", "--port", "--data", "--workers", "8000", "ACUMEN_PORT")),
        (("projects",), ("create", "list")),
        (("projects", "create"), ("NAME", "--id", "--master-key", "--write-key", "--read-key", "--data")),
        (("projects", "list"), ("--data",)),
        (("import",), ("file", "--project", "--collection", "--url", "--write-key-file", "--data")),
        (("files",), ("--project", "--collection", "--data")),
        (("check",), ("--data", "Exit status", "--accept-losses")),
        (("repair",), ("--data", "quarantine")),
    ],
)
def test_every_command_explains_itself(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = run(*arguments, "--help")
    assert done.returncode == 0
    for word in words:
        assert word in done.stdout


def test_a_bad_option_is_told_in_one_sentence() -> None:
    done = run("serve", "--port", "http")
    assert done.returncode == 1
    assert re.fullmatch(r"acumen: ACUMEN_PORT: .+\n", done.stderr)


def test_native_windows_is_told_where_to_go(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert cli.main(["serve"]) == 1
    said = capsys.readouterr().err
    assert "WSL2" in said
    assert "Docker" in said


def test_a_project_can_be_made_before_the_first_start(tmp_path: Path) -> None:
    server = Served(data=tmp_path / "data")
    done = server.run("projects", "create", "Shop", "--id", "shop1", "--write-key", "w" * 20)
    made = json.loads(done.stdout)
    assert set(made) == {
        "id",
        "name",
        "master_key",
        "write_key",
        "read_key",
        "organization_id",
        "organization_key",
    }
    assert (made["id"], made["name"], made["write_key"]) == ("shop1", "Shop", "w" * 20)
    assert all(made[key].isalnum() for key in ("id", "master_key", "write_key", "read_key"))
    assert json.loads(server.run("projects", "list").stdout) == [made]


@pytest.mark.parametrize(
    "options", [("--id", "a/b"), ("--id", ""), ("--master-key", "short"), ("--read-key", "with-dashes-in-it")]
)
def test_ids_and_keys_that_clients_would_refuse_are_refused(tmp_path: Path, options: tuple[str, str]) -> None:
    done = Served(data=tmp_path / "data").told("projects", "create", "Shop", *options)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert options[1] == "" or options[1] not in done.stderr or options[0] == "--id"


def test_a_taken_id_is_refused(tmp_path: Path) -> None:
    server = Served(data=tmp_path / "data")
    assert server.told("projects", "create", "Shop", "--id", "shop1").returncode == 0
    assert server.told("projects", "create", "Shop", "--id", "shop1").returncode == 1


def test_a_running_server_picks_up_a_new_project_within_a_second(served: Served) -> None:
    made = json.loads(served.run("projects", "create", "Late").stdout)
    import time

    deadline = time.monotonic() + 1.0
    while served.request("GET", f"/3.0/projects/{made['id']}", key=made["read_key"]).status != 200:
        assert time.monotonic() < deadline


def test_files_lists_what_other_tools_may_read() -> None:
    with Served(env={"ACUMEN_FLUSH_SECONDS": "0.2"}) as server:
        import time

        import pyarrow.parquet as pq

        project = server.project
        server.record(project, "a/b", {"n": 1}, {"n": 2})
        deadline = time.monotonic() + 30
        command = ("files", "--project", project.id, "--collection", "a/b")
        while not (paths := server.told(*command).stdout.split("\n")[:-1]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert sum(pq.read_table(path, partitioning=None).num_rows for path in paths) == 2
        assert server.told("files", "--project", project.id, "--collection", "nope").returncode == 1


def test_check_passes_on_a_live_server_and_fails_on_a_damaged_file() -> None:
    with Served() as server:
        project = server.project
        server.record(project, "c", *({"n": number} for number in range(100)))
        assert server.run("check").stdout.endswith("All is well.\n")
        server.stop()
        (path,) = server.told("files", "--project", project.id, "--collection", "c").stdout.split()
        content = bytearray(Path(path).read_bytes())
        content[len(content) // 2] ^= 1
        Path(path).write_bytes(content)
        done = server.told("check")
        assert done.returncode == 1
        assert path.rsplit("/", 1)[1] in done.stdout


@pytest.mark.parametrize(
    "command",
    [("projects", "list"), ("check",), ("repair",), ("files", "--project", "p", "--collection", "c")],
)
def test_a_folder_without_data_is_one_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = Served(data=tmp_path / "nothing").run(*command, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "nothing").exists()
