"""``acumen plan``, ``simulate``, ``apply``, ``run``, ``pause``, ``resume``, ``accept`` and ``status``."""

from __future__ import annotations

import argparse
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from query.engine.engine import Engine
from query.transforms.fields import InvalidPipeline
from service.cli import shell_audit
from service.cli.errors import CannotDo
from service.cli.pipelines import texts
from service.cli.tenants import chosen_project
from service.pipelines import applying
from service.pipelines.applying import NotApplied, Verb
from service.pipelines.changing import set_states
from service.pipelines.definition import PipelineFolder, read_folder
from service.pipelines.expectations.accepting import DIGEST, NotAccepted, change_accepted
from service.pipelines.expectations.reports import findings_of
from service.pipelines.freshness.overview import estimated
from service.pipelines.freshness.standings import PipelineStandings
from service.pipelines.outside.checking import check_plugins
from service.pipelines.references import FolderReferences
from service.pipelines.simulation import fault_of
from service.pipelines.sinks.checking import check_targets
from service.pipelines.sources.applying import SourceStep, check_sources
from service.pipelines.sources.overview import found_of, overview_of_source, read_now
from service.pipelines.toolbox import Toolbox
from service.settings import Settings
from storage.catalog.catalog import Catalog
from storage.catalog.derived.pipeline_records import BucketState, StoredPipeline
from storage.catalog.sources.records import RUNS_OF, StoredSource
from storage.disk.file_system import LocalFileSystem
from storage.files.verification import Verifier
from storage.instants import parse_instant

Open = Callable[..., Any]
Say = Callable[[str], None]
ENGINE_BYTES = 256 << 20


@dataclass(frozen=True)
class Opened:
    """A project, and what its pipelines are read and run with."""

    catalog: Catalog
    project_id: str
    tools: Toolbox
    settings: Settings
    say: Say
    now_us: int


@contextmanager
def opened(args: argparse.Namespace, open_catalog: Open, settings: Settings, say: Say) -> Iterator[Opened]:
    """Raises CannotDo."""
    with ExitStack() as stack:
        catalog = stack.enter_context(open_catalog(args))
        project_id = chosen_project(catalog, args.project)
        args.project = project_id
        spill = catalog.folder.tmp / "pipelines-shell"
        stack.callback(shutil.rmtree, spill, ignore_errors=True)
        engine = Engine(
            catalog.folder.root,
            memory_limit_bytes=ENGINE_BYTES,
            threads=1,
            temp_folder=spill,
            temp_bytes_max=settings.pipeline_spill_bytes,
        )
        stack.callback(engine.close)
        verify = Verifier(catalog.folder, catalog, LocalFileSystem())
        tools = Toolbox(settings, catalog, engine, verify)
        stack.callback(tools.close)
        yield Opened(catalog, project_id, tools, settings, say, time.time_ns() // 1_000)


def plan(args: argparse.Namespace, at: Opened) -> int:
    """Prints what ``apply`` would change, what it takes on a day, and what would fail, which makes it 1."""
    folder = _folder(args, at)
    check_targets(at.catalog, at.project_id, folder.pipelines, at.settings)
    check_plugins(folder)
    check_sources(at.catalog, at.project_id, at.settings, folder.sources)
    stored = {one.name: one for one in at.catalog.pipelines.of_project(at.project_id)}
    steps = applying.differences(folder, list(stored.values()))
    by_name = {step.name: step for step in steps}
    deriver = at.tools.deriver(folder.path, FolderReferences(folder.references))
    faults = 0
    for definition in folder.pipelines:
        step = by_name.get(definition.name)
        verb = "unchanged" if step is None else str(step.verb)
        inputs = at.tools.reader.inputs(at.project_id, definition, at.now_us)
        old = stored.get(definition.name)
        buckets = [] if old is None else at.catalog.pipelines.buckets(old.id)
        cost = estimated(at.catalog, definition, inputs, old, buckets, at.now_us)
        at.say(texts.planned(verb, definition, inputs, cost))
        if step is not None and step.verb in (Verb.CREATE, Verb.CHANGE):
            fault = fault_of(at.project_id, definition, inputs.sources, deriver)
            if fault is not None:
                faults += 1
                at.say(f"           would fail: {fault}")
    for step in steps:
        if step.definition is None:
            at.say(f"remove     {step.name}  (its rows stay; needs --remove)")
    at.say(texts.counted_steps([*steps, *_planned_sources(at, folder)]))
    return 1 if faults else 0


def _planned_sources(at: Opened, folder: PipelineFolder) -> list[SourceStep]:
    """Print what would become of the sources; the differences."""
    steps = applying.source_differences(at.catalog, at.project_id, folder)
    by_name = {step.name: step for step in steps}
    for definition in folder.sources:
        step = by_name.get(definition.name)
        verb = "unchanged" if step is None else str(step.verb)
        at.say(texts.planned_source(verb, definition, found_of(at.settings, at.project_id, definition)))
    for step in steps:
        if step.definition is None:
            at.say(f"remove     source {step.name}  (its events stay; needs --remove)")
    return steps


def apply(args: argparse.Namespace, at: Opened) -> int:
    """Makes the project's pipelines those of the folder."""
    folder = _folder(args, at)
    check_targets(at.catalog, at.project_id, folder.pipelines, at.settings)
    check_plugins(folder)
    check_sources(at.catalog, at.project_id, at.settings, folder.sources)
    of_sources = applying.source_differences(at.catalog, at.project_id, folder)
    with shell_audit.noting(at.catalog, args):
        try:
            steps = applying.apply(
                at.catalog,
                at.project_id,
                folder,
                remove=args.remove,
                collections_max=at.settings.collections_max,
            )
        except NotApplied as error:
            raise CannotDo(str(error)) from None
    for step in steps:
        at.say(f"{step.verb:<10} {step.name}")
    for one in of_sources:
        at.say(f"{one.verb:<10} source {one.name}")
    at.say(texts.applied([*steps, *of_sources]))
    return 0


def run(args: argparse.Namespace, at: Opened) -> int:
    """Marks buckets to be derived again, or gives them a state; the server derives them. A source is read."""
    if args.pipeline.startswith(RUNS_OF):
        return _read_now(args, at)
    stored = _stored(at, args.pipeline)
    since_us, until_us = _instant(args, "since"), _instant(args, "until")
    state = BucketState(args.state)
    with shell_audit.noting(at.catalog, args):
        chosen = set_states(at.tools.reader, stored, since_us, until_us, state, at.now_us)
    if not chosen:
        raise CannotDo("There is no bucket in this time: the pipeline's collections have no events there.")
    at.say(texts.marked(stored.name, chosen, state))
    return 0


def _read_now(args: argparse.Namespace, at: Opened) -> int:
    source = _source(at, args.pipeline.removeprefix(RUNS_OF))
    if args.since or args.until or args.state != "stale":
        raise CannotDo("A source has no buckets: --since, --until and --state go with pipelines.")
    with shell_audit.noting(at.catalog, args):
        read_now(at.catalog, source)
    at.say(f"The server reads {source.name} now: 'acumen status {RUNS_OF}{source.name}' shows it.")
    return 0


def pause(args: argparse.Namespace, at: Opened) -> int:
    """Lets a pipeline begin no run, or a source not be read."""
    return _paused(args, at, True)


def resume(args: argparse.Namespace, at: Opened) -> int:
    """Lets a paused pipeline run again, or a paused source be read."""
    return _paused(args, at, False)


def _paused(args: argparse.Namespace, at: Opened, paused: bool) -> int:
    if args.pipeline.startswith(RUNS_OF):
        source = _source(at, args.pipeline.removeprefix(RUNS_OF))
        with shell_audit.noting(at.catalog, args):
            at.catalog.sources.set_paused(at.project_id, source.name, paused)
        at.say(texts.paused_source(source, paused))
        return 0
    before = _stored(at, args.pipeline)
    with shell_audit.noting(at.catalog, args):
        at.catalog.pipelines.set_paused(at.project_id, before.name, paused)
    at.say(texts.paused(before, paused))
    return 0


def accept(args: argparse.Namespace, at: Opened) -> int:
    """Lets rows pass that were set aside, or withdraws that."""
    stored = _stored(at, args.pipeline)
    for digest in args.digests:
        if not re.fullmatch(DIGEST, digest):
            raise CannotDo(f"'{digest}' is no digest of a row: take it from '{stored.name}'s quarantine.")
    with shell_audit.noting(at.catalog, args):
        given, none = list(dict.fromkeys(args.digests)), list[str]()
        pair = (none, given) if args.withdraw else (given, none)
        try:
            change_accepted(at.catalog, stored, at.tools.reader.definition(stored), *pair)
        except NotAccepted as error:
            raise CannotDo(str(error)) from None
    at.say(texts.accepted(stored.name, len(given), withdrawn=args.withdraw))
    return 0


def status(args: argparse.Namespace, at: Opened) -> int:
    """Prints the state of each pipeline."""
    if args.pipeline and args.pipeline.startswith(RUNS_OF):
        return _source_status(at, [_source(at, args.pipeline.removeprefix(RUNS_OF))], args.buckets)
    found, of_sources = at.catalog.pipelines.of_project(at.project_id), list[StoredSource]()
    if args.pipeline:
        found = [_stored(at, args.pipeline)]
    else:
        of_sources = at.catalog.sources.of_project(at.project_id)
    if not found and not of_sources:
        at.say("The project has no pipelines: 'acumen apply FOLDER' makes those of a folder.")
        return 0
    worst = 0
    overdue = {one.pipeline_id: one for one in at.catalog.troubles.open() if one.is_overdue}
    for one, overview in PipelineStandings(at.tools.reader).overviews(at.project_id, found, at.now_us):
        checked = findings_of(bucket.report for bucket in at.catalog.pipelines.buckets(one.stored.id))
        at.say(texts.state(*one, overview, checked, overdue.get(one.stored.id)))
        if args.pipeline:
            for bucket in at.catalog.pipelines.buckets(one.stored.id)[-args.buckets :]:
                at.say(texts.bucket(bucket))
        worst = max(worst, 1 if overview.problem or one.stored.id in overdue else 0)
    return max(worst, _source_status(at, of_sources, 0))


def _source_status(at: Opened, of_sources: list[StoredSource], files: int) -> int:
    """Print the state of sources, and of the files that changed last; 1 where one has a problem."""
    worst = 0
    for stored in of_sources:
        overview = overview_of_source(at.catalog, stored)
        at.say(texts.source(stored, overview))
        for one in overview.newest_files[:files]:
            at.say(texts.source_file(one))
        worst = max(worst, 1 if overview.problem else 0)
    return worst


def simulate(args: argparse.Namespace, at: Opened) -> int:
    """Runs pipelines without writing; 1 where golden rows differ or a run fails."""
    # Imported here, since only this command shreds events.
    from service.cli.pipelines.simulate import simulate_all

    folder = _folder(args, at)
    chosen = [applying.find(folder, args.pipeline)] if args.pipeline else list(folder.pipelines)
    return simulate_all(at.tools, at.project_id, folder, chosen, at.now_us, at.say)


ACTIONS: dict[str, Callable[[argparse.Namespace, Opened], int]] = {
    "plan": plan,
    "simulate": simulate,
    "apply": apply,
    "run": run,
    "pause": pause,
    "resume": resume,
    "accept": accept,
    "status": status,
}


def act(args: argparse.Namespace, name: str, open_catalog: Open, settings: Settings, say: Say) -> int:
    """Carry out one of the commands. Raises CannotDo."""
    try:
        with opened(args, open_catalog, settings, say) as at:
            return ACTIONS[name](args, at)
    except InvalidPipeline as error:
        raise CannotDo(str(error)) from None


def _folder(args: argparse.Namespace, at: Opened) -> PipelineFolder:
    return read_folder(args.folder, at.tools.reader.around)


def _stored(at: Opened, name: str) -> StoredPipeline:
    found = at.catalog.pipelines.find(at.project_id, name)
    if found is None:
        names = ", ".join(one.name for one in at.catalog.pipelines.of_project(at.project_id))
        raise CannotDo(f"There is no pipeline '{name}'. The project has: {names or 'none'}.")
    return found


def _source(at: Opened, name: str) -> StoredSource:
    found = at.catalog.sources.find(at.project_id, name)
    if found is None:
        names = ", ".join(one.name for one in at.catalog.sources.of_project(at.project_id))
        raise CannotDo(f"There is no source '{name}'. The project has: {names or 'none'}.")
    return found


def _instant(args: argparse.Namespace, option: str) -> int | None:
    text = getattr(args, option)
    if text is None:
        return None
    found = parse_instant(text)
    if found is None:
        raise CannotDo(f"--{option}: '{text}' is no instant, as 2026-01-31 or 2026-01-31T12:00:00Z.")
    return found
