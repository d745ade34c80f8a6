"""What a request for a saved query's result may change of the question: timeframe, interval and filters,
and of which version of the events it is.

A changed question is a question of its own: it needs the right to ask questions, and a key's filters for
questions hold for it beside those for saved queries. An embed token may change what its condition ``viewer``
names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from query.errors import InvalidQuery, MissingField, QueryLimitExceeded
from query.language.filters import CheckRegex, parse_filters
from query.language.normal_form import normalised
from query.language.parameter_table import EXTRACTION, FUNNEL, PATHS
from query.language.parameters import check_filters, is_unordered
from query.language.parse import AS_OF
from query.language.query_string import from_query_string
from query.limits import Limits
from query.plan.operators import filter_paths
from service.auth.embed_conditions import EmbedGrant, TokenUse
from service.auth.principal import Caller, Permission
from service.errors import Forbidden, InvalidParameter
from storage.catalog.derived.records import SavedQuery

Json = dict[str, Any]

PARAMETERS = ("timeframe", "timezone", "interval", "filters")
_OF_SPAN = ("timeframe", "timezone")
_TOLD = frozenset({"TimeframeDefinitionError", "InvalidTimezoneError", "InvalidIntervalError"})
"""Codes of errors that quote nothing but what a viewer may see or has sent."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The parameters that a request changes, as decoded; ``filters`` are added to those of the query."""

    params: Mapping[str, Any]
    filtered: frozenset[str] = frozenset()
    """The properties that the added filters name."""
    as_of: str = ""
    """The version of the events that the result is to be of, or an instant; empty: the present one."""

    def __bool__(self) -> bool:
        return bool(self.params or self.as_of)


def read_changes(pairs: Sequence[tuple[str, str]], limits: Limits, check_regex: CheckRegex) -> Changes:
    """The changes in a query string's parameters; empty where it has none. Raises InvalidQuery."""
    params = from_query_string(pair for pair in pairs if pair[0].partition("[")[0] in PARAMETERS)
    if "filters" not in params:
        return Changes(params)
    check_filters(params["filters"], "filters")
    added = parse_filters(params["filters"], limits, check_regex)
    return Changes(params, frozenset(filter_paths(added)))


def check_may_change(caller: Caller, changes: Changes) -> None:
    """Raises Forbidden where the caller may not change the result of a saved query like this."""
    grant = caller.embed
    if grant is None:
        caller.require(Permission.QUERIES)
        return
    if changes.as_of:
        raise Forbidden(f"'{AS_OF}' is not for embed tokens.")
    if not grant.key_asks:
        raise Forbidden(
            "The embed token's access key lacks the permission 'queries', which changing a saved query needs."
        )
    _check_viewer(grant, changes)


def _check_viewer(grant: EmbedGrant, changes: Changes) -> None:
    viewer = grant.viewer
    allowed = set[str]()
    if viewer is not None:
        allowed |= {"timeframe", "timezone"} if viewer.timeframe else set()
        allowed |= {"interval"} if viewer.interval else set()
        allowed |= {"filters"} if viewer.filters and changes.filtered <= viewer.filters else set()
    for name in changes.params:
        if name not in allowed:
            what = f" on {', '.join(map(repr, sorted(changes.filtered)))}" if name == "filters" else ""
            raise Forbidden(
                f"This embed token does not let its viewers change '{name}'{what}: its maker would have to "
                "say so in 'viewer'."
            )


def check_extractable(caller: Caller, query: SavedQuery, changes: Changes | None) -> None:
    """Raises Forbidden where the result is raw events, which the caller may not extract."""
    if json.loads(query.query)["analysis_type"] != EXTRACTION:
        return
    grant = caller.embed
    # Who shares a dashboard with raw events on it shows these.
    if grant is not None and not grant.share_id and TokenUse.EXTRACTIONS not in grant.uses:
        raise Forbidden(
            "This embed token does not allow that: the saved query gives raw events, and its maker would "
            "have to name 'extractions' in 'allow'."
        )
    if changes and not caller.options.extraction:
        raise caller.excluded("extraction")


def changed(query: SavedQuery, changes: Changes) -> SavedQuery:
    """The saved query with these changes, computed when it is asked for. Raises InvalidQuery."""
    definition = json.loads(query.query)
    analysis = definition["analysis_type"]
    unordered = analysis == FUNNEL and is_unordered(definition)
    if "interval" in changes.params and (unordered or analysis in (EXTRACTION, PATHS)):
        raise InvalidParameter(f"'interval' has no place here: the saved query is of the kind {analysis}.")
    given = {name: value for name, value in changes.params.items() if name != "filters"}
    added = list(changes.params.get("filters") or [])
    made: Json = {**definition, **given, "filters": [*(definition["filters"] or []), *added]}
    if analysis == FUNNEL:
        span = {name: given[name] for name in _OF_SPAN if name in given}
        made["steps"] = [_changed_step(step, definition["filters"], span, added) for step in made["steps"]]
        if "exclusions" in made:
            made["exclusions"] = [
                _changed_step({"filters": [], **one}, None, span, added) for one in made["exclusions"]
            ]
    text = json.dumps(normalised(made), separators=(",", ":"))
    return replace(query, query=text, refresh_rate=0)


def _changed_step(step: Json, of_funnel: Sequence[Any] | None, span: Json, added: Sequence[Any]) -> Json:
    """A step with the changes; one without filters of its own has those of the funnel."""
    own = step["filters"] or of_funnel or []
    return {**step, **span, "filters": [*own, *added]}


def error_for_viewer(error: InvalidQuery) -> InvalidQuery:
    """The error as an embed token is told it: most texts may quote the saved query's filters."""
    if error.code in _TOLD or isinstance(error, QueryLimitExceeded | MissingField):
        return error
    return InvalidQuery(
        "The saved query cannot be answered with these changes. Ask the author of the page.", error.code
    )
