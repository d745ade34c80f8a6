"""URL paths of a project's resources."""

from __future__ import annotations

from urllib.parse import quote

PROJECTS = "/3.0/projects"


def url_of(project_id: str, *segments: str) -> str:
    """``/3.0/projects/P/…``, each segment percent-encoded."""
    return "/".join([PROJECTS, *(quote(segment, safe="") for segment in (project_id, *segments))])
