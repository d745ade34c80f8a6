"""A backup that is made while a source stores: after a restore it goes on, without losing or doubling."""

from __future__ import annotations

from pathlib import Path

from storage.disk.lock import holding
from storage.maintenance.backup import back_up, restore
from tests.service.pipelines.sources.site import SourceSite

ORDERS = '[sources.orders]\nfiles = "*"\ninto = "orders"\n'


def test_what_is_read_and_not_stored_is_in_a_backup(tmp_path: Path) -> None:
    site = SourceSite(tmp_path)
    try:
        site.apply(ORDERS)
        site.write("1.ndjson", "".join(f'{{"n": {number}}}\n' for number in range(2_500)))
        with holding(site.whole.folder.sources_lock):
            site.planner.run_due(site.whole.now_us)
            assert site.worker.execute_next()
        assert site.source()["problem"] == "A backup is being made."
        assert (site.stored().sent, site.stored().events) == (0, 0)
        back_up(
            site.whole.folder, site.whole.catalog, tmp_path / "backup", site.whole.now_us, say=lambda _: None
        )
        site.read()
        assert (site.count(), site.stored().events) == (2_500, 2_500)
    finally:
        site.close()
    secret = tmp_path / "data" / "secret.key"
    restore(tmp_path / "backup", tmp_path / "again" / "data", secret_file=secret, say=lambda _: None)
    (tmp_path / "again" / "incoming").mkdir()
    site = SourceSite(tmp_path / "again")
    try:
        # The keeper takes over the logs of the copy.
        site.whole.flush()
        site.read()
        assert (site.count(), site.stored().events) == (2_500, 2_500)
        assert list(site.whole.folder.sources.iterdir()) == []
    finally:
        site.close()
