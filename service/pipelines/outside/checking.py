"""Whether the plugins that a folder names can be used, and take the settings that they are given."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from query.transforms.fields import InvalidPipeline
from service.pipelines.definition import PipelineFolder
from service.pipelines.outside.code import calls_of
from service.pipelines.sinks.definition import PluginSink
from service.pipelines.sources.definition import PluginRows
from service.plugins.confined import CodeFailed
from service.plugins.installed import PluginKind
from service.plugins.running import problems_of
from service.plugins.secret_settings import with_secrets


def check_plugins(folder: PipelineFolder) -> None:
    """Blocks while each plugin is imported once, in a process of its own. Raises InvalidPipeline."""
    named: dict[tuple[PluginKind, str], list[tuple[str, Any]]] = defaultdict(list)
    for place, kind, name, settings in _uses(folder):
        known = with_secrets(json.loads(settings), lambda _: "secret")
        named[kind, name].append((place, known))
    for (kind, name), uses in sorted(named.items()):
        try:
            problems = problems_of(kind, name, [settings for _, settings in uses])
        except CodeFailed as error:
            raise InvalidPipeline(uses[0][0], str(error)) from None
        for (place, _), problem in zip(uses, problems, strict=True):
            if problem is not None:
                raise InvalidPipeline(place, f"settings.{problem}")


def _uses(folder: PipelineFolder) -> Iterator[tuple[str, PluginKind, str, str]]:
    """Where a plugin is named, its kind and name, and its settings."""
    for definition in folder.pipelines:
        place = f"pipelines.{definition.name}"
        for number, kind, call in calls_of(definition.operations):
            yield f"{place}.steps[{number}]", kind, call.name, call.settings
        for number, sink in enumerate(definition.sinks):
            if isinstance(sink, PluginSink):
                yield f"{place}.sinks[{number}]", PluginKind.SINK, sink.plugin, sink.settings
    for source in folder.sources:
        if isinstance(source.reads, PluginRows):
            reads = source.reads
            yield f"sources.{source.name}", PluginKind.SOURCE, reads.plugin, reads.settings
