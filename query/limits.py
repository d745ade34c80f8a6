"""Limits on what one query may request and cost."""

from __future__ import annotations

from dataclasses import dataclass

from query.errors import QueryLimitExceeded


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper limits: counts, unless the name ends in a unit. Exceeding one raises ``QueryLimitExceeded``."""

    rows_max: int = 0
    """Events that a query reads: those in files that overlap its timeframe, and the tail; 0 is no limit."""
    intervals_max: int = 9_000
    """Buckets of one ``interval``."""
    groups_max: int = 1_000_000
    """Distinct groups of one answer."""
    cells_max: int = 2_000_000
    """Groups that occur in the intervals of one answer, counted once per interval."""
    funnel_actors_max: int = 1_000_000
    """Distinct actors of one funnel."""
    identities_max: int = 1_000_000
    """Different statements of which ids belong to one actor, which a question puts together."""
    funnel_intervals_max: int = 400
    """Buckets of one funnel's ``interval``, each of which follows its own actors."""
    extraction_events_max: int = 100_000
    """Events in the answer of one extraction."""
    extraction_scan_max: int = 1_000_000
    """Events that an extraction without ``latest`` may scan."""
    latest_max: int = 100_000
    response_bytes_max: int = 150_000_000
    timeout_seconds: float = 300.0

    steps_max: int = 20
    """Steps of one funnel."""
    event_lists_max: int = 20
    """Entries of ``events``."""
    path_depth_max: int = 20
    """Nodes of one path."""
    path_nodes_max: int = 1_000
    """Nodes of one step of paths that an answer names."""
    renames_max: int = 100
    """Rules of ``rename``."""
    pages_max: int = 1_000
    """Entries and exits of sessions that an answer names, for each group and interval."""
    cohort_actors_max: int = 1_000_000
    """Actors of one cohort."""
    cohort_members_max: int = 100_000
    """Actors that a static cohort lists."""
    cohort_conditions_max: int = 20
    """Conditions of one cohort."""
    cohorts_max: int = 20
    """Cohorts that one question uses."""
    session_events_max: int = 20_000_000
    """Events in which the sessions are found that filters and groups of a question name."""
    session_margin_hours: int = 24
    """How long before and after a timeframe the events of its sessions are read at most, beside the gap."""
    analyses_max: int = 100
    """Analyses of one multi-analysis."""
    series_max: int = 50
    """Named questions of one question for series."""
    formulas_max: int = 50
    """Formulas of one question for series."""
    rolling_max: int = 366
    """Intervals of one rolling window."""
    windows_max: int = 1_000
    """Statements that windows which overlap add up to, of one question for series."""
    series_top_max: int = 1_000
    """Groups that the ``top`` of a question for series keeps."""
    group_by_max: int = 100
    """Entries of ``group_by``."""
    ranges_max: int = 1_000
    """Ranges of one ``group_by`` entry."""
    property_names_max: int = 1_000
    conditions_max: int = 10_000
    """Comparisons that a query's filters add up to: one for each filter and column that it reads."""
    filters_max: int = 1_000
    """Filters of one list, including each ``or`` and its operands."""
    filter_depth_max: int = 100
    """Levels of ``or`` within ``or``."""
    filter_values_max: int = 100_000
    """Values in the list of one filter."""
    regex_length_max: int = 1_000
    """Characters."""
    regexes_size_max: int = 100_000
    """Characters of a query's regular expressions, repetitions expanded as in ``query.regex_cost``."""
    name_length_max: int = 10_000
    """Characters of a property path, a label or a collection's name."""

    def check_rows(self, rows: int) -> None:
        """Raises QueryLimitExceeded where ``rows`` exceed the limit.

        The message names the limit and not the number of rows, which would reveal to a filtered key how many
        events there are outside its filters.
        """
        if 0 < self.rows_max < rows:
            raise QueryLimitExceeded(
                f"The query would read more than {self.rows_max:,} events. Ask for a shorter timeframe: "
                "filters and groups do not change how many are read."
            )


@dataclass(frozen=True, slots=True)
class SqlLimits:
    """Upper limits of one statement: counts, unless the name ends in a unit."""

    rows_max: int = 100_000
    bytes_max: int = 50_000_000
    memory_bytes: int = 256 << 20
    spill_bytes: int = 2 << 30
    timeout_seconds: float = 60.0
    threads: int = 2
    length_max: int = 100_000
    """Characters of the text."""
    tables_max: int = 50
