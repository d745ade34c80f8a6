"""Answers that reuse kept partial answers equal those computed from the events alone, byte for byte."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from query import json_encoding
from query.answers.pipeline import answer
from query.answers.reuse import keeping as keeping_module
from query.answers.reuse import metric_rows
from query.engine.engine import Engine
from query.language.nodes import (
    Analysis,
    Buckets,
    Filter,
    Metric,
    MetricQuery,
    ParsedQuery,
    Span,
)
from query.limits import Limits
from storage.files.partials import Partials
from storage.source import DataFile, Source
from tests.query import strategies
from tests.query.support_source import Event, schema_of, table_of, write_file
from tests.support.scale import examples

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
MOMENT = "2026-01-01T00:00:00.000Z"
KEEN = {"timestamp": MOMENT, "created_at": MOMENT, "id": "0" * 24}
LARGE = 1e9
"""As a share of a file: everything may be kept."""


def checked(number: int) -> settings:
    return settings(
        max_examples=examples(number), deadline=None, suppress_health_check=QUIET, derandomize=False
    )


@pytest.fixture(scope="module")
def keeping(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = Engine(
        data_folder,
        memory_limit_bytes=1 << 30,
        threads=2,
        temp_folder=tmp_path_factory.mktemp("spill"),
        temp_bytes_max=1 << 30,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metric_rows, "MERGED_FILES_MIN", 2)
        yield made
    made.close()


class Collection:
    """Events in files and a tail, changed as a keeper changes them: files are only added and replaced."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self._folder = folder
        self._rng = rng
        self._files: list[tuple[list[Event], DataFile | None]] = []
        self._tail: list[Event] = []

    def append(self, events: list[Event]) -> None:
        self._tail += events

    def flush(self) -> None:
        if self._tail:
            self._files.append((self._tail, None))
            self._tail = []

    def compact(self) -> None:
        some = [one for one in self._files if self._rng.random() < 0.6]
        if len(some) > 1:
            self._files = [one for one in self._files if one not in some]
            self._files.append(([event for events, _ in some for event in events], None))

    def erase(self) -> None:
        """Some events of any place go, and their files with them."""
        for at, (events, _file) in enumerate(self._files):
            left = [event for event in events if self._rng.random() < 0.7]
            if len(left) < len(events):
                self._files[at] = (left, None)
        self._files = [one for one in self._files if one[0]]

    def source(self) -> Source:
        everything = [event for events, _ in self._files for event in events] + self._tail
        schema = schema_of(everything)
        for at, (events, file) in enumerate(self._files):
            if file is None:
                path = self._folder / f"{uuid4().hex}.parquet"
                made = write_file(table_of(events, schema), path, marked=self._rng.random() < 0.5)
                self._files[at] = (events, made)
        files = tuple(file for _, file in self._files if file is not None)
        tail = table_of(self._tail, schema) if self._tail else None
        return Source(schema, files, tail)


def body(engine: Engine, query: Any, source: Source, forced: tuple[Filter, ...] = ()) -> bytes:
    given = answer(ParsedQuery(query), lambda _: source, engine, limits=Limits(), forced_filters=forced)
    return json_encoding.dumps(given.body)


def moved(query: MetricQuery, rng: random.Random) -> MetricQuery:
    """The query of an hour or so later, or with other metrics of the same states."""
    by = rng.randint(-8, 8) * strategies.HOUR_US // 4
    span = Span(*(None if end is None else end + by for end in (query.span.start_us, query.span.end_us)))
    if query.buckets is None:
        return replace(query, span=span)
    edges = tuple(edge + by for edge in query.buckets.edges)
    more = (edges[-1] + (edges[-1] - edges[-2]) * (number + 1) for number in range(rng.randint(0, 3)))
    edges = (*edges, *more) if rng.random() < 0.5 else edges[: rng.randint(2, len(edges))]
    return replace(query, span=Span(edges[0], edges[-1]), buckets=Buckets(edges))


def same(raw: Engine, keeping: Engine, query: Any, source: Source, forced: tuple[Filter, ...]) -> None:
    assert body(keeping, query, source, forced) == body(raw, query, source, forced), query


@checked(150)
@given(
    batches=st.lists(strategies.events_lists(), min_size=2, max_size=5),
    queries=st.lists(strategies.metric_queries(), min_size=1, max_size=3),
    forced=strategies.filter_lists,
    seed=st.integers(0, 2**32),
    share=st.sampled_from([LARGE, LARGE, LARGE, 0.0, 0.2, 0.6]),
)
def test_metrics_asked_with_a_store_are_answered_as_without(
    engine: Engine,
    keeping: Engine,
    data_folder: Path,
    tmp_path: Path,
    batches: list[list[Event]],
    queries: list[MetricQuery],
    forced: tuple[Filter, ...],
    seed: int,
    share: float,
) -> None:
    rng = random.Random(seed)
    collection = Collection(data_folder, rng)
    store = Partials(tmp_path / uuid4().hex, rows_min=1, share=share)
    keeping.partials = store
    try:
        for events in batches:
            collection.append(events)
            rng.choice([collection.flush, collection.flush, collection.compact, collection.erase])()
            source = collection.source()
            asked = [(one, filters) for one in queries for filters in ((), forced)]
            for query, filters in (*asked, *asked):
                later = moved(query, rng) if rng.random() < 0.5 else query
                same(engine, keeping, later, source, filters)
                keeping.later.settle()
            spoil(store, rng)
    finally:
        keeping.partials = None


def test_files_whose_partials_are_too_large_have_one_together(
    engine: Engine, keeping: Engine, data_folder: Path, tmp_path: Path
) -> None:
    rng = random.Random(8)
    collection = Collection(data_folder, rng)
    reused: list[int] = []
    store = Partials(tmp_path / "partials", rows_min=1, share=0.0, reused=reused.append)
    keeping.partials = store
    distinct = MetricQuery("visits", (Metric(Analysis.COUNT_UNIQUE, "user"),))
    try:
        for files in range(1, 6):
            collection.append([{"user": rng.randint(0, 40), "keen": keen} for keen in [KEEN] * 30])
            collection.flush()
            for _ in range(3):
                same(engine, keeping, distinct, collection.source(), ())
                keeping.later.settle()
            assert reused[-1] == files, "of all files, also of the new one"
        assert not list(store.root.rglob("*.part")), "in memory only"
    finally:
        keeping.partials = None


def test_a_partial_that_is_kept_while_a_query_is_answered_counts_nothing_twice(
    engine: Engine,
    keeping: Engine,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collection = Collection(data_folder, random.Random(8))
    waits: list[int] = []

    def reused(partials: int) -> None:
        # The query has decided what it reads of which file. Now the partial of the second file is kept.
        waits.append(partials)
        keeping.later.settle()

    store = Partials(tmp_path / "partials", rows_min=1, share=LARGE, reused=reused)
    monkeypatch.setattr(keeping_module, "PATIENCE_SECONDS", 0.0)
    keeping.partials = store
    total = MetricQuery("visits", (Metric(Analysis.SUM, "n"),))
    try:
        for _ in range(4):
            collection.append([{"n": number, "keen": KEEN} for number in range(21)])
            collection.flush()
            same(engine, keeping, total, collection.source(), ())
            keeping.later.settle()
        assert waits, "no query reused a partial"
    finally:
        keeping.partials = None


def spoil(store: Partials, rng: random.Random) -> None:
    """Damage, cut and remove some partials, and forget those in memory."""
    if rng.random() < 0.5:
        store.forget()
    if rng.random() < 0.5:
        return
    for path in sorted(store.root.rglob("*.part")):
        kind = rng.randint(0, 5)
        content = path.read_bytes()
        if kind == 0:
            at = rng.randrange(len(content))
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :])
        elif kind == 1:
            path.write_bytes(content[: rng.randrange(len(content))])
        elif kind == 2:
            path.unlink()
