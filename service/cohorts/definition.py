"""Definitions of cohorts: read from requests, and shown in answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.cohorts.definition import FIELDS as DEFINED
from query.language.cohorts.members import written
from query.language.fields import is_deeper, wrong
from query.language.nodes import ActorCohort
from query.language.parameters import check_cohort, check_keys
from service.api_paths import url_of
from service.saved_queries.definition import NAME_NEEDS, is_name, moment_text
from storage.catalog.derived import records

Json = dict[str, Any]
Judge = Callable[[Mapping[str, Any]], ActorCohort]
"""Parses a definition. Raises InvalidQuery."""

DEFINITION_BYTES_MAX = 1_000_000
DEPTH_MAX = 200
FIELDS = (
    *DEFINED,
    "name",
    "kind",
    "actors_listed",
    "created_date",
    "last_modified_date",
    "url",
    "display_name",
)
"""Fields of a cohort. Those that only the server writes are ignored, so that a GET's body can be PUT."""


@dataclass(frozen=True, slots=True)
class SentCohort:
    """A cohort to be stored. ``members`` are the JSON texts of the actors of a static one."""

    definition: str
    actor_property: str | None
    members: Sequence[str]


def check_name(name: str) -> None:
    """Raises InvalidQuery."""
    if not is_name(name):
        raise wrong("the name in the path", NAME_NEEDS, name)


def read(body: Any, judge: Judge, members_max: int) -> SentCohort:
    """The cohort in the body of a PUT. Raises InvalidQuery, naming the field."""
    if not isinstance(body, Mapping):
        raise InvalidQuery('A cohort must be a JSON object, as {"actor_property": …, "all": […]}.')
    check_keys(body, FIELDS, "a cohort")
    for name in DEFINED:
        if is_deeper(body.get(name), DEPTH_MAX):
            raise InvalidQuery(f"'{name}' is nested more than {DEPTH_MAX} levels deep.")
    display_name = body.get("display_name")
    if display_name is not None and not isinstance(display_name, str):
        raise wrong("display_name", "text", display_name)
    definition = {name: body[name] for name in DEFINED if body.get(name) is not None}
    check_cohort(definition)
    cohort = judge(definition)
    members: list[str] = []
    if cohort.members is not None:
        members = written(definition.pop("actors"), "actors", members_max)
    # The project's preference may change; the cohort stays one of these actors.
    definition["actor_property"] = cohort.actor
    if display_name is not None:
        definition["display_name"] = display_name
    text = json.dumps(definition, separators=(",", ":"))
    if len(text) > DEFINITION_BYTES_MAX:
        raise QueryLimitExceeded(
            f"The cohort's definition has {len(text):,} bytes as JSON, more than {DEFINITION_BYTES_MAX:,}."
        )
    return SentCohort(text, None if cohort.members is None else cohort.actor, members)


def described(cohort: records.StoredCohort, *, narrowed: bool = False) -> Json:
    """The cohort as the API shows it.

    ``narrowed`` is for a key that sees part of the events: the values in filters are not shown to it, nor how
    many actors a static cohort lists.
    """
    definition = json.loads(cohort.definition)
    kind = "static" if cohort.is_static else "funnel" if "funnel" in definition else "behaviour"
    shown = {name: definition[name] for name in DEFINED if name in definition}
    if narrowed:
        shown = without_filters(shown)
    return {
        "name": cohort.name,
        "display_name": None if narrowed else definition.get("display_name"),
        "kind": kind,
        **shown,
        **({} if narrowed or not cohort.is_static else {"actors_listed": cohort.number}),
        "created_date": moment_text(cohort.created_us),
        "last_modified_date": moment_text(cohort.modified_us),
        "url": url_of(cohort.project_id, "cohorts", cohort.name),
    }


def without_filters(part: Any) -> Any:
    """A definition with all filters removed, so that their values are not shown."""
    if isinstance(part, list):
        return [without_filters(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {name: [] if name == "filters" else without_filters(value) for name, value in part.items()}
