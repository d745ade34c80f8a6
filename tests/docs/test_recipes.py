"""The recipes' requests get the answers that stand below them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Served, ServedProject

TEXT = (Path(__file__).resolve().parents[2] / "docs/recipes.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Asked:
    """A request of a recipe, and its answer: the whole body, or the one member that is shown."""

    method: str
    path: str
    body: Any
    member: str
    answer: Any

    def __str__(self) -> str:
        return f"{self.path.rpartition('/')[2]} {json.dumps(self.body)[:60]}"


def recipes() -> list[Asked]:
    blocks = [(kind, word, text) for kind, word, text in BLOCK.findall(TEXT) if word != "events"]
    asked = []
    for (kind, _, request), (other, member, answer) in zip(blocks[::2], blocks[1::2], strict=True):
        assert (kind, other) == ("http", "json"), request
        line, _, body = request.partition("\n")
        method, path = line.split()
        asked.append(
            Asked(method, path, json.loads(body) if body.strip() else None, member, json.loads(answer))
        )
    return asked


@pytest.fixture(scope="module")
def shop(served: Served) -> ServedProject:
    """A project with the events of the page."""
    project = served.new_project()
    (events,) = (text for _, word, text in BLOCK.findall(TEXT) if word == "events")
    reply = served.request(
        "POST", f"/3.0/projects/{project.id}/events", json.loads(events), key=project.write_key
    )
    assert reply.status == 200, reply.body
    return project


@pytest.mark.parametrize("asked", recipes(), ids=str)
def test_a_recipe_gets_the_answer_below_it(served: Served, shop: ServedProject, asked: Asked) -> None:
    path = asked.path.replace("/P/", f"/{shop.id}/")
    reply = served.request(asked.method, path, asked.body, key=shop.read_key)
    assert reply.status == 200, reply.body
    assert (reply.json[asked.member] if asked.member else reply.json) == asked.answer
