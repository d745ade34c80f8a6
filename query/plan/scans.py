"""Scans: pieces of files with equal columns, and what is asked of their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from query.language.nodes import Span
from query.plan import predicates as p
from query.plan.columns import Column
from query.plan.predicates import Predicate
from storage.source import DataFile

PIECES_MAX = 4
"""With more sets of files than this, one reader that unifies their columns by name is faster."""


@dataclass(frozen=True, slots=True)
class FileSet:
    """Files that hold the same of the wanted columns."""

    paths: tuple[str, ...]
    held: frozenset[str]
    timed: bool
    """False where every row of every file lies in the span, which then needs no test."""
    by_name: bool = False
    marked: bool = False
    """Whether instants are marked as UTC in the files."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The rows of a view that lie in the span and satisfy the predicate, with the wanted columns."""

    pieces: tuple[FileSet, ...]
    tail: str | None
    """Name of the registered table."""
    tail_held: frozenset[str]
    columns: tuple[Column, ...]
    span: Span
    predicate: Predicate
    readings: tuple[tuple[p.Reading, Column], ...] = ()
    """What conditions read in texts."""
    times: tuple[p.Compare, ...] = ()
    """Of the predicate's conditions, those on instants that all must hold: tested where files are read."""
    rest: Predicate = p.TRUE
    """The predicate without those."""
    in_us: bool = False
    """Whether each row's time is also given as an integer, in µs."""

    @property
    def empty(self) -> bool:
        return self.predicate == p.FALSE or not (self.pieces or self.tail)


def hull(spans: Iterable[Span]) -> Span:
    """The shortest span that holds them all."""
    listed = list(spans)
    starts = [span.start_us for span in listed if span.start_us is not None]
    ends = [span.end_us for span in listed if span.end_us is not None]
    return Span(
        min(starts) if len(starts) == len(listed) else None,
        max(ends) if len(ends) == len(listed) else None,
    )


def overlaps(file: DataFile, span: Span) -> bool:
    after = span.start_us is None or file.max_us >= span.start_us
    return after and (span.end_us is None or file.min_us < span.end_us)


def inside(file: DataFile, span: Span) -> bool:
    after = span.start_us is None or file.min_us >= span.start_us
    return after and (span.end_us is None or file.max_us < span.end_us)


def pieces_of(files: tuple[DataFile, ...], wanted: tuple[Column, ...], span: Span) -> tuple[FileSet, ...]:
    alike: dict[tuple[frozenset[str], bool, bool], list[str]] = {}
    for file in files:
        held = frozenset(column.name for column in wanted if column.name in file.columns)
        alike.setdefault((held, not inside(file, span), file.marked), []).append(file.path)
    if len(alike) > PIECES_MAX:
        return tuple(_of_all(alike, marked) for marked in sorted({file.marked for file in files}))
    return tuple(
        FileSet(tuple(paths), held, timed, marked=marked) for (held, timed, marked), paths in alike.items()
    )


def _of_all(alike: Mapping[tuple[frozenset[str], bool, bool], list[str]], marked: bool) -> FileSet:
    """One piece of all files of one kind: instants of both kinds never go into one column."""
    kinds = {kind: paths for kind, paths in alike.items() if kind[2] is marked}
    held = frozenset[str]().union(*(columns for columns, _, _ in kinds))
    paths = tuple(path for some in kinds.values() for path in some)
    return FileSet(paths, held, any(timed for _, timed, _ in kinds), by_name=True, marked=marked)
