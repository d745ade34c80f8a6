"""Types and models shared by several areas."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from query.language.parameters import check_keys
from query.plan.data_warnings import WarningCode

Json = dict[str, Any]
Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Moment = datetime | None

ROW_ID_MAX = 2**62
"""The largest id of a catalog row that is asked for; SQLite holds none above 2**63 - 1."""
RowId = Annotated[int, Field(ge=1, le=ROW_ID_MAX)]


ABSENT: Any = None
"""The default of a field that answers may leave out; it is never null."""


class RequestBody(BaseModel):
    """A request's body. Types are those of JSON: text is never read as a number.

    Fields that a model does not know are kept: the code that checks the body further suggests similar names.
    Lists stop at their first error, since a long list of wrong values would otherwise make as many errors.
    """

    model_config = ConfigDict(strict=True, extra="allow")
    what: ClassVar[str] = "The request body"
    """The name of the body in error messages."""

    def sent(self) -> Json:
        """The fields that the client sent, with their values unchanged."""
        return {name: value for name, value in self if name in self.model_fields_set}

    def refuse_unknown(self, what: str, *ignored: str) -> None:
        """Refuse fields that the model does not have. ``ignored``: fields that only answers have, which a
        client may send back. Raises InvalidQuery, which names the most similar field."""
        check_keys(self.sent(), [*type(self).model_fields, *ignored], what)


class AnswerBody(BaseModel):
    """An answer's body. Answers are built without these models, but tested against their schemas."""


class Error(AnswerBody):
    message: str
    error_code: str


class Warning(AnswerBody):
    """A name in a query that leaves it without data; shown to keys that may read the schema."""

    code: WarningCode
    parameter: str = Field(description="Which parameter it is about.")
    message: str
    did_you_mean: str | None = Field(description="The nearest name that the key can see.")


class Link(AnswerBody):
    name: str
    url: str
