"""The specification's files as values: events, questions, and what must be answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml_rs

Json = Any

FOLDER = Path(__file__).resolve().parent
ANYTHING = "<anything>"
"""Stands in an expected answer for a value that no two runs share."""
_FILE_KEYS = {"about", "now", "events", "cases"}
_CASE_KEYS = {"name", "ask", "now", "by", "keys_in_order", "result", "warnings", "answer", "error"}
_ERROR_KEYS = {"status", "error_code", "message"}
_METHODS = ("POST", "GET")
IDENTITIES = "acumen.identities"
_COLLECTION = re.compile(r"(?<![^&])event_collection=[^&]+")


class BadSpecification(Exception):
    """A file is not written as the README says."""


@dataclass(frozen=True)
class Case:
    """One question and what must be answered. ``now`` is the time at which it must be asked, None where that
    makes no difference."""

    file: str
    name: str
    analysis: str
    params: Mapping[str, Json] | str
    """Of a query string, where it is text."""
    methods: tuple[str, ...]
    expected: Mapping[str, Json]
    """Has ``result`` (and perhaps ``warnings``), ``answer`` or ``error``."""
    keys_in_order: bool
    now: str | None

    def request(self, method: str, suffix: str) -> tuple[str, bytes | None]:
        """Path below the project, and body."""
        path = f"queries/{self.analysis}"
        if isinstance(self.params, str):
            text = _COLLECTION.sub(lambda found: found[0] + suffix, self.params)
            return f"{path}?{text}", None
        named = renamed(self.params, suffix)
        if method == "POST":
            return path, json.dumps(named).encode()
        pairs = [(name, _spelled(value)) for name, value in named.items() if value is not None]
        return f"{path}?{urlencode(pairs)}", None

    def asked(self) -> str:
        params = self.params if isinstance(self.params, str) else json.dumps(self.params)
        return f"{self.analysis} {params}"


@dataclass(frozen=True)
class File:
    name: str
    events: Mapping[str, list[Json]]
    """Collection → its events."""
    cases: tuple[Case, ...]


def files(folder: Path = FOLDER) -> list[File]:
    """The whole specification, or that of another folder. Raises BadSpecification."""
    return [read(path) for path in sorted(folder.glob("*.yaml"))]


def read(path: Path) -> File:
    """Raises BadSpecification."""
    try:
        found: Any = yaml_rs.loads(path.read_text(encoding="utf-8"), parse_datetime=False)
    except yaml_rs.YAMLDecodeError as error:
        raise BadSpecification(f"{path.name}: {error}") from None
    _check(path.name, found, _FILE_KEYS, ("about", "events", "cases"))
    names = [case.get("name") for case in found["cases"]]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise BadSpecification(f"{path.name}: these names stand twice: {twice}")
    cases = tuple(_case(path.stem, case, found.get("now")) for case in found["cases"])
    return File(path.stem, found["events"], cases)


def own_name(collection: str, suffix: str) -> str:
    """The name of a collection in this run; the one that the server knows by its name keeps it."""
    return collection if collection == IDENTITIES else collection + suffix


def renamed(params: Mapping[str, Json], suffix: str) -> dict[str, Json]:
    """The question about collections of this run's own: wherever one is named, the suffix is added."""
    return {name: _renamed(name, value, suffix) for name, value in params.items()}


def _renamed(name: str, value: Json, suffix: str) -> Json:
    if name == "event_collection" and isinstance(value, str) and value:
        return own_name(value, suffix)
    if name in ("steps", "events", "exclusions") and isinstance(value, list):
        return [renamed(step, suffix) if isinstance(step, dict) else step for step in value]
    if name in ("from", "to", "session") and isinstance(value, dict):
        return renamed(value, suffix)
    if name == "series" and isinstance(value, dict):
        return {label: renamed(one, suffix) if isinstance(one, dict) else one for label, one in value.items()}
    if name in ("filters", "all", "any") and isinstance(value, list):
        return [renamed(one, suffix) if isinstance(one, dict) else one for one in value]
    if name in ("property_value", "funnel") and isinstance(value, dict):
        return renamed(value, suffix)
    if name in ("starting_event", "returning_event") and isinstance(value, dict):
        return renamed(value, suffix)
    return value


def differences(expected: Json, got: Json, keys_in_order: bool = False, where: str = "") -> Iterator[str]:
    """What is wrong with a value, in words; nothing where it is as expected. Types are strict."""
    if expected == ANYTHING:
        return
    place = where or "the answer"
    if isinstance(expected, dict) and isinstance(got, dict):
        for name in expected.keys() - got.keys():
            yield f"{place}: lacks {json.dumps(name)}"
        for name in got.keys() - expected.keys():
            yield f"{place}: has {json.dumps(name)}, {_short(got[name])}"
        if keys_in_order and list(expected) != list(got) and expected.keys() == got.keys():
            yield f"{place}: has its keys in the order {', '.join(got)}"
        for name in expected:
            if name in got:
                inner = f"{where}.{name}" if where else name
                yield from differences(expected[name], got[name], keys_in_order, inner)
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            yield f"{place}: has {len(got)} entries, not {len(expected)}"
        for index, (one, other) in enumerate(zip(expected, got, strict=False)):
            yield from differences(one, other, keys_in_order, f"{where}[{index}]")
    elif type(expected) is not type(got) or expected != got:
        yield f"{place}: {_short(got)}, not {_short(expected)}"


def faults(case: Case, status: int, body: Json) -> list[str]:
    """Everything that is wrong with an answer."""
    error = case.expected.get("error")
    if error is not None:
        return list(_error_faults(error, status, body))
    if status != 200:
        return [f"the status is {status}, not 200"]
    whole = case.expected.get("answer")
    if whole is not None:
        return list(differences(whole, body, case.keys_in_order))
    if not isinstance(body, dict):
        return ["the answer is no object"]
    beside = {name: value for name, value in body.items() if name != "warnings"}
    found = list(differences({"result": case.expected["result"]}, beside, case.keys_in_order))
    return found + list(_warning_faults(case.expected.get("warnings", []), body.get("warnings", [])))


def _error_faults(error: Mapping[str, Json], status: int, body: Json) -> Iterator[str]:
    if status != error["status"]:
        yield f"the status is {status}, not {error['status']}"
    if not isinstance(body, dict) or body.keys() != {"error_code", "message"}:
        yield "an error has error_code and message, and nothing else"
        return
    if body["error_code"] != error["error_code"]:
        yield f"error_code: {body['error_code']}, not {error['error_code']}"
    if error.get("message", "") not in body["message"]:
        yield f"message: {body['message']!r} does not hold {error['message']!r}"


def _warning_faults(expected: list[Json], got: list[Json]) -> Iterator[str]:
    """Of each warning only what is expected of it is looked at."""
    if len(expected) != len(got):
        yield f"warnings: has {len(got)} entries, not {len(expected)}: {_short(got)}"
        return
    for index, (one, other) in enumerate(zip(expected, got, strict=True)):
        yield from differences(one, {name: other.get(name) for name in one}, where=f"warnings[{index}]")


def _case(file: str, given: Any, now: str | None) -> Case:
    label = f"{file}: {given.get('name') if isinstance(given, dict) else given}"
    _check(label, given, _CASE_KEYS, ("name", "ask"))
    told = [name for name in ("result", "answer", "error") if name in given]
    if len(told) != 1 or ("warnings" in given and told != ["result"]):
        raise BadSpecification(f"{label}: give one of result (with warnings), answer and error")
    if told == ["error"]:
        _check(label, given["error"], _ERROR_KEYS, ("status", "error_code"))
    ask = dict(given["ask"])
    analysis = ask.pop("analysis")
    as_text = "query_string" in ask
    methods: tuple[str, ...] = ("GET",) if as_text else _METHODS
    if "by" in given:
        methods = (given["by"],)
    if not set(methods) <= set(_METHODS) or (as_text and ask.keys() != {"query_string"}):
        raise BadSpecification(
            f"{label}: a question is asked by POST or GET, and a query string is all of it"
        )
    params = ask["query_string"] if as_text else ask
    expected = {name: given[name] for name in (*told, "warnings") if name in given}
    in_order = bool(given.get("keys_in_order", False))
    return Case(file, given["name"], analysis, params, methods, expected, in_order, given.get("now", now))


def _check(where: str, given: Any, known: set[str], needed: tuple[str, ...]) -> None:
    if not isinstance(given, dict) or given.keys() - known or set(needed) - given.keys():
        raise BadSpecification(f"{where}: needs {', '.join(needed)} and knows {', '.join(sorted(known))}")


def _spelled(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _short(value: Json) -> str:
    text = json.dumps(value)
    return text if len(text) <= 300 else text[:300] + "…"
