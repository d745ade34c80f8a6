"""Long answers are written in steps, and read as if they were written at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query import json_encoding
from query.json_encoding import array, dumps, dumps_in_steps
from tests.support.scale import examples

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@settings(max_examples=examples(60))
@given(st.lists(scalars) | st.dictionaries(st.text(), st.lists(scalars)) | scalars, st.integers(1, 5))
def test_steps_make_no_difference(value: Any, step: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_encoding, "STEP_VALUES", step)
        assert json.loads(dumps_in_steps(value)) == json.loads(dumps(value))


@pytest.mark.parametrize("parts", [[], [b"1"], [b"1,2", b"3"], [b'"a"', b"{}", b"[],null"]])
def test_parts_make_one_array(parts: list[bytes]) -> None:
    whole = [value for part in parts for value in json.loads(b"[" + part + b"]")]
    assert json.loads(array(parts)) == whole
    assert parts == []
