"""Why a submit as a whole is not answered with verdicts.

IngestError
├── InvalidBatch        the body cannot be split into events; sending it again does not help
├── EventRefused        a single event that can never be stored
├── CollectionDerived   a pipeline fills the collection: no client may send it events
├── KeyReused           an idempotency key that was used before with another body
└── IngestUnavailable   temporary: nothing was stored, or it is uncertain whether it was; send it again
"""

from __future__ import annotations


class IngestError(Exception):
    """``code`` is the ``error_code`` of the answer; ``message`` is for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class InvalidBatch(IngestError):
    pass


class EventRefused(IngestError):
    pass


class CollectionDerived(IngestError):
    def __init__(self, name: str) -> None:
        super().__init__(
            "CollectionDerivedError",
            f"The collection '{name}' is the output of a pipeline, which alone fills it. Send events to, or "
            "change them in, a collection that the pipeline reads: its rows follow.",
        )


class KeyReused(IngestError):
    def __init__(self) -> None:
        super().__init__(
            "IdempotencyKeyReusedError",
            "This Idempotency-Key was already used with a different body. Use a new one.",
        )


class IngestUnavailable(IngestError):
    def __init__(self, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__("ServiceUnavailableError", message)
        self.retry_after_seconds = retry_after_seconds
