"""One event that no parser gets through, nested beyond all measure, spoils no other of its batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bodies import splitting
from tests.service.intake import intake, run

SHAPES = {
    "objects": lambda levels: b'{"a":' * levels + b"1" + b"}" * levels,
    "lists": lambda levels: b'{"a":' + b"[" * levels + b"]" * levels + b"}",
    "both, with brackets in texts": lambda levels: b'{"a":[ "]}\\"{", ' * levels + b"1" + b"]}" * levels,
}


@pytest.mark.parametrize("levels", [102, 250, 1_100, 20_000])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lone", [True, False])
def test_the_deep_event_is_refused_and_the_others_are_taken(
    tmp_path: Path, levels: int, shape: str, lone: bool
) -> None:
    deep = SHAPES[shape](levels)
    body = b'{"c":[{"n":1},' + deep + b',{"n":2}]' + (b"" if lone else b',"d":[{"n":3}]') + b"}"

    async def scenario() -> None:
        async with intake(tmp_path / "data") as one:
            for _ in range(2):
                answer = await one.http.post(one.events, content=body)
                assert answer.status_code == 200
                first, refused, last = answer.json()["c"]
                assert (first, last) == ({"success": True}, {"success": True})
                assert refused["error"]["name"] == "InvalidPropertyValueError"
                assert "levels" in refused["error"]["description"]
                assert lone or answer.json()["d"] == [{"success": True}]
            assert len(one.lines()) == 2 * (2 if lone else 3)

    run(scenario())


@pytest.mark.parametrize(
    "body",
    [
        b'{"c":' + b"[" * 5_000,
        b'{"c":[' + b'{"a":' * 5_000 + b"1" + b"}" * 4_999 + b"]}",
        b'{"c":[' + b"[" * 5_000 + b"]" * 5_000 + b"]]}",
        b"[" * 5_000 + b"]" * 5_000,
        b'{"c":[' + b"[" * 5_000 + b"]" * 5_000 + b',{"n":"]}',
    ],
)
def test_a_deep_body_that_is_no_batch_is_a_400(tmp_path: Path, body: bytes) -> None:
    async def scenario() -> None:
        async with intake(tmp_path / "data") as one:
            answer = await one.http.post(one.events, content=body)
            assert answer.status_code == 400
            assert answer.json()["error_code"] in ("InvalidJSONError", "InvalidBatchError")

    run(scenario())


texts = st.text('[]{}\\",:a \ud83d', max_size=4)
trees = st.recursive(
    st.integers() | texts | st.sampled_from([True, None, -1.5e300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=30,
)


@given(st.lists(trees, max_size=5), st.sampled_from([None, 1]))
def test_a_list_is_split_into_what_a_parser_finds_in_it(values: list[Any], indent: int | None) -> None:
    text = json.dumps(values, indent=indent).encode()
    assert [json.loads(bytes(item)) for item in splitting.elements(text, len(values))] == values
    if values:
        with pytest.raises(splitting.TooMany):
            splitting.elements(text, len(values) - 1)


@given(st.dictionaries(st.text(max_size=3), trees, max_size=5), st.sampled_from([None, 1]))
def test_an_object_is_split_into_what_a_parser_finds_in_it(
    values: dict[str, Any], indent: int | None
) -> None:
    text = json.dumps(values, indent=indent).encode()
    found = splitting.members(text, len(values))
    assert {name: json.loads(bytes(part)) for name, part in found.items()} == values
    if values:
        with pytest.raises(splitting.TooMany):
            splitting.members(text, len(values) - 1)


@given(st.lists(trees, min_size=1, max_size=3).map(lambda values: json.dumps(values).encode()), st.data())
def test_a_list_that_is_cut_off_is_not_split(text: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(splitting.NotSplit):
        splitting.elements(text[:cut], 10)


LONG = {
    "one event of many objects": b'[{"a":[%b1]}]' % (b"{}," * 50_000),
    "one text of many escapes": b'["%b"]' % (b"\\n" * 3_000_000),
    "a text without an end": b'["%b' % (b"\\n" * 3_000_000),
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_split_takes_a_bounded_number_of_steps(text: bytes) -> None:
    with pytest.raises((splitting.TooLong, splitting.NotSplit)):
        splitting.elements(text, 10, steps_max=100)
