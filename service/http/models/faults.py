"""Validation errors of FastAPI, turned into errors as the rest of the API has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from query.errors import InvalidQuery
from query.language.fields import missing, wrong
from query.language.suggestions import nearest
from service.errors import InvalidParameter
from service.http.models.shared import RequestBody

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
"""The types of pydantic errors that the models can cause → what the value must be."""


def fault_of(faults: Sequence[Fault], model: type[RequestBody]) -> InvalidQuery | InvalidParameter:
    """An error for the first fault, naming the field and what it needs; ``model`` is the body's type."""
    fault = faults[0]
    name = _name(fault["loc"][1:])
    if not name and fault["type"] == "string_unicode":
        return InvalidParameter("A name of a field in the request body is not Unicode.")
    if not name:
        fields = ", ".join(model.model_fields)
        return InvalidParameter(f"{model.what} must be a JSON object: {fields}.")
    if fault["type"] == "missing":
        return _missing(name, fault["input"], model)
    needs = _NEEDS.get(fault["type"])
    text = fault["msg"] if needs is None else needs(fault.get("ctx", {}))
    return wrong(name, text, fault["input"])


def _missing(name: str, sent: Any, model: type[RequestBody]) -> InvalidQuery:
    """The error for a missing field; if an unknown field with a similar name was sent, it asks about that."""
    fault = missing(name)
    unknown = [one for one in sent if one not in model.model_fields] if name in model.model_fields else []
    like = next((one for one in unknown if nearest(one, (name,))), None)
    if like is None:
        return fault
    return InvalidQuery(f"{fault.message} '{like[:100]}' is not known. Did you mean '{name}'?", fault.code)


def _name(where: Sequence[int | str]) -> str:
    """``users[0].email`` of ``("users", 0, "email")``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part[:100]}" for part in where)
    return "".join(parts).removeprefix(".")
