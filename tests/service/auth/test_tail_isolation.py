"""A live tail shows exactly what a slow reference lets pass, as events arrive and when it is resumed.

The filters are those of the access key, of every link of an embed token's chain and of the request.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from query.language.filters import is_geo
from query.language.nodes import Filter
from service.auth.embed_tokens import TOKEN_LENGTH_MAX
from tests.query import reference, spoken, strategies
from tests.query.support_source import Event
from tests.service.auth.test_filtered import UNSHRUNK, _too_large, sent
from tests.support.embed import chained
from tests.support.scale import examples
from tests.support.server import Served, ServedProject
from tests.support.tailing import TailReader

EXTRA_SECONDS = 0.3
"""How long it is watched whether more comes than should."""
_numbers = itertools.count()


@pytest.fixture(scope="module")
def owner(served: Served) -> ServedProject:
    return served.new_project()


some = st.lists(strategies.filters.filter(lambda one: not is_geo(one)), max_size=1)


@given(
    events=st.lists(sent(8), min_size=1, max_size=3),
    of_key=some,
    of_links=st.lists(some, max_size=2),
    own=some,
)
@settings(max_examples=examples(30), deadline=None, phases=UNSHRUNK, suppress_health_check=list(HealthCheck))
def test_a_tail_shows_what_the_reference_lets_pass(
    served: Served,
    owner: ServedProject,
    events: list[list[Event]],
    of_key: list[Filter],
    of_links: list[list[Filter]],
    own: list[Filter],
) -> None:
    of_key = [] if _too_large(spoken.filters(of_key)) else of_key
    key = access_key(served, owner, spoken.filters(of_key))
    if of_links:
        links: list[dict[str, Any]] = [{"filters": spoken.filters(one)} for one in of_links]
        key = chained(key, links[0] | {"allow": ["tail"]}, *links[1:])
    if len(key) > TOKEN_LENGTH_MAX:
        return
    hidden = [*of_key, *itertools.chain(*of_links), *own]
    name = f"isolated{next(_numbers)}"
    asked = spoken.filters(own) if own else None
    with (
        TailReader(served, owner, name, key=key, filters=asked) as narrow,
        TailReader(served, owner, name, key=owner.master_key) as whole,
    ):
        assert narrow.status == 200, narrow.refusal
        cursor = narrow.until_begun()
        whole.until_begun()
        for batch in events:
            if batch:
                served.record(owner, name, *batch)
        stored = whole.until_events(sum(map(len, events)))
        wanted = [event for event in stored if all(reference.matches(event, one) for one in hidden)]
        check(narrow, wanted)
    for place, left in ((cursor, wanted), (middle(narrow), wanted[len(wanted) // 2 :])):
        with TailReader(served, owner, name, key=key, filters=asked, after=place or cursor) as again:
            check(again, left if place else wanted)


def check(tail: TailReader, wanted: list[Event]) -> None:
    """It has shown these events, in this order, and shows no other."""
    tail.until_events(len(wanted))
    time.sleep(EXTRA_SECONDS)
    assert list(map(orjson.dumps, tail.events)) == list(map(orjson.dumps, wanted))
    assert tail.gaps == []


def middle(tail: TailReader) -> str | None:
    """The cursor behind the first half of the events."""
    cursors = [message.id for message in tail.messages if message.kind == "event"]
    half = len(cursors) // 2
    return cursors[half - 1] if half else None


def access_key(served: Served, project: ServedProject, filters: list[Any]) -> str:
    body = {"name": "k", "permitted": ["queries"], "options": {"queries": {"filters": filters}}}
    made = served.request("POST", f"/3.0/projects/{project.id}/keys", body, key=project.master_key)
    assert made.status == 201, made.body
    return str(made.json["key"])
