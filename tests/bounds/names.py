"""Worst cases of names: of properties and of collections."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from service.ingest.admission import AdmissionLimits
from tests.bounds.worst import KIB, MIB, Watch, worst_case
from tests.service.intake import intake

LIMITS = AdmissionLimits(properties_max=20, collections_max=20)


def last_of(data: Path, watch: Watch, *posts: tuple[str, Any]) -> list[httpx.Response]:
    """The answer to the last post, after the others have used up what there is."""

    async def send() -> list[httpx.Response]:
        async with intake(data, admission=LIMITS) as taking:
            replies = []
            with watch:
                for path, body in posts:
                    replies.append(await taking.http.post(taking.events + path, json=body))
            assert all(reply.status_code < 300 for reply in replies[:-1])
            return replies[-1:]

    return asyncio.run(send())


@worst_case("Properties of one collection", peak_bytes=2 * MIB)
def one_event_that_uses_up_all_properties(data: Path, watch: Watch) -> list[httpx.Response]:
    junk = {f"p{number}": 1 for number in range(20)}
    return last_of(data, watch, ("/visits", junk), ("/visits", {"one more": 1}))


@worst_case("Properties of one collection", peak_bytes=2 * MIB)
def one_event_with_more_properties_than_a_collection_has(data: Path, watch: Watch) -> list[httpx.Response]:
    return last_of(data, watch, ("/visits", {f"p{number}": 1 for number in range(2_000)}))


@worst_case("Collections of one project", peak_bytes=4 * MIB, slice_bytes=64 * KIB)
def one_request_that_names_thousands_of_collections(data: Path, watch: Watch) -> list[httpx.Response]:
    many: dict[str, Any] = {f"c{number}": [{}] for number in range(2_000)}
    return last_of(data, watch, ("", many), ("/one_more", {}))
