"""The Python client of Acumen.

>>> from acumen_client import Acumen
>>> client = Acumen("http://localhost:8000", project_id="…", write_key="…", read_key="…")
>>> client.record("purchases", {"price": 7})
>>> client.count("purchases", timeframe="this_14_days")
"""

from acumen_client._version import __version__
from acumen_client.batching import BatchLimits
from acumen_client.client import Acumen, AsyncAcumen
from acumen_client.embed import embed_token, narrow_embed_token
from acumen_client.errors import (
    AcumenError,
    AnswerTimeoutError,
    ApiError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    EventError,
    EventsRefusedError,
    ForbiddenError,
    NotFoundError,
    QueueError,
    QueueFullError,
    QueueWriteError,
    RateLimitedError,
    SenderClosedError,
    ServerError,
    TooLargeError,
    UnauthorizedError,
    UnreadableAnswerError,
)
from acumen_client.extracting import AsyncEventStream, EventStream, ExtractionFailedError, ExtractionJob
from acumen_client.frames import FrameError
from acumen_client.identifying import Actor
from acumen_client.logging_handler import AcumenHandler
from acumen_client.managed import (
    AccessKey,
    ActorCohort,
    CohortActors,
    Collection,
    Dataset,
    Project,
    SavedQuery,
)
from acumen_client.middleware import ASGIMiddleware, WSGIMiddleware
from acumen_client.outcome import Outcome, Recorded, RefusedEvent
from acumen_client.query import (
    Aggregate,
    Extraction,
    Funnel,
    Lifecycle,
    Metric,
    P,
    Paths,
    Query,
    Retention,
    SeriesQuestion,
    Sessions,
    Step,
    Stickiness,
    in_cohort,
    not_in_cohort,
)
from acumen_client.queues import DeadLetter
from acumen_client.results import (
    Cohort,
    Events,
    FunnelResult,
    FunnelStep,
    Notice,
    PathEdge,
    PathNode,
    PathsResult,
    Result,
    RetentionResult,
    Row,
    SeriesResult,
)
from acumen_client.retries import NO_RETRIES, Retries
from acumen_client.sender import AsyncSender, Sender, SenderOptions, SenderStats
from acumen_client.sql import SqlRows
from acumen_client.tail import AsyncTail, EventsMissedWarning, Tail

__all__ = [
    "NO_RETRIES",
    "ASGIMiddleware",
    "AccessKey",
    "Actor",
    "ActorCohort",
    "Acumen",
    "AcumenError",
    "AcumenHandler",
    "Aggregate",
    "AnswerTimeoutError",
    "ApiError",
    "AsyncAcumen",
    "AsyncEventStream",
    "AsyncSender",
    "AsyncTail",
    "BadRequestError",
    "BatchLimits",
    "Cohort",
    "CohortActors",
    "Collection",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailedError",
    "Dataset",
    "DeadLetter",
    "EventError",
    "EventStream",
    "Events",
    "EventsMissedWarning",
    "EventsRefusedError",
    "Extraction",
    "ExtractionFailedError",
    "ExtractionJob",
    "ForbiddenError",
    "FrameError",
    "Funnel",
    "FunnelResult",
    "FunnelStep",
    "Lifecycle",
    "Metric",
    "NotFoundError",
    "Notice",
    "Outcome",
    "P",
    "PathEdge",
    "PathNode",
    "Paths",
    "PathsResult",
    "Project",
    "Query",
    "QueueError",
    "QueueFullError",
    "QueueWriteError",
    "RateLimitedError",
    "Recorded",
    "RefusedEvent",
    "Result",
    "Retention",
    "RetentionResult",
    "Retries",
    "Row",
    "SavedQuery",
    "Sender",
    "SenderClosedError",
    "SenderOptions",
    "SenderStats",
    "SeriesQuestion",
    "SeriesResult",
    "ServerError",
    "Sessions",
    "SqlRows",
    "Step",
    "Stickiness",
    "Tail",
    "TooLargeError",
    "UnauthorizedError",
    "UnreadableAnswerError",
    "WSGIMiddleware",
    "__version__",
    "embed_token",
    "in_cohort",
    "narrow_embed_token",
    "not_in_cohort",
]
