"""Saved queries: definitions, results, and information about their runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SkipValidation, model_validator

from query.language.parameter_table import ANALYSIS_NAMES
from service.http.models.shared import ABSENT, AnswerBody, Json, Moment, RequestBody, Warning
from service.saved_queries.definition import FIELDS, NAME_LENGTH_MAX, REFRESH_SECONDS_MAX, REFRESH_SECONDS_MIN

_REFRESH = (
    "0: computed when asked for. Otherwise computed again every so many seconds, from "
    f"{REFRESH_SECONDS_MIN} to {REFRESH_SECONDS_MAX}, and served from the last time."
)
_ANALYSED: Json = {
    "properties": {"analysis_type": {"type": "string", "enum": list(ANALYSIS_NAMES)}},
    "required": ["analysis_type"],
}


class SavedQueryDefinition(RequestBody):
    # Checked further by ``service.saved_queries.definition``.

    query: Json = Field(
        description="The parameters of a question, and `analysis_type`.", json_schema_extra=_ANALYSED
    )
    refresh_rate: Annotated[int, Field(ge=0, le=REFRESH_SECONDS_MAX), SkipValidation] = Field(
        0, description=_REFRESH
    )
    metadata: Any = Field(None, description="Any JSON; kept as it is.")
    query_name: str | None = Field(
        None,
        description="Another name than the one in the path renames it.",
        json_schema_extra={"pattern": f"^[A-Za-z0-9_-]{{1,{NAME_LENGTH_MAX}}}$"},
    )


class LegacySavedQuery(SavedQueryDefinition):
    @model_validator(mode="before")
    @classmethod
    def _with_query(cls, sent: Any) -> Any:
        """Moves the parameters into ``query``: the API's first version has them beside the fields."""
        if not isinstance(sent, dict) or "query" in sent:
            return sent
        fields = {name: value for name, value in sent.items() if name in FIELDS}
        return {**fields, "query": {name: value for name, value in sent.items() if name not in fields}}


class RunInformation(AnswerBody):
    last_run_date: datetime
    last_run_status: Literal["success", "failed"]
    last_run_message: str | None
    duration_ms: float
    events_scanned: int | None
    data_through: Moment
    stale: bool | None
    next_run_date: Moment


class AnalysedQuery(AnswerBody):
    analysis_type: str


class SavedQueryUrls(AnswerBody):
    cached_query_url: str
    cached_query_results_url: str


class SavedQueryFields(AnswerBody):
    query_name: str
    refresh_rate: int
    query: AnalysedQuery
    metadata: Any
    run_information: RunInformation | None
    created_date: datetime
    last_modified_date: datetime
    user_last_modified_date: datetime
    urls: SavedQueryUrls


class SavedQuery(SavedQueryFields):
    warnings: list[Warning] = ABSENT


class KeptBeside(AnswerBody):
    """What of an answer stands beside its result."""

    compare: Json = ABSENT
    completeness: list[Json] = ABSENT
    summary: Any = ABSENT
    erased_since: bool = Field(ABSENT, description="With `as_of`: events of the timeframe were erased since.")


class SavedResult(SavedQueryFields, KeptBeside):
    result: Any


class ViewerQuery(AnswerBody):
    analysis_type: str
    interval: Any
    group_by: Any
    timeframe: Any
    timezone: Any


class ViewerChanges(AnswerBody):
    """What the token lets its viewers change of the query."""

    timeframe: bool
    interval: bool
    filters: list[str]


class ViewerResult(KeptBeside):
    """What an embed token is told."""

    model_config = ConfigDict(extra="forbid")

    viewer: ViewerChanges
    query_name: str
    query: ViewerQuery
    metadata: Json | None
    result: Any


class PlainResult(KeptBeside):
    result: Any


class LegacyPut(AnswerBody):
    created: bool
    updated: bool
    saved_query: SavedQuery
