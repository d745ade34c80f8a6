"""SQL for the interval of a row's time: arithmetic for regular intervals, a join for irregular ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from query.language.nodes import Buckets
from query.sql.statement import TIME_US, Note, Statement, bound, name, noted, sql, whole

_RUNS_MAX = 64
"""With more runs of equally long buckets than this, a join with the edges is faster."""
_EXACT_MAX = 2**53
"""Below this, doubles hold every integer, and the floor of a quotient of two is the whole quotient."""
_BYTE_MAX = 255


@dataclass(frozen=True, slots=True)
class Run:
    """``count`` buckets of equal length: bucket ``first`` begins at ``start_us``."""

    first: int
    start_us: int
    step_us: int
    count: int


def bucket_index(runs: list[Run]) -> Statement:
    """The index of the bucket of a row's time: integer arithmetic, or the column that ``bucketed`` joins."""
    return _run_tree(runs) if len(runs) <= _RUNS_MAX else name("$bucket")


def is_regular(runs: list[Run]) -> bool:
    """Whether arithmetic finds the bucket of a row's time, without a join."""
    return len(runs) <= _RUNS_MAX


def counts_us(runs: list[Run]) -> bool:
    """Whether a row's bucket is computed from its time in µs, rather than being the only one."""
    return len(runs) > 1 or runs[0].count > 1


def whole_index(index: Statement, buckets: Buckets, *, alone: bool) -> Statement:
    """The index as an integer: a byte if it fits and is the only key, which the engine groups without
    hashing."""
    in_a_byte = alone and len(buckets.edges) - 1 <= _BYTE_MAX
    return sql("CAST({} AS {})", index, Statement("UTINYINT" if in_a_byte else "INTEGER"))


def bucketed(source: Statement, buckets: Buckets, runs: list[Run]) -> Statement:
    """``source``, a FROM clause, joined to the edges where they are too irregular for arithmetic."""
    if len(runs) <= _RUNS_MAX:
        return source
    starts = list(buckets.edges[:-1])
    join = sql(
        "FROM (SELECT *{})\nASOF JOIN"
        ' (SELECT unnest({}) AS "$bucket", CAST(unnest({}) AS BIGINT) AS "$start") ON {} >= "$start"',
        source,
        bound(list(range(len(starts)))),
        bound(starts),
        TIME_US,
    )
    return noted(Note.INTERVALS, join)


def runs_of(edges: tuple[int, ...]) -> list[Run]:
    """Combines successive buckets of equal length into runs."""
    runs: list[Run] = []
    for index, (start, end) in enumerate(pairwise(edges)):
        last = runs[-1] if runs else None
        if last is not None and last.step_us == end - start:
            runs[-1] = Run(last.first, last.start_us, last.step_us, last.count + 1)
        else:
            runs.append(Run(index, start, end - start, 1))
    return runs


def _run_tree(runs: list[Run]) -> Statement:
    """A binary search over the runs, then one division."""
    if len(runs) > 1:
        middle = len(runs) // 2
        return sql(
            "(CASE WHEN {} < {} THEN {} ELSE {} END)",
            TIME_US,
            whole(runs[middle].start_us),
            _run_tree(runs[:middle]),
            _run_tree(runs[middle:]),
        )
    run = runs[0]
    if run.count == 1:
        return whole(run.first)
    since = sql("({} - ({}))", TIME_US, whole(run.start_us))
    return _counted(run, since)


def _counted(run: Run, since: Statement) -> Statement:
    """The run's first bucket plus the number of its steps in ``since``, which is not negative."""
    # The engine divides doubles faster than integers.
    form = "floor({} / {})" if run.count * run.step_us < _EXACT_MAX else "({} // {})"
    steps = sql(form, since, whole(run.step_us))
    return steps if run.first == 0 else sql("({} + {})", whole(run.first), steps)
