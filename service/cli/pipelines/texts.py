"""What the commands about pipelines print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from service.pipelines.applying import Difference
from service.pipelines.definition import PipelineDefinition
from service.pipelines.expectations.reports import ExpectationReport, Findings
from service.pipelines.freshness.overview import Estimate, Overview
from service.pipelines.inputs import Inputs
from service.pipelines.sources.applying import SourceStep
from service.pipelines.sources.definition import SourceDefinition
from service.pipelines.sources.overview import SourceOverview
from storage.catalog.derived.pipeline_records import BucketState, DerivedBucket, StoredPipeline
from storage.catalog.runs.troubles import PipelineTrouble
from storage.catalog.sources.records import SourceFile, StoredSource

Say = Callable[[str], None]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def planned(verb: str, definition: PipelineDefinition, inputs: Inputs, cost: Estimate) -> str:
    head = f"{verb:<10} {definition.name}  ({', '.join(definition.sources)} → {definition.output})"
    lines = [head]
    if verb in ("create", "change"):
        lines.append(
            f"           derives {_many(len(inputs.buckets), definition.unit.value + ' bucket')} of "
            f"{_many(inputs.events, 'event')}"
        )
    if definition.sinks:
        lines.append(f"           delivers to {', '.join(map(str, definition.sinks))}")
    about = "" if cost.measured else "about "
    day = (
        f"           a day: {_many(round(cost.runs, 1), 'bucket')}, {_many(round(cost.rows_read), 'event')} "
        f"read ({size(cost.bytes_read)}), {about}{cost.processor_seconds:.1f} processor seconds"
    )
    if cost.rows_written is not None:
        day += f", {_many(round(cost.rows_written), 'row')} written"
    if cost.bytes_written is not None:
        day += f" ({size(cost.bytes_written)})"
    return "\n".join([*lines, day])


def counted_steps(steps: Sequence[Difference | SourceStep]) -> str:
    if not steps:
        return "Everything is as the folder says."
    return f"{_many(len(steps), 'change')}: 'acumen apply' makes them."


def planned_source(verb: str, definition: SourceDefinition, found: str) -> str:
    return (
        f"{verb:<10} source {definition.name}  ({definition.reads} → {definition.collection})\n"
        f"           every {length(definition.every_us)}{found}"
    )


def source(stored: StoredSource, overview: SourceOverview) -> str:
    """The state of a source. ``overview.files`` is by state."""
    looked = "never" if stored.looked_us is None else instant(stored.looked_us)
    lines = [
        f"{overview.health:<8} source {stored.name}  ({overview.definition.reads} → "
        f"{overview.definition.collection})",
        f"         owner {stored.owner}, version {stored.version}"
        + (f", commit {stored.revision}" if stored.revision else ""),
        f"         {_many(stored.events, 'event')}"
        + (f", {_many(stored.refused, 'row')} left out" if stored.refused else "")
        + f", last read to its end {looked}",
    ]
    if overview.files:
        lines.append("         files: " + ", ".join(f"{n:,} {state}" for state, n in overview.files.items()))
    if overview.problem:
        lines.append(f"         {overview.problem}")
    return "\n".join(lines)


def source_file(one: SourceFile) -> str:
    text = f"           {one.path}  {one.state}, {_many(one.events, 'event')}"
    return f"{text}  {one.problem}" if one.problem else text


def length(us: int) -> str:
    """A length of time as files have it, in its largest whole unit."""
    for unit, unit_us in (("day", 86_400_000_000), ("hour", 3_600_000_000), ("minute", 60_000_000)):
        if us % unit_us == 0:
            return _many(us // unit_us, unit)
    return _many(us / 1_000_000, "second")


def applied(steps: Sequence[Difference | SourceStep]) -> str:
    return (
        f"{_many(len(steps), 'change')} made; the server does what is due: 'acumen status' shows it."
        if steps
        else "Everything is as the folder says."
    )


def marked(name: str, buckets: Sequence[tuple[int, int]], state: BucketState) -> str:
    span = f"from {instant(buckets[0][0])} to {instant(buckets[-1][1])}"
    one = len(buckets) == 1
    what = {
        BucketState.STALE: "will be derived again",
        BucketState.FROZEN: f"{'is' if one else 'are'} frozen: what was derived stays as it is",
        BucketState.SKIPPED: f"{'is' if one else 'are'} skipped, and no longer derived",
    }[state]
    return f"{_many(len(buckets), 'bucket')} of {name} {span} {what}."


def paused(before: StoredPipeline, now: bool) -> str:
    if before.paused == now:
        return f"{before.name} is {'paused already' if now else 'not paused'}."
    if now:
        return (
            f"{before.name} is paused: it begins no run until 'acumen resume {before.name}'. "
            "One that executes ends as it would."
        )
    return f"{before.name} is resumed: the server derives what is stale."


def paused_source(before: StoredSource, now: bool) -> str:
    if before.paused == now:
        return f"Source {before.name} is {'paused already' if now else 'not paused'}."
    if now:
        return (
            f"Source {before.name} is paused: it is not read until 'acumen resume {before.runs_as}'. "
            "A run that executes ends as it would."
        )
    return f"Source {before.name} is resumed: it goes on where it was."


def state(
    stored: StoredPipeline,
    definition: PipelineDefinition,
    overview: Overview,
    found: Sequence[Findings],
    overdue: PipelineTrouble | None,
) -> str:
    counts = [
        f"{number:,} {one}"
        for one, number in overview.buckets.items()
        if number and one not in (BucketState.STALE,)
    ]
    until = "nothing yet" if overview.derived_until_us is None else instant(overview.derived_until_us)
    lines = [
        f"{overview.health:<8} {stored.name}  ({', '.join(definition.sources)} → {definition.output})",
        f"         owner {stored.owner}, version {stored.version}"
        + (f", commit {stored.revision}" if stored.revision else ""),
        f"         {_many(overview.rows, 'row')} in {', '.join(counts) or 'no'} buckets, "
        f"derived until {until}, {overview.seconds:.1f} processor seconds",
    ]
    if overview.quarantined:
        lines.append(f"         {_many(overview.quarantined, 'row')} set aside in {definition.quarantine}")
    faulty = [one.total for one in found if any(rule.broken for rule in one.total.rules)]
    lines += [f"         {one}" for one in findings(faulty)]
    if overview.due:
        lines.append(f"         {_many(overview.due, 'bucket')} to derive")
    if overdue is not None:
        why = overdue.why.replace("_", " ")
        since = (
            f"overdue since {instant(overdue.since_us)}, {why}: the bucket of {instant(overdue.bucket_us)}"
        )
        lines.append(f"         {since}")
    if overview.problem:
        lines.append(f"         {overview.problem}")
    return "\n".join(lines)


def findings(reports: Sequence[ExpectationReport]) -> list[str]:
    """A line for each expectation: what it found."""
    lines = []
    for one in reports:
        broken = [f"{rule.rule} ({rule.found or f'{rule.broken:,}'})" for rule in one.rules if rule.broken]
        found = f"{one.faulty:,} of {_many(one.rows, 'row')} faulty: {'; '.join(broken)}" if broken else "met"
        lines.append(f"expectation '{one.name}' ({one.severity}): {found}")
    return lines


def accepted(name: str, count: int, *, withdrawn: bool) -> str:
    rows = _many(count, "row")
    if withdrawn:
        return f"{rows} of {name} may be set aside again: the server derives its buckets anew."
    return f"{rows} of {name} pass from now on: the server derives the buckets that had rows set aside anew."


def bucket(one: DerivedBucket) -> str:
    text = (
        f"           {instant(one.start_us)}  {one.state:<8} {one.rows_in:>10,} in {one.rows_out:>10,} out "
        f"{one.seconds:7.2f} s"
    )
    if one.quarantined:
        text += f"  {one.quarantined:,} set aside"
    if one.attempts > 1:
        text += f"  failed {one.attempts:,} times"
    return f"{text}  {one.problem}" if one.problem else text


def instant(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%d %H:%M")


def size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1_000:
            return f"{count:.0f} {unit}"
        count /= 1_000
    return f"{count:.1f} TB"


def _many(number: float, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
