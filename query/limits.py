"""What one question may ask for and cost."""

from __future__ import annotations

from dataclasses import dataclass

from query.errors import QueryLimitExceeded


@dataclass(frozen=True, slots=True)
class Limits:
    """Counts unless the name ends in a unit. Going over one is a ``QueryLimitExceeded``."""

    rows_max: int = 0
    """Events in what a question reads: in files that its timeframe touches and in none yet; 0 is no limit."""
    intervals_max: int = 9_000
    """Buckets of one ``interval``."""
    groups_max: int = 1_000_000
    """Distinct groups of one answer."""
    cells_max: int = 2_000_000
    """Groups that occur in the intervals of one answer, counted in each interval."""
    funnel_actors_max: int = 1_000_000
    """Distinct actors of one funnel."""
    extraction_events_max: int = 100_000
    """Events of one extraction's answer."""
    extraction_scan_max: int = 1_000_000
    """Events that an extraction without ``latest`` may look at."""
    latest_max: int = 100_000
    response_bytes_max: int = 150_000_000
    timeout_seconds: float = 300.0

    steps_max: int = 20
    """Steps of one funnel."""
    analyses_max: int = 100
    """Analyses of one multi-analysis."""
    group_by_max: int = 100
    """Entries of ``group_by``."""
    ranges_max: int = 1_000
    """Ranges of one ``group_by`` entry."""
    property_names_max: int = 1_000
    conditions_max: int = 10_000
    """Comparisons that a question's filters come to: for each filter one with each column that it reads."""
    filters_max: int = 1_000
    """Filters of one list, ``or`` and its operands counted."""
    filter_depth_max: int = 100
    """Levels of ``or`` within ``or``."""
    filter_values_max: int = 100_000
    """Values in the list of one filter."""
    regex_length_max: int = 1_000
    """Characters."""
    regexes_size_max: int = 100_000
    """Characters of a question's regular expressions, written out as by ``query.regex_cost``."""
    name_length_max: int = 10_000
    """Characters of a property path, a label or a collection's name."""

    def check_rows(self, rows: int) -> None:
        """Raises QueryLimitExceeded, which says the limit and not how many there are: under a key that sees
        a part of the events, that would tell of the others."""
        if 0 < self.rows_max < rows:
            raise QueryLimitExceeded(
                f"The query would read more than {self.rows_max:,} events. Ask for a shorter timeframe: "
                "filters and groups do not change how many are read."
            )
