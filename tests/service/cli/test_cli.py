"""The ``acumen`` command: help for newcomers, projects, files, check."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from service import __main__ as cli
from tests.support.command import run_acumen
from tests.support.server import Served


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_acumen(arguments, os.environ)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("serve", "projects", "import", "files", "check", "repair")),
        (("serve",), ("--host", "--port", "--data", "--workers", "8000", "ACUMEN_PORT")),
        (("projects",), ("create", "list")),
        (
            ("projects", "create"),
            ("NAME", "--id", "--master-key-file", "--write-key-file", "--read-key-file", "--data"),
        ),
        (("projects", "list"), ("--data",)),
        (("import",), ("file", "--project", "--collection", "--url", "--write-key-file", "--data")),
        (("files",), ("--project", "--collection", "--data", "--sql", "--polars", "--pandas", "--spark")),
        (("check",), ("--data", "Exit status", "--accept-losses")),
        (("repair",), ("--data", "quarantine")),
    ],
)
def test_every_command_explains_itself(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = run(*arguments, "--help")
    assert done.returncode == 0
    for word in words:
        assert word in done.stdout


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--port", "http", ("acumen: --port: ",)),
        ("--workers", "0", ("acumen: --workers: ",)),
        ("--log-level", "loud", ("acumen: --log-level: ",)),
        ("--public-url", "shop", ("acumen: --public-url: ",)),
        ("--host", "203.0.113.1", ("'203.0.113.1'", "--host", "ACUMEN_HOST")),
        ("--host", "no.such.host.invalid", ("'no.such.host.invalid'", "--host")),
    ],
)
def test_a_bad_option_is_named_in_one_sentence(
    tmp_path: Path, option: str, value: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["serve", option, value, "--data", str(tmp_path / "data")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for word in words:
        assert word in said
    assert (option == "--port") == ("--port" in said)


def test_a_bad_variable_is_named_as_it_was_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACUMEN_PORT", "http")
    assert cli.main(["serve"]) == 1
    assert capsys.readouterr().err.startswith("acumen: ACUMEN_PORT: ")


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"acumen \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


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
    key = tmp_path / "write.key"
    key.write_text("w" * 20 + "\n")
    done = server.run("projects", "create", "Shop", "--id", "shop1", "--write-key-file", str(key))
    made = json.loads(done.stdout)
    assert set(made) == {
        "id",
        "name",
        "master_key",
        "write_key",
        "read_key",
        "preferences",
        "organization_id",
        "organization_key",
    }
    assert (made["id"], made["name"], made["write_key"]) == ("shop1", "Shop", "w" * 20)
    assert all(made[key].isalnum() for key in ("id", "master_key", "write_key", "read_key"))
    assert json.loads(server.run("projects", "list").stdout) == [made]


@pytest.mark.parametrize(
    "options",
    [("--id", "a/b"), ("--id", ""), ("--master-key-file", "short"), ("--read-key-file", "with-dashes-in-it")],
)
def test_ids_and_keys_that_clients_would_refuse_are_refused(tmp_path: Path, options: tuple[str, str]) -> None:
    name, value = options
    if name != "--id":
        (tmp_path / "key").write_text(value)
    given = value if name == "--id" else str(tmp_path / "key")
    done = Served(data=tmp_path / "data").told("projects", "create", "Shop", name, given)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert options[1] == "" or options[1] not in done.stderr or options[0] == "--id"


KEY = "k" * 24


@pytest.mark.parametrize(
    ("arguments", "instead"),
    [
        (("projects", "create", "Shop", "--master-key", KEY), "--master-key-file"),
        (("projects", "create", "Shop", "--write-key", KEY), "--write-key-file"),
        (("projects", "create", "Shop", f"--read-key={KEY}"), "--read-key-file"),
        (("projects", "rekey", "shop1", "--master-key", KEY), "--master-key-file"),
        (("projects", "rekey", "shop1", "--write-key", KEY), "--write-key-file"),
        *(
            (("keys", action, KEY, "--project", "shop1"), "--key-file")
            for action in ("show", "update", "revoke", "unrevoke", "delete")
        ),
    ],
)
def test_a_key_among_the_words_of_a_command_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], instead: str
) -> None:
    """All users of the machine can read them; the answer names the way, and not the key."""
    server = Served(data=tmp_path / "data")
    assert server.told("projects", "create", "Shop", "--id", "shop1").returncode == 0
    before = server.told("projects", "list").stdout
    done = server.told(*arguments)
    assert done.returncode == 1
    assert instead in done.stderr
    assert KEY not in done.stderr
    assert server.told("projects", "list").stdout == before


def test_keys_come_from_files_from_standard_input_and_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Served(data=tmp_path / "data")
    assert server.told("projects", "create", "Shop", "--id", "shop1").returncode == 0
    (tmp_path / "key").write_text(f"  {KEY}\n")
    rekey = ("projects", "rekey", "shop1", "--read-key-file")
    assert json.loads(server.told(*rekey, str(tmp_path / "key")).stdout)["read_key"] == KEY
    monkeypatch.setattr(sys, "stdin", io.StringIO("j" * 24))
    assert json.loads(server.told(*rekey, "-").stdout)["read_key"] == "j" * 24
    for bad in (tmp_path / "missing", tmp_path / "two"):
        (tmp_path / "two").write_text(f"{KEY} {KEY}")
        assert "--read-key-file" in server.told(*rekey, str(bad)).stderr

    create = ("keys", "create", "k", "--permit", "queries", "--project", "shop1")
    made = json.loads(server.told(*create).stdout)["key"]
    assert server.told("keys", "revoke", "--project", "shop1").returncode == 1
    (tmp_path / "key").write_text(made)
    revoked = server.told("keys", "revoke", "--project", "shop1", "--key-file", str(tmp_path / "key"))
    assert json.loads(revoked.stdout)["is_active"] is False
    monkeypatch.setenv("ACUMEN_ACCESS_KEY", made)
    server = Served(data=tmp_path / "data")
    assert json.loads(server.told("keys", "unrevoke", "--project", "shop1").stdout)["is_active"] is True


def test_a_taken_id_is_refused(tmp_path: Path) -> None:
    server = Served(data=tmp_path / "data")
    assert server.told("projects", "create", "Shop", "--id", "shop1").returncode == 0
    assert server.told("projects", "create", "Shop", "--id", "shop1").returncode == 1


def test_a_running_server_picks_up_a_new_project(served: Served) -> None:
    made = json.loads(served.run("projects", "create", "Late").stdout)
    import time

    deadline = time.monotonic() + 120
    while served.request("GET", f"/3.0/projects/{made['id']}", key=made["read_key"]).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_files_lists_what_other_tools_may_read() -> None:
    with Served(env={"ACUMEN_FLUSH_SECONDS": "0.2"}) as server:
        import time

        import pyarrow.parquet as pq

        project = server.project
        server.record(project, "a/b", {"n": 1}, {"n": 2})
        deadline = time.monotonic() + 120
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
        assert server.run("check").stdout.endswith("No faults.\n")
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), ("serve", "doctor")), (("projects",), ("create", "rekey")), (("keys",), ("revoke", "unrevoke"))],
)
def test_without_a_command_the_help_is_printed(
    arguments: tuple[str, ...], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("usage: acumen")
    for word in words:
        assert f"    {word} " in said


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("sevre",), "serve"),
        (("project", "list"), "projects"),
        (("projects", "lst"), "list"),
        (("orgs", "re-key", "o1"), "rekey"),
        (("keys", "revok", "--project", "p"), "revoke"),
        (("keys", "create", "k", "--project", "p", "--permit", "query"), "queries"),
    ],
)
def test_the_nearest_word_is_named_for_a_misspelt_one(
    arguments: tuple[str, ...], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert f"Did you mean '{meant}'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("backup", "{file}/x"), ("{file}/x cannot be made (", "choose a folder")),
        (
            ("keys", "revoke", "--project", "shop1", "--key-file", "{file}/x"),
            ("--key-file: {file}/x cannot be read: Not a directory.",),
        ),
        (("keys", "create", "k", "--project", "shop1"), ("--permit", "writes, queries")),
        (
            ("keys", "create", "k", "--project", "shop1", "--permit", "queries", "--options", "{bad"),
            ("--options is not JSON", "You specified: {bad.", '--options \'{"queries": '),
        ),
        (
            ("projects", "update", "shop1", "--preferences", "{bad"),
            ("--preferences is not JSON", "You specified: {bad.", "--preferences '{\""),
        ),
        (
            ("projects", "update", "shop1", "--set", "week_start=monday"),
            ("not JSON: monday.", "--set 'week_start=\"monday\"'"),
        ),
        (("projects", "update", "shop1", "--set", "scoped_keys=yes"), ("--set scoped_keys=true",)),
    ],
)
def test_what_cannot_be_done_is_one_sentence_with_what_would_help(
    tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    server = Served(data=tmp_path / "data")
    assert server.told("projects", "create", "Shop", "--id", "shop1").returncode == 0
    (tmp_path / "file").touch()
    file = str(tmp_path / "file")
    done = server.told(*(word.replace("{file}", file) for word in arguments))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "Errno" not in done.stderr
    for word in words:
        assert word.replace("{file}", file) in done.stderr
    assert json.loads(server.told("keys", "list", "--project", "shop1").stdout) == []


def test_the_quoting_that_an_error_shows_works(tmp_path: Path) -> None:
    server = Served(data=tmp_path / "data")
    assert server.told("projects", "create", "Shop", "--id", "shop1").returncode == 0
    update = ("projects", "update", "shop1", "--set")
    shown = server.told(*update, "week_start=monday").stderr.partition("--set ")[2].rstrip(".\n")
    (word,) = shlex.split(shown)
    assert json.loads(server.told(*update, word).stdout)["preferences"] == {"week_start": "monday"}
