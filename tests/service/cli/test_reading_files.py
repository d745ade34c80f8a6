"""``acumen files --sql``, ``--polars``, ``--pandas``, ``--spark``: what they print reads the files right."""

from __future__ import annotations

import ast
import gc
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import reader_code
from service.reader_code import PLACES_MAX, CollectionListing, ReadFile, numbers_of
from storage.files.parquet import digits_in, magnitudes, places_in
from storage.schema import ARROW_TYPES, CREATED_AT, EVENT_ID, TIMESTAMP, LaneKind, Schema
from tests.service.reading import (
    COLLECTION,
    FOLDER,
    Written,
    expected,
    in_sql,
    of_duckdb,
    of_pandas,
    of_polars,
    printed,
    run,
)
from tests.support.scale import examples

READERS = {"--sql": of_duckdb, "--polars": of_polars, "--pandas": of_pandas}
OPTIONS = [f"--{option}" for option in reader_code.READERS]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    made = Written(tmp_path_factory.mktemp("read") / FOLDER)
    yield made
    made.whole.close()


@pytest.mark.parametrize(("option", "read"), READERS.items())
def test_a_reader_answers_as_the_api_does(
    written: Written, option: str, read: Callable[[str], dict[str, Any]]
) -> None:
    assert len({file.marked for file in written.whole.catalog.files.live()}) == 2, "files of both kinds"
    assert read(written.printed(option)) == expected(written)


@pytest.mark.parametrize("option", OPTIONS)
def test_of_events_in_no_file_yet_it_prints_a_comment(written: Written, option: str) -> None:
    project = written.whole.new_project()
    written.whole.record(project, "new", [{"n": 1}])
    (line,) = printed(written.whole, option, project=project.id, collection="new").splitlines()
    assert line.startswith("-- " if option == "--sql" else "# ")
    assert '"new" has no Parquet file yet' in line


def test_without_a_file_the_list_is_empty_and_stderr_says_why(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    project = written.whole.new_project()
    written.whole.record(project, "new", [{"n": 1}])
    assert printed(written.whole, project=project.id, collection="new") == ""
    assert "no Parquet file yet" in capsys.readouterr().err


@pytest.mark.parametrize("option", OPTIONS)
def test_a_damaged_file_is_left_out_and_named(written: Written, option: str) -> None:
    catalog = written.whole.catalog
    first, second = catalog.files.live(catalog.collections.get(written.project.id, COLLECTION).id)
    catalog.files.set_aside(first.id, "a bit is flipped")
    try:
        code = written.printed(option)
        listed = written.printed()
    finally:
        catalog.files.set_aside(first.id, None)
    comments = [line for line in code.splitlines() if line.startswith(("-- Left out", "# Left out"))]
    assert len(comments) == 1 and f"/{first.id}.parquet" in comments[0]
    assert code.count(f"/{first.id}.parquet") == 1
    assert f"/{second.id}.parquet" in code
    assert listed == f"{catalog.folder.absolute(second.path)}\n"


# Any name, and any numbers


def collected(
    path: Path, values: dict[str, Sequence[int | float]], collection: str = "events"
) -> CollectionListing:
    """One file of properties that hold these numbers."""
    rows = max(map(len, values.values()))
    schema, columns = Schema(), {}
    for name, numbers in values.items():
        schema = schema.extended((name, kind_of(number)) for number in numbers)
        for lane in schema.at(name):
            held = [number if kind_of(number) is lane.kind else None for number in numbers]
            cast = {LaneKind.LONG: str, LaneKind.NUMBER: float}.get(lane.kind, int)
            cells = [None if number is None else cast(number) for number in held]
            cells += [None] * (rows - len(cells))
            columns[lane.column] = pa.array(cells, ARROW_TYPES[lane.kind])
    instants = pa.array([0] * rows, pa.timestamp("us", "UTC"))
    system = {TIMESTAMP: instants, CREATED_AT: instants, EVENT_ID: pa.array(map(str, range(rows)))}
    table = pa.table(system | columns)
    pq.write_table(table, path, store_schema=False)
    file = ReadFile(str(path), rows, magnitudes(table), True)
    numbers_held = numbers_of(
        schema,
        [file],
        lambda file, column: places_in(file.path, column, PLACES_MAX),
        lambda file, column: digits_in(file.path, column),
    )
    return CollectionListing(collection, schema, [file], numbers_held, ["a comment"])


def kind_of(number: int | float) -> LaneKind:
    if isinstance(number, float) or float(number) == number:
        return LaneKind.NUMBER
    return LaneKind.INTEGER if abs(number) < 2**63 else LaneKind.LONG


def totals(made: CollectionListing) -> Iterator[dict[str, Any]]:
    """Of the computed columns, by each reader."""
    columns = [one.name for one in made.numbers]
    if not columns:
        return
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(reader_code.sql(made))
        (view,) = (
            connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchone() or ()
        )
        quoted = '"' + view.replace('"', '""') + '"'
        names = [row[0] for row in connection.execute(f"DESCRIBE {quoted}").fetchall()]
        sums = ", ".join(f"sum(#{names.index(in_sql(column)) + 1})" for column in columns)
        yield dict(
            zip(columns, connection.execute(f"SELECT {sums} FROM {quoted}").fetchone() or (), strict=True)
        )
    lazy = run(reader_code.polars(made)).collect()
    yield {column: lazy[column].sum() for column in columns}
    frame = run(reader_code.pandas(made))
    yield {column: frame[column].sum() for column in columns}


names = st.text(min_size=1, max_size=12).filter(lambda name: "." not in name and not name.startswith("$"))
hostile_names = st.text("\"'`\\\n\r\t;-/*^$#{}[]() \u2028\u202e\x00\x1bx", min_size=1, max_size=8).filter(
    lambda name: not name.startswith("$")
)
titles = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(names | hostile_names, min_size=1, max_size=3, unique=True), titles)
def test_no_name_breaks_out_of_the_code(
    tmp_path_factory: pytest.TempPathFactory, properties: list[str], title: str
) -> None:
    path = tmp_path_factory.mktemp("names") / "1.parquet"
    tame = collected(path, {f"tame{n}": [2**53 + 1, 2] for n, _ in enumerate(properties)})
    made = collected(path, {name: [2**53 + 1, 2] for name in properties}, title)
    assert [statement.type.name for statement in duckdb.extract_statements(reader_code.sql(made))] == [
        "CREATE"
    ]
    for write in (reader_code.pandas, reader_code.spark):
        assert shape_of(write(made)) == shape_of(write(tame))
    for code in (reader_code.polars(made), reader_code.pandas(made), reader_code.spark(made)):
        assert code.isascii() or all(line.isprintable() for line in code.splitlines())
    for found in totals(made):
        assert set(map(int, found.values())) == {2**53 + 3}
        assert len(found) == len(properties)


def shape_of(code: str) -> str:
    """The code's syntax, whatever its texts are."""
    # Python 3.11 fails where a garbage collection within the parsing parses something else.
    gc.disable()
    try:
        tree = ast.parse(code)
    finally:
        gc.enable()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


cents = st.integers(-(10**9), 10**9).map(lambda n: n / 100)
integers = st.integers(-(10**25), 10**25) | st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
awkward = st.sampled_from([9007199254740991, 2**80 + 2**40, 123456789012347, -8.7, 0.1, 0.3, 2**53 + 1])


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(integers | cents | awkward, min_size=1, max_size=20))
def test_a_property_is_totalled_exactly_over_its_columns(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int | float]
) -> None:
    made = collected(tmp_path_factory.mktemp("numbers") / "1.parquet", {"n": numbers})
    exact = sum(Decimal(number if isinstance(number, int) else str(number)) for number in numbers)
    for found in totals(made):
        assert [Decimal(total) for total in found.values()] == [exact], reader_code.sql(made)
    assert bool(made.numbers) == any(kind_of(number) is not LaneKind.NUMBER for number in numbers)


def test_integers_of_any_length_are_totalled_where_the_reader_can(tmp_path: Path) -> None:
    made = collected(tmp_path / "1.parquet", {"n": [2**200 + 1, 5], "long": [10**90 + 1, 5]})
    by_duckdb, by_polars, by_pandas = totals(made)
    assert int(by_duckdb["n:decimal"]) == int(by_pandas["n:decimal"]) == 2**200 + 6
    assert int(by_duckdb["long:decimal"]) == 10**90 + 6
    assert by_polars == {"n:decimal": float(2**200), "long:decimal": 1e90}
    assert by_pandas["long:decimal"] == 1e90
    assert "integers of 91 digits" in reader_code.pandas(made)


def test_doubles_that_need_more_places_than_a_decimal_has_are_rounded_and_it_is_said(tmp_path: Path) -> None:
    made = collected(tmp_path / "1.parquet", {"n": [2**53 + 1, 1e-20, 0.1 + 0.2]})
    for found in totals(made):
        assert Decimal(found["n:decimal"]) == pytest.approx(
            Decimal("9007199254740993.3"), abs=Decimal("1e-12")
        )
    for write in (reader_code.sql, reader_code.polars, reader_code.pandas, reader_code.spark):
        assert f"rounded to {PLACES_MAX} decimal places" in write(made)
