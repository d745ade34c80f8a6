"""Rows that a plugin reads: each call, in a process of its own, brings the portion behind the last cursor."""

from __future__ import annotations

import json
from pathlib import Path

from query.engine.engine import CancelToken, Deadline
from query.errors import QueryCancelled
from service.ingest.log_session import admission_limits
from service.pipelines.connections.definition import SecretText, revealed
from service.pipelines.sources.definition import PluginRows, RowFaults, SourceDefinition
from service.pipelines.sources.portions import FAULTS_MAX, Faults, PortionTooLarge, PortionWriter
from service.pipelines.sources.rows import RowMaker
from service.plugins.confined import ChildLimits, CodeFailed
from service.plugins.installed import PluginKind
from service.plugins.running import PluginRunner, PluginUse, ReadPortion
from service.plugins.secret_settings import with_secrets
from service.settings import Settings
from service.workflows.context import RunContext
from service.workflows.errors import RunFailed, RunRefused
from storage.catalog.catalog import Catalog
from storage.catalog.sources.records import Portion, StoredSource


class PluginReading:
    """Reads the rows of one source, portion by portion."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        definition: SourceDefinition,
        reads: PluginRows,
        context: RunContext,
    ) -> None:
        self._catalog, self._settings, self._definition, self._reads = catalog, settings, definition, reads
        self._context = context
        limits = ChildLimits(
            settings.pipeline_memory_bytes, settings.pipeline_timeout_seconds, lifeline=context.lifeline
        )
        self._runner = PluginRunner(limits)
        self._maker = RowMaker(definition.rows, admission_limits(settings))
        self._token = CancelToken()
        context.on_interrupt(lambda: self._token.cancel(QueryCancelled("The run is to end.")))
        self.bytes = 0
        """What was read so far."""

    def read(self, source: StoredSource, spool: Path) -> Portion | None:
        """None where nothing is new. Raises RunRefused, RunFailed, RunInterrupted, OSError."""
        before = source.position.get("cursor")
        deadline = Deadline.after(self._settings.pipeline_timeout_seconds, self._token)
        try:
            with self._runner.read_portion(self._use(source), before, deadline) as found:
                if found is None:
                    return None
                if found.cursor == before:
                    raise RunRefused(
                        f"The source plugin '{self._reads.plugin}' gave rows with the cursor that it was "
                        "given: they would be stored again and again. It must move on, or return None."
                    )
                return self._portion(source, spool, found)
        except CodeFailed as error:
            raise RunFailed(str(error)) from None
        except QueryCancelled:
            self._context.check()
            raise
        except PortionTooLarge:
            raise RunRefused(
                f"A portion has more than {self._settings.source_bytes:,} bytes (ACUMEN_SOURCE_BYTES): let "
                "the plugin return smaller ones."
            ) from None

    def _use(self, source: StoredSource) -> PluginUse:
        """Raises RunRefused."""
        settings = with_secrets(
            json.loads(self._reads.settings),
            lambda name: revealed(self._catalog, source.project_id, SecretText("", name)),
        )
        return PluginUse(PluginKind.SOURCE, self._reads.plugin, settings, None)

    def _portion(self, source: StoredSource, spool: Path, found: ReadPortion) -> Portion:
        faults = Faults()
        with PortionWriter(spool, source.id, self._settings.source_bytes) as writer:
            with open(found.rows, "rb") as rows:
                for number, row in enumerate(rows, 1):
                    self.bytes += len(row)
                    try:
                        writer.add(self._maker.event(row.rstrip(b"\n")))
                    except ValueError as error:
                        faults.add(f"row {number}", str(error))
                    if faults.number >= FAULTS_MAX and self._definition.rows.faults is RowFaults.FAIL:
                        break
            if faults.number and self._definition.rows.faults is RowFaults.FAIL:
                raise RunRefused(f"Nothing was stored: {faults.text()}")
            return writer.end({"cursor": found.cursor}, refused=faults.number, problem=faults.text())
