"""Kept results of saved queries: computed, stored as files, and compared with the events stored now.

Used by workers and the runner; everything here blocks. A result belongs to one version of a query and one
audience: the callers whose keys see events through the same filters.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from query.answers.freshness import (
    NOWHERE,
    Covered,
    ErasureMark,
    ReadScope,
    RecordingSource,
    SourceSummary,
    count,
    erased,
    outlines,
    own_parts,
    parts,
)
from query.answers.pipeline import Answer, answer
from query.engine.engine import CancelToken, Deadline, Engine
from query.errors import DataDamaged, InvalidQuery, QueryCancelled, QueryError
from query.language.analyses.behaviour_nodes import FunnelQuery
from query.language.nodes import Filter, ParsedQuery
from query.language.parse import AS_OF, parse
from query.language.preferences import ACTOR, KEEN, ROUND, WEEK_START, Preferences
from query.limits import Limits
from service.errors import ServiceUnavailable
from service.queries import past
from service.queries.project_preferences import ProjectPreferences
from service.queries.query_service import written
from service.queries.saved_cohorts import SavedCohorts
from service.queries.sight import SourceReader
from service.saved_queries.definition import KEPT_BESIDE, analysis_type, is_funnel
from storage.catalog.catalog import Catalog
from storage.catalog.derived.records import SavedQuery, SavedResult, SavedRun
from storage.disk.durable_files import new_file
from storage.read.versions import Version
from storage.source import Source

SEEN_MAX = 4_096
SERVER_FAULT = "The server failed to answer. The failure was logged."


@dataclass(frozen=True)
class FilterScope:
    """The callers who see only the events that match ``filters``."""

    filters: tuple[Filter, ...] = ()

    @cached_property
    def digest(self) -> str:
        """A digest of the filters; empty where there are none."""
        return hashlib.sha256(repr(self.filters).encode()).hexdigest() if self.filters else ""


class Freshness(Enum):
    """How a kept result compares with the events stored now."""

    FRESH = "fresh"
    STALE = "stale"
    ERASED = "erased"
    """Events of its collections were deleted or changed, or its cohorts were: it must no longer be shown."""
    UNSURE = "unsure"
    """Only counting the events can decide it."""


@dataclass(frozen=True, slots=True)
class Computed:
    run: SavedRun
    """As stored."""
    result: bytes
    """JSON."""
    warnings: tuple[str, ...]


class Results:
    """The results of one process. Thread-safe."""

    def __init__(
        self,
        catalog: Catalog,
        reader: SourceReader,
        engine: Engine,
        limits: Limits,
        preferences: Preferences = KEEN,
    ) -> None:
        """``preferences``: of projects that have none."""
        self._cohorts = SavedCohorts(catalog)
        self._preferences = ProjectPreferences(catalog, preferences)
        self._catalog = catalog
        self._folder = catalog.folder.results
        self._reader = reader
        self._engine = engine
        self._limits = limits
        self._lock = threading.Lock()
        # File of a result → the state of its sources when it was last found fresh; None once found stale.
        self._last_seen: OrderedDict[str, Mapping[str, SourceSummary] | None] = OrderedDict()

    def preferences_of(self, project_id: str) -> Preferences:
        """The project's preferences; a result computed by others is stale. Blocks."""
        return self._preferences.of(project_id)

    def deadline(self, token: CancelToken) -> Deadline:
        """The deadline of work that begins now."""
        return Deadline.after(self._limits.timeout_seconds, token)

    def now(
        self, query: SavedQuery, audience: FilterScope, now_us: int, deadline: Deadline, as_of: str = ""
    ) -> tuple[bytes, tuple[str, ...]]:
        """The result as JSON, and warnings; nothing is stored.

        ``as_of`` names an earlier version of the events. Raises QueryError.
        """
        version = past.named_version(self._reader, AS_OF, as_of, now_us) if as_of else None
        request = self._parsed(query, now_us if version is None else version.instant_us, deadline, version)
        source_of = past.source_of(self._reader, query.project_id, version)
        computed = self._answer(query, request, source_of, audience, deadline)
        _check_complete(computed)
        return self._result(query, computed), tuple(computed.warnings)

    def asked(self, query: SavedQuery, now_us: int, deadline: Deadline) -> str:
        """A digest of the question as of this moment: its timeframes resolved, in whatever words. Raises
        InvalidQuery."""
        return hashlib.sha256(repr((self._parsed(query, now_us, deadline), query.query)).encode()).hexdigest()

    def compute(self, query: SavedQuery, audience: FilterScope, now_us: int, deadline: Deadline) -> Computed:
        """Compute the result and store it in place of the last one.

        A failed run leaves the last result in place. Its error is stored as well as raised, but not for
        QueryCancelled.
        """
        started = time.perf_counter()
        try:
            request = self._parsed(query, now_us, deadline)
            sources = RecordingSource(self._source_of(query))
            computed = self._answer(query, request, sources, audience, deadline)
            _check_complete(computed)
            scopes = parts(request.query)
            events = len(own_parts(request.query))
            covered = self._count(scopes, sources.given, audience, deadline)
            result = self._result(query, computed)
            file = self._write(query, audience, result)
        except QueryCancelled:
            raise
        except Exception as error:
            why = error.message if isinstance(error, QueryError) else SERVER_FAULT
            elapsed_us = _elapsed_us(started)
            failed = SavedRun(query.id, audience.digest, query.version, now_us, elapsed_us, why, 1, None)
            self.remove_file(self._catalog.saved_queries.store_run(failed))
            raise
        digest = hashlib.sha256(result).hexdigest()
        kept = SavedResult(now_us, sum(covered.counts[:events]), _covers_text(covered, request), file, digest)
        run = SavedRun(query.id, audience.digest, query.version, now_us, _elapsed_us(started), None, 0, kept)
        self._note(file, outlines(scopes, sources.given))
        self.remove_file(self._catalog.saved_queries.store_run(run))
        return Computed(run, result, tuple(computed.warnings))

    def load(self, result: SavedResult) -> bytes | None:
        """The bytes of a result; None where its file is gone or damaged."""
        try:
            content = (self._folder / result.file).read_bytes()
        except FileNotFoundError:
            return None
        return content if hashlib.sha256(content).hexdigest() == result.sha256 else None

    def look(self, query: SavedQuery, result: SavedResult) -> Freshness:
        """The result's freshness as far as it is known without counting events; otherwise UNSURE."""
        covered = _covered(result.covers)
        source_of = self._source_of(query)
        sources = {name: source_of(name) for name in covered.erasures}
        if erased(covered, sources):
            return Freshness.ERASED
        try:
            request = self._parsed(query, result.asked_us, None)
        except InvalidQuery:
            # A cohort that it names is gone.
            return Freshness.ERASED
        if request.cohorts != _cohorts(result.covers):
            return Freshness.ERASED
        if request.preferences != _preferences(result.covers):
            return Freshness.STALE
        with self._lock:
            known = result.file in self._last_seen
            seen = self._last_seen.get(result.file)
        if known and seen is None:
            return Freshness.STALE
        if any(source.damaged for source in sources.values()):
            # Freshness cannot be decided without the files that are set aside.
            return Freshness.STALE
        scopes = parts(request.query)
        return Freshness.FRESH if known and seen == outlines(scopes, sources) else Freshness.UNSURE

    def examine(
        self, query: SavedQuery, audience: FilterScope, result: SavedResult, deadline: Deadline
    ) -> Freshness:
        """The result's freshness, never UNSURE: events are counted where needed. Raises QueryError."""
        freshness = self.look(query, result)
        if freshness is not Freshness.UNSURE:
            return freshness
        covered = _covered(result.covers)
        source_of = self._source_of(query)
        sources = {name: source_of(name) for name in covered.erasures}
        if erased(covered, sources):
            return Freshness.ERASED
        scopes = parts(self._parsed(query, result.asked_us, deadline).query)
        same = self._count(scopes, sources, audience, deadline).counts == covered.counts
        self._note(result.file, outlines(scopes, sources) if same else None)
        return Freshness.FRESH if same else Freshness.STALE

    def remove_file(self, name: str | None) -> None:
        """Remove the file of a result that no run refers to."""
        if name is not None:
            with suppress(FileNotFoundError):
                (self._folder / name).unlink()
            with self._lock:
                self._last_seen.pop(name, None)

    def remove_files(self, names: Iterable[str]) -> None:
        for name in names:
            self.remove_file(name)

    def remove_strays(self, seconds: float, now: float) -> None:
        """Remove files left by a dead process: those older than ``seconds`` to which no run refers."""
        old = [path for path in self._folder.iterdir() if now - _changed(path) > seconds]
        if old:
            named = {run.result.file for run in self._catalog.saved_queries.runs() if run.result is not None}
            for path in old:
                if path.name not in named:
                    self.remove_file(path.name)

    def _source_of(self, query: SavedQuery) -> Callable[[str], Source]:
        return lambda name: self._reader.source(query.project_id, name)

    def _parsed(
        self, query: SavedQuery, now_us: int, deadline: Deadline | None, version: Version | None = None
    ) -> ParsedQuery:
        params = json.loads(query.query)
        return parse(
            params["analysis_type"],
            params,
            now_us=now_us,
            limits=self._limits,
            check_regex=self._engine.check_regex,
            check=deadline.check if deadline is not None else lambda: None,
            preferences=self._preferences.of(query.project_id),
            version="" if version is None else str(version),
            find_cohort=self._cohorts.of(query.project_id),
        )

    def _answer(
        self,
        query: SavedQuery,
        request: ParsedQuery,
        source_of: Callable[[str], Source],
        audience: FilterScope,
        deadline: Deadline,
    ) -> Answer:
        return answer(
            _without_filters(request) if audience.filters else request,
            source_of,
            self._engine,
            limits=self._limits,
            deadline=deadline,
            forced_filters=audience.filters,
            project_id=query.project_id,
        )

    def _count(
        self,
        scopes: tuple[ReadScope, ...],
        sources: Mapping[str, Source],
        audience: FilterScope,
        deadline: Deadline,
    ) -> Covered:
        return count(
            scopes,
            sources,
            self._engine,
            limits=self._limits,
            deadline=deadline,
            forced_filters=audience.filters,
        )

    def _result(self, query: SavedQuery, computed: Answer) -> bytes:
        body = computed.body
        if is_funnel(analysis_type(query)):
            nested = {"result": body["result"], "steps": body["steps"], "actors": body.get("actors")}
            nested |= {name: body[name] for name in ("erased_since",) if name in body}
            return written(nested, self._limits)
        parts = [written(body["result"], self._limits)]
        for name in KEPT_BESIDE:
            if name in body:
                # The result is shown as the last member of an object, where this follows it.
                parts += [b',"', name.encode(), b'":', written(body[name], self._limits)]
        return b"".join(parts)

    def _write(self, query: SavedQuery, audience: FilterScope, result: bytes) -> str:
        name = f"{query.id}-{audience.digest[:16] or 'all'}-{secrets.token_hex(8)}.json"
        try:
            with new_file(self._folder / name) as file:
                file.write(result)
        except OSError as error:
            raise ServiceUnavailable("The result cannot be saved now. Try again shortly.") from error
        return name

    def _note(self, file: str, seen: Mapping[str, SourceSummary] | None) -> None:
        with self._lock:
            self._last_seen[file] = seen
            self._last_seen.move_to_end(file)
            while len(self._last_seen) > SEEN_MAX:
                self._last_seen.popitem(last=False)


def _check_complete(computed: Answer) -> None:
    """Raises DataDamaged for an incomplete answer: only complete ones are kept or returned."""
    if not computed.complete:
        raise DataDamaged


def collections_of(result: SavedResult) -> Iterable[str]:
    return _covered(result.covers).erasures


def outdated(result: SavedResult, now: Mapping[str, ErasureMark]) -> bool:
    """Whether a collection that the result covers was erased from since.

    ``now``: the erasure state of the collections that exist.
    """
    covered = _covered(result.covers)
    return not all(then.stand(now.get(name, NOWHERE)) for name, then in covered.erasures.items())


def _changed(path: Path) -> float:
    """When the file was last changed; now for one that has just been removed."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _without_filters(request: ParsedQuery) -> ParsedQuery:
    """The query, without the filters in the steps that a funnel's answer repeats."""
    if not isinstance(request.query, FunnelQuery):
        return request
    steps = (replace(step, echo={**step.echo, "filters": []}) for step in request.query.steps)
    return replace(request, query=replace(request.query, steps=tuple(steps)))


def _covers_text(covered: Covered, request: ParsedQuery) -> str:
    preferences = request.preferences
    collections: dict[str, Any] = {
        name: [one.collection_id, one.erase_version] for name, one in covered.erasures.items()
    }
    preferred: dict[str, Any] = {ROUND: preferences.decimals, WEEK_START: preferences.week_start}
    if preferences.actor is not None:
        preferred[ACTOR] = preferences.actor
    covers = {"collections": collections, "counts": covered.counts, "preferences": preferred}
    if request.cohorts:
        covers["cohorts"] = dict(request.cohorts)
    return json.dumps(covers, separators=(",", ":"))


def _covered(text: str) -> Covered:
    covers = json.loads(text)
    return Covered(
        {name: ErasureMark(*one) for name, one in covers["collections"].items()},
        tuple(covers["counts"]),
    )


def _cohorts(text: str) -> tuple[tuple[str, str], ...]:
    """The cohorts that a result was computed with, by name and version."""
    return tuple(sorted(json.loads(text).get("cohorts", {}).items()))


def _preferences(text: str) -> Preferences:
    """The preferences by which a result was computed."""
    return KEEN.narrowed(json.loads(text).get("preferences", {}))


def _elapsed_us(started: float) -> int:
    return round((time.perf_counter() - started) * 1_000_000)
