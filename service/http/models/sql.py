"""Requests of SQL, and their answers."""

from __future__ import annotations

from pydantic import Field

from service.http.models.shared import ABSENT, AnswerBody, Json


class SqlColumn(AnswerBody):
    name: str
    type: str = Field(description="DuckDB's name of the type.")


class SqlTable(AnswerBody):
    name: str
    columns: list[str]
    files: list[str] = Field(description="The files of its events.")
    events_in_no_file: int = Field(description="Events that are read beside the files.")


class SqlExplanation(AnswerBody):
    plan: str = Field(description="DuckDB's plan.")
    tables: list[SqlTable]


class SqlResult(AnswerBody):
    columns: list[SqlColumn]
    result: list[Json] = Field(description="The rows, each an object of the columns' names.")
    truncated: bool = Field(description="Whether rows were left out because the request gave a `limit`.")
    explain: SqlExplanation = ABSENT
    complete: bool = Field(ABSENT, description="false where damaged files were left out.")
    damaged_files: list[str] = Field(ABSENT, description="Their names, for keys without filters.")


REQUEST: Json = {
    "type": "object",
    "required": ["sql"],
    "additionalProperties": False,
    "properties": {
        "sql": {"type": "string", "minLength": 1, "description": "One SELECT."},
        "parameters": {
            "anyOf": [{"type": "array", "items": {}}, {"type": "object", "additionalProperties": True}],
            "description": "Values of `?` and `$1` as a list, or of `$name` as an object.",
        },
        "timezone": {
            "type": "string",
            "description": "The zone of days and hours of instants, by its IANA name; UTC by default.",
        },
        "format": {
            "type": "string",
            "enum": ["json", "csv", "arrow"],
            "description": "What is answered; by default what the header `Accept` prefers, else JSON.",
        },
        "limit": {
            "type": "integer",
            "minimum": 0,
            "description": "Answer at most so many rows. Without it, more than the server's limit are a 400.",
        },
        "explain": {"type": "boolean", "description": "Whether the answer has the plan, and what was read."},
    },
}
