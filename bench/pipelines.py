"""A pipeline of a mask, a lookup and an aggregation by windows against the same by hand in Polars, streaming.

Both read the same live files with the same threads; ours includes the start of the confined process. The
memory is the greatest of the process that runs the steps.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from bench.peers import Peer, ask, watching
from bench.report import Report
from bench.store import Loaded
from query.engine.engine import CancelToken, Engine
from query.transforms.nodes import BucketSpan
from service.pipelines.definition import read_folder
from service.pipelines.references import ReferenceStore
from service.pipelines.toolbox import Toolbox
from service.settings import load
from storage.catalog.catalog import Catalog
from storage.files.derived_buckets import DerivedRows
from storage.source import Source, believe

ROUNDS = 5
LIMIT = 1.5
_HERE = Path(__file__).parent
POLARS = Peer("polars==2.1.0", _HERE / "polars_peer.py", _HERE / ".polars")
HOUR_US = 3_600_000_000
MEMORY = 800 << 20
_MIB = 1 << 20
_COUNTRIES = ("DE", "FR", "US", "GB", "NL", "ES", "IT", "PL", "SE", "JP", "BR", "IN")
_PIPELINE = """
[masks.several]
filters = [{ property_name = "order.quantity", operator = "gt", property_value = 1 }]

[references.regions]
file = "regions.csv"

[pipelines.revenue]
owner = "bench@acumen.example"
from = "purchases"
into = "revenue"

[[pipelines.revenue.steps]]
mask = "several"

[[pipelines.revenue.steps]]
lookup = "regions"
on = { "user.country" = "code" }
take = ["region"]

[[pipelines.revenue.steps]]
aggregate.by = ["region"]
aggregate.every = "1_hours"

[pipelines.revenue.steps.aggregate.values]
orders = "count"
revenue = { sum = "order.total" }
users = { count_unique = "user.id" }
"""


def run(report: Report, store: Loaded) -> None:
    """Raises Wrong where the answers differ."""
    report.title(f"A pipeline over {store.events:,} events")
    with TemporaryDirectory(prefix="acumen-bench-pipeline-") as name:
        folder = Path(name)
        rows = "".join(f"{code},{'EU' if n % 2 else 'other'}\n" for n, code in enumerate(_COUNTRIES))
        (folder / "regions.csv").write_text(f"code,region\n{rows}")
        (folder / "pipelines.toml").write_text(_PIPELINE)
        threads = {"POLARS_MAX_THREADS": str(load().worker_threads)}
        with (
            closing(Catalog.open(store.server.data)) as catalog,
            POLARS.running(report, threads) as peer,
        ):
            _measure(report, folder, catalog, peer)


def _measure(report: Report, folder: Path, catalog: Catalog, peer: subprocess.Popen[str]) -> None:
    settings = load(data=catalog.folder.root, pipeline_memory_bytes=MEMORY)
    project = catalog.projects.all()[0]
    found = catalog.snapshot(project.id, ["purchases"]).collections["purchases"]
    source = Source(found.collection.schema, found.files, collection_id=found.collection.id)
    span = BucketSpan(
        min(file.min_us for file in found.files) // HOUR_US * HOUR_US,
        max(file.max_us for file in found.files) + 1,
    )
    engine = Engine(
        catalog.folder.root,
        memory_limit_bytes=256 << 20,
        threads=settings.worker_threads,
        temp_folder=folder / "spill",
        temp_bytes_max=1 << 30,
    )
    tools = Toolbox(settings, catalog, engine, believe)
    ours, theirs, peaks = [], [], [0]
    try:
        described = read_folder(folder, tools.reader.around)
        kept = ReferenceStore(folder / "references")
        kept.keep(described.references["regions"])
        deriver = tools.deriver(folder, kept)
        asked = {"paths": [file.path for file in found.files], "reference": str(folder / "regions.csv")}
        for number in range(ROUNDS + 1):
            report.progress(f"pipeline, round {number}")
            started = time.perf_counter()
            with watching(_step_processes, peaks):
                made = deriver.derive(
                    project.id, described.pipelines[0], {"purchases": source}, span, CancelToken()
                ).rows
            spent = time.perf_counter() - started
            answer = ask(peer, asked)
            report.equal("pipeline", _summed(made), answer["made"])
            # The first round opens files.
            if number:
                ours.append(spent)
                theirs.append(answer["seconds"])
    finally:
        tools.close()
        engine.close()
    mine, other = median(ours), median(theirs)
    text = f"{mine * 1e3:.0f} against {other * 1e3:.0f} ms of Polars"
    report.figure("mask, lookup, windows", mine / other, text, limit=LIMIT)
    text = f"{peaks[0] / _MIB:.0f} against {answer['peak'] / _MIB:.0f} MiB of Polars"
    report.figure("memory, mask, lookup, windows", peaks[0] / answer["peak"], text, limit=1.0)


def _summed(made: DerivedRows) -> list[int]:
    """Rows, and the sums of their columns, as the peer gives them."""
    by_path: dict[str, pa.ChunkedArray] = {path: column for (path, _), column in made.lanes.items()}
    sums = (pc.sum(by_path[name]).as_py() for name in ("orders", "users", "revenue"))
    return [len(made.times), *map(round, sums)]


def _step_processes() -> list[int]:
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        try:
            for child in (thread / "children").read_text().split():
                if b"query.untrusted.process" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
        except OSError:
            continue
    return found
