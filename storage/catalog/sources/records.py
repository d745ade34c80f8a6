"""Frozen records of sources. Times are µs since 1970 UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

RUNS_OF = "sources."
"""Begins the name under which the runs of a source stand in the queue; no pipeline has a dot in its name."""


class FileStatus(StrEnum):
    """What has become of a file of a source."""

    READ = "read"
    FAILED = "failed"
    """It was not read, for its content."""
    CHANGED = "changed"
    """Its events are stored as they were; what it holds now is not read."""
    SAME = "same"
    """Another file of the same content was read."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it was looked into last; ``digest`` is that of its first ``read_bytes`` bytes, whose events
    are stored."""

    path: str
    size: int
    modified_ns: int
    state: FileStatus
    read_bytes: int = 0
    digest: str = ""
    events: int = 0
    refused: int = 0
    changed_us: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Portion:
    """Events that were read and are to be stored: ``file`` in the folder of sources holds them as batches."""

    file: str
    digest: str
    events: int
    refused: int
    batches: int
    position: Mapping[str, Any]
    """That of the source once all are stored."""
    of: Mapping[str, Any] | None = None
    """The fields of the file that they are from, if there is one."""
    problem: str | None = None
    """What is said of rows that were left out."""


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A source as it was applied, and how far it is."""

    id: int
    project_id: str
    name: str
    definition: str
    identity: str
    version: int
    owner: str
    revision: str | None
    position: Mapping[str, Any] = field(hash=False)
    portion: int
    """The number of the last portion."""
    pending: Portion | None
    """The last portion, while it is not stored in full."""
    sent: int
    """Its batches that are stored."""
    events: int
    refused: int
    due_us: int
    looked_us: int | None
    """When it was last read to its end."""
    stored_us: int | None
    """When it last brought events."""
    problem: str | None
    created_us: int
    applied_us: int
    paused: bool

    @property
    def runs_as(self) -> str:
        return RUNS_OF + self.name


@dataclass(frozen=True, slots=True)
class NamedSecret:
    """A secret without its value."""

    name: str
    created_us: int
    modified_us: int
