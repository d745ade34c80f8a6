"""The requests of the recipes and of the twenty questions get the answers that stand below them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Served, ServedProject

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXTS = {name: (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("recipes", "twenty-questions")}
BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Asked:
    """A request of a page, and its answer: the whole body, the one member that is shown, or a ``part``."""

    page: str
    method: str
    path: str
    body: Any
    member: str
    answer: Any

    def __str__(self) -> str:
        return f"{self.page}: {self.path.rpartition('/')[2]} {json.dumps(self.body)[:60]}"


def requests(page: str) -> list[Asked]:
    blocks = [(kind, word, text) for kind, word, text in BLOCK.findall(TEXTS[page]) if word != "events"]
    asked = []
    for (kind, _, request), (other, member, answer) in zip(blocks[::2], blocks[1::2], strict=True):
        assert (kind, other) == ("http", "json"), request
        line, _, body = request.partition("\n")
        method, path = line.split()
        sent = json.loads(body) if body.strip() else None
        asked.append(Asked(page, method, path, sent, member, json.loads(answer)))
    return asked


def shown(answer: Any, part: Any) -> Any:
    """Of the answer's objects only the keys that the part has."""
    if isinstance(part, dict) and isinstance(answer, dict):
        return {key: shown(answer[key], value) for key, value in part.items() if key in answer}
    return answer


@pytest.fixture(scope="module")
def projects(served: Served) -> dict[str, ServedProject]:
    """For each page a project with its events."""
    made = {}
    for page, text in TEXTS.items():
        made[page] = project = served.new_project()
        (events,) = (found for _, word, found in BLOCK.findall(text) if word == "events")
        reply = served.request(
            "POST", f"/3.0/projects/{project.id}/events", json.loads(events), key=project.write_key
        )
        assert reply.status == 200, reply.body
    return made


@pytest.mark.parametrize("asked", [asked for page in TEXTS for asked in requests(page)], ids=str)
def test_a_request_gets_the_answer_below_it(
    served: Served, projects: dict[str, ServedProject], asked: Asked
) -> None:
    project = projects[asked.page]
    path = asked.path.replace("/P/", f"/{project.id}/")
    reply = served.request(asked.method, path, asked.body, key=project.read_key)
    assert reply.status == 200, reply.body
    if asked.member == "part":
        found = shown(reply.json, asked.answer)
    else:
        found = reply.json[asked.member] if asked.member else reply.json
    # As text, in which 1 is not 1.0, and keys have an order.
    assert json.dumps(found) == json.dumps(asked.answer)


def test_each_of_the_twenty_questions_is_one_request() -> None:
    sections = TEXTS["twenty-questions"].split("\n## ")[1:]
    assert [section.partition(".")[0] for section in sections] == [str(number) for number in range(1, 21)]
    assert [section.count("```http\n") for section in sections] == [1] * 20
