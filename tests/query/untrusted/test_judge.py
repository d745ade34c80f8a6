"""Statements are judged by their trees: what is not known to be harmless is refused, wherever it stands."""

from __future__ import annotations

import duckdb
import pytest

from query.untrusted.functions import FUNCTIONS, TABLE_FUNCTIONS
from query.untrusted.judge import NODES_MAX, Judged, RefusedStatement, judge
from query.untrusted.process import tree_of
from tests.query.untrusted import statements


def judged(sql: str) -> Judged:
    return judge(tree_of(sql))


@pytest.mark.parametrize(("sql", "said"), statements.KINDS)
def test_only_one_select_is_taken(sql: str, said: str) -> None:
    with pytest.raises((RefusedStatement, duckdb.ParserException)) as error:
        judged(sql)
    assert isinstance(error.value, RefusedStatement), f"{sql}: {error.value}"
    assert said in str(error.value)


@pytest.mark.parametrize("function", statements.TABLE_FUNCTIONS)
@pytest.mark.parametrize(
    "place", ["FROM {}", "SELECT 1 WHERE EXISTS (FROM {})", "WITH x AS (FROM {}) SELECT 1"]
)
def test_functions_after_from_are_refused(function: str, place: str) -> None:
    with pytest.raises(RefusedStatement, match="table function"):
        judged(place.format(function))


@pytest.mark.parametrize("call", statements.SCALARS)
def test_functions_are_refused(call: str) -> None:
    with pytest.raises(RefusedStatement, match="function"):
        judged(f"SELECT {call} FROM t")


@pytest.mark.parametrize("place", statements.PLACES)
@pytest.mark.parametrize("call", ["getenv('HOME')", "(SELECT * FROM read_csv('x'))", "(FROM main.t)"])
def test_nothing_hides_a_call(place: str, call: str) -> None:
    try:
        judged(place.format("1"))
    except RefusedStatement as error:
        pytest.fail(f"harmless, but refused: {error}")
    try:
        judged(place.format(call))
    except (RefusedStatement, duckdb.ParserException):
        return
    pytest.fail("taken")


@pytest.mark.parametrize("table", statements.TABLES)
def test_tables_are_named_alone(table: str) -> None:
    with pytest.raises(RefusedStatement):
        judged(f"SELECT * FROM {table}")


@pytest.mark.parametrize("sql", statements.HARMLESS)
def test_harmless_statements_are_taken(sql: str) -> None:
    assert set(judged(sql).tables) <= {"t", "x", "r"}


def test_every_table_is_found_wherever_it_stands() -> None:
    sql = """
        WITH x AS (SELECT * FROM a1) SELECT (SELECT max(v) FROM a2), v IN (FROM a3)
        FROM a4 JOIN "a 5" USING (v) JOIN LATERAL (FROM a6) l ON true
        WHERE EXISTS (FROM a7) UNION ALL (TABLE a8) ORDER BY (FROM a9 LIMIT 1)
    """
    found = judged(sql)
    assert set(found.tables) == {"a1", "a2", "a3", "a4", "a 5", "a6", "a7", "a8", "a9"}


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT * FROM t WHERE EXISTS (WITH t AS (SELECT 1) FROM t)", {"t"}),
        ("SELECT * FROM t, (WITH t AS (SELECT 1) FROM t) x", {"t"}),
        ("(WITH t AS (SELECT 1) FROM t) UNION ALL FROM t", {"t"}),
        ("WITH t AS (FROM t) FROM t", {"t"}),
        ("WITH a AS (FROM b), b AS (SELECT 1) FROM a, b", {"b"}),
        ("WITH a AS (SELECT 1), b AS (FROM a) FROM b", set()),
        ("WITH a AS (WITH b AS (SELECT 1) FROM b) SELECT * FROM a, b", {"b"}),
        ("WITH a AS (SELECT 1) SELECT (SELECT (FROM A)), (WITH b AS (FROM a) FROM b)", set()),
        ("WITH RECURSIVE r(n) AS (FROM t UNION ALL SELECT n + 1 FROM r) FROM r", {"t"}),
        ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT * FROM r, s", {"s"}),
    ],
)
def test_a_name_of_with_holds_where_with_gives_it(sql: str, tables: set[str]) -> None:
    """Elsewhere the same name is that of a collection, or of nothing."""
    assert set(judged(sql).tables) == tables


@pytest.mark.parametrize(
    "name",
    ["x.parquet", "/tmp/x", "http://x", "*", "a?", "duckdb_views", "DuckDB_Views", "pg_class", "$tail0"],
)
def test_with_gives_no_name_of_a_file_or_of_the_database(name: str) -> None:
    with pytest.raises(RefusedStatement, match="WITH cannot give the name"):
        judged(f'WITH "{name}" AS (SELECT 1) SELECT 1')
    with pytest.raises(RefusedStatement, match="WITH cannot give the name"):
        judged(f'WITH RECURSIVE "{name}"(n) AS (SELECT 1 UNION ALL SELECT n FROM "{name}") SELECT 1')


def test_changes_within_a_select_are_refused() -> None:
    for change in ("INSERT INTO t VALUES (1) RETURNING *", "DELETE FROM t RETURNING *", "UPDATE t SET a = 1"):
        with pytest.raises((RefusedStatement, duckdb.ParserException)):
            judged(f"WITH x AS ({change}) SELECT * FROM x")


def test_a_very_long_statement_is_refused() -> None:
    with pytest.raises(RefusedStatement, match="too long"):
        judge({"statements": [{"node": [{"class": "CONSTANT", "type": "VALUE_CONSTANT"}] * (NODES_MAX + 1)}]})


def test_an_unknown_kind_of_node_is_refused() -> None:
    for node in ({"type": "NEW_NODE"}, {"class": "NEW", "type": "NEW"}, {"type": "NEW_REF"}):
        with pytest.raises(RefusedStatement):
            judge({"statements": [{"node": node}]})


def test_every_function_of_the_lists_is_one_of_the_database() -> None:
    """So that a name that was misspelt, or that is gone, is seen."""
    sql = "SELECT DISTINCT lower(function_name) FROM duckdb_functions()"
    listed = duckdb.execute(sql).fetchall()
    known = {name for (name,) in listed}
    syntax = {
        "if",
        "try",
        "columns",
        "coalesce",
        "ifnull",
        "nocase",
        "noaccent",
        "collate_nocase",
        "<>",
        "->",
    }
    syntax |= {"!~", "!~*", "~*", "grouping", "grouping_id", "rank_dense"}
    assert FUNCTIONS - known - syntax == set()
    assert TABLE_FUNCTIONS - known == set()
