"""Settings: from the environment, checked, documented."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from query.limits import Limits
from service.__main__ import main
from service.bodies.reader import BodyLimits
from service.http.connections import ConnectionLimits
from service.http.write_api import WriteLimits
from service.ingest.admission import AdmissionLimits
from service.ingest.log_session import LogLimits, admission_limits, log_limits
from service.process.keeper import keeper_settings
from service.process.worker import body_limits, connection_limits, write_limits
from service.settings import MIB, PREFIX, BadSettings, Settings, as_environment, as_table, load
from storage.keeper.keeper import KeeperSettings

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_document_holds_the_table_of_the_class() -> None:
    assert as_table() in DOCUMENT.read_text(encoding="utf-8"), "run: python -m service.settings"


def test_every_setting_says_what_it_does_in_one_line() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert "\n" not in field.description, name


def test_the_environment_is_read_and_an_option_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACUMEN_PORT", "9000")
    monkeypatch.setenv("ACUMEN_WORKERS", "3")
    settings = load(port="9001", workers=None)
    assert (settings.port, settings.workers) == (9001, 3)


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACUMEN_PORT", "")
    assert load().port == 8000


def test_a_child_process_reads_equal_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load(trusted_proxies="10.0.0.0/8, ::1", data=tmp_path, workers=2, flush_seconds=0.5)
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load() == settings


def test_what_is_built_from_settings_has_the_same_defaults() -> None:
    """A limit that is given to a part of the server and one that it has by itself cannot drift apart."""
    settings = load()
    assert settings.query_limits == Limits()
    assert keeper_settings(settings) == KeeperSettings()
    assert admission_limits(settings) == AdmissionLimits()
    assert log_limits(settings) == LogLimits()
    assert write_limits(settings) == WriteLimits()
    assert body_limits(settings) == BodyLimits()
    given, own = connection_limits(settings), ConnectionLimits()
    assert replace(given, is_shared=own.is_shared, connections_max=own.connections_max) == own
    assert settings.connections_max == own.connections_max


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("ACUMEN_ACCES_LOG", "ACUMEN_ACCESS_LOG"),
        ("ACUMEN_RATE_QUERY", "ACUMEN_RATE_QUERIES"),
        ("ACUMEN_DATA_DIR", "ACUMEN_DATA"),
        ("ACUMEN_LOGLEVEL", "ACUMEN_LOG_LEVEL"),
        ("acumen_worker", "ACUMEN_WORKERS"),
        ("ACUMEN_COLOUR_SCHEME", "docs/settings.md"),
    ],
)
@pytest.mark.parametrize("value", ["5", ""])
def test_a_misspelt_variable_is_refused_and_the_nearest_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, meant: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(BadSettings) as raised:
        load()
    assert str(raised.value).startswith(f"{variable}: there is no such setting.")
    assert meant in str(raised.value)


@pytest.mark.parametrize(
    "variable",
    [
        "ACUMEN_URL",
        "ACUMEN_TEST_SCALE",
        "ACUMEN_WRITE_KEY",
        "acumen_log_level",
        "ACUMEN_SERVICE_HOST",
        "ACUMEN_SERVICE_PORT_HTTP",
        "ACUMEN_PORT_8000_TCP",
        "ACUMEN_PORT_8000_TCP_ADDR",
        "MY_ACUMEN_THING",
    ],
)
def test_variables_of_others_are_none_of_its_business(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "debug")
    load()


def test_every_variable_of_clients_and_documentation_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A shell that has them set for a client starts a server as well."""
    root = DOCUMENT.parents[1]
    sources = [
        root / "README.md",
        root / "CONTRIBUTING.md",
        *(root / "docs").rglob("*.md"),
        *(root / "clients/python").rglob("*.py"),
        *(one for one in (root / "examples").rglob("*") if one.suffix in (".py", ".md", ".mjs", ".ipynb")),
    ]
    named = set()
    for source in sources:
        named |= set(
            re.findall(r"\bACUMEN_[A-Z][A-Z0-9_]*[A-Z0-9]\b(?!_)", source.read_text(encoding="utf-8"))
        )
    assert {"ACUMEN_URL", "ACUMEN_ORGANIZATION_KEY", "ACUMEN_PORT"} <= named
    monkeypatch.setattr(os, "environ", {**os.environ, **dict.fromkeys(named, "")})
    load()


@pytest.mark.parametrize("command", [["serve"], ["check"], ["projects", "list"]])
def test_every_command_stops_at_a_misspelt_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    monkeypatch.setenv("ACUMEN_ACCES_LOG", "true")
    monkeypatch.setenv("ACUMEN_DATA", str(tmp_path / "data"))
    assert main(command) != 0
    assert "Did you mean ACUMEN_ACCESS_LOG?" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "http"),
        ("port", "70000"),
        ("workers", "0"),
        ("trusted_proxies", "example.com"),
        ("log_level", "loud"),
        ("public_url", "example.com"),
        ("flush_seconds", "0"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=f"{PREFIX}{name.upper()}: .+"):
        load(**{name: value})


def test_half_of_a_tls_pair_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="tls_cert and tls_key"):
        load(tls_cert=tmp_path / "cert.pem")


def test_memory_and_threads_are_divided_by_the_workers_and_the_runner() -> None:
    settings = load(memory_bytes=1024 * MIB, threads=8, workers=3, spill_bytes_max=400)
    assert settings.worker_memory_bytes == 256 * MIB
    assert settings.worker_threads == 2
    assert settings.worker_spill_bytes == 100


def test_the_defaults_are_the_limits_of_the_query_compiler() -> None:
    assert load().query_limits == Limits()
