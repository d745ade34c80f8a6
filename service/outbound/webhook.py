"""One delivery to a webhook: how it is signed, sent, and what its answer means."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from service.outbound.channels import is_channel, tell_channel
from service.outbound.errors import OutboundError, OutboundRefused, Unreachable
from service.outbound.fetching import Asking, Fetcher
from service.plugins.confined import CodeFailed
from storage.catalog.derived.records import DeliveryState

SIGNATURE = "acumen-signature"
IDEMPOTENCY_KEY = "idempotency-key"
PAUSES_SECONDS = (10, 60, 300, 900, 3_600, 4 * 3_600, 12 * 3_600, 24 * 3_600)
"""Pauses after each attempt but the last, which is one more than there are pauses."""
MESSAGE_MAX = 1_000
_RETRY_AFTER_SECONDS_MAX = 24 * 3_600
_AGAIN = frozenset({408, 425, 429})
"""Statuses below 500 after which it is sent again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt. ``wait_seconds``: until the next, of one that is to be made again."""

    state: DeliveryState
    status: int | None = None
    message: str | None = None
    wait_seconds: float = 0.0


def signature(secret: str, at_seconds: int, body: bytes) -> str:
    """The value of the header field ``Acumen-Signature``."""
    text = f"{at_seconds}.".encode() + body
    return f"t={at_seconds},v1={hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()}"


async def deliver(
    fetcher: Fetcher, url: str, secret: str, delivery_id: str, body: str, attempt: int, now_us: int
) -> Outcome:
    """Send once. ``attempt`` counts from 1."""
    if is_channel(url):
        return await _tell(url, delivery_id, body, attempt, fetcher.seconds)
    sent = body.encode()
    headers = {
        "content-type": "application/json",
        IDEMPOTENCY_KEY: delivery_id,
        SIGNATURE: signature(secret, now_us // 1_000_000, sent),
    }
    try:
        answer = await fetcher.fetch(Asking("POST", url, headers, sent, wants_body=False))
    except (OutboundRefused, Unreachable) as error:
        again = isinstance(error, Unreachable)
        return _failed(str(error), attempt, None, again=again)
    except OutboundError as error:
        return _failed(str(error), attempt, None, again=True)
    if 200 <= answer.status < 300:
        return Outcome(DeliveryState.DELIVERED, answer.status)
    if 300 <= answer.status < 400:
        why = f"{answer.origin} redirects ({answer.status}): give the webhook its new URL."
        return _failed(why, attempt, answer.status, again=False)
    return _failed(
        f"{answer.origin} answered with {answer.status}.",
        attempt,
        answer.status,
        again=answer.status >= 500 or answer.status in _AGAIN,
        least_seconds=_retry_after(answer.headers.get("retry-after", ""), now_us),
    )


async def _tell(url: str, delivery_id: str, body: str, attempt: int, seconds: float) -> Outcome:
    """By a plugin."""
    try:
        await asyncio.to_thread(tell_channel, url, delivery_id, body, seconds)
    except CodeFailed as error:
        return _failed(str(error)[:MESSAGE_MAX], attempt, None, again=True)
    return Outcome(DeliveryState.DELIVERED)


def _failed(
    message: str, attempt: int, status: int | None, *, again: bool, least_seconds: float = 0.0
) -> Outcome:
    if not again:
        return Outcome(DeliveryState.DEAD, status, message)
    if attempt > len(PAUSES_SECONDS):
        return Outcome(DeliveryState.DEAD, status, f"Given up after {attempt} attempts. {message}")
    wait = max(PAUSES_SECONDS[attempt - 1], least_seconds)
    return Outcome(DeliveryState.WAITING, status, message, wait)


def _retry_after(value: str, now_us: int) -> float:
    """The seconds that a header ``Retry-After`` asks for, within a day; 0 where it says nothing."""
    text = value.strip()
    try:
        if text.isascii() and text.isdigit():
            seconds = float(text[:10])
        else:
            seconds = parsedate_to_datetime(text).timestamp() - now_us / 1_000_000
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), _RETRY_AFTER_SECONDS_MAX)
