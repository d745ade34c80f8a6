"""docs/clients/python-sending.md: its blocks are run one after another, and give what stands behind them."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from acumen_client import SenderOptions
from tests.clients.python.test_page import BLOCK, PAGE, environment, run

__all__ = ["environment"]

TEXT = PAGE.with_name("python-sending.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("environment")
def test_the_code_of_the_page_does_what_it_says() -> None:
    names: dict[str, Any] = {"__name__": "page"}
    for found in BLOCK.finditer(TEXT):
        run(found[1], TEXT[: found.start()].count("\n") + 1, names)
    names["sender"].close()
    names["client"].close()


def test_the_page_names_every_option_of_a_sender() -> None:
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE))))
    options = {field.name for field in dataclasses.fields(SenderOptions)} - {"block_seconds"}
    assert options <= named
    assert "block_seconds" in TEXT
