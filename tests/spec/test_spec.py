"""The specification holds of the whole application in this process, of events in no file yet and in files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from query.language.calendar import Unit
from query.language.nodes import Operator
from query.language.parameter_table import ANALYSES, BY_NAME, METRICS
from query.plan.data_warnings import WarningCode
from storage.instants import parse_instant
from tests.service.whole import Whole
from tests.spec.cases import Case, File, differences, files
from tests.spec.run import ask, new_suffix, record

FILES = files()
CASES = [(file, case) for file in FILES for case in file.cases]


class InProcess:
    """The application, with a clock that is set; a file's events are recorded when it is first asked of."""

    def __init__(self, whole: Whole, *, stored: bool) -> None:
        self._whole = whole
        self._stored = stored
        self._started_us = whole.now_us
        self._suffixes: dict[str, str] = {}

    def send(self, method: str, path: str, body: bytes | None) -> tuple[int, Any]:
        reply = self._whole.call(self._whole.project, method, path, body)
        return reply.status_code, reply.json() if reply.content else None

    def ask(self, file: File, case: Case) -> list[str]:
        if file.name not in self._suffixes:
            self._set_clock(None)
            suffix = new_suffix()
            record(file, suffix, self.send)
            if self._stored:
                self._whole.flush()
            self._suffixes[file.name] = suffix
        self._set_clock(case.now)
        return [str(failure) for failure in ask(case, self._suffixes[file.name], self.send)]

    def _set_clock(self, now: str | None) -> None:
        us = self._started_us if now is None else parse_instant(now)
        assert us is not None, now
        self._whole.now_us = us


@pytest.fixture(scope="module", params=["in no file yet", "in files"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    whole = Whole(tmp_path_factory.mktemp("spec"))
    yield InProcess(whole, stored=request.param == "in files")
    whole.close()


@pytest.mark.parametrize(("file", "case"), CASES, ids=[f"{file.name}: {case.name}" for file, case in CASES])
def test_the_answer_is_as_specified(served: InProcess, file: File, case: Case) -> None:
    failures = served.ask(file, case)
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (1, 1.0),
        (1, True),
        (0, None),
        ("1", 1),
        ([], [0]),
        ([1, 2], [2, 1]),
        ({"a": 1}, {}),
        ({}, {"a": 1}),
        ({"a": {"b": [1]}}, {"a": {"b": [2]}}),
    ],
)
def test_the_runner_tells_values_apart(expected: Any, got: Any) -> None:
    assert list(differences(expected, got))
    assert list(differences(got, expected))


def test_the_runner_compares_the_order_of_keys_where_it_counts() -> None:
    expected, got = {"g": 1, "result": 2}, {"result": 2, "g": 1}
    assert not list(differences(expected, got))
    assert list(differences(expected, got, keys_in_order=True))


# What it covers


FILES_ALONE = {"delivery", "email_address", "content_type", "content_encoding"}
"""Parameters of extractions that become files."""
CODES = {
    "MissingRequiredRequestFieldError",
    "ResourceNotFoundError",
    "TimeframeDefinitionError",
    "InvalidTimezoneError",
    "InvalidIntervalError",
    "InvalidFilterError",
    "InvalidPropertyNameForGeoFilter",
    "InvalidGroupByError",
    "InvalidOrderByError",
    "InvalidLimitError",
    "InvalidParameterError",
    "InvalidJSONError",
    "QueryLimitError",
}


def everything(name: str) -> set[str]:
    """Every text that stands under this key, anywhere in what is asked and what is answered."""
    found: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            found.update(inner for key, inner in value.items() if key == name and isinstance(inner, str))
            value = list(value.values())
        for inner in value if isinstance(value, list) else ():
            look(inner)

    for _, case in CASES:
        look([case.params, dict(case.expected)])
    return found


def test_it_has_every_analysis_alone_and_in_a_multi_analysis() -> None:
    assert {case.analysis for _, case in CASES} >= ANALYSES
    assert everything("analysis_type") >= METRICS


def test_it_has_every_parameter() -> None:
    asked = {name for _, case in CASES if not isinstance(case.params, str) for name in case.params}
    assert asked >= BY_NAME.keys() - FILES_ALONE


def test_it_has_every_operator() -> None:
    assert everything("operator") >= {*Operator, "or"}


def test_it_has_every_unit_of_time() -> None:
    frames, intervals = everything("timeframe"), everything("interval")
    for unit in Unit:
        assert {f"this_{unit}", f"previous_{unit}"} <= frames
        assert any(re.fullmatch(rf"this_\d+_{unit}s?", frame) for frame in frames), unit
        assert any(re.fullmatch(rf"previous_\d+_{unit}s?", frame) for frame in frames), unit
        assert any(re.fullmatch(rf"every_\d+_{unit}s?", interval) for interval in intervals), unit
    assert {"minutely", "hourly", "daily", "weekly", "monthly", "yearly"} <= intervals


def test_it_has_every_warning() -> None:
    assert everything("code") >= set(WarningCode)


def test_it_has_every_error_of_a_question() -> None:
    assert everything("error_code") >= CODES
