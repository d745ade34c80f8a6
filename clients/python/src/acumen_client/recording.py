"""Sending events: ``record``, ``record_many`` and the making of senders."""

from __future__ import annotations

from acumen_client._transport import AsyncTransport, Transport


class Recording:
    """The part of ``Acumen`` that records."""

    transport: Transport


class AsyncRecording:
    """The part of ``AsyncAcumen`` that records."""

    transport: AsyncTransport
