"""The fixture ``acumen_events``, as somebody's own tests use it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from acumen_client import Acumen, AsyncAcumen, BadRequestError
from acumen_client.pytest_plugin import CapturedEvents


@pytest.fixture
def shop() -> Acumen:
    """A client of a server that is nowhere."""
    return Acumen("http://shop.invalid", project_id="p", write_key="w", read_key="r")


def test_what_is_recorded_is_captured(acumen_events: CapturedEvents, shop: Acumen) -> None:
    shop.record("purchases", {"price": 3})
    shop.record_many("purchases", [{"price": 4}, {"price": 5}])
    shop.record("a/b c", {"n": 1})
    asyncio.run(AsyncAcumen("http://shop.invalid", project_id="p", write_key="w").record("visits", {}))
    assert acumen_events["purchases"] == [{"price": 3}, {"price": 4}, {"price": 5}]
    assert acumen_events["nothing"] == []
    assert list(acumen_events) == ["purchases", "a/b c", "visits"]
    assert len(acumen_events) == 5
    assert "visits" in acumen_events
    tokens = {event["keen"]["uniqueness_token"] for event in acumen_events.sent("purchases")}
    assert len(tokens) == 3
    acumen_events.clear()
    assert len(acumen_events) == 0


def test_what_a_sender_was_given_is_captured(
    acumen_events: CapturedEvents, shop: Acumen, tmp_path: Path
) -> None:
    for path in (None, tmp_path / "q"):
        sender = shop.sender(path=path, linger_seconds=60.0)
        sender.record("purchases", {"price": 3})
        assert acumen_events["purchases"] == [{"price": 3}]
        acumen_events.clear()
        sender.close()


def test_questions_are_not_answered(acumen_events: CapturedEvents, shop: Acumen) -> None:
    with pytest.raises(BadRequestError, match="captures events"):
        shop.transport.request("POST", shop.transport.project_path("queries", "count"), json={})


def test_it_works_in_anybodys_tests(tmp_path: Path) -> None:
    """Installed, it needs no import: pytest finds it by itself."""
    (tmp_path / "test_shop.py").write_text(
        textwrap.dedent(
            """
            from acumen_client import Acumen
            client = Acumen("http://shop.invalid", project_id="p", write_key="w")

            def test_one(acumen_events):
                client.record("purchases", {"price": 3})
                assert acumen_events["purchases"] == [{"price": 3}]

            def test_two(acumen_events):
                assert "purchases" not in acumen_events
            """
        )
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout
