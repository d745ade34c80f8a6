"""What the author of a plugin writes, and what a plugin is given.

A plugin is a class, named by an entry point of its package. It has ``api``, the number of the contract that
it was written for, and, if it has settings, ``Settings``, a ``msgspec.Struct`` or a dataclass, of which it
gets one when it is made. The protocols below say what it does; no plugin needs to inherit from them.

    [project.entry-points."acumen.operations"]
    rounding = "acumen_rounding:Rounding"

Within one number of ``API`` nothing here changes its meaning or goes; members may be added to what is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

API = 1
"""The number of this contract. A plugin states its own, and is refused where it is another."""


class OperationPlugin(Protocol):
    """``acumen.operations``: a step that makes rows of rows."""

    api: ClassVar[int]

    def run(self, rows: pa.RecordBatchReader) -> pa.Table | Iterable[pa.RecordBatch]:
        """The rows that come out. ``rows`` gives batches one after the other, or all by ``read_all()``."""


class EnricherPlugin(Protocol):
    """``acumen.enrichers``: columns that are found out from others, row by row."""

    api: ClassVar[int]

    def enrich(self, given: pa.RecordBatch) -> pa.RecordBatch:
        """As many rows as are given; their columns are put below the step's ``output``. ``given`` has the
        columns of the step's ``input``, by the names that it has for them."""


class ExpectationPlugin(Protocol):
    """``acumen.expectations``: what must be true of rows."""

    api: ClassVar[int]

    def check(self, rows: pa.Table) -> Mapping[str, pa.Array | pa.ChunkedArray | str | None]:
        """Rule → whether each row keeps it, where null counts as kept; or, of a rule about all rows, what is
        wrong with them, and None where nothing is."""


@dataclass(frozen=True, slots=True)
class SourcePortion:
    """What a source has read at once."""

    rows: Iterable[Mapping[str, Any]]
    """Each becomes an event; values are those of JSON, or dates and times."""
    cursor: Any
    """Where to go on, as JSON: what ``read`` is given the next time."""


class SourcePlugin(Protocol):
    """``acumen.sources``: rows from elsewhere, which become events."""

    api: ClassVar[int]

    def read(self, cursor: Any) -> SourcePortion | None:
        """The portion behind the cursor; None where nothing is new. ``cursor`` is that of the last portion
        that was stored, and None at the start. The same cursor may be given again, after a failure."""


@dataclass(frozen=True, slots=True)
class SinkBucket:
    """A bucket that a sink is given."""

    pipeline: str
    collection: str
    start: datetime
    end: datetime
    version: int
    """Grows whenever the bucket's rows are others than before."""
    key: str
    """The idempotency key: of the sink, the bucket and the version. The same may be delivered again."""


class SinkPlugin(Protocol):
    """``acumen.sinks``: where the rows of buckets go."""

    api: ClassVar[int]

    def deliver(self, bucket: SinkBucket, rows: pa.Table) -> None:
        """Make the bucket's rows there these ones, which may be none. It may be called again with the same,
        and with a version before one that it was called with."""


@dataclass(frozen=True, slots=True)
class ChannelNotice:
    """What is told by an alert channel."""

    kind: str
    """As webhooks have it in ``type``."""
    project_id: str
    created: datetime
    key: str
    """The same notice, sent again, has the same."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """As webhooks have it."""


class AlertChannelPlugin(Protocol):
    """``acumen.alert_channels``: how people are told."""

    api: ClassVar[int]

    def send(self, notice: ChannelNotice) -> None:
        """Tell it. What raises is tried again."""
