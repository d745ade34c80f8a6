"""``acumen dashboards``: dashboards and saved queries as files, exported and applied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.__main__ import main
from service.settings import load
from storage.catalog.catalog import Catalog
from tests.support.server import Served, ServedProject

COUNT: dict[str, Any] = {
    "analysis_type": "count",
    "event_collection": "buys",
    "timeframe": "this_7_days",
    "filters": [{"property_name": "plan", "operator": "eq", "property_value": "pro"}],
}
BOARD: dict[str, Any] = {
    "title": "Sälés",
    "widgets": [
        {"id": "a", "query": "orders"},
        {"id": "b", "query": COUNT},
        {"type": "text", "query": "idle"},
    ],
    "big": 2**60,
}
ODD = "what / ever"


@pytest.fixture
def source(served: Served, project: ServedProject) -> ServedProject:
    """A project with two dashboards and three saved queries, of which one is on a dashboard."""
    for name in ("orders", "idle", "other"):
        put(served, project, f"/3.0/projects/{project.id}/queries/saved/{name}", {"query": COUNT})
    said = {"title": "Sälés", "tags": ["shop"], "isPublic": True, "publicAccessKey": "S" * 64}
    headers = {"X-Keen-Blob-Metadata": json.dumps(said)}
    put(served, project, f"/projects/{project.id}/dashboards/sales", BOARD, headers)
    put(served, project, f"/projects/{project.id}/dashboards/second", {"widgets": []})
    return project


def put(served: Served, project: ServedProject, path: str, body: Any, headers: Any = None) -> None:
    reply = served.request("PUT", path, body, key=project.master_key, headers=headers or {})
    assert reply.status < 300, reply.body


def get(served: Served, project: ServedProject, path: str) -> Any:
    return served.request("GET", f"/projects/{project.id}/dashboards/{path}", key=project.master_key).json


@pytest.fixture(params=["data folder", "url"])
def acumen(
    request: pytest.FixtureRequest,
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    """Runs ``acumen dashboards`` on a project, in either way; gives the status and what was said."""

    def run(action: str, project: ServedProject, *arguments: str) -> tuple[int, str]:
        where = ["--data", str(served.data)]
        if request.param == "url":
            where = ["--url", served.url]
            monkeypatch.setenv("ACUMEN_MASTER_KEY", project.master_key)
        status = main(["dashboards", action, *arguments, "--project", project.id, *where])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def files(folder: Path) -> dict[str, Any]:
    return {
        str(path.relative_to(folder)): json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))
    }


def test_what_is_exported_is_what_is_shown(acumen: Any, source: ServedProject, tmp_path: Path) -> None:
    status, said = acumen("export", source, "--to", str(tmp_path))
    assert (status, said) == (0, f"2 dashboards and 1 saved query are in {tmp_path}.\n")
    found = files(tmp_path)
    assert list(found) == ["dashboards/sales.json", "dashboards/second.json", "queries/orders.json"]
    sales = found["dashboards/sales.json"]
    assert sales == {"id": "sales", "metadata": {"title": "Sälés", "tags": ["shop"]}, "document": BOARD}
    # Neither keys nor what the server counts.
    assert "SSSS" not in (tmp_path / "dashboards/sales.json").read_text()


def test_one_is_exported_by_its_id(acumen: Any, source: ServedProject, tmp_path: Path) -> None:
    assert acumen("export", source, "second", "--to", str(tmp_path))[0] == 0
    assert list(files(tmp_path)) == ["dashboards/second.json"]
    status, said = acumen("export", source, "third", "--to", str(tmp_path))
    assert (status, "no dashboard 'third'" in said) == (1, True)


def test_an_empty_project_becomes_the_same(
    acumen: Any, served: Served, source: ServedProject, tmp_path: Path
) -> None:
    target = served.new_project("Target")
    acumen("export", source, "--to", str(tmp_path / "a"))
    status, said = acumen("apply", target, str(tmp_path / "a"))
    assert (status, said.splitlines()[-1]) == (0, "3 changes made.")
    assert get(served, target, "sales") == get(served, source, "sales")
    assert get(served, target, "sales/metadata")["tags"] == ["shop"]
    acumen("export", target, "--to", str(tmp_path / "b"))
    assert files(tmp_path / "b") == files(tmp_path / "a")
    before = get(served, target, "sales/metadata")
    assert acumen("apply", target, str(tmp_path / "a")) == (0, "Everything is as the files say.\n")
    assert get(served, target, "sales/metadata") == before


def test_only_what_differs_is_changed(
    acumen: Any, served: Served, source: ServedProject, tmp_path: Path
) -> None:
    acumen("export", source, "--to", str(tmp_path))
    path = tmp_path / "dashboards/sales.json"
    path.write_text(path.read_text().replace("Sälés", "Sales"))
    expected = "change dashboard sales\n"
    assert acumen("apply", source, str(tmp_path), "--dry-run") == (0, f"would {expected}")
    assert get(served, source, "sales")["title"] == "Sälés"
    assert acumen("apply", source, str(tmp_path)) == (0, f"{expected}1 change made.\n")
    assert get(served, source, "sales")["title"] == "Sales"
    # Whom Keen's creator shares it with is not for files to say.
    told = get(served, source, "sales/metadata")
    assert (told["isPublic"], told["publicAccessKey"]) == (True, "S" * 64)


def test_what_has_no_file_is_deleted_if_told_so(
    acumen: Any, served: Served, source: ServedProject, tmp_path: Path
) -> None:
    acumen("export", source, "sales", "--to", str(tmp_path))
    assert acumen("apply", source, str(tmp_path))[1] == "Everything is as the files say.\n"
    assert acumen("apply", source, str(tmp_path), "--prune") == (
        0,
        "delete dashboard second\n1 change made.\n",
    )
    assert [one["id"] for one in get(served, source, "metadata")] == ["sales"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n  "name": "x",\n  "query" {}\n}', "line 3: Expecting ':' delimiter."),
        ("[]", "line 1: it must be a JSON object."),
        ('{\n  "name": "x",\n  "quary": {}\n}', "line 3: 'quary' is unknown"),
        ('{\n  "name": "x",\n  "query": {"analysis_type": "cuont"}\n}', "line 3: "),
        (
            '{\n  "name": "orders",\n  "query": {"analysis_type": "count", "event_collection": "b"}\n}',
            "orders",
        ),
    ],
)
def test_a_broken_file_is_named_and_nothing_is_applied(
    acumen: Any, served: Served, source: ServedProject, tmp_path: Path, text: str, said: str
) -> None:
    target = served.new_project("Target")
    acumen("export", source, "--to", str(tmp_path))
    (tmp_path / "queries" / "zz.json").write_text(text)
    status, told = acumen("apply", target, str(tmp_path))
    assert (status, f"{tmp_path}/queries/zz.json, line " in told, said in told) == (1, True, True), told
    assert get(served, target, "metadata") == []


def test_a_query_without_a_file_is_told_of(
    acumen: Any, served: Served, source: ServedProject, tmp_path: Path
) -> None:
    target = served.new_project("Target")
    acumen("export", source, "--to", str(tmp_path))
    (tmp_path / "queries" / "orders.json").unlink()
    assert (
        "shows the saved query orders, of which there is no file" in acumen("apply", target, str(tmp_path))[1]
    )


def test_an_id_of_any_characters_has_a_file(
    acumen: Any, served: Served, project: ServedProject, tmp_path: Path
) -> None:
    put(served, project, f"/projects/{project.id}/dashboards/a%20b%3Fc", {"widgets": []})
    put(served, project, f"/projects/{project.id}/dashboards/{'%C3%A4' * 200}", {"widgets": []})
    acumen("export", project, "--to", str(tmp_path))
    target = served.new_project("Target")
    assert acumen("apply", target, str(tmp_path))[0] == 0
    assert {one["id"] for one in get(served, target, "metadata")} == {"a b?c", "ä" * 200}


def test_a_change_of_the_data_folder_is_in_the_audit_log(
    served: Served, source: ServedProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--project", source.id, "--data", str(served.data)]
    main(["dashboards", "export", "--to", str(tmp_path), *where])
    for change in (["--dry-run"], []):
        (tmp_path / "dashboards/second.json").write_text(json.dumps({"id": "second", "document": {"n": 1}}))
        main(["dashboards", "apply", str(tmp_path), *change, *where])
    capsys.readouterr()
    catalog = Catalog.open(served.data, secret=load(data=served.data).secret_key)
    try:
        entries = catalog.audit.page(catalog.projects.get(source.id).organisation_id, project_id=source.id)
        assert [one.action for one in entries].count("acumen dashboards apply") == 1
    finally:
        catalog.close()


def test_it_says_what_it_lacks(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments, said in (
        (["--url", "nowhere"], "not the address of a server"),
        (["--url", "http://127.0.0.1:9"], "Which project?"),
        (["--url", "http://127.0.0.1:9", "--project", "p"], "Which key?"),
    ):
        assert main(["dashboards", "export", "--to", str(tmp_path), *arguments]) == 1
        assert said in capsys.readouterr().err
