"""A person who is erased leaves no byte behind: whatever had their ids, and in whatever form it was kept."""

from __future__ import annotations

import json
import time
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import zstandard

from tests.support.server import Served, ServedProject

MARKER = "zq7wfxk2"
ANONYMOUS, USER, ALIAS = (f"{MARKER}-{kind}" for kind in ("anonymous", "user", "alias"))
IDS = (ANONYMOUS, USER, ALIAS)
NUMBER = 7_355_608_127
ENV = {
    "ACUMEN_GRACE_SECONDS": "0.5",
    "ACUMEN_QUERY_TIMEOUT_SECONDS": "20",
    "ACUMEN_FLUSH_SECONDS": "1",
    "ACUMEN_PARTIALS_EVENTS_MIN": "1",
    "ACUMEN_PARTIALS_SHARE": "1",
}
ZSTD, GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08"


def unpacked(content: bytes) -> list[bytes]:
    """What is compressed anywhere in a file: pages of Parquet files, Arrow batches, results, payloads."""
    found = []
    at = -1
    while (at := content.find(ZSTD, at + 1)) >= 0:
        try:
            found.append(zstandard.ZstdDecompressor().decompressobj().decompress(content[at:]))
        except zstandard.ZstdError:
            continue
    at = -1
    while (at := content.find(GZIP, at + 1)) >= 0:
        try:
            found.append(zlib.decompressobj(31).decompress(content[at:]))
        except zlib.error:
            continue
    return found


def holding(data: Path, marker: bytes) -> list[str]:
    """The files below the folder that hold the text, as it is or compressed."""
    found = []
    for path in data.rglob("*"):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:
            continue
        if any(marker in part for part in (content, *unpacked(content))):
            found.append(str(path.relative_to(data)))
    return found


def kinds(paths: list[str]) -> set[str]:
    return {path.partition("/")[0] for path in paths}


class Life:
    """All that a server keeps of a person."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.project: ServedProject = served.new_project("Erased")
        self.base = f"/3.0/projects/{self.project.id}"

    def told(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        text = urlencode({name: json.dumps(one) for name, one in query.items()})
        address = f"{self.base}/{path}" + (f"?{text}" if text else "")
        reply = self.served.request(method, address, body, key=self.project.master_key)
        assert reply.status in (200, 201, 202, 204), (path, reply.body)
        return json.loads(reply.body) if reply.body else None

    def record(self) -> None:
        """Events of the person in files, in superseded files, and in logs; of text and of numbers."""
        for part in range(3):
            for who in (*IDS, "ann", "bob"):
                mine = who in IDS
                note = {"note": f"of {who}", "number": NUMBER} if mine else {"number": part}
                token = {"keen": {"uniqueness_token": f"{who}-{part}"}}
                self.served.record(self.project, "views", {"user": who, **note, **token})
                self.served.record(
                    self.project, "buys", {"buyer": {"id": who}, "list": [who, "x"], "n": part}
                )
            if part == 0:
                statements = [
                    {"anonymous_id": ANONYMOUS, "user_id": USER},
                    {"alias": ALIAS, "user_id": USER},
                    {"anonymous_id": "a1", "user_id": "ann"},
                ]
                self.told("POST", "identities", statements)
            if part < 2:
                self.await_files(5 * (part + 1))
            if part == 1:
                # What an update replaced is kept for earlier versions.
                of_mine = [{"property_name": "user", "operator": "in", "property_value": list(IDS)}]
                updates = [{"property_name": "note", "property_value": "changed", "upsert_property": True}]
                self.told("PUT", "events/views", {"property_updates": updates, "filters": of_mine})

    def await_files(self, events: int) -> None:
        """Until so many views are in files."""
        deadline = time.monotonic() + 120
        while ("views", events) not in [
            (one["event_collection"], one["events"]) for one in self.told("GET", "files")
        ]:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def ask(self) -> None:
        """Questions in which the ids are groups, members, values and actors; kept wherever answers are."""
        cohorts: dict[str, Any] = {
            "listed": {"actor_property": "user", "actors": [*IDS, "ann", 7]},
            "buyers": {"actor_property": "buyer.id", "actors": ["ann"]},
            "often": {"actor_property": "user", "all": [{"event_collection": "views", "at_least": 2}]},
        }
        for name, cohort in cohorts.items():
            self.told("PUT", f"cohorts/{name}", cohort)
        self.told("POST", "cohorts/buyers/members", {"add": list(IDS)})
        views = {"event_collection": "views"}
        steps = [
            {**views, "actor_property": "user", "with_actors": True},
            {"event_collection": "buys", "actor_property": "buyer.id", "with_actors": True},
        ]
        member = {"operator": "in_cohort", "property_value": "listed"}
        questions: dict[str, dict[str, Any]] = {
            "uniques": {"analysis_type": "select_unique", "target_property": "user", **views},
            "notes": {"analysis_type": "count", "group_by": ["user", "note"], **views},
            "numbers": {"analysis_type": "select_unique", "target_property": "number", **views},
            "people": {"analysis_type": "funnel", "steps": steps},
            "members": {"analysis_type": "count", "group_by": "user", "filters": [member], **views},
            "days": {
                "analysis_type": "count",
                "group_by": "buyer.id",
                "event_collection": "buys",
                "timeframe": "this_2_days",
                "interval": "daily",
            },
        }
        for name, query in questions.items():
            asked = {part: one for part, one in query.items() if part != "analysis_type"}
            for _ in range(2):
                self.told("POST", f"queries/{query['analysis_type']}", asked)
            self.told("PUT", f"queries/saved/{name}", {"query": query, "refresh_rate": 14_400})
            self.told("GET", f"queries/saved/{name}/result")
        self.told("PUT", "datasets/days", {"query": questions["days"], "index_by": "buyer.id"})
        for name in cohorts:
            self.told("GET", f"cohorts/{name}/actors")
        self.told("GET", f"identities/{ALIAS}")
        for kind in ("application/json", "text/csv"):
            asked = {**views, "delivery": "link", "content_type": kind}
            path = f"extractions/{self.told('POST', 'queries/extraction', asked)['job']['id']}"
            deadline = time.monotonic() + 120
            while self.told("GET", path)["state"] != "done":
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_no_byte_of_an_erased_person_is_left() -> None:
    with Served(env=ENV) as server:
        life = Life(server)
        life.record()
        life.ask()
        deadline = time.monotonic() + 120
        while not {"partials", "results", "datasets"} <= kinds(holding(server.data, MARKER.encode())):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        before = kinds(holding(server.data, MARKER.encode()))
        assert {"events", "exports", "catalog.sqlite"} <= before, before
        query = urlencode(
            [("actor_property", "user"), ("actor_property", "buyer.id"), ("actor_property", "list")]
        )
        path = f"{life.base}/identities/{ANONYMOUS}/events?{query}"
        erased = server.request("DELETE", path, key=life.project.master_key)
        assert erased.status == 200, erased.body
        assert erased.json["deleted_events"] == {"buys": 9, "views": 9, "acumen.identities": 2}
        deadline = time.monotonic() + 240
        while left := [*holding(server.data, MARKER.encode()), *holding(server.data, str(NUMBER).encode())]:
            assert time.monotonic() < deadline, left
            time.sleep(0.5)
        assert server.told("check").returncode == 0
