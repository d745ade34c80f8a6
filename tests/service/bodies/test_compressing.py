"""Large answers come compressed to clients that read gzip; all others as they are."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest

from service.bodies.compressing import BYTES_MIN
from tests.support.server import Reply, Served, ServedProject

GZIP = {"Accept-Encoding": "gzip, deflate, br"}


@pytest.fixture(scope="module")
def project(served: Served) -> ServedProject:
    project = served.new_project("Large answers")
    served.record(project, "visits", *({"page": f"/products/{number}"} for number in range(3_000)))
    return project


def groups(served: Served, project: ServedProject, **headers: str) -> Reply:
    path = f"/3.0/projects/{project.id}/queries/count?event_collection=visits&group_by=page"
    return served.request("GET", path, key=project.read_key, headers=headers)


def test_a_large_answer_is_compressed(served: Served, project: ServedProject) -> None:
    plain, packed = groups(served, project), groups(served, project, **GZIP)
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert len(plain.body) >= BYTES_MIN
    assert len(packed.body) == int(packed.headers["content-length"]) < len(plain.body) / 5
    assert json.loads(gzip.decompress(packed.body)) == plain.json
    for reply in (plain, packed):
        assert "accept-encoding" in reply.headers["vary"].lower()
    key = {"Authorization": project.read_key}
    answer = httpx.get(
        f"{served.url}/3.0/projects/{project.id}/queries/count",
        headers=key,
        params={"event_collection": "visits", "group_by": "page"},
    )
    assert answer.json() == plain.json


@pytest.mark.parametrize("said", ["identity", "gzip;q=0", "gzip; q=0.000", "br", "*;q=0", "gzipped"])
def test_a_client_that_reads_no_gzip_gets_none(served: Served, project: ServedProject, said: str) -> None:
    assert "content-encoding" not in groups(served, project, **{"Accept-Encoding": said}).headers


@pytest.mark.parametrize("said", ["gzip", "GZIP", "br, gzip;q=0.5", "deflate,gzip; q=1.0"])
def test_gzip_is_found_among_others(served: Served, project: ServedProject, said: str) -> None:
    assert groups(served, project, **{"Accept-Encoding": said}).headers["content-encoding"] == "gzip"


def test_a_small_answer_stays_as_it_is(served: Served, project: ServedProject) -> None:
    path = f"/3.0/projects/{project.id}/queries/count?event_collection=visits"
    reply = served.request("GET", path, key=project.read_key, headers=GZIP)
    assert "content-encoding" not in reply.headers
    assert reply.json == {"result": 3_000}


def test_head_says_what_get_would_without_compressing(served: Served, project: ServedProject) -> None:
    path = f"/3.0/projects/{project.id}/queries/count?event_collection=visits&group_by=page"
    reply = served.request("HEAD", path, key=project.read_key, headers=GZIP)
    assert (reply.status, reply.body) == (200, b"")
    assert "content-encoding" not in reply.headers
