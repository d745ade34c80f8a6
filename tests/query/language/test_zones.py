"""Time zones are those of the tzdata package alone, never files of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from query.errors import InvalidQuery
from query.language import zones
from query.language.timeframe import parse_timezone

OF_THE_MACHINE = [
    "localtime",
    "LocalTime",
    '"localtime"',
    "Factory",
    "factory",
    "posixrules",
    "right/UTC",
    "right/Europe/Berlin",
    "posix/Europe/Berlin",
    "posix/UTC",
    "leapseconds",
    "tzdata.zi",
    "zone.tab",
    "Europe",
    "Europe/",
    "/etc/localtime",
    "/usr/share/zoneinfo/Europe/Berlin",
    "Europe/../Europe/Berlin",
    "../zoneinfo/UTC",
    "./UTC",
    " UTC",
    "UTC\n",
    "UTC\0",
    "EST5EDT,M3.2.0,M11.1.0",
    "Europe\\Berlin",
]


@pytest.mark.parametrize("name", OF_THE_MACHINE)
def test_what_is_no_iana_name_is_refused_whatever_files_the_machine_has(name: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse_timezone(name)

    assert caught.value.code == "InvalidTimezoneError"


@pytest.mark.parametrize(
    "name",
    ["Europe/Berlin", "europe/berlin", "US/Pacific", "Etc/GMT+5", "UTC", "GMT", "America/Indiana/Knox"],
)
def test_iana_names_are_zones_in_any_case(name: str) -> None:
    assert str(parse_timezone(name)).lower() == name.lower()


def test_every_name_of_the_package_is_a_zone() -> None:
    assert len(zones.names()) > 500
    assert all(zones.zone(name) is not None for name in zones.names())


def test_zone_files_of_the_machine_change_nothing(tmp_path: Path) -> None:
    """Two folders that a machine could have in place of its zone files: an empty one, and a wrong one."""
    wrong = tmp_path / "wrong"
    (wrong / "Europe").mkdir(parents=True)
    root = Path(zones.__file__).parents[2]
    tokyo = (files("tzdata") / "zoneinfo" / "Asia" / "Tokyo").read_bytes()
    (wrong / "Europe" / "Berlin").write_bytes(tokyo)
    (wrong / "Europe" / "Nowhere").write_bytes(tokyo)
    told = "from query.language.zones import names, zone; from datetime import datetime as d;"
    told += "print(d(2026, 1, 1, tzinfo=zone('Europe/Berlin')).utcoffset(), 'Europe/Nowhere' in names())"

    answers = {
        subprocess.run(
            [sys.executable, "-P", "-c", told],
            env={**os.environ, "PYTHONTZPATH": str(folder), "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for folder in (wrong, tmp_path)
    }

    assert answers == {"1:00:00 False\n"}
