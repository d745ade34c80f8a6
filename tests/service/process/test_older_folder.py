"""A data folder that an older Acumen wrote opens, is migrated, and answers as it did there.

``older/<commit>.tar.xz`` is the folder as it was when every process of that server was killed, with events in
files, in chunks and in logs alone; ``older/<commit>.json.xz`` is what the server had answered just before.
``older/write.py`` made both.
"""

from __future__ import annotations

import json
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.__main__ import main
from storage.catalog.catalog import Catalog
from storage.disk.file_system import LocalFileSystem
from storage.recovery.takeover import recover
from tests.service.whole import Whole

FOLDERS = Path(__file__).parent / "older"
COMMITS = [path.name.removesuffix(".tar.xz") for path in sorted(FOLDERS.glob("*.tar.xz"))]
HOUR_US = 3_600_000_000


class Opened:
    """An older folder, migrated and served in this process."""

    def __init__(self, commit: str, data: Path) -> None:
        with tarfile.open(FOLDERS / f"{commit}.tar.xz") as packed:
            packed.extractall(data, filter="data")
        told = json.loads(lzma.decompress((FOLDERS / f"{commit}.json.xz").read_bytes()))
        self.data, self.secret = data, told["secret"]
        self.keys, self.answers = told["keys"], told["answers"]
        catalog = Catalog.prepare(data, secret=self.secret)
        recover(catalog.folder, catalog, LocalFileSystem())
        catalog.close()
        # Soon after: nothing that was kept for a time is too old.
        self.whole = Whole(data, told["now_us"] + HOUR_US // 2, secret_key=self.secret)
        self.project = self.whole.catalog.projects.all()[0]
        assert self.project.id == told["project"]

    def ask(self, asked: dict[str, Any]) -> tuple[int, Any]:
        method, path, body, key = (asked[name] for name in ("method", "path", "body", "key"))
        if path.startswith("/"):
            path = f"../../..{path}"
        reply = self.whole.call(self.project, method, path, body, key=key)
        return reply.status_code, reply.json() if reply.content else None

    def check_answers(self) -> None:
        for asked in self.answers:
            status, answer = self.ask(asked)
            told = {name: asked[name] for name in ("path", "body")}
            if "status" in asked:
                assert status == asked["status"], (told, answer)
                continue
            assert status == 200, (told, answer)
            if asked["whole"]:
                assert_holds(answer, asked["answer"], told)
            else:
                assert answer["result"] == asked["answer"], told


def assert_holds(answer: Any, older: Any, told: Any) -> None:
    """All that stood in the older answer stands in this one; newer fields may stand beside it."""
    if isinstance(older, dict):
        assert isinstance(answer, dict) and older.keys() <= answer.keys(), (told, answer)
        for name, value in older.items():
            assert_holds(answer[name], value, told)
    elif isinstance(older, list):
        assert isinstance(answer, list) and len(answer) == len(older), (told, answer)
        for one, other in zip(answer, older, strict=True):
            assert_holds(one, other, told)
    else:
        assert answer == older, told


@pytest.fixture(params=COMMITS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    found = Opened(request.param, tmp_path / "data")
    yield found
    found.whole.close()


def test_answers_are_those_of_the_older_server(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From logs and files, from files alone, and from merged ones; nothing is missing or there twice."""
    assert not any(file.marked for file in opened.whole.catalog.files.live())
    opened.check_answers()
    opened.whole.flush()
    assert len({file.marked for file in opened.whole.catalog.files.live()}) == 2, "files of both kinds"
    opened.check_answers()
    opened.whole.merge()
    assert len({file.marked for file in opened.whole.catalog.files.live()}) == 2, "and merges of both"
    opened.check_answers()
    monkeypatch.setenv("ACUMEN_SECRET_KEY", opened.secret)
    assert main(["check", "--data", str(opened.data)]) == 0, capsys.readouterr().out


def test_what_was_kept_is_kept(opened: Opened) -> None:
    """The result of a saved query and the file of an extraction are not made anew."""
    kept = opened.whole.told(opened.project, "GET", "queries/saved/kept/result")
    assert kept["run_information"]["last_run_status"] == "success"
    assert kept["run_information"]["stale"] is True, "its last run was before the last events came"
    job = opened.whole.told(opened.project, "GET", f"extractions/{opened.keys['job']}")
    assert (job["state"], job["message"]) == ("done", None)
    file = opened.data / "exports"
    assert len([path for path in file.iterdir() if path.stat().st_size]) == 1


def test_what_was_taken_is_known_still(opened: Opened) -> None:
    """A uniqueness token stays taken, an autofill goes on, new events are beside the older ones."""
    project, whole = opened.project, opened.whole
    of = {"timeframe": {"start": "2020-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"}}

    def count(collection: str, **more: Any) -> int:
        asked = {"event_collection": collection, **of, **more}
        number: int = whole.told(project, "POST", "queries/count", asked)["result"]
        return number

    again = {"n": 2, "keen": {"uniqueness_token": "order-1", "timestamp": "2024-06-01T00:00:00Z"}}
    whole.told(project, "POST", "events/tokens", again)
    assert count("tokens") == 1
    before = count("purchases")
    whole.told(
        project,
        "POST",
        "events/purchases",
        {"keen": {"timestamp": "2024-06-01T00:00:00Z"}, "price": "new"},
        key=opened.keys["writer"],
    )
    assert count("purchases") == before + 1
    c9 = [{"property_name": "customer.id", "operator": "eq", "property_value": "c9"}]
    assert count("purchases", filters=c9) == 1
    whole.told(project, "DELETE", "events/purchases", filters=c9)
    whole.flush()
    assert count("purchases") == before
