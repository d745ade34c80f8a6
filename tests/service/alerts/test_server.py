"""Alerts and webhooks of a running server, and of one whose runner is killed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.server import Served
from tests.support.web import WebServer, web_server

PATIENCE_SECONDS = 60.0


def until(found: Callable[[], Any], what: str) -> Any:
    """What is found once it is there."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.05)
    pytest.fail(f"not in time: {what}")


def env(web: WebServer) -> dict[str, str]:
    return {
        "ACUMEN_OUTBOUND_HOSTS": f"127.0.0.1:{web.port}",
        "ACUMEN_OUTBOUND_NETWORKS": "127.0.0.0/8",
        "ACUMEN_OUTBOUND_HTTP": "true",
    }


def test_an_alert_reaches_a_webhook_by_itself() -> None:
    with web_server() as web, Served(env=env(web)) as served:
        web.replies["/in"] = (204, {}, b"")
        project = served.project

        def told(method: str, path: str, body: Any = None) -> Any:
            address = f"/3.0/projects/{project.id}/{path}"
            reply = served.request(method, address, body, key=project.master_key)
            assert reply.status < 300, reply.body
            return reply.json

        # In each of the two intervals that may be the last one.
        now = datetime.now(UTC)
        events = [
            {"keen": {"timestamp": (now - timedelta(minutes=back)).isoformat()}} for back in range(1, 11)
        ]
        told("POST", "events", {"orders": events})
        told("PUT", "webhooks/chat", {"url": f"{web.url}/in"})
        told(
            "PUT",
            "alerts/many",
            {
                "query": {"analysis_type": "count", "event_collection": "orders"},
                "interval": "every_5_minutes",
                "condition": {"above": 0},
                "wait": {"seconds": 0},
                "notify": [{"webhook": "chat"}],
            },
        )
        until(lambda: web.asked, "the webhook")
        sent = json.loads(web.asked[0].body)
        assert (sent["type"], sent["data"]["alert"]) == ("alert.firing", "many")
        listed = until(
            lambda: [
                one
                for one in told("GET", "webhooks/chat/deliveries")["deliveries"]
                if one["state"] == "delivered"
            ],
            "the delivery",
        )
        assert listed[0]["id"] == web.asked[0].headers["idempotency-key"]
        assert told("GET", "alerts/many")["state"] == "firing"


def test_a_delivery_outlives_the_runner_that_began_it() -> None:
    with web_server() as web:
        short = {"ACUMEN_OUTBOUND_READ_SECONDS": "1", "ACUMEN_OUTBOUND_SECONDS": "2"}
        with Served(env={**env(web), **short}) as served:
            project = served.project

            def told(method: str, path: str, body: Any = None) -> Any:
                address = f"/3.0/projects/{project.id}/webhooks/chat{path}"
                reply = served.request(method, address, body, key=project.master_key)
                assert reply.status < 300, reply.body
                return reply.json

            web.raw["/in"] = lambda write: web.stopped.wait(PATIENCE_SECONDS)
            told("PUT", "", {"url": f"{web.url}/in"})
            delivery = told("POST", "/test")["id"]
            until(lambda: web.asked, "the first attempt")
            served.kill("runner")
            del web.raw["/in"]
            web.replies["/in"] = (200, {}, b"")
            listed = until(
                lambda: [
                    one for one in told("GET", "/deliveries")["deliveries"] if one["state"] == "delivered"
                ],
                "the delivery",
            )
            assert listed[0]["id"] == delivery
            assert len(web.asked) >= 2
            assert {one.headers["idempotency-key"] for one in web.asked} == {delivery}
