"""Looking at what was set aside and accepting it: over HTTP and by the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.cli.test_pipelines import acumen
from tests.service.pipelines.bench import PipelineBench
from tests.service.pipelines.test_derived_collections import derive
from tests.service.whole import Whole

PIPELINE = """
[pipelines.paid]
owner = "data@shop.example"
from = "purchases"
into = "paid"
steps = [
  { expect = "a price", required = ["price"], range = { price = { min = 0 } }, severity = "quarantine" },
  { expect = "a name", required = "who" },
]
"""
EVENTS: list[dict[str, Any]] = [
    {"price": 2, "who": "ann"},
    {"price": -3, "who": "bea"},
    {"who": "cid"},
    {"price": 5},
]
RULES = ["required: price", "range: price at least 0"]


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    made = Whole(tmp_path / "data")
    try:
        made.record(made.project, "purchases", EVENTS)
        made.told(made.project, "POST", "pipelines/apply", {"file": PIPELINE})
        derive(made)
        yield made
    finally:
        made.close()


def set_aside(whole: Whole) -> list[Any]:
    asked = {"event_collection": "paid_quarantine", "timeframe": "this_2_days"}
    rows: list[Any] = whole.told(whole.project, "POST", "queries/extraction", asked)["result"]
    return sorted(rows, key=lambda row: str(row["row"]["who"]))


def total(whole: Whole) -> Any:
    asked = {"event_collection": "paid", "target_property": "price", "timeframe": "this_2_days"}
    return whole.told(whole.project, "POST", "queries/sum", asked)["result"]


def test_what_was_found_is_said_by_rule_and_by_bucket(whole: Whole) -> None:
    found = whole.told(whole.project, "GET", "pipelines/paid/expectations")
    assert (found["quarantine"], found["set_aside"], found["accepted"]) == ("paid_quarantine", 2, [])
    price, name = found["expectations"]
    assert (price["severity"], price["rows"], price["faulty"], price["broken_buckets"]) == (
        "quarantine",
        4,
        2,
        0,
    )
    assert price["rules"] == [{"rule": rule, "broken": 1} for rule in RULES]
    assert (name["severity"], name["rows"], name["faulty"], name["broken_buckets"]) == ("warn", 2, 1, 1)
    (bucket,) = whole.told(whole.project, "GET", "pipelines/paid/buckets")["buckets"]
    assert (bucket["rows_in"], bucket["rows_out"], bucket["set_aside"]) == (4, 2, 2)
    assert [one["name"] for one in bucket["expectations"]] == ["a price", "a name"]
    (listed,) = whole.told(whole.project, "GET", "pipelines")
    assert (listed["quarantine"], listed["set_aside"]) == ("paid_quarantine", 2)
    nowhere = whole.told(whole.project, "GET", "pipelines/paid/expectations", since="2099-01-01T00:00:00Z")
    assert (nowhere["set_aside"], nowhere["expectations"]) == (0, [])


def test_a_row_is_accepted_by_its_digest(whole: Whole) -> None:
    bea, cid = set_aside(whole)
    assert (bea["row"]["who"], bea["rules"], cid["rules"]) == ("bea", [RULES[1]], [RULES[0]])
    said = whole.told(
        whole.project, "POST", "pipelines/paid/expectations", {"accept": [bea["digest"], bea["digest"]]}
    )
    assert said["accepted"] == [bea["digest"]]
    derive(whole)
    assert total(whole) == 4
    assert [row["row"]["who"] for row in set_aside(whole)] == ["cid"]
    whole.told(whole.project, "POST", "pipelines/paid/expectations", {"withdraw": [bea["digest"]]})
    derive(whole)
    assert total(whole) == 7


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"accept": ["all"]}, "'accept[0]'"),
        ({"withdraw": ["0" * 32]}, f"The row '{'0' * 32}' was not accepted: it cannot be withdrawn."),
        (
            {"accept": ["a" * 32], "withdraw": ["a" * 32]},
            "to be accepted and withdrawn at once: name it once.",
        ),
        ({"acept": []}, "Did you mean 'accept'?"),
    ],
)
def test_what_cannot_be_accepted_is_said(whole: Whole, body: Any, message: str) -> None:
    reply = whole.call(whole.project, "POST", "pipelines/paid/expectations", body)
    assert reply.status_code == 400, reply.text
    assert message in reply.json()["message"]


def test_a_pipeline_without_a_quarantine_accepts_nothing(whole: Whole) -> None:
    plain = PIPELINE.replace(', severity = "quarantine"', "")
    whole.told(whole.project, "POST", "pipelines/apply", {"file": plain})
    reply = whole.call(whole.project, "POST", "pipelines/paid/expectations", {"accept": ["a" * 32]})
    assert reply.status_code == 400
    assert "none of its expectations has the severity 'quarantine'" in reply.json()["message"]
    derive(whole)
    assert total(whole) == 4


def test_a_person_is_erased_from_the_quarantine_too(whole: Whole) -> None:
    erased = whole.told(whole.project, "DELETE", "identities/bea/events?actor_property=who")
    assert erased["deleted_events"] == {"paid_quarantine": 1, "purchases": 1}
    assert [row["row"]["who"] for row in set_aside(whole)] == ["cid"]


def test_the_command_line_says_what_was_found_and_accepts_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = PipelineBench(tmp_path)
    try:
        bench.write(PIPELINE)
        bench.send("purchases", EVENTS)
        assert acumen(bench, "simulate", str(bench.folder)) == 0
        said = capsys.readouterr().out
        assert "4 rows in, 2 out, 2 set aside" in said
        assert "expectation 'a price' (quarantine): 2 of 4 rows faulty: required: price (1); range:" in said
        assert "    a price: range: price at least 0\n" in said
        assert '"who": "bea"' in said
        bench.apply()
        bench.derive()
        assert acumen(bench, "status", "paid") == 0
        said = capsys.readouterr().out
        assert "2 rows set aside in paid_quarantine" in said
        assert "expectation 'a name' (warn): 1 of 2 rows faulty: required: who (1)" in said
        (digest,) = {
            value for row in bench.rows("paid_quarantine") for value in row.values() if is_of_bea(row, value)
        }
        assert acumen(bench, "accept", "paid", digest) == 0
        assert "1 row of paid pass" in capsys.readouterr().out
        bench.derive()
        assert len(bench.rows("paid")) == 3
        assert acumen(bench, "accept", "paid", digest, "--withdraw") == 0
        assert acumen(bench, "accept", "paid", "bea") == 1
        assert "'bea' is no digest of a row" in capsys.readouterr().err
    finally:
        bench.close()


def is_of_bea(row: dict[str, Any], value: Any) -> bool:
    return "bea" in row.values() and isinstance(value, str) and len(value) == 32 and value.isalnum()
