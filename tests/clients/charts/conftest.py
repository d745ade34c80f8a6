"""The drawing core as it is built, run by Node without a DOM."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
DRAW = ROOT / "clients" / "charts" / "dist" / "draw.js"
Json = dict[str, Any]


@dataclass
class Core:
    """The core in a process that takes a job a line."""

    process: subprocess.Popen[str]

    def ask(self, **job: Any) -> Json:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        # texts may hold lone surrogates, which JSON escapes
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer: Json = json.loads(self.process.stdout.readline())
        return answer

    def describe(self, answer: Any, **options: Any) -> Json:
        made = self.ask(answer=answer, options=options)
        assert "error" not in made, made
        description: Json = made["description"]
        return description

    def refuse(self, answer: Any, **options: Any) -> str:
        made = self.ask(answer=answer, options=options)
        assert made.get("name") == "ChartError", made
        message: str = made["error"]
        return message

    def draw(self, answer: Any, options: Json | None = None, **how: Any) -> str:
        made = self.ask(answer=answer, options=options or {}, drawings=[how])
        assert "error" not in made, made
        svg: str = made["drawn"][0]["svg"]
        return svg

    def csv(self, answer: Any, **options: Any) -> str:
        text: str = self.ask(answer=answer, options=options, csv=True)["csv"]
        return text


@pytest.fixture(scope="session")
def core() -> Iterator[Core]:
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node is not installed")
    script = Path(__file__).with_name("draw.mjs")
    with subprocess.Popen(
        [program, str(script), str(DRAW)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Core(process)
        assert process.stdin is not None
        process.stdin.close()
