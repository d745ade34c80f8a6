"""Triggers: what the triggerer does while a sensor is deferred, and what fires when a bucket was derived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from acumen_airflow import looks
from acumen_airflow.hook import AcumenHook
from acumen_client import NO_RETRIES, AcumenError, AsyncAcumen

BUCKETS_SEEN = 1_000
_SEEN = "acumen_seen"


class AcumenTrigger(BaseTrigger):
    """Looks every ``poke_interval`` seconds, and fires once with what was found, or with why it never will
    be.

    ``look``: one of ``looks``, as JSON. A server that does not answer is looked at again.
    """

    def __init__(self, look: Mapping[str, Any], acumen_conn_id: str, poke_interval: float) -> None:
        super().__init__()
        self.look = look
        self.acumen_conn_id = acumen_conn_id
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow stores it."""
        arguments = {
            "look": dict(self.look),
            "acumen_conn_id": self.acumen_conn_id,
            "poke_interval": self.poke_interval,
        }
        return f"{__name__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncGenerator[TriggerEvent, None]:
        """One event: ``{"found": …}`` or ``{"failed": text}``."""
        try:
            found = await self._found()
        except (AcumenError, looks.NeverError, ValueError) as error:
            yield TriggerEvent({"failed": str(error)})
        else:
            yield TriggerEvent({"found": found})

    async def _found(self) -> looks.Found:
        look = looks.from_json(self.look)
        async with await AcumenHook(self.acumen_conn_id).get_async_conn(NO_RETRIES) as client:
            while True:
                try:
                    look = await looks.begun(look, client)
                    found = await look.look(client)
                except AcumenError as error:
                    if not looks.may_pass(error):
                        raise
                    self.log.warning("Looking again in %s seconds: %s", self.poke_interval, error)
                else:
                    if found is not None:
                        return found
                await asyncio.sleep(self.poke_interval)


class AcumenBucketTrigger(BaseEventTrigger):
    """Fires when buckets of a pipeline were derived: for the first time, or again. For an ``AssetWatcher``.

    The event is ``{"pipeline", "buckets": [{"start", "end", "rows", "derived"}, …]}``, the newest bucket
    first: all that were derived since the event before, of the 1,000 newest. What was derived while no
    triggerer ran is told when one runs again, since the asset keeps what was seen. Needs the master key.
    """

    def __init__(
        self,
        pipeline: str,
        acumen_conn_id: str = AcumenHook.default_conn_name,
        poke_interval: float = 30.0,
    ) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.acumen_conn_id = acumen_conn_id
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow stores it."""
        arguments = {
            "pipeline": self.pipeline,
            "acumen_conn_id": self.acumen_conn_id,
            "poke_interval": self.poke_interval,
        }
        return f"{__name__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncGenerator[TriggerEvent, None]:
        """Events without an end: what fails is logged and tried again."""
        seen: dict[str, Any] | None = None
        while True:
            try:
                seen = seen or await self._remembered()
                async with await AcumenHook(self.acumen_conn_id).get_async_conn(NO_RETRIES) as client:
                    while True:
                        buckets = await self._fresh(client)
                        new = [] if seen is None else newly_derived(buckets, seen)
                        if new:
                            yield TriggerEvent(self._said(new))
                        if seen is None or new:
                            # Only now: what dies in between tells of a bucket twice, not never.
                            seen = latest_of(buckets)
                            await self._remember(seen)
                        await asyncio.sleep(self.poke_interval)
            except Exception as error:
                self.log.warning("Looking again in %s seconds: %s", self.poke_interval, error)
            await asyncio.sleep(self.poke_interval)

    async def _fresh(self, client: AsyncAcumen) -> list[dict[str, Any]]:
        path = client.transport.project_path("pipelines", self.pipeline, "buckets")
        asked = {"state": "fresh", "limit": str(BUCKETS_SEEN)}
        answer = await client.transport.request("GET", path, key="master", params=asked)
        buckets: list[dict[str, Any]] = answer.json()["buckets"]
        return buckets

    def _said(self, buckets: list[dict[str, Any]]) -> dict[str, Any]:
        rows = [
            {"start": one["start"], "end": one["end"], "rows": one["rows_out"], "derived": one["changed"]}
            for one in buckets
        ]
        return {"pipeline": self.pipeline, "buckets": rows}

    async def _remembered(self) -> dict[str, Any] | None:
        if self.asset_state_store is None:
            return None
        found = await self.asset_state_store.aget(_SEEN)
        return found if isinstance(found, dict) else None

    async def _remember(self, seen: dict[str, Any]) -> None:
        if self.asset_state_store is not None:
            await self.asset_state_store.aset(_SEEN, seen)


def newly_derived(buckets: list[dict[str, Any]], seen: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The buckets that were derived later than what was seen; at that very time, those that were not seen."""
    return [
        one
        for one in buckets
        if one["changed"] > seen["derived"]
        or (one["changed"] == seen["derived"] and one["start"] not in seen["starts"])
    ]


def latest_of(buckets: list[dict[str, Any]]) -> dict[str, Any]:
    """When the last of the buckets was derived, and which were at that time."""
    last = max((one["changed"] for one in buckets), default="")
    return {"derived": last, "starts": [one["start"] for one in buckets if one["changed"] == last]}
