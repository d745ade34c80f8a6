"""Paths of the data folder: every name gets a folder of its own, and none leaves it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.paths import (
    CUT,
    DataFolder,
    collection_folder,
    encode,
    encode_project,
    event_file,
)

NAMES = st.one_of(
    st.text(max_size=80),
    st.text("./%\\\0~ aA", max_size=12),
    st.sampled_from([".", "..", "", "%2F", "a/b", "Price", "price", "nul", "~", "-", "é", "𝔘" * 64]),
)
PROJECT_IDS = st.text("abcABC019", min_size=1, max_size=64)
SPANS = st.sampled_from(["2026", "2026-11", "2026-11-22", "0001-01-01"])

EVENT_FILE = re.compile(
    r"events/(?P<project>[^/.]+)/(?P<name>[^/.]*)\.(?P<collection_id>\d+)\.\d+"
    r"/keen\.span=(?P<span>\d{4}(?:-\d{2}(?:-\d{2})?|-\d{4})?)/(?P<file_id>\d+)\.parquet"
)


@dataclass(frozen=True)
class EventFile:
    """The parts of a Parquet file's path. ``name`` is None where the folder name was cut."""

    project_id: str | None
    name: str | None
    collection_id: int
    span: str
    file_id: int


def parse_event_file(relative: str) -> EventFile:
    """What a reader of the data folder can learn from a path that ``event_file`` made."""
    match = EVENT_FILE.fullmatch(relative)
    assert match is not None, relative
    return EventFile(
        decode(match["project"]),
        decode(match["name"]),
        int(match["collection_id"]),
        match["span"],
        int(match["file_id"]),
    )


def decode(encoded: str) -> str | None:
    """The name that was encoded; None where it was cut."""
    return None if encoded.endswith(CUT) else unquote_to_bytes(encoded).decode()


@given(NAMES)
def test_a_name_comes_back_from_its_encoding(name: str) -> None:
    encoded = encode(name)
    if encoded.endswith(CUT):
        assert len("".join(f"%{byte:02X}" for byte in name.encode())) > 190
    else:
        assert decode(encoded) == name


@given(PROJECT_IDS, NAMES, st.integers(1, 2**31), SPANS, st.integers(1, 2**53))
def test_the_path_of_a_file_says_what_the_file_is(
    project_id: str, name: str, collection_id: int, span: str, file_id: int
) -> None:
    parsed = parse_event_file(event_file(project_id, name, collection_id, span, file_id))
    assert parsed.name in (name, None)
    assert (parsed.project_id, parsed.collection_id, parsed.span, parsed.file_id) == (
        project_id,
        collection_id,
        span,
        file_id,
    )


@given(PROJECT_IDS, NAMES, st.integers(1, 2**31))
def test_a_collection_stays_two_levels_below_the_events_folder(
    project_id: str, name: str, collection_id: int
) -> None:
    root = Path("/data")
    folder = DataFolder(root).absolute(collection_folder(project_id, name, collection_id))
    assert folder.resolve() == folder
    assert folder.parent.parent == root / "events"
    assert all(part.isascii() and len(part) <= 255 for part in folder.parts)


@given(st.lists(NAMES, unique=True, min_size=2, max_size=20))
def test_folders_of_two_collections_differ_even_without_case(names: list[str]) -> None:
    folders = {collection_folder("p", name, number).casefold() for number, name in enumerate(names, 1)}
    assert len(folders) == len(names)


@given(st.lists(PROJECT_IDS, unique=True, min_size=2, max_size=20))
def test_folders_of_two_projects_differ_even_without_case(ids: list[str]) -> None:
    assert len({encode_project(project_id).casefold() for project_id in ids}) == len(ids)


def test_a_plain_name_stays_readable() -> None:
    path = event_file("5f1a", "Purchases", 7, "2026-11-22", 42)
    assert path == "events/5f1a/Purchases.7.1/keen.span=2026-11-22/42.parquet"


def test_a_long_name_is_cut_between_characters() -> None:
    encoded = encode("é" * 64)
    assert encoded.endswith("%C3%A9" + CUT)
    assert len(encoded) <= 190
    assert decode(encoded) is None


@pytest.mark.parametrize("span", ["", "..", "2026-1", "2026-11-22T00", "2026/11", "latest", "2026\n"])
def test_a_span_is_a_day_a_month_or_a_year(span: str) -> None:
    with pytest.raises(ValueError, match="span"):
        event_file("p", "n", 1, span, 1)
