"""Accepting rows that expectations have set aside, as they are."""

from __future__ import annotations

from collections.abc import Sequence

from service.pipelines.definition import PipelineDefinition
from storage.catalog.catalog import Catalog
from storage.catalog.derived.pipeline_records import StoredPipeline

ACCEPTED_MAX = 100_000
"""Most accepted rows of a pipeline: each of its runs reads their digests."""
DIGEST = "^[0-9a-f]{32}$"


class NotAccepted(Exception):
    """Rows that cannot be accepted; the text says why."""


def change_accepted(
    catalog: Catalog,
    stored: StoredPipeline,
    definition: PipelineDefinition,
    accept: Sequence[str],
    withdraw: Sequence[str],
) -> None:
    """Lets rows pass from now on, or be set aside again, by their digests; has the buckets derived again that
    this may change. Raises NotAccepted."""
    if definition.quarantine is None:
        raise NotAccepted(
            f"The pipeline '{stored.name}' sets no rows aside: none of its expectations has the severity "
            "'quarantine'."
        )
    both = sorted(set(accept) & set(withdraw))
    if both:
        raise NotAccepted(f"The row '{both[0]}' is to be accepted and withdrawn at once: name it once.")
    known = set(catalog.pipelines.accepted(stored.id))
    unknown = sorted(set(withdraw) - known)
    if unknown:
        raise NotAccepted(f"The row '{unknown[0]}' was not accepted: it cannot be withdrawn.")
    if len((known | set(accept)) - set(withdraw)) > ACCEPTED_MAX:
        raise NotAccepted(
            f"A pipeline can have {ACCEPTED_MAX:,} accepted rows: loosen the rule that they break instead."
        )
    catalog.pipelines.accept(stored.id, sorted(set(accept) - known), withdrawn=list(withdraw))
