"""Cached datasets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SkipValidation

from service.http.models.shared import ABSENT, AnswerBody, Json, RequestBody, Warning


class NewDataset(RequestBody):
    # Checked further by ``service.datasets.definition``.

    query: Json = Field(
        description="Any analysis but `extraction`, `funnel`, `paths`, `series` and `sessions`, with "
        "`analysis_type`, `timeframe` and `interval`; otherwise as for `/queries`."
    )
    index_by: Annotated[str | list[str], SkipValidation] = Field(description="One to three properties.")
    display_name: str | None = None


class Dataset(AnswerBody):
    warnings: list[Warning] = ABSENT
    project_id: str
    organization_id: str
    dataset_name: str
    display_name: str
    query: Json
    index_by: list[str]
    last_scheduled_date: str
    latest_subtimeframe_available: str = Field(
        description="The end of the timeframe that was computed; 1970 before the first run."
    )
    milliseconds_behind: int = Field(
        description="How long ago the results were computed: later events may be missing."
    )
    status: Literal["Created", "Bootstrapping", "OK", "BootstrappingFailed", "Warn"]
    status_message: str = Field(ABSENT, description="Why the last run failed, where it did.")


class ViewerDataset(AnswerBody):
    """What an embed token is told."""

    model_config = ConfigDict(extra="forbid")

    dataset_name: str
    display_name: str
    query: Json


class Datasets(AnswerBody):
    datasets: list[Dataset]
    next_page_url: str | None
    count: int


class Ends(AnswerBody):
    start: str
    end: str


class DatasetRow(AnswerBody):
    timeframe: Ends
    value: Any = None


class DatasetMetadata(AnswerBody):
    dataset: Dataset | ViewerDataset
    request: Json


class DatasetResult(AnswerBody):
    result: list[DatasetRow]
    metadata: DatasetMetadata
