"""Each row of the table of bounds holds: the worst of its kind is refused as the row says, in little memory
and without holding the event loop."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from service.settings import PREFIX, Settings
from tests.bounds import worst
from tests.bounds.table import Bound, read_bounds
from tests.bounds.worst import CASES, MODULES, Case, Watch

for name in MODULES:
    import_module(f"tests.bounds.{name}")

BOUNDS = read_bounds()
PAIRS = [
    (BOUNDS[resource], case) for resource, cases in CASES.items() if resource in BOUNDS for case in cases
]


def test_every_row_has_a_worst_case_and_every_case_a_row() -> None:
    assert set(BOUNDS) == set(CASES)


@pytest.mark.parametrize("bound", BOUNDS.values(), ids=lambda bound: bound.resource)
def test_a_row_names_its_setting_with_its_default(bound: Bound) -> None:
    if bound.setting is not None:
        field = Settings.model_fields[bound.setting.removeprefix(PREFIX).lower()]
        assert bound.limit_number() == field.default


@pytest.mark.parametrize(("bound", "case"), PAIRS, ids=worst.case_id)
def test_the_worst_of_its_kind_is_refused_within_its_bounds(bound: Bound, case: Case, tmp_path: Path) -> None:
    watch = Watch()
    replies = case.send(tmp_path, watch)
    assert replies
    for reply in replies:
        assert (reply.status_code, reply.json()["error_code"]) == (bound.status, bound.code)
    assert watch.peak_bytes <= case.peak_bytes
    assert watch.slice_bytes <= case.slice_bytes
    assert watch.calls <= case.calls
