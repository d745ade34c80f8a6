"""Steps of pipelines that plugins run: what they get and give, how they fail, and when they run again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from query.limits import Limits
from query.transforms.fields import InvalidPipeline
from service.pipelines.applying import Verb
from service.pipelines.definition import CheckContext, read_folder
from service.pipelines.expectations.reports import reports_of
from service.pipelines.outside.checking import check_plugins
from service.plugins.installed import installed_plugins
from tests.service.pipelines.bench import DAY_US, PipelineBench
from tests.service.pipelines.times import text_at
from tests.support.plugins import EXAMPLE, see_plugins, write_package

HEAD = """
owner = "data@shop.example"
[pipelines.made]
from = "given"
into = "made"
"""
ENTRIES = {
    "operations/rounded": "example:Rounded",
    "enrichers/email": "example:Email",
    "expectations/iban": "example:Iban",
    "operations/failing": "example:Failing",
    "operations/curious": "example:Curious",
    "expectations/whole": "example:Whole",
}
MORE = """

class Failing:
    api = 1

    def run(self, rows):
        raise ValueError("not today")


class Curious:
    api = 1

    def run(self, rows):
        import socket
        socket.create_connection(("127.0.0.1", 9))


class Whole:
    api = 1

    def check(self, rows):
        return {"even": None if rows.num_rows % 2 == 0 else f"{rows.num_rows} rows", "fine": None}
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    code = (EXAMPLE / "src" / "acumen_example_plugin" / "rows.py").read_text() + MORE
    write_package(tmp_path / "packages", "example", ENTRIES, code)
    see_plugins(tmp_path / "packages", monkeypatch)
    yield tmp_path / "packages"
    installed_plugins.cache_clear()


@pytest.fixture
def bench(tmp_path: Path, packages: Path) -> Iterator[PipelineBench]:
    made = PipelineBench(tmp_path)
    try:
        yield made
    finally:
        made.close()


def send(bench: PipelineBench, *events: dict[str, Any]) -> None:
    day = bench.now_us // DAY_US * DAY_US
    stamped = [{"keen": {"timestamp": text_at(day + n * 1_000_000)}, **one} for n, one in enumerate(events)]
    bench.send("given", stamped)


def derived(bench: PipelineBench, steps: str) -> str | None:
    """Why the bucket failed."""
    bench.write(HEAD + steps)
    bench.apply()
    bench.derive()
    (bucket,) = bench.buckets("made")
    return bucket.problem


def rows(bench: PipelineBench, collection: str = "made") -> list[dict[str, Any]]:
    (found,) = bench.store.catalog.collections.named(bench.store.project, [collection])
    paths = {column: lane.path for column, lane in found.schema.by_column.items()}
    stored = sorted(bench.rows(collection), key=lambda row: row["keen.timestamp"])
    return [{paths[key]: value for key, value in row.items() if key in paths} for row in stored]


def test_an_operation_an_enricher_and_an_expectation_work_among_other_steps(bench: PipelineBench) -> None:
    good, bad = "DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 01"
    send(
        bench,
        {"price": 1.256, "mail": "ada@shop.example", "account": good, "tags": ["x"]},
        {"price": 2, "mail": "nobody", "account": bad},
        {"price": 3.999},
        {"price": -1, "account": bad},
    )
    steps = """
[[pipelines.made.steps]]
where = "price > 0"
[[pipelines.made.steps]]
plugin = "rounded"
settings = { column = "price", decimals = 1 }
[[pipelines.made.steps]]
enrich = "email"
input = { address = "mail" }
output = "who"
[[pipelines.made.steps]]
expect = "accounts"
plugin = "iban"
settings = { column = "account" }
required = ["price"]
severity = "quarantine"
[[pipelines.made.steps]]
compute = { double = "price * 2" }
[[pipelines.made.steps]]
drop = ["mail", "account"]
"""
    assert derived(bench, steps) is None
    assert rows(bench) == [
        {"price": 1.3, "double": 2.6, "who.name": "ada", "who.domain": "shop.example", "tags": '["x"]'},
        {"price": 4.0, "double": 8.0},
    ]
    (aside,) = rows(bench, "made_quarantine")
    assert (aside["rules"], aside["row.account"], aside["row.price"]) == ('["IBAN: account"]', bad, 2.0)
    (bucket,) = bench.buckets("made")
    (report,) = reports_of(bucket.report)
    assert [(one.rule, one.broken) for one in report.rules] == [("required: price", 0), ("IBAN: account", 1)]
    # What is accepted passes, although the plugin judges it as before.
    bench.store.catalog.pipelines.accept(bench.pipeline("made").id, [aside["digest"]], withdrawn=[])
    bench.derive()
    assert len(rows(bench)) == 3


def test_a_finding_about_all_rows_stops_the_bucket_and_says_what_it_is(bench: PipelineBench) -> None:
    send(bench, {"n": 1}, {"n": 2}, {"n": 3})
    steps = 'steps = [{ expect = "pairs", plugin = "whole", severity = "SEVERITY" }]'
    assert derived(bench, steps.replace("SEVERITY", "warn")) is None
    (bucket,) = bench.buckets("made")
    (report,) = reports_of(bucket.report)
    assert [(one.rule, one.broken, one.found) for one in report.rules] == [
        ("even", 1, "3 rows"),
        ("fine", 0, None),
    ]
    problem = derived(bench, steps.replace("SEVERITY", "stop"))
    assert problem == "The expectation 'pairs' is broken: even: 3 rows."


def test_one_that_fails_fails_the_bucket_and_says_why(bench: PipelineBench) -> None:
    send(bench, {"n": 1})
    problem = derived(bench, 'steps = [{ where = "n > 0" }, { plugin = "failing" }]')
    assert problem is not None
    assert problem.startswith("steps[1]: The operation plugin 'failing' failed:\nTraceback")
    assert problem.endswith("ValueError: not today")
    assert "service/plugins" not in problem


def test_an_operation_may_open_no_connection(bench: PipelineBench) -> None:
    send(bench, {"n": 1})
    problem = derived(bench, 'steps = [{ plugin = "curious" }]')
    assert problem is not None and "PermissionError" in problem


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ('{ plugin = "round" }', "steps[0].plugin: there is no operation plugin 'round': 'acumen plugins'"),
        ('{ expect = "x", plugin = "rounded" }', "there is no expectation plugin 'rounded'"),
        ('{ plugin = "rounded", settings = 3 }', "steps[0].settings: must be a table"),
        ('{ plugin = "rounded", setting = {} }', "has no key 'setting'. Did you mean 'settings'?"),
        ('{ plugin = "rounded" }', "steps[0]: settings.column: is lacking."),
        (
            '{ plugin = "rounded", settings = { column = "n", decimals = "two" } }',
            "steps[0]: settings.decimals: expected `int`, got `str`.",
        ),
        ('{ plugin = "failing", settings = { n = 1 } }', "settings.n: the plugin has no settings."),
        ('{ enrich = "email", input = { address = "n" }, output = "keen.x" }', "steps[0].output: must be"),
        ('{ enrich = "email", output = "x" }', "steps[0].input: must be a table"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_applied(
    tmp_path: Path, packages: Path, steps: str, said: str
) -> None:
    (tmp_path / "pipelines.toml").write_text(f"{HEAD}steps = [{steps}]")
    with pytest.raises(InvalidPipeline) as raised:
        check_plugins(read_folder(tmp_path, CheckContext(Limits(), lambda _: None)))
    assert said in str(raised.value)
    assert str(raised.value).startswith("pipelines.made")


def test_another_version_of_the_package_derives_again_once_the_folder_is_applied(
    bench: PipelineBench, packages: Path
) -> None:
    send(bench, {"price": 1.26})
    steps = 'steps = [{ plugin = "rounded", settings = { column = "price", decimals = 1 } }]'
    assert derived(bench, steps) is None
    assert bench.apply() == []
    code = (packages / "example.py").read_text().replace("pc.round(", "pc.multiply(")
    write_package(packages, "example", ENTRIES, code, version="2.0")
    installed_plugins.cache_clear()
    send(bench, {"price": 3.0})
    bench.derive()
    (bucket,) = bench.buckets("made")
    assert bucket.problem is not None
    assert "Its package is 'example 2.0' now, and 'example 1.0' was applied" in bucket.problem
    assert rows(bench) == [{"price": 1.3}]
    assert [one.verb for one in bench.apply()] == [Verb.CHANGE]
    bench.derive()
    assert [row["price"] for row in rows(bench)] == [1.26, 3.0]
