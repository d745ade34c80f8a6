"""What operations make of rows, and what a definition or an operation that is wrong is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from query.transforms.fields import InvalidPipeline
from query.untrusted.confinement import available
from service.pipelines.definition import read_folder
from service.pipelines.execution import DerivationFailed
from service.pipelines.simulation import GoldenResult, run_golden
from storage.columns.shredder import Shredder
from tests.service.pipelines.bench import DAY_US, PipelineBench
from tests.service.pipelines.times import text_at


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PipelineBench]:
    made = PipelineBench(tmp_path)
    try:
        yield made
    finally:
        made.close()


HEAD = """
owner = "data@shop.example"
[pipelines.made]
from = "given"
into = "made"
"""


def _derived(bench: PipelineBench, steps: str, *events: dict[str, Any], **files: str) -> list[dict[str, Any]]:
    """The rows of a pipeline with these steps; the events have their times in order, a second apart."""
    day = bench.now_us // DAY_US * DAY_US
    bench.send(
        "given",
        [{"keen": {"timestamp": text_at(day + n * 1_000_000)}, **event} for n, event in enumerate(events)],
    )
    bench.write(HEAD + steps, **files)
    bench.apply()
    bench.derive()
    assert [one.problem for one in bench.buckets("made")] == [None]
    (found,) = bench.store.catalog.collections.named(bench.store.project, ["made"])
    paths = {column: lane.path for column, lane in found.schema.by_column.items()}
    return [
        {paths[key]: value for key, value in row.items() if key != "keen.timestamp"}
        for row in bench.rows("made")
    ]


def _problem(bench: PipelineBench, steps: str, **files: str) -> str:
    bench.send("given", [{"keen": {"timestamp": text_at(bench.now_us)}, "n": 1, "text": "nope"}])
    bench.write(HEAD + steps, **files)
    bench.apply()
    bench.derive()
    (bucket,) = bench.buckets("made")
    assert bucket.problem is not None
    return bucket.problem


def _sorted(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def test_values_of_several_kinds_keep_their_kinds(bench: PipelineBench) -> None:
    rows = _derived(bench, "", {"v": 1}, {"v": "1"}, {"v": True}, {"v": [1, "x"]}, {"v": {"a": 1}})
    kinds = ({"v": 1.0}, {"v": "1"}, {"v": True}, {"v": '[1,"x"]'}, {"v.a": 1.0})
    assert _sorted(rows) == _sorted(list(kinds))
    (found,) = bench.store.catalog.collections.named(bench.store.project, ["made"])
    lanes = {(lane.path, str(lane.kind)) for lane in found.schema.lanes if lane.path.startswith("v")}
    assert {"json", "boolean", "number", "string"} <= {kind for path, kind in lanes if path == "v"}


def test_elements_of_a_list_are_stored_as_what_they_are(bench: PipelineBench) -> None:
    steps = 'steps = [{ explode = "items", as = "item" }, { select = ["item"] }]'
    rows = _derived(bench, steps, {"items": ["x", 2, {"sku": "a", "n": 1}]}, {"items": []}, {"n": 1})
    assert _sorted(rows) == _sorted([{"item": "x"}, {"item": 2.0}, {"item.sku": "a", "item.n": 1.0}])


def test_two_columns_give_no_row_two_values_at_one_path(bench: PipelineBench) -> None:
    steps = 'steps = [{ compute = { "a.b" = "n" , a = "{\'b\': \'x\'}" } }]'
    assert (
        _problem(bench, steps)
        == "The column 'a.b' gives values to 'a.b', as another column does: rename one."
    )


@pytest.mark.parametrize("frame", ["arrow", "pandas", "polars"])
def test_python_keeps_lists_lists(bench: PipelineBench, frame: str) -> None:
    steps = f'''
steps = [{{ python = "same:same", frame = "{frame}" }}, {{ compute = {{ first = "tags[0]" }} }}]'''
    rows = _derived(bench, steps, {"tags": ["x", "y"]}, same_py="def same(rows):\n    return rows\n")
    assert rows == [{"tags": '["x","y"]', "first": "x"}]
    (found,) = bench.store.catalog.collections.named(bench.store.project, ["made"])
    assert ("tags", "json") in {(lane.path, str(lane.kind)) for lane in found.schema.lanes}


def test_sql_may_have_its_own_with_and_comments(bench: PipelineBench) -> None:
    steps = """
[[pipelines.made.steps]]
where = "n > 1 -- not the first"
[[pipelines.made.steps]]
compute = { m = "n * 2 -- twice" }
[[pipelines.made.steps]]
sql = '''
WITH large AS (SELECT * FROM input WHERE m > 4)
SELECT m, "keen.timestamp" FROM large -- those alone
'''
"""
    assert _derived(bench, steps, {"n": 1}, {"n": 2}, {"n": 3}) == [{"m": 6.0}]


def test_an_aggregate_of_no_rows_is_no_row(bench: PipelineBench) -> None:
    steps = 'steps = [{ where = "n > 5" }, { aggregate = { values = { n = "count" } } }]'
    assert _derived(bench, steps, {"n": 1}) == []


@pytest.mark.parametrize("since", ["2026-01-01", "2026-01-01T00:00:00Z", "x"])
def test_a_reference_may_be_valid_from_a_day_or_an_instant(bench: PipelineBench, since: str) -> None:
    day = bench.now_us // DAY_US * DAY_US
    first, second = text_at(day - DAY_US), text_at(day + 1_500_000)
    steps = """
steps = [{ lookup = "rates", on = ["code"], take = ["rate"], valid_from = "since" }]
[references.rates]
file = "rates.csv"
"""
    if since == "x":
        rates = f"code,rate,since\nDE,1,x{first}\n"
        assert "steps[0]: " in _problem(
            bench, steps.replace('["code"]', '{ text = "code" }'), rates_csv=rates
        )
        return
    rates = f"code,rate,since\nDE,1,{since}\nDE,2,{first}\nDE,3,{second}\n"
    rows = _derived(bench, steps, {"code": "DE"}, {"code": "DE"}, {"code": "DE"}, rates_csv=rates)
    assert sorted(row["rate"] for row in rows) == [2, 2, 3]


def test_parts_take_the_values_of_for(bench: PipelineBench) -> None:
    bench.send(
        "given", [{"keen": {"timestamp": text_at(bench.now_us)}, "c": one} for one in ("DE", "FR", "FR")]
    )
    bench.write("""
owner = "me"
[pipelines."of_{c}"]
from = "given"
into = "of_{c}"
for = { c = ["DE", "FR"] }
steps = [{ use = "only" }, { aggregate = { values = { n = "count" } } }]
[parts.only]
steps = [{ where = "c = '{c}'" }]
""")
    bench.apply()
    bench.derive()
    assert [bench.rows(name)[0]["n"] for name in ("of_DE", "of_FR")] == [1, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('steps = [{ mask = [["a"]] }]', "pipelines.made.steps[0].mask: must be a text or a list of texts"),
        ('steps = [{ use = "x" }]', "pipelines.made.steps[0].use: there is no part 'x' in [parts]."),
        ('steps = [{ use = "x" }]\n[parts.x]\nsteps = 5', "parts.x.steps: must be a list of operations"),
        (
            'steps = [{ use = "x" }]\n[parts.x]\nstep = []',
            "parts.x: has no key 'step'. Did you mean 'steps'?",
        ),
    ],
)
def test_a_wrong_definition_says_where(bench: PipelineBench, text: str, said: str) -> None:
    bench.write(HEAD + text)
    with pytest.raises(InvalidPipeline) as raised:
        bench.apply()
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize("name", ["$made", "_made", "x" * 300, "a\\u0000", "Ärger"])
def test_an_output_has_the_name_of_a_collection(bench: PipelineBench, name: str) -> None:
    bench.write(HEAD.replace('into = "made"', f'into = "{name}"'))
    with pytest.raises(InvalidPipeline, match=r"pipelines\.made\.into: Event collection name is invalid"):
        bench.apply()


def test_an_error_of_an_operation_is_a_sentence_with_its_place(bench: PipelineBench) -> None:
    parse = 'steps = [{ where = "1=1" }, { parse = { column = "text", to = "date", on_error = "fail" } }]'
    said = _problem(bench, parse)
    assert said.startswith("steps[0] to steps[1]: ") and "\n" not in said
    assert _problem(bench, 'steps = [{ where = "nn = 1" }]').startswith("steps[0]: ")


@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)"])
def test_python_that_ends_its_process_is_told(bench: PipelineBench, end: str) -> None:
    code = f"import os, sys\n\n\ndef stop(rows):\n    print('so far', flush=True)\n    {end}\n"
    said = _problem(bench, 'steps = [{ python = "stops:stop" }]', stops_py=code)
    assert (
        said.startswith("steps[0]: stops:stop ended its process before it returned rows") and "so far" in said
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "raise ValueError('boom')",
            'steps[0]: wrong:make failed:\nTraceback (most recent call last):\n  File "',
        ),
        ("import nothere", "steps[0]: wrong:make failed:\nTraceback"),
        (
            "return rows.append_column('keen.timestamp', rows.column('keen.timestamp'))",
            "steps[0]: wrong:make returned the column 'keen.timestamp' more than once: rename or drop one.",
        ),
        (
            "return rows.append_column('b', [[b'x']])",
            "The column 'b' has bytes, which JSON has no form for: cast it to text, as by hex(…).",
        ),
        ("return 5", "steps[0]: wrong:make failed:\nwrong:make returned a int: return an Arrow table"),
    ],
)
def test_python_that_is_wrong_is_told_where(bench: PipelineBench, body: str, said: str) -> None:
    problem = _problem(
        bench, 'steps = [{ python = "wrong:make" }]', wrong_py=f"def make(rows):\n    {body}\n"
    )
    assert problem.startswith(said)
    assert "python_process" not in problem and "importlib" not in problem


def test_a_missing_module_is_told_without_the_calls_of_python(bench: PipelineBench) -> None:
    problem = _problem(bench, 'steps = [{ python = "nothere:make" }]')
    assert problem == "steps[0]: nothere:make failed:\nModuleNotFoundError: No module named 'nothere'"


def test_limits_are_named_as_those_of_pipelines(tmp_path: Path) -> None:
    bench = PipelineBench(tmp_path, pipeline_rows_max=10)
    try:
        many = """steps = [{ sql = 'SELECT "keen.timestamp", i.range AS i FROM input, range(50) AS i' }]"""
        assert "ACUMEN_PIPELINE_ROWS_MAX" in _problem(bench, many)
        bench.write(
            HEAD + 'steps = [{ python = "many:make" }]',
            many_py="def make(rows):\n    return rows.take([0] * 11)\n",
        )
        bench.apply()
        bench.derive()
        (bucket,) = bench.buckets("made")
        assert bucket.problem is not None
        assert bucket.problem.startswith(
            "steps[0]: many:make returned 11 rows, more than the 10 of ACUMEN_PIPELINE_"
        )
    finally:
        bench.close()
    bench = PipelineBench(tmp_path, pipeline_timeout_seconds=2)
    try:
        bench.write(
            HEAD
            + """steps = [{ sql = '''SELECT min("keen.timestamp") AS "keen.timestamp",
            sum(a.range * b.range) AS s FROM input, range(1000000) a, range(1000000) b''' }]"""
        )
        bench.apply()
        bench.derive()
        (bucket,) = bench.buckets("made")
        assert bucket.problem is not None and "ACUMEN_PIPELINE_TIMEOUT_SECONDS" in bucket.problem
    finally:
        bench.close()


GOLDEN = HEAD + 'steps = [{ aggregate = { values = { n = "count", "max.n" = { maximum = "n" } } } }]'


def _golden(bench: PipelineBench, expected: str) -> GoldenResult:
    bench.write(GOLDEN)
    place = bench.folder / "golden" / "made"
    place.mkdir(parents=True)
    (place / "given.ndjson").write_text('{"keen": {"timestamp": "2026-01-01T10:00:00Z"}, "n": 2}\n')
    (place / "expected.ndjson").write_text(expected)
    (definition,) = read_folder(bench.folder, bench.around).pipelines
    shredder = Shredder(bench.store.folder.spool / "golden")
    try:
        return run_golden(bench.folder, definition, bench.toolbox.deriver(bench.folder), shredder)
    finally:
        shredder.close()


@pytest.mark.parametrize(
    "row",
    [
        '{"keen.timestamp": "2026-01-01T00:00:00.000Z", "n": 1, "max.n": 2}',
        '{"keen": {"timestamp": "2026-01-01T00:00:00Z"}, "n": 1.0, "max": {"n": 2}, "other": null}',
        '{"keen.timestamp": "2026-01-01T01:00:00+01:00", "n": 1, "max.n": 2}',
    ],
)
def test_expected_rows_may_be_written_as_events(bench: PipelineBench, row: str) -> None:
    assert _golden(bench, row).equal


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("nope", "expected.ndjson, line 1: is no JSON: "),
        ("[1]", "expected.ndjson, line 1: must be an object"),
        ('{"n": 1}', "expected.ndjson, line 1: an expected row needs a keen.timestamp."),
    ],
)
def test_a_wrong_expected_row_is_told_by_its_line(bench: PipelineBench, row: str, said: str) -> None:
    with pytest.raises(DerivationFailed) as raised:
        _golden(bench, row)
    assert str(raised.value).startswith(said)


@pytest.mark.skipif(not available().seccomp, reason="the kernel has no seccomp filters")
@pytest.mark.parametrize(
    "body",
    [
        'socket.create_connection(("127.0.0.1", 9))',
        'subprocess.run(["true"])',
    ],
)
def test_python_opens_no_connection_and_starts_no_program(bench: PipelineBench, body: str) -> None:
    code = f"import socket, subprocess\ndef make(rows):\n    {body}\n    return rows\n"
    problem = _problem(bench, 'steps = [{ python = "goes:make" }]', goes_py=code)
    assert "PermissionError" in problem


def test_python_may_be_asynchronous_and_have_threads(bench: PipelineBench) -> None:
    code = (
        "import asyncio\n"
        "async def make(rows):\n"
        "    assert await asyncio.to_thread(lambda: 1) == 1\n"
        "    await asyncio.sleep(0)\n"
        "    return rows\n"
    )
    assert _derived(bench, 'steps = [{ python = "later:make" }]', {"n": 1}, later_py=code) == [{"n": 1.0}]
