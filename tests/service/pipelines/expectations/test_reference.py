"""Expectations against a slow reading of their rules: what passes, what is set aside, what is reported."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.pipelines.expectations.reports import reports_of
from tests.service.pipelines.bench import DAY_US, PipelineBench
from tests.service.pipelines.expectations.test_rules import SHOPS, stored
from tests.service.pipelines.times import text_at
from tests.support.scale import examples

Event = dict[str, Any]
COLUMNS = ("a", "b")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2, 5, 2.5]),
    st.sampled_from(["", "1", "DE", "FR", "it", "x@y"]),
    st.sampled_from([["DE"], [1, 2]]),
)
HEAD = """
owner = "data@shop.example"
[references.shops]
file = "shops.csv"
unique = "code"
[pipelines.made]
from = "given"
into = "made"
columns = {{ n = "integer" }}
steps = [{}]
"""


@dataclass(frozen=True)
class Rule:
    """As the file has it, what reports call it, and whether a value that is there keeps it."""

    key: str
    given: str
    label: str
    column: str
    keeps: Callable[[Any], bool]

    def breaks(self, event: Event) -> bool:
        value = event.get(self.column)
        return value is None if self.key == "required" else value is not None and not self.keeps(value)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def text(value: Any) -> Any:
    """What a pattern looks at."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(f'"{one}"' if isinstance(one, str) else str(one) for one in value) + "]"
    return value if isinstance(value, str) else f"{value:g}"


def rules_of(column: str) -> list[Rule]:
    return [
        Rule("required", f'["{column}"]', f"required: {column}", column, lambda _: True),
        Rule("types", f'{{ {column} = "number" }}', f"type: {column} is number", column, is_number),
        Rule(
            "types",
            f'{{ {column} = "string" }}',
            f"type: {column} is string",
            column,
            lambda value: isinstance(value, str),
        ),
        Rule(
            "range",
            f"{{ {column} = {{ min = 0, max = 2 }} }}",
            f"range: {column} from 0 to 2",
            column,
            lambda value: is_number(value) and 0 <= value <= 2,
        ),
        Rule(
            "pattern",
            f"{{ {column} = '^[A-Z1@xy]+$' }}",
            f"pattern: {column} matches ^[A-Z1@xy]+$",
            column,
            lambda value: bool(text(value)) and set(text(value)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ1@xy"),
        ),
        Rule(
            "one_of",
            f'{{ {column} = ["DE", 1, true] }}',
            f'one of: {column} in "DE", 1, true',
            column,
            lambda value: value is True or (not isinstance(value, bool) and value in ("DE", 1)),
        ),
    ]


@dataclass(frozen=True)
class Expectation:
    name: str
    severity: str
    rules: tuple[Rule, ...]

    def step(self) -> str:
        given = ", ".join(f"{rule.key} = {rule.given}" for rule in self.rules)
        return f"{{ expect = '{self.name}', severity = '{self.severity}', {given} }}"


@st.composite
def expectations(draw: st.DrawFn) -> list[Expectation]:
    found = []
    for number in range(draw(st.integers(1, 3))):
        every = {rule.label: rule for column in COLUMNS for rule in rules_of(column)}
        chosen = draw(st.lists(st.sampled_from(sorted(every)), min_size=1, max_size=3, unique=True))
        # A file has each kind of rule once in a step.
        by_key = {every[label].key: every[label] for label in chosen}
        severity = draw(st.sampled_from(["warn", "quarantine", "quarantine"]))
        found.append(Expectation(f"no {number}", severity, tuple(by_key.values())))
    return found


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    rows = draw(st.lists(st.dictionaries(st.sampled_from(COLUMNS), VALUES), min_size=1, max_size=12))
    # Each column is there, so that no rule names an unknown one.
    return [{"a": 1, "b": "DE"}, *rows]


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(given=events(), checked=expectations())
def test_what_passes_and_what_is_set_aside(given: list[Event], checked: list[Expectation]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = PipelineBench(Path(folder))
        try:
            day = bench.now_us // DAY_US * DAY_US
            sent = [
                {"keen": {"timestamp": text_at(day + n * 1_000_000)}, "n": n, **event}
                for n, event in enumerate(given)
            ]
            bench.send("given", sent)
            bench.write(HEAD.format(", ".join(one.step() for one in checked)), shops_csv=SHOPS)
            bench.apply()
            bench.derive()
            compare(bench, sent, checked)
        finally:
            bench.close()


def compare(bench: PipelineBench, sent: list[Event], checked: list[Expectation]) -> None:
    passing, aside = list(sent), []
    (bucket,) = bench.buckets("made")
    assert bucket.problem is None, bucket.problem
    reported = {one.name: one for one in reports_of(bucket.report)}
    assert list(reported) == [one.name for one in checked]
    for one in checked:
        broken = {event["n"]: [rule.label for rule in one.rules if rule.breaks(event)] for event in passing}
        faulty = [n for n, labels in broken.items() if labels]
        counts = Counter(label for labels in broken.values() for label in labels)
        report = reported[one.name]
        assert (report.rows, report.faulty) == (len(passing), len(faulty))
        assert {rule.rule: rule.broken for rule in report.rules} == {
            rule.label: counts[rule.label] for rule in one.rules
        }
        if one.severity == "quarantine":
            aside += [(n, one.name, sorted(broken[n])) for n in faulty]
            passing = [event for event in passing if event["n"] not in faulty]
    assert [row["n"] for row in stored(bench, "made")] == [event["n"] for event in passing]
    found = [] if not aside else stored(bench, "made_quarantine")
    told = [(row["row.n"], row["expectation"], sorted(json.loads(row["rules"]))) for row in found]
    assert sorted(told) == sorted(aside)
    assert bucket.quarantined == len(aside)
    assert bucket.rows_in == len(sent) == bucket.rows_out + bucket.quarantined
