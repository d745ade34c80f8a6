"""The table of bounds in docs/operating.md, as data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

OPERATING = Path(__file__).resolve().parents[2] / "docs" / "operating.md"
HEADER = ["Resource", "Limit", "Setting", "Error", "Measured peak"]
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True, slots=True)
class Bound:
    """One row. ``setting`` is None where the limit is fixed."""

    resource: str
    limit: str
    setting: str | None
    status: int
    code: str
    measured: str

    def limit_number(self) -> float:
        """The number that the limit begins with, in bytes where a unit follows it."""
        found = re.match(r"([\d,.]+)(?: (KiB|MiB|GiB)\b)?", self.limit)
        assert found, f"the limit of {self.resource!r} does not begin with a number"
        return float(found[1].replace(",", "")) * UNITS.get(found[2], 1)


def read_bounds() -> dict[str, Bound]:
    """The rows by resource, in the order of the table."""
    section = OPERATING.read_text(encoding="utf-8").split("\n## Bounds\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert header == HEADER
    return {row[0]: _bound(row) for row in rows}


def _bound(row: list[str]) -> Bound:
    resource, limit, setting, error, measured = row
    status, code = error.strip("`").split(" ")
    name = setting.strip("`")
    return Bound(resource, limit, None if name == "fixed" else name, int(status), code, measured)
