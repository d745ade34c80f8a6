"""Whether the plugins that a folder names can be used, and take the settings that they are given."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from query.transforms.fields import InvalidPipeline
from service.pipelines.definition import PipelineDefinition
from service.pipelines.outside.code import calls_of
from service.plugins.confined import CodeFailed
from service.plugins.installed import PluginKind
from service.plugins.running import problems_of


def check_plugins(definitions: Iterable[PipelineDefinition]) -> None:
    """Blocks while each plugin is imported once, in a process of its own. Raises InvalidPipeline."""
    named: dict[tuple[PluginKind, str], list[tuple[str, Any]]] = defaultdict(list)
    for definition in definitions:
        for number, kind, call in calls_of(definition.operations):
            place = f"pipelines.{definition.name}.steps[{number}]"
            named[kind, call.name].append((place, json.loads(call.settings)))
    for (kind, name), uses in sorted(named.items()):
        try:
            problems = problems_of(kind, name, [settings for _, settings in uses])
        except CodeFailed as error:
            raise InvalidPipeline(uses[0][0], str(error)) from None
        for (place, _), problem in zip(uses, problems, strict=True):
            if problem is not None:
                raise InvalidPipeline(place, f"settings.{problem}")
