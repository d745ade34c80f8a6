"""Shredding: whatever was accepted becomes typed columns, in bulk exactly as row by row."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.columns.rowwise_shredder import cell, lane_columns
from storage.columns.shredder import FramePiece, Shredder, absences, split_lines, with_system
from storage.events.strict_decoder import Checker
from storage.events.validation import Context, EventLimits, examine, kind_of, leaves
from storage.log.format import HAS_EMPTY, HAS_NULL, ROWWISE
from storage.schema import EMPTIES, EVENT_ID, NULLS, LaneKind, Schema
from tests.support.scale import examples

LIMITS = EventLimits()


@pytest.fixture(scope="module")
def shredder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shredder]:
    shredder = Shredder(tmp_path_factory.mktemp("spool"))
    yield shredder
    shredder.close()


def log(events: list[bytes], schema: Schema = Schema()) -> tuple[Schema, list[FramePiece]]:
    """The events as the write path logs them: strict check first, the rest examined."""
    pieces = []
    for number, raw in enumerate(events):
        checked = Checker(schema, LIMITS).check(raw)
        if checked is not None:
            lines, flags = checked.lines, checked.flags
        else:
            examined = examine(raw, LIMITS, Context())
            schema = schema.extended(examined.wanted)
            lines = examined.payload + b"\n"
            flags = HAS_NULL * examined.has_null | HAS_EMPTY * examined.has_empty
            if not Checker(schema, LIMITS).covers(examined.wanted):
                flags |= ROWWISE
        pieces.append(FramePiece(lines, 1, array("q", [number]).tobytes(), 7, 3, number, flags))
    return schema, pieces


def log_lists(lists: list[bytes], schema: Schema, first: int) -> list[FramePiece]:
    """Lists of events that a schema covers, as the write path logs them where the strict check passes all."""
    pieces = []
    for text in lists:
        checked = Checker(schema, LIMITS).check_list(text)
        if checked is not None:
            times = array("q", range(first, first + checked.count)).tobytes()
            pieces.append(FramePiece(checked.lines, checked.count, times, 7, 3, first, checked.flags))
            first += checked.count
    return pieces


def by_hand(schema: Schema, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The reference: every leaf of an event in the lane of its kind."""
    columns = {(lane.path, lane.kind): lane.column for lane in schema.lanes}
    rows = []
    for event in events:
        row: dict[str, Any] = {}
        for path, value in leaves(event):
            if value is not None and value != {}:
                kind = kind_of(value)
                row[columns[path, kind]] = value if isinstance(value, list) else cell(value, kind)
        rows.append(row)
    return rows


def stored(schema: Schema, table: pa.Table) -> list[dict[str, Any]]:
    lanes = table.select([name for name in table.column_names if name in schema.by_column])
    return [
        {name: spelled(schema, name, value) for name, value in row.items() if value is not None}
        for row in lanes.to_pylist()
    ]


def spelled(schema: Schema, column: str, value: Any) -> Any:
    """A list as values: how its numbers are spelled is not kept."""
    return json.loads(value) if schema.by_column[column].kind is LaneKind.JSON else value


NAMES = st.sampled_from(
    ["a", "b", "A", "price", "Price", "x y", 'quo"te', "back\\slash", "ünï", "keen2", "'", "a:string"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(2**53 - 2, 2**53 + 2),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=6),
    st.sampled_from(["5", "true", "null", "{}", "2026-01-01", "a\u0000b", "\u2028\x85"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=5)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(EVENTS, min_size=1, max_size=12))
def test_every_accepted_event_is_stored_value_by_value(
    shredder: Shredder, events: list[dict[str, Any]]
) -> None:
    raw = [json.dumps(event).encode() for event in events]
    schema, pieces = log([*raw, *raw])

    table = shredder.shred(schema, pieces)

    order = table.column(EVENT_ID).to_pylist()
    rows = dict(zip(order, stored(schema, table), strict=True))
    expected = by_hand(schema, [*events, *events])
    assert [rows[f"{3:08x}{number:016x}"] for number in range(len(expected))] == expected


@settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(EVENTS, min_size=1, max_size=12))
def test_the_bulk_reader_equals_the_row_reader(shredder: Shredder, events: list[dict[str, Any]]) -> None:
    raw = [json.dumps(event).encode() for event in events]
    schema, pieces = log([*raw, *raw])
    bulk = [piece for piece in pieces if not piece.flags & ROWWISE]
    lines = [line for piece in bulk for line in split_lines(piece.lines)]

    if bulk:
        expected = with_system(lane_columns(schema, lines), schema, bulk, [absences(piece) for piece in bulk])
        table = shredder.shred(schema, bulk).sort_by(EVENT_ID)
        assert stored(schema, table) == stored(schema, expected)
        system = [name for name in expected.column_names if name not in schema.by_column]
        assert table.select(system).equals(expected.select(system))


@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(EVENTS, min_size=1, max_size=8), st.sampled_from([None, 1]))
def test_a_list_is_stored_as_its_events_are_one_by_one(
    shredder: Shredder, events: list[dict[str, Any]], indent: int | None
) -> None:
    raw = [json.dumps(event).encode() for event in events]
    schema, pieces = log(raw)
    texts = [json.dumps(some, indent=indent).encode() for some in (events, events[:1], [], events[::-1])]
    lists = log_lists(texts, schema, first=len(events))
    bulk = [*(piece for piece in pieces if not piece.flags & ROWWISE), *lists]

    lines = [line for piece in bulk for line in split_lines(piece.lines)]
    assert len(lines) == sum(piece.count for piece in bulk)
    if lines:
        expected = with_system(lane_columns(schema, lines), schema, bulk, [absences(piece) for piece in bulk])
        table = shredder.shred(schema, bulk).sort_by(EVENT_ID)
        expected = expected.sort_by(EVENT_ID)
        assert stored(schema, table) == stored(schema, expected)
        system = [name for name in expected.column_names if name not in schema.by_column]
        assert table.select(system).equals(expected.select(system))


@pytest.mark.parametrize("seen", [b'{"a":1,"o":{"p":"x"},"l":[null]}'])
def test_a_list_is_flagged_for_nulls_of_properties_and_for_empty_objects_alone(seen: bytes) -> None:
    schema, _ = log([seen])
    checker = Checker(schema, LIMITS)

    def flags(text: bytes) -> int:
        checked = checker.check_list(text)
        assert checked is not None
        return checked.flags

    assert flags(b'[{"a":1,"l":[null,"null"],"o":{"p":"null"}},{}]') == HAS_EMPTY
    assert flags(b'[{"a":1},{"a":null}]') == HAS_NULL
    assert flags(b' [{"o":{ }}]\n') & HAS_EMPTY


def test_a_property_that_is_only_ever_null_is_known_and_checked_strictly() -> None:
    schema, _ = log([b'{"a":1,"gone":null,"o":{"p":null,"q":null}}'])
    checker = Checker(schema, LIMITS)

    assert {lane.path for lane in schema.lanes if lane.kind is LaneKind.NULL} == {"gone", "o.p", "o.q"}
    checked = checker.check(b'{"gone":null,"o":{"q":null}}')
    assert checked is not None and checked.flags == HAS_NULL
    assert checker.check(b'{"o":null,"a":null}') is not None
    assert checker.check(b'{"gone":1}') is None
    assert schema.missing([("o", LaneKind.NULL), ("a", LaneKind.NULL), ("gone", LaneKind.NULL)]) == []


def test_a_property_that_was_null_first_has_its_own_name_as_column(shredder: Shredder) -> None:
    schema, table = shred_texts(
        shredder, '{"a":null,"A":null}', '{"a":null}', '{"A":5}', '{"a":{"b":2}}', '{"a":null}', '{"A":"x"}'
    )

    assert [lane.column for lane in schema.at("A") if lane.kind is not LaneKind.NULL] == ["A", "A:string"]
    assert stored(schema, table) == [{}, {}, {"A": 5.0}, {"a.b": 2.0}, {}, {"A:string": "x"}]
    assert table.column(NULLS).to_pylist() == [["a", "A"], ["a"], None, None, ["a"], None]


def shred_texts(shredder: Shredder, *texts: str) -> tuple[Schema, pa.Table]:
    schema, pieces = log([text.encode() for text in texts])
    return schema, shredder.shred(schema, pieces).sort_by(EVENT_ID)


def test_null_and_absent_and_empty_stay_apart(shredder: Shredder) -> None:
    _, table = shred_texts(
        shredder, '{"a":1,"o":{"p":1}}', '{"a":null,"o":{"p":null}}', '{"o": { } }', '{"o":{\n}}', "{}"
    )

    assert table.column(NULLS).to_pylist() == [None, ["a", "o.p"], None, None, None]
    assert table.column(EMPTIES).to_pylist() == [None, None, ["o"], ["o"], None]


def test_the_last_of_duplicate_keys_wins_and_spoils_nothing_around_it(shredder: Shredder) -> None:
    texts = ['{"a":1,"b":"x"}'] * 20 + ['{"a":2,"a":3,"b":"y"}'] + ['{"a":4,"b":"z"}'] * 20
    _, table = shred_texts(shredder, *texts)

    assert table.column("a").to_pylist() == [1.0] * 20 + [3.0] + [4.0] * 20


@pytest.mark.parametrize("before", range(4))
def test_duplicate_keys_beside_long_texts_of_any_script_spoil_nothing(
    shredder: Shredder, before: int
) -> None:
    """What the bulk reader says of such an event quotes it, and may be cut off within a character."""
    text = "x" * before + "\U0001f600" * 30
    twice = f'{{"o":{{"a":"{text}","a":"last"}}}}'
    _, table = shred_texts(shredder, *['{"o":{"a":"x","b":1}}'] * 9, twice)

    assert table.column("o.a").to_pylist() == ["x"] * 9 + ["last"]


def test_a_path_may_hold_a_value_here_and_an_object_there(shredder: Shredder) -> None:
    schema, table = shred_texts(shredder, '{"a":1}', '{"a":{"b":2}}', '{"a":3}', '{"a":{"b":4}}', '{"a":"t"}')

    assert stored(schema, table) == [{"a": 1.0}, {"a.b": 2.0}, {"a": 3.0}, {"a.b": 4.0}, {"a:string": "t"}]


@pytest.mark.parametrize("value", ["1", '"x"', "true", "[1]"])
def test_empty_events_of_a_collection_with_one_property_hold_no_value(shredder: Shredder, value: str) -> None:
    schema, pieces = log([f'{{"a":{value}}}'.encode(), b"{}", b"{}"])

    assert stored(schema, shredder.shred(schema, pieces[1:])) == [{}, {}]


def test_names_that_differ_in_case_alone_keep_their_own_columns(shredder: Shredder) -> None:
    schema, table = shred_texts(shredder, '{"price":1}', '{"Price":2}', '{"price":3,"Price":4,"PRICE":5}')

    columns = {lane.path: lane.column for lane in schema.lanes}
    assert len({column.lower() for column in columns.values()}) == 3
    assert [table.column(columns[p]).to_pylist() for p in ("price", "Price", "PRICE")] == [
        [1.0, None, 3.0], [None, 2.0, 4.0], [None, None, 5.0],
    ]  # fmt: skip


def test_an_integer_that_no_double_holds_is_kept_to_the_last_digit(shredder: Shredder) -> None:
    big = [2**53, 2**53 + 1, -(2**63), 2**63 - 1, 2**63 + 1, 10**40 + 1]
    schema, table = shred_texts(shredder, *[f'{{"n":{value}}}' for value in big])

    kept = [next(iter(row.values())) for row in stored(schema, table)]
    assert [int(value) for value in kept] == big


def test_a_line_end_inside_an_event_is_white_space(shredder: Shredder) -> None:
    _, table = shred_texts(shredder, '{"a":1}', '{\n"a"\r\n:\t2\n}', '{"a":3}')

    assert table.column("a").to_pylist() == [1.0, 2.0, 3.0]


def test_a_list_of_conforming_events_is_checked_as_one() -> None:
    schema, _ = log([b'{"a":1,"keen":{"timestamp":"2026-01-01T00:00:00Z"}}'])
    checker = Checker(schema, LIMITS)
    times = [
        "2026-01-01T00:00:00Z",
        "2026-01-01T01:00:00+01:00",
        "2026-01-01 00:00:00.000001",
        "2025-12-31T24:00:00Z",
    ]
    bodies = [f'{{"a":{i},"keen":{{"timestamp":"{time}"}}}}' for i, time in enumerate(times)]

    checked = checker.check_list(f"[{','.join(bodies[:3])},\n{{}}]".encode())

    assert checked is not None
    assert checked.times == [1767225600000000, 1767225600000000, 1767225600000001, None]
    assert checked.count == 4
    assert split_lines(checked.lines) == [*(body.encode() for body in bodies[:3]), b"{}"]
    assert checker.check_list(f"[{bodies[3]}]".encode()) is None


@pytest.mark.parametrize("count", [1, 1_000])
@pytest.mark.parametrize("odd", ["2026-01-01 12+0100", "2026-01-01T12+01:00", "2026-01-01T12:00:00 Z"])
def test_a_text_that_is_no_time_is_none_in_a_list_of_any_length(count: int, odd: str) -> None:
    checker = Checker(Schema(), LIMITS)
    good = '{"keen":{"timestamp":"2026-01-01T12:00:00Z"}}'
    bad = good.replace("2026-01-01T12:00:00Z", odd)

    assert checker.check_list(f"[{','.join([good] * count)}]".encode()) is not None
    assert checker.check_list(f"[{','.join([good] * (count - 1) + [bad])}]".encode()) is None


@pytest.mark.parametrize(
    "event",
    [
        '{"a":"1"}', '{"b":1}', '{"a":9007199254740993}', '{"a":{"c":1}}', '{"a":1e400}', '{"a":NaN}',
        '{"a":1', '{"keen":{"id":"x"}}', '{"keen":{"timestamp":5}}', '{"keen":{"timestamp":"soon"}}',
        '{"keen":null}', "[]",
        '{"s":"${keen.ip}"}', '{"s":"' + "x" * 10_000 + '"}', '{"keen":{"addons":[]}}', '{"l":[[[[[1]]]]]}',
    ],
)  # fmt: skip
def test_what_the_lanes_do_not_cover_is_examined(event: str) -> None:
    schema, _ = log([b'{"a":1,"s":"x","l":[1,{"q":"x"}]}'])

    assert Checker(schema, LIMITS).check(event.encode()) is None


@pytest.mark.parametrize("value", [b'{"id":null}', b'{"id":{}}', b'{"id":{"x":null}}', b"{}"])
def test_an_object_without_a_value_never_becomes_the_text_of_its_path(
    shredder: Shredder, value: bytes
) -> None:
    """``user`` is a text in one event, and an object that holds no value in the next."""
    schema, pieces = log([b'{"user":"x"}', b'{"user":' + value + b"}"])
    table = shredder.shred(schema, pieces)
    assert sorted(table.column("user").to_pylist(), key=str) == [None, "x"]


@pytest.mark.parametrize("spelling", [r"\u0024{keen.ip}", r"$\u007bkeen.ip}", r"${k\u0065en.ip}"])
def test_a_placeholder_may_be_spelled_with_escapes(spelling: str) -> None:
    """The strict check leaves it to the full examination, alone and in a list."""
    schema, _ = log([b'{"ip":"x"}'])
    checker = Checker(schema, LIMITS)
    event = f'{{"ip":"{spelling}"}}'.encode()
    assert checker.check(event) is None
    assert checker.check_list(b"[" + event + b"]") is None
    assert examine(event, LIMITS, Context(ip="192.0.2.1")).payload == b'{"ip":"192.0.2.1"}'
    assert checker.check(b'{"ip":"\\u00e9"}') is not None


def test_no_column_name_holds_a_nul() -> None:
    """Arrow hands names to others as texts that end at the first NUL, which would make two names one."""
    paths = ["a", "a\0b", "a\0c", "a\N{SYMBOL FOR NULL}b"]
    schema = Schema().extended([(path, LaneKind.NUMBER) for path in paths])
    columns = [lane.column for lane in schema.lanes]
    assert [lane.path for lane in schema.lanes] == paths
    assert len(set(columns)) == len(paths)
    assert not any("\0" in column for column in columns)


def nested(names: list[str], value: int) -> bytes:
    event: object = value
    for name in reversed(names):
        event = {name: event}
    return json.dumps(event).encode()


@pytest.mark.parametrize("names", [["x" * 250] * 3, list("abcdefghij")], ids=["long", "deep"])
def test_paths_that_would_make_a_huge_statement_are_read_row_by_row(
    shredder: Shredder, names: list[str]
) -> None:
    events = [nested([*names[:-1], f"{number}{names[-1]}"], number) for number in range(20)]
    schema, pieces = log([b'{"plain":1}', *events, b'{"plain":2}'])
    table = shredder.shred(schema, pieces)
    assert sorted(v for v in table.column("plain").to_pylist() if v is not None) == [1.0, 2.0]
    for number in range(20):
        column = ".".join([*names[:-1], f"{number}{names[-1]}"])
        assert [v for v in table.column(column).to_pylist() if v is not None] == [float(number)]
    checker = Checker(schema, LIMITS)
    assert checker.check(events[0]) is None
    assert not checker.covers([(schema.lanes[-1].path, LaneKind.NUMBER)])
    assert checker.covers([("plain", LaneKind.NUMBER)])
