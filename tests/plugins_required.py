"""With ACUMEN_REQUIRE_ALL=1 a test that does not run is a test that failed.

A skip is for a person whose machine lacks something (Node, say). Where everything must be there, as in
`.ci/run`, a skip would hide that a part was never tested.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

REQUIRE_ALL = os.environ.get("ACUMEN_REQUIRE_ALL", "") not in ("", "0")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped (or expected to fail) test into a failed one."""
    return fail_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module that skips itself while being collected into an error."""
    return fail_if_skipped((yield))


def fail_if_skipped(report: Report) -> Report:
    """The report itself, failed where it was skipped and everything must run."""
    if REQUIRE_ALL and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"not run, but every test is required here: {report.longrepr}"
    return report
