"""What one bulk body may make the server keep and say."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import pytest

from service.bodies import body_thread
from service.ingest import ingestor
from service.ingest.admission import (
    NEW_PROPERTIES_FACTOR,
    AcceptedEvent,
    AdmissionLimits,
    EventRefusal,
    Paths,
)
from storage.schema import LaneKind, Schema
from tests.service.intake import Intake, intake, run


def bringing(index: int, *names: str) -> AcceptedEvent:
    return AcceptedEvent(index, b"{}", None, None, 0, [(name, LaneKind.NUMBER) for name in names])


def test_new_properties_are_kept_once_and_only_so_many() -> None:
    paths, schema = Paths(properties_max=3), Schema()
    limit = 3 * NEW_PROPERTIES_FACTOR
    taken = [paths.take(bringing(n, f"a{n}", f"b{n}", "same"), schema) for n in range(limit)]
    kept = [event for event in taken if isinstance(event, AcceptedEvent)]
    assert len({pair for event in kept for pair in event.wanted}) <= limit
    assert len({id(event.wanted[2]) for event in kept}) == 1
    refused = [event for event in taken if isinstance(event, EventRefusal)]
    assert len(refused) == limit - len(kept) > 0
    assert {refusal.name for refusal in refused} == {"InvalidPropertyNameError"}
    assert isinstance(paths.take(bringing(0, "same"), schema), AcceptedEvent)


def test_what_an_event_brings_is_not_kept_where_no_collection_has_room_for_it() -> None:
    paths, schema = Paths(properties_max=3), Schema()
    for _ in range(2 * NEW_PROPERTIES_FACTOR):
        refusal = paths.take(bringing(0, "d", "c", "b", "a"), schema)
        assert isinstance(refusal, EventRefusal)
        assert (
            refusal.name == "InvalidPropertyNameError"
            and "The first one too many is 'a'" in refusal.description
        )
    assert isinstance(paths.take(bringing(0, "a", "b", "c"), schema), AcceptedEvent)


def test_the_descriptions_of_an_answer_are_bounded_and_its_names_are_not(tmp_path: Path) -> None:
    body = orjson.dumps({"visits": [{"$" + "n" * 200: 1} for _ in range(20)] + [{"n": 1}]})

    async def scenario() -> None:
        async with intake(tmp_path / "data", admission=AdmissionLimits()) as one:
            *refused, last = await verdicts(one)
            assert last == {"success": True}
            assert {verdict["error"]["name"] for verdict in refused} == {"InvalidPropertyNameError"}
            texts = [verdict["error"]["description"] for verdict in refused]
            assert "nnn" in texts[0]
            assert texts[-1] == ingestor.NOT_EXPLAINED
            assert sum(map(len, texts)) <= 1_000 + 20 * len(ingestor.NOT_EXPLAINED)

    async def verdicts(one: Intake) -> list[Any]:
        reply = await one.http.post(one.events, content=body)
        found: list[Any] = reply.json()["visits"]
        return found

    with patch.object(ingestor, "REFUSAL_TEXT_MAX", 1_000):
        run(scenario())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b'{"c":[{"n":1},{"n":2},{"n":3}],"c":[{"n":4}]}', 200, id="the last of two counts"),
        pytest.param(b'{"c":[{"n":1},{"n":2},{"n":3}] zz}', 400, id="no JSON"),
        pytest.param(b'{"c":[{"n":1},{"n":2},{"n":3}]}', 400, id="too many"),
    ],
)
def test_a_long_body_is_answered_the_same_whether_its_collection_is_known(
    tmp_path: Path, body: bytes, status: int
) -> None:
    async def scenario() -> None:
        async with intake(tmp_path / "data", admission=AdmissionLimits(batch_events_max=2)) as one:
            before = await one.http.post(one.events, content=body)
            assert (await one.http.post(f"{one.events}/c", json={"n": 0})).status_code == 201
            after = await one.http.post(one.events, content=body)
            assert before.status_code == after.status_code == status
            assert before.text == after.text

    with patch.object(body_thread, "INLINE_BYTES_MAX", 8):
        run(scenario())
