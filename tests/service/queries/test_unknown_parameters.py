"""What becomes of unknown parameters, by the setting, and of definitions from before they were refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.service.whole import Whole

MISSPELT: dict[str, Any] = {
    "event_collection": "c",
    "filter": [{"property_name": "plan", "operator": "eq", "property_value": "pro"}],
}


@pytest.fixture(params=["refuse", "ignore"])
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Whole]:
    with closing(Whole(tmp_path / "data", unknown_parameters=request.param)) as opened:
        opened.record(opened.project, "c", [{"plan": "pro"}, {"plan": "free"}])
        yield opened


def call(whole: Whole, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    reply = whole.call(whole.project, method, path.lstrip("/"), body)
    return reply.status_code, reply.json()


def test_the_setting_says_whether_they_are_refused_or_passed_over(whole: Whole) -> None:
    refused = whole.settings.unknown_parameters == "refuse"
    status, body = call(whole, "POST", "/queries/count", MISSPELT)
    if refused:
        assert status == 400
        assert "Did you mean 'filters'?" in body["message"]
    else:
        assert (status, body) == (200, {"result": 2})
    saved = {"query": {"analysis_type": "count", **MISSPELT}, "refreshrate": 0}
    assert call(whole, "PUT", "/queries/saved/n", saved)[0] == (400 if refused else 201)


def test_what_takes_away_and_keys_are_strict_by_either(whole: Whole) -> None:
    assert call(whole, "DELETE", "/events/c?filter=[]")[0] == 400
    update = {"property_updates": [{"property_name": "plan", "property_value": "x"}], "filter": []}
    assert call(whole, "PUT", "/events/c", update)[0] == 400
    key = {"name": "n", "is_active": True, "permitted": ["queries"], "option": {}}
    assert call(whole, "POST", "/keys", key)[0] == 400


def test_a_definition_from_before_is_answered_as_it_always_was(whole: Whole) -> None:
    """It may hold keys that would be refused now."""
    kept = {"property_name": "plan", "operator": "eq", "property_value": "pro", "note": "ours"}
    query = {"analysis_type": "count", "event_collection": "c", "filters": [kept]}
    whole.catalog.saved_queries.put(
        whole.project.id, "n", "n", query=json.dumps(query), metadata="null", refresh_rate=0
    )
    status, body = call(whole, "GET", "/queries/saved/n/result")
    assert (status, body["result"], body["query"]) == (200, 1, query)
