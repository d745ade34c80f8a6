"""Rows of a real PostgreSQL: which are new, what becomes of their values, and what is said of faults."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.pipelines.sources import postgres
from storage.catalog.runs.records import RunState
from tests.service.pipelines.sources.site import SourceSite
from tests.support.postgres import PASSWORD, PostgresServer, postgres_server

ALLOWED: dict[str, Any] = {"outbound_hosts": "127.0.0.1:*", "outbound_networks": "127.0.0.1"}
TABLE = """
CREATE TABLE orders (id bigint, created_at timestamptz, updated_at timestamptz, total numeric(30, 4),
    tags text[], more jsonb)
"""
QUERY = "SELECT id, created_at, updated_at, total FROM orders WHERE updated_at > $cursor ORDER BY updated_at"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as made:
        yield made


@pytest.fixture
def database(server: PostgresServer) -> PostgresServer:
    server.run("DROP TABLE IF EXISTS orders")
    server.run(TABLE)
    return server


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SourceSite]:
    made = _site(tmp_path)
    try:
        yield made
    finally:
        made.close()


def _site(base: Path) -> SourceSite:
    made = SourceSite(base, **ALLOWED)
    made.whole.catalog.secrets.put(made.whole.project.id, "shop_password", PASSWORD)
    return made


def _orders(server: PostgresServer, more: str = "", query: str = QUERY, cursor: str = "updated_at") -> str:
    return f"""
[connections.shop]
postgres = "{server.conninfo}"
password = {{ secret = "shop_password" }}

[sources.orders]
connection = "shop"
query = "{query}"
cursor = "{cursor}"
into = "orders"
time = "created_at"
every = "5_minutes"
{more}
"""


def _insert(server: PostgresServer, number: int, minute: int, updated: str | None = None) -> None:
    at = f"2026-11-01T10:{minute:02}:00.123456Z"
    server.run("INSERT INTO orders VALUES (%s, %s, %s, 1.5)", (number, at, updated or at))


def _ids(site: SourceSite) -> list[int]:
    return sorted(row["id"] for row in site.rows())


def test_new_rows_are_read_with_ties_and_late_ones_of_the_same_value(
    site: SourceSite, database: PostgresServer
) -> None:
    site.apply(_orders(database))
    site.read()
    assert (site.count(), site.source()["health"]) == (0, "current")
    for number in range(5):
        _insert(database, number, number // 2)
    site.read()
    assert _ids(site) == [0, 1, 2, 3, 4]
    _insert(database, 5, 2)
    _insert(database, 4, 2)
    _insert(database, 6, 3)
    site.read()
    assert _ids(site) == [0, 1, 2, 3, 4, 4, 5, 6]
    site.read()
    assert _ids(site) == [0, 1, 2, 3, 4, 4, 5, 6]
    # A row that was changed is one more event, as it has no id.
    database.run("UPDATE orders SET total = 9, updated_at = '2026-11-01T11:00:00Z' WHERE id = 0")
    site.read()
    assert [row["total"] for row in site.rows() if row["id"] == 0] == [1.5, 9]
    assert PASSWORD not in json.dumps(site.source())
    assert list(site.whole.folder.sources.iterdir()) == []


def test_a_transaction_that_ends_late_is_found_within_the_overlap(
    site: SourceSite, database: PostgresServer
) -> None:
    site.apply(_orders(database, 'overlap = "10_minutes"\nid = "id"'))
    with database.connect() as late:
        late.execute("INSERT INTO orders VALUES (1, now(), '2026-11-01T10:05:00Z', 1)")
        _insert(database, 2, 10)
        site.read()
        assert _ids(site) == [2]
        late.commit()
    for _ in range(2):
        site.read()
        assert _ids(site) == [1, 2]


def test_values_come_as_they_are(site: SourceSite, database: PostgresServer) -> None:
    database.run(
        """INSERT INTO orders VALUES (9007199254740993, '2026-11-01T10:00:00+02', now(), 12345678.0001,
        '{a,b}', '{"a": {"b": null}}')"""
    )
    site.apply(_orders(database, query="SELECT * FROM orders WHERE updated_at > $cursor -- and so on;"))
    site.read()
    (row,) = site.rows()
    assert row["keen"]["timestamp"] == "2026-11-01T08:00:00.000Z"
    assert (row["id"], row["total"], row["tags"]) == (9007199254740993, 12345678.0001, ["a", "b"])
    assert row["more"] == {"a": {"b": None}}


@pytest.mark.parametrize(
    ("kind", "values"),
    [("bigint", ["1", "2", "3"]), ("numeric", ["1.5", "2", "2.25"]), ("date", ["2026-01-01", "2026-01-02"])],
)
def test_cursors_may_be_numbers_and_dates(
    site: SourceSite, database: PostgresServer, kind: str, values: list[str]
) -> None:
    database.run("DROP TABLE orders")
    database.run(f"CREATE TABLE orders (at {kind}, created_at timestamptz DEFAULT now())")
    site.apply(_orders(database, query="SELECT * FROM orders WHERE at > $cursor", cursor="at"))
    for number, value in enumerate(values, 1):
        database.run(f"INSERT INTO orders (at) VALUES ('{value}'), ('{value}')")
        for _ in range(2):
            site.read()
            assert site.count() == 2 * number, site.source()["problem"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query": "SELECT * FROM nothing WHERE a > $cursor"}, 'relation "nothing" does not exist'),
        ({"query": "DELETE FROM orders WHERE updated_at > $cursor RETURNING *"}, "syntax error"),
        ({"query": "SELECT 1; DROP TABLE orders; -- $cursor"}, "syntax error"),
        (
            {"query": "SELECT *, tags::text AS t FROM orders WHERE tags[1] > $cursor"},
            "The cursor must be a number",
        ),
        ({"cursor": "elsewhere"}, "column q.elsewhere does not exist"),
    ],
)
def test_a_query_that_fails_says_why(
    site: SourceSite, database: PostgresServer, change: dict[str, str], said: str
) -> None:
    site.apply(_orders(database, **change))
    _insert(database, 1, 0)
    site.read()
    told = site.source()
    assert (told["health"], site.count()) == ("failing", 0)
    assert said in told["problem"]
    (run,) = site.whole.catalog.runs.listed(site.whole.project.id)
    assert run.state is RunState.DEAD


def test_a_query_may_write_nothing(site: SourceSite, database: PostgresServer) -> None:
    database.run(
        "CREATE OR REPLACE FUNCTION emptied() RETURNS int AS 'DELETE FROM orders; SELECT 1' LANGUAGE sql"
    )
    _insert(database, 1, 0)
    site.apply(_orders(database, query="SELECT *, emptied() FROM orders WHERE updated_at > $cursor"))
    site.read()
    assert "in a read-only transaction" in site.source()["problem"]


def test_rows_without_a_time_or_cursor_are_at_fault(site: SourceSite, database: PostgresServer) -> None:
    query = "SELECT * FROM orders WHERE updated_at > $cursor OR updated_at IS NULL"
    site.apply(_orders(database, query=query))
    _insert(database, 1, 0)
    database.run("INSERT INTO orders VALUES (2, now(), NULL), (3, NULL, '2026-11-01T10:00:00Z')")
    site.read()
    assert site.count() == 0
    said = site.source()["problem"]
    assert "row 1: It has no 'updated_at', which is the cursor." in said
    assert "It has no 'created_at', which is to be its time." in said
    site.apply(_orders(database, 'on_error = "drop"', query=query))
    site.read()
    assert (_ids(site), site.source()["health"]) == ([1], "current")


def test_a_wrong_password_and_a_refused_host_are_said(tmp_path: Path, database: PostgresServer) -> None:
    site = _site(tmp_path)
    try:
        site.whole.catalog.secrets.put(site.whole.project.id, "shop_password", "wrong-s3cret")
        site.apply(_orders(database))
        site.read()
        assert "password authentication failed" in site.source()["problem"]
        assert "wrong-s3cret" not in json.dumps(site.source())
        elsewhere = _orders(database).replace("127.0.0.1", "db.example")
        assert "is not among the hosts" in site.refused(elsewhere)
        with_password = _orders(database).replace("user=postgres", "user=postgres password=x")
        assert "has a password: give it as" in site.refused(with_password)
        for wrong, said in (("user=postgres", "lacks 'user'"), ("dbname=postgres", "may not have 'options'")):
            text = _orders(database).replace(wrong, "options=x" if "options" in said else "")
            assert said in site.refused(text)
    finally:
        site.close()
    site = SourceSite(tmp_path, outbound_hosts="127.0.0.1:*")
    try:
        # The run waits for its pause.
        site.read()
        site.read()
        assert (
            "has an address of this machine, to which this server sends nothing" in site.source()["problem"]
        )
    finally:
        site.close()


def test_a_large_table_is_read_in_portions(
    site: SourceSite, database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "PORTION_ROWS", 700)
    database.run(
        """INSERT INTO orders
        SELECT n, '2026-11-01', timestamptz '2026-11-01' + (n / 500) * interval '1 hour', n
        FROM generate_series(1, 2500) n"""
    )
    site.apply(_orders(database))
    site.read()
    assert _ids(site) == list(range(1, 2501))
    assert site.stored().portion == 4


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("service/pipelines/sources/postgres.py", "_read"),
        ("storage/catalog/sources/sources.py", "begin"),
        ("service/imports/data_target.py", "send"),
        ("storage/catalog/sources/sources.py", "end"),
    ],
)
def test_a_killed_process_loses_and_doubles_nothing(
    tmp_path: Path, database: PostgresServer, module: str, function: str
) -> None:
    database.run(
        """INSERT INTO orders
        SELECT n, '2026-11-01', timestamptz '2026-11-01', n FROM generate_series(1, 2500) n"""
    )
    site = _site(tmp_path)
    site.apply(_orders(database))
    site.close()
    arguments = [str(tmp_path), module, function, "1", json.dumps(ALLOWED)]
    command = [sys.executable, "-P", "-m", "tests.service.pipelines.sources.killed_process", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    # What was read and not stored is not what is there now.
    database.run("UPDATE orders SET total = 0, updated_at = '2026-11-02' WHERE id = 7")
    site = _site(tmp_path)
    try:
        site.whole.flush()
        for _ in range(2):
            site.read()
        found = _ids(site)
        again = [] if function == "_read" else [7]
        assert found == sorted([*range(1, 2501), *again])
    finally:
        site.close()
