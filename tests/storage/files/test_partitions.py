"""Partitioning: few files whatever the dates, and every row in the span of its day."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.files.partitions import FILES_MAX, common_label, cut, last_day, parent_label
from tests.support.scale import examples

DAYS = st.dictionaries(st.dates(), st.integers(1, 20_000), min_size=1, max_size=300)


def inside(day: date, label: str) -> bool:
    """Does the span of this label hold the day?"""
    if len(label) == 9:
        return int(label[:4]) <= day.year <= int(label[5:])
    return day.isoformat().startswith(label)


@settings(max_examples=examples(150), deadline=None)
@given(DAYS)
def test_any_dates_end_in_few_files_each_in_its_span(days: dict[date, int]) -> None:
    ordered = sorted(days.items())
    cuts = cut(ordered)

    assert len(cuts) <= FILES_MAX
    assert sum(piece.rows for piece in cuts) == sum(days.values())
    remaining = iter([(day, rows) for day, rows in ordered])
    for piece in cuts:
        rows = 0
        while rows < piece.rows:
            day, count = next(remaining)
            assert inside(day, piece.label)
            rows += count
        assert rows == piece.rows


def test_a_busy_day_has_a_file_of_its_own_and_stragglers_share_one() -> None:
    days = [(date(2026, 3, d), 3) for d in range(1, 20)] + [(date(2026, 11, 22), 100_000)]

    assert [(piece.label, piece.rows) for piece in cut(days)] == [("2026-03", 57), ("2026-11-22", 100_000)]


def test_22_years_of_history_are_cut_by_years() -> None:
    days = [(date(2004, 11, 24) + timedelta(days=n), 13) for n in range(365 * 22)]

    assert len(cut(days)) <= 23


def test_5000_dates_of_one_event_each_make_one_file() -> None:
    assert len(cut([(date(2004, 11, 24) + timedelta(days=n), 1) for n in range(4_999)])) == 1


def test_labels_name_the_narrowest_span() -> None:
    assert common_label(date(2026, 1, 5), date(2026, 1, 5)) == "2026-01-05"
    assert common_label(date(2026, 1, 5), date(2026, 1, 6)) == "2026-01"
    assert common_label(date(2026, 1, 5), date(2026, 2, 5)) == "2026"
    assert common_label(date(2021, 1, 5), date(2029, 2, 5)) == "2020-2029"
    assert common_label(date(1, 1, 1), date(9999, 12, 31)) == "0001-9999"


def test_a_span_knows_its_parent_and_its_end() -> None:
    assert [parent_label(s) for s in ("2026-01-05", "2026-01", "2026", "2020-2029")] == [
        "2026-01",
        "2026",
        None,
        None,
    ]
    assert last_day("2024-02") == date(2024, 2, 29)
    assert last_day("2024-12") == date(2024, 12, 31)
    assert last_day("9999-12") == date.max
