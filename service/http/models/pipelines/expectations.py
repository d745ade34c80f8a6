"""What the expectations of a pipeline found, and the rows that were accepted."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from service.http.models.pipelines.pipelines import FoundRule, SeverityName
from service.http.models.shared import AnswerBody, Count, RequestBody

ROWS_MAX = 1_000
RowDigest = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class Finding(AnswerBody):
    name: str
    severity: SeverityName
    buckets: Count = Field(description="In how many it was checked.")
    broken_buckets: Count = Field(
        description="In how many more rows were faulty than are tolerated, or their number was wrong."
    )
    rows: Count = Field(description="The rows that were checked.")
    faulty: Count = Field(description="Those that broke any rule.")
    rules: list[FoundRule]


class PipelineExpectations(AnswerBody):
    quarantine: str | None = Field(
        description="The collection of the rows that were set aside, if any can be."
    )
    set_aside: Count = Field(description="How many rows are in it.")
    expectations: list[Finding] = Field(description="In the order of the steps.")
    accepted: list[str] = Field(description="The digests of rows that pass although they break a rule.")


class AcceptedRows(RequestBody):
    what: ClassVar[str] = "The acceptance of rows"

    accept: Annotated[list[RowDigest], Field(max_length=ROWS_MAX)] | None = Field(
        None,
        description="The `digest` of rows in the quarantine: rows with the same values pass from now on.",
    )
    withdraw: Annotated[list[RowDigest], Field(max_length=ROWS_MAX)] | None = Field(
        None, description="The digests of accepted rows that are to be set aside again."
    )
