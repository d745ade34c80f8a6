"""The runner's task that sends what waits for webhooks.

An attempt is recorded before it is made, so that the number is always limited. One delivery may arrive twice,
with the same idempotency key, where this server dies before it has noted the answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from service.background.task_runner import Tools
from service.outbound.connecting import Resolve, look_up
from service.outbound.fetching import Fetcher, bounds_of
from service.outbound.policy import policy_of
from service.outbound.webhook import PAUSES_SECONDS, Outcome, deliver
from storage.catalog.database.versions import Area
from storage.catalog.derived.records import Delivery, DeliveryState, Webhook

TOGETHER = 32
"""Webhooks that are sent to at once, one delivery each: one that does not answer holds up no other."""
DELIVERED_DAYS = 7
DEAD_DAYS = 30
"""For how long deliveries are kept once they have ended."""
_SWEEP_SECONDS = 600.0
_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US

_log = logging.getLogger("acumen.webhooks")


class Deliverer:
    """See ``service.background.task_runner.Task``."""

    name = "webhooks"
    areas = frozenset({Area.DERIVED})

    def __init__(self, tools: Tools, resolve: Resolve = look_up) -> None:
        self._catalog = tools.catalog
        self._stop = tools.stop
        bounds = bounds_of(tools.settings).without_redirects()
        self._fetcher = Fetcher(policy_of(tools.settings), bounds, resolve=resolve)
        self._lease_us = int((tools.settings.outbound_seconds + PAUSES_SECONDS[0]) * _SECOND_US)
        self._swept_at = float("-inf")

    def run_due(self, now_us: int) -> bool:
        if self._stop.is_set():
            return False
        if time.monotonic() - self._swept_at > _SWEEP_SECONDS:
            self._catalog.webhooks.forget(now_us - DELIVERED_DAYS * _DAY_US, now_us - DEAD_DAYS * _DAY_US)
            self._swept_at = time.monotonic()
        claimed = self._catalog.webhooks.claim(now_us, now_us + self._lease_us, TOGETHER)
        if not claimed:
            return False
        asyncio.run(self._send(claimed, now_us))
        return True

    async def _send(self, claimed: Sequence[tuple[Webhook, Delivery]], now_us: int) -> None:
        await asyncio.gather(*(self._send_one(*one, now_us) for one in claimed))

    async def _send_one(self, webhook: Webhook, delivery: Delivery, now_us: int) -> None:
        if webhook.url is None or webhook.secret is None:
            why = "The webhook was sealed with another secret of this server: put it again."
            outcome = Outcome(DeliveryState.DEAD, None, why)
        else:
            outcome = await deliver(
                self._fetcher,
                webhook.url,
                webhook.secret,
                delivery.id,
                delivery.body,
                delivery.attempts,
                now_us,
            )
        at_us = now_us + int(outcome.wait_seconds * _SECOND_US)
        self._catalog.webhooks.note(delivery, outcome.state, at_us, outcome.status, outcome.message)
        if outcome.state is not DeliveryState.DELIVERED:
            fields = {
                "project": webhook.project_id,
                "webhook": webhook.name,
                "delivery": delivery.id,
                "attempts": delivery.attempts,
                "state": outcome.state.value,
                "error": outcome.message,
            }
            _log.warning("A webhook could not be sent to.", extra={"fields": fields})
