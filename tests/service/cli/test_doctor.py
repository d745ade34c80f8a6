"""``acumen doctor``: names what is wrong, says what would help, and changes nothing."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.__main__ import main
from storage.catalog.catalog import Catalog
from storage.paths import DataFolder
from storage.recovery import damage_marker
from tests.sdk.certificate import make_certificate
from tests.support.catalogs import migrated
from tests.support.server import Served, free_port


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A sound data folder on which no server runs."""
    folder = tmp_path / "data"
    catalog = Catalog.prepare(migrated(folder))
    catalog.projects.ensure_first()
    catalog.close()
    return folder


@pytest.fixture
def doctor(data: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def run(*arguments: str) -> tuple[int, str]:
        status = main(["doctor", "--data", str(data), "--port", str(free_port()), *arguments])
        return status, capsys.readouterr().out

    return run


def faults(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("FAULT")]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but those of SQLite that come and go with its readers."""
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_a_sound_folder_has_no_fault_and_stays_as_it_is(
    data: Path, doctor: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACUMEN_QUERY_SLOTS", "8")
    monkeypatch.setenv("ACUMEN_SMTP_PASSWORD", "open sesame")
    before = contents(data)
    status, said = doctor()
    assert (status, faults(said)) == (0, [])
    assert "set    ACUMEN_QUERY_SLOTS=8 (environment)" in said
    assert f"ACUMEN_DATA={data} (--data)" in said
    assert "sesame" not in said
    assert contents(data) == before


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none"
    assert main(["doctor", "--data", str(missing), "--port", str(free_port())]) == 0
    assert "the first start creates it" in capsys.readouterr().out
    assert not missing.exists()


def open_to_all(data: Path, _: pytest.MonkeyPatch) -> None:
    data.chmod(0o755)


def open_secret(data: Path, _: pytest.MonkeyPatch) -> None:
    (data / "secret.key").chmod(0o644)


def little_room(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("ACUMEN_MIN_FREE_BYTES", str(1 << 62))


def much_memory(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("ACUMEN_MEMORY_BYTES", str(1 << 50))


def misspelt(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("ACUMEN_QUERY_SLOT", "8")


def damaged_log(data: Path, _: pytest.MonkeyPatch) -> None:
    catalog = Catalog.open(data)
    number = catalog.logs.create()
    catalog.close()
    DataFolder.at(data).log(number).mkdir()
    damage_marker.note(DataFolder.at(data), number, "a bit is wrong")


def ahead(data: Path, _: pytest.MonkeyPatch) -> None:
    later = time.time() + 86_400
    os.utime(data / "catalog.sqlite", (later, later))


def lost_database(data: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("ACUMEN_GEOIP_DATABASE", str(data / "none.mmdb"))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (open_to_all, ("data folder", "chmod 700")),
        (open_secret, ("secret", "chmod 600")),
        (little_room, ("disk", "ACUMEN_MIN_FREE_BYTES")),
        (much_memory, ("memory", "ACUMEN_MEMORY_BYTES")),
        (misspelt, ("ACUMEN_QUERY_SLOT:", "Did you mean ACUMEN_QUERY_SLOTS?")),
        (damaged_log, ("damaged", "acumen repair")),
        (ahead, ("clock",)),
        (lost_database, ("ACUMEN_GEOIP_DATABASE", "none.mmdb")),
    ],
)
def test_each_fault_is_named_with_what_would_help(
    data: Path,
    doctor: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
    words: tuple[str, ...],
) -> None:
    spoil(data, monkeypatch)
    status, said = doctor()
    assert status == 1
    (fault,) = faults(said)
    for word in words:
        assert word in fault


def test_a_port_that_another_program_has_is_a_fault(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert main(["doctor", "--data", str(data), "--port", port]) == 1
    (fault,) = faults(capsys.readouterr().out)
    assert f"127.0.0.1:{port}" in fault
    assert "--port" in fault


@pytest.mark.parametrize(("days", "level"), [(-1, "FAULT"), (3, "FAULT"), (300, "ok   ")])
def test_a_certificate_that_ended_or_soon_ends_is_a_fault(
    doctor: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    days: int,
    level: str,
) -> None:
    end = datetime.now(UTC) + timedelta(days=days, hours=1)
    made = make_certificate(tmp_path, end)
    monkeypatch.setenv("ACUMEN_TLS_CERT", str(made.certificate))
    monkeypatch.setenv("ACUMEN_TLS_KEY", str(made.key))
    _, said = doctor()
    assert [line for line in said.splitlines() if line.startswith(level) and f"{end:%Y-%m-%d}" in line]


def test_the_age_of_the_newest_backup_is_told(doctor: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    backups.mkdir()
    assert "holds none" in faults(doctor("--backups", str(backups))[1])[0]
    for name, days in (("old", 30), ("older", 60)):
        (backups / name).mkdir()
        taken = int((time.time() - days * 86_400) * 1e6)
        (backups / name / "BACKUP.json").write_text(json.dumps({"taken_us": taken}))
    assert "30.0 days" in faults(doctor("--backups", str(backups))[1])[0]
    (backups / "new").mkdir()
    (backups / "new" / "BACKUP.json").write_text(json.dumps({"taken_us": int(time.time() * 1e6)}))
    assert doctor("--backups", str(backups))[0] == 0


def test_a_running_server_is_asked_whether_it_is_ready(served: Served) -> None:
    said = served.told("doctor").stdout
    assert f"ok     server {served.url} (process {served.pid}): is ready." in said


def test_keys_that_were_sealed_with_another_secret_are_a_fault_as_they_stop_the_start(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a restore without the secret: 'serve' ends, and doctor gives the same advice."""
    backup, restored = tmp_path / "backup", tmp_path / "restored"
    assert main(["backup", str(backup), "--data", str(data)]) == 0
    assert main(["restore", str(backup), "--data", str(restored)]) == 0
    capsys.readouterr()
    port = str(free_port())
    assert main(["serve", "--data", str(restored), "--port", port]) == 1
    advice = capsys.readouterr().err.removeprefix("acumen: ").strip()
    for secret in (None, "another secret, which is long enough"):
        if secret is not None:
            monkeypatch.setenv("ACUMEN_SECRET_KEY", secret)
        assert main(["doctor", "--data", str(restored), "--port", port]) == 1
        (fault,) = faults(capsys.readouterr().out)
        assert advice in fault
        assert "projects rekey" in fault
    monkeypatch.setenv("ACUMEN_SECRET_KEY", (data / "secret.key").read_text().strip())
    assert main(["doctor", "--data", str(restored), "--port", port]) == 0
    assert not (restored / "secret.key").exists()


def test_a_backup_is_no_data_folder(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = tmp_path / "backup"
    assert main(["backup", str(backup), "--data", str(data)]) == 0
    monkeypatch.setenv("ACUMEN_SECRET_KEY", (data / "secret.key").read_text().strip())
    capsys.readouterr()
    assert main(["doctor", "--data", str(backup), "--port", str(free_port())]) == 1
    (fault,) = faults(capsys.readouterr().out)
    assert "BACKUP.json" in fault
    assert f"acumen restore {backup} --data NEW" in fault
