"""A dashboard asked again after new events, with what was kept of files, against the same without.

Both ask the files of a loaded server from this process. Rounds alternate; figures are of the sums of each
question's median seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.events import START_US
from bench.report import Report
from bench.serving import COLLECTION
from bench.store import DAYS, Loaded, load
from query.answers.pipeline import answer
from query.engine.engine import Engine
from query.json_encoding import dumps
from query.language.parse import parse
from query.limits import Limits
from storage.catalog.catalog import Catalog
from storage.files.partials import Partials
from storage.paths import DataFolder
from storage.read.snapshot_reader import Reader

ROUNDS = 7
FIRST_ROUNDS = 3
NEW_SHARE = 0.01
FIRST_LIMIT = 1.15
FASTER = 20
STORE_LIMIT = 0.05
_NAMED = ("target_property", "group_by", "interval")

Question = tuple[str, dict[str, Any]]


def questions() -> list[Question]:
    """Twelve of a dashboard about two months."""
    start = datetime.fromtimestamp(START_US / 1e6, UTC)
    end = start + timedelta(days=DAYS + 1)
    days = {"timeframe": {"start": start.isoformat(), "end": end.isoformat()}}
    daily = {**days, "interval": "daily"}
    bought = [{"property_name": "page.section", "operator": "eq", "property_value": "checkout"}]
    item = [{"property_name": "page.url", "operator": "contains", "property_value": "/item-77"}]
    return [
        ("count", daily),
        ("count", {**days, "group_by": "user.country"}),
        ("count", {**daily, "group_by": "device.family"}),
        ("sum", {**daily, "target_property": "order.total"}),
        ("sum", {**days, "target_property": "order.total", "group_by": ["user.country", "user.plan"]}),
        ("average", {**days, "target_property": "page.load_ms", "group_by": "page.section"}),
        ("count_unique", {**days, "target_property": "user.id"}),
        ("count_unique", {**days, "target_property": "user.id", "filters": bought}),
        ("median", {**days, "target_property": "page.load_ms"}),
        ("percentile", {**days, "target_property": "user.age", "percentile": 90, "group_by": "user.plan"}),
        ("count", {**days, "group_by": "user.city", "filters": item}),
        (
            "maximum",
            {**days, "interval": "weekly", "target_property": "order.total", "group_by": "campaign.source"},
        ),
    ]


class Asker:
    """Asks the server's files from this process."""

    def __init__(self, engine: Engine, reader: Reader, project_id: str) -> None:
        self.engine = engine
        self._reader = reader
        self._project_id = project_id

    def ask(self, question: Question) -> tuple[bytes, float]:
        """The answer, and the seconds that it took."""
        analysis, params = question
        started = time.perf_counter()
        asked = parse(
            analysis,
            {"event_collection": COLLECTION, **params},
            now_us=START_US,
            limits=Limits(),
            check_regex=self.engine.check_regex,
        )
        given = answer(
            asked,
            lambda name: self._reader.source(self._project_id, name),
            self.engine,
            limits=Limits(),
        )
        return dumps(given.body), time.perf_counter() - started


@contextmanager
def _engine(data: Path, spill: Path, partials: Partials | None) -> Iterator[Engine]:
    made = Engine(
        data,
        memory_limit_bytes=4 << 30,
        threads=2,
        temp_folder=spill,
        temp_bytes_max=4 << 30,
        partials=partials,
    )
    with closing(made):
        yield made


def run(report: Report, store: Loaded) -> None:
    """Raises Wrong where an answer differs."""
    server = store.server
    asked = questions()
    report.title(
        f"{len(asked)} questions of a dashboard, {store.events:,} events in {len(server.files())} files"
    )
    data = DataFolder.at(server.data)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="acumen-bench-")))
        catalog = stack.enter_context(closing(Catalog.open(server.data)))
        reader = stack.enter_context(closing(Reader(data, catalog)))
        kept = Partials(folder / "partials")
        plain = stack.enter_context(_engine(data.root, folder / "a", None))
        keeping = stack.enter_context(_engine(data.root, folder / "b", kept))
        raw = Asker(plain, reader, server.project_id)
        with_store = Asker(keeping, reader, server.project_id)
        _first(report, asked, raw, with_store, folder)
        keeping.later.settle()
        more = max(1, int(store.events * NEW_SHARE))
        load(report, server, store.shape, store.events + more, store.events)
        _again(report, asked, raw, with_store)
        size = sum(path.stat().st_size for path in kept.root.rglob("*.part"))
        stored = sum(file.bytes for file in server.files())
        report.figure(
            "bytes kept, of those of files",
            size / stored,
            f"{size:,} of {stored:,} bytes",
            limit=STORE_LIMIT,
        )


def _first(report: Report, asked: Sequence[Question], raw: Asker, keeping: Asker, folder: Path) -> None:
    """The first time, when nothing is kept: each round with a new store."""
    store = keeping.engine.partials
    for question in asked:
        raw.ask(question)
    keeping.engine.extents = raw.engine.extents
    seconds: list[tuple[list[float], list[float]]] = [([], []) for _ in asked]
    for turn in range(FIRST_ROUNDS):
        report.progress(f"the first time, round {turn + 1}")
        own = Partials(folder / f"first-{turn}")
        keeping.engine.partials = own
        for question, durations in zip(asked, seconds, strict=True):
            _compare(report, question, raw, keeping, durations)
            keeping.engine.later.settle()
    keeping.engine.partials = store
    for question in asked:
        keeping.ask(question)
    plain, first = _sums(seconds)
    detail = f"{first * 1e3:.0f} against {plain * 1e3:.0f} ms"
    report.figure("the first time", first / plain, detail, limit=FIRST_LIMIT)


def _again(report: Report, asked: Sequence[Question], raw: Asker, keeping: Asker) -> None:
    """After new events."""
    seconds: list[tuple[list[float], list[float]]] = [([], []) for _ in asked]
    for turn in range(ROUNDS):
        report.progress(f"asked again, round {turn + 1}")
        for question, durations in zip(asked, seconds, strict=True):
            _compare(report, question, raw, keeping, durations)
    for (analysis, params), (theirs, ours) in zip(asked, seconds, strict=True):
        named = ", ".join(str(params[key]) for key in _NAMED if key in params)
        times = median(theirs) / median(ours)
        report.note(f"{analysis:<13} {named:<45} {times:5.1f} × ({median(ours) * 1e3:.1f} ms)")
    plain, again = _sums(seconds)
    detail = f"{again * 1e3:.0f} against {plain * 1e3:.0f} ms"
    report.figure("asked again, times faster", plain / again, detail, floor=FASTER)


def _compare(
    report: Report, question: Question, raw: Asker, keeping: Asker, durations: tuple[list[float], list[float]]
) -> None:
    """Ask both, and add how long each took."""
    theirs, ours = durations
    expected, duration = raw.ask(question)
    theirs.append(duration)
    body, duration = keeping.ask(question)
    ours.append(duration)
    report.equal(question[0], body, expected)


def _sums(seconds: Sequence[tuple[list[float], list[float]]]) -> tuple[float, float]:
    return sum(median(one[0]) for one in seconds), sum(median(one[1]) for one in seconds)
