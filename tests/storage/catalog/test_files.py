"""Files in the catalog: flush and swap are all or nothing, a snapshot is one moment."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from storage.catalog.catalog import Catalog
from storage.catalog.errors import CountsDisagree, FlushConflict, UnknownCollection
from storage.catalog.stored.records import Collection, Counts, ErasureKind, FlushCommit, LogRow, LogState
from storage.schema import LaneKind
from tests.support.catalogs import HOUR_US, Clock, claim_of, file_row, flush


class TestFlush:
    def test_one_commit_settles_files_positions_and_counts(
        self, catalog: Catalog, collection: Collection
    ) -> None:
        log_id = catalog.logs.create()
        ids = catalog.files.reserve(collection.id, 2)
        files = [file_row(collection, file_id) for file_id in ids]
        assert catalog.files.live(collection.id) == []
        catalog.files.commit_flush(FlushCommit(1, {log_id: 64}, files, {collection.id: Counts(23, 20, 2, 1)}))
        assert catalog.files.live(collection.id) == catalog.files.live() == files
        assert catalog.logs.all() == [LogRow(log_id, LogState.OPEN, 64, None)]
        assert catalog.files.counters(collection.id) == Counts(23, 20, 2, 1)
        assert catalog.files.flushed_number() == 1
        assert catalog.collections.by_id(collection.id).data_version == collection.data_version + 1
        assert catalog.files.unfinished(HOUR_US) == []

    @pytest.mark.parametrize("number", [0, 1, 3])
    def test_flushes_follow_one_another(self, catalog: Catalog, collection: Collection, number: int) -> None:
        flush(catalog, collection)
        with pytest.raises(FlushConflict):
            catalog.files.commit_flush(FlushCommit(number, {}))

    def test_a_refused_flush_changes_nothing(self, catalog: Catalog, collection: Collection) -> None:
        log_id = catalog.logs.create()
        [file_id] = catalog.files.reserve(collection.id, 1)
        version = catalog.versions()
        file = file_row(collection, file_id)
        with pytest.raises(CountsDisagree):
            catalog.files.commit_flush(FlushCommit(1, {log_id: 9}, [file], {collection.id: Counts(9, 9)}))
        with pytest.raises(CountsDisagree):
            catalog.files.commit_flush(FlushCommit(1, {log_id: 9}, [file], {collection.id: Counts(11, 10)}))
        with pytest.raises(CountsDisagree):
            catalog.files.commit_flush(FlushCommit(1, {log_id: 9}, [file]))
        with pytest.raises(UnknownCollection):
            catalog.files.commit_flush(FlushCommit(1, {log_id: 9}, [], {99: Counts(1, 0, 1)}))
        assert catalog.versions() == version
        assert catalog.files.flushed_number() == 0
        assert catalog.logs.all() == [LogRow(log_id, LogState.OPEN, 0, None)]
        assert catalog.files.live() == []
        assert catalog.files.counters(collection.id) == Counts()

    def test_a_file_is_registered_only_under_a_reserved_id(
        self, catalog: Catalog, collection: Collection
    ) -> None:
        [file_id] = catalog.files.reserve(collection.id, 1)
        catalog.files.forget([file_id])
        counts = {collection.id: Counts(10, 10)}
        with pytest.raises(FlushConflict, match="given up"):
            catalog.files.commit_flush(FlushCommit(1, {}, [file_row(collection, file_id)], counts))
        live = flush(catalog, collection)
        with pytest.raises(FlushConflict, match="given up"):
            catalog.files.commit_flush(FlushCommit(2, {}, [live], counts))

    def test_files_are_reserved_for_collections_that_exist(
        self, catalog: Catalog, collection: Collection
    ) -> None:
        with pytest.raises(UnknownCollection):
            catalog.files.reserve(99, 1)
        assert catalog.files.reserve(collection.id, 0) == []
        many = catalog.files.reserve(collection.id, 1_500)
        assert len(set(many)) == 1_500

    def test_abandoned_reservations_are_found_by_age(
        self, catalog: Catalog, collection: Collection, clock: Clock
    ) -> None:
        [old] = catalog.files.reserve(collection.id, 1)
        clock.now_us += HOUR_US
        [new] = catalog.files.reserve(collection.id, 1)
        assert [file.id for file in catalog.files.unfinished(clock.now_us)] == [old]
        assert catalog.files.forget([old, new]) == 2
        assert catalog.files.reserve(collection.id, 1)[0] > new


class TestSwap:
    def test_files_are_replaced_and_linger(
        self, catalog: Catalog, collection: Collection, clock: Clock
    ) -> None:
        old = [flush(catalog, collection) for _ in range(3)]
        [file_id] = catalog.files.reserve(collection.id, 1)
        merged = file_row(collection, file_id, 20)
        assert catalog.files.swap(collection.id, [old[0].id, old[1].id], [merged])
        assert catalog.files.live(collection.id) == [old[2], merged]
        assert catalog.files.kept(collection.id) == [old[2], merged, *old[:2]]
        catalog.history.expire(clock.now_us)
        assert catalog.files.dead(clock.now_us + 1) == []
        catalog.history.expire(clock.now_us + 1)
        assert catalog.files.dead(clock.now_us) == []
        assert catalog.files.dead(clock.now_us + 1) == old[:2]
        assert catalog.files.forget([old[0].id, old[1].id, merged.id]) == 2
        assert catalog.files.live(collection.id) == [old[2], merged]
        assert catalog.files.counters(collection.id) == Counts(30, 30)

    def test_a_swap_of_what_is_gone_changes_nothing(self, catalog: Catalog, collection: Collection) -> None:
        old = [flush(catalog, collection) for _ in range(2)]
        a, b = catalog.files.reserve(collection.id, 2)
        assert catalog.files.swap(collection.id, [old[0].id], [file_row(collection, a)])
        version = catalog.versions()
        assert not catalog.files.swap(collection.id, [old[0].id, old[1].id], [file_row(collection, b, 20)])
        assert catalog.versions() == version
        assert [file.id for file in catalog.files.live()] == [old[1].id, a]
        assert [file.id for file in catalog.files.unfinished(HOUR_US)] == [b]

    def test_a_swap_keeps_to_its_collection(self, catalog: Catalog, collection: Collection) -> None:
        other = catalog.collections.ensure(collection.project_id, "other")
        file = flush(catalog, collection)
        assert not catalog.files.swap(other.id, [file.id], [])
        [file_id] = catalog.files.reserve(other.id, 1)
        with pytest.raises(FlushConflict):
            catalog.files.swap(collection.id, [file.id], [file_row(other, file_id)])
        assert catalog.files.live() == [file]

    def test_no_swap_loses_an_event_that_nobody_erased(
        self, catalog: Catalog, collection: Collection
    ) -> None:
        old = flush(catalog, collection)
        [file_id] = catalog.files.reserve(collection.id, 1)
        smaller = file_row(collection, file_id, 4)
        with pytest.raises(CountsDisagree):
            catalog.files.swap(collection.id, [old.id], [smaller])
        assert catalog.files.live() == [old]
        assert catalog.files.swap(collection.id, [old.id], [smaller], Counts(stored=-6, erased=6))
        assert catalog.files.counters(collection.id) == Counts(10, 4, 0, 6)

    def test_more_files_than_one_statement_binds(self, catalog: Catalog, collection: Collection) -> None:
        ids = catalog.files.reserve(collection.id, 1_200)
        files = [file_row(collection, file_id, 1) for file_id in ids]
        catalog.files.commit_flush(FlushCommit(1, {}, files, {collection.id: Counts(1_200, 1_200)}))
        [file_id] = catalog.files.reserve(collection.id, 1)
        assert catalog.files.swap(collection.id, ids, [file_row(collection, file_id, 1_200)])
        assert catalog.files.forget(ids) == 1_200

    def test_of_many_compactors_in_threads_no_two_take_one_file(
        self, catalog: Catalog, collection: Collection
    ) -> None:
        for _ in range(24):
            flush(catalog, collection)
        errors: list[BaseException] = []

        def compact() -> None:
            try:
                while len(live := catalog.files.live(collection.id)) > 1:
                    pair = live[:2]
                    [file_id] = catalog.files.reserve(collection.id, 1)
                    merged = file_row(collection, file_id, sum(file.rows for file in pair))
                    catalog.files.swap(collection.id, [file.id for file in pair], [merged])
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=compact) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert [file.rows for file in catalog.files.live(collection.id)] == [240]


class TestSnapshot:
    def test_it_is_one_moment(self, catalog: Catalog, collection: Collection) -> None:
        log_id = catalog.logs.create()
        file = flush(catalog, collection)
        snapshot = catalog.snapshot(collection.project_id, ["purchases", "none", "purchases"])
        assert snapshot.version == catalog.versions().data
        assert snapshot.flushed_number == 1
        assert snapshot.logs == (LogRow(log_id, LogState.OPEN, 0, None),)
        assert list(snapshot.collections) == ["purchases"]
        held, files, _ = snapshot.collections["purchases"]
        assert held == catalog.collections.by_id(collection.id)
        assert [(f.path, f.rows, f.bytes, f.min_us, f.max_us) for f in files] == [
            (str(catalog.folder.root / file.path), 10, 1_000, -5, 7)
        ]
        assert files[0].columns == file.columns
        assert Path(files[0].path).is_absolute()

    def test_it_is_kept_until_something_changes(self, catalog: Catalog, collection: Collection) -> None:
        first = catalog.snapshot(collection.project_id, ["purchases"])
        catalog.claims.take([claim_of("t", 1)], 0, HOUR_US)
        assert catalog.snapshot(collection.project_id, ["purchases"]) is first
        catalog.logs.create()
        assert catalog.snapshot(collection.project_id, ["purchases"]) != first

    def test_changes_of_others_leave_it(self, catalog: Catalog, collection: Collection) -> None:
        first = catalog.snapshot(collection.project_id, ["purchases"])
        other = catalog.collections.ensure(collection.project_id, "other")
        assert catalog.snapshot(collection.project_id, ["purchases"]) is first
        catalog.collections.add_lanes(other.id, [("a", LaneKind.NUMBER)], 9)
        catalog.retention.put(collection.id, 30)
        catalog.erasures.request(collection.id, ErasureKind.EVENTS, {})
        assert catalog.snapshot(collection.project_id, ["purchases"]) is first

    def test_after_each_change_it_is_what_a_new_look_finds(
        self, catalog: Catalog, collection: Collection
    ) -> None:
        def is_right() -> bool:
            fresh = Catalog.open(catalog.folder.root)
            names = ["purchases", "later"]
            taken, found = (one.snapshot(collection.project_id, names) for one in (catalog, fresh))
            fresh.close()
            return (taken.flushed_number, taken.logs, taken.collections) == (
                found.flushed_number,
                found.logs,
                found.collections,
            )

        assert is_right()
        log_id = catalog.logs.create()
        assert is_right()
        first = flush(catalog, collection)
        assert is_right()
        second = flush(catalog, collection)
        assert is_right()
        assert catalog.files.set_aside(first.id, "damaged")
        assert is_right()
        assert catalog.files.set_aside(first.id, None)
        assert is_right()
        catalog.collections.add_lanes(collection.id, [("a", LaneKind.NUMBER)], 9)
        assert is_right()
        catalog.collections.prune_lanes(collection.id, frozenset(), frozenset())
        assert is_right()
        counts = Counts(stored=-20, erased=20)
        assert catalog.files.swap(collection.id, [first.id, second.id], [], counts)
        assert is_right()
        catalog.collections.ensure(collection.project_id, "later")
        assert is_right()
        catalog.logs.seal(log_id, 0, None)
        assert is_right()
        catalog.logs.remove(log_id)
        assert is_right()

    def test_another_catalog_object_sees_every_change(self, catalog: Catalog, collection: Collection) -> None:
        reader = Catalog.open(catalog.folder.root)

        def seen() -> tuple[int, int, list[str]]:
            held, files, _ = reader.snapshot(collection.project_id, ["purchases"]).collections["purchases"]
            return held.data_version, held.schema.version, [Path(file.path).stem for file in files]

        assert seen() == (0, 0, [])
        old = flush(catalog, collection)
        assert seen() == (1, 0, [str(old.id)])
        catalog.collections.add_lanes(collection.id, [("a", LaneKind.NUMBER)], 9)
        assert seen() == (1, 1, [str(old.id)])
        [file_id] = catalog.files.reserve(collection.id, 1)
        catalog.files.swap(collection.id, [old.id], [file_row(collection, file_id)])
        assert seen() == (2, 1, [str(file_id)])
        reader.close()

    def test_a_file_that_did_not_change_is_not_read_again(
        self, catalog: Catalog, collection: Collection
    ) -> None:
        flush(catalog, collection)
        before = catalog.snapshot(collection.project_id, ["purchases"]).collections["purchases"].files
        flush(catalog, collection)
        after = catalog.snapshot(collection.project_id, ["purchases"]).collections["purchases"].files
        assert len(after) == 2
        assert after[0] is before[0]

    def test_unknown_projects_hold_nothing(self, catalog: Catalog) -> None:
        assert catalog.snapshot("none", ["purchases", "\ud800"]).collections == {}

    def test_readers_in_threads_never_see_half_a_change(
        self, catalog: Catalog, collection: Collection
    ) -> None:
        """Each flush adds a file of ten rows: files, flush number and data version move as one."""
        done = threading.Event()
        torn: list[object] = []

        def read() -> None:
            try:
                while not done.is_set():
                    snapshot = catalog.snapshot(collection.project_id, ["purchases"])
                    held, files, _ = snapshot.collections["purchases"]
                    if not len(files) == snapshot.flushed_number == held.data_version:
                        torn.append(snapshot)
            except BaseException as error:
                torn.append(error)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(30):
            flush(catalog, collection)
        done.set()
        for thread in threads:
            thread.join()
        assert torn == []
