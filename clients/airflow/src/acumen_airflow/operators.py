"""Operators: send events, ask a question, check its answer, extract events to a file."""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException

from acumen_airflow import tokens
from acumen_airflow.conditions import condition_of, faults, in_words
from acumen_airflow.event_files import Kind, events_of_file, opened
from acumen_airflow.hook import AcumenHook
from acumen_client import Acumen, EventsRefusedError
from acumen_client.outcome import Outcome

XCOM_BYTES_MAX = 1 << 20
XCOM_BYTES_WARN = 48 << 10
"""What Airflow's database holds of a result without harm."""


class AcumenSendOperator(BaseOperator):
    """Sends events, each stored once however often the task is tried or cleared.

    - ``events``: a list, the output of a task, or their JSON as text; or ``file``: JSON lines, CSV or
      Parquet, on the worker or in object storage (``s3://…``).
    - ``token``: the property whose value says which event it is, for sources that change between tries or are
      sent by several runs. Without it: the run, the task and the event's position.
    - ``timestamp``: the property that is an event's time.
    - ``types``: of columns of CSV (``number``, ``boolean``, ``text``, ``json``), where the cells do not tell.
    - ``allow_refused``: how many events the server may refuse before the task fails. The others are stored
      anyway.
    - ``edition``: a text that makes tokens other ones, to send again what was deleted.

    Pushes ``{"total", "new", "duplicates", "refused"}``.
    """

    template_fields: Sequence[str] = (
        "acumen_conn_id",
        "collection",
        "events",
        "file",
        "token",
        "timestamp",
        "edition",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"events": "json"}
    ui_color = "#e8f4ea"

    def __init__(
        self,
        *,
        collection: str,
        events: Any = None,
        file: str | None = None,
        token: str | None = None,
        timestamp: str | None = None,
        types: Mapping[str, Kind] | None = None,
        allow_refused: int = 0,
        edition: str = "",
        acumen_conn_id: str = AcumenHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (events is None) == (file is None):
            raise ValueError("Give either 'events' or 'file'.")
        self.collection = collection
        self.events = events
        self.file = file
        self.token = token
        self.timestamp = timestamp
        self.types = types
        self.allow_refused = allow_refused
        self.edition = edition
        self.acumen_conn_id = acumen_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Raises EventsRefusedError, and what the client raises; then so many events are stored."""
        with AcumenHook(self.acumen_conn_id).get_conn() as client:
            outcome = client.record_many(self.collection, self._prepared(context), raise_refused=False)
        for one in outcome.refused[:10]:
            self.log.warning("Event %s was refused: %s", one.index, one.description)
        if len(outcome.refused) > self.allow_refused:
            raise EventsRefusedError(outcome)
        self.log.info("%s events are stored, %s of them since before.", outcome.stored, outcome.duplicates)
        return _said(outcome)

    def _prepared(self, context: Context) -> Iterator[Mapping[str, Any]]:
        events = self._given() if self.file is None else events_of_file(self.file, self.types)
        if self.timestamp is not None:
            events = tokens.at_time(events, self.timestamp)
        if self.token is not None:
            return tokens.of_property(events, self.token)
        ti = context["ti"]
        run = (ti.dag_id, ti.task_id, ti.run_id, ti.map_index)
        return tokens.of_position(events, *run, self.collection, self.edition)

    def _given(self) -> Iterable[Mapping[str, Any]]:
        events = self.events
        if isinstance(events, str):
            try:
                events = json.loads(events)
            except ValueError:
                raise ValueError(
                    "'events' is text that is not JSON: give a task's output as events=load.output, or a "
                    "template that ends with '| tojson'."
                ) from None
        if isinstance(events, Mapping):
            return [events]
        if not isinstance(events, Iterable):
            raise ValueError(f"'events' is a list of events, not {type(events).__name__}.")
        return events


class AcumenQueryOperator(BaseOperator):
    """Asks a question, and pushes its result.

    - ``analysis``: ``count``, ``sum``, ``funnel``, ``series``, ``sql``, …; ``parameters``: those of the API.
    - ``xcom_bytes_max``: the result's size from which the task fails rather than push it.
    """

    template_fields: Sequence[str] = ("acumen_conn_id", "analysis", "parameters")
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json"}
    ui_color = "#e8eef7"

    def __init__(
        self,
        *,
        analysis: str,
        parameters: Mapping[str, Any],
        xcom_bytes_max: int = XCOM_BYTES_MAX,
        acumen_conn_id: str = AcumenHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.analysis = analysis
        self.parameters = parameters
        self.xcom_bytes_max = xcom_bytes_max
        self.acumen_conn_id = acumen_conn_id

    def execute(self, context: Context) -> Any:
        result = self._asked()
        size = len(json.dumps(result))
        if size > self.xcom_bytes_max:
            raise AirflowException(
                f"The result has {size:,} bytes, and {self.xcom_bytes_max:,} may be pushed: ask for less "
                "(limit, a longer interval, fewer groups), or extract events to a file."
            )
        if size > XCOM_BYTES_WARN:
            self.log.warning("The result has %s bytes: much for Airflow's database.", f"{size:,}")
        return result

    def _asked(self) -> Any:
        with AcumenHook(self.acumen_conn_id).get_conn() as client:
            answer = client.transport.request(
                "POST", _question(client, self.analysis), key="read", json=self.parameters, repeatable=True
            ).json()
        for warning in answer.get("warnings", ()):
            self.log.warning("%s", warning)
        return answer["result"]


class AcumenCheckOperator(AcumenQueryOperator):
    """Asks a question, and fails where a number of its answer does not fulfil the condition.

    - ``expect``: ``">= 100"``, ``"!= 0"``, ``"between 1 and 5"``. Of an answer in groups or intervals each
      number must fulfil it, and there must be one.
    - ``of``: which number, of a multi-analysis or a series.

    Pushes the result, if it is small.
    """

    template_fields: Sequence[str] = (*AcumenQueryOperator.template_fields, "expect", "of")
    ui_color = "#f7f0e2"

    def __init__(self, *, expect: str, of: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.expect = expect
        self.of = of

    def execute(self, context: Context) -> Any:
        condition = condition_of(self.expect)
        result = super().execute(context)
        wrong = faults(condition, result, self.of)
        if wrong:
            about = self.parameters.get("event_collection", "")
            raise AirflowException(
                f"Expected {self.analysis} {f'of {about} ' if about else ''}{condition.text}, "
                f"and found {in_words(wrong)}."
            )
        return result


class AcumenExtractOperator(BaseOperator):
    """Writes events to a file, as the server makes it, in constant memory; the file is there once it is
    whole.

    - ``path``: on the worker, or in object storage (``s3://…``); ``.csv``, ``.ndjson``, ``.jsonl`` (each may
      be followed by ``.gz``) or ``.parquet``.
    - ``parameters``: ``filters``, ``timeframe``, ``timezone``, ``property_names``, ``latest``.

    Pushes the path.
    """

    template_fields: Sequence[str] = ("acumen_conn_id", "collection", "path", "parameters")
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json"}
    ui_color = "#eee8f7"

    def __init__(
        self,
        *,
        collection: str,
        path: str,
        parameters: Mapping[str, Any] | None = None,
        acumen_conn_id: str = AcumenHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.collection = collection
        self.path = path
        self.parameters = parameters
        self.acumen_conn_id = acumen_conn_id

    def execute(self, context: Context) -> str:
        with AcumenHook(self.acumen_conn_id).get_conn() as client:
            if "://" in self.path:
                with tempfile.TemporaryDirectory(prefix="acumen-") as folder:
                    made = self._made(client, Path(folder))
                    with made.open("rb") as source, opened(self.path, "wb") as target:
                        shutil.copyfileobj(source, target, 1 << 20)
            else:
                target_path = Path(self.path)
                target_path.parent.mkdir(parents=True, exist_ok=True)
                self._made(client, target_path.parent).replace(target_path)
        return self.path

    def _made(self, client: Acumen, folder: Path) -> Path:
        """The file under a name of this try alone, so that two tries do not write to one file."""
        name = f".{uuid.uuid4().hex}-{self.path.rsplit('/', 1)[-1]}"
        return client.export(self.collection, folder / name, progress=False, **(self.parameters or {}))


def _question(client: Acumen, analysis: str) -> str:
    return client.transport.project_path("queries", analysis)


def _said(outcome: Outcome) -> dict[str, int]:
    return {
        "total": outcome.total,
        "new": outcome.new,
        "duplicates": outcome.duplicates,
        "refused": len(outcome.refused),
    }
