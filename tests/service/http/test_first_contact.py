"""What somebody sees who tries the API for the first time: the root, wrong paths, common mistakes."""

from __future__ import annotations

import pytest

from tests.support.server import Served, ServedProject


def test_a_browser_gets_a_page_and_a_client_the_versions(served: Served) -> None:
    page = served.request("GET", "/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    text = page.body.decode()
    assert "Acumen" in text and "/openapi.json" in text and "http" not in text
    for accept in ("*/*", "application/json"):
        versions = served.request("GET", "/", headers={"Accept": accept})
        assert [one["version"] for one in versions.json] == ["1.0", "2.0", "3.0"]
        assert versions.headers["vary"] == "Accept"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/3.0/projects/abc/events/x", "no project has the id 'abc'"),
        ("/3.0/projects/abc/queries/count", "no project has the id 'abc'"),
        ("@/queries/counts", "no analysis is called 'counts'. Did you mean 'count'?"),
        ("@/queries/avg", "no analysis is called 'avg'. Did you mean 'average'?"),
        (
            "/projects/abc/queries/count",
            "begins with the version: /3.0/projects/abc/queries/count.",
        ),
        ("@/event/x", "Did you mean 'events'?"),
        ("@/querys/count", "Did you mean 'queries'?"),
        ("/3.0/project", "Did you mean 'projects'?"),
        ("//3.0/projects", "two slashes"),
        ("@/queries/count/", "Leave out the slash at the end"),
        ("/nonsense", "nothing has the path '/nonsense'"),
        ("@/events/nope", "there is no collection 'nope'"),
        ("@/events/nope/properties/a", "there is no collection 'nope'"),
        ("@/queries/saved/nope", "there is no saved query 'nope'"),
        ("@/queries/saved/nope/result", "there is no saved query 'nope'"),
        ("@/datasets/nope", "there is no dataset 'nope'"),
        ("@/datasets/nope/results?index_by=a", "there is no dataset 'nope'"),
    ],
)
def test_a_404_says_which_part_is_wrong(served: Served, project: ServedProject, path: str, said: str) -> None:
    full = path.replace("@", f"/3.0/projects/{project.id}")
    reply = served.request("GET", full, key=project.master_key)
    assert (reply.status, reply.json["error_code"]) == (404, "ResourceNotFoundError")
    assert reply.json["message"].startswith("Resource not found: ")
    assert said in reply.json["message"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("events/nope", "there is no collection 'nope'"),
        ("events/known/properties/nope", "there is no property 'nope'"),
        ("queries/saved/nope", "there is no saved query 'nope'"),
        ("datasets/nope", "there is no dataset 'nope'"),
    ],
)
def test_a_deletion_of_what_is_not_there_says_what_is_missing(
    served: Served, project: ServedProject, path: str, said: str
) -> None:
    base = f"/3.0/projects/{project.id}"
    assert served.request("POST", f"{base}/events/known", {"a": 1}, key=project.write_key).status == 201
    reply = served.request("DELETE", f"{base}/{path}", key=project.master_key)
    assert (reply.status, reply.json["message"]) == (404, f"Resource not found: {said}.")


@pytest.mark.parametrize(("value", "shown"), [("1700000000", "1700000000"), ("true", "true"), ("1.5", "1.5")])
def test_a_time_that_is_a_number_is_shown_as_one(
    served: Served, project: ServedProject, value: str, shown: str
) -> None:
    body = f'{{"keen":{{"timestamp":{value}}}}}'.encode()
    reply = served.request("POST", f"/3.0/projects/{project.id}/events/c", body, key=project.write_key)
    assert reply.status == 400
    assert f"You specified: {shown}." in reply.json["message"]
    assert "seconds since 1970" in reply.json["message"]


def test_a_put_with_the_write_key_is_told_to_use_post(served: Served, project: ServedProject) -> None:
    path = f"/3.0/projects/{project.id}/events/c"
    reply = served.request("PUT", path, {"a": 1}, key=project.write_key)
    assert (reply.status, reply.json["error_code"]) == (401, "AdminOnlyEndpointError")
    assert "use POST" in reply.json["message"]


def test_a_form_for_a_question_is_called_one(served: Served, project: ServedProject) -> None:
    path = f"/3.0/projects/{project.id}/queries/count"
    for body, is_form in ((b"event_collection=purchases", True), (b"{event_collection: 1}", False)):
        reply = served.request("POST", path, body, key=project.read_key)
        assert (reply.status, reply.json["error_code"]) == (400, "InvalidJSONError")
        assert ("It is a form" in reply.json["message"]) == is_form
