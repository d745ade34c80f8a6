"""What pipelines are read, derived and simulated with, on one data folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from query.engine.engine import Engine
from query.untrusted.processes import SqlProcesses
from service.pipelines.definition import CheckContext
from service.pipelines.execution import Deriver
from service.pipelines.inputs import PipelineReader
from service.pipelines.outside.code import OutsideCode
from service.pipelines.outside.python_operation import PythonRunner
from service.pipelines.references import ReferenceStore
from service.plugins.confined import ChildLimits
from service.plugins.running import PluginRunner
from service.settings import Settings
from storage.catalog.catalog import Catalog
from storage.events.validation import EventLimits
from storage.paths import encode_project
from storage.source import DataFile


class Toolbox:
    """Used by one thread."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        engine: Engine,
        verify: Callable[[Sequence[DataFile]], None],
    ) -> None:
        around = CheckContext(settings.query_limits, engine.check_regex)
        self.reader = PipelineReader(catalog, around, verify)
        self.catalog = catalog
        self.settings = settings
        self.engine = engine
        self.references = ReferenceStore(catalog.folder.references)
        self._processes: SqlProcesses | None = None

    def deriver(
        self, code: Path, references: ReferenceStore | None = None, lifeline: int | None = None
    ) -> Deriver:
        """``code``: the folder of the Python files; ``lifeline``: a descriptor for the processes that run
        them."""
        settings, folder = self.settings, self.catalog.folder
        if self._processes is None:
            self._processes = SqlProcesses(folder.tmp / "pipelines", settings.sql_idle_seconds)
        limits = ChildLimits(
            settings.pipeline_memory_bytes, settings.pipeline_timeout_seconds, lifeline=lifeline
        )
        return Deriver(
            engine=self.engine,
            processes=self._processes,
            references=references or self.references,
            folder=lambda project_id: folder.events / encode_project(project_id),
            limits=replace(settings.query_limits, rows_max=0),
            sql_limits=settings.pipeline_sql_limits,
            event_limits=EventLimits(),
            outside=OutsideCode(PythonRunner(code, limits), PluginRunner(limits)),
        )

    def close(self) -> None:
        """End the process that waits for its next step."""
        if self._processes is not None:
            self._processes.close()
