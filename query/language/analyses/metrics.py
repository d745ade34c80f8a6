"""Parses one analysis of single events, alone or as a member of a larger question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from query.language.analyses.parsing import Parsing
from query.language.fields import missing, real, text, wrong
from query.language.nodes import ActorIdentity, Analysis, Metric
from query.language.parameters import analysis_meant
from query.language.preferences import decimals
from query.language.suggestions import meant

METRICS = {analysis.value: analysis for analysis in Analysis}


def parse_analysis(entry: Mapping[str, Any], where: str, known: Mapping[str, Analysis] = METRICS) -> Analysis:
    """The analysis that an entry's ``analysis_type`` names; ``where`` is the entry's name in messages."""
    name = entry.get("analysis_type")
    if name is None:
        raise missing(f"{where}.analysis_type")
    analysis = known.get(name) if isinstance(name, str) else None
    if analysis is None:
        hint = meant(analysis_meant(name, known))
        raise wrong(f"{where}.analysis_type", f"one of {', '.join(known)}", name, hint=hint)
    return analysis


def parse_metric(
    analysis: Analysis,
    params: Mapping[str, Any],
    parsing: Parsing,
    label: str | None = None,
    where: str = "",
) -> Metric:
    shown = decimals(params.get("round"), parsing.preferences.decimals, f"{where}round")
    if analysis is Analysis.COUNT:
        return Metric(analysis, label=label)
    target = params.get("target_property")
    if target is None or target == "":
        raise missing(f"{where}target_property")
    target = text(f"{where}target_property", target, parsing.limits.name_length_max)
    percentile = None
    if analysis is Analysis.PERCENTILE:
        percentile = _percentile(params.get("percentile"), f"{where}percentile")
    return Metric(analysis, target, percentile, label, shown, _is_merged(analysis, target, parsing))


def _is_merged(analysis: Analysis, target: str, parsing: Parsing) -> bool:
    """Whether values are ids of actors: in the project's property, or in any where the query says so."""
    if analysis not in (Analysis.COUNT_UNIQUE, Analysis.SELECT_UNIQUE):
        return False
    identity = parsing.identity
    return target == parsing.preferences.actor if identity is None else identity is ActorIdentity.MERGED


def _percentile(value: Any, name: str) -> float:
    if value is None or value == "":
        raise missing(name)
    percentile = real(name, value)
    if not 0 < percentile <= 100 or round(percentile, 2) != percentile:
        raise wrong(name, "a number above 0 and up to 100 with two decimals at most", value)
    return percentile
