"""Presets: how other services count by default, as parameters of funnels, retention and sessions.

    python -m query.language.analyses.presets     prints the tables of docs/presets.md

Each row is what its source says of the service; none was compared with the service itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from query.errors import InvalidQuery
from query.language.analyses.behaviour_nodes import Counting
from query.language.fields import wrong

COUNTING = "counting"


class Preset(StrEnum):
    """The services whose defaults are known."""

    KEEN = "keen"
    MIXPANEL = "mixpanel"
    AMPLITUDE = "amplitude"
    POSTHOG = "posthog"
    GA4 = "ga4"
    PLAUSIBLE = "plausible"


@dataclass(frozen=True, slots=True)
class PresetRow:
    """One service's defaults for one analysis."""

    parameters: Mapping[str, str]
    """Used where the query has no value of its own."""
    source: str
    read: str
    """The day on which the source was read."""
    differs: str = ""
    """What no parameter expresses."""


_READ = "2026-11-30"
_MIXPANEL_FUNNELS = "https://docs.mixpanel.com/docs/reports/funnels/funnels-advanced"
_MIXPANEL_RETENTION = (
    "https://help.mixpanel.com/hc/en-us/articles/360045484191-Advanced-Retention-Functionality"
)
_MIXPANEL_SESSIONS = "https://docs.mixpanel.com/docs/features/sessions"
_AMPLITUDE_API = "https://amplitude.com/docs/apis/analytics/dashboard-rest"
_AMPLITUDE_RETENTION = (
    "https://amplitude.com/docs/analytics/charts/retention-analysis/retention-analysis-time"
)
_AMPLITUDE_SESSIONS = "https://help.amplitude.com/hc/en-us/articles/115002323627-Tracking-Sessions"
_POSTHOG_SOURCE = "https://github.com/PostHog/posthog/blob/master/posthog/schema.py"
_POSTHOG_RETENTION = "https://posthog.com/docs/user-guides/retention"
_POSTHOG_SESSIONS = "https://posthog.com/manual/sessions"
_GA4_FUNNELS = "https://www.optimizesmart.com/open-and-closed-funnels-in-ga4-with-examples/"
_GA4_COHORTS = "https://optimizesmart.com/blog/cohort-exploration-report-in-google-analytics-4-ga4/"
_GA4_SESSIONS = "https://support.google.com/analytics/answer/12798876"
_PLAUSIBLE_FUNNELS = "https://github.com/plausible/analytics/blob/master/extra/lib/plausible/stats/funnel.ex"
_PLAUSIBLE_METRICS = "https://plausible.io/docs/metrics-definitions"
_NO_SESSION = "Sessions come from ids that its SDKs send; here they are found by the gap alone."

PRESETS: Mapping[str, Mapping[Preset, PresetRow]] = {
    "funnel": {
        Preset.KEEN: PresetRow(
            {"order": "any"},
            "https://keen.io/docs/api/#funnels",
            _READ,
        ),
        Preset.MIXPANEL: PresetRow(
            {"order": "ordered", "window": "7_days", "counting": "actors"},
            _MIXPANEL_FUNNELS,
            _READ,
            "Without its optimised re-entry only an actor's first entry counts; here the attempt that gets "
            "furthest does. Older reports have a window of 30 days. Only entries need lie in its timeframe; "
            "here all steps do.",
        ),
        Preset.AMPLITUDE: PresetRow(
            {"order": "ordered", "window": "30_days", "counting": "actors"},
            _AMPLITUDE_API,
            _READ,
            "The window is that of its API; its charts may begin with another. Only entries need lie in its "
            "timeframe. Grouped, the group is that of the first step.",
        ),
        Preset.POSTHOG: PresetRow(
            {"order": "ordered", "window": "14_days", "counting": "actors"},
            _POSTHOG_SOURCE,
            _READ,
            "It merges people by its own rules of identification.",
        ),
        Preset.GA4: PresetRow(
            {"order": "ordered", "counting": "actors"},
            _GA4_FUNNELS,
            _READ,
            "A closed funnel with steps that follow indirectly. Its numbers may be sampled or estimated.",
        ),
        Preset.PLAUSIBLE: PresetRow(
            {"order": "ordered", "window": "24_hours", "counting": "actors"},
            _PLAUSIBLE_FUNNELS,
            _READ,
            "A visitor is another one on the next day. By ClickHouse's windowFunnel, one event that passes "
            "the conditions of several steps counts for all of them; here each step has an event of its own.",
        ),
    },
    "retention": {
        Preset.MIXPANEL: PresetRow(
            {"cohort": "first_time", "period_type": "rolling", "returned": "on_or_after"},
            _MIXPANEL_RETENTION,
            _READ,
            "A rolling month is 30 days: interval `every_30_days`.",
        ),
        Preset.AMPLITUDE: PresetRow(
            {"cohort": "recurring", "period_type": "rolling", "returned": "on"},
            _AMPLITUDE_RETENTION,
            _READ,
            "It rounds times down to the hour, and by weeks and months to the day. A month is 30 days: "
            "interval `every_30_days`.",
        ),
        Preset.POSTHOG: PresetRow(
            {"cohort": "first_time", "first_in": "history", "period_type": "calendar", "returned": "on"},
            _POSTHOG_RETENTION,
            _READ,
        ),
        Preset.GA4: PresetRow(
            {"cohort": "first_time", "first_in": "history", "period_type": "calendar", "returned": "on"},
            _GA4_COHORTS,
            _READ,
            "It counts devices. Name your event of a first visit as the starting event.",
        ),
    },
    "sessions": {
        Preset.MIXPANEL: PresetRow(
            {"gap": "30_minutes", "cut": "daily"},
            _MIXPANEL_SESSIONS,
            _READ,
            "Midnight is that of the project's timezone: send it as `timezone`.",
        ),
        Preset.AMPLITUDE: PresetRow(
            {"gap": "30_minutes"},
            _AMPLITUDE_SESSIONS,
            _READ,
            f"{_NO_SESSION} On phones the gap is `5_minutes`.",
        ),
        Preset.POSTHOG: PresetRow(
            {"gap": "30_minutes", "longest": "24_hours"},
            _POSTHOG_SESSIONS,
            _READ,
            _NO_SESSION,
        ),
        Preset.GA4: PresetRow(
            {"gap": "30_minutes"},
            _GA4_SESSIONS,
            _READ,
            "Its bounces are sessions that were not engaged: shorter than 10 seconds, of one page and "
            "without a key event. Here a bounce has one event.",
        ),
        Preset.PLAUSIBLE: PresetRow(
            {"gap": "30_minutes"},
            _PLAUSIBLE_METRICS,
            _READ,
            "A visit that has one page view and custom events is no bounce, here as there.",
        ),
    },
}
"""By analysis: the services that have one like it."""
_OWN: Mapping[str, tuple[str, ...]] = {
    "funnel": tuple(Counting),
    "retention": (Counting.ACTORS,),
    "sessions": (Counting.SESSIONS,),
}
"""By analysis: the values of ``counting`` that are no presets."""


def with_preset(analysis: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters, completed by the preset that ``counting`` names. Raises InvalidQuery.

    A parameter of the query takes precedence over the preset's.
    """
    known = PRESETS.get(analysis)
    named = params.get(COUNTING)
    if known is None or named is None or named == "" or named in _OWN[analysis]:
        return params
    if not isinstance(named, str) or named not in tuple(Preset):
        raise wrong(COUNTING, f"one of {', '.join((*_OWN[analysis], *known))}", named)
    row = known.get(Preset(named))
    if row is None:
        raise InvalidQuery(
            f"'{COUNTING}' cannot be '{named}' here: the service has no {analysis}. "
            f"Use one of {', '.join(known)}, or leave it out."
        )
    given = {
        name: value for name, value in params.items() if value not in (None, "", []) and name != COUNTING
    }
    return {**row.parameters, **given}


def tables() -> str:
    """The rows of each analysis as tables in Markdown."""
    parts = []
    for analysis, rows in PRESETS.items():
        lines = [
            f"### `{analysis}`",
            "",
            "| `counting` | stands for | what may differ still | source |",
            "|---|---|---|---|",
        ]
        for preset, row in rows.items():
            stands = ", ".join(f'`{name}: "{value}"`' for name, value in row.parameters.items())
            lines.append(
                f"| `{preset}` | {stands} | {row.differs or '–'} | [{_site(row.source)}]({row.source}), "
                f"read {row.read} |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _site(source: str) -> str:
    return source.split("/")[2].removeprefix("www.")


if __name__ == "__main__":
    print(tables())  # noqa: T201
