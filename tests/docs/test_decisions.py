"""Each decision has a number of its own, in its name and in its heading."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("*.md"))


def test_no_number_is_given_twice() -> None:
    numbers = Counter(path.name[:4] for path in RECORDS)
    assert len(RECORDS) > 20
    assert [number for number, count in numbers.items() if count > 1] == []


def test_the_heading_has_the_number_of_the_name() -> None:
    wrong = []
    for path in RECORDS:
        found = re.match(r"# (\d{4})\b", path.read_text(encoding="utf-8"))
        if found is None or not path.name.startswith(f"{found[1]}-"):
            wrong.append(path.name)
    assert wrong == []
