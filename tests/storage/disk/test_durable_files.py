"""Files that have their names once all of them is durable."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from storage.disk.durable_files import make_folder, new_file


def test_a_new_file_has_its_name_only_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "name"
    with new_file(path) as file:
        file.write(b"all of it")
        assert not path.exists()
    assert path.read_bytes() == b"all of it"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["name"]


def test_a_file_that_is_replaced_stays_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "name"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match="no more"), new_file(path) as file:
        file.write(b"a part")
        raise ValueError("no more")
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["name"]


def test_what_a_writer_that_died_has_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".name.tmp").write_bytes(b"a longer part of another file")
    with new_file(tmp_path / "name") as file:
        file.write(b"short")
    assert (tmp_path / "name").read_bytes() == b"short"


def test_folders_are_made_with_those_above_them(tmp_path: Path) -> None:
    make_folder(tmp_path / "a/b/c")
    make_folder(tmp_path / "a/b/c")
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o700
