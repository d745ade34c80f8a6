"""Scans: pieces of files with equal columns, and the tests of their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from query.language.nodes import Span
from query.plan import predicates as p
from query.plan.actors import ActorColumn
from query.plan.columns import Column
from query.plan.predicates import Predicate
from query.plan.sessions import SessionColumn
from storage.source import DataFile

PIECES_MAX = 4
"""With more sets of files than this, one reader that matches columns by name is faster."""


@dataclass(frozen=True, slots=True)
class FileSet:
    """Files that have the same subset of the needed columns."""

    paths: tuple[str, ...]
    held: frozenset[str]
    timed: bool
    """False where every row of every file lies in the span, so that times need no test."""
    by_name: bool = False
    marked: bool = False
    """Whether the files mark instants as UTC."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The rows of a view that lie in the span and satisfy the predicate, with the needed columns."""

    pieces: tuple[FileSet, ...]
    tail: str | None
    """Name of the table that the tail is registered as; None without a tail."""
    tail_held: frozenset[str]
    columns: tuple[Column, ...]
    span: Span
    predicate: Predicate
    readings: tuple[tuple[p.Reading, Column], ...] = ()
    """Values that conditions parse from text columns."""
    times: tuple[p.Compare, ...] = ()
    """The comparisons of instants that must all hold, tested where files are read."""
    rest: Predicate = p.TRUE
    """The predicate without ``times``."""
    in_us: bool = False
    """Whether each row's time is also given as an integer, in µs."""
    actors: tuple[ActorColumn, ...] = ()
    """The ids of actors to compute from ``columns``."""
    sessions: tuple[SessionColumn, ...] = ()
    """Properties of the rows' sessions, which are joined to them by ``columns``."""

    @property
    def empty(self) -> bool:
        return self.predicate == p.FALSE or not (self.pieces or self.tail)


def hull(spans: Iterable[Span]) -> Span:
    """The shortest span that contains all the spans."""
    all_spans = list(spans)
    starts = [span.start_us for span in all_spans if span.start_us is not None]
    ends = [span.end_us for span in all_spans if span.end_us is not None]
    return Span(
        min(starts) if len(starts) == len(all_spans) else None,
        max(ends) if len(ends) == len(all_spans) else None,
    )


def overlaps(file: DataFile, span: Span) -> bool:
    after = span.start_us is None or file.max_us >= span.start_us
    return after and (span.end_us is None or file.min_us < span.end_us)


def inside(file: DataFile, span: Span) -> bool:
    after = span.start_us is None or file.min_us >= span.start_us
    return after and (span.end_us is None or file.max_us < span.end_us)


def pieces_of(files: tuple[DataFile, ...], columns: tuple[Column, ...], span: Span) -> tuple[FileSet, ...]:
    paths_by_kind: dict[tuple[frozenset[str], bool, bool], list[str]] = {}
    for file in files:
        present = frozenset(column.name for column in columns if column.name in file.columns)
        paths_by_kind.setdefault((present, not inside(file, span), file.marked), []).append(file.path)
    if len(paths_by_kind) > PIECES_MAX:
        return tuple(_of_all(paths_by_kind, marked) for marked in sorted({file.marked for file in files}))
    return tuple(
        FileSet(tuple(paths), present, timed, marked=marked)
        for (present, timed, marked), paths in paths_by_kind.items()
    )


def _of_all(paths_by_kind: Mapping[tuple[frozenset[str], bool, bool], list[str]], marked: bool) -> FileSet:
    """One piece of all files with, or all without, marked instants, which cannot be mixed in one column."""
    kinds = {kind: paths for kind, paths in paths_by_kind.items() if kind[2] is marked}
    held = frozenset[str]().union(*(columns for columns, _, _ in kinds))
    paths = tuple(path for listed in kinds.values() for path in listed)
    return FileSet(paths, held, any(timed for _, timed, _ in kinds), by_name=True, marked=marked)
