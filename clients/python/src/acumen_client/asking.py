"""Asking: every analysis by plain parameters, and questions that were built with ``Query``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict, Unpack, cast, overload

from acumen_client._calls import Call, awaited, blocking, in_project, run, run_async
from acumen_client._transport import Answer, AsyncTransport, Transport
from acumen_client.diff import comparison
from acumen_client.extracting import AsyncExtracting, Extracting
from acumen_client.query import (
    Aggregate,
    EventsLike,
    Extraction,
    FilterLike,
    Funnel,
    GroupLike,
    Metric,
    OrderLike,
    P,
    Paths,
    Preset,
    Query,
    Retention,
    SeriesQuestion,
    Step,
    Stickiness,
    Zone,
    parameters_as_json,
)
from acumen_client.results import (
    Events,
    FunnelResult,
    PathsResult,
    Result,
    RetentionResult,
    SeriesResult,
    Told,
    answer_of,
)
from acumen_client.sql import statement
from acumen_client.tail import AsyncTailing, Tailing


class Asked(TypedDict, total=False):
    """Parameters that every question takes; what is None is left out."""

    filters: FilterLike | Iterable[FilterLike] | None
    timeframe: Any
    """``"this_14_days"``, ``{"start": …, "end": …}``, or a pair of dates or datetimes (None: an open end)."""
    timezone: Zone | None
    week_start: Literal["sunday", "monday"] | None
    session: Mapping[str, Any] | None
    """What the sessions are whose properties filters and groups name, as ``{"session": "entry"}``."""
    include_metadata: bool | None
    explain: bool | None
    max_age: int | None
    as_of: str | None


class Arranged(Asked, total=False):
    """Parameters of questions whose answers may be divided."""

    interval: str | None
    group_by: GroupLike | Iterable[GroupLike] | None
    order_by: OrderLike | Iterable[OrderLike] | None
    limit: int | None
    zero_fill: bool | None
    round: int | Literal["none"] | None


class OfIds(Arranged, total=False):
    """Parameters of questions that may count actors."""

    identity: Literal["merged", "as_sent"] | None
    """Whether ids that are linked are one."""


class Computed(OfIds, total=False):
    """Parameters of series: what is computed of them."""

    formulas: Mapping[str, str] | None
    """Name → formula: ``{"revenue per visit": "revenue / visits"}``."""
    compare: Any
    """``"previous_period"``, ``"previous_year"``, ``"same_weekdays"`` or a timeframe."""
    cumulative: str | Iterable[str] | None
    rolling: Mapping[str, int] | None
    completeness: bool | Mapping[str, int] | None
    """Whether to add how much of the newest intervals has arrived."""
    """Name → number of intervals."""
    share: str | Iterable[str] | None
    top: Mapping[str, Any] | None
    """``{"limit": 5, "by": "revenue", "other": True}``."""
    fill: Literal[0, "null", "previous"] | None
    show: str | Iterable[str] | None


class Followed(Asked, total=False):
    """Parameters of funnels: whether their steps follow each other in time."""

    identity: Literal["merged", "as_sent"] | None
    """Whether ids that are linked are one actor."""
    actor_property: str | P | None
    """Of steps that have none of their own; if absent, the project's preference."""
    order: Literal["any", "ordered", "strict"] | None
    window: str | None
    """With an order: the longest time from the first step to the last one, as ``"7_days"``."""
    equal_times: Literal["in_order", "apart"] | None
    exclusions: Iterable[Mapping[str, Any]] | None
    """Events of which none may lie between two steps."""
    hold: str | P | None
    """A property that has one value in all steps of an actor."""
    group_by: GroupLike | None
    attribution: Literal["first", "last"] | int | None
    interval: str | None
    counting: Literal["actors", "sessions", "conversions"] | Preset | None
    """Or a service by whose defaults to count."""
    session_gap: str | None
    times: bool | Mapping[str, Any] | None
    explain_actor: Any
    """An actor whose events to list, and why it did not get further."""


class InSessions(OfIds, total=False):
    """Parameters of questions about sessions."""

    counting: Preset | None
    """A service by whose defaults to count."""
    actor_property: str | P | None
    """If absent, the project's preference."""
    gap: str | None
    """The break after which another session begins, as ``"30_minutes"``, which is the default."""
    cut: Literal["daily"] | None
    longest: str | None
    measures: str | Iterable[str] | None
    page_property: str | P | None
    pages: int | None
    attribution: Literal["entry", "exit"] | None


class Retained(Asked, total=False):
    """Parameters of retention."""

    returning_event: str | Step | Mapping[str, Any] | None
    identity: Literal["merged", "as_sent"] | None
    """Whether ids that are linked are one actor."""
    actor_property: str | P | None
    """If absent, the project's preference."""
    interval: str | None
    cohort: Literal["first_time", "recurring"] | None
    counting: Preset | None
    """A service by whose defaults to count."""
    first_in: Literal["timeframe", "history"] | None
    period_type: Literal["calendar", "rolling"] | None
    periods: int | None
    returned: Literal["on", "on_or_after"] | None
    brackets: Iterable[Sequence[int]] | None
    group_by: GroupLike | None
    round: int | Literal["none"] | None


class InLifecycle(Asked, total=False):
    """Parameters of lifecycle."""

    identity: Literal["merged", "as_sent"] | None
    """Whether ids that are linked are one actor."""
    actor_property: str | P | None
    """If absent, the project's preference."""
    interval: str | None
    first_in: Literal["timeframe", "history"] | None
    group_by: GroupLike | Iterable[GroupLike] | None
    order_by: OrderLike | Iterable[OrderLike] | None
    limit: int | None
    zero_fill: bool | None


class InStickiness(Asked, total=False):
    """Parameters of stickiness."""

    identity: Literal["merged", "as_sent"] | None
    """Whether ids that are linked are one actor."""
    actor_property: str | P | None
    """If absent, the project's preference."""
    interval: str | None
    histogram: bool | None
    month_days: Literal[28, 30] | None
    round: int | Literal["none"] | None


class Taken(Asked, total=False):
    """Parameters of questions about paths; ``from`` is written ``from_``."""

    identity: Literal["merged", "as_sent"] | None
    """Whether ids that are linked are one actor."""
    actor_property: str | P | None
    """If absent, the project's preference."""
    by: str | P | None
    """The property whose values are the nodes."""
    from_: EventsLike | None
    """Where paths begin: the name of a node, or an event."""
    to: EventsLike | None
    depth: int | None
    counting: Literal["actors", "sessions", "occurrences"] | None
    gap: str | None
    window: str | None
    collapse_repeats: bool | None
    rename: Iterable[Mapping[str, str]] | None
    nodes: int | None
    least: int | None


class Extracted(Asked, total=False):
    """Parameters of extractions."""

    latest: int | None
    property_names: str | P | Iterable[str | P] | None


def question(analysis: str, parameters: Mapping[str, Any]) -> Call[Told]:
    """The call for a question whose parameters are JSON already.

    It is posted, whatever its length, so that each value keeps its JSON type.
    """

    def read(answer: Answer) -> Told:
        age = answer.headers.get("age", "")
        return answer_of(
            parameters,
            answer.json(),
            analysis=analysis,
            request_id=answer.request_id,
            age_seconds=int(age) if age.isdecimal() else None,
        )

    options = {"key": "read", "json": dict(parameters), "repeatable": True}
    return Call("POST", in_project("queries", analysis), read, options)


def _numbers(analysis: str, event_collection: str, **parameters: Any) -> Call[Result]:
    given = parameters_as_json({"event_collection": event_collection, **parameters})
    return cast("Call[Result]", question(analysis, given))


def _count(event_collection: str, **parameters: Unpack[Arranged]) -> Call[Result]:
    """How many events."""
    return _numbers("count", event_collection, **parameters)


def _count_unique(
    event_collection: str, target_property: str | P, **parameters: Unpack[OfIds]
) -> Call[Result]:
    """How many different values of the property."""
    return _numbers("count_unique", event_collection, target_property=target_property, **parameters)


def _minimum(event_collection: str, target_property: str | P, **parameters: Unpack[Arranged]) -> Call[Result]:
    """The least number."""
    return _numbers("minimum", event_collection, target_property=target_property, **parameters)


def _maximum(event_collection: str, target_property: str | P, **parameters: Unpack[Arranged]) -> Call[Result]:
    """The greatest number."""
    return _numbers("maximum", event_collection, target_property=target_property, **parameters)


def _sum(event_collection: str, target_property: str | P, **parameters: Unpack[Arranged]) -> Call[Result]:
    """The sum of the numbers."""
    return _numbers("sum", event_collection, target_property=target_property, **parameters)


def _average(event_collection: str, target_property: str | P, **parameters: Unpack[Arranged]) -> Call[Result]:
    """The arithmetic mean of the numbers."""
    return _numbers("average", event_collection, target_property=target_property, **parameters)


def _median(event_collection: str, target_property: str | P, **parameters: Unpack[Arranged]) -> Call[Result]:
    """The nearest-rank median of the numbers."""
    return _numbers("median", event_collection, target_property=target_property, **parameters)


def _percentile(
    event_collection: str,
    target_property: str | P,
    percentile: float,
    **parameters: Unpack[Arranged],
) -> Call[Result]:
    """The least number that at least ``percentile`` per cent of the numbers do not exceed."""
    more = {"target_property": target_property, "percentile": percentile, **parameters}
    return _numbers("percentile", event_collection, **more)


def _standard_deviation(
    event_collection: str, target_property: str | P, **parameters: Unpack[Arranged]
) -> Call[Result]:
    """The standard deviation of the whole population."""
    return _numbers("standard_deviation", event_collection, target_property=target_property, **parameters)


def _select_unique(
    event_collection: str, target_property: str | P, **parameters: Unpack[OfIds]
) -> Call[Result]:
    """The different values of the property."""
    return _numbers("select_unique", event_collection, target_property=target_property, **parameters)


def _multi_analysis(
    event_collection: str,
    analyses: Mapping[str, Metric | Mapping[str, Any]],
    **parameters: Unpack[OfIds],
) -> Call[Result]:
    """Several analyses in one go: ``{"orders": Metric.count(), "revenue": Metric.sum("price")}``."""
    return _numbers("multi_analysis", event_collection, analyses=analyses, **parameters)


def _series(
    series: Mapping[str, Query | Mapping[str, Any]], **parameters: Unpack[Computed]
) -> Call[SeriesResult]:
    """Several questions side by side: ``{"visits": Query.count("visits"), "revenue": Query.sum(…)}``."""
    return cast(
        "Call[SeriesResult]", question("series", parameters_as_json({"series": series, **parameters}))
    )


def _funnel(steps: Iterable[Step | Mapping[str, Any]], **parameters: Unpack[Followed]) -> Call[FunnelResult]:
    """How many actors did the first step, how many of those the second, and so on."""
    given = parameters_as_json({"steps": steps, **parameters})
    return cast("Call[FunnelResult]", question("funnel", given))


def _sessions(
    event_collection: str | None = None,
    events: EventsLike | Iterable[EventsLike] | None = None,
    **parameters: Unpack[InSessions],
) -> Call[Result]:
    """Sessions of the events of a collection, or of several: how many, how long, where they begin."""
    given = {"event_collection": event_collection, "events": events, **parameters}
    return cast("Call[Result]", question("sessions", parameters_as_json(given)))


def _retention(
    starting_event: str | Step | Mapping[str, Any], **parameters: Unpack[Retained]
) -> Call[RetentionResult]:
    """How many actors came back, by when they started; an event is a collection, or has filters too."""
    given = parameters_as_json({"starting_event": starting_event, **parameters})
    return cast("Call[RetentionResult]", question("retention", given))


def _lifecycle(
    event_collection: str | None = None,
    events: EventsLike | Iterable[EventsLike] | None = None,
    **parameters: Unpack[InLifecycle],
) -> Call[Result]:
    """How many actors are new, return, come back after a pause or stay away, interval by interval."""
    given = {"event_collection": event_collection, "events": events, **parameters}
    return cast("Call[Result]", question("lifecycle", parameters_as_json(given)))


def _stickiness(
    event_collection: str | None = None,
    events: EventsLike | Iterable[EventsLike] | None = None,
    **parameters: Unpack[InStickiness],
) -> Call[Result]:
    """The actors of each day, its week and its month, and their ratios; or how often they come."""
    given = {"event_collection": event_collection, "events": events, **parameters}
    return cast("Call[Result]", question("stickiness", parameters_as_json(given)))


def _paths(
    event_collection: str | None = None,
    events: EventsLike | Iterable[EventsLike] | None = None,
    **parameters: Unpack[Taken],
) -> Call[PathsResult]:
    """The paths that actors take through the events of a collection, or of several."""
    given: dict[str, Any] = {"event_collection": event_collection, "events": events, **parameters}
    if "from_" in given:
        given["from"] = given.pop("from_")
    return cast("Call[PathsResult]", question("paths", parameters_as_json(given)))


def _extraction(event_collection: str, **parameters: Unpack[Extracted]) -> Call[Events]:
    """The events themselves, 100,000 at most; ``extract`` has no such limit."""
    given = parameters_as_json({"event_collection": event_collection, **parameters})
    return cast("Call[Events]", question("extraction", given))


class Asking(Extracting, Tailing):
    """The part of ``Acumen`` that asks."""

    transport: Transport

    count = blocking(_count)
    count_unique = blocking(_count_unique)
    minimum = blocking(_minimum)
    maximum = blocking(_maximum)
    sum = blocking(_sum)
    average = blocking(_average)
    median = blocking(_median)
    percentile = blocking(_percentile)
    standard_deviation = blocking(_standard_deviation)
    select_unique = blocking(_select_unique)
    multi_analysis = blocking(_multi_analysis)
    series = blocking(_series)
    funnel = blocking(_funnel)
    sessions = blocking(_sessions)
    retention = blocking(_retention)
    lifecycle = blocking(_lifecycle)
    stickiness = blocking(_stickiness)
    paths = blocking(_paths)
    extraction = blocking(_extraction)
    sql = blocking(statement)
    diff = blocking(comparison)

    @overload
    def ask(self, query: SeriesQuestion) -> SeriesResult: ...
    @overload
    def ask(self, query: Aggregate) -> Result: ...
    @overload
    def ask(self, query: Funnel) -> FunnelResult: ...
    @overload
    def ask(self, query: Retention) -> RetentionResult: ...
    @overload
    def ask(self, query: Stickiness) -> Result: ...
    @overload
    def ask(self, query: Paths) -> PathsResult: ...
    @overload
    def ask(self, query: Extraction) -> Events: ...
    def ask(self, query: Query) -> Told:
        """The answer to a question that was built with ``Query``."""
        return run(self.transport, question(query.analysis, query.to_json()))


class AsyncAsking(AsyncExtracting, AsyncTailing):
    """The part of ``AsyncAcumen`` that asks."""

    transport: AsyncTransport

    count = awaited(_count)
    count_unique = awaited(_count_unique)
    minimum = awaited(_minimum)
    maximum = awaited(_maximum)
    sum = awaited(_sum)
    average = awaited(_average)
    median = awaited(_median)
    percentile = awaited(_percentile)
    standard_deviation = awaited(_standard_deviation)
    select_unique = awaited(_select_unique)
    multi_analysis = awaited(_multi_analysis)
    series = awaited(_series)
    funnel = awaited(_funnel)
    sessions = awaited(_sessions)
    retention = awaited(_retention)
    lifecycle = awaited(_lifecycle)
    stickiness = awaited(_stickiness)
    paths = awaited(_paths)
    extraction = awaited(_extraction)
    sql = awaited(statement)
    diff = awaited(comparison)

    @overload
    async def ask(self, query: SeriesQuestion) -> SeriesResult: ...
    @overload
    async def ask(self, query: Aggregate) -> Result: ...
    @overload
    async def ask(self, query: Funnel) -> FunnelResult: ...
    @overload
    async def ask(self, query: Retention) -> RetentionResult: ...
    @overload
    async def ask(self, query: Stickiness) -> Result: ...
    @overload
    async def ask(self, query: Paths) -> PathsResult: ...
    @overload
    async def ask(self, query: Extraction) -> Events: ...
    async def ask(self, query: Query) -> Told:
        """The answer to a question that was built with ``Query``."""
        return await run_async(self.transport, question(query.analysis, query.to_json()))
