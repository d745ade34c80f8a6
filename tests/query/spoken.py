"""Questions as clients send them: the parameters that mean what nodes say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from query.language.analyses.behaviour_nodes import FunnelQuery, Step
from query.language.analyses.sequence_nodes import EventList, PathsQuery, SessionsQuery
from query.language.nodes import (
    ActorCohort,
    AnyOf,
    Circle,
    CohortCondition,
    ExtractionQuery,
    Filter,
    Group,
    Metric,
    MetricQuery,
    Row,
    Span,
    ValueRange,
)
from storage.instants import format_instant

Json = dict[str, Any]


def filters(items: Iterable[Filter]) -> list[Json]:
    return [_filter(item) for item in items]


def _filter(item: Filter) -> Json:
    if isinstance(item, AnyOf):
        return {"operator": "or", "operands": filters(item.operands)}
    operand = item.operand
    if isinstance(operand, ActorCohort):
        operand = cohort(operand)
    if isinstance(operand, Circle):
        place = [operand.longitude, operand.latitude]
        operand = {"coordinates": place, "max_distance_miles": operand.miles}
    said = {"property_name": item.path, "operator": item.operator.value, "property_value": operand}
    if isinstance(operand, Row):
        group = _group(operand.group)
        said |= {**(group if isinstance(group, dict) else {}), "property_value": operand.value}
    return said


def cohort(made: ActorCohort) -> Json:
    """A definition by which no actor without an event is in it."""
    said: Json = {"actor_property": made.actor}
    if made.members is not None:
        return said | {"actors": list(made.members.values)}
    if made.funnel is not None:
        assert isinstance(made.funnel.funnel, FunnelQuery)
        steps = [
            _step(replace(step, span=closed(step.span), with_actors=False))
            for step in made.funnel.funnel.steps
        ]
        return said | {
            "funnel": {"steps": steps, "step": made.funnel.step + 1, "dropped": made.funnel.dropped}
        }
    if made.every:
        said["all"] = [_condition(one) for one in made.every]
    if made.some:
        said["any"] = [_condition(one) for one in made.some]
    return said


def _condition(one: CohortCondition) -> Json:
    of = one.of
    if isinstance(of, ActorCohort):
        return {"in_cohort" if one.least else "not_in_cohort": cohort(of)}
    bounds = {"at_least": one.least} if one.least else {}
    return {
        "event_collection": of.collection,
        "actor_property": of.actor,
        "filters": filters(of.filters),
        **timeframe(closed(of.span)),
        **bounds,
        **({} if one.most is None else {"at_most": one.most}),
    }


def closed(span: Span) -> Span:
    """Its ends in their order."""
    if span.start_us is None or span.end_us is None:
        return span
    return Span(min(span.start_us, span.end_us), max(span.start_us, span.end_us) + 1)


def metrics(query: MetricQuery) -> tuple[str, Json]:
    """The analysis and its parameters; buckets are left out, since no interval may mean them."""
    asked: Json = {"event_collection": query.collection, "filters": filters(query.filters)}
    asked |= {"group_by": [_group(group) for group in query.groups], **timeframe(query.span)}
    if query.order:
        orders = [
            {"property_name": o.by, "direction": "DESC" if o.descending else "ASC"} for o in query.order
        ]
        asked |= {"order_by": orders, "limit": query.limit}
    asked["zero_fill"] = query.zero_fill
    if query.multi:
        labelled = {str(metric.label): _metric(metric) for metric in query.metrics}
        return "multi_analysis", {**asked, "analyses": labelled}
    (metric,) = query.metrics
    return metric.analysis.value, {**_metric(metric), **asked}


def funnel(query: FunnelQuery) -> Json:
    return {"steps": [_step(step) for step in query.steps]}


def sessions(query: SessionsQuery) -> Json:
    """Cuts and intervals are left out, since no parameter may mean them."""
    asked: Json = {"events": [_events(one) for one in query.events], **timeframe(query.span)}
    asked |= {
        "gap": f"{query.gap // 60_000_000 or 1}_minutes",
        "group_by": [_group(one) for one in query.groups],
    }
    if query.longest:
        asked["longest"] = f"{query.longest // 60_000_000}_minutes"
    if query.page is not None:
        asked |= {"page_property": query.page, "pages": query.pages}
    if query.groups:
        asked["attribution"] = query.attribution.value
    return asked | {"measures": [one.label for one in query.measures], "zero_fill": query.zero_fill}


def paths(query: PathsQuery) -> Json:
    asked: Json = {"events": [_named(one) for one in query.events], **timeframe(query.span)}
    anchor = query.anchor
    if anchor is not None:
        end = anchor.name if anchor.selection is None else _named(anchor.selection)
        asked["to" if anchor.backward else "from"] = end
    for name, length in (("gap", query.gap), ("window", query.window)):
        if length is not None:
            asked[name] = f"{length // 60_000_000 or 1}_minutes"
    asked |= {"rename": [{"match": rule.match, "as": rule.name} for rule in query.renames]}
    asked |= {"depth": query.depth, "counting": query.counting.value, "collapse_repeats": query.collapse}
    return asked | {"nodes": query.nodes, "least": query.least}


def _named(one: EventList) -> Json:
    return {**_events(one), "name": one.name, **({} if one.by is None else {"by": one.by})}


def _events(one: EventList) -> Json:
    named = {"event_collection": one.collection, "actor_property": one.actor}
    return {**named, "filters": filters(one.filters)}


def extraction(query: ExtractionQuery) -> Json:
    asked: Json = {"event_collection": query.collection, "filters": filters(query.filters)}
    asked |= {"latest": query.latest, **timeframe(query.span)}
    return asked | {"property_names": None if query.properties is None else list(query.properties)}


def timeframe(span: Span) -> Json:
    """An end that is open is left out."""
    ends = {"start": span.start_us, "end": span.end_us}
    given = {name: format_instant(us) for name, us in ends.items() if us is not None}
    return {"timeframe": given} if given else {}


def _metric(metric: Metric) -> Json:
    asked: Json = {"analysis_type": metric.analysis.value}
    if metric.target is not None:
        asked["target_property"] = metric.target
    if metric.percentile is not None:
        asked["percentile"] = metric.percentile
    return asked


def _group(group: Group) -> Any:
    if group.size is not None:
        return {"property_name": group.path, "buckets": {"size": group.size}}
    if group.ranges is not None:
        return {"property_name": group.path, "ranges": [_range(one) for one in group.ranges]}
    return group.path


def _range(one: ValueRange) -> Json:
    ends = {"from": one.low, "to": one.high}
    return {"label": one.label, **{name: end for name, end in ends.items() if end is not None}}


def _step(step: Step) -> Json:
    flags = {"inverted": step.inverted, "optional": step.optional, "with_actors": step.with_actors}
    asked = {"event_collection": step.collection, "actor_property": step.actor, **flags}
    return {**asked, "filters": filters(step.filters), **timeframe(step.span)}
