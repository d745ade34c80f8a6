"""The errors that ``service`` itself raises, each with the status of its answer.

ApiError                       raised by ``service`` itself
├── NotFound                   404 ResourceNotFoundError: route, project, collection, property
├── MethodNotAllowed           405
├── InvalidKey                 401 InvalidApiKeyError
├── NotLoggedIn                401 NotLoggedInError: no session, or one that has ended
├── WrongLogin                 401 WrongLoginError: an address, password, code or key that is not right
├── CodeRequired               401 code_required: the second factor is needed as well
├── CrossSite                  403 CrossSiteError: a request with a session that another site's page sent
├── EmbedTokenExpired          401 EmbedTokenExpiredError
├── AdminOnly                  401 AdminOnlyEndpointError: the master key is needed
├── Forbidden                  403: a valid key without the right
├── OriginNotAllowed           403 OriginNotAllowedError: an embed token used by a page of another origin
├── QuotaExceeded              403 QuotaExceededError: a limit that waiting does not lift
├── InvalidParameter           400
├── InvalidJSON                400 InvalidJSONError
├── Gone                       410: it existed before
├── RangeNotSatisfiable        416
├── Conflict                   409
├── UriTooLong                 414
├── HeadersTooLarge            431
├── RateLimited                429, with Retry-After
│   └── BudgetUsedUp           429, of an embed token, which waiting does not renew
├── TimedOut                   504: the work goes on
└── ServiceUnavailable         503, with Retry-After
    ├── StoredFileDamaged      503 DataDamagedError
    ├── TooManyConnections
    └── TooManyAnswers

``service.http.error_rendering`` turns these into answers, and likewise the errors of ``query``, ``storage``
and the write path.
"""

from __future__ import annotations

from collections.abc import Mapping

DAMAGED = (
    "Part of the server's log is damaged, so queries cannot be answered in full; new events are still "
    "accepted. 'acumen check' tells the server's operator more."
)
DAMAGED_RETRY_SECONDS = 60


class ApiError(Exception):
    """``message`` is for a person, ``code`` for a program."""

    status = 500
    code = "InternalServerError"
    message = "The server failed to answer. The failure was logged."

    def __init__(self, message: str | None = None, *, code: str | None = None) -> None:
        super().__init__(message or self.message)
        self.message = message or self.message
        self.code = code or self.code

    def headers(self) -> dict[str, str]:
        return {}


class NotFound(ApiError):
    status = 404
    code = "ResourceNotFoundError"
    message = "Resource not found"

    @classmethod
    def named(cls, kind: str, name: str) -> NotFound:
        """The error for a resource that does not exist, or that the key may not see."""
        return cls(f"Resource not found: there is no {kind} '{name[:100]}'.")


class MethodNotAllowed(ApiError):
    status = 405
    code = "MethodNotAllowedError"
    message = "This method is not allowed here."

    def __init__(self, allowed: str) -> None:
        super().__init__(f"This method is not allowed here. Allowed: {allowed}.")
        self.allowed = allowed

    def headers(self) -> dict[str, str]:
        return {"allow": self.allowed}


class InvalidKey(ApiError):
    status = 401
    code = "InvalidApiKeyError"
    message = (
        "You must give a valid key of this project, in the 'Authorization' header or the parameter 'api_key'."
    )


class NotLoggedIn(ApiError):
    status = 401
    code = "NotLoggedInError"
    message = "Log in: there is no session, or it has ended."


class WrongLogin(ApiError):
    status = 401
    code = "WrongLoginError"
    message = "The e-mail address or the password is wrong."


class CodeRequired(ApiError):
    status = 401
    code = "code_required"
    message = "Give the code of your second factor, or a recovery code, in 'code'."


class CrossSite(ApiError):
    status = 403
    code = "CrossSiteError"


class EmbedTokenExpired(ApiError):
    status = 401
    code = "EmbedTokenExpiredError"
    message = "The embed token has expired. Load the page again, or ask whoever made it for a new one."


OF_ORGANISATION = "You must give the key of this organization, in the 'Authorization' header."


class AdminOnly(ApiError):
    status = 401
    code = "AdminOnlyEndpointError"
    message = "This call needs the project's master key."


class Forbidden(ApiError):
    status = 403
    code = "ForbiddenError"
    message = "This key may not do that."


class OriginNotAllowed(ApiError):
    """The embed token is valid, but not for pages of the request's origin."""

    status = 403
    code = "OriginNotAllowedError"

    @classmethod
    def of(cls, origin: str | None) -> OriginNotAllowed:
        """``origin``: the one that the request names; None where it names none."""
        if origin is None:
            return cls("This embed token is for pages of certain origins, and the request names no origin.")
        return cls(
            f"This embed token may not be used by pages of the origin '{origin[:200]}': its maker would have "
            "to name that in 'origins'."
        )


class InvalidParameter(ApiError):
    status = 400
    code = "InvalidParameterError"


class InvalidJSON(ApiError):
    status = 400
    code = "InvalidJSONError"


class Gone(ApiError):
    """The resource existed and has been removed."""

    status = 410
    code = "ResourceGoneError"


class RangeNotSatisfiable(ApiError):
    """The requested range lies outside the file."""

    status = 416
    code = "RangeNotSatisfiableError"

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes, and the header 'Range' asks for none of them.")
        self.size = size

    def headers(self) -> dict[str, str]:
        return {"content-range": f"bytes */{self.size}"}


class UriTooLong(ApiError):
    status = 414
    code = "RequestUriTooLongError"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"The path, without its parameters, is longer than the limit of {limit_bytes} bytes."
        )


class HeadersTooLarge(ApiError):
    status = 431
    code = "RequestHeadersTooLargeError"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request's line and headers are larger than the limit of {limit_bytes} bytes.")


class Conflict(ApiError):
    """The request conflicts with an existing resource."""

    status = 409
    code = "DuplicateNameError"


class PipelineConflict(Conflict):
    """Pipelines cannot be applied to the project as it is."""

    code = "PipelineConflictError"


class PreconditionFailed(ApiError):
    """The resource is not as the request says that it should be."""

    status = 412
    code = "PreconditionFailedError"


class QuotaExceeded(ApiError):
    """A quota is exceeded, and waiting does not help."""

    status = 403
    code = "QuotaExceededError"


class RateLimited(ApiError):
    status = 429
    code = "RateLimitExceededError"

    def __init__(
        self, message: str, retry_after_seconds: int, fields: Mapping[str, str] | None = None
    ) -> None:
        """``fields``: header fields that describe the limit."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.fields = dict(fields or {})

    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.retry_after_seconds), **self.fields}


class BudgetUsedUp(RateLimited):
    """An embed token has got as many answers as it may get."""

    def __init__(self, limit: int) -> None:
        fields = {"ratelimit-policy": f'"embed-token";q={limit}', "ratelimit": '"embed-token";r=0'}
        super().__init__(
            f"This embed token has got its {limit} answers, all that its maker gave it in 'queries'.",
            0,
            fields,
        )

    def headers(self) -> dict[str, str]:
        return self.fields


class TimedOut(ApiError):
    """The requested work is not finished yet, and continues."""

    status = 504
    code = "RequestTimeoutError"


class ServiceUnavailable(ApiError):
    status = 503
    code = "ServiceUnavailableError"
    message = "The server cannot do that now. Try again shortly."

    def headers(self) -> dict[str, str]:
        return {"retry-after": "1"}


class StoredFileDamaged(ServiceUnavailable):
    """Events cannot be deleted or changed before a damaged file is back, or given up."""

    code = "DataDamagedError"

    def headers(self) -> dict[str, str]:
        return {"retry-after": str(DAMAGED_RETRY_SECONDS)}


class TooManyConnections(ServiceUnavailable):
    message = "The server has reached its limit of connections. Try again shortly."


class TooManyAnswers(ServiceUnavailable):
    message = "Too many answers are waiting for their clients to read them. Try again shortly."
