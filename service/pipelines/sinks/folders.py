"""Delivers a bucket as a file, which replaces the one before; a bucket without rows has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from query.answers.export import ExtractionRun
from query.engine.engine import Deadline, Engine
from query.language.nodes import ExtractionQuery, Span
from query.limits import Limits
from query.transforms.nodes import BucketSpan
from service.exports.file_writer import rows_into
from service.exports.request import ExportFormat
from service.pipelines.definition import PipelineDefinition
from service.pipelines.sinks.definition import FolderSink
from service.workflows.errors import RunFailed
from storage.disk.durable_files import UNFINISHED, make_folder, new_file, sync_folder
from storage.paths import encode
from storage.schema import TIMESTAMP
from storage.source import Source

ROWS_MAX = 1 << 40
FOLDER_MODE, FILE_MODE = 0o777, 0o666
"""Other programs read the files, so only the umask restricts their permissions."""


class SinkFolder:
    """The files of the buckets of a project's pipelines."""

    def __init__(self, root: Path, project_id: str, engine: Engine, limits: Limits) -> None:
        self._root, self._project_id = root, project_id
        self._engine, self._limits = engine, limits

    def deliver(
        self,
        definition: PipelineDefinition,
        source: Source,
        bucket: BucketSpan,
        deadline: Callable[[], Deadline],
    ) -> int:
        """Make the bucket's files those of its rows; how many rows it has. ``source``: the pipeline's output.

        Raises RunFailed where the root is missing, OSError, SourceGone, QueryError.
        """
        if not self._root.is_dir():
            raise RunFailed(f"The folder {self._root} of ACUMEN_SINK_FOLDER does not exist.")
        if source.lacks(bucket.start_us, bucket.end_us):
            raise RunFailed("A stored file of its rows is damaged: 'acumen check' says which.")
        query = ExtractionQuery(
            definition.output, Span(bucket.start_us, bucket.end_us), properties=columns_of(source)
        )
        run = ExtractionRun(query, source, self._engine, forced=(), limits=self._limits, deadline=deadline)
        sinks = [one for one in definition.sinks if isinstance(one, FolderSink)]
        rows = 0
        for sink in sinks:
            path = self.path(definition, sink, bucket)
            rows = _write(run, path, sink.form, query.properties or ())
            if not rows and path.parent.is_dir():
                for gone in (path, path.with_name(f".{path.name}{UNFINISHED}")):
                    gone.unlink(missing_ok=True)
                sync_folder(path.parent)
        return rows

    def path(self, definition: PipelineDefinition, sink: FolderSink, bucket: BucketSpan) -> Path:
        """The file of a bucket."""
        own = self._root / encode(self._project_id) / encode(definition.name)
        return own / sink.path(bucket.start_us, definition.zone)


def columns_of(source: Source) -> tuple[str, ...]:
    """The columns of the files: the time, and the properties that any row of the collection has."""
    return TIMESTAMP, *sorted(path for path in source.schema.valued if not path.startswith("keen."))


def _write(run: ExtractionRun, path: Path, form: ExportFormat, properties: Sequence[str]) -> int:
    """Write the rows, newest first, and return how many there are; without rows nothing is written."""
    cut = run.cut(ROWS_MAX)
    if not cut.rows:
        return 0
    make_folder(path.parent, FOLDER_MODE)
    with new_file(path, FILE_MODE) as file:
        held = {} if form is ExportFormat.NDJSON else run.held(cut)
        rows = rows_into(file, form, held, properties, gzip=False)
        with closing(run.chunks(cut)) as chunks:
            for chunk in chunks:
                rows.add(chunk)
        rows.end()
    return cut.rows
