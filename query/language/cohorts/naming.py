"""Finds the cohorts that one question names, and those that these name in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from query.errors import InvalidQuery, MissingField, QueryLimitExceeded
from query.language.analyses.parsing import Parsing
from query.language.cohorts.definition import parse_cohort
from query.language.fields import shown, structured, wrong
from query.language.filters import Check, CheckRegex, RegexSizes
from query.language.grouping import no_session
from query.language.nodes import ActorCohort, Members
from query.language.preferences import Preferences
from query.limits import Limits


@dataclass(frozen=True, slots=True)
class SavedCohort:
    """A cohort as it is stored. ``version`` differs where the definition or the members do."""

    definition: Mapping[str, Any]
    version: str
    members: Members | None = None


FindCohort = Callable[[str], SavedCohort | None]
"""Returns the saved cohort of a name, or None."""


class NamedCohorts:
    """The cohorts of one question: each is read once, and none may be a part of itself."""

    def __init__(self, find: FindCohort, preferences: Preferences) -> None:
        """``preferences``: the project's, which hold for saved cohorts whatever a question says."""
        self._find = find
        self._preferences = preferences
        self._known: dict[str, ActorCohort] = {}
        self._versions: dict[str, str] = {}
        self._open: list[str] = []
        self._count = 0

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """The name and version of every saved cohort that was used."""
        return tuple(sorted(self._versions.items()))

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """While a cohort of this name is read, which cannot be a part of itself."""
        self._open.append(name)
        try:
            yield
        finally:
            self._open.pop()

    def cohort(self, parsing: Parsing, value: Any, name: str, code: str) -> ActorCohort:
        value = structured(name, value)
        if isinstance(value, Mapping):
            self._add(parsing)
            return parse_cohort(parsing, "", value, f"{name}.")
        if not isinstance(value, str) or not value:
            raise wrong(name, "the name of a cohort, or its definition", value, code)
        known = self._known.get(value)
        return self._read(parsing, value, name, code) if known is None else known

    def _add(self, parsing: Parsing) -> None:
        self._count += 1
        if self._count > parsing.limits.cohorts_max:
            raise QueryLimitExceeded(
                f"A question may use at most {parsing.limits.cohorts_max} cohorts "
                "(ACUMEN_QUERY_COHORTS_MAX), with those that they name themselves."
            )

    def _read(self, parsing: Parsing, called: str, name: str, code: str) -> ActorCohort:
        if called in self._open:
            chain = " → ".join([*self._open[self._open.index(called) :], called])
            raise InvalidQuery(f"'{name}' names a cohort that is a part of itself: {shown(chain)}.", code)
        saved = self._find(called)
        if saved is None:
            raise InvalidQuery(
                f"'{name}' must be the name of a cohort of this project. There is no cohort "
                f"'{shown(called)}'.",
                code,
            )
        self._add(parsing)
        try:
            with self.within(called):
                own = replace(parsing, preferences=self._preferences, session_of=no_session)
                cohort = parse_cohort(own, called, saved.definition, members=saved.members)
        except MissingField as error:
            raise InvalidQuery(
                f"'{name}' names the cohort '{shown(called)}': {error.message}", code
            ) from None
        except QueryLimitExceeded:
            raise
        except InvalidQuery as error:
            raise InvalidQuery(
                f"'{name}' names the cohort '{shown(called)}': {error.message}", error.code
            ) from None
        self._known[called] = cohort
        self._versions[called] = saved.version
        return cohort


def cohort_of(
    name: str,
    definition: Mapping[str, Any],
    find: FindCohort,
    *,
    now_us: int,
    limits: Limits,
    check_regex: CheckRegex,
    check: Check,
    preferences: Preferences,
    members: Members | None = None,
) -> ActorCohort:
    """The cohort of a definition by itself, which must not name itself. Raises InvalidQuery."""
    names = NamedCohorts(find, preferences)
    sizes = RegexSizes(limits.regexes_size_max)
    parsing = Parsing({}, now_us, limits, check_regex, check, sizes, preferences, names)
    with names.within(name):
        return parse_cohort(parsing, name, definition, members=members)


def no_saved(name: str) -> SavedCohort | None:
    """For questions that have only cohorts defined in them."""
    return None


def any_saved(name: str) -> SavedCohort | None:
    """For checking a question where no cohort is known: every name is one."""
    return SavedCohort({"actor_property": "actor", "actors": []}, "", Members((), ""))
