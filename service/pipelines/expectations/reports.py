"""What the expectations of a pipeline found in a bucket."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from query.transforms.checks import ASIDE
from query.transforms.expectations import label
from query.transforms.nodes import Drift, Expect, JudgedWhole, RowCount, Severity

INDEX_DIGITS = 9
"""Digits of an index of drift that are compared: the last ones are those of the machine."""


@dataclass(frozen=True, slots=True)
class RuleReport:
    """How many rows broke a rule; for a rule of the number of rows 1 or 0."""

    rule: str
    broken: int
    found: str | None = None
    """What is wrong, of a rule about all rows that says so itself."""


@dataclass(frozen=True, slots=True)
class ExpectationReport:
    """What an expectation found among the rows of a bucket."""

    name: str
    severity: Severity
    rows: int
    """The rows that were checked."""
    faulty: int
    """Those that broke any rule."""
    broken: bool
    """Whether more of them are faulty than are tolerated, or their number is wrong."""
    rules: Sequence[RuleReport]

    @property
    def set_aside(self) -> int:
        return self.faulty if self.severity is Severity.QUARANTINE else 0

    def described(self) -> dict[str, Any]:
        """As it is stored and answered."""
        return {
            "name": self.name,
            "severity": self.severity.value,
            "rows": self.rows,
            "faulty": self.faulty,
            "broken": self.broken,
            "rules": rules_of(self),
        }

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> ExpectationReport:
        """Reads what ``described`` gave."""
        rules = [RuleReport(one["rule"], one["broken"], one.get("found")) for one in value["rules"]]
        severity = Severity(value["severity"])
        return cls(value["name"], severity, value["rows"], value["faulty"], value["broken"], rules)


def rules_of(report: ExpectationReport) -> list[dict[str, Any]]:
    return [
        {"rule": one.rule, "broken": one.broken, **({"found": one.found} if one.found else {})}
        for one in report.rules
    ]


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that an expectation has set aside."""

    expectation: str
    rules: Sequence[str]
    """Those that it broke."""
    digest: str
    at_us: int | None
    row: Mapping[str, Any]


class BrokenExpectation(Exception):
    """An expectation that stops the bucket; the text says which rules how many rows broke."""


def text_of(reports: Sequence[ExpectationReport]) -> str | None:
    """What is stored of them; None where there is none."""
    return json.dumps([one.described() for one in reports], ensure_ascii=False) if reports else None


def reports_of(text: str | None) -> list[ExpectationReport]:
    """Reads what ``text_of`` gave."""
    return [ExpectationReport.of(one) for one in json.loads(text)] if text else []


@dataclass(frozen=True, slots=True)
class Findings:
    """What an expectation found in several buckets."""

    total: ExpectationReport
    """Of all buckets together; its severity is that of the newest, and so are the first of its rules."""
    buckets: int
    broken_buckets: int
    """Those in which more rows were faulty than are tolerated, or their number was wrong."""


def findings_of(texts: Iterable[str | None]) -> list[Findings]:
    """Sums the stored reports of buckets, the oldest first, by the name of the expectation."""
    found: dict[str, list[ExpectationReport]] = {}
    for text in texts:
        for report in reports_of(text):
            found.setdefault(report.name, []).append(report)
    return [_summed(reports) for reports in found.values()]


def _summed(reports: Sequence[ExpectationReport]) -> Findings:
    newest = reports[-1]
    broken = Counter[str]()
    found: dict[str, str | None] = {}
    for report in reports:
        broken.update({rule.rule: rule.broken for rule in report.rules})
        found.update({rule.rule: rule.found for rule in report.rules if rule.found})
    # Other code tells of some rules only where they are broken: those of older buckets follow.
    names = list(
        dict.fromkeys([*(rule.rule for rule in newest.rules), *(one for one in broken if broken[one])])
    )
    total = ExpectationReport(
        newest.name,
        newest.severity,
        sum(one.rows for one in reports),
        sum(one.faulty for one in reports),
        any(one.broken for one in reports),
        [RuleReport(rule, broken[rule], found.get(rule)) for rule in names],
    )
    return Findings(total, len(reports), sum(one.broken for one in reports))


def without_aside(made: pa.Table) -> tuple[pa.Table, list[Any]]:
    """The rows of a statement with expectations, and its aside rows (``query.transforms.checks``)."""
    aside = made.column(ASIDE)
    told = [json.loads(text) for text in aside.drop_null().to_pylist()]
    return made.filter(pc.is_null(aside)).drop_columns([ASIDE]), told


def read_aside(
    expects: Mapping[int, Expect], told: Sequence[Any]
) -> tuple[list[ExpectationReport], list[SetAside]]:
    """The reports in order, and the rows that were set aside. ``expects``: by the number of their step."""
    reports: dict[int, ExpectationReport] = {}
    set_aside: list[SetAside] = []
    drifts = {(one["step"], one["drift"]): one for one in told if "drift" in one}
    for one in told:
        step = one["step"]
        expect = expects[step]
        if "drift" in one:
            continue
        if "broken" in one:
            own = {number: drift for (of, number), drift in drifts.items() if of == step}
            reports[step] = _report(expect, one["rows"], one["faulty"], one["broken"], own)
        else:
            rules = [label(expect.rules[number]) for number in one["rules"]]
            set_aside.append(SetAside(expect.name, rules, one["digest"], one["at"], one["row"]))
    return [reports[step] for step in sorted(reports)], set_aside


def _report(
    expect: Expect, rows: int, faulty: int, broken: Mapping[str, int], drifts: Mapping[int, Mapping[str, Any]]
) -> ExpectationReport:
    """``drifts``: the number of a rule → what ``query.transforms.drift`` told of it."""
    rules: list[RuleReport] = []
    wrong_count = False
    for number, rule in enumerate(expect.rules):
        count = broken.get(str(number), 0)
        if isinstance(rule, RowCount):
            fits = (rule.low is None or rows >= rule.low) and (rule.high is None or rows <= rule.high)
            count = 0 if fits else 1
            wrong_count = wrong_count or not fits
        elif isinstance(rule, JudgedWhole):
            count = 0 if rule.problem is None else 1
            wrong_count = wrong_count or count > 0
        found = rule.problem if isinstance(rule, JudgedWhole) else None
        if isinstance(rule, Drift):
            found = _drifted(rule, drifts[number])
            count = 0 if found is None else 1
            wrong_count = wrong_count or count > 0
        rules.append(RuleReport(label(rule), count, found))
    too_many = faulty > expect.tolerated * rows
    return ExpectationReport(expect.name, expect.severity, rows, faulty, wrong_count or too_many, rules)


def _drifted(rule: Drift, told: Mapping[str, Any]) -> str | None:
    """What is wrong where the values of a column are too far from those before."""
    before, now = told["before"], told["now"]
    if min(before, now) < rule.rows_min or round(told["index"], INDEX_DIGITS) <= rule.most:
        return None
    return f"{told['index']:.3f}, of {now:,} values against {before:,} before"


def check_reports(reports: Sequence[ExpectationReport]) -> None:
    """Raises BrokenExpectation for the first that stops the bucket: one with ``stop``, or with ``quarantine``
    and more faulty rows than are tolerated."""
    for one in reports:
        if one.broken and one.severity is not Severity.WARN:
            worst = "; ".join(_sentence(rule, one.rows) for rule in one.rules if rule.broken)
            what = (
                "is broken"
                if one.severity is Severity.STOP
                else "would set more rows aside than it tolerates"
            )
            raise BrokenExpectation(f"The expectation '{one.name}' {what}: {worst}.")


def _sentence(rule: RuleReport, rows: int) -> str:
    if rule.rule.startswith("rows: "):
        return f"{rule.rule}, not {rows:,}"
    if rule.found:
        return f"{rule.rule}: {rule.found}"
    return f"{rule.rule} ({rule.broken:,} of {rows:,} rows)"
