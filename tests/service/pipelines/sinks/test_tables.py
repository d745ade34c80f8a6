"""Tables of a real PostgreSQL hold the rows of their pipelines, whatever happens on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from storage.catalog.runs.records import RunState
from storage.catalog.stored.records import ErasureKind
from tests.service.pipelines.bench import HOUR_US, PipelineBench
from tests.service.pipelines.times import text_at
from tests.service.whole import Whole
from tests.support.postgres import PASSWORD, PostgresServer, postgres_server
from tests.support.scale import examples
from tests.support.server import free_port

ALLOWED: dict[str, Any] = {"outbound_hosts": "127.0.0.1:*", "outbound_networks": "127.0.0.1"}
PATIENCE_SECONDS = 120.0
CONNECTION = """
owner = "data@shop.example"

[connections.warehouse]
postgres = "CONNINFO"
password = { secret = "warehouse_password" }
"""
PIPELINE = """
[pipelines.NAME]
from = "purchases"
into = "NAME"
bucket = "hour"
sinks = [{ connection = "warehouse", table = "TABLE", create = true }]
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as made:
        yield made


@pytest.fixture
def database(server: PostgresServer) -> PostgresServer:
    server.run("DROP SCHEMA IF EXISTS analytics CASCADE")
    server.run("CREATE SCHEMA analytics")
    return server


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PipelineBench]:
    made = _bench(tmp_path)
    try:
        yield made
    finally:
        made.close()


def _bench(base: Path) -> PipelineBench:
    made = PipelineBench(base, **ALLOWED)
    made.store.catalog.secrets.put(made.store.project, "warehouse_password", PASSWORD)
    return made


def _text(server: PostgresServer, *names: str, table: str = "analytics.sales", more: str = "") -> str:
    pipelines = "".join(PIPELINE.replace("NAME", name).replace("TABLE", table) + more for name in names)
    return CONNECTION.replace("CONNINFO", server.conninfo) + pipelines


def _event(bench: PipelineBench, hours: int, **values: Any) -> dict[str, Any]:
    return {**values, "keen": {"timestamp": text_at(bench.now_us + hours * HOUR_US)}}


def _rows(server: PostgresServer, columns: str, table: str = "analytics.sales") -> list[tuple[Any, ...]]:
    with server.connect() as connection:
        return connection.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}".encode()).fetchall()


def _types(server: PostgresServer) -> dict[str, str]:
    statement = b"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'sales'"
    with server.connect() as connection:
        return dict(connection.execute(statement).fetchall())


def test_a_table_is_made_and_holds_the_rows_of_each_bucket(
    bench: PipelineBench, database: PostgresServer
) -> None:
    bench.write(_text(database, "sales"))
    bench.apply()
    first = {"price": 1.5, "user": {"name": 'a "b", c\nd'}, "tags": ["x", 1], "new": True, "big": 2**53 + 1}
    bench.send("purchases", [_event(bench, 0, **first), _event(bench, -1, price=2, user={"name": ""})])
    bench.derive()
    assert _types(database) == {
        "acumen_pipeline": "text",
        "keen.timestamp": "timestamp with time zone",
        "big": "numeric",
        "new": "boolean",
        "price": "double precision",
        "tags": "jsonb",
        "user.name": "text",
    }
    own = f"{bench.store.project}/sales"
    assert _rows(database, 'acumen_pipeline, price, "user.name", tags, new, big') == [
        (own, 1.5, 'a "b", c\nd', ["x", 1], True, 2**53 + 1),
        (own, 2.0, "", None, None, None),
    ]
    (at, _), *_ = _rows(database, '"keen.timestamp", price')[::-1]
    assert int(at.timestamp() * 1_000_000) == bench.now_us
    # A new property is a new column, and a row that is changed takes the place of the one before.
    bench.send("purchases", [_event(bench, 0, price=3, coupon="y")])
    bench.derive()
    assert _rows(database, "price, coupon") == [(1.5, None), (2.0, None), (3.0, "y")]
    # A bucket that has become empty has no rows.
    few = {"filters": [{"property_name": "price", "operator": "lt", "property_value": 2}]}
    bench.change("purchases", ErasureKind.EVENTS, few)
    bench.change("purchases", ErasureKind.EVENTS, {"end_us": bench.now_us - HOUR_US // 2})
    bench.derive()
    assert _rows(database, "price") == [(3.0,)]


def test_pipelines_share_a_table_and_leave_the_rows_of_others(
    bench: PipelineBench, database: PostgresServer
) -> None:
    database.run(
        'CREATE TABLE analytics.sales (acumen_pipeline text, at timestamptz, price numeric, "Note" text)'
    )
    at = text_at(bench.now_us)
    database.run("INSERT INTO analytics.sales VALUES ('by hand', %s, 100, 'x')", (at,))
    bench.write(_text(database, "one", "two").replace("create = true", 'time = "at"'))
    bench.apply()
    bench.send("purchases", [_event(bench, 0, price=1)])
    bench.derive()
    bench.send("purchases", [_event(bench, 0, price=2)])
    bench.derive()
    assert _rows(database, "price") == [(1,), (1,), (2,), (2,), (100,)]
    # Removed with its table's rows left, as its collection's are.
    bench.write(_text(database, "one").replace("create = true", 'time = "at"'))
    bench.apply(remove=True)
    bench.send("purchases", [_event(bench, 0, price=3)])
    bench.derive()
    assert _rows(database, "price") == [(1,), (1,), (2,), (2,), (3,), (100,)]


def _failure(bench: PipelineBench) -> str:
    bench.derive()
    runs = bench.store.catalog.runs.listed(bench.store.project, states=[RunState.DEAD, RunState.WAITING])
    return str(runs[0].message)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            None,
            "There is no table analytics.sales, or the user may not see it: make it, or set create",
        ),
        ("price numeric", 'lacks columns: add "acumen_pipeline" text NOT NULL, "keen.timestamp" timestamptz'),
        ('acumen_pipeline text, "keen.timestamp" timestamptz', 'add "price" double precision, or set create'),
        (
            'acumen_pipeline text, "keen.timestamp" timestamptz, price date',
            "PostgreSQL: invalid input syntax for type date in the column price",
        ),
        (
            'acumen_pipeline text, "keen.timestamp" timestamptz, price numeric CHECK (price > 10)',
            "PostgreSQL: new row for relation",
        ),
    ],
)
def test_what_does_not_fit_is_said_and_changes_nothing(
    bench: PipelineBench, database: PostgresServer, columns: str | None, said: str
) -> None:
    if columns is not None:
        database.run(f"CREATE TABLE analytics.sales ({columns})")
    bench.write(_text(database, "sales").replace(", create = true", ""))
    bench.apply()
    bench.send("purchases", [_event(bench, 0, price=1.5)])
    told = _failure(bench)
    assert said in told and "1.5" not in told
    # The bucket is derived all the same.
    assert [one.problem for one in bench.buckets("sales")] == [None]
    database.run("DROP TABLE IF EXISTS analytics.sales")
    database.run(
        'CREATE TABLE analytics.sales (acumen_pipeline text, "keen.timestamp" timestamptz, price numeric)'
    )
    catalog = bench.store.catalog
    (dead,) = catalog.runs.listed(bench.store.project, states=[RunState.DEAD])
    catalog.runs.replay(bench.store.project, dead.id)
    bench.derive()
    assert _rows(database, "price") == [(1.5,)]


def test_a_database_that_is_away_is_tried_again(bench: PipelineBench, database: PostgresServer) -> None:
    text = _text(database, "sales")
    bench.write(text.replace(f"port={database.port}", f"port={free_port()}"))
    bench.apply()
    bench.send("purchases", [_event(bench, 0, price=1)])
    assert "PostgreSQL: " in _failure(bench)
    (waiting,) = bench.store.catalog.runs.listed(bench.store.project, states=[RunState.WAITING])
    assert waiting.attempts == 1
    # With another connection nothing is derived again; what waits is delivered there.
    bench.write(text)
    bench.apply()
    changed = bench.buckets("sales")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not bench.derive():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert _rows(database, "price") == [(1,)]
    assert bench.buckets("sales") == changed


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("service/pipelines/sinks/tables.py", "begin"),
        ("service/pipelines/sinks/tables.py", "fill"),
        ("service/pipelines/sinks/tables.py", "_write"),
        ("service/workflows/run_worker.py", "_outcome"),
    ],
)
def test_what_a_kill_leaves_is_delivered_once(
    tmp_path: Path, database: PostgresServer, module: str, function: str
) -> None:
    bench = _bench(tmp_path)
    bench.write(_text(database, "sales"))
    bench.apply()
    events = [_event(bench, -hours, price=number) for hours in range(2) for number in range(1_000)]
    bench.send("purchases", events)
    bench.close()
    arguments = [str(tmp_path), str(tmp_path), module, function, json.dumps(ALLOWED)]
    command = [sys.executable, "-P", "-m", "tests.service.pipelines.sinks.killed_process", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    bench = PipelineBench(tmp_path, **ALLOWED)
    try:
        bench.derive()
        assert _rows(database, "count(*), count(DISTINCT price)") == [(2_000, 1_000)]
    finally:
        bench.close()


happenings = st.lists(
    st.one_of(
        st.lists(st.tuples(st.integers(-5, 1), st.integers(0, 5)), min_size=1, max_size=5),
        st.sampled_from(["derive", "derive", "erase", "update", "merge", "delete"]),
    ),
    min_size=2,
    max_size=10,
)


@settings(
    max_examples=examples(8),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # An example takes seconds: shrinking would take minutes.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(happenings)
def test_the_table_holds_what_the_collection_does(
    tmp_path_factory: pytest.TempPathFactory, server: PostgresServer, happening: list[Any]
) -> None:
    server.run("DROP SCHEMA IF EXISTS analytics CASCADE")
    server.run("CREATE SCHEMA analytics")
    bench = _bench(tmp_path_factory.mktemp("tables"))
    more = "steps = [{ where = 'n > 1' }]\ncolumns = { n = \"number\" }\n"
    try:
        bench.send("purchases", [_event(bench, 0, n=5)])
        bench.write(_text(server, "sales", more=more))
        bench.apply()
        for one in [*happening, "derive"]:
            _take(bench, one)
        expected = [(row["keen.timestamp"], row["n"]) for row in bench.rows("sales")]
        found = _rows(server, '"keen.timestamp", n')
        assert [(str(at.replace(tzinfo=None)), n) for at, n in found] == sorted(expected)
    finally:
        bench.close()


def _take(bench: PipelineBench, one: Any) -> None:
    few = {"filters": [{"property_name": "n", "operator": "eq", "property_value": 3}]}
    match one:
        case "derive":
            bench.derive()
        case "merge":
            bench.merge()
        case "erase":
            bench.change("purchases", ErasureKind.EVENTS, few)
        case "delete":
            bench.change("purchases", ErasureKind.EVENTS, {"end_us": bench.now_us - 3 * HOUR_US})
        case "update":
            update = {"path": "n", "line": '{"n":4}', "upsert": False}
            bench.change("purchases", ErasureKind.UPDATE, {**few, "updates": [update]})
        case _:
            bench.send("purchases", [_event(bench, hours, n=n) for hours, n in one])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('connection = "warehouse"', 'connection = "warehose"', "there is no connection 'warehose'"),
        ('secret = "warehouse_password"', 'secret = "unknown"', "set it by 'acumen secrets set unknown'"),
        ("host=127.0.0.1", "host=db.shop.example", "db.shop.example"),
        ('"analytics.sales"', '"sales; DROP TABLE x"', "the name of a table of letters, digits"),
        ("create = true", 'create = "yes"', "must be true or false"),
        ("create = true", 'time = "acumen_pipeline"', "the name of a column of its own"),
        ("create = true", 'folder = "x"', "needs one of 'webhook', 'folder', 'table' and 'plugin'"),
        ("create = true", "creates = true", "creates"),
    ],
)
def test_a_sink_that_cannot_be_delivered_to_is_refused(
    tmp_path: Path, server: PostgresServer, old: str, new: str, said: str
) -> None:
    whole = Whole(tmp_path / "data", **ALLOWED)
    try:
        whole.catalog.secrets.put(whole.project.id, "warehouse_password", PASSWORD)
        text = _text(server, "sales")
        assert old in text
        reply = whole.call(whole.project, "POST", "pipelines/apply", {"file": text.replace(old, new)})
        assert reply.status_code == 400
        assert said in reply.json()["message"]
        (change,) = whole.told(whole.project, "POST", "pipelines/plan", {"file": text})["changes"]
        assert change["sinks"] == ["table analytics.sales of warehouse"]
    finally:
        whole.close()
