"""The table of parameters is the only list of them: reading, hints, schemas and documentation follow it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from query.errors import InvalidQuery
from query.language.parameter_table import ANALYSES, BY_NAME, SCHEMAS, TABLE, markdown, taken_by, value_of
from query.language.parameters import KEYS, check

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/queries.md"


def test_the_documentation_has_the_table() -> None:
    assert markdown() in DOCUMENT.read_text(encoding="utf-8"), "run: python -m query.language.parameter_table"


def test_names_are_unique_and_analyses_exist() -> None:
    assert len(BY_NAME) == len(TABLE)
    assert all(parameter.analyses and parameter.analyses <= ANALYSES for parameter in TABLE)


@pytest.mark.parametrize("parameter", TABLE, ids=lambda parameter: parameter.name)
def test_a_parameter_is_taken_by_its_analyses_and_named_in_hints(parameter: Any) -> None:
    for analysis in ANALYSES:
        assert (parameter in taken_by(analysis)) == (analysis in parameter.analyses)
    analysis = min(parameter.analyses)
    check(analysis, {parameter.name: None})
    with pytest.raises(InvalidQuery, match=f"Did you mean '{parameter.name}'"):
        check(analysis, {parameter.name.upper().replace("_", "-"): 1})


def references(value: Any) -> set[str]:
    """The names of ``SCHEMAS`` that a schema refers to."""
    if isinstance(value, dict):
        own = {value["$ref"].rpartition("/")[2]} if "$ref" in value else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_every_reference_is_to_a_schema_of_the_table() -> None:
    schemas = [parameter.schema for parameter in TABLE] + list(SCHEMAS.values())
    assert references(schemas) <= SCHEMAS.keys()


def test_the_keys_of_objects_are_those_of_their_schemas() -> None:
    assert KEYS["step"] == SCHEMAS["Step"]["properties"].keys()
    assert KEYS["member"] == SCHEMAS["Analysis"]["properties"].keys()


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("latest", "5", 5),
        ("latest", None, None),
        ("latest", "", None),
        ("max_age", 0, 0),
        ("zero_fill", None, True),
        ("zero_fill", "false", False),
        ("include_metadata", "", False),
        ("include_metadata", "1", True),
    ],
)
def test_integers_and_booleans_are_read_by_their_schema(name: str, value: Any, read: Any) -> None:
    assert value_of({name: value}, name) == read


@pytest.mark.parametrize(
    ("name", "value", "needs"),
    [
        ("latest", 0, "an integer of at least 1"),
        ("limit", "many", "an integer of at least 1"),
        ("max_age", 129_601, "an integer from 0 to 129600"),
        ("zero_fill", "yes", "true or false"),
    ],
)
def test_what_the_schema_does_not_take_is_refused(name: str, value: Any, needs: str) -> None:
    with pytest.raises(InvalidQuery, match=f"'{name}' must be {needs}"):
        value_of({name: value}, name)
