"""SQL over HTTP: rows, types, parameters, formats and limits, and what is read of a collection."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import os
import re
import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow as pa
import pytest

from query.errors import QueryCancelled
from query.untrusted.confinement import available
from query.untrusted.messages import Format
from tests.data.conftest import DATA
from tests.query.untrusted import statements
from tests.service.whole import Whole

PATH = "queries/sql"
PURCHASES = [
    {
        "price": n,
        "user": {"id": f"u{n % 3}"},
        "tags": ["a", n],
        "keen": {"timestamp": f"2026-03-{n + 1:02}T12:00Z"},
    }
    for n in range(10)
]


class Asking:
    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        self.project = whole.project

    def ask(
        self, sql: str, *, key: str | None = None, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        return self.whole.call(self.project, "POST", PATH, {"sql": sql, **more}, key=key, headers=headers)

    def rows(self, sql: str, *, key: str | None = None, **more: Any) -> list[dict[str, Any]]:
        reply = self.ask(sql, key=key, **more)
        assert reply.status_code == 200, (sql, reply.text)
        found: list[dict[str, Any]] = reply.json()["result"]
        return found

    def refused(self, sql: str, *, key: str | None = None, status: int = 400, **more: Any) -> str:
        reply = self.ask(sql, key=key, **more)
        assert reply.status_code == status, (sql, reply.text)
        return str(reply.json()["message"])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    whole = Whole(tmp_path_factory.mktemp("sql") / "data", sql_rows_max=1_000, sql_timeout_seconds=20.0)
    whole.record(whole.project, "purchases", PURCHASES[:5])
    whole.flush()
    whole.record(whole.project, "purchases", PURCHASES[5:])
    whole.record(whole.project, "page views", [{"url": "/a"}, {"url": "/b", "n": 1}])
    whole.record(whole.project, "t", [{"a": n} for n in (1, 2, 2)])
    mixed: list[Any] = [12, 12.5, "12", True, [1, "x"], 2**60 + 1, 10**30]
    whole.record(whole.project, "mixed", [*({"v": value} for value in mixed), {"w": None}])
    yield Asking(whole)
    whole.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Any]:
    """Makes a whole application of one test, with settings of its own."""
    made: list[Whole] = []

    def make(**given: Any) -> Asking:
        made.append(Whole(tmp_path / f"data{len(made)}", **given))
        return Asking(made[-1])

    yield make
    for whole in made:
        whole.close()


# What is read


def test_files_and_the_tail_are_one_table(shop: Asking) -> None:
    (row,) = shop.rows('SELECT count(*) AS n, sum(price) AS s, count(DISTINCT "user.id") AS u FROM purchases')
    assert row == {"n": 10, "s": 45, "u": 3}


def test_an_event_is_seen_once_from_its_acknowledgement_on(own: Any) -> None:
    asking = own()
    for number in range(4):
        asking.whole.record(asking.project, "c", [{"n": number}])
        assert [row["n"] for row in asking.rows("SELECT n FROM c ORDER BY n")] == list(range(number + 1))
        (asking.whole.flush, asking.whole.keeper.step)[number % 2]()
        assert [row["n"] for row in asking.rows("SELECT n FROM c ORDER BY n")] == list(range(number + 1))
    asking.whole.merge()
    assert asking.rows("SELECT count(*) AS n FROM c") == [{"n": 4}]


def test_an_erased_event_is_gone(own: Any) -> None:
    asking = own()
    asking.whole.record(asking.project, "c", [{"n": 1, "left": 1}, {"n": 2}])
    asking.whole.flush()
    asking.whole.record(asking.project, "c", [{"n": 1}, {"n": 3}])
    narrowed = [{"property_name": "n", "operator": "eq", "property_value": 1}]
    assert asking.whole.call(asking.project, "DELETE", "events/c", filters=narrowed).status_code == 204
    assert [row["n"] for row in asking.rows("SELECT n FROM c ORDER BY n")] == [2, 3]
    assert "left" in asking.refused('SELECT "left" FROM c')


def test_each_property_is_one_readable_column(shop: Asking) -> None:
    reply = shop.ask("SELECT * FROM purchases ORDER BY price LIMIT 1").json()
    types = {column["name"]: column["type"] for column in reply["columns"]}
    assert types == {
        "keen.timestamp": "TIMESTAMP WITH TIME ZONE",
        "keen.created_at": "TIMESTAMP WITH TIME ZONE",
        "keen.id": "VARCHAR",
        "price": "DOUBLE",
        "user.id": "VARCHAR",
        "tags": "JSON",
    }
    (row,) = reply["result"]
    assert row["keen.timestamp"] == "2026-03-01T12:00:00.000Z"
    assert (row["price"], row["user.id"], row["tags"]) == (0, "u0", ["a", 0])


def test_a_property_of_several_types_is_json_with_typed_columns_beside_it(shop: Asking) -> None:
    reply = shop.ask("SELECT * FROM mixed").json()
    types = {column["name"]: column["type"] for column in reply["columns"][3:]}
    assert types == {
        "v": "JSON",
        "v:number": "DOUBLE",
        "v:integer": "BIGINT",
        "v:long": "VARCHAR",
        "v:string": "VARCHAR",
        "v:boolean": "BOOLEAN",
        "v:json": "JSON",
        "w": "JSON",
    }
    values = [row["v"] for row in shop.rows("SELECT v FROM mixed")]
    key = lambda value: (str(type(value)), str(value))  # noqa: E731
    expected = [12, 12.5, "12", True, [1, "x"], 2**60 + 1, 10**30, None]
    assert sorted(values, key=key) == sorted(expected, key=key)
    assert shop.rows(
        'SELECT sum("v:number") AS s, max("v:integer") AS m, min("v:string") AS t FROM mixed'
    ) == [{"s": 24.5, "m": 2**60 + 1, "t": "12"}]


def test_a_typed_column_may_be_named_before_there_is_another_type(shop: Asking) -> None:
    assert shop.rows('SELECT sum("price:number") AS s, max("price:string") AS t FROM purchases') == [
        {"s": 45, "t": None}
    ]
    assert "price:other" in shop.refused('SELECT "price:other" FROM purchases')


def test_names_of_any_kind_are_tables_and_columns(own: Any) -> None:
    asking = own()
    names = ['we"ird', "it's", "a; DROP TABLE b", "page views", "a.b", "--x", "tail?", "Upper", "upper"]
    for number, name in enumerate(names):
        asking.whole.record(asking.project, name, [{name.replace(".", "_"): number, "q?\"'--": "v"}])
    asking.whole.flush()
    asking.whole.record(asking.project, "page views", [{"page views": 30}])
    for number, name in enumerate(names):
        table, column = (one.replace('"', '""') for one in (name, name.replace(".", "_")))
        (row,) = asking.rows(f'SELECT min("{column}") AS n, max("q?""\'--") AS v FROM "{table}"')
        assert row == {"n": number, "v": "v"}
    assert asking.rows('SELECT count(*) AS n FROM "PAGE VIEWS"') == [{"n": 2}]
    assert "differ in the case" in asking.refused('FROM "UPPER"')
    assert "one statement can read only one" in asking.refused('FROM "Upper", "upper"')


def test_properties_that_differ_in_case_have_names_of_their_own(own: Any) -> None:
    asking = own()
    asking.whole.record(asking.project, "c", [{"Price": 1}, {"price": 2}])
    found = asking.rows('SELECT max("Price") AS first, max("price~2") AS second FROM c')
    assert found == [{"first": 1, "second": 2}]


def test_days_are_of_the_zone_that_is_asked_for(own: Any) -> None:
    asking = own()
    asking.whole.record(asking.project, "c", [{"keen": {"timestamp": "2026-03-01T23:30:00Z"}}])
    day = """SELECT strftime(date_trunc('day', "keen.timestamp"), '%d') AS day FROM c"""
    assert asking.rows(day) == [{"day": "01"}]
    assert asking.rows(day, timezone="europe/berlin") == [{"day": "02"}]
    assert "Did you mean 'Europe/Berlin'" in asking.refused(day, timezone="Europe/Berln")


def test_lists_are_cast_to_lists_of_one_type(shop: Asking) -> None:
    """As the page about SQL says."""
    found = "SELECT count(*) AS n FROM purchases WHERE list_contains(CAST(tags AS VARCHAR[]), ?)"
    assert shop.rows(found, parameters=["a"]) == shop.rows("SELECT count(*) AS n FROM purchases")
    each = "purchases, unnest(CAST(tags AS VARCHAR[])) AS each(tag)"
    rows = shop.rows(f"SELECT tag, count(*) AS n FROM {each} GROUP BY ALL ORDER BY n DESC LIMIT 1")
    assert rows == [{"tag": "a", **shop.rows(found, parameters=["a"])[0]}]


# Parameters, formats


def test_parameters_are_bound(shop: Asking) -> None:
    assert shop.rows(
        'SELECT count(*) AS n FROM purchases WHERE price >= ? AND "user.id" = ?', parameters=[3, "u0"]
    ) == [{"n": 3}]
    named = {"least": 3, "users": ["u0", "u1"]}
    sql = 'SELECT count(*) AS n FROM purchases WHERE price >= $least AND "user.id" IN (FROM unnest($users))'
    assert shop.rows(sql, parameters=named) == [{"n": 5}]
    sent = [None, True, 5, 2**80, 1.5, "x'; DROP TABLE t; --", [1, 2, None]]
    (row,) = shop.rows(
        "SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e, $6 AS f, $7 AS g", parameters=sent
    )
    assert list(row.values()) == sent


def test_parameters_that_cannot_be_bound_are_refused(shop: Asking) -> None:
    for given in ([{"a": 1}], [[1, "x"]], [[[1]]], "x", {"a b": 1}, {"1a": 1}, [2**200], ["\0"]):
        assert "parameters" in shop.refused("SELECT ?", parameters=given), given
    assert shop.refused("SELECT ?", parameters=[])
    assert shop.refused("SELECT 1", parameters=[1])
    assert shop.refused("SELECT $a", parameters={"b": 1})


def test_csv_and_arrow(shop: Asking) -> None:
    sql = 'SELECT price, "user.id" AS u, tags, NULL AS nothing FROM purchases ORDER BY price LIMIT 2'
    reply = shop.ask(sql, format="csv")
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert list(csv.reader(io.StringIO(reply.text, newline=""))) == [
        ["price", "u", "tags", "nothing"],
        ["0", "u0", '["a",0]', ""],
        ["1", "u1", '["a",1]', ""],
    ]
    assert shop.ask(sql, headers={"accept": "text/csv"}).text == reply.text
    assert shop.ask(sql, headers={"accept": "*/*"}).headers["content-type"] == "application/json"
    assert shop.ask("SELECT '=1+1' AS a", format="csv").text == "a\r\n'=1+1\r\n"
    for arrow in (
        shop.ask(sql, format="arrow"),
        shop.ask(sql, headers={"accept": "application/vnd.apache.arrow.stream"}),
    ):
        assert arrow.headers["content-type"] == "application/vnd.apache.arrow.stream"
        table = pa.ipc.open_stream(arrow.content).read_all()
        assert table.select(["price", "u"]).to_pylist() == [{"price": 0, "u": "u0"}, {"price": 1, "u": "u1"}]


def test_every_type_has_a_form_in_json(shop: Asking) -> None:
    sql = """SELECT 1::HUGEINT AS h, 10::DECIMAL(38, 0) * 10 ** 30 AS big, 1.50::DECIMAL(10, 2) AS d,
        DATE '2026-01-02' AS da, TIME '10:00:00' AS ti, TIMESTAMP '2026-01-02 03:04:05.678901' AS ts,
        INTERVAL '1 month 2 days 3.5 seconds' AS i, '\\xAA'::BLOB AS b, 'x'::ENUM ('x', 'y') AS e,
        {'a': [1.0, NULL]} AS s, MAP {'k': 1} AS m, 'nan'::DOUBLE AS nan, 'inf'::DOUBLE AS inf,
        [TIMESTAMPTZ '2026-01-02 00:00:00+00'] AS l, 9223372036854775807 AS most, union_value(a := 1) AS u"""
    assert shop.rows(sql) == [
        {
            "h": 1,
            "big": 1e31,
            "d": 1.5,
            "da": "2026-01-02",
            "ti": "10:00:00.000000",
            "ts": "2026-01-02T03:04:05.678901",
            "i": "P1M2DT3.5S",
            "b": "qg==",
            "e": "x",
            "s": {"a": [1, None]},
            "m": [["k", 1]],
            "nan": None,
            "inf": None,
            "l": ["2026-01-02T00:00:00+00:00"],
            "most": 2**63 - 1,
            "u": 1,
        }
    ]
    assert "cast it" in shop.refused("SELECT '101'::BIT AS b")
    assert shop.rows("SELECT 1 AS a, 2 AS a, 3 AS a_1") == [{"a": 1, "a_1": 2, "a_1_1": 3}]
    assert shop.ask("SELECT 1 AS a, 2 AS a", format="csv").text == "a,a_1\r\n1,2\r\n"
    arrow = shop.ask("SELECT 1 AS a, 2 AS a", format="arrow")
    assert pa.ipc.open_stream(arrow.content).read_all().to_pylist() == [{"a": 1, "a_1": 2}]


# Limits


def test_more_rows_than_the_limit_are_an_error_and_never_cut(shop: Asking) -> None:
    assert len(shop.rows("SELECT * FROM range(1000)")) == 1_000
    said = shop.refused("SELECT * FROM range(1001)")
    assert "1,000 rows" in said and "ACUMEN_SQL_ROWS_MAX" in said
    reply = shop.ask("SELECT range AS n FROM range(1001)", limit=7).json()
    assert len(reply["result"]) == 7 and reply["truncated"] is True
    exact = shop.ask("SELECT range AS n FROM range(7)", limit=7)
    assert exact.json()["truncated"] is False and exact.headers["acumen-truncated"] == "false"
    assert shop.ask("SELECT 1 AS n", limit=0).json() == {
        "columns": [{"name": "n", "type": "INTEGER"}],
        "result": [],
        "truncated": True,
    }
    cut = shop.ask("SELECT range AS n FROM range(10)", limit=2, format="csv")
    assert cut.text == "n\r\n0\r\n1\r\n" and cut.headers["acumen-truncated"] == "true"
    assert "at most 1,000" in shop.refused("SELECT 1", limit=1_001)
    for limit in (-1, 1.5, "x", True):
        assert "limit" in shop.refused("SELECT 1", limit=limit)


def test_bytes_memory_disk_and_length_are_limited(own: Any) -> None:
    asking = own(sql_bytes_max=10_000, sql_memory_bytes=64 << 20, sql_spill_bytes=1 << 20, sql_length_max=200)
    for form in ("json", "csv", "arrow"):
        said = asking.refused("SELECT repeat('x', 1000) AS x FROM range(50)", format=form)
        assert "ACUMEN_SQL_BYTES_MAX" in said
    said = asking.refused(
        "SELECT count(*) AS n FROM (SELECT DISTINCT hash(range), md5(range::VARCHAR) FROM range(5000000))"
    )
    assert "ACUMEN_SQL_MEMORY_BYTES" in said or "ACUMEN_SQL_SPILL_BYTES" in said
    assert "ACUMEN_SQL_LENGTH_MAX" in asking.refused("SELECT 1" + " " * 200)
    assert asking.rows("SELECT 1 AS a") == [{"a": 1}]


def test_a_statement_that_takes_too_long_ends(own: Any) -> None:
    asking = own(sql_timeout_seconds=2.0)
    began = time.monotonic()
    said = asking.refused(
        "SELECT sum(a.range * b.range) AS s FROM range(10000000) a, range(100000) b", status=504
    )
    assert "ACUMEN_SQL_TIMEOUT_SECONDS" in said
    assert time.monotonic() - began < 10
    assert asking.rows("SELECT 1 AS a") == [{"a": 1}]
    assert not list((asking.whole.folder.tmp / "sql").glob("*/duckdb*"))


def test_a_process_that_waits_and_dies_is_replaced(shop: Asking) -> None:
    assert shop.rows("SELECT 1 AS a") == [{"a": 1}]
    waiting = shop.whole.parts.sql.processes.spare
    assert waiting is not None
    waiting.process.kill()
    waiting.process.wait()
    assert shop.rows("SELECT 1 AS a") == [{"a": 1}]


def test_statements_that_may_not_even_wait_are_429(own: Any) -> None:
    asking = own(sql_slots=1, sql_queue_max=0)
    replies = asking.whole.together(
        asking.project, "POST", PATH, [{"sql": "SELECT sum(range) AS s FROM range(300000000)"}] * 3
    )
    assert sorted(reply.status_code for reply in replies) == [200, 429, 429]
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert refused.json()["error_code"] == "RateLimitExceededError" and "retry-after" in refused.headers


# Errors


def test_errors_say_where_and_what_may_be_meant(shop: Asking) -> None:
    assert 'Candidate bindings: "price"' in shop.refused("SELECT pric FROM purchases")
    assert "Did you mean 'purchases'" in shop.refused("SELECT * FROM purchase")
    assert "LINE 1" in shop.refused("SELEC 1")
    assert '"user.id"' in shop.refused("SELECT user.id FROM purchases")
    assert "Could not convert string 'x'" in shop.refused("SELECT CAST('x' AS INT) AS i")
    assert "out of range" in shop.refused("SELECT 200::TINYINT AS i").lower()
    assert "Did you mean 'count'" in shop.refused("SELECT cout(*) FROM purchases")
    assert "sql" in shop.refused("")
    assert "Did you mean" in shop.refused("SELECT 1", formt="csv")
    bodies: tuple[Any, ...] = ([], "x", {}, {"sql": 5}, {"sql": "SELECT 1", "explain": 1})
    for body in bodies:
        assert shop.whole.call(shop.project, "POST", PATH, body).status_code == 400
    assert shop.whole.call(shop.project, "GET", PATH).status_code == 405


def test_no_error_tells_of_paths_or_names_of_our_own(shop: Asking) -> None:
    for sql in (
        'SELECT CAST("keen.id" AS INT) FROM purchases',
        "SELECT nothing FROM purchases",
        "SELECT filename FROM purchases",
        "SELECT file_row_number FROM purchases",
        "SELECT rowid FROM purchases",
        "SELECT purchases.nothing.at_all FROM purchases",
        "SELECT error('boom') FROM purchases",
    ):
        said = shop.refused(sql)
        assert str(shop.whole.folder.root) not in said and ".parquet" not in said, said
        assert "$tail" not in said and "getvariable" not in said and "value_" not in said, said


# Statements


@pytest.mark.parametrize("sql", statements.HARMLESS)
def test_harmless_statements_are_answered(shop: Asking, sql: str) -> None:
    assert shop.ask(sql).status_code == 200, shop.ask(sql).text


@pytest.mark.parametrize(
    "sql",
    [
        *(sql for sql, _ in statements.KINDS),
        *(f"SELECT * FROM {call}" for call in statements.TABLE_FUNCTIONS[::4]),
        *(f"SELECT {call} FROM t" for call in statements.SCALARS[::4]),
        *(f"SELECT * FROM {table}" for table in statements.TABLES[::3]),
        *(f"SELECT * FROM {table}" for table in statements.UNKNOWN_TABLES),
    ],
)
def test_forbidden_statements_are_refused(shop: Asking, sql: str) -> None:
    reply = shop.ask(sql)
    assert reply.status_code == 400, reply.text
    assert len(reply.json()["message"]) > 20
    assert reply.json()["error_code"] == "InvalidParameterError" or not sql


def test_what_is_refused_changes_nothing(shop: Asking) -> None:
    assert shop.rows("SELECT count(*) AS n FROM t") == [{"n": 3}]


# Explain, confinement


def test_explain_tells_the_plan_and_what_was_read(shop: Asking) -> None:
    reply = shop.ask("SELECT count(*) AS n FROM purchases WHERE price >= 3", explain=True).json()
    explained = reply["explain"]
    assert "READ_PARQUET" in explained["plan"].upper()
    assert str(shop.whole.folder.root) not in explained["plan"]
    assert reply["result"] == [{"n": 7}]
    (table,) = explained["tables"]
    assert table["name"] == "purchases" and table["events_in_no_file"] == 5
    assert len(table["files"]) >= 1 and all(name.startswith("events/") for name in table["files"])
    assert "explain" in shop.refused("SELECT 1", explain=True, format="csv")


def test_times_skip_files_and_parts_of_them(shop: Asking) -> None:
    sql = (
        "SELECT count(*) AS n FROM purchases WHERE \"keen.timestamp\" >= TIMESTAMPTZ '2026-03-04 00:00:00+00'"
    )
    reply = shop.ask(sql, explain=True).json()
    assert reply["result"] == [{"n": 7}]
    plan = reply["explain"]["plan"]
    assert "Filters:" in plan[plan.index("READ_PARQUET") :], plan


@pytest.mark.skipif(not available().landlock or not available().seccomp, reason="the kernel has neither")
def test_the_process_says_that_it_is_confined(shop: Asking, caplog: pytest.LogCaptureFixture) -> None:
    assert shop.rows("SELECT 1 AS a") == [{"a": 1}]
    assert "which this system lacks" not in caplog.text


def test_the_environment_of_the_server_is_not_the_process_s(shop: Asking) -> None:
    assert shop.rows("SELECT 1 AS a") == [{"a": 1}]
    waiting = shop.whole.parts.sql.processes.spare
    assert waiting is not None
    environment = Path(f"/proc/{waiting.process.pid}/environ")
    if environment.exists():
        names = {one.partition(b"=")[0].decode() for one in environment.read_bytes().split(b"\0") if one}
        assert "PATH" in os.environ and "PATH" not in names
        assert not any(name.startswith("ACUMEN") for name in names)


def _processes() -> list[int]:
    """The processes that run, or wait for, statements of this one."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            command = stat.with_name("cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == os.getpid() and b"query.untrusted.process" in command:
            found.append(int(stat.parent.name))
    return found


def _confined(process: int) -> bool:
    """Whether the process has read its statement: its memory is limited from then on."""
    try:
        return resource.prlimit(process, resource.RLIMIT_DATA)[0] != resource.RLIM_INFINITY
    except OSError:
        return False


LONG = "SELECT sum(a.range * b.range) AS s FROM range(10000000) a, range(100000) b"
on_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")


@on_linux
def test_a_process_that_dies_at_work_is_an_error_and_the_next_one_answers(own: Any) -> None:
    asking = own()
    others = set(_processes())

    async def killed() -> httpx.Response:
        asked = asyncio.ensure_future(asking.whole.sending(asking.project, "POST", PATH, {"sql": LONG}))
        while not (working := [one for one in set(_processes()) - others if _confined(one)]):
            await asyncio.sleep(0.01)
        for process in working:
            os.kill(process, signal.SIGKILL)
        reply: httpx.Response = await asked
        return reply

    reply: httpx.Response = asking.whole.run(killed())
    assert reply.status_code == 400 and "ACUMEN_SQL_MEMORY_BYTES" in reply.text
    assert asking.rows("SELECT 1 AS a") == [{"a": 1}]


@on_linux
def test_a_waiting_process_that_died_is_replaced(own: Any) -> None:
    asking = own()
    assert asking.rows("SELECT 1 AS a") == [{"a": 1}]
    for signalled in (signal.SIGKILL, signal.SIGSTOP):
        waiting = asking.whole.parts.sql.processes.spare
        assert waiting is not None
        # A stopped process counts as running until it is killed, which happens after the statement was sent.
        os.kill(waiting.process.pid, signalled)
        if signalled is signal.SIGSTOP:
            threading.Timer(0.2, os.kill, (waiting.process.pid, signal.SIGKILL)).start()
        assert asking.rows("SELECT 2 AS a") == [{"a": 2}]


@on_linux
def test_the_process_ends_when_the_client_goes_away(own: Any) -> None:
    asking = own()
    caller = asking.whole.run(asking.whole.parts.tenants.caller(asking.project.id, asking.project.master_key))

    others = set(_processes())

    async def gone() -> None:
        while not set(_processes()) - others:
            await asyncio.sleep(0.01)

    async def ask() -> None:
        with pytest.raises(QueryCancelled):
            await asking.whole.parts.sql.ask(caller, lambda: {"sql": LONG}, Format.JSON, gone)

    began = time.monotonic()
    asking.whole.run(ask())
    assert time.monotonic() - began < 10
    waiting = asking.whole.parts.sql.processes.spare
    assert set(_processes()) - others == ({waiting.process.pid} if waiting is not None else set())


REQUESTS = DATA / "web_requests.ndjson.gz"
BY_HAND = [
    """SELECT count(*), sum("response.bytes"), count(DISTINCT "visitor.id") FROM requests""",
    """SELECT "request.method" AS m, "response.status" AS s, count(*) AS n, median("response.bytes") AS b
    FROM requests GROUP BY ALL ORDER BY ALL""",
    """SELECT date_trunc('hour', "keen.timestamp"::TIMESTAMPTZ)::VARCHAR AS h, count(*) AS n, max(line) AS l
    FROM requests GROUP BY ALL ORDER BY ALL""",
    """SELECT "visitor.id" AS v, line, line - lag(line) OVER (PARTITION BY "visitor.id" ORDER BY line) AS d
    FROM requests ORDER BY line""",
]


@pytest.mark.skipif(not REQUESTS.exists(), reason="the data set lies beside some checkouts")
def test_answers_are_those_of_the_database_over_the_same_events(own: Any, tmp_path: Path) -> None:
    """A real set: through the log, files and views, and by the database over its lines."""
    asking = own()
    lines = gzip.decompress(REQUESTS.read_bytes()).splitlines()
    events = [json.loads(line) for line in lines]
    for start in range(0, len(events), 2_500):
        asking.whole.record(asking.project, "requests", events[start : start + 2_500])
        if start < 5_000:
            asking.whole.flush()
    plain = tmp_path / "plain.ndjson"
    plain.write_bytes(b"\n".join(lines))
    by_hand = duckdb.connect()
    by_hand.execute("SET TimeZone = 'UTC'")
    by_hand.execute(f"CREATE TABLE requests AS FROM read_ndjson('{plain}', sample_size = -1)")
    for sql in BY_HAND:
        found = asking.rows(sql)
        # There the objects are structs.
        nested = re.sub(r'"(\w+)\.(\w+)"', r"\1.\2", sql)
        assert [tuple(row.values()) for row in found] == by_hand.execute(nested).fetchall()
