"""What the models of several areas have in common."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from query.plan.data_warnings import WarningCode

Json = dict[str, Any]
Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Moment = datetime | None


ABSENT: Any = None
"""The default of a field that answers have only where there is something to say; it is null in none."""


class Sent(BaseModel):
    """A request's body. Types are those of JSON: no text is taken for a number.

    Fields that a model does not know are kept: what reads the body further says which are near. Lists stop at
    their first fault: a long one of wrong values would otherwise be as many faults.
    """

    model_config = ConfigDict(strict=True, extra="allow")
    what: ClassVar[str] = "The request body"
    """As messages call it."""

    def sent(self) -> Json:
        """The fields that the client sent, with values as they came."""
        return {name: value for name, value in self if name in self.model_fields_set}


class Told(BaseModel):
    """An answer's body. Answers are written without these models, and tested against their schemas."""


class Error(Told):
    message: str
    error_code: str


class Warning(Told):
    """What leaves a question without data; told to keys that may read the schema."""

    code: WarningCode
    parameter: str = Field(description="Which parameter it is about.")
    message: str
    did_you_mean: str | None = Field(description="The nearest name that the key can see.")


class Link(Told):
    name: str
    url: str
