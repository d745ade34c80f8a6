"""Counting by the defaults of other services: a preset is its parameters, and those of the query win."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from query.errors import InvalidQuery
from query.language.analyses.presets import PRESETS, Preset, tables
from query.language.normal_form import normalised
from query.language.parameter_table import BY_NAME
from query.language.parameters import check, without_use
from query.language.parse import parse
from query.limits import Limits

DOCUMENT = Path(__file__).parents[3] / "docs" / "presets.md"
NOW = 1_767_225_600_000_000
SPAN = {"timeframe": {"start": "2025-01-06", "end": "2025-02-09"}, "actor_property": "who"}
QUESTIONS: dict[str, dict[str, Any]] = {
    "funnel": {**SPAN, "steps": [{"event_collection": "visits"}, {"event_collection": "orders"}]},
    "retention": {**SPAN, "starting_event": {"event_collection": "visits"}, "interval": "weekly"},
    "sessions": {**SPAN, "event_collection": "visits"},
}
ROWS = [(analysis, preset) for analysis, rows in PRESETS.items() for preset in rows]


def ask(analysis: str, params: dict[str, Any]) -> Any:
    return parse(analysis, params, now_us=NOW, limits=Limits()).query


@pytest.mark.parametrize(("analysis", "preset"), ROWS)
def test_a_preset_is_the_parameters_of_its_row(analysis: str, preset: Preset) -> None:
    question, row = QUESTIONS[analysis], PRESETS[analysis][preset]
    check(analysis, {**question, "counting": preset.value})
    assert ask(analysis, {**question, "counting": preset.value}) == ask(
        analysis, {**question, **row.parameters}
    )
    assert all(analysis in BY_NAME[name].analyses for name in row.parameters)


@pytest.mark.parametrize(("analysis", "preset"), ROWS)
def test_it_is_stored_by_its_name(analysis: str, preset: Preset) -> None:
    named = {**QUESTIONS[analysis], "counting": preset.value, "analysis_type": analysis}
    stored = normalised(named)
    assert stored.get("counting") == (None if preset is Preset.KEEN else preset.value)
    assert ask(analysis, stored) == ask(analysis, named)


def test_what_the_query_says_itself_takes_precedence() -> None:
    question = QUESTIONS["funnel"]
    longer = ask("funnel", {**question, "counting": "mixpanel", "window": "30_days", "equal_times": "apart"})
    written = {"order": "ordered", "window": "30_days", "equal_times": "apart"}
    assert longer == ask("funnel", {**question, **written})
    assert ask("funnel", {**question, "counting": "mixpanel", "window": ""}) == ask(
        "funnel", {**question, "counting": "mixpanel"}
    )


def test_a_parameter_that_needs_the_order_of_a_preset_has_an_effect() -> None:
    funnel = {**QUESTIONS["funnel"], "interval": "weekly"}
    assert not without_use("funnel", {**funnel, "counting": "posthog"})
    assert [one.name for one in without_use("funnel", {**funnel, "counting": "keen"})] == ["interval"]


@pytest.mark.parametrize(
    ("analysis", "named", "said"),
    [
        ("retention", "keen", "the service has no retention. Use one of mixpanel, amplitude, posthog, ga4"),
        ("sessions", "keen", "the service has no sessions"),
        ("funnel", "heap", "one of actors, sessions, conversions, keen"),
        ("retention", "conversions", "one of actors, mixpanel"),
        ("sessions", ["ga4"], "one of sessions, mixpanel"),
        ("paths", "mixpanel", "one of actors, sessions, occurrences"),
    ],
)
def test_what_is_no_preset_here_is_an_error_that_lists_them(analysis: str, named: Any, said: str) -> None:
    question = QUESTIONS.get(analysis, QUESTIONS["sessions"])
    with pytest.raises(InvalidQuery, match=said) as error:
        ask(analysis, {**question, "counting": named})
    assert "'counting'" in str(error.value)


def test_each_row_names_its_source_and_day() -> None:
    for rows in PRESETS.values():
        for row in rows.values():
            assert row.source.startswith("https://") and len(row.read) == len("2026-11-30")


def test_the_page_has_the_rows() -> None:
    assert tables() in DOCUMENT.read_text(encoding="utf-8"), "run: python -m query.language.analyses.presets"
