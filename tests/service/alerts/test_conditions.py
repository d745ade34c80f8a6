"""When a condition is fulfilled."""

from __future__ import annotations

from typing import Any

import pytest

from query.errors import InvalidQuery
from service.alerts.conditions import judged, read_condition

NOBODY: list[Any] = []


def state(condition: dict[str, Any], value: Any, *before: Any) -> str:
    return judged(read_condition(condition), value, before).state.value


@pytest.mark.parametrize(
    ("condition", "value", "before", "expected"),
    [
        ({"above": 10}, 11, NOBODY, "firing"),
        ({"above": 10}, 10, NOBODY, "ok"),
        ({"below": 10}, 9.5, NOBODY, "firing"),
        ({"below": 10}, 10, NOBODY, "ok"),
        ({"above": 10, "below": 5}, 4, NOBODY, "firing"),
        ({"above": 10, "below": 5}, 7, NOBODY, "ok"),
        ({"above": 10}, None, NOBODY, "no_data"),
        ({"below": 1}, 0, NOBODY, "firing"),
        ({"no_data": True}, 0, NOBODY, "no_data"),
        ({"no_data": True}, None, NOBODY, "no_data"),
        ({"no_data": True}, 1, NOBODY, "ok"),
        ({"change": {"above": 50}}, 151, [100], "firing"),
        ({"change": {"above": 50}}, 150, [100], "ok"),
        ({"change": {"below": -50}}, 49, [100], "firing"),
        ({"change": {"below": -50}}, 49, [-100], "ok"),
        ({"change": {"above": 5, "in": "absolute"}}, 16, [10], "firing"),
        ({"change": {"above": 5, "in": "absolute"}}, 6, [0], "firing"),
        ({"change": {"above": 5}}, 6, [0], "no_data"),
        ({"change": {"above": 5}}, 6, [None], "no_data"),
        ({"anomaly": {}}, 100, [100, 101, 99, 100], "ok"),
        ({"anomaly": {}}, 300, [100, 110, 90, 105], "firing"),
        ({"anomaly": {}}, 10, [100, 110, 90, 105], "firing"),
        ({"anomaly": {"direction": "above"}}, 10, [100, 110, 90, 105], "ok"),
        ({"anomaly": {"direction": "below"}}, 300, [100, 110, 90, 105], "ok"),
        ({"anomaly": {}}, 300, [100, 110, 90, None], "ok"),
        ({"anomaly": {}}, 104, [100, 100, 100, 100], "ok"),
        ({"anomaly": {}}, 105, [100, 100, 100, 100], "firing"),
        ({"anomaly": {}}, 1, [0, 0, 0, 0], "firing"),
        ({"anomaly": {}}, 0, [0, 0, 0, 0], "ok"),
        ({"anomaly": {"k": 100}}, 300, [100, 110, 90, 105], "ok"),
    ],
)
def test_states(condition: dict[str, Any], value: Any, before: list[Any], expected: str) -> None:
    assert state(condition, value, *before) == expected


def test_an_anomaly_is_judged_by_median_and_median_deviation() -> None:
    found = judged(read_condition({"anomaly": {"k": 2}}), 50, [10, 12, 14, 16, 1_000])
    assert found.reference == {
        "median": 14,
        "low": pytest.approx(14 - 2 * 1.4826 * 2),
        "high": pytest.approx(14 + 2 * 1.4826 * 2),
        "values": 5,
    }
    assert found.state.value == "firing"


@pytest.mark.parametrize(
    "condition",
    [
        None,
        {},
        [],
        "above",
        {"above": "10"},
        {"above": True},
        {"above": float("inf")},
        {"abov": 1},
        {"above": 1, "no_data": True},
        {"no_data": False},
        {"change": {}},
        {"change": {"from": "previous"}},
        {"change": {"above": 1, "from": "yesterday"}},
        {"change": {"above": 1, "in": "euros"}},
        {"change": {"above": 1, "unit": "x"}},
        {"change": 5},
        {"anomaly": {"k": 0}},
        {"anomaly": {"k": "4"}},
        {"anomaly": {"history": 3}},
        {"anomaly": {"history": 53}},
        {"anomaly": {"direction": "sideways"}},
        {"anomaly": {}, "change": {"above": 1}},
    ],
)
def test_what_is_no_condition_is_refused(condition: Any) -> None:
    with pytest.raises(InvalidQuery, match="condition"):
        read_condition(condition)
