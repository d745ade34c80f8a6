"""Who is told when a pipeline misses its deadline, or fails for good."""

from __future__ import annotations

from dataclasses import dataclass

from query.errors import InvalidQuery
from query.transforms.fields import Fields, InvalidPipeline
from service.exports.request import check_address

NOTIFY_MAX = 10
DEADLINE_US = (60_000_000, 400 * 86_400_000_000)
"""The shortest and the longest: below a minute it would be about how often files are written."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody to tell: the name of a webhook, or an address."""

    means: str
    """``webhook`` or ``email``."""
    address: str


def read_deadline(fields: Fields) -> int | None:
    """``fresh_within``, in µs. Raises InvalidPipeline."""
    found = fields.length("fresh_within")
    if found is not None and not DEADLINE_US[0] <= found <= DEADLINE_US[1]:
        raise fields.wrong("fresh_within", "from 1_minutes to 400_days")
    return found


def read_recipients(fields: Fields, owner: str, *, has_deadline: bool) -> tuple[Recipient, ...]:
    """``notify``; without it the owner of a pipeline with a deadline, if that is an address. Raises
    InvalidPipeline."""
    if not fields.has("notify"):
        return (Recipient("email", owner),) if has_deadline and is_address(owner) else ()
    value = fields.raw("notify")
    if not isinstance(value, list) or len(value) > NOTIFY_MAX:
        raise fields.wrong("notify", f"a list of {{ webhook = … }} and {{ email = … }}, {NOTIFY_MAX} at most")
    found: list[Recipient] = []
    for number, one in enumerate(value):
        table = Fields.of(f"{fields.at('notify')}[{number}]", one)
        means = "email" if table.has("email") else "webhook"
        recipient = Recipient(means, table.text(means))
        table.end()
        if means == "email" and not is_address(recipient.address):
            raise InvalidPipeline(table.at("email"), "must be one plain e-mail address.")
        found.append(recipient)
    return tuple(dict.fromkeys(found))


def is_address(text: str) -> bool:
    """Whether it is one plain address of e-mail."""
    try:
        check_address(text)
    except InvalidQuery:
        return False
    return True
