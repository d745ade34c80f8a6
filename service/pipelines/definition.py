"""Pipelines as a folder describes them: ``pipelines.toml``, reference tables and Python files beside it.

A definition is stored as the JSON of its own part of the file with all that this names, so that a worker
reads it without the folder; only Python files are read from there.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Any

from query.errors import InvalidQuery
from query.language.filters import CheckRegex
from query.language.timeframe import parse_timezone
from query.limits import Limits
from query.transforms.drift import misplaced_drift
from query.transforms.fields import Fields, InvalidPipeline
from query.transforms.nodes import Expect, Operation, Severity, ValueType, needs_folder, needs_outside
from query.transforms.parse import OperationReader
from query.transforms.syntax import syntax_fault
from service.ingest.admission import check_collection_name
from service.pipelines.freshness.recipients import Recipient, read_deadline, read_recipients
from service.pipelines.references import ReadReference, Reference, read_reference
from service.pipelines.sinks.definition import Sink, read_sinks
from service.pipelines.sources.definition import SourceDefinition, check_collections, read_sources
from service.plugins.installed import PluginKind, installed_plugins
from storage.catalog.runs.records import PRIORITY_MAX
from storage.instants import parse_instant

FILE = "pipelines.toml"
FILE_BYTES_MAX = 4 << 20
PIPELINES_MAX = 10_000
EXPANSIONS_MAX = 1_000
"""Most pipelines that one table of the file may become."""
SOURCES_MAX = 20
LOOKBACK_US_MAX = 400 * 86_400_000_000
_ABOUT = ("owner", "pool", "priority", "description", "sinks", "fresh_within", "notify")
"""Keys of a pipeline that say who owns it, when it runs, who is told, and where rows are delivered."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
_PLACE = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


class BucketUnit(StrEnum):
    """How long a bucket of the output is."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class PipelineDefinition:
    """One pipeline, checked."""

    name: str
    owner: str
    sources: tuple[str, ...]
    """Collections, in order."""
    output: str
    quarantine: str | None
    """The collection of the rows that its expectations set aside; None where none does."""
    unit: BucketUnit
    zone: tzinfo
    lookback_us: int
    start_us: int | None
    """No bucket before it is derived."""
    columns: tuple[tuple[str, ValueType], ...]
    """Columns that the input has in any case, and their types."""
    operations: tuple[Operation, ...]
    references: Mapping[str, Reference]
    pool: str
    priority: int
    sinks: tuple[Sink, ...]
    fresh_within_us: int | None
    """How long its rows may lack events that are in files; None: there is no deadline."""
    notify: tuple[Recipient, ...]
    text: str
    """What is stored: canonical JSON."""
    digest: str
    """Of all that its rows depend on beside its inputs."""

    @property
    def sets_aside(self) -> bool:
        """Whether any of its expectations sets rows aside."""
        return any(isinstance(one, Expect) and one.severity is Severity.QUARANTINE for one in self.operations)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The collections that it fills."""
        return (self.output,) if self.quarantine is None else (self.output, self.quarantine)

    @property
    def runs_other_code(self) -> bool:
        """Whether any step is run by code that is not SQL."""
        return any(map(needs_outside, self.operations))

    @property
    def runs_python(self) -> bool:
        return any(map(needs_folder, self.operations))


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What definitions are checked against."""

    limits: Limits
    check_regex: CheckRegex


@dataclass(frozen=True, slots=True)
class PipelineFolder:
    """What a folder describes."""

    path: Path
    pipelines: Sequence[PipelineDefinition]
    """Ordered by name."""
    references: Mapping[str, ReadReference]
    code: str
    """The digest of its Python files."""
    sources: Sequence[SourceDefinition] = ()
    """Ordered by name."""


def read_folder(folder: Path, around: CheckContext) -> PipelineFolder:
    """Raises InvalidPipeline."""
    path = folder / FILE
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise InvalidPipeline(FILE, f"has more than {FILE_BYTES_MAX:,} bytes.")
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidPipeline(FILE, f"is not in {folder}: name the folder that holds it.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidPipeline(FILE, f"cannot be read: {error}") from None
    references = {
        name: read_reference(folder, Fields.of(f"references.{name}", value))
        for name, value in _tables(document, "references").items()
    }
    versions = {name: one.reference for name, one in references.items()}
    code = code_digest(folder)
    pipelines = read_document(document, versions, code, around)
    sources = read_sources(document)
    check_collections(sources, {one.output: one.name for one in pipelines})
    return PipelineFolder(folder, pipelines, references, code, sources)


def read_document(
    document: Mapping[str, Any], references: Mapping[str, Reference], code: str, around: CheckContext
) -> list[PipelineDefinition]:
    """The pipelines of a document. ``code`` is the digest of the folder's Python files. Raises
    InvalidPipeline."""
    top = Fields(FILE, document)
    masks = _tables(document, "masks")
    parts = _tables(document, "parts")
    connections = _tables(document, "connections")
    owner = top.raw("owner")
    for known in ("masks", "parts", "references", "pipelines", "sources", "connections"):
        top.raw(known)
    top.end()
    found: dict[str, PipelineDefinition] = {}
    for name, table in _tables(document, "pipelines").items():
        for expanded, values, given in _expanded(name, table):
            stored = _stored(expanded, values, masks, _filled(parts, given), references, owner)
            used = _connections_of(values, connections)
            if used:
                stored["connections"] = used
            if expanded in found:
                raise InvalidPipeline(f"pipelines.{expanded}", "is there twice: give each its own name.")
            found[expanded] = checked(expanded, stored, code, around)
            _check_syntax(found[expanded])
    if len(found) > PIPELINES_MAX:
        raise InvalidPipeline(FILE, f"has more than {PIPELINES_MAX:,} pipelines.")
    _check_outputs(found.values())
    return sorted(found.values(), key=lambda one: one.name)


def checked(name: str, stored: Mapping[str, Any], code: str, around: CheckContext) -> PipelineDefinition:
    """The definition of what is stored. Raises InvalidPipeline."""
    place = f"pipelines.{name}"
    if not _NAME.fullmatch(name):
        raise InvalidPipeline(
            place, "a pipeline's name has up to 100 letters, digits, '_' and '-', and begins with a letter."
        )
    fields = Fields.of(place, stored["pipeline"])
    references = {key: Reference.of(value) for key, value in stored["references"].items()}
    reader = OperationReader(
        {key: value["filters"] for key, value in stored["masks"].items()},
        {key: value.columns for key, value in references.items()},
        around.limits,
        around.check_regex,
        stored.get("plugins", {}),
    )
    sources = fields.texts("from")
    if len(sources) > SOURCES_MAX:
        raise InvalidPipeline(fields.at("from"), f"has more than {SOURCES_MAX} collections.")
    lookback = fields.length("lookback", 0) or 0
    if lookback > LOOKBACK_US_MAX:
        raise fields.wrong("lookback", "at most 400_days")
    operations = reader.read_list(fields.at("steps"), fields.raw("steps", []))
    _check_names(fields, operations)
    misplaced = misplaced_drift(operations, lookback)
    if misplaced is not None:
        raise InvalidPipeline(f"{fields.at('steps')}[{misplaced[0]}].drift", misplaced[1])
    runs_python = any(map(needs_folder, operations))
    output = fields.text("into")
    text = json.dumps(stored, sort_keys=True, separators=(",", ":"), default=str)
    unit, zone = fields.choice("bucket", BucketUnit, BucketUnit.DAY), _zone(fields)
    owner, fresh_within_us = fields.text("owner"), read_deadline(fields)
    definition = PipelineDefinition(
        name=name,
        owner=owner,
        sources=sources,
        output=output,
        quarantine=_quarantine(fields, output, operations),
        unit=unit,
        zone=zone,
        lookback_us=lookback,
        start_us=_start(fields),
        columns=_columns(fields),
        operations=operations,
        references=references,
        pool=fields.text("pool", "default"),
        priority=fields.whole("priority", 0, -PRIORITY_MAX, PRIORITY_MAX),
        sinks=read_sinks(fields, unit, zone, stored.get("connections", {})),
        fresh_within_us=fresh_within_us,
        notify=read_recipients(fields, owner, has_deadline=fresh_within_us is not None),
        text=text,
        digest=_digest(stored, code if runs_python else ""),
    )
    fields.raw("description")
    fields.end()
    aside = [definition.quarantine] if definition.quarantine is not None else []
    for key, names in (("into", [output]), ("quarantine", aside), ("from", definition.sources)):
        for one in names:
            refused = check_collection_name(one)
            if refused is not None:
                raise InvalidPipeline(fields.at(key), refused.description)
    for key, one in zip(("into", "quarantine"), definition.outputs, strict=False):
        if one in definition.sources:
            raise InvalidPipeline(fields.at(key), "cannot be a collection that it reads.")
    return definition


def _check_syntax(definition: PipelineDefinition) -> None:
    """Of files alone: what was applied is read as it is."""
    for number, operation in enumerate(definition.operations):
        fault = syntax_fault(operation)
        if fault is not None:
            raise InvalidPipeline(f"pipelines.{definition.name}.steps[{number}]", fault)


def code_digest(folder: Path) -> str:
    """The digest of the Python files of a folder, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        if "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _digest(stored: Mapping[str, Any], code: str) -> str:
    """Leaves out what changes no row."""
    pipeline = {key: value for key, value in stored["pipeline"].items() if key not in _ABOUT}
    kept = {key: value for key, value in stored.items() if key != "connections"}
    content = json.dumps([{**kept, "pipeline": pipeline}, code], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def _tables(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key, {})
    if not isinstance(value, dict):
        raise InvalidPipeline(key, f"must be tables, as [{key}.name].")
    return value


def _expanded(name: str, table: Any) -> Iterator[tuple[str, dict[str, Any], Mapping[str, str]]]:
    """The pipelines that a table with ``for`` stands for: one for each combination of values, with it."""
    fields = Fields.of(f"pipelines.{name}", table)
    values = {key: value for key, value in table.items() if key != "for"}
    if not fields.has("for"):
        yield name, values, {}
        return
    each = fields.table("for")
    options = {key: each.texts(key) for key in each.values}
    if not options or not set(_PLACE.findall(name)) >= options.keys():
        raise InvalidPipeline(
            each.place, f"the name must have each of its parameters in braces, as '{name}_{{country}}'."
        )
    combinations = list(itertools.islice(itertools.product(*options.values()), EXPANSIONS_MAX + 1))
    if len(combinations) > EXPANSIONS_MAX:
        raise InvalidPipeline(each.place, f"makes more than {EXPANSIONS_MAX:,} pipelines.")
    for combination in combinations:
        given = dict(zip(options, combination, strict=True))
        yield _filled(name, given), _filled(values, given), given


def _filled(value: Any, given: Mapping[str, str]) -> Any:
    """The value with each ``{parameter}`` in its texts replaced; other braces stay."""
    if isinstance(value, str):
        return _PLACE.sub(lambda found: given.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [_filled(one, given) for one in value]
    if isinstance(value, dict):
        return {_filled(key, given): _filled(one, given) for key, one in value.items()}
    return value


def _stored(
    name: str,
    values: dict[str, Any],
    masks: Mapping[str, Any],
    parts: Mapping[str, Any],
    references: Mapping[str, Reference],
    owner: Any,
) -> dict[str, Any]:
    """A pipeline's table with its parts put in, and the masks and references that it names."""
    pipeline = dict(values)
    if owner is not None:
        pipeline.setdefault("owner", owner)
    if isinstance(pipeline.get("steps"), list):
        pipeline["steps"] = _with_parts(f"pipelines.{name}.steps", pipeline["steps"], parts, ())
    steps = [step for step in pipeline.get("steps", []) if isinstance(step, dict)]
    used = {name for step in steps for name in _listed(step.get("mask"))}
    joined = {step["lookup"] for step in steps if isinstance(step.get("lookup"), str)}
    joined |= {
        place.partition(".")[0]
        for step in steps
        if isinstance(step.get("in_reference"), dict)
        for place in step["in_reference"].values()
        if isinstance(place, str)
    }
    plugins = _named_plugins(steps)
    return {
        "pipeline": pipeline,
        # Left out where there are none: definitions that are stored already have no such part.
        **({"plugins": plugins} if plugins else {}),
        "masks": {name: _mask(name, masks[name]) for name in sorted(used & masks.keys())},
        "references": {name: references[name].stored() for name in sorted(joined & references.keys())},
    }


def _named_plugins(steps: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """``kind:name`` → package and version, of the installed plugins that steps name."""
    found: dict[str, str] = {}
    for step in steps:
        kind, key = PluginKind.OPERATION, "plugin"
        if "expect" in step:
            kind = PluginKind.EXPECTATION
        elif "enrich" in step:
            kind, key = PluginKind.ENRICHER, "enrich"
        name = step.get(key)
        plugin = installed_plugins().get((kind, name)) if isinstance(name, str) else None
        if plugin is not None:
            found[f"{kind}:{name}"] = plugin.release
    return found


def _connections_of(values: Mapping[str, Any], connections: Mapping[str, Any]) -> dict[str, Any]:
    """The connections that a pipeline's sinks name."""
    listed = values.get("sinks")
    sinks = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    names = {one["connection"] for one in sinks if isinstance(one.get("connection"), str)}
    return {name: connections[name] for name in sorted(names & connections.keys())}


def _mask(name: str, value: Any) -> dict[str, Any]:
    fields = Fields.of(f"masks.{name}", value)
    filters = fields.raw("filters")
    fields.raw("description")
    fields.end()
    if not isinstance(filters, list) or not filters:
        raise fields.wrong("filters", "a list of filters, as those of questions")
    return {"filters": filters}


def _with_parts(
    place: str, steps: Sequence[Any], parts: Mapping[str, Any], within: tuple[str, ...]
) -> list[Any]:
    """The steps with those of ``{ use = 'name' }`` in their place."""
    found: list[Any] = []
    for number, step in enumerate(steps):
        name = step.get("use") if isinstance(step, dict) and len(step) == 1 else None
        if name is None:
            found.append(step)
            continue
        if not isinstance(name, str) or name not in parts:
            known = f" It has: {', '.join(sorted(parts))}." if parts else ""
            raise InvalidPipeline(
                f"{place}[{number}].use", f"there is no part {name!r:.100} in [parts].{known}"
            )
        if name in within:
            raise InvalidPipeline(f"parts.{name}", "uses itself.")
        part = Fields.of(f"parts.{name}", parts[name])
        listed = part.raw("steps")
        part.raw("description")
        part.end()
        if not isinstance(listed, list):
            raise part.wrong("steps", "a list of operations, as [{ where = '…' }]")
        found += _with_parts(part.at("steps"), listed, parts, (*within, name))
    return found


def _listed(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [one for one in listed if isinstance(one, str)]


def _check_names(fields: Fields, operations: Sequence[Operation]) -> None:
    """Reports are by the names of expectations."""
    names = [one.name for one in operations if isinstance(one, Expect)]
    for name in names:
        if names.count(name) > 1:
            raise InvalidPipeline(fields.at("steps"), f"two expectations are called '{name}': name each.")


def _quarantine(fields: Fields, output: str, operations: Sequence[Operation]) -> str | None:
    """The collection for rows that are set aside; by default named after the output."""
    named = fields.optional_text("quarantine")
    sets_aside = any(isinstance(one, Expect) and one.severity is Severity.QUARANTINE for one in operations)
    if not sets_aside and named is not None:
        raise InvalidPipeline(
            fields.at("quarantine"), "is filled by no step: give an 'expect' the severity 'quarantine'."
        )
    if named == output:
        raise InvalidPipeline(fields.at("quarantine"), "must be another collection than 'into'.")
    return (named or f"{output}_quarantine") if sets_aside else None


def _zone(fields: Fields) -> tzinfo:
    try:
        return parse_timezone(fields.raw("timezone", "UTC"))
    except InvalidQuery:
        raise fields.wrong("timezone", "the name of a time zone, as 'Europe/Berlin'") from None


def _columns(fields: Fields) -> tuple[tuple[str, ValueType], ...]:
    if not fields.has("columns"):
        return ()
    table = fields.table("columns")
    return tuple((name, table.choice(name, ValueType)) for name in table.values)


def _start(fields: Fields) -> int | None:
    text = fields.raw("start")
    if text is None:
        return None
    found = parse_instant(text if isinstance(text, str) else str(text).replace(" ", "T"))
    if found is None:
        raise fields.wrong("start", "an instant, as 2026-01-31T00:00:00Z")
    return found


def _check_outputs(definitions: Iterable[PipelineDefinition]) -> None:
    """Each collection is filled by one pipeline, and no pipeline derives, by way of others, what it reads."""
    by_output: dict[str, PipelineDefinition] = {}
    for one in definitions:
        for key, output in zip(("into", "quarantine"), one.outputs, strict=False):
            other = by_output.setdefault(output, one)
            if other is not one:
                raise InvalidPipeline(
                    f"pipelines.{one.name}.{key}", f"'{output}' is an output of '{other.name}' already."
                )
    for one in by_output.values():
        _check_cycle(one, by_output)


def _check_cycle(start: PipelineDefinition, by_output: Mapping[str, PipelineDefinition]) -> None:
    waiting, seen = list(start.sources), set[str]()
    while waiting:
        collection = waiting.pop()
        if collection in start.outputs:
            raise InvalidPipeline(
                f"pipelines.{start.name}.from", f"leads back to its own output '{collection}'."
            )
        if collection not in seen and collection in by_output:
            seen.add(collection)
            waiting += by_output[collection].sources
