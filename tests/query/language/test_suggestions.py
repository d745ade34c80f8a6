"""The nearest known name, for messages."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.language.suggestions import COMPARED_MAX, KNOWN_MAX, NAME_LENGTH_MAX, did_you_mean, nearest

PARAMETERS = ["event_collection", "target_property", "filters", "group_by", "timeframe", "timezone", "limit"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("filter", "filters"),
        ("time_frame", "timeframe"),
        ("groupby", "group_by"),
        ("groupBy", "group_by"),
        ("eventCollection", "event_collection"),
        ("collection", "event_collection"),
        ("target", None),
        ("limt", "limit"),
        ("TimeFrame", "timeframe"),
        ("colour", None),
        ("", None),
        ("filters", None),
        (7, None),
    ],
)
def test_a_misspelt_name_has_a_nearest_one(name: object, meant: str | None) -> None:
    assert nearest(name, PARAMETERS) == meant
    assert did_you_mean(name, PARAMETERS) == ("" if meant is None else f" Did you mean '{meant}'?")


def test_case_alone_is_nearer_than_separators() -> None:
    assert nearest("PLAN", ["pl_an", "plan"]) == "plan"


@given(st.text(), st.lists(st.text(max_size=20), max_size=20))
def test_a_suggestion_is_one_of_the_known_names_and_not_the_name_itself(name: str, known: list[str]) -> None:
    found = nearest(name, known)
    assert found is None or (found in known and found != name and name not in known)


def test_work_is_bounded_for_long_names_and_many_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = compared = 0
    ratio = SequenceMatcher.ratio

    def names() -> Iterator[str]:
        nonlocal looked
        for rotated in itertools.count():
            looked += 1
            yield "z" * (rotated % 7) + "abcdefgh" * 8

    def counted(matcher: SequenceMatcher[str]) -> float:
        nonlocal compared
        compared += 1
        return ratio(matcher)

    monkeypatch.setattr(SequenceMatcher, "ratio", counted)
    assert nearest("a" * (NAME_LENGTH_MAX + 1), ["a" * NAME_LENGTH_MAX]) is None
    assert nearest("filters", ["filters" * 50]) is None
    nearest("hgfedcba" * 8, names())
    assert 0 < looked <= KNOWN_MAX + 1
    assert 0 < compared <= COMPARED_MAX
