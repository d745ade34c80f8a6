"""The engine: what stops a statement, what it may reach, and what it says when it fails."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from query import json_encoding
from query.answers.pipeline import Answer, answer, answered
from query.engine.engine import CancelToken, Deadline, Engine
from query.engine.runner import Runner
from query.errors import QueryCancelled, QueryError, QueryLimitExceeded, QueryTimeout
from query.language.nodes import (
    Analysis,
    Buckets,
    Condition,
    ExtractionQuery,
    Group,
    Metric,
    MetricQuery,
    Operator,
    ParsedQuery,
    Query,
    Span,
)
from query.limits import Limits
from query.plan.columns import ID_COLUMN
from query.plan.predicates import TRUE
from query.plan.views import Views
from query.sql.statement import Statement, name, sql
from query.sql.statements import values
from storage.instants import format_instant
from storage.source import Source, SourceGone
from tests.query.support_source import read, source_of

ENDLESS = Statement(
    "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range < 0"
)


@pytest.fixture(scope="module")
def small(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = Engine(
        data_folder,
        memory_limit_bytes=64 << 20,
        threads=2,
        temp_folder=tmp_path_factory.mktemp("little"),
        temp_bytes_max=16 << 20,
    )
    yield made
    made.close()


def test_duckdb_is_opened_once_and_by_the_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then it takes no memory: many servers hold events and answer no questions."""
    opened, connect = [], duckdb.connect

    def count(*arguments: Any) -> duckdb.DuckDBPyConnection:
        opened.append(arguments)
        return connect(*arguments)

    monkeypatch.setattr(duckdb, "connect", count)
    engine = Engine(
        tmp_path, memory_limit_bytes=64 << 20, threads=1, temp_folder=tmp_path, temp_bytes_max=16 << 20
    )
    assert not opened

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda number: engine.run(Statement(f"SELECT {number}")), range(4)))
    engine.open()

    assert found == [[(number,)] for number in range(4)]
    assert len(opened) == 1
    engine.close()


def test_a_statement_that_runs_too_long_is_stopped(engine: Engine) -> None:
    with pytest.raises(QueryTimeout, match=r"0\.2 seconds"):
        engine.run(ENDLESS, timeout=0.2)


def test_cancelling_from_another_thread_stops_the_statement(engine: Engine) -> None:
    token = CancelToken()
    threading.Timer(0.1, token.cancel).start()

    with pytest.raises(QueryCancelled):
        engine.run(ENDLESS, cancel=token)


def test_cancelling_before_the_start_is_not_lost(engine: Engine) -> None:
    token = CancelToken()
    token.cancel(QueryCancelled("gone"))

    with pytest.raises(QueryCancelled, match="gone"):
        engine.run(ENDLESS, cancel=token)


def test_cancelling_at_any_moment_around_the_start_is_not_lost(engine: Engine) -> None:
    for delay in range(20):
        token = CancelToken()
        timer = threading.Timer(delay / 10_000, token.cancel)
        timer.start()
        with pytest.raises(QueryCancelled):
            engine.run(ENDLESS, cancel=token, timeout=30)
        timer.join()


def test_the_first_reason_to_stop_is_the_one_that_is_raised(engine: Engine) -> None:
    token = CancelToken()
    token.cancel(QueryTimeout("late"))
    token.cancel(QueryCancelled("gone"))

    with pytest.raises(QueryTimeout, match="late"):
        engine.run(Statement("SELECT 1"), cancel=token)


def test_one_cancelled_statement_leaves_the_others_running(engine: Engine) -> None:
    token = CancelToken()
    ended: list[type[BaseException]] = []

    def endless() -> None:
        try:
            engine.run(ENDLESS, cancel=token)
        except QueryCancelled as error:
            ended.append(type(error))

    thread = threading.Thread(target=endless)
    thread.start()
    for _ in range(20):
        assert engine.run(Statement("SELECT 1")) == [(1,)]
    token.cancel()
    thread.join(timeout=30)
    assert ended == [QueryCancelled]


def test_too_much_memory_is_a_limit_that_says_what_helps(small: Engine) -> None:
    greedy = Statement("SELECT list(x::VARCHAR) FROM range(20000000) t(x)")

    with pytest.raises(QueryLimitExceeded, match=r"67,108,864 bytes of memory.*shorter timeframe"):
        small.run(greedy)


def test_too_much_spilling_is_a_limit_of_its_own(small: Engine) -> None:
    wide = Statement("SELECT x, count(*) FROM range(20000000) t(x) GROUP BY x ORDER BY 2, 1 LIMIT 9000000")

    with pytest.raises(QueryLimitExceeded, match=r"bytes of (disk|memory)"):
        small.run(wide)


def test_after_a_limit_the_engine_serves_on(small: Engine) -> None:
    assert small.run(Statement("SELECT 40 + 2")) == [(42,)]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM read_text('/etc/hostname')",
        "COPY (SELECT 1) TO '/tmp/never.csv'",
        "ATTACH '/tmp/never.db'",
        "INSTALL httpfs",
        "SET threads = 1",
        "SET enable_external_access = true",
        "SELECT * FROM some_python_variable",
    ],
)
def test_nothing_outside_the_data_folder_can_be_reached_or_reconfigured(engine: Engine, text: str) -> None:
    some_python_variable = pa.table({"a": [1]})
    assert some_python_variable.num_rows == 1

    with pytest.raises((QueryError, SourceGone)):
        engine.run(Statement(text))
    assert not Path("/tmp/never.csv").exists()


def test_what_is_set_holds_for_every_run_wherever_the_server_stands(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts without a zone are read as UTC, and what is known of a file's columns is read once."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    made = Engine(data_folder, memory_limit_bytes=64 << 20, threads=1, temp_folder=tmp_path, temp_bytes_max=0)
    monkeypatch.undo()
    time.tzset()
    names = ("TimeZone", "parquet_metadata_cache", "preserve_insertion_order", "python_enable_replacements")
    found = made.run(Statement("SELECT " + ", ".join(f"current_setting('{name}')" for name in names)))
    made.close()

    assert found == [("UTC", True, False, False)]


def test_errors_never_quote_the_statement(engine: Engine) -> None:
    with pytest.raises(QueryError) as raised:
        engine.run(Statement("SELECT secret_column FROM secret_table"))

    assert "secret" not in raised.value.message


def test_tables_belong_to_one_run_alone(engine: Engine) -> None:
    table = pa.table({"n": [1, 2, 3]})

    assert engine.run(Statement('SELECT sum(n) FROM "$t"'), {"$t": table}) == [(6,)]
    with pytest.raises(QueryError):
        engine.run(Statement('SELECT sum(n) FROM "$t"'))


def test_a_missing_file_is_told_from_other_failures(engine: Engine, data_folder: Path) -> None:
    missing = Statement("SELECT * FROM read_parquet(?)", ([str(data_folder / "gone.parquet")],))

    with pytest.raises(SourceGone):
        engine.run(missing)


def test_a_question_whose_files_vanish_is_asked_again_of_a_new_snapshot(
    engine: Engine, data_folder: Path
) -> None:
    stamp = "2026-01-01T00:00:00.000Z"
    keen = {"timestamp": stamp, "created_at": stamp, "id": "0" * 24}
    events = [{"a": 1, "keen": keen}] * 40
    old, new = (source_of(events, data_folder, random.Random(seed)) for seed in (3, 4))
    assert old.files
    for file in old.files:
        Path(file.path).unlink()
    snapshots = [new, old]
    query = MetricQuery("c", (Metric(Analysis.COUNT),), filters=(Condition("a", Operator.EQ, 1),))

    def latest(_: str) -> Source:
        return snapshots.pop()

    assert read(answer(ParsedQuery(query), latest, engine, limits=Limits())) == {"result": 40}
    with pytest.raises(QueryError):
        answer(ParsedQuery(query), lambda _: old, engine, limits=Limits())


def many(folder: Path) -> Source:
    """Events whose rows are fetched in two parts."""
    stamps = [format_instant(number) for number in range(12_000)]
    made = [
        {"n": number, "keen": {"timestamp": stamp, "created_at": stamp, "id": f"{number:024x}"}}
        for number, stamp in enumerate(stamps)
    ]
    return source_of(made, folder, random.Random(5))


QUESTIONS = {
    "groups": MetricQuery("c", (Metric(Analysis.COUNT),), groups=(Group("n"),)),
    "intervals": MetricQuery(
        "c", (Metric(Analysis.COUNT),), Span(0, 10**16), groups=(Group("n"),), buckets=Buckets((0, 10**16))
    ),
    "events": ExtractionQuery("c"),
}


@pytest.mark.parametrize("query", QUESTIONS.values(), ids=QUESTIONS)
@pytest.mark.parametrize(
    "limits", [Limits(groups_max=10, response_bytes_max=1_000), Limits(response_bytes_max=300)]
)
def test_an_error_that_somebody_keeps_keeps_no_statement_running(
    engine: Engine, data_folder: Path, query: Query, limits: Limits
) -> None:
    source = many(data_folder)
    with pytest.raises(QueryLimitExceeded) as kept:
        answer(ParsedQuery(query), lambda _: source, engine, limits=limits)
    assert kept.tb is not None
    assert not engine.is_busy


def test_a_question_ends_the_statements_of_which_it_fetched_a_part(engine: Engine, data_folder: Path) -> None:
    source = many(data_folder)
    taken = []

    def work(views: Views, runner: Runner) -> Answer:
        scan = views.view("c", (Span(),)).scan((ID_COLUMN,), TRUE, Span())
        rows = runner.rows(values(scan, ID_COLUMN), views.view("c", (Span(),)).tables(scan), reads=3_000)
        taken.extend([next(rows), rows])
        assert engine.is_busy
        return Answer({})

    ends = Deadline.after(60)
    answered(work, lambda _: source, engine, limits=Limits(), ends=ends, forced_filters=(), project_id="")
    assert not engine.is_busy
    assert len(list(taken[1])) < 11_999


def test_a_question_cancelled_before_it_runs_never_reaches_the_engine(engine: Engine) -> None:
    token = CancelToken()
    token.cancel()

    def never(_: str) -> Source:
        raise AssertionError

    with pytest.raises(QueryCancelled):
        answer(
            ParsedQuery(MetricQuery("c", (Metric(Analysis.COUNT),))),
            never,
            engine,
            limits=Limits(),
            cancel=token,
        )


@pytest.mark.parametrize("pattern", ["(", "a{2000}", "(?=a)", "\\1", "[z-a]"])
def test_patterns_that_re2_refuses_are_explained(engine: Engine, pattern: str) -> None:
    assert engine.check_regex(pattern)


@pytest.mark.parametrize("pattern", ["", "^a.*b$", "(?i)é", "\\p{Greek}", "a|b"])
def test_patterns_of_re2_are_taken(engine: Engine, pattern: str) -> None:
    assert engine.check_regex(pattern) is None


def test_names_are_quoted_whatever_they_hold() -> None:
    assert name('we"ird').text == '"we""ird"'
    assert sql("{} = {}", name("a"), Statement("?", ("{}",))) == Statement('"a" = ?', ("{}",))


def test_json_holds_integers_of_any_size_and_no_infinities() -> None:
    text = json_encoding.dumps({"a": 2**70, "b": [1.5, float("inf")], "é": None}).decode()

    assert text == '{"a":1180591620717411303424,"b":[1.5,null],"é":null}'
    assert json_encoding.dumps({"a": float("nan")}) == b'{"a":null}'


def test_statements_run_while_time_passes(engine: Engine) -> None:
    """A deadline of one run is no deadline of the next."""
    with pytest.raises(QueryTimeout):
        engine.run(ENDLESS, timeout=0.05)
    time.sleep(0.1)
    assert engine.run(Statement("SELECT 1"), timeout=5) == [(1,)]
