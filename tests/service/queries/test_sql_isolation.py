"""What a key does not see, no statement tells: its filters and what it may do hold whatever the text says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from keen import scoped_keys

from tests.service.queries.test_sql import Asking
from tests.service.whole import Whole
from tests.support.embed import embed_token

MINE = [{"property_name": "team", "operator": "eq", "property_value": "mine"}]
SECRET = "topsecret"


class Divided(Asking):
    """A project of two teams, and a key that sees one of them."""

    def __init__(self, whole: Whole) -> None:
        super().__init__(whole)
        for part in range(2):
            whole.record(
                self.project,
                "orders",
                [
                    {"team": "mine", "n": f"{number}", "price": number}
                    for number in range(10 * part, 10 * part + 10)
                ],
            )
            whole.record(
                self.project,
                "orders",
                [
                    {"team": "other", "n": f"{SECRET}{number}", "price": 7_654_321, SECRET: {"x": 1}}
                    for number in range(300)
                ],
            )
            if part == 0:
                whole.flush()
        whole.record(self.project, "others only", [{"team": "other", "n": SECRET}])
        whole.record(self.project, SECRET, [{"team": "other"}])
        self.key = self.new_key({"sql": True, "filters": MINE})
        self.open_key = self.new_key({"sql": True})

    def new_key(self, queries: dict[str, Any], permitted: tuple[str, ...] = ("queries", "schema")) -> str:
        body = {"name": "k", "permitted": list(permitted), "options": {"queries": queries}}
        return str(self.whole.told(self.project, "POST", "keys", body)["key"])


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Divided]:
    whole = Whole(tmp_path_factory.mktemp("divided") / "data")
    yield Divided(whole)
    whole.close()


STATEMENTS = [
    "SELECT * FROM orders",
    "SELECT count(*) AS n, max(price) AS most, min(n) AS first FROM orders",
    'SELECT * FROM "orders"',
    'SELECT * FROM "ORDERS"',
    "SELECT * FROM Orders AS team",
    "SELECT o.* FROM orders o, orders p WHERE p.n = o.n",
    "SELECT o.* FROM orders o LEFT JOIN orders p ON o.price <> p.price",
    "SELECT o.* FROM orders o FULL JOIN (SELECT 'other' AS team) x USING (team)",
    "WITH orders AS (SELECT * FROM orders) SELECT * FROM orders",
    "WITH orders AS (SELECT 'mine' AS team) SELECT * FROM orders",
    "WITH x AS MATERIALIZED (FROM orders) SELECT * FROM x UNION ALL FROM orders",
    "WITH RECURSIVE r AS (SELECT n, price FROM orders UNION SELECT n, price + 0 FROM r) SELECT * FROM r",
    "SELECT * FROM (SELECT * FROM (SELECT * FROM orders))",
    "SELECT (SELECT max(price) FROM orders) AS most",
    "SELECT 1 AS one WHERE EXISTS (FROM orders WHERE price > 1000)",
    "SELECT team, count(*) AS n FROM orders GROUP BY ALL",
    "SELECT team, n, row_number() OVER (ORDER BY price DESC) AS place FROM orders",
    "SELECT * FROM orders QUALIFY row_number() OVER (ORDER BY price DESC) <= 3",
    "SELECT * FROM orders ORDER BY price DESC LIMIT 3",
    "SELECT DISTINCT team FROM orders",
    "SELECT COLUMNS(*) FROM orders",
    "SELECT * EXCLUDE (team) FROM orders",
    "SELECT * REPLACE ('other' AS team) FROM orders",
    "SELECT 'other' AS team, n FROM orders WHERE team = 'other' OR true",
    "FROM orders WHERE team = 'other' OR team IS NULL OR 1 = 1",
    "SELECT list(n) AS all_n FROM orders",
    "SELECT string_agg(n, ',') AS all_n FROM orders",
    "PIVOT orders ON team IN ('mine', 'other') USING count(*)",
    "SELECT * FROM orders TABLESAMPLE 100%",
    "SELECT * FROM orders USING SAMPLE 1000 ROWS",
    "SUMMARIZE orders",
    "DESCRIBE orders",
    "SELECT * FROM orders o, LATERAL (SELECT max(p.price) AS most FROM orders p WHERE p.price >= o.price) x",
    "SELECT * FROM orders ASOF JOIN (SELECT 70000000 AS price) x ON orders.price <= x.price",
    "SELECT * FROM orders POSITIONAL JOIN orders other",
    "SELECT approx_quantile(price, 0.99) AS q, median(price) AS m, mode(team) AS t FROM orders",
]


@pytest.mark.parametrize("sql", STATEMENTS)
def test_no_statement_tells_of_hidden_events(divided: Divided, sql: str) -> None:
    reply = divided.ask(sql, key=divided.key)
    assert reply.status_code == 200, reply.text
    assert SECRET not in reply.text and "7654321" not in reply.text, reply.text
    if sql.startswith("SELECT count(*)"):
        assert reply.json()["result"] == [{"n": 20, "most": 19, "first": "0"}]


@pytest.mark.parametrize(
    "condition",
    [
        "CAST(n AS INT) >= 0",
        "CAST(n AS INT) >= 0 AND price >= 0",
        "(CASE WHEN price > 1000 THEN error(n) END) IS NULL",
        "n::INT IN (SELECT price::INT FROM orders)",
        "CAST(price AS TINYINT) < 100",
    ],
)
def test_no_condition_is_tried_on_hidden_events(divided: Divided, condition: str) -> None:
    """The error of one that fails for them would tell what they hold."""
    sql = f"SELECT count(*) AS n FROM orders WHERE {condition}"
    assert divided.rows(sql, key=divided.key) == [{"n": 20}]
    assert divided.ask(sql, key=divided.open_key).status_code in (200, 400)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM orders o WHERE EXISTS (FROM orders p WHERE CAST(p.n AS INT) = CAST(o.n AS INT))",
        "SELECT o.n FROM orders o, LATERAL (FROM orders p WHERE CAST(p.n AS INT) = o.price) x",
        "SELECT 1 FROM orders o JOIN orders p ON CAST(o.n AS INT) = CAST(p.n AS INT)",
        "SELECT 1 FROM orders o ASOF JOIN orders p ON CAST(o.n AS INT) >= CAST(p.n AS INT)",
        "SELECT CAST(n AS INT) AS c FROM orders ORDER BY CAST(n AS INT) LIMIT 1",
        "SELECT sum(CAST(n AS INT)) AS s FROM orders GROUP BY CAST(n AS INT) % 2",
        "WITH x AS MATERIALIZED (FROM orders) SELECT 1 FROM x WHERE CAST(n AS INT) < 5",
        "SELECT 1 FROM (FROM orders UNION ALL FROM orders) WHERE CAST(n AS INT) < 5",
        "SELECT row_number() OVER (ORDER BY CAST(n AS INT)) AS r FROM orders QUALIFY r < 3",
    ],
)
def test_no_join_or_order_is_tried_on_hidden_events(divided: Divided, sql: str) -> None:
    assert divided.rows(sql, key=divided.key)


def test_the_same_conditions_fail_where_all_is_seen(divided: Divided) -> None:
    assert SECRET in divided.refused("SELECT n FROM orders WHERE CAST(n AS INT) >= 0", key=divided.open_key)


def test_properties_and_collections_of_hidden_events_are_hidden(divided: Divided) -> None:
    key = divided.key
    columns = divided.ask("SELECT * FROM orders LIMIT 0", key=key).json()["columns"]
    assert [one["name"] for one in columns[3:]] == ["team", "n", "price"]
    for sql in (f'SELECT "{SECRET}.x" FROM orders', f'SELECT "{SECRET}.x:number" FROM orders'):
        assert divided.refused(sql, key=key).replace(f'"{SECRET}.x', "").count(SECRET) <= 1
    named = divided.refused("SELECT price2 FROM orders", key=key)
    assert SECRET not in named
    hidden = divided.refused('FROM "others only"', key=key)
    assert hidden == divided.refused('FROM "others onlx"', key=key).replace("onlx", "only")
    assert "Did you mean" not in divided.refused("FROM topsecre", key=key)
    assert "Did you mean" in divided.refused("FROM topsecre", key=divided.open_key)


def test_no_name_of_with_opens_a_file_or_the_database(divided: Divided) -> None:
    """A name that WITH gives in one place is no table in another, where it would be a file's."""
    paths = [str(path) for path in divided.whole.folder.events.rglob("*.parquet")]
    assert paths
    for name in (*paths, "duckdb_views", "sqlite_master"):
        for sql in (
            f'SELECT * FROM orders, "{name}" WHERE EXISTS (WITH "{name}" AS (SELECT 1) SELECT 1)',
            f'WITH "{name}" AS (SELECT * FROM "{name}") SELECT * FROM "{name}", orders',
            f'WITH x AS (FROM "{name}"), "{name}" AS (FROM orders) FROM x',
            f'WITH "{name}" AS (FROM orders) SELECT * FROM (DESCRIBE "{name}")',
            f'SELECT * FROM orders, "{name}"',
        ):
            said = divided.refused(sql, key=divided.key)
            assert SECRET not in said and "with" in said.lower()


def test_explain_is_not_for_keys_with_filters(divided: Divided) -> None:
    assert "explain" in divided.refused("FROM orders", key=divided.key, status=403, explain=True)
    blind = divided.new_key({"sql": True}, ("queries",))
    assert "schema" in divided.refused("FROM orders", key=blind, status=403, explain=True)
    assert divided.ask("FROM orders", key=divided.open_key, explain=True).status_code == 200


def test_a_filter_on_a_property_that_no_event_has_shows_nothing(divided: Divided) -> None:
    filters = [{"property_name": "nothing", "operator": "eq", "property_value": 1}]
    key = divided.new_key({"sql": True, "filters": filters})
    assert "no collection" in divided.refused("FROM orders", key=key)


def test_other_projects_are_not_there(divided: Divided) -> None:
    other = divided.whole.new_project()
    divided.whole.record(other, "theirs", [{"a": 1}])
    assert "no collection" in divided.refused("FROM theirs")
    assert "no collection" in divided.refused(f'FROM "{other.id}"')


def test_sql_is_off_until_it_is_switched_on(divided: Divided) -> None:
    whole, project = divided.whole, divided.project
    plain = divided.new_key({})
    switched_off = divided.new_key({"sql": False})
    for key in (plain, switched_off, project.read_key):
        assert "options.queries.sql" in divided.refused("SELECT 1 AS a", key=key, status=403)
    divided.refused("SELECT 1 AS a", key=project.write_key, status=403)
    divided.refused("SELECT 1 AS a", key="0" * 64, status=401)
    assert divided.rows("SELECT 1 AS a", key=divided.open_key) == [{"a": 1}]
    assert divided.rows("SELECT 1 AS a") == [{"a": 1}]
    before = project.preferences
    whole.catalog.projects.update(project.id, preferences={"sql": True, "scoped_keys": True})
    whole.parts.tenants.look_again()
    try:
        assert divided.rows("SELECT 1 AS a", key=project.read_key) == [{"a": 1}]
        divided.refused("SELECT 1 AS a", key=project.write_key, status=403)
        divided.refused("SELECT 1 AS a", key=plain, status=403)
        made = scoped_keys.encrypt(project.master_key, {"allowed_operations": ["read"], "filters": MINE})
        scoped = made.decode() if isinstance(made, bytes) else str(made)
        assert divided.rows("SELECT count(*) AS n FROM orders", key=scoped) == [{"n": 20}]
    finally:
        whole.catalog.projects.update(project.id, preferences=before)
        whole.parts.tenants.look_again()
    divided.refused("SELECT 1 AS a", key=project.read_key, status=403)


def test_embed_tokens_never_send_sql(divided: Divided) -> None:
    for allowed in ([], ["queries"], ["queries", "extractions", "schema"]):
        token = embed_token(divided.open_key, {"allow": allowed} if allowed else {})
        assert divided.ask("SELECT 1 AS a", key=token).status_code == 403


def test_a_key_without_extractions_cannot_have_sql(divided: Divided) -> None:
    for permitted, queries in (
        (["schema"], {"sql": True}),
        (["queries"], {"sql": True, "extraction": False}),
    ):
        body = {"name": "k", "permitted": permitted, "options": {"queries": queries}}
        reply = divided.whole.call(divided.project, "POST", "keys", body)
        assert reply.status_code == 400 and "options.queries.sql" in reply.text
    body = {"name": "k", "permitted": ["queries"], "options": {"queries": {"sql": "yes"}}}
    assert "true or false" in divided.whole.call(divided.project, "POST", "keys", body).text


def test_a_statement_counts_as_a_query(divided: Divided) -> None:
    def counted() -> tuple[int, ...]:
        text = divided.whole.parts.metrics.text()
        found = re.findall(r'acumen_query_seconds_count\{analysis="sql"\} (\d+)', text)
        found += re.findall(r'acumen_queries_total\{outcome="(?:answered|refused)"\} (\d+)', text)
        return tuple(map(int, found))

    timed, answered, refused = counted()
    divided.rows("SELECT 1 AS a")
    divided.refused("DROP TABLE orders")
    assert counted() == (timed + 2, answered + 1, refused + 1)
