"""SendGrid's webhook: its events stored as they came, each once however often it is delivered."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.support.server import Reply, Served, ServedProject

DELIVERED = {
    "email": "ann@example.com",
    "timestamp": 1_767_225_600,
    "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
    "event": "delivered",
    "category": ["news", "2026"],
    "sg_event_id": "ZGVsaXZlcmVkLTA",
    "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
    "response": "250 OK",
    "tls": 1,
}


def deliver(served: Served, project: ServedProject, body: Any, key: str | None = None) -> Reply:
    path = f"/3.0/projects/{project.id}/partners/sendgrid/versions/v3?api_key={key or project.write_key}"
    return served.request("POST", path, body)


def stored(served: Served, project: ServedProject) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.ask(project, "extraction", event_collection="sendgrid")
    return found


def test_events_are_stored_at_their_time_and_a_repeated_delivery_counts_once(
    served: Served, project: ServedProject
) -> None:
    bounced = {**DELIVERED, "event": "bounce", "timestamp": 1_767_225_661, "sg_event_id": "x" * 100}
    for _ in range(3):
        reply = deliver(served, project, [DELIVERED, bounced])
        assert (reply.status, reply.json) == (200, {"sendgrid": [{"success": True}] * 2})
    events = {event["event"]: event for event in stored(served, project)}
    assert len(stored(served, project)) == 2
    keen = events["delivered"].pop("keen")
    assert keen["timestamp"] == "2026-01-01T00:00:00.000Z"
    assert events["delivered"] == DELIVERED
    assert events["bounce"]["keen"]["timestamp"] == "2026-01-01T00:01:01.000Z"


def test_names_that_no_property_may_have_are_made_legal(served: Served, project: ServedProject) -> None:
    sent = {"event": "open", "a.b": 1, "$c": 2, "keen": 3, "args": {"d.e": [{"$f": 4}], "keen": 5}, "": 6}
    assert deliver(served, project, [sent]).json == {"sendgrid": [{"success": True}]}
    (event,) = stored(served, project)
    del event["keen"]
    args = {"d_e": [{"_f": 4}], "keen": 5}
    assert event == {"event": "open", "a_b": 1, "_c": 2, "_keen": 3, "args": args, "_": 6}


@pytest.mark.parametrize("timestamp", [None, "soon", -1, 1e300, True, 10**30, 1.5])
def test_an_odd_time_costs_no_event(served: Served, project: ServedProject, timestamp: Any) -> None:
    reply = deliver(served, project, [{"event": "open", "timestamp": timestamp}])
    assert reply.json == {"sendgrid": [{"success": True}]}


@pytest.mark.parametrize("body", [b"", b"{", b"[", {}, {"event": "open"}, [1], "x", [None], b"[{}," * 50_000])
def test_what_is_no_list_of_events_is_a_400(served: Served, project: ServedProject, body: Any) -> None:
    reply = deliver(served, project, body)
    assert reply.status == 400, reply.body
    assert reply.json["error_code"] in ("InvalidJSONError", "InvalidBatchError")
    assert stored(served, project) == []


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"x", b'{"a":NaN}', b'{"a":"\xff"}', b'{"a":1} 2', b"["])
def test_what_is_no_json_is_told_apart_from_json_that_is_no_list(
    served: Served, project: ServedProject, body: bytes
) -> None:
    assert deliver(served, project, body).json["error_code"] == "InvalidJSONError"
    for other in (b"{}", b'{"a":[]}', b' "x"', b"null", b"7"):
        assert deliver(served, project, other).json["error_code"] == "InvalidBatchError"


def test_it_is_a_write_like_any_other(served: Served, project: ServedProject) -> None:
    assert deliver(served, project, [], project.read_key).status == 403
    assert deliver(served, project, [], "wrong").status == 401
    assert deliver(served, project, []).json == {"sendgrid": []}
    path = f"/3.0/projects/{project.id}/partners/sendgrid/versions/v3"
    packed = gzip.compress(json.dumps([DELIVERED]).encode())
    headers = {"content-encoding": "gzip"}
    reply = served.request("POST", path, packed, key=project.write_key, headers=headers)
    assert reply.json == {"sendgrid": [{"success": True}]}
    body = {"name": "hook", "permitted": ["writes"], "options": {"writes": {"autofill": {"source": "mail"}}}}
    made = served.request("POST", f"/3.0/projects/{project.id}/keys", body, key=project.master_key)
    assert deliver(served, project, [{"event": "open", "source": "x"}], made.json["key"]).status == 200
    assert sorted(event.get("source", "") for event in stored(served, project)) == ["", "mail"]
