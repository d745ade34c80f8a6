"""Sensors: a collection is complete, a pipeline is fresh, an answer fulfils a condition.

They look once in the worker, and wait in the triggerer: a task that waits takes no worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue
from airflow.sdk.exceptions import AirflowException

from acumen_airflow import looks
from acumen_airflow.conditions import condition_of
from acumen_airflow.hook import AcumenHook
from acumen_airflow.triggers import AcumenTrigger
from acumen_client import AcumenError, AsyncAcumen


class _AcumenSensor(BaseSensorOperator):
    """``deferrable=False`` makes it wait in the worker, by ``mode``."""

    def __init__(
        self,
        *,
        deferrable: bool = True,
        acumen_conn_id: str = AcumenHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self._look: looks.Look | None = None
        self.acumen_conn_id = acumen_conn_id

    def wanted(self) -> looks.Look:
        """What is waited for."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        if not self.deferrable:
            return super().execute(context)
        look, found = asyncio.run(self._looked(self.wanted(), self._client()))
        if found is None:
            trigger = AcumenTrigger(looks.to_json(look), self.acumen_conn_id, self.poke_interval)
            self.defer(trigger=trigger, method_name="execute_complete", timeout=self.timeout)
        return found

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """Called when the trigger has fired."""
        if event is None or "failed" in event:
            raise AirflowException("It will not come." if event is None else event["failed"])
        return event["found"]

    def poke(self, context: Context) -> PokeReturnValue:
        # What was there at the first look is known until the last.
        self._look, found = asyncio.run(self._looked(self._look or self.wanted(), self._client()))
        return PokeReturnValue(found is not None, found)

    def _client(self) -> AsyncAcumen:
        return AcumenHook(self.acumen_conn_id).looking()

    async def _looked(self, look: looks.Look, client: AsyncAcumen) -> tuple[looks.Look, looks.Found | None]:
        """The look, as it goes on later, and what it found now."""
        async with client:
            try:
                look = await looks.begun(look, client)
                return look, await look.look(client)
            except looks.NeverError as error:
                raise AirflowException(str(error)) from None
            except AcumenError as error:
                if not looks.may_pass(error):
                    raise
                self.log.warning("Looking again later: %s", error)
                return look, None


class AcumenCompleteSensor(_AcumenSensor):
    """Waits until the events of a collection are expected to be there, up to a time.

    The last ``interval`` (``minutely``, ``hourly``, ``daily``, ``weekly``) before ``until`` is judged by how
    late the events of the 14 before were: it is complete as soon as ``share`` of its events is expected to
    have arrived. Where these tell nothing it is complete a minute after ``until``. It does not know of a
    source that sends nothing at all: check the count too. Needs a key that may ask.
    """

    template_fields: Sequence[str] = (
        "acumen_conn_id",
        "collection",
        "until",
        "interval",
        "timezone",
        "filters",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json"}

    def __init__(
        self,
        *,
        collection: str,
        until: str,
        interval: str = "hourly",
        timezone: str | None = None,
        share: float = 0.99,
        filters: Sequence[Mapping[str, Any]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.collection = collection
        self.until = until
        self.interval = interval
        self.timezone = timezone
        self.share = share
        self.filters = filters

    def wanted(self) -> looks.Look:
        filters = [dict(one) for one in self.filters]
        return looks.Complete(self.collection, self.until, self.interval, self.timezone, self.share, filters)


class AcumenPipelineSensor(_AcumenSensor):
    """Waits until a pipeline has derived everything that was sent before the task began, up to a time.

    It waits until these events are in files, and until no bucket that begins before ``until`` (and ends after
    ``since``) waits to be derived. One must reach ``until``, unless ``empty_ok``: then a time without events
    may pass. Fails when such a bucket has failed. Needs the master key.
    """

    template_fields: Sequence[str] = ("acumen_conn_id", "pipeline", "until", "since")

    def __init__(
        self, *, pipeline: str, until: str, since: str | None = None, empty_ok: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if self.mode == "reschedule" and not self.deferrable:
            raise ValueError("A rescheduled task forgets what was there when it began: let it be deferrable.")
        self.pipeline = pipeline
        self.until = until
        self.since = since
        self.empty_ok = empty_ok

    def wanted(self) -> looks.Look:
        return looks.Fresh(self.pipeline, self.until, self.since, self.empty_ok)


class AcumenQuerySensor(_AcumenSensor):
    """Waits until each number of an answer fulfils a condition, as ``AcumenCheckOperator`` has it."""

    template_fields: Sequence[str] = ("acumen_conn_id", "analysis", "parameters", "expect", "of")
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json"}

    def __init__(
        self,
        *,
        analysis: str,
        parameters: Mapping[str, Any],
        expect: str,
        of: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.analysis = analysis
        self.parameters = parameters
        self.expect = expect
        self.of = of

    def wanted(self) -> looks.Look:
        condition_of(self.expect)
        return looks.Met(self.analysis, self.parameters, self.expect, self.of)
