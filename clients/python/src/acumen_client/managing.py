"""Managing: saved queries, datasets, dashboards, keys, collections, extractions and projects.

Each method is written once, as a function that builds a call; both kinds of client have it from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, cast
from urllib.parse import parse_qs, quote, urlsplit

from acumen_client import _json
from acumen_client._calls import (
    MASTER,
    READ,
    AsyncPart,
    Call,
    Flow,
    Part,
    awaited,
    awaited_flow,
    blocking,
    blocking_flow,
    in_project,
    nothing,
)
from acumen_client._transport import Answer, AsyncTransport, Target, Transport
from acumen_client.alerting import Alerts, AsyncAlerts, AsyncReports, AsyncWebhooks, Reports, Webhooks
from acumen_client.extracting import ExtractionJob, remove_job, show_job, start_job
from acumen_client.identifying import AsyncIdentities, Identities
from acumen_client.managed import (
    AccessKey,
    ActorCohort,
    CohortActors,
    Collection,
    Dataset,
    OrganizationUsage,
    Project,
    ProjectDescription,
    SavedQuery,
)
from acumen_client.pipelines import AsyncPipelines, Pipelines
from acumen_client.query import (
    Extraction,
    FilterLike,
    Query,
    Zone,
    as_json,
    filters_as_json,
    framed_as_json,
    parameters_as_json,
    zone_as_json,
)
from acumen_client.results import Result, Told, answer_of
from acumen_client.sources import AsyncSources, Sources

Json = dict[str, Any]
PAGE = 100
KEYS_PAGE = 200


def _definition(query: Query | Mapping[str, Any]) -> Json:
    return query.to_definition() if isinstance(query, Query) else _plain_definition(query)


def _plain_definition(query: Mapping[str, Any]) -> Json:
    return parameters_as_json(query)


# Saved queries


def _saved_list() -> Call[list[SavedQuery]]:
    """All saved queries of the project, by name."""
    return Call(
        "GET",
        in_project("queries", "saved"),
        lambda answer: [SavedQuery.read(one) for one in answer.json()],
        MASTER,
    )


def _saved_get(name: str) -> Call[SavedQuery]:
    """One definition."""
    return Call(
        "GET", in_project("queries", "saved", name), lambda answer: SavedQuery.read(answer.json()), MASTER
    )


def _saved_put(
    name: str,
    query: Query | Mapping[str, Any],
    *,
    refresh_rate: int = 0,
    display_name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Call[SavedQuery]:
    """Make or replace a saved query; what is left out is unset.

    ``refresh_rate`` is how often it is computed beforehand, in seconds from 14,400 to 172,800; 0: not at all.
    """
    named = {} if display_name is None else {"display_name": display_name}
    body: Json = {"query": _definition(query), "refresh_rate": refresh_rate}
    if metadata is not None or named:
        body["metadata"] = {**as_json(metadata or {}), **named}
    path = in_project("queries", "saved", name)
    return Call("PUT", path, lambda answer: SavedQuery.read(answer.json()), {**MASTER, "json": body})


def _saved_rename(name: str, new_name: str) -> Flow[SavedQuery]:
    """Give a saved query another name; its results go with it. ConflictError where the name is taken."""
    query: SavedQuery = yield _saved_get(name)
    body = {**query.raw, "query_name": new_name}
    path = in_project("queries", "saved", name)
    renamed: SavedQuery = yield Call(
        "PUT", path, lambda answer: SavedQuery.read(answer.json()), {**MASTER, "json": body}
    )
    return renamed


def _saved_delete(name: str) -> Call[None]:
    """Delete a saved query and its results."""
    return Call("DELETE", in_project("queries", "saved", name), nothing, MASTER)


def _saved_result(
    name: str,
    *,
    timeframe: Any = None,
    timezone: Zone | None = None,
    interval: str | None = None,
    filters: FilterLike | Iterable[FilterLike] | None = None,
    as_of: str | datetime | None = None,
) -> Call[Told]:
    """The result of a saved query; from the cache where it has one.

    The parameters but ``as_of`` are what an embed token lets a viewer change; with other keys leave them
    out. ``as_of`` is a version that an explained answer named, or an instant: the result is of the events as
    of then.
    """
    params: Json = {}
    if as_of is not None:
        params["as_of"] = as_json(as_of)
    if timeframe is not None:
        framed = framed_as_json(timeframe, timezone)
        params |= {one: _as_parameter(value) for one, value in framed.items()}
    elif timezone is not None:
        params["timezone"] = zone_as_json(timezone)
    if interval is not None:
        params["interval"] = interval
    if filters is not None:
        params["filters"] = _as_parameter(filters_as_json(filters))
    path = in_project("queries", "saved", name, "result")
    return Call("GET", path, _saved_answer, {**READ, "params": params or None})


def _as_parameter(value: Any) -> str:
    return value if isinstance(value, str) else _json.dumps(value).decode()


def _saved_answer(answer: Answer) -> Told:
    body = answer.json()
    question = body.get("query") or {}
    analysis = str(question.get("analysis_type", ""))
    return answer_of(question, body, analysis=analysis, request_id=answer.request_id)


class SavedQueries(Part):
    """``client.saved_queries``."""

    list = blocking(_saved_list)
    get = blocking(_saved_get)
    put = blocking(_saved_put)
    rename = blocking_flow(_saved_rename)
    delete = blocking(_saved_delete)
    result = blocking(_saved_result)


class AsyncSavedQueries(AsyncPart):
    """``client.saved_queries``."""

    list = awaited(_saved_list)
    get = awaited(_saved_get)
    put = awaited(_saved_put)
    rename = awaited_flow(_saved_rename)
    delete = awaited(_saved_delete)
    result = awaited(_saved_result)


# Cohorts


def _cohort_list() -> Call[list[ActorCohort]]:
    """All cohorts of the project, by name."""
    path = in_project("cohorts")
    return Call("GET", path, lambda answer: [ActorCohort.read(one) for one in answer.json()], READ)


def _cohort_get(name: str) -> Call[ActorCohort]:
    """One definition."""
    path = in_project("cohorts", name)
    return Call("GET", path, lambda answer: ActorCohort.read(answer.json()), READ)


def _cohort_put(name: str, definition: Mapping[str, Any]) -> Call[ActorCohort]:
    """Make or replace a cohort: ``{"actor_property": "user.id", "all": [...]}``, with ``actors``, or with
    ``funnel``; ``filters`` in it may be conditions of ``P``. A static one then lists ``actors`` alone."""
    path = in_project("cohorts", name)
    body = _cohort_body(definition)
    return Call("PUT", path, lambda answer: ActorCohort.read(answer.json()), {**MASTER, "json": body})


def _cohort_body(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {
            name: filters_as_json(value) if name == "filters" else _cohort_body(value)
            for name, value in part.items()
        }
    if isinstance(part, Sequence) and not isinstance(part, str):
        return [_cohort_body(one) for one in part]
    return as_json(part)


def _cohort_change(name: str, *, add: Iterable[Any] = (), remove: Iterable[Any] = ()) -> Call[ActorCohort]:
    """Change which actors a static cohort lists: first those to ``remove`` are taken out."""
    path = in_project("cohorts", name, "members")
    body = {"add": as_json(list(add)), "remove": as_json(list(remove))}
    return Call("POST", path, lambda answer: ActorCohort.read(answer.json()), {**MASTER, "json": body})


def _cohort_actors(name: str, *, limit: int = 100) -> Call[CohortActors]:
    """How many actors the cohort has now, and the first of them."""
    path = in_project("cohorts", name, "actors")
    asked = {**READ, "params": {"limit": str(limit)}}
    return Call("GET", path, lambda answer: CohortActors.read(answer.json()), asked)


def _cohort_delete(name: str) -> Call[None]:
    """Delete a cohort: what names it is refused from then on."""
    return Call("DELETE", in_project("cohorts", name), nothing, MASTER)


class Cohorts(Part):
    """``client.cohorts``."""

    list = blocking(_cohort_list)
    get = blocking(_cohort_get)
    put = blocking(_cohort_put)
    change = blocking(_cohort_change)
    actors = blocking(_cohort_actors)
    delete = blocking(_cohort_delete)


class AsyncCohorts(AsyncPart):
    """``client.cohorts``."""

    list = awaited(_cohort_list)
    get = awaited(_cohort_get)
    put = awaited(_cohort_put)
    change = awaited(_cohort_change)
    actors = awaited(_cohort_actors)
    delete = awaited(_cohort_delete)


# Datasets


def _dataset_list() -> Flow[Sequence[Dataset]]:
    """All datasets of the project, by name."""
    found: list[Dataset] = []
    after: str | None = None
    while True:
        params = {"limit": PAGE, **({} if after is None else {"after_name": after})}
        page = yield Call("GET", in_project("datasets"), Answer.json, {**READ, "params": params})
        found += [Dataset.read(one) for one in page["datasets"]]
        if not page["next_page_url"] or not page["datasets"]:
            return found
        after = found[-1].name


def _dataset_get(name: str) -> Call[Dataset]:
    """One definition, and how fresh its results are."""
    return Call("GET", in_project("datasets", name), lambda answer: Dataset.read(answer.json()), READ)


def _dataset_create(
    name: str,
    query: Query | Mapping[str, Any],
    index_by: str | Iterable[str],
    *,
    display_name: str | None = None,
) -> Call[Dataset]:
    """Make a dataset: a question with an interval, kept ready for each value of one to three properties."""
    body: Json = {
        "query": _definition(query),
        "index_by": index_by if isinstance(index_by, str) else [*index_by],
    }
    if display_name is not None:
        body["display_name"] = display_name
    path = in_project("datasets", name)
    return Call("PUT", path, lambda answer: Dataset.read(answer.json()), {**MASTER, "json": body})


def _dataset_delete(name: str) -> Call[None]:
    """Delete a dataset and its results."""
    return Call("DELETE", in_project("datasets", name), nothing, MASTER)


def _dataset_results(name: str, index_by: Any, *, timeframe: Any = None) -> Call[Result]:
    """The part of a dataset for one value of its index; for several properties an object or a list.

    ``timeframe`` is a part of the dataset's own; without it, it is the whole.
    """
    value = as_json(index_by)
    params = {"index_by": _json.dumps(value).decode()}
    if timeframe is not None:
        params["timeframe"] = _as_parameter(framed_as_json(timeframe)["timeframe"])
    path = in_project("datasets", name, "results")
    return Call("GET", path, _dataset_answer, {**READ, "params": params})


def _dataset_answer(answer: Answer) -> Result:
    body = answer.json()
    question = ((body.get("metadata") or {}).get("dataset") or {}).get("query") or {}
    analysis = str(question.get("analysis_type", ""))
    return cast("Result", answer_of(question, body, analysis=analysis, request_id=answer.request_id))


class Datasets(Part):
    """``client.datasets``."""

    list = blocking_flow(_dataset_list)
    get = blocking(_dataset_get)
    create = blocking(_dataset_create)
    delete = blocking(_dataset_delete)
    results = blocking(_dataset_results)


class AsyncDatasets(AsyncPart):
    """``client.datasets``."""

    list = awaited_flow(_dataset_list)
    get = awaited(_dataset_get)
    create = awaited(_dataset_create)
    delete = awaited(_dataset_delete)
    results = awaited(_dataset_results)


# Access keys


def _key_list(name: str | None = None) -> Flow[Sequence[AccessKey]]:
    """The project's access keys, oldest first; only those of exactly this name where one is given."""
    found: list[AccessKey] = []
    number = 1
    while True:
        params = {"page": number, "per_page": KEYS_PAGE, **({} if name is None else {"name": name})}
        page = yield Call("GET", in_project("keys"), Answer.json, {**MASTER, "params": params})
        found += [AccessKey.read(one) for one in page]
        if len(page) < KEYS_PAGE:
            return found
        number += 1


def _key_get(key: str) -> Call[AccessKey]:
    """One access key."""
    return Call("GET", in_project("keys", key), lambda answer: AccessKey.read(answer.json()), MASTER)


def _key_create(
    name: str,
    permitted: Iterable[str],
    *,
    options: Mapping[str, Any] | None = None,
    is_active: bool = True,
) -> Call[AccessKey]:
    """Make an access key with these rights (``queries``, ``writes``, …), narrowed by its options.

    Filters in the options may be conditions: ``{"queries": {"filters": [P("customer.id") == "c1"]}}``.
    """
    body = _key_body(name, permitted, options, is_active)
    options_ = {**MASTER, "json": body}
    return Call("POST", in_project("keys"), lambda answer: AccessKey.read(answer.json()), options_)


def _key_update(
    key: str,
    *,
    name: str | None = None,
    permitted: Iterable[str] | None = None,
    options: Mapping[str, Any] | None = None,
    is_active: bool | None = None,
) -> Flow[AccessKey]:
    """Change what is given of an access key; what is left out stays. ``options`` replaces all of them."""
    old: AccessKey = yield _key_get(key)
    body = _key_body(
        old.name if name is None else name,
        old.permitted if permitted is None else permitted,
        old.options if options is None else options,
        old.is_active if is_active is None else is_active,
    )
    path = in_project("keys", key)
    changed: AccessKey = yield Call(
        "POST", path, lambda answer: AccessKey.read(answer.json()), {**MASTER, "json": body}
    )
    return changed


def _key_body(
    name: str, permitted: Iterable[str], options: Mapping[str, Any] | None, is_active: bool
) -> Json:
    rights = [permitted] if isinstance(permitted, str) else [*permitted]
    body: Json = {"name": name, "permitted": rights, "is_active": is_active}
    if options:
        body["options"] = {section: _section(value) for section, value in options.items()}
    return body


def _section(value: Any) -> Any:
    if isinstance(value, Mapping) and value.get("filters") is not None:
        filters = filters_as_json(value["filters"])
        return {
            **as_json({name: one for name, one in value.items() if name != "filters"}),
            "filters": filters,
        }
    return as_json(value)


def _key_revoke(key: str) -> Call[AccessKey]:
    """End an access key on every worker within a second, and every embed token that was made of it."""
    return _key_switch(key, "revoke")


def _key_unrevoke(key: str) -> Call[AccessKey]:
    """Let a revoked access key live again."""
    return _key_switch(key, "unrevoke")


def _key_switch(key: str, how: str) -> Call[AccessKey]:
    path = in_project("keys", key, how)
    return Call("POST", path, lambda answer: AccessKey.read(answer.json()), {**MASTER, "repeatable": True})


def _key_delete(key: str) -> Call[None]:
    """End an access key for ever."""
    return Call("DELETE", in_project("keys", key), nothing, MASTER)


class AccessKeys(Part):
    """``client.access_keys``."""

    list = blocking_flow(_key_list)
    get = blocking(_key_get)
    create = blocking(_key_create)
    update = blocking_flow(_key_update)
    revoke = blocking(_key_revoke)
    unrevoke = blocking(_key_unrevoke)
    delete = blocking(_key_delete)


class AsyncAccessKeys(AsyncPart):
    """``client.access_keys``."""

    list = awaited_flow(_key_list)
    get = awaited(_key_get)
    create = awaited(_key_create)
    update = awaited_flow(_key_update)
    revoke = awaited(_key_revoke)
    unrevoke = awaited(_key_unrevoke)
    delete = awaited(_key_delete)


# Dashboards


def _dashboard_path(*segments: str) -> Any:
    def path(target: Target) -> str:
        return target.project_path("dashboards", *segments).removeprefix("/3.0")

    return path


def _dashboard_list() -> Call[list[Json]]:
    """The metadata of all dashboards that the key sees."""
    return Call("GET", _dashboard_path("metadata"), Answer.json, READ)


def _dashboard_get(dashboard_id: str) -> Call[Json]:
    """A dashboard, as it was stored."""
    return Call("GET", _dashboard_path(dashboard_id), Answer.json, READ)


def _dashboard_put(
    dashboard_id: str, dashboard: Mapping[str, Any], *, metadata: Mapping[str, Any] | None = None
) -> Call[Json]:
    """Store a dashboard, any JSON object; without ``metadata`` what was said of it before stands."""
    options: Json = {**MASTER, "json": dict(dashboard)}
    if metadata is not None:
        # A header holds ASCII, and JSON can be written in it alone.
        options["headers"] = {"X-Keen-Blob-Metadata": _ascii_json(as_json(metadata))}
    return Call("PUT", _dashboard_path(dashboard_id), Answer.json, options)


def _ascii_json(value: Any) -> str:
    import json

    return json.dumps(value, separators=(",", ":"))


def _dashboard_metadata(dashboard_id: str) -> Call[Json]:
    """A dashboard's metadata."""
    return Call("GET", _dashboard_path(dashboard_id, "metadata"), Answer.json, READ)


def _dashboard_put_metadata(dashboard_id: str, metadata: Mapping[str, Any]) -> Call[Json]:
    """Replace a dashboard's metadata alone."""
    options = {**MASTER, "json": dict(metadata)}
    return Call("PUT", _dashboard_path(dashboard_id, "metadata"), Answer.json, options)


def _dashboard_delete(dashboard_id: str) -> Call[None]:
    """Delete a dashboard."""
    return Call("DELETE", _dashboard_path(dashboard_id), nothing, MASTER)


class Dashboards(Part):
    """``client.dashboards``."""

    list = blocking(_dashboard_list)
    get = blocking(_dashboard_get)
    put = blocking(_dashboard_put)
    metadata = blocking(_dashboard_metadata)
    put_metadata = blocking(_dashboard_put_metadata)
    delete = blocking(_dashboard_delete)


class AsyncDashboards(AsyncPart):
    """``client.dashboards``."""

    list = awaited(_dashboard_list)
    get = awaited(_dashboard_get)
    put = awaited(_dashboard_put)
    metadata = awaited(_dashboard_metadata)
    put_metadata = awaited(_dashboard_put_metadata)
    delete = awaited(_dashboard_delete)


# Collections: their schema, and deletions and changes of their events


def _collection_list(*, include_schema: bool = True) -> Call[list[Collection]]:
    """The collections of the project and, unless told otherwise, the types of their properties."""
    params = None if include_schema else {"include_schema": "false"}
    return Call(
        "GET",
        in_project("events"),
        lambda answer: [Collection.read(one) for one in answer.json()],
        {**READ, "params": params},
    )


def _collection_get(name: str) -> Call[Collection]:
    """One collection and the types of its properties."""
    return Call("GET", in_project("events", name), lambda answer: Collection.read(answer.json()), READ)


def _property_type(name: str, property_name: str) -> Call[str]:
    """The type of one property: ``num``, ``string``, ``bool``, ``list``, ``datetime`` or ``geo``."""
    path = in_project("events", name, "properties", property_name)
    return Call("GET", path, lambda answer: str(answer.json()["type"]), READ)


def _collection_delete(name: str) -> Call[None]:
    """Delete a collection with all its events, for good."""
    return Call("DELETE", in_project("events", name), nothing, MASTER)


def _property_delete(name: str, property_name: str) -> Call[None]:
    """Delete a property, with all that is nested in it, from every event, for good."""
    return Call("DELETE", in_project("events", name, "properties", property_name), nothing, MASTER)


def _narrowed(
    filters: FilterLike | Iterable[FilterLike] | None,
    timeframe: Any,
    timezone: Zone | None,
    week_start: str | None,
) -> Json:
    given = {"filters": filters, "timeframe": timeframe, "timezone": timezone, "week_start": week_start}
    return parameters_as_json(given)


def _profile(
    name: str,
    *,
    property_names: Iterable[str] | None = None,
    filters: FilterLike | Iterable[FilterLike] | None = None,
    timeframe: Any = None,
    timezone: Zone | None = None,
    week_start: str | None = None,
    limit: int | None = None,
    after: str | None = None,
    top: int | None = None,
) -> Call[Json]:
    """What the events of a collection and their properties are like, a page of properties at a time."""
    narrowed: Json = _narrowed(filters, timeframe, timezone, week_start)
    given: Json = {"limit": limit, "after": after, "top": top} | narrowed
    if property_names is not None:
        given["property_names"] = list(property_names)
    params = {one: _as_parameter(value) for one, value in given.items() if value is not None}
    path = in_project("events", name, "profile")
    return Call("GET", path, lambda answer: answer.json(), {**READ, "params": params})


def _events_delete(
    name: str,
    *,
    filters: FilterLike | Iterable[FilterLike] | None = None,
    timeframe: Any = None,
    timezone: Zone | None = None,
    week_start: str | None = None,
) -> Call[None]:
    """Delete the events that match, for good: filters, a timeframe, or both.

    Raises ValueError where neither is given, since that would be all events: ``delete`` is for those.
    """
    narrowed = _narrowed(filters, timeframe, timezone, week_start)
    if not narrowed.get("filters") and not narrowed.get("timeframe"):
        raise ValueError("delete_events needs filters or a timeframe; delete() deletes all of a collection")
    params = {one: _as_parameter(value) for one, value in narrowed.items()}
    return Call("DELETE", in_project("events", name), nothing, {**MASTER, "params": params})


def _events_update(
    name: str,
    updates: Mapping[str, Any],
    *,
    filters: FilterLike | Iterable[FilterLike] | None = None,
    timeframe: Any = None,
    timezone: Zone | None = None,
    week_start: str | None = None,
    upsert: bool = False,
) -> Call[int]:
    """Set properties of the events that match, all of them where nothing narrows it; how many were changed.

    ``updates`` maps paths to new values: ``{"user.plan": "free"}``. Without ``upsert`` only events that have
    the property are changed.
    """
    changes = [
        {
            "property_name": path,
            "property_value": as_json(value),
            **({"upsert_property": True} if upsert else {}),
        }
        for path, value in updates.items()
    ]
    body = {"property_updates": changes, **_narrowed(filters, timeframe, timezone, week_start)}
    options = {**MASTER, "json": body}
    return Call(
        "PUT", in_project("events", name), lambda answer: int(answer.json()["updated_events"]), options
    )


def _retention(name: str) -> Call[int | None]:
    """For how many days events are kept; None: for ever."""
    path = in_project("retention", name)
    return Call("GET", path, lambda answer: answer.json()["days"], MASTER)


def _keep(name: str, days: int | None) -> Call[None]:
    """Keep the collection's events for so many days only; None: for ever. Older ones are deleted."""
    path = in_project("retention", name)
    if days is None:
        return Call("DELETE", path, nothing, MASTER)
    return Call("PUT", path, nothing, {**MASTER, "json": {"days": days}})


class Collections(Part):
    """``client.collections``."""

    list = blocking(_collection_list)
    get = blocking(_collection_get)
    delete = blocking(_collection_delete)
    property_type = blocking(_property_type)
    profile = blocking(_profile)
    delete_property = blocking(_property_delete)
    delete_events = blocking(_events_delete)
    update_events = blocking(_events_update)
    retention = blocking(_retention)
    keep = blocking(_keep)


class AsyncCollections(AsyncPart):
    """``client.collections``."""

    list = awaited(_collection_list)
    get = awaited(_collection_get)
    delete = awaited(_collection_delete)
    property_type = awaited(_property_type)
    profile = awaited(_profile)
    delete_property = awaited(_property_delete)
    delete_events = awaited(_events_delete)
    update_events = awaited(_events_update)
    retention = awaited(_retention)
    keep = awaited(_keep)


# Extractions to files


def _extraction_list() -> Flow[Sequence[ExtractionJob]]:
    """The extractions to files that the key sees, newest first."""
    found: list[ExtractionJob] = []
    params: Json = {"limit": PAGE}
    while True:
        page = yield Call("GET", in_project("extractions"), Answer.json, {**READ, "params": params})
        found += [ExtractionJob.read(one) for one in page["extractions"]]
        if not page["next_page_url"]:
            return found
        before = parse_qs(urlsplit(page["next_page_url"]).query)["before"][0]
        params = {"limit": PAGE, "before": before}


def _extraction_start(
    query: Extraction,
    *,
    content_type: str = "text/csv",
    gzip: bool = False,
    email: str | None = None,
) -> Call[ExtractionJob]:
    """Have a file made in the background; with ``email`` the link to it is mailed, too."""
    more: Json = {"content_type": content_type}
    if gzip:
        more["content_encoding"] = "gzip"
    return start_job({**query.to_json(), **more}, email)


class Extractions(Part):
    """``client.extractions``: files that are made in the background. ``client.export`` does all at once."""

    list = blocking_flow(_extraction_list)
    start = blocking(_extraction_start)
    get = blocking(show_job)
    delete = blocking(remove_job)


class AsyncExtractions(AsyncPart):
    """``client.extractions``."""

    list = awaited_flow(_extraction_list)
    start = awaited(_extraction_start)
    get = awaited(show_job)
    delete = awaited(remove_job)


# The project, and the organisation's projects


def _project_describe() -> Call[ProjectDescription]:
    """The project's name, collections and saved queries."""
    return Call("GET", in_project(), lambda answer: ProjectDescription.read(answer.json()), READ)


def _project_usage() -> Call[Json]:
    """What the project holds: events, bytes, collections, saved queries and datasets."""
    return Call("GET", in_project("organization-usage"), Answer.json, MASTER)


def _project_lineage(event_collection: str | None = None) -> Call[Json]:
    """What reads what: pipelines, saved queries, datasets, cohorts, dashboards, alerts and reports; of a
    collection only what reads it, directly or by way of others."""
    params = None if event_collection is None else {"event_collection": event_collection}
    return Call("GET", in_project("lineage"), Answer.json, {**MASTER, "params": params})


class ProjectPart(Part):
    """``client.project``."""

    describe = blocking(_project_describe)
    usage = blocking(_project_usage)
    lineage = blocking(_project_lineage)


class AsyncProjectPart(AsyncPart):
    """``client.project``."""

    describe = awaited(_project_describe)
    usage = awaited(_project_usage)
    lineage = awaited(_project_lineage)


ORGANIZATION: Json = {"key": "organization"}


def _in_organization(organization_id: str, *segments: str) -> Any:
    text = "/".join(quote(one, safe="") for one in ("3.0", "organizations", organization_id, *segments))
    return lambda target: f"/{text}"


def _own_list(organization_id: str) -> Call[list[Project]]:
    """The organisation's projects, keys included."""
    path = _in_organization(organization_id, "projects")
    return Call("GET", path, lambda answer: [Project.read(one) for one in answer.json()], ORGANIZATION)


def _own_get(organization_id: str, project_id: str) -> Call[Project]:
    """One project, keys included."""
    path = _in_organization(organization_id, "projects", project_id)
    return Call("GET", path, lambda answer: Project.read(answer.json()), ORGANIZATION)


def _own_create(
    organization_id: str,
    name: str,
    *,
    users: Iterable[str] | None = None,
    preferences: Mapping[str, Any] | None = None,
) -> Call[Project]:
    """Make a project. ConflictError where the organisation has one of that name; ``users`` are addresses."""
    body = {"name": name, **_project_fields(users, preferences)}
    path = _in_organization(organization_id, "projects")
    return Call("POST", path, lambda answer: Project.read(answer.json()), {**ORGANIZATION, "json": body})


def _own_update(
    organization_id: str,
    project_id: str,
    *,
    name: str | None = None,
    users: Iterable[str] | None = None,
    preferences: Mapping[str, Any] | None = None,
) -> Call[Project]:
    """Change what is given of a project; ``users`` replaces the whole list, ``preferences`` all of them."""
    body = {**({} if name is None else {"name": name}), **_project_fields(users, preferences)}
    path = _in_organization(organization_id, "projects", project_id)
    return Call("PUT", path, lambda answer: Project.read(answer.json()), {**ORGANIZATION, "json": body})


def _project_fields(users: Iterable[str] | None, preferences: Mapping[str, Any] | None) -> Json:
    fields: Json = {}
    if users is not None:
        fields["users"] = [{"email": one} for one in users]
    if preferences is not None:
        fields["preferences"] = as_json(preferences)
    return fields


def _own_delete(organization_id: str, project_id: str) -> Call[None]:
    """Delete a project: its keys die at once, its data is taken away some days later."""
    return Call("DELETE", _in_organization(organization_id, "projects", project_id), nothing, ORGANIZATION)


def _own_usage(organization_id: str) -> Call[OrganizationUsage]:
    """What the organisation's projects hold and have been sent and asked."""
    path = _in_organization(organization_id, "usage")
    return Call("GET", path, lambda answer: OrganizationUsage.read(answer.json()), ORGANIZATION)


class Projects(Part):
    """``client.projects``: the projects of an organisation, with its key."""

    list = blocking(_own_list)
    get = blocking(_own_get)
    create = blocking(_own_create)
    update = blocking(_own_update)
    delete = blocking(_own_delete)
    usage = blocking(_own_usage)


class AsyncProjects(AsyncPart):
    """``client.projects``."""

    list = awaited(_own_list)
    get = awaited(_own_get)
    create = awaited(_own_create)
    update = awaited(_own_update)
    delete = awaited(_own_delete)
    usage = awaited(_own_usage)


# The parts of the client


class Managing:
    """The parts of ``Acumen`` that manage."""

    transport: Transport

    @cached_property
    def saved_queries(self) -> SavedQueries:
        return SavedQueries(self.transport)

    @cached_property
    def cohorts(self) -> Cohorts:
        return Cohorts(self.transport)

    @cached_property
    def alerts(self) -> Alerts:
        return Alerts(self.transport)

    @cached_property
    def reports(self) -> Reports:
        return Reports(self.transport)

    @cached_property
    def pipelines(self) -> Pipelines:
        return Pipelines(self.transport)

    @cached_property
    def sources(self) -> Sources:
        return Sources(self.transport)

    @cached_property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.transport)

    @cached_property
    def datasets(self) -> Datasets:
        return Datasets(self.transport)

    @cached_property
    def access_keys(self) -> AccessKeys:
        return AccessKeys(self.transport)

    @cached_property
    def dashboards(self) -> Dashboards:
        return Dashboards(self.transport)

    @cached_property
    def collections(self) -> Collections:
        return Collections(self.transport)

    @cached_property
    def identities(self) -> Identities:
        return Identities(self.transport)

    @cached_property
    def extractions(self) -> Extractions:
        return Extractions(self.transport)

    @cached_property
    def project(self) -> ProjectPart:
        return ProjectPart(self.transport)

    @cached_property
    def projects(self) -> Projects:
        return Projects(self.transport)


class AsyncManaging:
    """The parts of ``AsyncAcumen`` that manage."""

    transport: AsyncTransport

    @cached_property
    def saved_queries(self) -> AsyncSavedQueries:
        return AsyncSavedQueries(self.transport)

    @cached_property
    def cohorts(self) -> AsyncCohorts:
        return AsyncCohorts(self.transport)

    @cached_property
    def alerts(self) -> AsyncAlerts:
        return AsyncAlerts(self.transport)

    @cached_property
    def reports(self) -> AsyncReports:
        return AsyncReports(self.transport)

    @cached_property
    def pipelines(self) -> AsyncPipelines:
        return AsyncPipelines(self.transport)

    @cached_property
    def sources(self) -> AsyncSources:
        return AsyncSources(self.transport)

    @cached_property
    def webhooks(self) -> AsyncWebhooks:
        return AsyncWebhooks(self.transport)

    @cached_property
    def datasets(self) -> AsyncDatasets:
        return AsyncDatasets(self.transport)

    @cached_property
    def access_keys(self) -> AsyncAccessKeys:
        return AsyncAccessKeys(self.transport)

    @cached_property
    def dashboards(self) -> AsyncDashboards:
        return AsyncDashboards(self.transport)

    @cached_property
    def collections(self) -> AsyncCollections:
        return AsyncCollections(self.transport)

    @cached_property
    def identities(self) -> AsyncIdentities:
        return AsyncIdentities(self.transport)

    @cached_property
    def extractions(self) -> AsyncExtractions:
        return AsyncExtractions(self.transport)

    @cached_property
    def project(self) -> AsyncProjectPart:
        return AsyncProjectPart(self.transport)

    @cached_property
    def projects(self) -> AsyncProjects:
        return AsyncProjects(self.transport)
