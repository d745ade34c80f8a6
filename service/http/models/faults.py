"""What FastAPI found wrong with a request's types, as the errors that the rest of the API has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from query.errors import InvalidQuery
from query.language.fields import missing, shown, wrong
from query.language.suggestions import nearest
from service.errors import InvalidParameter
from service.http.models.shared import Sent

Fault = Mapping[str, Any]

_NEEDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "bool_type": lambda _: "true or false",
    "string_type": lambda _: "a string",
    "string_unicode": lambda _: "text that is Unicode",
    "int_type": lambda _: "a whole number",
    "int_parsing": lambda _: "a whole number",
    "int_parsing_size": lambda _: "a whole number",
    "int_from_float": lambda _: "a whole number",
    "list_type": lambda _: "a list",
    "dict_type": lambda _: "an object",
    "model_type": lambda _: "an object",
    "model_attributes_type": lambda _: "an object",
    "greater_than_equal": lambda context: f"at least {context['ge']}",
    "less_than_equal": lambda context: f"at most {context['le']}",
    "literal_error": lambda context: f"one of {context['expected']}",
    "string_too_short": lambda context: f"a string of at least {context['min_length']} characters",
    "string_too_long": lambda context: f"a string of at most {context['max_length']} characters",
    "too_short": lambda context: f"a list of at least {context['min_length']} entries",
    "too_long": lambda context: f"a list of at most {context['max_length']} entries",
    "value_error": lambda context: str(context["error"]),
}
"""The kinds of faults that pydantic tells of our models → what the value must be."""


def fault_of(faults: Sequence[Fault], model: type[Sent]) -> InvalidQuery | InvalidParameter:
    """The first fault, naming the field and what it needs; ``model`` is the body's type."""
    fault = faults[0]
    name = _name(fault["loc"][1:])
    if not name and fault["type"] == "string_unicode":
        return InvalidParameter("A name of a field in the request body is not Unicode.")
    if not name:
        fields = ", ".join(model.model_fields)
        return InvalidParameter(f"{model.what} must be a JSON object: {fields}.")
    if fault["type"] == "missing":
        return _missing(name, fault)
    needs = _NEEDS.get(fault["type"])
    text = fault["msg"] if needs is None else needs(fault.get("ctx", {}))
    return wrong(name, text, fault["input"])


def _missing(name: str, fault: Fault) -> InvalidQuery | InvalidParameter:
    """That a field is missing, or that another is nearly it."""
    last = fault["loc"][-1]
    near = nearest(last, fault["input"]) if isinstance(fault["input"], dict) else None
    if near is None:
        return missing(name)
    return InvalidParameter(f"'{shown(near)}' is not known here. Did you mean '{name}'?")


def _name(where: Sequence[int | str]) -> str:
    """``users[0].email`` of ``("users", 0, "email")``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part[:100]}" for part in where)
    return "".join(parts).removeprefix(".")
