"""Sources: ``client.sources``. Where events come from beside clients, and how far each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from acumen_client._calls import MASTER, AsyncPart, Call, Part, awaited, blocking, in_project
from acumen_client._transport import Answer
from acumen_client.results import instant

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventSource:
    """A source and how far it is."""

    name: str
    health: str
    """``new``, ``reading``, ``current``, ``failing`` or ``paused``."""
    paused: bool
    owner: str
    reads: str
    """What it reads, in words."""
    collection: str
    events: int
    """That it brought."""
    refused: int
    """Rows that were left out."""
    read_until: datetime | None
    """When it was last read to its end."""
    files: Mapping[str, int]
    """State → how many are in it."""
    problem: str | None
    definition: Json | None = field(default=None, repr=False)
    """None in lists."""
    raw: Json = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, sent: Json) -> EventSource:
        looked = sent["looked"]
        return cls(
            sent["name"],
            sent["health"],
            sent["paused"],
            sent["owner"],
            sent["reads"],
            sent["into"],
            sent["events"],
            sent["refused"],
            None if looked is None else instant(looked),
            sent["files"],
            sent["problem"],
            sent.get("definition"),
            sent,
        )


def _source(answer: Answer) -> EventSource:
    return EventSource.read(answer.json())


def _list() -> Call[list[EventSource]]:
    """All sources of the project, by name."""
    path = in_project("sources")
    return Call("GET", path, lambda answer: [EventSource.read(one) for one in answer.json()], MASTER)


def _get(name: str) -> Call[EventSource]:
    """One source, with its definition and, in ``raw``, its newest files."""
    return Call("GET", in_project("sources", name), _source, MASTER)


def _run(name: str) -> Call[EventSource]:
    """Have a source read now, with the files that were not read for their content."""
    return Call("POST", in_project("sources", name, "run"), _source, {**MASTER, "repeatable": True})


def _pause(name: str) -> Call[EventSource]:
    """Let a source not be read until it is resumed."""
    return Call("POST", in_project("sources", name, "pause"), _source, {**MASTER, "repeatable": True})


def _resume(name: str) -> Call[EventSource]:
    """Let a paused source go on where it was."""
    return Call("POST", in_project("sources", name, "resume"), _source, {**MASTER, "repeatable": True})


class Sources(Part):
    """``client.sources``."""

    list = blocking(_list)
    get = blocking(_get)
    run = blocking(_run)
    pause = blocking(_pause)
    resume = blocking(_resume)


class AsyncSources(AsyncPart):
    """``client.sources``."""

    list = awaited(_list)
    get = awaited(_get)
    run = awaited(_run)
    pause = awaited(_pause)
    resume = awaited(_resume)
