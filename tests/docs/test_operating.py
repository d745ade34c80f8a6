"""Backups as docs/operating.md says them: of a server that goes on taking events, and back again."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from service.__main__ import main
from service.people.password_mail import make_password_link
from storage.catalog.catalog import Catalog, system_clock
from tests.service.people.browsers import invited, person
from tests.service.whole import Whole
from tests.support.server import Served, ServedProject

OPERATING = Path(__file__).resolve().parents[2] / "docs/operating.md"
OFTEN = {"ACUMEN_FLUSH_SECONDS": "0.2", "ACUMEN_FLUSH_EVENTS": "200", "ACUMEN_GRACE_SECONDS": "20"}


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    """A server that flushes often; each test has a project of its own in it."""
    with Served(env=OFTEN) as server:
        yield server


def acumen(*arguments: str | Path, status: int = 0) -> str:
    """What a command prints, run in this process; it must end with the status."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        try:
            found = main([*map(str, arguments)])
        except SystemExit as ended:
            found = int(ended.code or 0)
    assert found == status, said.getvalue()
    return said.getvalue()


def numbers(data: Path, project: ServedProject) -> list[int]:
    """The values of ``n`` in the collection ``c``, as a server that starts on the folder answers."""
    whole = Whole(data)
    try:
        whole.flush()
        asked = {"event_collection": "c", "target_property": "n"}
        path = f"/3.0/projects/{project.id}/queries/select_unique?{urlencode(asked)}"
        found: list[int] = whole.get(path, key=project.read_key).json()["result"]
        count = f"/3.0/projects/{project.id}/queries/count?event_collection=c"
        assert whole.get(count, key=project.read_key).json()["result"] == len(found)
        return found
    finally:
        whole.close()


def record_until(stop: threading.Event, server: Served, project: ServedProject) -> None:
    """Post small batches, so that flushes and compactions go on during the copy."""
    number = 1_000
    while not stop.is_set():
        server.record(project, "c", *({"n": number + offset} for offset in range(20)))
        number += 20


def wait_flushed(server: Served, project: ServedProject, events: int) -> None:
    """Until so many events of the collection ``c`` are in Parquet files."""
    catalog = Catalog.open(server.data)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            files = catalog.files.live(catalog.collections.get(project.id, "c").id)
            if sum(file.rows for file in files) == events:
                return
            time.sleep(0.05)
        raise AssertionError("the events were not flushed")
    finally:
        catalog.close()


def wait_for_files(folder: Path, *patterns: str) -> None:
    deadline = time.monotonic() + 120
    while not all(any(folder.glob(pattern)) for pattern in patterns):
        assert time.monotonic() < deadline, f"no files are like {patterns}"
        time.sleep(0.05)


def delete(server: Served, project: ServedProject, name: str, operator: str, value: object) -> None:
    filters = json.dumps([{"property_name": name, "operator": operator, "property_value": value}])
    path = f"/3.0/projects/{project.id}/events/c?filters={quote(filters)}"
    answer = server.request("DELETE", path, key=project.master_key)
    assert answer.status == 204, answer.body


def test_the_commands_of_the_documentation_are_there() -> None:
    text = OPERATING.read_text()
    assert re.search(r"^acumen backup backups/\S+$", text, re.MULTILINE)
    assert re.search(r"^\$ acumen restore backups/\S+ --secret-file secret\.key$", text, re.MULTILINE)
    for option in ("--previous", "--accept-damage", "--replace", "--secret-file"):
        assert option in text
        assert option in acumen("backup", "--help") + acumen("restore", "--help")


def test_a_backup_of_a_running_server_holds_all_that_was_acknowledged_before(
    tmp_path: Path, running: Served
) -> None:
    data, backup, project = running.data, tmp_path / "backup", running.new_project()
    running.record(project, "c", *({"n": n} for n in range(1_000)))
    stop = threading.Event()
    poster = threading.Thread(target=record_until, args=(stop, running, project))
    poster.start()
    try:
        said = acumen("backup", backup, "--data", data)
    finally:
        stop.set()
        poster.join()
    assert "was found intact" in said
    assert not (backup / "secret.key").exists()

    restored_to = tmp_path / "restored"
    acumen("restore", backup, "--data", restored_to, "--secret-file", data / "secret.key")
    assert "No faults" in acumen("check", "--data", restored_to)
    assert numbers(restored_to, project)[:1_000] == list(range(1_000))


def test_what_was_erased_is_not_in_a_backup_made_after(tmp_path: Path, running: Served) -> None:
    """Not even its bytes, which superseded files and segments still hold."""
    data, backup, project = running.data, tmp_path / "backup", running.new_project()
    running.record(project, "c", *({"n": n, "who": "Rumpelstiltskin"} for n in range(300)), {"n": 300})
    wait_flushed(running, project, 301)
    delete(running, project, "who", "eq", "Rumpelstiltskin")
    assert running.ask(project, "count", event_collection="c") == 1
    running.record(project, "c", {"n": 301})
    acumen("backup", backup, "--data", data)
    held = [path for path in backup.rglob("*") if path.is_file() and b"Rumpelstiltskin" in path.read_bytes()]
    assert held == []
    acumen("restore", backup, "--data", tmp_path / "new", "--secret-file", data / "secret.key")
    assert numbers(tmp_path / "new", project) == [300, 301]


def test_a_restore_over_a_folder_says_which_deletions_it_undoes(tmp_path: Path) -> None:
    data, first, second = tmp_path / "data", tmp_path / "first", tmp_path / "second"
    with Served(env=OFTEN, data=data) as server:
        project = server.project
        server.record(project, "c", *({"n": n} for n in range(300)))
        wait_flushed(server, project, 300)
        acumen("backup", first, "--data", data)
        server.record(project, "c", {"n": 300})
        acumen("backup", second, "--data", data, "--previous", first)
        for within in (data / "backup", data / "files" / "of" / "today"):
            assert "another place" in acumen("backup", within, "--data", data, status=1)
            assert not within.exists()
        unknown: list[str | Path] = ["--collection", "c", "--data", data]
        assert "no project abc" in acumen("files", "--project", "abc", *unknown, status=1)
        delete(server, project, "n", "lt", 10)
        assert "not empty" in acumen("restore", second, "--data", data, status=1)
        assert "Another Acumen server" in acumen("restore", second, "--data", data, "--replace", status=1)
    shared = {path.stat().st_ino for path in first.rglob("*.parquet")}
    assert shared & {path.stat().st_ino for path in second.rglob("*.parquet")}, "files are linked"
    said = acumen("restore", second, "--data", data, "--replace")
    assert "1 deletions or changes were made after this backup" in said
    assert len(numbers(data, project)) == 301


def test_a_restored_backup_lets_nobody_in_who_was_in_before(tmp_path: Path) -> None:
    data, backup, restored = tmp_path / "data", tmp_path / "backup", tmp_path / "restored"
    whole = Whole(data)
    ann = person(whole, "ann", owner=True)
    invitation = invited(whole, is_owner=True)
    reset = make_password_link(whole.catalog, whole.catalog.people.all()[0], system_clock())
    acumen("backup", backup, "--data", data)
    whole.close()
    acumen("restore", backup, "--data", restored, "--secret-file", data / "secret.key")
    whole = Whole(restored)
    ann.whole = whole
    assert ann.send("GET", "/account").status_code == 401
    assert ann.send("POST", "/account/join/check", {"token": invitation}).status_code == 410
    given = {"token": reset, "new": "another good password"}
    assert ann.send("POST", "/account/password/reset", given).status_code == 410
    assert ann.log_in("ann@example.com").status_code == 201, "the person and the password are there"
    whole.close()


def test_a_backup_whose_source_or_copy_is_damaged_is_none(tmp_path: Path) -> None:
    data = tmp_path / "data"
    whole = Whole(data)
    whole.record(whole.project, "c", ({"n": n} for n in range(300)))
    whole.flush()
    whole.close()
    acumen("backup", tmp_path / "sound", "--data", data)
    unfinished = tmp_path / "unfinished"
    acumen("backup", unfinished, "--data", data)
    (unfinished / "BACKUP.json").unlink()
    assert "not a finished backup" in acumen("restore", unfinished, "--data", tmp_path / "x", status=1)
    for folder in (tmp_path / "sound", data):
        path = next(folder.rglob("*.parquet"))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert "is damaged" in acumen("restore", tmp_path / "sound", "--data", tmp_path / "x", status=1)
    assert not (tmp_path / "x").exists()
    assert "FAULT" in acumen("backup", tmp_path / "bad", "--data", data, status=1)
    assert not (tmp_path / "bad" / "BACKUP.json").exists()
    acumen("backup", tmp_path / "taken", "--data", data, "--accept-damage")


def test_kept_results_are_made_anew_after_a_restore(tmp_path: Path) -> None:
    data, backup, new = tmp_path / "data", tmp_path / "backup", tmp_path / "new"
    question = {
        "analysis_type": "count",
        "event_collection": "c",
        "timeframe": "this_2_days",
        "interval": "daily",
    }
    dataset = {"display_name": "d", "query": question, "index_by": "who"}
    with Served(env=OFTEN, data=data) as server:
        project = server.project
        server.record(project, "c", {"who": "ann"}, {"who": "bob"})
        base = f"/3.0/projects/{project.id}"
        for path, body in (
            ("/datasets/d", dataset),
            ("/queries/saved/q", {"query": question, "refresh_rate": 14_400}),
        ):
            assert server.request("PUT", base + path, body, key=project.master_key).status == 201
        wait_for_files(data, "datasets/*/*.results", "results/*.json")
        acumen("backup", backup, "--data", data)
    acumen("restore", backup, "--data", new, "--secret-file", data / "secret.key")
    assert "No faults" in acumen("check", "--data", new)
    with Served(data=new) as restored:
        reply = restored.request("GET", f"{base}/datasets/d/results?index_by=ann", key=project.read_key)
        assert sum(row["value"] for row in reply.json["result"]) == 1
        reply = restored.request("GET", f"{base}/queries/saved/q/result", key=project.master_key)
        assert sum(row["value"] for row in reply.json["result"]) == 2


@pytest.mark.parametrize("arguments", [("backup", "DATA"), ("restore", "EMPTY")])
def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path: Path, arguments: tuple[str, str]) -> None:
    data, empty = tmp_path / "data", tmp_path / "empty"
    empty.mkdir()
    acumen("projects", "create", "p", "--data", data)
    folder = data if arguments[1] == "DATA" else empty
    said = acumen(arguments[0], folder, "--data", data, status=1)
    assert said.startswith("acumen: ")
    assert "Traceback" not in said
