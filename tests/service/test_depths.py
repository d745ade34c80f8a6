"""One event that is nested beyond all measure spoils no other of its batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import depths
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


def flattened(value: Any, levels: int) -> Any:
    """The slow reference of ``cut``."""
    if isinstance(value, list | dict) and not levels:
        return 0
    if isinstance(value, list):
        return [flattened(item, levels - 1) for item in value]
    if isinstance(value, dict):
        return {name: flattened(item, levels - 1) for name, item in value.items()}
    return value


texts = st.text('[]{}\\",:a ', max_size=4)
trees = st.recursive(
    st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=30,
)


@given(trees, st.integers(1, 6), st.sampled_from([None, 1]))
def test_what_is_cut_is_what_stands_too_deep(value: Any, kept: int, indent: int | None) -> None:
    text = json.dumps(value, indent=indent).encode()
    before, depths.KEPT = depths.KEPT, kept
    try:
        assert json.loads(depths.cut(text)) == flattened(value, kept)
    finally:
        depths.KEPT = before
