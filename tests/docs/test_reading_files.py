"""docs/reading-files.md: its Python, as printed, on two files of a collection as it describes."""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service import reader_code
from tests.service.whole import Whole
from tests.support.command import acumen_command

PAGE = (Path(__file__).resolve().parents[2] / "docs/reading-files.md").read_text()
ANSWER = [("free", 19), ("pro", 2**53 + 1)]
FIRST = [("free", 12, "2025-12-31T23:59:59.999Z"), ("free", 12, "2026-01-01T00:00:00.000Z")]
SECOND = [
    ("pro", 2**53 + 1, "2026-02-01T00:00:00.000Z"),
    ("pro", "refused", "2026-02-02T00:00:00.000Z"),
    ("free", 7, "2026-02-03T00:00:00.000Z"),
]


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Whole]:
    """The server's data in ``ACUMEN_DATA``, and ``acumen`` in the path."""
    whole = Whole(tmp_path / "data")
    for rows, more in ((FIRST, {}), (SECOND, {"coupon": "X"})):
        events = [{"plan": p, "amount": a, **more, "keen": {"timestamp": t}} for p, a, t in rows]
        whole.record(whole.project, "orders", events)
        whole.flush()
    command = tmp_path / "bin" / "acumen"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.join(acumen_command())} "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(command.parent), prepend=":")
    monkeypatch.setenv("ACUMEN_DATA", str(tmp_path / "data"))
    yield whole
    whole.close()


def test_the_examples_give_the_answer_of_the_page(orders: Whole) -> None:
    listing, *examples = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^import (duckdb|polars|pandas)|^from (pyspark)", PAGE, re.MULTILINE) == [
        *(("duckdb", ""), ("polars", ""), ("pandas", ""), ("", "pyspark")),
    ]
    names: dict[str, Any] = {"PROJECT": orders.project.id}
    exec(listing, names)
    assert len(names["files"]) == 2
    for example in examples[:3]:
        found = dict(names)
        exec(example, found)
        assert [(plan, int(total)) for plan, total in found["answer"]] == ANSWER, example
    asked = {"event_collection": "orders", "target_property": "amount", "group_by": "plan"}
    asked["timeframe"] = {"start": "2026-01-01", "end": "2030-01-01"}  # type: ignore[assignment]
    result = orders.told(orders.project, "POST", "queries/sum", asked)["result"]
    assert [(row["plan"], row["result"]) for row in result] == ANSWER
    assert f"`free` {ANSWER[0][1]}, `pro` {ANSWER[1][1]}" in PAGE


def test_every_option_is_described() -> None:
    for option, (reader, _) in reader_code.READERS.items():
        assert re.search(rf"^\$ acumen files .* --{option} ", PAGE, re.MULTILINE)
        assert f"\n### {reader}\n" in PAGE
