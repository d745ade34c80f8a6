"""Parses a cohort's definition: the actors that it lists, or what they did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.analyses.funnel import parse_funnel
from query.language.analyses.parsing import Parsing
from query.language.cohorts.members import listed
from query.language.fields import flag, missing, structured, whole, wrong
from query.language.nodes import ActorCohort, CohortCondition, FunnelActors, Members, Selection
from query.language.parameters import check_keys

CODE = "InvalidCohortError"
KINDS = ("actors", "all", "any", "funnel")
FIELDS = ("actor_property", *KINDS)
CONDITION_FIELDS = (
    "event_collection",
    "actor_property",
    "filters",
    "timeframe",
    "timezone",
    "at_least",
    "at_most",
    "exactly",
)
MEMBER_FIELDS = ("in_cohort", "not_in_cohort")
FUNNEL_FIELDS = ("steps", "order", "window", "equal_times", "exclusions", "actor_property", "timeframe")
STEP_FIELDS = ("step", "dropped")
_COUNTS = ("at_least", "at_most", "exactly")


def parse_cohort(
    parsing: Parsing, name: str, definition: Any, where: str = "", members: Members | None = None
) -> ActorCohort:
    """The cohort of a definition. ``where`` begins the names of its fields.

    ``members`` are the actors of a saved static cohort, whose definition does not list them. Raises
    InvalidQuery, QueryLimitExceeded.
    """
    if not isinstance(definition, Mapping):
        raise wrong(where[:-1] or "the cohort", f"an object with one of {_kinds()}", definition, CODE)
    check_keys(definition, FIELDS, f"the cohort in '{where[:-1]}'" if where else "a cohort")
    given = [kind for kind in KINDS if definition.get(kind) is not None]
    if not given:
        raise missing(f"{where}actors' or '{where}all")
    if len(given) > 1 and set(given) != {"all", "any"}:
        raise InvalidQuery(
            f"'{where}{given[0]}' and '{where}{given[1]}' cannot stand together: a cohort lists its "
            "'actors', has the actors of a 'funnel', or those who fulfil 'all' and 'any' of some conditions.",
            CODE,
        )
    if "funnel" in given:
        return _of_funnel(parsing, name, definition, where)
    actor = parsing.actor(definition, where)
    if "actors" in given:
        if members is None:
            members = listed(
                definition["actors"], f"{where}actors", parsing.limits.cohort_members_max, parsing.check
            )
        return ActorCohort(name, actor, members=members, merged=parsing.merged)
    every, some = (_conditions(parsing, definition, kind, actor, where) for kind in ("all", "any"))
    cohort = ActorCohort(name, actor, every, some, merged=parsing.merged)
    _check(parsing, cohort, where)
    return cohort


def _kinds() -> str:
    return ", ".join(f"'{kind}'" for kind in KINDS)


def _check(parsing: Parsing, cohort: ActorCohort, where: str) -> None:
    most = parsing.limits.cohort_conditions_max
    if len(cohort.conditions) > most:
        raise QueryLimitExceeded(
            f"'{where}all' and '{where}any' may have at most {most} conditions together."
        )
    of_nobody = all(one.holds(0) for one in cohort.every)
    if of_nobody and (not cohort.some or any(one.holds(0) for one in cohort.some)):
        raise InvalidQuery(
            f"'{where}all' and '{where}any' are fulfilled by actors without any event, who cannot be listed. "
            "Add a condition in 'all' with 'at_least' 1: who did something, and not the rest. To leave "
            "actors out of an answer, use the operator 'not_in_cohort'.",
            CODE,
        )


def _conditions(
    parsing: Parsing, definition: Mapping[str, Any], kind: str, actor: str, where: str
) -> tuple[CohortCondition, ...]:
    entries = structured(f"{where}{kind}", definition.get(kind))
    if entries is None:
        return ()
    if not isinstance(entries, list) or not entries:
        raise wrong(f"{where}{kind}", "a list of at least one condition", entries, CODE)
    return tuple(
        _condition(parsing, entry, actor, f"{where}{kind}[{index}].") for index, entry in enumerate(entries)
    )


def _condition(parsing: Parsing, entry: Any, actor: str, where: str) -> CohortCondition:
    parsing.check()
    if not isinstance(entry, Mapping):
        raise wrong(where[:-1], "an object with event_collection and at_least or at_most", entry, CODE)
    for name in MEMBER_FIELDS:
        if entry.get(name) is not None:
            check_keys(entry, (name,), f"'{where[:-1]}', which has '{name}'")
            cohort = parsing.cohort(entry[name], f"{where}{name}", CODE)
            return CohortCondition(cohort, 1) if name == "in_cohort" else CohortCondition(cohort, 0, 0)
    check_keys(entry, CONDITION_FIELDS, f"'{where[:-1]}'")
    least, most = _bounds(entry, where)
    own = entry.get("actor_property")
    selection = Selection(
        collection=parsing.collection(entry, where),
        actor=actor if own is None or own == "" else parsing.actor(entry, where),
        span=parsing.span(entry.get("timeframe"), entry.get("timezone")),
        filters=parsing.filters(entry.get("filters"), f"{where}filters"),
        where=where,
        merged=parsing.merged,
    )
    return CohortCondition(selection, least, most)


def _bounds(entry: Mapping[str, Any], where: str) -> tuple[int, int | None]:
    given = {
        name: whole(f"{where}{name}", entry[name], 0, CODE) for name in _COUNTS if entry.get(name) is not None
    }
    if not given:
        return 1, None
    if "exactly" in given:
        if len(given) > 1:
            raise InvalidQuery(
                f"'{where}exactly' stands alone, without 'at_least' and 'at_most'.",
                CODE,
            )
        return given["exactly"], given["exactly"]
    least, most = given.get("at_least", 0), given.get("at_most")
    if most is not None and least > most:
        raise InvalidQuery(f"'{where}at_least' must not be above 'at_most': no number is both.", CODE)
    if least == 0 and most is None:
        raise wrong(f"{where}at_least", "at least 1: every actor did it 0 times or more", 0, CODE)
    return least, most


def _of_funnel(parsing: Parsing, name: str, definition: Mapping[str, Any], where: str) -> ActorCohort:
    """The actors of a step: ``{"funnel": {"steps": [...], "step": 2, "dropped": true}}``."""
    given = structured(f"{where}funnel", definition["funnel"])
    inner = f"{where}funnel"
    if not isinstance(given, Mapping):
        raise wrong(inner, "an object with the 'steps' of a funnel and a 'step'", given, CODE)
    check_keys(given, (*FUNNEL_FIELDS, *STEP_FIELDS), f"'{inner}'")
    params = {key: value for key, value in given.items() if key in FUNNEL_FIELDS}
    if not params.get("actor_property") and not _first_says_whose(given):
        params["actor_property"] = definition.get("actor_property")
    params["identity"] = parsing.params.get("identity")
    try:
        whose = {"actor_property": params.get("actor_property")}
        own = parsing.preferences.narrowed(whose, f"{inner}.")
        funnel = parse_funnel(replace(parsing, params=params, preferences=own))
    except InvalidQuery as error:
        raise InvalidQuery(f"In '{inner}': {error.message}", error.code) from None
    number = whole(f"{inner}.step", given.get("step", len(funnel.steps)), 1, CODE)
    dropped = flag(given, "dropped", False, f"{inner}.")
    if number > len(funnel.steps):
        raise wrong(
            f"{inner}.step", f"one of the {len(funnel.steps)} steps, by its number from 1", number, CODE
        )
    if dropped and number == 1:
        raise InvalidQuery(f"'{inner}.dropped' has no meaning at step 1: no step is before it.", CODE)
    named = definition.get("actor_property")
    actor = funnel.steps[0].actor if named is None or named == "" else parsing.actor(definition, where)
    return ActorCohort(name, actor, funnel=FunnelActors(funnel, number - 1, dropped), merged=parsing.merged)


def _first_says_whose(funnel: Mapping[str, Any]) -> bool:
    """Whether the first step has a property of actors of its own.

    The cohort's is then that one, and is the default of no other step.
    """
    steps = funnel.get("steps")
    first = steps[0] if isinstance(steps, list) and steps else None
    return isinstance(first, Mapping) and bool(first.get("actor_property"))
