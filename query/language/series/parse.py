"""Parses a question for series: its named questions, and what is computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.analyses.metrics import METRICS, parse_analysis, parse_metric
from query.language.analyses.parsing import Parsing
from query.language.fields import (
    encodable,
    is_number,
    missing,
    required_text,
    shown,
    structured,
    text,
    whole,
    wrong,
)
from query.language.filters import CODE as FILTER_CODE
from query.language.filters import is_geo
from query.language.grouping import CODE as GROUP_CODE
from query.language.grouping import LIMIT_CODE, parse_limit, parse_order
from query.language.nodes import Analysis, Filter, Group
from query.language.parameter_table import value_of
from query.language.series.completeness import parse_completeness
from query.language.series.formulas import named, parse_formula
from query.language.series.nodes import (
    PLAIN,
    Fill,
    Formula,
    Labelled,
    Series,
    SeriesQuery,
    Share,
    Top,
    Window,
    Windowed,
    WindowKind,
)
from query.language.series.periods import TimeParameters, compared_period, period_of
from query.language.suggestions import did_you_mean, nearest

CUMULATIVE, ROLLING, SHARE = ".cumulative", ".rolling", ".share"
"""What the labels of computed series end with."""
OTHER = "other"
"""What the row of all groups but the first is called, if nothing else is said."""
_RESERVED = ("result", "timeframe")
_ANALYSES = {name: one for name, one in METRICS.items() if one is not Analysis.SELECT_UNIQUE}


def parse_series(parsing: Parsing) -> SeriesQuery:
    """Raises InvalidQuery, QueryLimitExceeded."""
    params, limits = parsing.params, parsing.limits
    groups = parsing.groups(params.get("group_by"))
    series = _series(parsing, groups)
    formulas = _formulas(parsing, [one.label for one in series])
    bases = [*(one.label for one in series), *(one.label for one in formulas)]
    windowed = (*_cumulative(params, bases), *_rolling(params, bases, parsing))
    shares = tuple(Share(name + SHARE, name) for name in _labels(params, "share", bases))
    parts: tuple[Labelled, ...] = (*series, *formulas, *windowed, *shares)
    _check_names(parts, groups)
    _check_formulas(formulas, series, windowed)
    top = _top(params, groups, bases, limits.series_top_max, limits.name_length_max)
    length = max((one.window.length for one in windowed), default=1)
    frame = TimeParameters(
        params.get("timeframe"),
        params.get("timezone"),
        params.get("interval"),
        parsing.now_us,
        limits,
        parsing.preferences.week_start,
        length - 1,
    )
    _check_interval(frame, windowed, shares, groups)
    _check_plain("share", (one.of for one in shares), formulas, windowed)
    if top is not None:
        _check_plain("top.by", (top.by,), formulas, windowed)
    period = period_of(frame)
    compare = params.get("compare")
    open_intervals = parse_completeness(params.get("completeness"), frame, period)
    labels = [one.label for one in parts]
    visible = _labels(params, "show", labels) or labels
    order = parse_order(params.get("order_by"), groups, visible)
    limit = parse_limit(params, order)
    if top is not None and limit is not None:
        raise InvalidQuery("'limit' has no place beside 'top', whose 'limit' it would undo.", LIMIT_CODE)
    return SeriesQuery(
        series=series,
        formulas=formulas,
        windowed=windowed,
        shares=shares,
        shown=tuple(visible),
        period=period,
        compared=None if compare in (None, "") else compared_period(frame, period, compare),
        groups=groups,
        divided=frame.divided,
        top=top,
        order=order,
        limit=limit,
        zero_fill=value_of(params, "zero_fill"),
        fill=_fill(params),
        decimals=parsing.preferences.decimals,
        open_intervals=open_intervals,
    )


def _object(name: str, value: Any, needs: str) -> Mapping[str, Any]:
    given = structured(name, value)
    if not isinstance(given, Mapping):
        raise wrong(name, needs, given)
    return given


def _series(parsing: Parsing, groups: Sequence[Group]) -> tuple[Series, ...]:
    given = structured("series", parsing.params.get("series"))
    if given is None or given == "":
        raise missing("series")
    if not isinstance(given, Mapping) or not given:
        raise wrong("series", "an object of at least one name and its question", given)
    if len(given) > parsing.limits.series_max:
        raise QueryLimitExceeded(f"'series' may have at most {parsing.limits.series_max} entries.")
    root = parsing.filters(parsing.params.get("filters"))
    return tuple(_one_series(parsing, label, entry, root, groups) for label, entry in given.items())


def _one_series(
    parsing: Parsing, label: Any, entry: Any, root: tuple[Filter, ...], groups: Sequence[Group]
) -> Series:
    label = text("series", label, parsing.limits.name_length_max)
    where = f"series.{shown(label)}"
    if not isinstance(entry, Mapping):
        raise wrong(where, "an object with event_collection, analysis_type and target_property", entry)
    collection = required_text(entry, "event_collection", parsing.limits.name_length_max, f"{where}.")
    metric = parse_metric(parse_analysis(entry, where, _ANALYSES), entry, parsing, label, f"{where}.")
    filters = (*root, *parsing.filters(entry.get("filters"), f"{where}.filters"))
    if groups and any(map(is_geo, filters)):
        raise InvalidQuery("The operator 'within' cannot be used together with 'group_by'.", FILTER_CODE)
    own = entry.get("group_by")
    if own is None or own == "" or own == []:
        return Series(label, collection, metric, filters, len(root), tuple(groups))
    here = parsing.groups(own, f"{where}.group_by")
    if len(here) != len(groups):
        needs = f"a list of {len(groups)} properties, one for each of the whole question's 'group_by'"
        raise wrong(f"{where}.group_by", needs, own, GROUP_CODE)
    return Series(label, collection, metric, filters, len(root), here)


def _formulas(parsing: Parsing, series: Sequence[str]) -> tuple[Formula, ...]:
    value = structured("formulas", parsing.params.get("formulas"))
    if value is None or value == "" or value == {}:
        return ()
    given = _object("formulas", value, "an object of names and formulas")
    if len(given) > parsing.limits.formulas_max:
        raise QueryLimitExceeded(f"'formulas' may have at most {parsing.limits.formulas_max} entries.")
    formulas = []
    for name, formula in given.items():
        label = text("formulas", name, parsing.limits.name_length_max)
        where = f"formulas.{shown(label)}"
        if not isinstance(formula, str) or not formula.strip() or not encodable(formula):
            raise wrong(where, "a formula such as 'revenue / visitors'", formula)
        formulas.append(Formula(label, parse_formula(where, formula), parsing.preferences.decimals))
    return tuple(formulas)


def _labels(params: Mapping[str, Any], name: str, known: Sequence[str]) -> list[str]:
    """A list of labels, or one."""
    value = structured(name, params.get(name))
    if value is None or value == "" or value == []:
        return []
    listed = value if isinstance(value, list) else [value]
    for one in listed:
        _check_known(name, one, known)
    return list(dict.fromkeys(listed))


def _check_known(name: str, label: Any, known: Sequence[str]) -> None:
    if not isinstance(label, str) or label not in known:
        listed = ", ".join(map(shown, known[:20])) + (" …" if len(known) > 20 else "")
        raise wrong(name, f"one of {listed}", label, hint=did_you_mean(label, known))


def _cumulative(params: Mapping[str, Any], bases: Sequence[str]) -> Iterable[Windowed]:
    window = Window(WindowKind.CUMULATIVE)
    return [Windowed(name + CUMULATIVE, name, window) for name in _labels(params, "cumulative", bases)]


def _rolling(params: Mapping[str, Any], bases: Sequence[str], parsing: Parsing) -> Iterable[Windowed]:
    value = structured("rolling", params.get("rolling"))
    if value is None or value == "" or value == {}:
        return []
    given = _object("rolling", value, "an object of names and numbers of intervals")
    most = parsing.limits.rolling_max
    windowed = []
    for name, number in given.items():
        _check_known("rolling", name, bases)
        length = whole(f"rolling.{shown(name)}", number, 1)
        if length > most:
            raise QueryLimitExceeded(f"'rolling.{shown(name)}' may be at most {most:,} intervals.")
        window = PLAIN if length == 1 else Window(WindowKind.ROLLING, length)
        windowed.append(Windowed(name + ROLLING, name, window))
    return windowed


def _check_names(parts: Sequence[Labelled], groups: Sequence[Group]) -> None:
    """Raises InvalidQuery where two values of a row would have the same name."""
    taken = {*_RESERVED, *(group.path for group in groups)}
    for one in parts:
        if one.label in taken:
            what = "series" if isinstance(one, Series) else "formulas"
            raise wrong(
                what,
                "an object whose names are not 'result' or 'timeframe', no property of group_by, and "
                "different from all others",
                one.label,
            )
        taken.add(one.label)


def _check_formulas(
    formulas: Sequence[Formula], series: Sequence[Series], windowed: Sequence[Windowed]
) -> None:
    """Raises InvalidQuery for unknown names, and formulas that need their own value."""
    by_label = {one.label: one for one in formulas}
    over = {one.label: one.of for one in windowed}
    known = [*(one.label for one in series), *by_label, *over]
    for formula in formulas:
        for name in named(formula.expression):
            if name.label not in known:
                others = [label for label in known if label != formula.label]
                raise InvalidQuery(
                    f"'formulas.{shown(formula.label)}': '{shown(name.label)}' at position {name.position} "
                    f"is no series or formula. {_hint(name.label, others)}"
                )
    depths: dict[str, int] = {}
    for formula in formulas:
        _check_cycles(formula.label, by_label, over, [], depths)
    _check_windows(by_label, windowed)


def _hint(label: str, known: Sequence[str]) -> str:
    """What may help whoever used a name that is not there."""
    of, _, window = label.rpartition(".")
    if of in known and window in ("cumulative", "rolling", "share"):
        return f"It is there where '{window}' has '{shown(of)}'."
    near = nearest(label, known)
    return f"Did you mean '{near}'?" if near else f"Known are {', '.join(known[:20])}."


def _check_windows(by_label: Mapping[str, Formula], windowed: Sequence[Windowed]) -> None:
    """Raises InvalidQuery where windows are asked of a formula that has windows of its own."""
    over = {one.label for one in windowed}
    for one in windowed:
        inner = next((name for name in _all_names(one.of, by_label) if name in over), None)
        if inner is not None:
            raise InvalidQuery(
                f"'{shown(one.label)}' cannot be computed: the formula 'formulas.{shown(one.of)}' uses "
                f"'{shown(inner)}', which has windows of its own."
            )


def _check_plain(
    name: str, labels: Iterable[str], formulas: Sequence[Formula], windowed: Sequence[Windowed]
) -> None:
    """Raises InvalidQuery for a formula with windows of its own, where only whole timeframes are computed."""
    by_label = {one.label: one for one in formulas}
    over = {one.label for one in windowed}
    for label in labels:
        inner = next((one for one in _all_names(label, by_label) if one in over), None)
        if inner is not None:
            raise InvalidQuery(
                f"'{name}' cannot be of '{shown(label)}': the formula uses '{shown(inner)}', which is "
                "computed for intervals only."
            )


def _check_cycles(
    label: str,
    by_label: Mapping[str, Formula],
    over: Mapping[str, str],
    path: Sequence[str],
    checked: dict[str, int],
) -> None:
    label = over.get(label, label)
    if label not in by_label or label in checked:
        return
    if label in path:
        circle = " → ".join(map(shown, (*path[path.index(label) :], label)))
        raise InvalidQuery(f"'formulas.{shown(label)}' needs its own value: {circle}.")
    for name in named(by_label[label].expression):
        _check_cycles(name.label, by_label, over, [*path, label], checked)
    checked[label] = len(path)


def _all_names(label: str, by_label: Mapping[str, Formula]) -> Iterable[str]:
    """All names that a formula uses, also through other formulas."""
    seen: set[str] = set()
    waiting = [label]
    while waiting:
        one = by_label.get(waiting.pop())
        names = [] if one is None else [name.label for name in named(one.expression)]
        waiting += [name for name in names if name not in seen]
        seen.update(names)
    return seen


def _check_interval(
    frame: TimeParameters, windowed: Sequence[Windowed], shares: Sequence[Share], groups: Sequence[Group]
) -> None:
    if frame.divided:
        return
    if windowed:
        raise missing("interval", because=windowed[0].label.rpartition(".")[2])
    if shares and not groups:
        raise InvalidQuery("'share' needs a 'group_by' or an 'interval': what the total is shared by.")


def _top(
    params: Mapping[str, Any], groups: Sequence[Group], bases: Sequence[str], most: int, name_length: int
) -> Top | None:
    value = structured("top", params.get("top"))
    if value is None or value == "" or value == {}:
        return None
    if is_number(value):
        value = {"limit": value}
    given = _object("top", value, 'an object such as {"limit": 5, "by": "revenue", "other": true}')
    if not groups:
        raise InvalidQuery("'top' needs a 'group_by'.")
    if given.get("limit") is None:
        raise missing("top.limit")
    limit = whole("top.limit", given["limit"], 1)
    if limit > most:
        raise QueryLimitExceeded(f"'top.limit' may be at most {most:,}.")
    by = given.get("by", bases[0])
    _check_known("top.by", by, bases)
    other = given.get("other", False)
    if isinstance(other, bool):
        return Top(limit, by, OTHER if other else None)
    return Top(limit, by, text("top.other", other, name_length))


def _fill(params: Mapping[str, Any]) -> Fill:
    if "fill" not in params or params["fill"] == "":
        return Fill.ANALYSIS
    value = params["fill"]
    if value is None:
        return Fill.NULL
    word = str(value) if isinstance(value, str) or (is_number(value) and value == 0) else None
    if word == "0.0":
        word = "0"
    if word is None or word not in (Fill.ZERO, Fill.NULL, Fill.PREVIOUS):
        known = ["null", "previous"]
        raise wrong("fill", "0, null or 'previous'", value, hint=did_you_mean(value, known))
    return Fill(word)
