"""The statements of questions, one file each in ``snapshots/``, reviewed like code.

``ACUMEN_RENEW_SNAPSHOTS=1`` writes them anew; the change is then seen in the diff.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from query.language.nodes import Condition, Operator, Request
from query.language.parse import parse
from query.limits import Limits
from query.sql.statement import Note, Statement
from tests.query.compiled import statement_of
from tests.query.sql.questions import NOW_US, QUESTIONS, source_of, where

FOLDER = Path(__file__).parent / "snapshots"
RENEW = os.environ.get("ACUMEN_RENEW_SNAPSHOTS") == "1"
VALUES_SHOWN = 10


def asked(name: str) -> Request:
    analysis, params = QUESTIONS[name]
    return parse(analysis, params, now_us=NOW_US, limits=Limits())


def compiled(name: str) -> Statement:
    forced = (Condition("plan", Operator.EQ, "pro"),) if name == "count_of_a_key_with_filters" else ()
    statement = statement_of(asked(name), source_of, forced=forced)
    assert statement is not None
    return statement


def snapshot(name: str) -> str:
    """The question, its statement and the values of its placeholders."""
    analysis, params = QUESTIONS[name]
    statement = compiled(name)
    values = "".join(f"-- {shown(value)}\n" for value in statement.values)
    return f"-- asked: {analysis} {json.dumps(params)}\n{statement.text}\n\n-- values:\n{values}"


def shown(value: object) -> str:
    if isinstance(value, list) and len(value) > VALUES_SHOWN:
        return f"{json.dumps(value[:VALUES_SHOWN])[:-1]}, … {len(value)} in all]"
    return json.dumps(value) if isinstance(value, list | str | float | int | bool) else str(value)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_statement_is_the_one_that_was_reviewed(name: str) -> None:
    file = FOLDER / f"{name}.sql"
    text = snapshot(name)
    if RENEW:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    kept = file.read_text(encoding="utf-8") if file.exists() else ""
    assert text == kept, f"{file.name} is out of date: ACUMEN_RENEW_SNAPSHOTS=1 writes it anew for review"


def test_no_snapshot_is_without_its_question() -> None:
    assert {file.stem for file in FOLDER.glob("*.sql")} == set(QUESTIONS)


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_comment_is_one_of_the_constants(name: str) -> None:
    found = re.findall(r"^-- (.*)$", compiled(name).text, re.MULTILINE)
    assert found
    assert set(found) <= {note.value for note in Note}


def test_what_a_client_sent_is_neither_in_the_text_nor_in_a_comment() -> None:
    sent = "x\n-- '); DROP TABLE events; --\""
    filters = [where("plan", "eq", sent), where("tags", "contains", sent), where("plan", "regex", "-- [a]\n")]
    groups = [{"property_name": "score", "ranges": [{"to": 1, "label": sent}]}]
    params = {"event_collection": "files", "filters": filters, "group_by": groups}
    request = parse("count", params, now_us=NOW_US, limits=Limits())

    statement = statement_of(request, source_of)

    assert statement is not None
    assert "DROP" not in statement.text
    assert "[a]" not in statement.text
    assert sent in statement.values


def test_equal_questions_have_equal_statements() -> None:
    """So that the text, comments and all, is one for the engine."""
    assert [compiled(name).text for name in QUESTIONS] == [compiled(name).text for name in QUESTIONS]
