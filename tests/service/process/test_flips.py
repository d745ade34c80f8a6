"""One flipped bit in any file of a data folder, many times: every answer is right, or an error, or says that
it is not complete. At full scale a thousand bits."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from query.answers.pipeline import answer
from query.engine.engine import Engine
from query.errors import QueryError
from query.json_encoding import dumps
from query.language.parse import parse
from query.limits import Limits
from service.exports.file_writer import Output, is_sound
from storage.catalog.catalog import Catalog
from storage.catalog.database.connection import connect
from storage.catalog.database.seal import seal_path
from storage.catalog.errors import CatalogDamaged
from storage.disk.file_system import LocalFileSystem
from storage.errors import StorageError
from storage.files.dataset_file import find_result
from storage.maintenance.integrity_check import check
from storage.read.snapshot_reader import Reader
from storage.recovery.takeover import recover
from tests.service.whole import Whole
from tests.support.scale import examples

FLIPS = 1_000
CATALOG_FLIPS = 100
SEED = 9
LIMITS = Limits()
QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("sum", {"target_property": "n"}),
    ("count", {"group_by": "name"}),
    ("count", {"filters": [{"property_name": "n", "operator": "gte", "property_value": 90}]}),
    ("extraction", {"property_names": ["n", "name"]}),
)
KEY = b'["sname 1"]'
ERRORS = (StorageError, QueryError, OSError, ValueError, msgspec.MsgspecError)


@dataclass
class Folder:
    """A data folder of a server that has stopped, with every kind of file, and what is right to say of it."""

    root: Path
    project: str
    right: dict[str, Any]
    crashed: Path
    """The same folder, as it was just before the server stopped."""

    def files(self) -> dict[str, list[Path]]:
        """Kind → its files, which hold something."""
        kinds: dict[str, list[Path]] = {}
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and path.stat().st_size and path.suffix != ".lock":
                relative = path.relative_to(self.root)
                kind = relative.parts[0]
                kinds.setdefault(f"{kind} {path.suffix}" if kind in ("log", "chunks") else kind, []).append(
                    relative
                )
        return kinds


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.getbasetemp()
    made = Engine(
        folder, memory_limit_bytes=256 << 20, threads=1, temp_folder=folder / "spill", temp_bytes_max=1 << 20
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Folder:
    root = tmp_path_factory.mktemp("flips") / "origin"
    whole = Whole(root)
    events = [{"n": n / 3, "name": f"name {n % 7}"} for n in range(600)]
    whole.record(whole.project, "c", events[:300])
    whole.flush()
    query = {"analysis_type": "sum", "event_collection": "c", "target_property": "n"}
    whole.told(whole.project, "PUT", "queries/saved/s", {"query": query, "refresh_rate": 14_400})
    whole.told(whole.project, "GET", "queries/saved/s/result")
    definition = {
        "query": {
            "analysis_type": "count",
            "event_collection": "c",
            "timeframe": "this_2_days",
            "interval": "daily",
        },
        "index_by": ["name"],
        "display_name": "D",
    }
    whole.told(whole.project, "PUT", "datasets/d", definition)
    whole.refresh()
    whole.record(whole.project, "c", events[300:450])
    whole.keeper.step()
    whole.record(whole.project, "c", events[450:])
    output = Output(whole.folder.exports / "unnamed", 1 << 20, 0)
    output.write(b"n,name\r\n" + b"1,name 1\r\n" * 50)
    output.finish(f"1-1-{output.digest}.csv")
    project = whole.project.id
    options = {"filters": [{"property_name": "n", "operator": "lt", "property_value": 9}]}
    key = {"name": "K", "permitted": ["queries"], "options": {"queries": options}}
    whole.told(whole.project, "POST", "keys", key)
    whole.record(whole.project, "later", [{"a": 1}])
    crashed = shutil.copytree(root, root.with_name("crashed"))
    whole.close()
    Catalog.open(root).seal()
    folder = Folder(root, project, {}, crashed)
    copy = shutil.copytree(root, root.with_name("right"))
    folder.right = told(folder, copy, engine)
    assert folder.right["sum"]["result"] == pytest.approx(sum(n / 3 for n in range(600)))
    assert folder.right["saved"] and folder.right["dataset"] and folder.right["export"]
    return folder


def told(
    folder: Folder,
    root: Path,
    engine: Engine,
    *,
    start: bool = True,
    meanwhile: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """What a server tells of the folder once it has started on it, or while it runs; errors as themselves.

    ``meanwhile`` happens while the catalog is open."""
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        catalog = Catalog.prepare(root)
        stack.callback(catalog.close)
        if meanwhile is not None:
            catalog.versions()
            meanwhile()
            # What this one has read of the file is still in its memory.
            catalog = Catalog.open(root)
            stack.callback(catalog.close)
        if start:
            recover(catalog.folder, catalog, LocalFileSystem())
        reader = Reader(catalog.folder, catalog)
        stack.callback(reader.close)

        def ask(analysis: str, parameters: dict[str, Any]) -> Any:
            request = parse(analysis, {"event_collection": "c", **parameters}, now_us=0, limits=LIMITS)
            found = answer(request, lambda name: reader.source(folder.project, name), engine, limits=LIMITS)
            return json.loads(dumps(found.body))

        for number, (analysis, parameters) in enumerate(QUESTIONS):
            name = analysis if analysis not in found else f"{analysis} {number}"
            found[name] = attempt(lambda a=analysis, p=parameters: ask(a, p))  # type: ignore[misc]
        found["keys"] = attempt(lambda: catalog.projects.get(folder.project))
        found["access keys"] = attempt(lambda: catalog.access_keys.of_project(folder.project))
        found["schema"] = attempt(lambda: schema_of(catalog, folder.project))
        found["definitions"] = attempt(lambda: definitions_of(catalog, folder.project))
        found["saved"] = attempt(lambda: saved_of(catalog))
        found["dataset"] = attempt(lambda: dataset_of(catalog))
        found["export"] = attempt(lambda: export_of(catalog))
    return found


def attempt(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except ERRORS as error:
        return error


def schema_of(catalog: Catalog, project: str) -> Any:
    return [(one.name, one.schema.lanes) for one in catalog.collections.of_project(project)]


def definitions_of(catalog: Catalog, project: str) -> Any:
    (saved,), (dataset,) = catalog.saved_queries.of_project(project), catalog.datasets.all()
    return saved.query, saved.refresh_rate, dataset.definition


def saved_of(catalog: Catalog) -> Any:
    (run,) = catalog.saved_queries.runs()
    assert run.result is not None
    content = (catalog.folder.results / run.result.file).read_bytes()
    return content if sha256(content).hexdigest() == run.result.sha256 else OSError("damaged")


def dataset_of(catalog: Catalog) -> Any:
    (dataset,) = catalog.datasets.all()
    return [
        (file.buckets, find_result(catalog.folder.dataset_file(dataset.id, file.id), KEY))
        for file in dataset.files
    ]


def export_of(catalog: Catalog) -> Any:
    (path,) = catalog.folder.exports.iterdir()
    return path.read_bytes() if is_sound(path, path.stat()) else OSError("damaged")


def outcome(right: dict[str, Any], found: dict[str, Any]) -> str:
    worst = "right"
    for name, value in found.items():
        if isinstance(value, ERRORS):
            worst = "error"
        elif isinstance(value, dict) and value.get("complete") is False:
            worst = "incomplete" if worst == "right" else worst
        elif sorted_of(value) != sorted_of(right[name]):
            return f"WRONG {name}"
    return worst


def sorted_of(value: Any) -> Any:
    """Extractions and groups come in no order."""
    if isinstance(value, dict) and isinstance(value.get("result"), list):
        return sorted(map(str, value["result"]))
    return value


def test_no_flipped_bit_makes_an_answer_wrong(folder: Folder, tmp_path: Path, engine: Engine) -> None:
    random, table = Random(SEED), Counter[tuple[str, str]]()
    kinds = folder.files()
    assert {"events", "log .seg", "chunks .arrow", "catalog.sqlite", "results", "datasets", "exports"} <= set(
        kinds
    )
    wrong = []
    for number in range(examples(FLIPS)):
        kind = list(kinds)[number % len(kinds)]
        path = random.choice(kinds[kind])
        root = tmp_path / f"{number}"
        shutil.copytree(folder.root, root, symlinks=True)
        content = bytearray((root / path).read_bytes())
        at = random.randrange(len(content))
        content[at] ^= 1 << random.randrange(8)
        (root / path).write_bytes(content)
        try:
            # A start trusts no chunk of an earlier keeper.
            found = told(folder, root, engine, start=not kind.startswith("chunks"))
        except ERRORS:
            result = "error"
        else:
            result = outcome(folder.right, found)
        table[kind, result] += 1
        if result.startswith("WRONG"):
            wrong.append((str(path), at, result))
        shutil.rmtree(root)
    logging.getLogger("acumen.tests").info("outcomes: %s", sorted(table.items()))
    assert not wrong


@pytest.mark.parametrize("part", ["catalog.sqlite", "catalog.sqlite-wal"])
@pytest.mark.parametrize("when", ["after a crash", "in a running server"])
def test_no_flipped_bit_of_the_catalog_makes_an_answer_wrong_without_its_digest(
    folder: Folder, tmp_path: Path, engine: Engine, part: str, when: str
) -> None:
    random, wrong, outcomes = Random(f"{SEED} {part} {when}"), [], Counter[str]()
    checkpointed = part == "catalog.sqlite"
    for number in range(examples(CATALOG_FLIPS)):
        root = shutil.copytree(folder.crashed, tmp_path / f"{number}")
        if checkpointed:
            with closing(connect(root / "catalog.sqlite")) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        at = random.randrange((root / part).stat().st_size)
        flip = partial(flip_bit, root / part, at, random.randrange(8))
        try:
            if when == "after a crash":
                flip()
                found = told(folder, root, engine)
            else:
                found = told(folder, root, engine, start=False, meanwhile=flip)
        except ERRORS:
            result = "error"
        else:
            result = outcome(folder.right, found)
        outcomes[result] += 1
        if result.startswith("WRONG"):
            wrong.append((at, result))
        shutil.rmtree(root)
    logging.getLogger("acumen.tests").info("outcomes: %s", outcomes)
    assert not wrong


@pytest.mark.parametrize(
    ("table", "content", "read"),
    [
        ("access_keys", b'"queries"', lambda catalog, project: catalog.access_keys.of_project(project)),
        ("saved_queries", b'"sum"', lambda catalog, project: catalog.saved_queries.of_project(project)),
        ("datasets", b'"this_2_days"', lambda catalog, project: catalog.datasets.all()),
        ("projects", b"First project", lambda catalog, project: catalog.projects.get(project)),
    ],
)
def test_a_row_that_changed_in_a_running_server_is_neither_read_nor_written_on(
    folder: Folder, tmp_path: Path, table: str, content: bytes, read: Callable[[Catalog, str], Any]
) -> None:
    root = shutil.copytree(folder.root, tmp_path / "data")
    path = root / "catalog.sqlite"
    with ExitStack() as stack:
        stack.callback(Catalog.prepare(root).close)
        seal_path(path).unlink(missing_ok=True)
        whole = path.read_bytes()
        assert content in whole
        path.write_bytes(whole.replace(content, content[:-2] + b"~" + content[-1:]))
        catalog = Catalog.open(root)
        stack.callback(catalog.close)
        with pytest.raises(CatalogDamaged, match=f"of {table} is not as it was written"):
            read(catalog, folder.project)
        assert any(f" of {table} is not" in fault for fault in check(catalog.folder, catalog).faults)
        with pytest.raises(CatalogDamaged), catalog._database.writing() as connection:
            connection.exec_driver_sql(f"UPDATE {table} SET name = name || 'x'")


def flip_bit(path: Path, at: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def test_a_catalog_without_its_digest_is_believed_only_as_far_as_its_rows_are_as_written(
    folder: Folder, tmp_path: Path, engine: Engine
) -> None:
    root = tmp_path / "data"
    shutil.copytree(folder.root, root)
    seal_path(root / "catalog.sqlite").unlink()
    catalog = (root / "catalog.sqlite").read_bytes()
    assert catalog.count(b"live") >= 1
    (root / "catalog.sqlite").write_bytes(catalog.replace(b"live", b"lyve"))
    with pytest.raises(CatalogDamaged, match="row 1 of files"):
        told(folder, root, engine)


@pytest.mark.parametrize("kind", ["results", "datasets", "events"])
def test_check_names_each_damaged_file(folder: Folder, tmp_path: Path, kind: str) -> None:
    root = shutil.copytree(folder.root, tmp_path / "data")
    path = folder.files()[kind][0]
    with ExitStack() as stack:
        catalog = Catalog.prepare(root)
        stack.callback(catalog.close)
        assert check(catalog.folder, catalog).faults == []
        content = bytearray((root / path).read_bytes())
        content[len(content) // 2] ^= 1
        (root / path).write_bytes(content)
        (fault,) = check(catalog.folder, catalog).faults
        assert str(path) in fault


def test_check_looks_at_the_pages_and_references_of_the_catalog(folder: Folder, tmp_path: Path) -> None:
    root = shutil.copytree(folder.root, tmp_path / "data")
    with closing(connect(root / "catalog.sqlite")) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("UPDATE lanes SET collection_id = 99 WHERE position = 0 AND collection_id = 1")
    seal_path(root / "catalog.sqlite").unlink()
    with ExitStack() as stack:
        catalog = Catalog.prepare(root)
        stack.callback(catalog.close)
        assert "refers to nothing in collections" in check(catalog.folder, catalog).faults[0]
