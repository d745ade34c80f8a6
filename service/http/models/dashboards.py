"""Metadata of dashboards, under the names that Keen's dashboard creator uses."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from service.auth.principal import KEY_LENGTH_MAX
from service.http.models.shared import AnswerBody, Count, Json, RequestBody


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


class ShareViewer(RequestBody):
    """What viewers may change; null and absent mean no."""

    timeframe: bool | None = None
    interval: bool | None = None
    filters: Annotated[list[str], Field(fail_fast=True)] | None = Field(
        None, description="The properties that they may add filters on."
    )


class DashboardShareSent(RequestBody):
    what: ClassVar[str] = "A share"

    name: Annotated[str, Field(min_length=1, max_length=256)]
    expires_at: int | None = Field(None, description="Unix seconds.")
    origins: Annotated[list[str], Field(fail_fast=True)] | None = None
    viewer: ShareViewer | None = None
    filters: Annotated[list[Json], Field(fail_fast=True)] | None = None


class DashboardShare(AnswerBody):
    id: str
    name: str
    dashboard_id: str
    token: str | None = Field(description="null where the server's secret is not the one it was made under.")
    link: str | None = Field(description="Opens the dashboard, without log-in.")
    iframe: str | None = Field(description="HTML for a page that is to show the dashboard.")
    made_by: str
    created_date: str
    last_used_on: str | None = Field(description="The last day of its use, in UTC; null: it was never used.")
    expires_at: int | None
    origins: list[str] | None
    viewer: ShareViewer | None = Field(description="null: what the dashboard's own controls say.")
    filters: list[Json] | None
