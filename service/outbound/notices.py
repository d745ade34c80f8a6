"""What webhooks are sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def body_of(kind: str, project_id: str, at_us: int, data: Mapping[str, Any]) -> str:
    """The body of a delivery, as JSON text."""
    at = datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat(timespec="milliseconds")
    body = {"type": kind, "project_id": project_id, "created_date": at.replace("+00:00", "Z"), "data": data}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)
