"""What is waited for: each a value that can be stored, with one coroutine that looks whether it has come.

A look gives what it found, or None while there is more to wait for. It raises NeverError where waiting is of
no use, and what the client raises.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

from acumen_airflow.conditions import condition_of, faults
from acumen_client import AcumenError, ApiError, AsyncAcumen, ConfigurationError

Found: TypeAlias = dict[str, Any]
INTERVALS_COMPARED = 14
UNKNOWN_LATENESS_SECONDS = 60.0
"""How long after its end an interval is waited for when nothing tells how late its events are."""
BUCKETS_MAX = 10_000
_LENGTHS = {
    "minutely": dt.timedelta(minutes=1),
    "hourly": dt.timedelta(hours=1),
    "daily": dt.timedelta(days=1),
    "weekly": dt.timedelta(weeks=1),
}
_MAY_PASS = (408, 425, 429)


class NeverError(Exception):
    """What is waited for will not come."""


@dataclass(frozen=True, slots=True)
class Complete:
    """That the events of a collection are expected to be there, up to a time.

    The last interval before ``until`` is judged by how late the events of the 14 before were: as soon as
    ``share`` of its events is expected to have arrived. Where these tell nothing: a minute after ``until``.
    """

    collection: str
    until: str
    interval: str = "hourly"
    timezone: str | None = None
    share: float = 0.99
    filters: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.interval not in _LENGTHS:
            raise ValueError(f"'interval' is one of {', '.join(_LENGTHS)}, not '{self.interval}'.")
        if not 0 < self.share <= 1:
            raise ValueError(f"'share' is more than 0 and 1 at most, not {self.share}.")

    async def look(self, client: AsyncAcumen) -> Found | None:
        until = instant_of(self.until)
        waited = (_now() - until).total_seconds()
        if waited < 0:
            return None
        answer = await _asked(client, "series", self._question(until))
        for part in answer.get("completeness", ()):
            arrived = part["series"]["events"]["arrived"]
            if arrived is None and waited < UNKNOWN_LATENESS_SECONDS:
                return None
            if arrived is not None and arrived < self.share:
                return None
            return {"until": self.until, "arrived": arrived}
        return {"until": self.until, "arrived": 1}

    def _question(self, until: dt.datetime) -> dict[str, Any]:
        events = {"event_collection": self.collection, "analysis_type": "count", "filters": self.filters}
        asked = {
            "series": {"events": events},
            "interval": self.interval,
            "timeframe": {"start": (until - _LENGTHS[self.interval]).isoformat(), "end": until.isoformat()},
            "completeness": {"intervals": INTERVALS_COMPARED},
        }
        return asked if self.timezone is None else {**asked, "timezone": self.timezone}


@dataclass(frozen=True, slots=True)
class Fresh:
    """That a pipeline has derived all that was sent before the first look, up to a time.

    ``stored``: of each collection that it reads, the events that there were at the first look; None before
    it. A bucket counts that begins before ``until`` and, with ``since``, ends after it. Unless ``empty_ok``
    one of them must reach ``until``. Needs the master key.
    """

    pipeline: str
    until: str
    since: str | None = None
    empty_ok: bool = False
    stored: Mapping[str, int] | None = None

    async def look(self, client: AsyncAcumen) -> Found | None:
        if not await self._all_in_files(client):
            return None
        until = instant_of(self.until)
        asked = {"until": until.isoformat(), "limit": str(BUCKETS_MAX)}
        if self.since is not None:
            asked["since"] = instant_of(self.since).isoformat()
        buckets = (await _shown(client, "pipelines", self.pipeline, "timeline", params=asked))["buckets"]
        failed = [one for one in buckets if one["state"] == "failed" and not one["running"]]
        if failed:
            pipeline = await _shown(client, "pipelines", self.pipeline)
            raise NeverError(
                f"The pipeline '{self.pipeline}' failed in the bucket that begins {failed[0]['start']}, and "
                f"{len(failed) - 1} others: {pipeline['problem']}"
            )
        if any(one["state"] == "stale" or one["running"] for one in buckets):
            return None
        reached = max((instant_of(one["end"]) for one in buckets), default=None)
        if not self.empty_ok and (reached is None or reached < until):
            return None
        return {"until": self.until, "derived_until": None if reached is None else reached.isoformat()}

    async def _all_in_files(self, client: AsyncAcumen) -> bool:
        """Whether the events of the first look are in files: what is in none yet, no pipeline has seen."""
        for collection, events in (self.stored or {}).items():
            in_files, in_no_file = await _counts(client, collection)
            if in_no_file and in_files < events:
                return False
        return True

    async def begun(self, client: AsyncAcumen) -> Fresh:
        """The same with the events that there are now, unless it has begun before."""
        if self.stored is not None:
            return self
        pipeline = await _shown(client, "pipelines", self.pipeline)
        stored = {name: sum(await _counts(client, name)) for name in pipeline["from"]}
        return replace(self, stored=stored)


@dataclass(frozen=True, slots=True)
class Met:
    """That each number of an answer fulfils a condition."""

    analysis: str
    parameters: Mapping[str, Any]
    expect: str
    of: str | None = None

    async def look(self, client: AsyncAcumen) -> Found | None:
        result = (await _asked(client, self.analysis, self.parameters))["result"]
        return None if faults(condition_of(self.expect), result, self.of) else {"result": result}


Look: TypeAlias = Complete | Fresh | Met
_KINDS: dict[str, type[Look]] = {"complete": Complete, "fresh": Fresh, "met": Met}


async def begun(look: Look, client: AsyncAcumen) -> Look:
    """The look, with what it has to know of the time of the first one."""
    return await look.begun(client) if isinstance(look, Fresh) else look


def to_json(look: Look) -> dict[str, Any]:
    """The look as JSON values, for the database of Airflow."""
    (kind,) = (name for name, made in _KINDS.items() if made is type(look))
    return {"kind": kind, **asdict(look)}


def from_json(sent: Mapping[str, Any]) -> Look:
    """The look that ``to_json`` wrote."""
    return _KINDS[sent["kind"]](**{name: value for name, value in sent.items() if name != "kind"})


def may_pass(error: AcumenError) -> bool:
    """Whether looking again later may go better: a server that is away or busy, not one that refuses."""
    if isinstance(error, ApiError):
        return error.status >= 500 or error.status in _MAY_PASS
    return not isinstance(error, ConfigurationError)


def instant_of(text: str) -> dt.datetime:
    """The instant of a text in ISO 8601; without a zone it is UTC. Raises ValueError."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is no time in ISO 8601, as 2026-01-31T12:00:00Z.") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def _asked(client: AsyncAcumen, analysis: str, parameters: Mapping[str, Any], **more: Any) -> Any:
    path = client.transport.project_path("queries", analysis)
    options = {"key": "read", "json": dict(parameters), "repeatable": True, **more}
    return (await client.transport.request("POST", path, **options)).json()


async def _shown(client: AsyncAcumen, *segments: str, params: Mapping[str, str] | None = None) -> Any:
    path = client.transport.project_path(*segments)
    return (await client.transport.request("GET", path, key="master", params=params)).json()


async def _counts(client: AsyncAcumen, collection: str) -> tuple[int, int]:
    """The events of a collection that are in files, and in none yet."""
    asked = {"event_collection": collection, "explain": True}
    answer = await _asked(client, "count", asked, key="master")
    (seen,) = answer["explain"]["snapshot"]["collections"]
    return seen["events_in_files"], seen["events_in_no_file"]
