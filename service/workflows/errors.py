"""What the function that executes runs may raise; any other exception counts as ``RunFailed``.

WorkflowError
├── RunFailed        it is tried again after a pause, and is dead after the last attempt
├── RunRefused       it is dead at once: another attempt would fail as well
├── RunPostponed     it is tried again later, and this attempt does not count
└── RunInterrupted   raised by ``RunContext.check``: the run is to end now
"""

from __future__ import annotations


class WorkflowError(Exception):
    """The base class. The message is a sentence for a person."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RunFailed(WorkflowError):
    pass


class RunRefused(WorkflowError):
    pass


class RunPostponed(WorkflowError):
    def __init__(self, message: str, seconds: float) -> None:
        """``seconds``: not before so much later."""
        super().__init__(message)
        self.seconds = seconds


class RunInterrupted(WorkflowError):
    pass
