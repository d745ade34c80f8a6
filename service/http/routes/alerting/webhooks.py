"""Webhooks: where notices are sent, what became of them, and sending them again.

/3.0/projects/P/webhooks[/NAME[/test | /deliveries[/ID/replay]]]
"""

from __future__ import annotations

import secrets
from typing import Any

from starlette.responses import Response

from query.language.fields import wrong
from service.api_paths import PROJECTS, url_of
from service.errors import Conflict, Forbidden, InvalidParameter, NotFound
from service.http.authorization import EDITS
from service.http.models.alerting.webhooks import Webhook, WebhookDeliveries, WebhookDelivery, WebhookSent
from service.http.models.shared import Json
from service.http.openapi.operation import (
    BEFORE_NUMBER,
    STRING,
    DocumentedAnswer,
    Example,
    gone,
    in_query,
    limit_in_query,
    ok,
)
from service.http.request import (
    check_parameters,
    empty_answer,
    json_answer,
    limit_of,
    number_before,
    pairs_of,
    parameter,
    segment_of,
)
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.outbound.channels import WrongChannel, check_channel, is_channel
from service.outbound.errors import BadAddress, OutboundRefused
from service.outbound.notices import body_of
from service.outbound.policy import policy_of
from service.saved_queries.definition import NAME_NEEDS, is_name, moment_or_none, moment_text
from service.settings import Settings
from storage.catalog.derived import records

WEBHOOKS = f"{PROJECTS}/{{project_id}}/webhooks"
WEBHOOKS_MAX = 100
"""Webhooks of one project."""
SHOWN_MAX = 1_000
_ONE = f"{WEBHOOKS}/{{webhook_name}}"
_DELIVERIES = f"{_ONE}/deliveries"
_SHOWN = 100
_NAMED = {"webhook_name": "chat"}
_URL = "https://hooks.example.com/services/T1"
_SENT = {**_NAMED, "delivery_id": "{delivery}"}

area = RouteArea("webhooks", "Where notices of alerts and reports are sent by HTTP, signed.")


@area.put(
    _ONE,
    EDITS,
    "Make or replace a webhook",
    {200: DocumentedAnswer("It was replaced.", Webhook), 201: DocumentedAnswer("It is new.", Webhook)},
    examples=(
        Example(_NAMED, body={"url": _URL}, status=201),
        Example(_NAMED, body={"url": _URL, "renew_secret": True}, summary="A new secret"),
        Example(_NAMED, body={"url": "https://localhost/"}, status=403, summary="A host that is not allowed"),
        Example(_NAMED, body={"url": "hooks"}, status=400),
        Example(_NAMED, body={"url": _URL}, key="read", status=401),
    ),
)
async def put(call: OfProject, sent: WebhookSent) -> Response:
    """`secret` is shown when it is new: keep it where the notices are received. The host is one of those that
    the server's operator allows (`ACUMEN_OUTBOUND_HOSTS`)."""
    sent.refuse_unknown(
        "a webhook", "name", "origin", "secret", "created_date", "last_modified_date", "display_name"
    )
    shown, created = await call.parts.in_thread(_store, call, sent)
    return json_answer(shown, 201 if created else 200)


def _store(call: ProjectCall, sent: WebhookSent) -> tuple[Json, bool]:
    """Blocks. Raises InvalidQuery, InvalidParameter, Forbidden, Conflict."""
    name, webhooks, project_id = _name(call), call.parts.catalog.webhooks, call.caller.project.id
    if not is_name(name):
        raise wrong("the name in the path", NAME_NEEDS, name)
    check_url(call.parts.settings, sent.url)
    known = webhooks.of_project(project_id)
    is_new = not any(one.name == name for one in known)
    if is_new and len(known) >= WEBHOOKS_MAX:
        raise Conflict(f"A project has {WEBHOOKS_MAX} webhooks at most: delete one first.")
    secret = f"whsec_{secrets.token_hex(32)}" if is_new or sent.renew_secret else None
    kept, created = webhooks.put(project_id, name, sent.url, secret)
    return _described(kept) | ({} if secret is None else {"secret": secret}), created


def check_url(settings: Settings, url: str) -> None:
    """Raises InvalidParameter, Forbidden, for a URL that the policy refuses. Nothing is looked up."""
    if is_channel(url):
        try:
            check_channel(url)
        except WrongChannel as error:
            raise InvalidParameter(f"'url': {error}") from None
        return
    # Where nothing is sent, the library that reads URLs takes no memory.
    from service.outbound.urls import destination_of

    try:
        destination_of(policy_of(settings), url)
    except BadAddress as error:
        raise InvalidParameter(f"'url': {error}") from None
    except OutboundRefused as error:
        raise Forbidden(f"'url': {error}") from None


@area.get(
    WEBHOOKS,
    EDITS,
    "All webhooks",
    ok(list[Webhook], "By name."),
    examples=(Example(), Example(key="read", status=401)),
    name="list_webhooks",
)
async def list_all(call: OfProject) -> Response:
    found = await call.parts.in_thread(call.parts.catalog.webhooks.of_project, call.caller.project.id)
    return json_answer(await call.parts.in_thread(lambda: [_described(one) for one in found]))


@area.get(
    _ONE,
    EDITS,
    "A webhook",
    ok(Webhook, "What may be shown of it."),
    examples=(Example(_NAMED), Example({"webhook_name": "none"}, status=404)),
)
async def show(call: OfProject) -> Response:
    return json_answer(await call.parts.in_thread(lambda: _described(_found(call))))


@area.post(
    f"{_ONE}/test",
    EDITS,
    "Send a test to a webhook",
    ok(WebhookDelivery, "What is sent: look at it again among the deliveries."),
    examples=(
        Example(_NAMED, keep={"delivery": "id"}),
        Example({"webhook_name": "none"}, status=404),
    ),
    name="test_webhook",
)
async def test(call: OfProject) -> Response:
    """It is sent in the background, at once."""
    return json_answer(await call.parts.in_thread(_test, call))


def _test(call: ProjectCall) -> Json:
    """Blocks. Raises NotFound."""
    webhook, parts = _found(call), call.parts
    body = body_of("test", webhook.project_id, parts.clock(), {"webhook": webhook.name})
    delivery = parts.catalog.webhooks.send(webhook.project_id, webhook.name, "test", body)
    if delivery is None:
        raise NotFound.named("webhook", webhook.name)
    return _delivery(delivery)


@area.get(
    _DELIVERIES,
    EDITS,
    "What was sent to a webhook",
    ok(WebhookDeliveries, "Those that wait, those of the last days, and those given up."),
    parameters=(
        in_query("state", STRING, "`waiting`, `delivered` or `dead`: only these."),
        BEFORE_NUMBER,
        limit_in_query(_SHOWN, SHOWN_MAX),
    ),
    examples=(
        Example(_NAMED, {"limit": "10"}),
        Example(_NAMED, {"state": "dead"}, summary="What was given up"),
        Example(_NAMED, {"state": "lost"}, status=400),
    ),
    name="webhook_deliveries",
)
async def deliveries(call: OfProject) -> Response:
    """What was delivered is kept for 7 days, what was given up for 30."""
    pairs = pairs_of(call.request.scope)
    check_parameters(pairs, ("state", "before", "limit"), "the deliveries of a webhook")
    state = parameter(pairs, "state")
    if state is not None and state not in tuple(records.DeliveryState):
        raise wrong("state", "'waiting', 'delivered' or 'dead'", state)
    number, limit = number_before(pairs), limit_of(pairs, _SHOWN, SHOWN_MAX)

    def found() -> list[Json]:
        webhooks = call.parts.catalog.webhooks
        some = webhooks.deliveries(_found(call), state=state, before=number, limit=limit)
        return [_delivery(one) for one in some]

    return json_answer({"deliveries": await call.parts.in_thread(found)})


@area.post(
    f"{_DELIVERIES}/{{delivery_id}}/replay",
    EDITS,
    "Send something again",
    ok(WebhookDelivery, "It is sent at once."),
    examples=(
        Example(_SENT),
        Example({**_NAMED, "delivery_id": "none"}, status=404),
    ),
    name="replay_delivery",
)
async def replay(call: OfProject) -> Response:
    """With the same body and `Idempotency-Key`: who has had it already can tell. What still waits is sent
    now, and its attempts are counted anew."""
    return json_answer(await call.parts.in_thread(_replay, call))


def _replay(call: ProjectCall) -> Json:
    """Blocks. Raises NotFound."""
    webhook, delivery_id = _found(call), segment_of(call.request.scope, 7)
    again = call.parts.catalog.webhooks.replay(webhook, delivery_id)
    if again is None:
        raise NotFound.named("delivery", delivery_id)
    return _delivery(again)


@area.delete(
    _ONE,
    EDITS,
    "Delete a webhook",
    gone(),
    examples=(Example(_NAMED, status=204), Example(_NAMED, status=404)),
)
async def delete(call: OfProject) -> Response:
    """What still waits for it is not sent. Alerts and reports that name it fail to tell it."""
    name = _name(call)
    if not await call.parts.in_thread(call.parts.catalog.webhooks.remove, call.caller.project.id, name):
        raise NotFound.named("webhook", name)
    return empty_answer()


def _found(call: ProjectCall) -> records.Webhook:
    """Blocks. Raises NotFound."""
    found = call.parts.catalog.webhooks.find(call.caller.project.id, _name(call))
    if found is None:
        raise NotFound.named("webhook", _name(call))
    return found


def _name(call: ProjectCall) -> str:
    return segment_of(call.request.scope, 5)


def _described(webhook: records.Webhook) -> Json:
    return {
        "name": webhook.name,
        "origin": None if webhook.url is None else _origin(webhook.url),
        "created_date": moment_text(webhook.created_us),
        "last_modified_date": moment_text(webhook.modified_us),
        "url": url_of(webhook.project_id, "webhooks", webhook.name),
    }


def _origin(url: str) -> str:
    if is_channel(url):
        # Its settings are shown as little as the path of a URL.
        return url.partition("?")[0]
    import httpx

    from service.outbound.urls import origin_of

    return origin_of(httpx.URL(url))


def _delivery(delivery: records.Delivery) -> dict[str, Any]:
    waits = delivery.state is records.DeliveryState.WAITING
    return {
        "id": delivery.id,
        "number": delivery.number,
        "type": delivery.kind,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "created_date": moment_text(delivery.created_us),
        "next_attempt_date": moment_text(delivery.due_us) if waits else None,
        "ended_date": moment_or_none(delivery.ended_us),
        "status": delivery.status,
        "message": delivery.message,
    }
