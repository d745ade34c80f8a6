"""Whatever an answer holds, it is drawn: as sound XML, inside its box, with texts that can be read."""

from __future__ import annotations

import json
import re
from itertools import combinations
from random import Random
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.clients.charts.answers import TYPES, answer, drawing, options
from tests.clients.charts.conftest import Core, Json
from tests.clients.charts.pictures import parsed, texts
from tests.support.scale import examples

# what may stand on something else: names of annotations, and a title that was asked for in a tiny picture
LOOSE = {"acumen-annotations"}


def holds(svg: str) -> None:
    root = parsed(svg)
    _, _, width, height = (float(part) for part in root.get("viewBox", "").split())
    drawn = texts(svg)
    for text in drawn:
        if text.known:
            where = (text, width, height)
            assert text.left >= -1.5 and text.right <= width + 1.5, where
            assert text.top >= -1.5 and text.bottom <= height + 1.5, where
    fixed = [text for text in drawn if text.known and text.text and text.kind not in LOOSE]
    for one, other in combinations(fixed, 2):
        assert not one.overlaps(other), (one, other)
    for element in root.iter():
        assert element.tag.split("}")[1] in {"svg", "g", "path", "rect", "circle", "text", "title"}, (
            element.tag
        )
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on") and "href" not in name.lower(), (name, value)
            assert "NaN" not in value or name == "aria-label", (element.tag, name, value)
            assert "undefined" not in value or name == "aria-label", (element.tag, name, value)
            if name in ("fill", "stroke", "d", "transform"):
                assert "url" not in value, (name, value)


seeds = st.integers(0, 2**32)


def _asked(core: Core, seed: int, more: Json | None = None, **how: Any) -> tuple[Json, Json]:
    """A job made of a seed, and what became of it."""
    rng = Random(seed)
    job = {
        "answer": answer(rng),
        "options": {**options(rng), **(more or {})},
        "drawings": [{**drawing(rng), **how}],
    }
    note(json.dumps(job)[:5000])
    return job, core.ask(**job, csv=True)


def test_the_key_of_a_heat_map_is_cut_where_its_numbers_are_long(core: Core) -> None:
    result = [{"who": who, "to": "x", "result": number} for who, number in (("a", 0), ("b", 123_456_789.5))]
    made = core.ask(
        answer={"result": result, "query": {"analysis_type": "sum", "group_by": ["who", "to"]}},
        options={"type": "heatmap", "format": {"style": "currency", "currency": "CHF", "decimals": 6}},
        drawings=[{"width": 209, "height": 649}],
    )
    assert "error" not in made, made
    holds(made["drawn"][0]["svg"])


@settings(max_examples=examples(1500), deadline=None)
@given(seed=seeds)
def test_any_answer_is_drawn(core: Core, seed: int) -> None:
    _, made = _asked(core, seed)
    assert "error" not in made, made
    assert made["same"], "drawn otherwise after a trip through JSON"
    assert all(len(row) == len(made["table"]["columns"]) for row in made["table"]["rows"])
    holds(made["drawn"][0]["svg"])


@settings(max_examples=examples(1500), deadline=None)
@given(seed=seeds, kind=st.sampled_from(TYPES))
def test_a_type_is_drawn_or_refused_with_a_reason(core: Core, seed: int, kind: str) -> None:
    _, made = _asked(core, seed, {"type": kind})
    if "error" in made:
        assert made["name"] == "ChartError", made
        assert kind in made["error"] and "Possible: " in made["error"]
        return
    assert made["description"]["type"] == kind
    holds(made["drawn"][0]["svg"])


@settings(max_examples=examples(200), deadline=None)
@given(seed=seeds)
def test_where_css_is_unknown_no_variable_is_left(core: Core, seed: int) -> None:
    _, made = _asked(core, seed, resolve=True)
    for element in parsed(made["drawn"][0]["svg"]).iter():
        for name, value in element.attrib.items():
            assert "var(" not in value or name == "aria-label"


@settings(max_examples=examples(200), deadline=None)
@given(seed=seeds)
def test_marks_say_which_they_are(core: Core, seed: int) -> None:
    """Every mark of an interactive chart is labelled, and leads back to a value of the description."""
    _, made = _asked(core, seed, interactive=True)
    for mark in parsed(made["drawn"][0]["svg"]).iter():
        if mark.get("role") == "img":
            assert mark.get("aria-label") is not None
            assert re.fullmatch(r"\d+", mark.get("data-series", ""))
            assert re.fullmatch(r"\d+", mark.get("data-index", ""))


JUNK: list[Any] = [
    None, 0, "x", "", [], {}, [None], [[1]], [{}], True, {"value": 1}, {"toString": 1},
    {"start": "x", "end": {}}, [1, 2, 3], [{"result": 1}, {"result": 2}], [{"a": 1}, {"b": 2}],
]  # fmt: skip


def _parts(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value: what holds it, and its key there."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for key in keys for place in ((value, key), *_parts(value[key]))]


def _spoiled(rng: Random, value: Json) -> Json:
    """The answer with some parts taken away, or with something else in their place."""
    held = json.loads(json.dumps({"answer": value}))
    for _ in range(rng.randint(1, 4)):
        places = _parts(held)[1:]
        if places:
            holder, key = places[int(len(places) * rng.random() ** 3)]
            if rng.random() < 0.2:
                del holder[key]
            else:
                holder[key] = json.loads(json.dumps(rng.choice(JUNK)))
    spoiled: Json = held["answer"]
    return spoiled


@settings(max_examples=examples(1000), deadline=None)
@given(seed=seeds, kind=st.sampled_from([None, *TYPES]))
def test_a_malformed_answer_is_drawn_or_refused_with_a_reason(
    core: Core, seed: int, kind: str | None
) -> None:
    rng = Random(seed)
    job: Json = {"answer": _spoiled(rng, answer(rng)), "options": {**options(rng), "type": kind}}
    note(json.dumps(job)[:5000])
    made = core.ask(**job, drawings=[drawing(rng)], csv=True)
    assert made.get("name", "ChartError") == "ChartError", made


@pytest.mark.parametrize("answer", [{"message": "No.", "error_code": "X"}, {}, {"results": 1}])
def test_what_is_no_answer_is_refused(core: Core, answer: Json) -> None:
    assert core.refuse(answer) == answer.get("message", "This is no answer: it has no 'result'.")


def test_the_description_is_plain_json(core: Core) -> None:
    description = core.describe({"result": [{"g": "a", "result": 1}]}, now="2026-01-01T00:00:00Z")
    assert json.loads(json.dumps(description)) == description


def test_a_name_longer_than_the_picture_stands_within_it(core: Core) -> None:
    names = ["a" * 500, *(f"n{number}" for number in range(15))]
    rows = [{"g": name, "h": other, "result": 1} for name in names for other in ("x", "y")]
    job = {"answer": {"result": rows}, "options": {"type": "heatmap"}}
    made = core.ask(**job, drawings=[{"width": 360, "height": 300}])
    holds(made["drawn"][0]["svg"])
