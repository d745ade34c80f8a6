"""Access keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, Field, SkipValidation

from service.auth.access_keys import NAME_LENGTH_MAX, OPERATIONS, PERMITTED
from service.http.models.shared import AnswerBody, Json, RequestBody
from service.limits.quotas import NAMES

Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH_MAX)]
Names = list[str] | None


def _any_of(names: Iterable[str]) -> Json:
    return {"items": {"type": "string", "enum": list(names)}}


Permitted = Annotated[list[str], Field(fail_fast=True, json_schema_extra=_any_of(PERMITTED))]
Operations = Annotated[list[str], Field(json_schema_extra=_any_of(OPERATIONS))]
_QUOTAS: Json = {"properties": {name: {"type": "integer", "minimum": 0} for name in NAMES}}
Quotas = Annotated[Json, Field(json_schema_extra=_QUOTAS)]


class NameLists(BaseModel):
    """Names that the key may use, and names that it may not; a list that is absent excludes nothing."""

    allowed: Names = None
    blocked: Names = None


class SavedQueryOptions(NameLists):
    filters: list[Json] | None = None


class WriteOptions(BaseModel):
    autofill: Json | None = Field(None, description="Written into every event that is sent with the key.")


class QueryOptions(BaseModel):
    filters: list[Json] | None = Field(None, description="Apply to every query made with the key.")
    extraction: bool | None = None
    sql: bool | None = Field(None, description="Whether the key may send SQL; false where it is left out.")


class DatasetIndex(BaseModel):
    index_by: Json


class DatasetOptions(BaseModel):
    operations: Operations | None = None
    allowed: dict[str, DatasetIndex | None] | None = None
    blocked: Names = None


class EmbedOptions(BaseModel):
    origins: list[str] | None = Field(
        None, description="Pages that may embed charts by tokens of the key, where a token names none."
    )


class AccessKeyOptions(BaseModel):
    """What narrows the permissions of a key."""

    saved_queries: SavedQueryOptions | None = None
    writes: WriteOptions | None = None
    datasets: DatasetOptions | None = None
    cached_queries: NameLists | None = None
    queries: QueryOptions | None = None
    quotas: Quotas | None = None
    embed: EmbedOptions | None = None


class AccessKeyDefinition(RequestBody):
    name: Name
    is_active: bool = True
    permitted: Permitted
    options: Annotated[AccessKeyOptions | None, SkipValidation] = None
    # Checked by ``service.auth.access_keys``, which also reads the options of stored keys.


class AccessKey(AnswerBody):
    key: str | None = Field(description="null where the server's secret is not the one it was made under.")
    name: Name
    is_active: bool
    permitted: Permitted
    options: AccessKeyOptions | None
    project_id: str
    public_id: str | None = Field(description="Names the key without giving it away.")
