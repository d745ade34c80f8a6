"""Webhooks that a plugin sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.outbound.webhook import PAUSES_SECONDS
from service.outbound.webhook_task import Deliverer
from service.plugins.installed import installed_plugins
from tests.service.whole import Whole
from tests.support.plugins import see_plugins, write_package

NOW_US = 1_800_000_000_000_000
CODE = """
import json
import msgspec
import pathlib


class Telling:
    api = 1

    class Settings(msgspec.Struct):
        room: int
        words: str = "loud"

    def __init__(self, settings):
        self.settings = settings

    def send(self, notice):
        if pathlib.Path("FOLDER/down").exists():
            raise ConnectionError("nobody there")
        told = [notice.kind, notice.key, self.settings.room, self.settings.words, dict(notice.data)]
        with open("FOLDER/told.ndjson", "a") as file:
            file.write(json.dumps([*told, notice.created.isoformat()]) + "\\n")
"""


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Whole]:
    entries = {"alert_channels/telling": "channel:Telling"}
    write_package(tmp_path / "packages", "channel", entries, CODE.replace("FOLDER", str(tmp_path)))
    see_plugins(tmp_path / "packages", monkeypatch)
    made = Whole(tmp_path / "data", NOW_US, outbound_seconds=60.0)
    try:
        yield made
    finally:
        made.close()
        installed_plugins.cache_clear()


def told(whole: Whole, method: str, path: str, body: Any = None) -> Any:
    return whole.told(whole.project, method, path, body)


def test_a_plugin_tells_what_a_webhook_would_be_sent_and_is_asked_again(whole: Whole, tmp_path: Path) -> None:
    put = told(whole, "PUT", "webhooks/pager", {"url": "plugin:telling?room=7"})
    assert put["origin"] == "plugin:telling"
    deliverer = Deliverer(whole.tools)
    (tmp_path / "down").touch()
    key = told(whole, "POST", "webhooks/pager/test")["id"]
    assert deliverer.run_due(whole.now_us)
    (listed,) = told(whole, "GET", "webhooks/pager/deliveries")["deliveries"]
    assert (listed["state"], listed["attempts"]) == ("waiting", 1)
    assert listed["message"].startswith("The alert channel plugin 'telling' failed:\nTraceback")
    assert listed["message"].endswith("ConnectionError: nobody there")
    (tmp_path / "down").unlink()
    whole.now_us += PAUSES_SECONDS[0] * 1_000_000
    assert deliverer.run_due(whole.now_us)
    (one,) = map(json.loads, (tmp_path / "told.ndjson").read_text().splitlines())
    assert one[:4] == ["test", key, 7, "loud"]
    assert one[5] == "2027-01-15T08:00:00+00:00"
    (listed,) = told(whole, "GET", "webhooks/pager/deliveries")["deliveries"]
    assert listed["state"] == "delivered"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("plugin:", "'url': must be 'plugin:NAME', with its settings as '?room=ops', each once."),
        ("plugin:telling?room=1&room=2", "'url': must be 'plugin:NAME'"),
        ("plugin:pager", "'url': there is no alert channel plugin 'pager' on this server."),
        ("plugin:telling", "'url': settings.room: is lacking."),
        ("plugin:telling?room=x", "'url': settings.room: expected `int`, got `str`."),
        ("plugin:telling?room=1&file=/etc/x", "'url': settings.file: the plugin has no such setting."),
    ],
)
def test_a_url_that_names_no_channel_is_refused(whole: Whole, url: str, said: str) -> None:
    reply = whole.call(whole.project, "PUT", "webhooks/pager", {"url": url})
    assert reply.status_code == 400
    assert said in reply.json()["message"]
