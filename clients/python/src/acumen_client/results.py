"""Answers as Python objects: rows with their groups and intervals, instants in the question's zone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from acumen_client import frames
from acumen_client.query import zone_of

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

RESULT = "result"
START, END = "timeframe.start", "timeframe.end"
INSTANTS = ("keen.timestamp", "keen.created_at")
"""Properties whose values are instants, whatever JSON makes of them."""
COUNTS = ("count", "count_unique", "funnel")
FRACTIONS = ("average", "standard_deviation")
LABELLED = ("multi_analysis", "series", "sessions", "lifecycle", "stickiness")
"""Their numbers have labels of their own, in place of ``result``."""
_KINDS = {
    **dict.fromkeys(("sessions", "actors", "events", "bounces"), "count"),
    **dict.fromkeys(("events_per_session", "bounce_rate", "duration_average"), "average"),
}
"""What the measures of sessions are like."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What the server has to say about a question that it answered: a name that no event has, for one."""

    code: str
    message: str
    parameter: str | None = None
    did_you_mean: str | None = None

    @classmethod
    def of(cls, sent: Mapping[str, Any]) -> Notice:
        return cls(
            str(sent.get("code", "")),
            str(sent.get("message", "")),
            sent.get("parameter"),
            sent.get("did_you_mean"),
        )

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Row:
    """One number of an answer (of a multi_analysis: one of each label), its groups and its interval."""

    value: Any
    groups: Mapping[str, Any] = field(default_factory=dict)
    start: datetime | None = None
    end: datetime | None = None

    def __getitem__(self, name: str) -> Any:
        """A group's value, a label's value, or ``result``, by its name."""
        if name in self.groups:
            return self.groups[name]
        if isinstance(self.value, Mapping):
            return self.value[name]
        if name == RESULT:
            return self.value
        raise KeyError(name)

    def as_dict(self) -> dict[str, Any]:
        """By the names that tables have as columns."""
        ends = {} if self.start is None else {START: self.start, END: self.end}
        values = self.value if isinstance(self.value, Mapping) else {RESULT: self.value}
        return {**ends, **self.groups, **values}


@dataclass(frozen=True)
class AnyResult:
    """What an answer has, whatever was asked. ``body`` is all of it, as the server sent it."""

    analysis: str
    value: Any
    """``result`` as the server sent it."""
    question: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The parameters that were asked."""
    warnings: Sequence[Notice] = ()
    complete: bool = True
    """Whether all events were read; not where stored files are damaged."""
    request_id: str | None = None
    age_seconds: int | None = None
    """How old the answer is, where it was kept from before (``max_age``)."""
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def zone(self) -> tzinfo:
        """The question's zone, in which its instants are told."""
        return zone_of_question(self.question)

    @property
    def execution_metadata(self) -> Mapping[str, Any] | None:
        """What the answer took, where the question asked for it."""
        return self.body.get("execution_metadata")

    @property
    def explain(self) -> Mapping[str, Any] | None:
        """What was run for the answer, where the question asked for it."""
        return self.body.get("explain")

    @property
    def version(self) -> str | None:
        """The version of the events that was read, for ``as_of``; of an answer that is explained."""
        return ((self.explain or {}).get("snapshot") or {}).get("version")

    @property
    def erased_since(self) -> bool:
        """Whether events of the timeframe were erased since the moment of ``as_of``."""
        return self.body.get("erased_since") is True

    def columns(self) -> list[frames.Column]:
        """The rows as typed columns."""
        raise NotImplementedError

    def to_pandas(self) -> pandas.DataFrame:
        """A pandas DataFrame; instants are of the question's zone. Needs ``acumen-client[pandas]``."""
        return frames.to_pandas(self.columns(), self.zone)

    def to_polars(self) -> polars.DataFrame:
        """A Polars DataFrame; instants are of the question's zone. Needs ``acumen-client[polars]``."""
        return frames.to_polars(self.columns(), self.zone)

    def to_arrow(self) -> pyarrow.Table:
        """An Arrow table; instants are of the question's zone. Needs ``acumen-client[arrow]``."""
        return frames.to_arrow(self.columns(), self.zone)


@dataclass(frozen=True)
class Result(AnyResult):
    """The answer to a question for numbers."""

    @cached_property
    def rows(self) -> Sequence[Row]:
        """One row for each value, group and interval; the same as iterating."""
        if not self._divided:
            return tuple(self._grouped(self.value))
        return tuple(
            Row(row.value, row.groups, self._instant(ends["start"]), self._instant(ends["end"]))
            for part in self.value
            for ends in (part["timeframe"],)
            for row in self._grouped(part["value"])
        )

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def columns(self) -> list[frames.Column]:
        rows = self.rows
        columns = []
        if self._divided:
            columns.append(frames.Column(START, [row.start for row in rows], frames.Kind.INSTANT))
            columns.append(frames.Column(END, [row.end for row in rows], frames.Kind.INSTANT))
        columns += [frames.column(name, [row.groups[name] for row in rows]) for name in self._groups]
        labels = self._labels
        if labels is None:
            return [*columns, _numbers(RESULT, [row.value for row in rows], self.analysis)]
        return [*columns, *(_numbers(label, [row.value[label] for row in rows], labels[label])
                            for label in labels)]  # fmt: skip

    @cached_property
    def _groups(self) -> Sequence[str]:
        if self._histogram:
            return ("periods",)
        given = self.question.get("group_by") or []
        listed = [given] if isinstance(given, str | Mapping) else given
        names = (one if isinstance(one, str) else _group_name(one) for one in listed)
        return tuple(dict.fromkeys(names))

    @property
    def _divided(self) -> bool:
        if self.analysis == "stickiness":
            return not self._histogram
        return bool(self.question.get("interval"))

    @property
    def _histogram(self) -> bool:
        return self.analysis == "stickiness" and bool(self.question.get("histogram"))

    @property
    def _labels(self) -> Mapping[str, str] | None:
        """The labels of a multi_analysis and their analyses; the measures of sessions."""
        if self.analysis == "sessions":
            measures = self.rows[0].value if self.rows else {}
            # Entries and exits are lists, and no columns.
            return {
                name: _KINDS.get(name, "") for name, one in measures.items() if not isinstance(one, Mapping)
            }
        if self.analysis not in LABELLED or self._histogram:
            return None
        if self.analysis == "lifecycle" and self.rows:
            return dict.fromkeys(self.rows[0].value, "count")
        asked = self.question.get("analyses")
        if asked:
            return {label: str(one.get("analysis_type")) for label, one in asked.items()}
        return dict.fromkeys(self.rows[0].value, "") if self.rows else {}

    def _grouped(self, value: Any) -> Iterator[Row]:
        """The rows of one interval, or of an answer without one."""
        if self._groups:
            for sent in value:
                groups = {name: self._told(name, sent.get(name)) for name in self._groups}
                others = {name: one for name, one in sent.items() if name not in groups}
                labelled = self.analysis in LABELLED and not self._histogram
                yield Row(others if labelled else others.get(RESULT), groups)
        elif self.analysis == "select_unique" and not self._divided:
            target = str(self.question.get("target_property"))
            yield from (Row(self._told(target, one)) for one in value)
        else:
            yield Row(value)

    def _told(self, name: str, value: Any) -> Any:
        return self._instant(value) if name in INSTANTS and isinstance(value, str) else value

    def _instant(self, text: str) -> datetime:
        return instant(text, self.zone)


@dataclass(frozen=True)
class SeriesResult(Result):
    """The answer to a question for series.

    Where it compares, rows have for each label also ``revenue.compared``, ``revenue.change`` and
    ``revenue.change_percent``.
    """

    @property
    def compare(self) -> Mapping[str, Any] | None:
        """What is compared, as the server sent it: the timeframe, and what of it nothing is compared with."""
        return self.body.get("compare")

    @property
    def completeness(self) -> Sequence[Mapping[str, Any]] | None:
        """The intervals to which events are still expected, as the server sent them."""
        return self.body.get("completeness")

    @cached_property
    def rows(self) -> Sequence[Row]:
        if self.compare is None:
            return super().rows
        parts = self.value if self._divided else [{"value": self.value, "compare": self.compare}]
        return tuple(row for part in parts for row in self._compared(part))

    def _compared(self, part: Mapping[str, Any]) -> Iterator[Row]:
        ends = part.get("timeframe")
        instants = (self._instant(ends["start"]), self._instant(ends["end"])) if ends else (None, None)
        compared = part["compare"]
        columns = [part["value"], compared["value"], compared["change"], compared["change_percent"]]
        rows = zip(*(list(self._grouped(column)) for column in columns), strict=True)
        for row, *others in rows:
            values = dict(row.value)
            for name, other in zip(("compared", "change", "change_percent"), others, strict=True):
                values |= {f"{label}.{name}": value for label, value in other.value.items()}
            yield Row(values, row.groups, *instants)

    @property
    def _labels(self) -> Mapping[str, str] | None:
        return dict.fromkeys(self.rows[0].value, "sum") if self.rows else {}


@dataclass(frozen=True)
class FunnelStep:
    """One step of a funnel's answer."""

    number: int
    event_collection: str
    actor_property: str
    value: int
    """How many actors are left after it."""
    actors: Sequence[Any] | None = None
    """Who they are, where the step asked for them."""
    dropped: Sequence[Any] | None = None
    """Who was counted by the step before and not by this one, where the step asked for them."""
    times: Mapping[str, Any] | None = None
    """How long it took, in seconds, where the question asked for it; None for the first step."""
    groups: Mapping[str, Any] = field(default_factory=dict)
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class FunnelResult(AnyResult):
    """The answer to a funnel."""

    @cached_property
    def steps(self) -> Sequence[FunnelStep]:
        """The steps in order, of each interval and group in turn; the same as iterating."""
        return tuple(step for part in self._parts() for step in self._steps_of(*part))

    @property
    def rows(self) -> Sequence[FunnelStep]:
        return self.steps

    @property
    def times(self) -> Mapping[str, Any] | None:
        """How long the steps took, where the question asked for it and has neither groups nor intervals."""
        return self.body.get("times")

    @property
    def actor(self) -> Mapping[str, Any] | None:
        """The events of the actor that the question named, and what stopped it."""
        return self.body.get("actor")

    def __iter__(self) -> Iterator[FunnelStep]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def columns(self) -> list[frames.Column]:
        steps = self.steps
        columns = []
        if steps and steps[0].start is not None:
            columns.append(frames.Column(START, [one.start for one in steps], frames.Kind.INSTANT))
            columns.append(frames.Column(END, [one.end for one in steps], frames.Kind.INSTANT))
        for name in steps[0].groups if steps else ():
            columns.append(frames.column(name, [one.groups[name] for one in steps]))
        return [
            *columns,
            frames.Column("step", [one.number for one in steps], frames.Kind.INTEGER),
            frames.Column("event_collection", [one.event_collection for one in steps], frames.Kind.TEXT),
            frames.Column("actor_property", [one.actor_property for one in steps], frames.Kind.TEXT),
            frames.Column(RESULT, [one.value for one in steps], frames.Kind.INTEGER),
        ]

    def _parts(self) -> Iterator[tuple[Mapping[str, Any], str, dict[str, datetime]]]:
        """Each object with counts, the name that they have in it, and the ends of its interval."""
        whole = {**self.body, RESULT: self.value}
        divided = [one for one in self.value if isinstance(one, Mapping) and "timeframe" in one]
        if not self.value or not isinstance(self.value[0], Mapping):
            yield whole, RESULT, {}
            return
        for part in divided or [whole]:
            name = "value" if divided else RESULT
            ends = {end: instant(text, self.zone) for end, text in part.get("timeframe", {}).items()}
            if part[name] and isinstance(part[name][0], Mapping):
                yield from ((row, RESULT, ends) for row in part[name])
            else:
                yield part, name, ends

    def _steps_of(
        self, part: Mapping[str, Any], name: str, ends: Mapping[str, datetime]
    ) -> Iterator[FunnelStep]:
        counts = part[name]
        asked: Sequence[Mapping[str, Any]] = self.body.get("steps") or self.question.get("steps") or ()
        steps = [*asked, *[{}] * (len(counts) - len(asked))]
        nothing = [None] * len(counts)
        # Who they are is said of the whole answer.
        actors, dropped = (part.get(list_of) or nothing for list_of in ("actors", "dropped"))
        times = (part.get("times") or {}).get("steps") or nothing
        is_row = name == RESULT and "steps" not in part
        groups = {key: one for key, one in part.items() if key not in (RESULT, "times")} if is_row else {}
        for at, (step, value) in enumerate(zip(steps, counts, strict=True)):
            yield FunnelStep(
                at + 1,
                str(step.get("event_collection", "")),
                str(step.get("actor_property", "")),
                value,
                actors[at],
                dropped[at],
                times[at],
                groups,
                **ends,
            )


@dataclass(frozen=True, slots=True)
class Cohort:
    """The actors that started in one part of the timeframe, and how many of them came back."""

    start: datetime
    end: datetime
    size: int
    retained: Sequence[int | None]
    """In period 0, 1, 2 … or in each bracket; None: it has not begun."""
    rates: Sequence[float | None]
    unfinished: Sequence[bool]
    """Whether each period goes on, or is cut by the end of the timeframe."""
    groups: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """A group's value by its name."""
        return self.groups[name]


@dataclass(frozen=True)
class RetentionResult(AnyResult):
    """The answer to a retention."""

    @cached_property
    def cohorts(self) -> Sequence[Cohort]:
        """The cohorts, of each group in turn; the same as iterating."""
        fields = ("timeframe", "size", "retained", "rates", "unfinished")
        return tuple(
            Cohort(
                instant(row["timeframe"]["start"], self.zone),
                instant(row["timeframe"]["end"], self.zone),
                row["size"],
                row["retained"],
                row["rates"],
                row["unfinished"],
                {name: value for name, value in row.items() if name not in fields},
            )
            for row in self.value
        )

    @property
    def rows(self) -> Sequence[Cohort]:
        return self.cohorts

    @property
    def summary(self) -> Any:
        """All cohorts together, each period over those for which it has ended; of groups a list of these."""
        return self.body.get("summary")

    def __iter__(self) -> Iterator[Cohort]:
        return iter(self.cohorts)

    def __len__(self) -> int:
        return len(self.cohorts)

    def columns(self) -> list[frames.Column]:
        """A row for each cohort and period."""
        rows = [(one, at) for one in self.cohorts for at in range(len(one.retained))]
        brackets = self.question.get("brackets") or None
        periods = [at if brackets is None else "-".join(map(str, brackets[at])) for _, at in rows]
        names = dict.fromkeys(name for one in self.cohorts for name in one.groups)
        kinds = frames.Kind
        return [
            frames.Column(START, [one.start for one, _ in rows], kinds.INSTANT),
            frames.Column(END, [one.end for one, _ in rows], kinds.INSTANT),
            *(frames.column(name, [one.groups[name] for one, _ in rows]) for name in names),
            frames.Column("size", [one.size for one, _ in rows], kinds.INTEGER),
            frames.Column("period", periods, kinds.INTEGER if brackets is None else kinds.TEXT),
            frames.Column("retained", [one.retained[at] for one, at in rows], kinds.INTEGER),
            frames.Column("rate", [one.rates[at] for one, at in rows], kinds.NUMBER),
            frames.Column("unfinished", [one.unfinished[at] for one, at in rows], kinds.TRUTH),
        ]


@dataclass(frozen=True)
class PathNode:
    """A node of a diagram of paths: what actors did at one step."""

    id: int
    step: int
    """From 0; in paths that end at an event, up to 0."""
    name: Any
    paths: int
    names: int | None = None
    """How many names are together in a node ``other``; None for a node of one name."""
    ended: int | None = None
    """The paths that end here; None in paths to an event."""
    began: int | None = None
    """The paths that begin here, in paths to an event."""
    beyond: int | None = None
    """At the last step: the paths that would go on."""


@dataclass(frozen=True)
class PathEdge:
    """How many paths lead from one node to another."""

    source: PathNode
    target: PathNode
    step: int
    paths: int


@dataclass(frozen=True)
class PathsResult(AnyResult):
    """The answer to a question for paths; iterating gives its edges."""

    @cached_property
    def nodes(self) -> Sequence[PathNode]:
        known = {one.name for one in fields(PathNode)}
        return tuple(
            PathNode(**{name: value for name, value in sent.items() if name in known})
            for sent in self.value["nodes"]
        )

    @cached_property
    def edges(self) -> Sequence[PathEdge]:
        return tuple(
            PathEdge(self.nodes[sent["source"]], self.nodes[sent["target"]], sent["step"], sent["paths"])
            for sent in self.value["edges"]
        )

    @property
    def rows(self) -> Sequence[PathEdge]:
        return self.edges

    def __iter__(self) -> Iterator[PathEdge]:
        return iter(self.edges)

    def __len__(self) -> int:
        return len(self.edges)

    def columns(self) -> list[frames.Column]:
        """The edges, with the names of their nodes."""
        edges = self.edges
        return [
            frames.Column("step", [edge.step for edge in edges], frames.Kind.INTEGER),
            frames.Column("source", [edge.source.id for edge in edges], frames.Kind.INTEGER),
            frames.Column("target", [edge.target.id for edge in edges], frames.Kind.INTEGER),
            frames.column("source_name", [edge.source.name for edge in edges]),
            frames.column("target_name", [edge.target.name for edge in edges]),
            frames.Column("paths", [edge.paths for edge in edges], frames.Kind.INTEGER),
        ]


@dataclass(frozen=True)
class Events(AnyResult):
    """The answer to an extraction: events, with ``keen.timestamp`` and ``keen.created_at`` as datetimes."""

    @cached_property
    def rows(self) -> Sequence[dict[str, Any]]:
        """The events; the same as iterating."""
        return tuple(event_of(sent, self.zone) for sent in self.value)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.value)

    def columns(self) -> list[frames.Column]:
        """A column for each path of properties, as ``user.id``."""
        return frames.columns_of_events(self.rows)


Told: TypeAlias = Result | SeriesResult | FunnelResult | PathsResult | RetentionResult | Events
"""The answer to a question of any kind."""


def event_of(sent: Mapping[str, Any], zone: tzinfo = UTC) -> dict[str, Any]:
    """The event with the instants of ``keen`` as datetimes of this zone."""
    keen = sent.get("keen")
    if not isinstance(keen, Mapping):
        return dict(sent)
    times = {
        name: instant(keen[name], zone)
        for name in ("timestamp", "created_at")
        if isinstance(keen.get(name), str)
    }
    return {**sent, "keen": {**keen, **times}}


def instant(text: str, zone: tzinfo = UTC) -> datetime:
    """The instant that an answer tells, in this zone."""
    moment = datetime.fromisoformat(text)
    try:
        return moment.astimezone(zone)
    except OverflowError:  # within a day of the years 1 and 9999
        return moment


def zone_of_question(question: Mapping[str, Any]) -> tzinfo:
    """The zone by which a question divides time: its own, else the offset of its timeframe's start, else UTC.

    A zone that this machine does not know is told as UTC.
    """
    try:
        if question.get("timezone") not in (None, ""):
            return zone_of(question["timezone"])
        timeframe = question.get("timeframe")
        start = timeframe.get("start") if isinstance(timeframe, Mapping) else None
        return (datetime.fromisoformat(start).tzinfo if isinstance(start, str) else None) or UTC
    except ValueError:
        return UTC


def answer_of(
    question: Mapping[str, Any],
    body: Mapping[str, Any],
    *,
    analysis: str,
    request_id: str | None = None,
    age_seconds: int | None = None,
) -> Told:
    """The answer of a query route, of a saved query or of a dataset, as the object for its analysis."""
    value = body.get(RESULT)
    if analysis == "funnel" and isinstance(value, Mapping):  # as results of saved queries hold it
        body = {**body, **value}
        value = value.get(RESULT)
    kinds: dict[str, type[Told]] = {
        "funnel": FunnelResult,
        "retention": RetentionResult,
        "series": SeriesResult,
        "extraction": Events,
        "paths": PathsResult,
    }
    return kinds.get(analysis, Result)(
        analysis=analysis,
        value=value,
        question=question,
        warnings=tuple(Notice.of(one) for one in body.get("warnings") or ()),
        complete=body.get("complete", True) is not False,
        request_id=request_id,
        age_seconds=age_seconds,
        body=body,
    )


def _numbers(name: str, values: list[Any], analysis: str) -> frames.Column:
    if analysis in COUNTS:
        return frames.Column(name, values, frames.Kind.INTEGER)
    kind = frames.kind_of(values)
    if analysis in FRACTIONS or (kind is frames.Kind.NOTHING and analysis not in ("", "select_unique")):
        kind = frames.Kind.NUMBER
    return frames.Column(name, values, kind)


def _group_name(group: Mapping[str, Any]) -> str:
    """What rows call a group that is an object."""
    session = group.get("session")
    return str(group["property_name"]) if session is None else f"session.{session}"
