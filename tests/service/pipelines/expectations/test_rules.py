"""Which rows each rule of an expectation lets pass, what it says of them, and where the others go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from query.transforms.fields import InvalidPipeline
from service.pipelines.expectations.reports import ExpectationReport, reports_of
from storage.catalog.derived.pipeline_records import BucketState
from storage.catalog.stored.records import ErasureKind
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
[references.shops]
file = "shops.csv"
unique = "code"
[pipelines.made]
from = "given"
into = "made"
"""
SHOPS = "code,name\nDE,Berlin\nFR,Lyon\n"


def send(bench: PipelineBench, *events: dict[str, Any]) -> None:
    """Events a second apart, at the beginning of the day."""
    day = bench.now_us // DAY_US * DAY_US
    bench.send(
        "given",
        [{"keen": {"timestamp": text_at(day + n * 1_000_000)}, **event} for n, event in enumerate(events)],
    )


def derive(bench: PipelineBench, steps: str) -> None:
    bench.write(HEAD + steps, shops_csv=SHOPS)
    bench.apply()
    bench.derive()


def stored(bench: PipelineBench, collection: str) -> list[dict[str, Any]]:
    """The rows of a collection by property, in the order of their times."""
    (found,) = bench.store.catalog.collections.named(bench.store.project, [collection])
    paths = {column: lane.path for column, lane in found.schema.by_column.items()}
    rows = sorted(bench.rows(collection), key=lambda row: row["keen.timestamp"])
    return [{paths[key]: value for key, value in row.items() if key in paths} for row in rows]


def reports(bench: PipelineBench) -> list[ExpectationReport]:
    (bucket,) = bench.buckets("made")
    return reports_of(bucket.report)


RULES: dict[str, tuple[str, list[Any], list[Any]]] = {
    "required": ('required = ["v"]', ["a", 0, False, [], ""], [None, ...]),
    "number": ('types = { v = "number" }', [1, 1.5, -3, None, ...], ["1", True, [1]]),
    "integer": ('types = { v = "integer" }', [1, 2.0, None], [1.5, "1", True]),
    "string": ('types = { v = "string" }', ["", "1", None], [1, True, ["a"]]),
    "boolean": ('types = { v = "boolean" }', [True, False, None], [0, "true"]),
    "datetime": (
        'types = { v = "datetime" }',
        ["2026-01-31T10:00:00Z", "2026-01-31T10:00:00+02:00", None],
        ["soon", 5],
    ),
    "date": ('types = { v = "date" }', ["2026-01-31", None], ["2026-02-31", 20260131]),
    "range": ("range = { v = { min = 1, max = 5 } }", [1, 5, 2.5, None], [0.99, 5.01, -7, "3", True]),
    "at most": ("range = { v = { max = 5 } }", [5, -1e9, None], [6, "1"]),
    "instants": (
        "range = { v = { min = 2026-01-01T00:00:00Z, max = '2026-02-01T00:00:00+01:00' } }",
        ["2026-01-01T00:00:00Z", "2026-01-31T23:00:00Z", None],
        ["2025-12-31T23:59:59Z", "2026-01-31T23:00:01Z", "later", 7],
    ),
    "pattern": ("pattern = { v = '^[^@ ]+@[^@ ]+$' }", ["a@b", None], ["a", "a b@c", "", 3]),
    "one of": (
        'one_of = { v = ["EUR", 2, true] }',
        ["EUR", 2, 2.0, True, None],
        ["eur", "2", 3, False, "true", ["EUR"]],
    ),
    "in reference": ('in_reference = { v = "shops.code" }', ["DE", "FR", None], ["IT", "de", ""]),
    "holds": ("holds = 'n < 3 OR v IS NULL'", [1, 2, 3], [4, 5]),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_sets_the_rows_aside_that_break_it(bench: PipelineBench, name: str) -> None:
    rule, good, bad = RULES[name]
    events = [{"n": n, **({} if value is ... else {"v": value})} for n, value in enumerate(good + bad)]
    send(bench, *events)
    derive(bench, f"steps = [{{ expect = 'it', {rule}, severity = 'quarantine' }}]")

    assert [row["n"] for row in stored(bench, "made")] == list(range(len(good)))
    aside = stored(bench, "made_quarantine")
    assert [row["row.n"] for row in aside] == list(range(len(good), len(events)))
    assert all(row["expectation"] == "it" and '": ' not in row["rules"] for row in aside)
    (report,) = reports(bench)
    assert (report.rows, report.faulty, report.broken) == (len(events), len(bad), False)
    assert [one.broken for one in report.rules] == [len(bad)]
    (bucket,) = bench.buckets("made")
    assert (bucket.rows_in, bucket.rows_out, bucket.quarantined) == (len(events), len(good), len(bad))


def test_of_rows_with_equal_keys_the_first_stays(bench: PipelineBench) -> None:
    keys = [("a", 1), ("a", 2), ("a", 1), (None, 1), (None, 1), ("b", 1), ("a", 1)]
    send(bench, *({"shop": shop, "number": number, "n": n} for n, (shop, number) in enumerate(keys)))
    derive(bench, "steps = [{ expect = 'orders', unique = ['shop', 'number'], severity = 'quarantine' }]")
    assert [row["n"] for row in stored(bench, "made")] == [0, 1, 3, 4, 5]
    assert [row["row.n"] for row in stored(bench, "made_quarantine")] == [2, 6]


def test_a_warning_keeps_all_rows_and_says_what_it_found(bench: PipelineBench) -> None:
    send(bench, {"price": 5}, {"price": -1}, {"price": None})
    derive(
        bench,
        "steps = [{ expect = 'prices', required = 'price', range = { price = { min = 0 } } }, "
        "{ expect = 'few', required = 'price', tolerate = 0.5 }]",
    )
    assert len(stored(bench, "made")) == 3
    prices, few = reports(bench)
    assert (prices.broken, prices.rows, prices.faulty) == (True, 3, 2)
    assert [(one.rule, one.broken) for one in prices.rules] == [
        ("required: price", 1),
        ("range: price at least 0", 1),
    ]
    assert (few.broken, few.faulty) == (False, 1), "a third is tolerated"
    assert bench.pipeline("made").quarantine_id is None


def test_what_stops_a_bucket_leaves_its_rows_as_they_were(bench: PipelineBench) -> None:
    steps = "steps = [{ expect = 'prices', range = { price = { min = 0 } }, severity = 'stop' }]"
    send(bench, {"price": 5})
    derive(bench, steps)
    assert len(stored(bench, "made")) == 1
    send(bench, {"price": -1}, {"price": 3})
    bench.derive()
    assert [row["price"] for row in stored(bench, "made")] == [5]
    (bucket,) = bench.buckets("made")
    assert bucket.state is BucketState.FAILED
    assert bucket.problem == ("The expectation 'prices' is broken: range: price at least 0 (1 of 3 rows).")
    assert reports(bench)[0].faulty == 1
    assert bench.derive() == 0, "nothing has changed"


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ("{ expect = 'enough', rows = { min = 3 }, severity = 'stop' }", "rows: at least 3, not 2"),
        ("{ expect = 'enough', rows = { min = 0, max = 1 }, severity = 'stop' }", "rows: from 0 to 1, not 2"),
        (
            "{ expect = 'most', required = 'v', severity = 'quarantine', tolerate = 0.4 }",
            "would set more rows aside than it tolerates: required: v (1 of 2 rows)",
        ),
    ],
)
def test_a_bucket_fails_for_its_number_of_rows_or_of_faulty_ones(
    bench: PipelineBench, steps: str, problem: str
) -> None:
    send(bench, {"v": 1}, {"n": 1})
    derive(bench, f"steps = [{steps}]")
    (bucket,) = bench.buckets("made")
    assert bucket.state is BucketState.FAILED
    assert problem in (bucket.problem or "")


def test_an_expectation_stands_at_any_stage(bench: PipelineBench) -> None:
    send(bench, {"shop": "DE", "n": 2}, {"shop": "DE", "n": -5}, {"shop": "FR", "n": 4}, {"n": 9})
    (bench.folder / "checks.py").write_text("def same(rows):\n    return rows\n")
    derive(
        bench,
        """
[[pipelines.made.steps]]
expect = "events"
required = "shop"
severity = "quarantine"
[[pipelines.made.steps]]
python = "checks:same"
[[pipelines.made.steps]]
aggregate.by = ["shop"]
aggregate.values = { total = { sum = "n" } }
[[pipelines.made.steps]]
expect = "totals"
range = { total = { min = 0 } }
severity = "quarantine"
""",
    )
    assert stored(bench, "made") == [{"shop": "FR", "total": 4.0}]
    aside = stored(bench, "made_quarantine")
    assert [(row["expectation"], row.get("row.n"), row.get("row.total")) for row in aside] == [
        ("totals", None, -3.0),
        ("events", 9.0, None),
    ]
    assert [(one.name, one.rows, one.faulty) for one in reports(bench)] == [
        ("events", 4, 1),
        ("totals", 2, 1),
    ]


def test_rows_before_the_bucket_are_set_aside_in_their_own_bucket_alone(bench: PipelineBench) -> None:
    day = bench.now_us // DAY_US * DAY_US
    bench.send(
        "given",
        [{"keen": {"timestamp": text_at(day - 5_000_000)}, "n": -1}]
        + [{"keen": {"timestamp": text_at(day + n)}, "n": n} for n in range(2)],
    )
    derive(
        bench,
        "lookback = '1_hours'\n"
        "steps = [{ expect = 'it', range = { n = { min = 1 } }, severity = 'quarantine' }]",
    )
    assert [row["row.n"] for row in stored(bench, "made_quarantine")] == [-1, 0]
    assert [one.quarantined for one in bench.buckets("made")] == [1, 1]


def test_a_row_that_is_mended_or_deleted_at_its_source_leaves_the_quarantine(bench: PipelineBench) -> None:
    send(bench, {"n": -1, "id": "a"}, {"n": -2, "id": "b"}, {"n": 3, "id": "c"})
    derive(bench, "steps = [{ expect = 'it', range = { n = { min = 0 } }, severity = 'quarantine' }]")
    assert len(stored(bench, "made_quarantine")) == 2
    keen_id = stored(bench, "made_quarantine")[0]["row.keen.id"]
    mended = {"property_name": "keen.id", "operator": "eq", "property_value": keen_id}
    bench.change(
        "given",
        ErasureKind.UPDATE,
        {
            "filters": [mended],
            "updates": [{"path": "n", "line": '{"n":1}', "upsert": True}],
        },
    )
    bench.derive()
    assert [row["row.id"] for row in stored(bench, "made_quarantine")] == ["b"]
    assert [row["id"] for row in stored(bench, "made")] == ["a", "c"]


def test_a_row_that_was_accepted_passes_until_that_is_withdrawn(bench: PipelineBench) -> None:
    send(bench, {"n": -1, "tags": {"a": None}}, {"n": -2}, {"n": 3})
    derive(bench, "steps = [{ expect = 'it', range = { n = { min = 0 } }, severity = 'quarantine' }]")
    pipelines, made = bench.store.catalog.pipelines, bench.pipeline("made")
    digest = stored(bench, "made_quarantine")[0]["digest"]
    pipelines.accept(made.id, [digest])
    bench.derive()
    assert [row["n"] for row in stored(bench, "made")] == [-1, 3]
    send(bench, {"n": 4, "new": "column"})
    bench.derive()
    assert [row["n"] for row in stored(bench, "made")] == [-1, 4, 3], "a new column changes no digest"
    pipelines.accept(made.id, [], withdrawn=[digest])
    bench.derive()
    assert [row["n"] for row in stored(bench, "made")] == [4, 3]
    assert len(stored(bench, "made_quarantine")) == 2


def test_a_row_that_no_event_can_be_is_kept_as_text(bench: PipelineBench) -> None:
    send(bench, {"n": 1})
    derive(
        bench,
        """steps = [{ sql = 'SELECT *, 1 AS "$bad" FROM input' },
        { expect = 'it', holds = 'n > 5', severity = 'quarantine' },
        { drop = ["$bad"] }]""",
    )
    (row,) = stored(bench, "made_quarantine")
    assert '"$bad": 1' in row["row_text"]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{ expect = 'it' }", "steps[0]: expects nothing: give it one of required, types,"),
        ("{ expect = '' , required = 'a' }", "steps[0].expect: must be a text that is not empty"),
        ("{ expect = 'it', range = { n = {} } }", "steps[0].range.n: needs 'min', 'max' or both."),
        ("{ expect = 'it', range = { n = { min = 3, max = 2 } } }", "range.n: has a 'min' above its 'max'."),
        ("{ expect = 'it', range = { n = { min = 'x' } } }", "range.n.min: must be a number, or an instant"),
        (
            "{ expect = 'it', range = { n = { min = 1, max = '2026-01-01' } } }",
            "has a number and an instant: give two of a kind",
        ),
        ("{ expect = 'it', pattern = { n = '(' } }", "steps[0].pattern.n: "),
        (
            "{ expect = 'it', one_of = { n = [] } }",
            "one_of.n: must be a list of texts, numbers, true and false",
        ),
        ("{ expect = 'it', in_reference = { n = 'lost.code' } }", "there is no table 'lost' in [references]"),
        ("{ expect = 'it', in_reference = { n = 'shops.cod' } }", "has no key 'cod'. Did you mean 'code'?"),
        (
            "{ expect = 'it', rows = { min = 1 }, severity = 'quarantine' }",
            "is of all rows, and none can be set aside for it",
        ),
        ("{ expect = 'it', required = 'n', severity = 'loud' }", "one of 'warn', 'quarantine', 'stop'"),
        (
            "{ expect = 'it', required = 'n', tolerate = 5 }",
            "tolerate: must be a share of the rows from 0 to 1",
        ),
        ("{ expect = 'it', require = 'n' }", "has no key 'require'. Did you mean 'required'?"),
        (
            "{ expect = 'it', required = 'n' }, { expect = 'it', required = 'm' }",
            "steps: two expectations have the name 'it'",
        ),
    ],
)
def test_a_wrong_expectation_names_its_place_and_what_would_help(
    bench: PipelineBench, step: str, message: str
) -> None:
    with pytest.raises(InvalidPipeline) as told:
        derive(bench, f"steps = [{step}]")
    assert message in str(told.value)
    assert str(told.value).startswith("pipelines.made.steps")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("quarantine = 'aside'\nsteps = []", "quarantine: is filled by no step"),
        (
            "quarantine = 'made'\nsteps = [{ expect = 'it', required = 'n', severity = 'quarantine' }]",
            "quarantine: must be another collection than 'into'",
        ),
        (
            "quarantine = 'given'\nsteps = [{ expect = 'it', required = 'n', severity = 'quarantine' }]",
            "quarantine: cannot be a collection that it reads",
        ),
    ],
)
def test_a_quarantine_is_a_collection_of_its_own(bench: PipelineBench, keys: str, message: str) -> None:
    with pytest.raises(InvalidPipeline) as told:
        derive(bench, keys)
    assert message in str(told.value)


def test_a_quarantine_that_clients_fill_already_is_refused(bench: PipelineBench) -> None:
    send(bench, {"n": 1})
    bench.send("made_quarantine", [{"n": 1}])
    with pytest.raises(Exception, match="events that clients sent"):
        derive(bench, "steps = [{ expect = 'it', required = 'n', severity = 'quarantine' }]")


def test_a_column_that_is_missing_is_named_by_plan(bench: PipelineBench) -> None:
    send(bench, {"n": 1})
    derive(bench, "steps = [{ expect = 'it', required = 'lost' }]")
    (bucket,) = bench.buckets("made")
    assert "lost" in (bucket.problem or "") and "steps[0]" in (bucket.problem or "")
