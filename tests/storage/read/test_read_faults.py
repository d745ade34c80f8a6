"""A disk that refuses to read once, at any of its reads: an answer is right or an error, the next too."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from service.http.error_rendering import render
from storage.catalog.errors import CatalogUnavailable
from storage.read.snapshot_reader import DataUnreadable, Reader
from storage.recovery import damage_marker
from tests.storage.test_store_faults import StoreDisk, faulty_store, numbered
from tests.support.scale import SCALE

READS_MAX = 200
KEEPER_STEP = max(1, round(0.3 / SCALE))
"""Below full length not every read of the keeper's fails in its turn."""


def numbers_of(reader: Reader, project: str) -> list[float]:
    """As a question would see them, but for the files, which DuckDB opens."""
    source = reader.source(project, "c")
    stored = sum(file.rows for file in source.files)
    return [float(stored)] + ([] if source.tail is None else sorted(source.tail.column("n").to_pylist()))


class Shop:
    """Two logs of several segments each: what they hold lies in files, in chunks, and in them alone."""

    def __init__(self, data: Path, *, chunks: bool, turns: int = 6) -> None:
        self.store, self.fs = faulty_store(data)
        store, sent = self.store, iter(range(100))
        first, second = store.writer(), store.writer()
        store.send("c", numbered(next(sent), next(sent)), writer=first)
        store.keeper.step()
        store.keeper.flush()
        for turn in range(turns):
            for writer in (first, second):
                store.send("c", numbered(next(sent)), writer=writer)
                writer.turn()
            if chunks and turn == 2:
                store.keeper.step()
        self.right = numbers_of(Reader(store.folder, store.catalog), store.project)
        assert self.right == [2.0, *range(2, 2 + 2 * turns)]

    def warm(self) -> Reader:
        """A reader that has answered before, and from then on has more to read."""
        reader = Reader(self.store.folder, self.store.catalog, self.fs)
        assert numbers_of(reader, self.store.project) == self.right
        for writer in self.store.writers:
            n = int(self.right[-1]) + 1
            self.store.send("c", numbered(n), writer=writer)
            writer.turn()
            self.right.append(float(n))
        return reader


@pytest.fixture(params=[False, True], ids=["logs", "chunks"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "data", chunks=request.param)
    yield made
    made.store.close()


def fail_each(fs: StoreDisk, make: Callable[[], Reader], shop: Shop, error: int) -> int:
    """Let the first read fail, then the second, until all succeed; how many there were."""
    for at in range(1, READS_MAX):
        reader = make()
        fs.fail_reads(at, error)
        try:
            told = numbers_of(reader, shop.store.project)
        except DataUnreadable as failed:
            assert render(failed).status == 503
        else:
            assert told == shop.right, fs.read_journal
        failed_at = fs.reads >= at
        fs.fail_reads(0)
        assert numbers_of(reader, shop.store.project) == shop.right, (at, fs.read_journal)
        reader.close()
        if not failed_at:
            return at - 1
    raise AssertionError("it never came through")


@pytest.mark.parametrize("error", [errno.EIO, errno.EMFILE])
def test_a_read_that_fails_once_makes_no_answer_wrong(shop: Shop, error: int) -> None:
    """Nor the next one: whatever was half read is not counted again."""
    cold = fail_each(shop.fs, lambda: Reader(shop.store.folder, shop.store.catalog, shop.fs), shop, error)
    warm = fail_each(shop.fs, shop.warm, shop, error)
    assert cold > 20
    assert warm > 10


def test_a_note_of_damage_that_can_not_be_read_is_not_passed_over(shop: Shop) -> None:
    """The note may be all that tells that events are missing."""
    [log_id, *_] = [row.id for row in shop.store.catalog.logs.all()]
    damage_marker.note(shop.store.folder, log_id, "bytes are lost")
    (shop.store.folder.log(log_id) / damage_marker.NAME).unlink()
    (shop.store.folder.log(log_id) / damage_marker.NAME).mkdir()
    with pytest.raises(DataUnreadable):
        shop.store.source("c")


def test_a_catalog_that_fails_once_makes_no_answer_wrong(shop: Shop) -> None:
    """Each statement of a snapshot, one after the other."""
    engine = shop.store.catalog._database._reader
    statements, fail_at = 0, 0

    def failing(*_: Any) -> None:
        nonlocal statements
        statements += 1
        if statements == fail_at:
            raise sqlite3.OperationalError("disk I/O error")

    event.listen(engine, "do_execute", failing)
    try:
        for at in range(1, READS_MAX):
            reader = Reader(shop.store.folder, shop.store.catalog, shop.fs)
            # Another flush number and version, so that nothing is remembered from the last attempt.
            shop.store.catalog.logs.create()
            statements, fail_at = 0, at
            try:
                assert numbers_of(reader, shop.store.project) == shop.right
            except CatalogUnavailable:
                pass
            failed, fail_at = statements >= at, 0
            assert numbers_of(reader, shop.store.project) == shop.right
            reader.close()
            if not failed:
                break
        assert 4 < at < READS_MAX - 1
    finally:
        event.remove(engine, "do_execute", failing)


def test_a_keeper_whose_reads_fail_stores_each_event_once(tmp_path: Path) -> None:
    for at in range(1, READS_MAX, KEEPER_STEP):
        made = Shop(tmp_path / f"data-{at}", chunks=False, turns=1)
        store, keeper = made.store, made.store.new_keeper()
        made.fs.fail_reads(at)
        try:
            keeper.step()
            keeper.flush()
        except OSError:
            keeper.begin()
        failed = made.fs.reads >= at
        made.fs.fail_reads(0)
        # A log that could not be read is looked at again after a pause.
        keeper.begin()
        keeper.step()
        keeper.flush()
        assert sorted(store.values("c", "n")) == [float(n) for n in range(4)], made.fs.read_journal
        keeper.close()
        store.close()
        if not failed:
            break
    assert 5 < at < READS_MAX - 1
