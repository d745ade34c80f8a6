"""Columns of one collection have names that no reader takes for one."""

from __future__ import annotations

import pytest

from storage.schema import Lane, LaneKind, Schema, fold_column

ALIKE = [
    "price Price PRICE",
    "имя Имя ИМЯ",
    "é É e\N{COMBINING ACUTE ACCENT} E\N{COMBINING ACUTE ACCENT}",
    "σ Σ ς",
    "k K \N{KELVIN SIGN}",
    "i I \N{LATIN CAPITAL LETTER I WITH DOT ABOVE} i\N{COMBINING DOT ABOVE} \N{LATIN SMALL LETTER DOTLESS I}",
    "ǆ ǅ Ǆ",
    "s S \N{LATIN SMALL LETTER LONG S}",
    "å Å \N{ANGSTROM SIGN}",
    "ß SS \N{LATIN CAPITAL LETTER SHARP S}",
]


@pytest.mark.parametrize("names", [line.split() for line in ALIKE], ids=lambda names: ascii(names[0]))
def test_names_that_differ_by_case_or_by_how_they_are_written_are_different_columns(names: list[str]) -> None:
    schema = Schema()
    for name in names:
        schema = schema.extended([(name, LaneKind.NUMBER)])
    columns = [lane.column for lane in schema.lanes]
    assert [lane.path for lane in schema.lanes] == names, "each stays the path that was sent"
    assert columns[0] == names[0]
    for fold in (str.lower, str.upper, str.casefold, fold_column):
        assert len({fold(column) for column in columns}) == len(names)


def test_a_collection_keeps_the_columns_that_it_has() -> None:
    older = Schema((Lane("имя", LaneKind.NUMBER, "имя"), Lane("Имя", LaneKind.NUMBER, "Имя")))
    newer = older.extended([("ИМЯ", LaneKind.NUMBER), ("Имя", LaneKind.STRING)])
    assert newer.lanes[:2] == older.lanes
    assert [lane.column for lane in newer.lanes[2:]] == ["ИМЯ~2", "Имя:string"]
