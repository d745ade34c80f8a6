"""Runs plugins, each call in a process of its own: this one imports none of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from query.engine.engine import Deadline
from service.plugins.calls import IN, OUT, ROWS, TOLD
from service.plugins.confined import ChildLimits, CodeFailed, read_rows, run_child, write_rows
from service.plugins.contract import SinkBucket
from service.plugins.installed import CONNECTED, InstalledPlugin, PluginKind

CHECK_SECONDS = 20.0
"""How long importing a plugin, and checking its settings, may take."""
CHECK_BYTES = 512 << 20
_CALL = "service.plugins.calls"


@dataclass(frozen=True, slots=True)
class PluginUse:
    """A plugin that is named somewhere, with its settings."""

    kind: PluginKind
    name: str
    settings: Mapping[str, Any]
    release: str | None
    """The package and version with which it was applied; None: any."""

    def __str__(self) -> str:
        return f"The {self.kind.words} plugin '{self.name}'"


@dataclass(frozen=True, slots=True)
class ReadPortion:
    """What a source has read."""

    rows: Path
    """A JSON object on each line."""
    cursor: Any


@dataclass(frozen=True, slots=True)
class PluginRunner:
    """Runs plugins within limits. All methods raise CodeFailed, and what the deadline raises."""

    limits: ChildLimits

    def changed_rows(self, use: PluginUse, rows: pa.Table, deadline: Deadline) -> pa.Table:
        """What an operation makes of rows, or the columns that an enricher finds."""
        with _scratch() as place:
            write_rows(place / IN, rows)
            said = self._run(use, place, deadline)
            return read_rows(place / OUT, str(use), said)

    def checked_rows(
        self, use: PluginUse, rows: pa.Table, deadline: Deadline
    ) -> tuple[pa.Table, dict[str, str | None]]:
        """What an expectation finds: a column of booleans for each rule of rows, and of other rules what is
        wrong with all."""
        with _scratch() as place:
            write_rows(place / IN, rows)
            said = self._run(use, place, deadline)
            return read_findings(place, str(use), said)

    @contextmanager
    def read_portion(self, use: PluginUse, cursor: Any, deadline: Deadline) -> Iterator[ReadPortion | None]:
        """As a context: what a source has behind the cursor; None where nothing is new."""
        with _scratch() as place:
            said = self._run(use, place, deadline, cursor=cursor)
            if not (place / TOLD).exists():
                raise CodeFailed(
                    f"{use} ended its process before it returned anything. {said[-500:]}".strip()
                )
            told = msgspec.json.decode((place / TOLD).read_bytes())
            yield None if told is None else ReadPortion(place / ROWS, told["cursor"])

    def deliver(self, use: PluginUse, bucket: SinkBucket, rows: pa.Table, deadline: Deadline) -> None:
        """Give a sink the rows of a bucket."""
        with _scratch() as place:
            write_rows(place / IN, rows)
            self._run(use, place, deadline, bucket=msgspec.to_builtins(bucket))

    def tell(self, use: PluginUse, key: str, body: str, deadline: Deadline) -> None:
        """Have an alert channel tell what webhooks are sent."""
        with _scratch() as place:
            self._run(use, place, deadline, key=key, body=body)

    def _run(self, use: PluginUse, place: Path, deadline: Deadline, **more: Any) -> str:
        work = {
            "do": "run",
            "kind": use.kind,
            "name": use.name,
            "release": use.release,
            "settings": use.settings,
            **more,
        }
        is_connected = use.kind in CONNECTED
        return run_child(str(use), _CALL, work, place, self.limits, deadline, network=is_connected)


def read_findings(place: Path, name: str, said: str) -> tuple[pa.Table, dict[str, str | None]]:
    """What was found by code that judges rows. Raises CodeFailed."""
    kept = read_rows(place / OUT, name, said)
    return kept, msgspec.json.decode((place / TOLD).read_bytes(), type=dict[str, str | None])


def problems_of(
    kind: PluginKind, name: str, settings: Sequence[Mapping[str, Any]], deadline: Deadline | None = None
) -> list[str | None]:
    """What is wrong with each of the settings that are to be given to a plugin. Raises CodeFailed where the
    plugin itself cannot be used, and what the deadline raises."""
    use = PluginUse(kind, name, {}, None)
    work = {"do": "check", "kind": kind, "name": name, "release": None, "settings": list(settings)}
    limits = ChildLimits(CHECK_BYTES, CHECK_SECONDS, "imports of plugins")
    with _scratch() as place:
        run_child(str(use), _CALL, work, place, limits, deadline or Deadline.after(CHECK_SECONDS))
        if not (place / TOLD).exists():
            raise CodeFailed(f"{use} ended its process while it was imported.")
        return msgspec.json.decode((place / TOLD).read_bytes(), type=list[str | None])


def problem_of(plugin: InstalledPlugin) -> str | None:
    """Why an installed plugin cannot be used. Raises nothing."""
    if plugin.problem is not None:
        return plugin.problem
    try:
        problems_of(plugin.kind, plugin.name, [])
    except CodeFailed as error:
        return str(error)
    return None


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="acumen-plugin-") as name:
        yield Path(name)
