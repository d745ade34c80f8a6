"""Reads the API keys of a request, in the same way on every route."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from service.errors import InvalidParameter

_HEADERS = frozenset({b"authorization", b"idempotency-key", b"content-encoding"})
_PARAMETERS = frozenset({"api_key", "signature", "expires", "data", "redirect"})


def given_keys(scope: MutableMapping[str, Any]) -> tuple[bytes, str]:
    """The header ``Authorization`` and the parameter ``api_key``, each empty if absent.

    Raises InvalidParameter where one of them, or another header or parameter that affects authorization, is
    given twice: a gateway in front may have checked the other value.
    """
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _HEADERS:
            if name in headers:
                raise InvalidParameter(f"The header '{name.decode().title()}' is given twice: give it once.")
            headers[name] = value
    parameters: dict[str, str] = {}
    if scope["query_string"]:
        text = scope["query_string"].decode("latin-1").lstrip("?&")
        for key, parameter in parse_qsl(text, keep_blank_values=True):
            if key in _PARAMETERS:
                if key in parameters:
                    raise InvalidParameter(f"The parameter '{key}' is given twice: give it once.")
                parameters[key] = parameter
    return headers.get(b"authorization", b"").strip(), parameters.get("api_key", "")
