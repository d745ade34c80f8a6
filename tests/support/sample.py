"""The long tests of the whole suite, of which a part is run below full length.

They start servers, kill them and drive browsers, and take most of the time. `.ci/run` runs all of them, and
so does who names them: `make test TESTS=tests/clients/browser`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.scale import SCALE

ROOT = Path(__file__).parents[2]
USED = SCALE < 1 and os.environ.get("ACUMEN_TEST_SAMPLE", "") not in ("", "0")
ONE_OF = 8
LONG = (
    "tests/bench",
    "tests/bounds",
    "tests/clients/airflow",
    "tests/clients/browser",
    "tests/clients/js",
    "tests/clients/pages",
    "tests/clients/python",
    "tests/crash",
    "tests/docs/test_operating.py",
    "tests/examples",
    "tests/query/engine/test_cost.py",
    "tests/sdk/test_browser_sdks.py",
    "tests/service/alerts",
    "tests/service/auth",
    "tests/service/cli",
    "tests/service/cohorts",
    "tests/service/datasets",
    "tests/service/exports",
    "tests/service/http",
    "tests/service/imports",
    "tests/service/ingest",
    "tests/service/maintenance",
    "tests/service/background",
    "tests/service/queries",
    "tests/service/saved_queries",
    "tests/service/limits",
    "tests/service/outbound",
    "tests/service/people",
    "tests/service/pipelines",
    "tests/service/process",
    "tests/service/workflows",
    "tests/storage/read/test_read_faults.py",
)


def left_out(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests that are not run: of each long folder or file, all but one in ``ONE_OF``."""
    seen: dict[str, int] = {}
    out = []
    for item in items:
        path = item.path.relative_to(ROOT).as_posix()
        place = next((one for one in LONG if path == one or path.startswith(f"{one}/")), None)
        if place is None:
            continue
        if seen.setdefault(place, 0) % ONE_OF:
            out.append(item)
        seen[place] += 1
    return out
