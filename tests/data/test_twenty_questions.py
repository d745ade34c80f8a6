"""The twenty questions about real events: what the API answers equals SQL over the same files."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from tests.data.comparison import close
from tests.data.conftest import DATA
from tests.data.twenty_questions import QUESTIONS, Question
from tests.support.server import Served, ServedProject

EVENTS_IN_A_BODY = 2_000
COMMITS_FROM, COMMITS_TO = "2011", "2014"
"""The questions are about commits of these years; the server need not have the others."""
TIMESTAMP = "keen.timestamp::TIMESTAMPTZ AT TIME ZONE 'UTC' AS ts"
TABLES = {
    "web_requests": f"""
        CREATE TABLE requests AS SELECT {TIMESTAMP}, line, visitor.id AS visitor, request.path AS page,
            request.method AS method, request.extension AS extension, response.status, response.bytes
        FROM read_ndjson($file, columns={{
            keen: 'STRUCT("timestamp" VARCHAR)', line: 'BIGINT', visitor: 'STRUCT(id VARCHAR)',
            request: 'STRUCT(path VARCHAR, "method" VARCHAR, extension VARCHAR)',
            response: 'STRUCT(status BIGINT, bytes BIGINT)'}})
    """,
    "wiki_edits": f"""
        CREATE TABLE edits AS SELECT {TIMESTAMP}, channel, "user".name AS user, added,
            geo.country.iso AS country
        FROM read_ndjson($file, columns={{
            keen: 'STRUCT("timestamp" VARCHAR)', channel: 'VARCHAR', "user": 'STRUCT("name" VARCHAR)',
            added: 'BIGINT', geo: 'STRUCT(country STRUCT(iso VARCHAR))'}})
    """,
    "rails_commits": f"""
        CREATE TABLE commits AS SELECT {TIMESTAMP}, author.id AS author
        FROM read_ndjson($file, columns={{
            keen: 'STRUCT("timestamp" VARCHAR)', author: 'STRUCT(id VARCHAR)'}})
    """,
}


def file_of(name: str) -> str:
    return str(DATA / f"{name}.ndjson.gz")


@pytest.fixture(scope="module")
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    """The three files as tables, read by DuckDB itself, with times in UTC."""
    connection = duckdb.connect()
    for name, statement in TABLES.items():
        connection.execute(statement, {"file": file_of(name)})
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def project(served: Served) -> ServedProject:
    """A project with the same events."""
    project = served.new_project()
    for name in TABLES:
        with gzip.open(file_of(name)) as file:
            events = [line for line in file if name != "rails_commits" or _asked_about(line)]
        for start in range(0, len(events), EVENTS_IN_A_BODY):
            _record(served, project, name, events[start : start + EVENTS_IN_A_BODY])
    return project


def _asked_about(commit: bytes) -> bool:
    timestamp: str = json.loads(commit)["keen"]["timestamp"]
    return COMMITS_FROM <= timestamp < COMMITS_TO


def _record(served: Served, project: ServedProject, name: str, events: list[bytes]) -> None:
    body = b'{"%s":[%s]}' % (name.encode(), b",".join(events))
    path = f"/3.0/projects/{project.id}/events"
    reply = served.request("POST", path, body, key=project.write_key)
    assert reply.json == {name: [{"success": True}] * len(events)}


def test_there_is_one_for_each_question() -> None:
    numbers = {int(question.name.partition(".")[0]) for question in QUESTIONS}
    assert numbers == set(range(1, 21))


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_the_answer_equals_the_sql(
    served: Served, project: ServedProject, tables: duckdb.DuckDBPyConnection, question: Question
) -> None:
    path = f"/3.0/projects/{project.id}/queries/{question.analysis}"
    # The read key may not ask SQL unless the project's preferences say so.
    key = project.master_key if question.analysis == "sql" else project.read_key
    reply = served.request("POST", path, question.body, key=key)
    assert reply.status == 200, reply.body
    wanted = [list(row) for row in tables.execute(question.sql).fetchall()]
    found = [list(row) for row in question.rows(reply.json)]
    assert wanted
    if not question.ordered:
        wanted, found = sorted(wanted, key=_order), sorted(found, key=_order)
    assert close(found, wanted), f"{found[:5]} is not {wanted[:5]}"


def _order(row: list[Any]) -> str:
    """By what is no fraction, which may differ in its last digit."""
    return repr([value for value in row if not isinstance(value, float)])
