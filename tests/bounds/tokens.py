"""Worst cases of what is kept so that no event is stored twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from service.ingest.admission import AdmissionLimits
from tests.bounds.worst import MIB, Watch, worst_case
from tests.service.intake import intake

TOKENS_MAX = 50


def cited(number: int) -> Any:
    return {"keen": {"uniqueness_token": f"t{number}"}}


def sent(data: Path, watch: Watch, *posts: tuple[Any, dict[str, str]]) -> list[httpx.Response]:
    async def send() -> list[httpx.Response]:
        async with intake(data, admission=AdmissionLimits(tokens_max=TOKENS_MAX)) as taking:
            with watch:
                return [
                    await taking.http.post(taking.events, json=body, headers=headers)
                    for body, headers in posts
                ]

    return asyncio.run(send())


RESOURCE = "Uniqueness tokens and idempotency keys of one project"


@worst_case(RESOURCE, peak_bytes=4 * MIB)
def one_request_with_more_tokens_than_a_project_may_keep(data: Path, watch: Watch) -> list[httpx.Response]:
    return sent(data, watch, ({"visits": [cited(number) for number in range(500)]}, {}))


@worst_case(RESOURCE, peak_bytes=4 * MIB)
def many_requests_with_a_new_idempotency_key_each(data: Path, watch: Watch) -> list[httpx.Response]:
    posts: list[tuple[Any, dict[str, str]]] = [
        ({"visits": [{}]}, {"idempotency-key": f"k{number}"}) for number in range(TOKENS_MAX + 2)
    ]
    replies = sent(data, watch, *posts)
    assert [reply.status_code for reply in replies[:TOKENS_MAX]] == [200] * TOKENS_MAX
    return replies[TOKENS_MAX:]
