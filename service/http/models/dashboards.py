"""Metadata of dashboards, under the names that Keen's dashboard creator uses."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from service.auth.principal import KEY_LENGTH_MAX
from service.http.models.shared import AnswerBody, Count, RequestBody


class DashboardMetadataSent(RequestBody):
    what: ClassVar[str] = "A dashboard's metadata"

    title: str | None = None
    widgets: Count | None = None
    queries: Count | None = None
    tags: Annotated[list[str], Field(fail_fast=True)] | None = None
    lastModificationDate: Count | None = None
    isPublic: bool | None = None
    publicAccessKey: Annotated[str, Field(max_length=KEY_LENGTH_MAX)] | None = None


class DashboardMetadata(AnswerBody):
    model_config = ConfigDict(extra="allow")

    id: str
    title: str | None
    widgets: Count
    queries: Count
    tags: list[str]
    lastModificationDate: Count | None
    isPublic: bool
    publicAccessKey: str | None
