"""What exists is documented: a name in the code is a line in docs/."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from query.language.nodes import Operator
from query.language.parameter_table import ANALYSES, taken_by
from query.language.parameters import KEYS
from query.limits import Limits

ROOT = Path(__file__).resolve().parents[2]
API = (ROOT / "docs/api.md").read_text()
EXPORTS = (ROOT / "docs/exports.md").read_text()
QUERIES = (ROOT / "docs/queries.md").read_text()

# Told to nobody: the client has gone, or was refused by the HTTP parser before any route.
UNTOLD = {"ClientGoneError", "QueryCancelledError", "BadRequestError", "RequestError"}


def section(text: str, heading: str) -> str:
    """The text under a heading, up to the next of its level or above."""
    level = heading.split(" ")[0]
    found = re.search(
        rf"^{re.escape(heading)}$(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert found is not None, heading
    return found[1]


def error_codes() -> Iterator[str]:
    """Every text constant that is an error's code, where errors for clients are made."""
    sources = [*(ROOT / "service").rglob("*.py"), *(ROOT / "query").rglob("*.py")]
    for path in [*sources, ROOT / "storage/events/validation.py", ROOT / "storage/events/strict_decoder.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.fullmatch(r"[A-Z]\w+Error|InvalidPropertyNameForGeoFilter", node.value)
            ):
                yield node.value


@pytest.mark.parametrize("analysis", sorted(ANALYSES))
def test_every_analysis_has_a_section(analysis: str) -> None:
    assert section(QUERIES, f"### {analysis}").strip()


def test_no_section_describes_an_analysis_that_is_not_there() -> None:
    described = set(re.findall(r"^### (\w+)$", section(QUERIES, "## Analyses"), re.MULTILINE))
    assert described == set(ANALYSES)


def first_cells(text: str) -> set[str]:
    """The names in the first column of a section's tables."""
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_tables_of_parameters_name_those_there_are() -> None:
    """All of a funnel's step, and of an extraction to a file; the one table has the others."""
    assert first_cells(section(QUERIES, "### funnel")) == KEYS["step"]
    extraction = {parameter.name for parameter in taken_by("extraction")}
    assert first_cells(section(QUERIES, "### extraction")) <= extraction
    assert {"delivery", "email", "email_address", "content_type", "content_encoding"} <= first_cells(EXPORTS)


@pytest.mark.parametrize("operator", [*(operator.value for operator in Operator), "or"])
def test_every_operator_has_a_row(operator: str) -> None:
    rows = re.findall(r"^\| (`.*?) \|", section(QUERIES, "### filters"), re.MULTILINE)
    assert any(f"`{operator}`" in row for row in rows)


@pytest.mark.parametrize("code", sorted(set(error_codes()) - UNTOLD))
def test_every_error_code_is_documented(code: str) -> None:
    assert f"`{code}`" in API + QUERIES


# Limit → how its row of the tables begins.
ROWS = {
    "rows_max": "events in what it reads",
    "intervals_max": "parts of an interval",
    "groups_max": "groups, counted once",
    "cells_max": "groups that occur in an interval",
    "funnel_actors_max": "actors of a funnel",
    "funnel_intervals_max": "intervals of a funnel with an `order`",
    "identities_max": "different statements of which [ids](identities.md) belong to one actor",
    "extraction_events_max": "events of an extraction",
    "extraction_scan_max": "events that an extraction without `latest` looks at",
    "latest_max": "`latest`",
    "response_bytes_max": "bytes",
    "timeout_seconds": "seconds, from the moment",
    "steps_max": "steps of a funnel",
    "analyses_max": "analyses of a multi_analysis",
    "series_max": "named questions of a question for series",
    "formulas_max": "formulas of a question for series",
    "rolling_max": "intervals of a rolling window",
    "windows_max": "times that overlapping windows read events again",
    "series_top_max": "groups of `top`",
    "event_lists_max": "entries of `events`",
    "pages_max": "`pages`",
    "session_events_max": "events in which the sessions of filters and groups are found",
    "session_margin_hours": "hours before and after a timeframe that are read for them",
    "path_depth_max": "`depth`",
    "path_nodes_max": "`nodes`",
    "renames_max": "rules of `rename`",
    "group_by_max": "entries of `group_by`",
    "ranges_max": "ranges of one entry",
    "property_names_max": "entries of `property_names`",
    "conditions_max": "conditions of all filters together",
    "filters_max": "filters of one list",
    "cohorts_max": "cohorts of a question",
    "cohort_actors_max": "actors of a cohort",
    "cohort_members_max": "actors that a static cohort lists",
    "cohort_conditions_max": "conditions of a cohort",
    "filter_depth_max": "levels of `or` within `or`",
    "filter_values_max": "values in the list of one filter",
    "regex_length_max": "characters of a regular expression",
    "regexes_size_max": "characters of all regular expressions",
    "name_length_max": "characters of a collection's, property's or label's name",
}


@pytest.mark.parametrize("limit", [field.name for field in fields(Limits)])
def test_every_limit_is_documented_with_its_default(limit: str) -> None:
    begin = re.escape(ROWS[limit])
    rows = re.findall(
        rf"^\| {begin}(?![^|]* of a body)[^|]*\| ([\d,]+) \|", section(QUERIES, "## Limits"), re.MULTILINE
    )
    assert rows == [f"{int(getattr(Limits(), limit)):,}"]
