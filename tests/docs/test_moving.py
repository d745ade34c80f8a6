"""docs/moving-from-keen.md: its commands, run as they stand, with one Acumen in the place of Keen."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.http.app import describe
from service.settings import Settings, load
from tests.support.command import acumen_command
from tests.support.server import Served, ServedProject

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/moving-from-keen.md").read_text()
KEEN_ID, KEEN_MASTER = "5368fa5436bf5a5623000000", "0123456789ABCDEF0123456789ABCDEF"
SIGNUPS = [
    {"plan": "free", "n": 2**70, "keen": {"timestamp": f"2015-03-{day:02}T12:00:00.000Z"}} for day in (1, 31)
]
PURCHASES = [{"price": n, "keen": {"timestamp": f"2015-0{n}-10T08:00:00.000Z"}} for n in (1, 2, 5)]
COUNT = {"analysis_type": "count", "event_collection": "purchases", "timeframe": "this_24_months"}
SAVED: dict[str, Any] = {
    "revenue": {
        "query": {**COUNT, "analysis_type": "sum", "target_property": "price", "interval": "monthly"},
        "refresh_rate": 14_400,
        "metadata": {"display_name": "Revenue", "tags": ["shop"]},
    },
    "newest": {"query": {"analysis_type": "extraction", "event_collection": "signups", "latest": 3}},
}
DATASET = {
    "query": {**COUNT, "timeframe": "this_500_days", "interval": "daily"},
    "index_by": ["plan"],
    "display_name": "By plan",
}
KEY = {
    "name": "a partner",
    "is_active": True,
    "permitted": ["queries"],
    "options": {"queries": {"filters": [{"property_name": "n", "operator": "gt", "property_value": 1}]}},
}
LATER = [{"price": 9, "keen": {"timestamp": "2015-05-11T08:00:00.000Z"}}]


@dataclass(frozen=True)
class Move:
    """What a run of all commands left."""

    keen: Served
    acumen: Served
    project: ServedProject
    folder: Path
    printed: list[str]
    """By each block of commands."""


@pytest.fixture(scope="module")
def move(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Move]:
    """The session's server is Keen; the guide's is fresh."""
    project = served.new_project("Shop", id=KEEN_ID, master_key=KEEN_MASTER)
    folder = tmp_path_factory.mktemp("move")
    fill(served, project, folder)
    with Served() as acumen:
        environment = {
            "KEEN_URL": served.url,
            "KEEN_PROJECT": project.id,
            "KEEN_MASTER": project.master_key,
            "KEEN_WRITE": project.write_key,
            "KEEN_READ": project.read_key,
            "ACUMEN_URL": acumen.url,
            "ACUMEN_DATA": str(acumen.data),
        }
        printed = []
        for block in re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL):
            printed.append(run_shell(block, folder, environment))
            if "projects create" in block:
                acumen.await_project(project)
        yield Move(served, acumen, project, folder, printed)


def fill(keen: Served, project: ServedProject, folder: Path) -> None:
    """Events and definitions at Keen; of the purchases, also the files that it streamed to S3."""
    keen.record(project, "signups", *SIGNUPS)
    keen.record(project, "purchases", *PURCHASES, *LATER)
    define(keen, project)
    exported = keen.ask(project, "extraction", event_collection="purchases")
    assert all({"created_at", "id"} <= event["keen"].keys() for event in exported)
    for number, events in enumerate((exported[:2], exported[2:]), 1):
        place = folder / "keen-s3" / project.id / f"2015-0{number}-10T08:05:00.000Z" / "purchases"
        place.mkdir(parents=True)
        lines = b"".join(json.dumps(event).encode() + b"\n" for event in events)
        (place / "part.json.gz").write_bytes(gzip.compress(lines))


def define(keen: Served, project: ServedProject) -> None:
    base = f"/3.0/projects/{project.id}"
    wanted: list[tuple[str, str, Any]] = [
        *(("PUT", f"/queries/saved/{name}", body) for name, body in SAVED.items()),
        ("PUT", "/datasets/by-plan", DATASET),
        ("POST", "/keys", KEY),
    ]
    for method, path, body in wanted:
        reply = keen.request(method, base + path, body, key=project.master_key)
        assert reply.status == 201, (path, reply.body)
    public = {"isPublic": True, "publicAccessKey": reply.json["key"]}
    for name, said in (("sales", public), ("lost", public | {"publicAccessKey": "of nobody"}), ("mine", {})):
        path = f"/projects/{project.id}/dashboards/{name}"
        assert keen.request("PUT", path, {"widgets": [name]}, key=project.master_key).status == 201
        said = said | {"title": name.title()}
        assert keen.request("PUT", f"{path}/metadata", said, key=project.master_key).status == 200


def run_shell(block: str, folder: Path, environment: Mapping[str, str]) -> str:
    """What the lines print, in one shell that stops at the first failure."""
    instead = {
        "acumen": shlex.join(acumen_command()),
        "python3": shlex.quote(sys.executable),
        "scripts/": shlex.quote(str(ROOT)) + "/scripts/",
        "curl": "curl --silent --show-error --fail",
    }
    lines = re.sub(
        r"(?<![\w/.$\"])(acumen|python3|curl|scripts/)(?=[ \w])", lambda one: instead[one[1]], block
    )
    done = subprocess.run(
        ["sh", "-eu", "-c", lines],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **environment},
        timeout=600,
    )
    assert done.returncode == 0, f"{lines}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_project_keeps_its_id_and_its_keys(move: Move) -> None:
    made = next(one for one in move.acumen.projects() if one.id == KEEN_ID)
    for key in ("master_key", "write_key", "read_key"):
        assert getattr(made, key) == getattr(move.project, key)


def test_the_history_is_there_as_it_was(move: Move) -> None:
    for collection in ("signups", "purchases"):
        before, after = (
            sorted(
                (
                    {**event, "keen": {"timestamp": event["keen"]["timestamp"]}}
                    for event in server.ask(move.project, "extraction", event_collection=collection)
                ),
                key=lambda event: str(event["keen"]["timestamp"]),
            )
            for server in (move.keen, move.acumen)
        )
        assert before == after
        assert before


def test_both_give_the_same_answer(move: Move) -> None:
    keen, acumen = (json.loads(line) for line in move.printed[-1].splitlines())
    assert keen == acumen
    assert sum(month["value"] for month in keen["result"]) == len(PURCHASES) + len(LATER)


def definitions(served: Served, project: ServedProject, path: str) -> Any:
    reply = served.request("GET", f"/3.0/projects/{project.id}{path}", key=project.master_key)
    assert reply.status == 200, reply.body
    return reply.json


def test_saved_queries_are_defined_as_they_were(move: Move) -> None:
    kept = ("query_name", "refresh_rate", "query", "metadata")
    before, after = (
        [{name: one[name] for name in kept} for one in definitions(server, move.project, "/queries/saved")]
        for server in (move.keen, move.acumen)
    )
    assert before == after
    assert {one["query_name"] for one in before} == set(SAVED)


def test_datasets_are_defined_as_they_were(move: Move) -> None:
    kept = ("dataset_name", "display_name", "query", "index_by")
    before, after = (
        [
            {name: one[name] for name in kept}
            for one in definitions(server, move.project, "/datasets")["datasets"]
        ]
        for server in (move.keen, move.acumen)
    )
    assert before == after
    assert [one["dataset_name"] for one in before] == ["by-plan"]


def test_access_keys_are_made_anew_and_told_beside_the_old_ones(move: Move) -> None:
    (before,), (after,) = (definitions(server, move.project, "/keys") for server in (move.keen, move.acumen))
    for name in ("name", "is_active", "permitted", "options"):
        assert before[name] == after[name]
    told = (move.folder / "keys.txt").read_text()
    assert told == f"{before['key']} {after['key']} a partner\n"
    assert (move.folder / "definitions.json").stat().st_mode & 0o077 == 0


def test_dashboards_are_as_they_were_and_public_ones_have_the_new_key(move: Move) -> None:
    key = definitions(move.acumen, move.project, "/keys")[0]["key"]
    base = f"/projects/{move.project.id}/dashboards"
    for name, public in (("sales", {"isPublic": True, "publicAccessKey": key}), ("lost", {}), ("mine", {})):
        before, after = (
            [
                server.request("GET", f"{base}/{name}{path}", key=move.project.read_key).json
                for path in ("", "/metadata")
            ]
            for server in (move.keen, move.acumen)
        )
        assert after[0] == before[0] == {"widgets": [name]}
        assert after[1] == before[1] | {"isPublic": False, "publicAccessKey": None} | public


def test_definitions_can_be_moved_again(move: Move) -> None:
    """What is there already is said to be, and stays one."""
    environment = {"ACUMEN_URL": move.acumen.url, "MASTER_KEY": KEEN_MASTER}
    again = (
        f'python3 scripts/move_definitions.py load definitions.json --url "$ACUMEN_URL" --project {KEEN_ID}'
    )
    assert run_shell(again + "\n", move.folder, environment) == ""
    assert len(definitions(move.acumen, move.project, "/keys")) == 1
    assert len(definitions(move.acumen, move.project, "/queries/saved")) == len(SAVED)


def test_the_calls_it_names_are_there() -> None:
    document = describe(load())
    known = {(method.upper(), shape(path)) for path, item in document["paths"].items() for method in item}
    table = GUIDE.partition("## Calls")[2].partition("\n## ")[0]
    named = re.findall(r"`(GET|POST|PUT|DELETE) (/[^`?…]+)[^`]*`", table)
    assert len(named) > 10
    for method, path in named:
        whole = path if path.startswith(("/3.0", "/timezones", "/projects")) else f"/3.0/projects/P{path}"
        for analysis in ("count", "funnel") if whole.endswith("/queries/A") else ("",):
            place = whole.removesuffix("A") + analysis if analysis else whole
            assert (method, shape(place)) in known, f"{method} {place}"


def shape(path: str) -> str:
    """A path with all its parameters alike: names in braces, or a single capital in the guide."""
    return re.sub(r"/(\{\w+\}|[A-Z])(?=/|$)", "/*", path)


def test_the_settings_it_names_are_there() -> None:
    for setting in re.findall(r"\bACUMEN_([A-Z_]+)\b", GUIDE):
        assert setting.lower() in Settings.model_fields or setting in ("URL", "WRITE_KEY"), setting


def test_every_document_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for document in (ROOT / "docs").glob("*.md"):
        assert f"docs/{document.name}" in readme, document.name
