"""Comparing the answers to one question about two versions, and naming the events that make a difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from query.answers.history.changes import Between, changes_of
from query.answers.pipeline import Answer, answered, named_properties
from query.engine.engine import Deadline, Engine
from query.errors import InvalidQuery
from query.language.fields import whole, wrong
from query.language.nodes import ParsedQuery
from query.language.parameter_table import ANALYSES
from query.language.parse import AS_OF
from query.limits import Limits
from service.auth.principal import Caller, Permission
from service.errors import Forbidden
from service.queries.past import named_version, source_of
from service.queries.sight import SourceReader
from storage.instants import format_instant
from storage.read.versions import Version

FROM, TO, SHOWN, ANALYSIS = "from", "to", "events", "analysis_type"
SHOWN_DEFAULT, SHOWN_MAX = 20, 1_000


@dataclass(frozen=True, slots=True)
class DiffRequest:
    """A question, and the two versions that it is asked about."""

    analysis: str
    params: Mapping[str, Any]
    first: Version
    second: Version
    shown_max: int


def check_may_compare(caller: Caller) -> None:
    """Raises Forbidden where a comparison would reveal more than the caller may see."""
    if caller.embed is not None:
        raise Forbidden("A comparison of two versions names events: it is not for embed tokens.")
    if caller.is_filtered or Permission.SCHEMA not in caller.permissions:
        raise Forbidden(
            "A comparison of two versions names events, also such that were changed: it needs a key with the "
            "permission 'schema' and without filters."
        )


def read_diff(reader: SourceReader, body: Any, now_us: int) -> DiffRequest:
    """The request that a body makes. Blocks. Raises InvalidQuery, and as ``Reader.source`` does."""
    if not isinstance(body, Mapping):
        raise InvalidQuery("A comparison must be a JSON object: a question with 'analysis_type' and 'from'.")
    analysis = body.get(ANALYSIS)
    if not isinstance(analysis, str) or analysis not in ANALYSES:
        raise wrong(ANALYSIS, "the name of an analysis", analysis)
    if body.get(FROM) in (None, ""):
        raise wrong(FROM, "the version or the instant to begin with", body.get(FROM))
    for name in (AS_OF, "explain"):
        if body.get(name) not in (None, "", False):
            raise InvalidQuery(f"'{name}' is not taken beside '{FROM}' and '{TO}'.")
    first = named_version(reader, FROM, body[FROM], now_us)
    given = body.get(TO)
    second = reader.version(now_us) if given in (None, "") else named_version(reader, TO, given, now_us)
    if (second.data, second.instant_us) < (first.data, first.instant_us):
        raise InvalidQuery(f"'{TO}' must not be before '{FROM}': change them round.")
    shown = SHOWN_DEFAULT if body.get(SHOWN) is None else whole(SHOWN, body[SHOWN], 0)
    if shown > SHOWN_MAX:
        raise wrong(SHOWN, f"an integer from 0 to {SHOWN_MAX}", shown)
    own = (FROM, TO, SHOWN, ANALYSIS, AS_OF, "explain")
    params = {name: value for name, value in body.items() if name not in own}
    return DiffRequest(analysis, params, first, second, shown)


def changes(
    request: DiffRequest,
    question: ParsedQuery,
    reader: SourceReader,
    engine: Engine,
    *,
    caller: Caller,
    limits: Limits,
    deadline: Deadline,
) -> list[dict[str, Any]]:
    """The events that make the difference, for each part of the question. Raises as ``answer`` does."""
    project_id = caller.project.id
    before, after = (source_of(reader, project_id, version) for version in (request.first, request.second))
    between = Between(before, after, request.first.instant_us)
    properties = sorted(named_properties(question.query))
    compared = answered(
        lambda views, runner: Answer(
            {"changes": changes_of(question, properties, between, views, runner, limits, request.shown_max)}
        ),
        after,
        engine,
        limits=limits,
        ends=deadline,
        forced_filters=(),
        project_id=project_id,
    )
    if compared.reservation is not None:
        compared.reservation.reduce_to(0)
    found: list[dict[str, Any]] = compared.body["changes"]
    return found


def described(version: Version, body: Any) -> dict[str, Any]:
    """One side of a comparison; ``body`` is the answer as JSON."""
    return {"version": str(version), "instant": format_instant(version.instant_us), "answer": body}
