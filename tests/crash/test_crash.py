"""Killed at any moment, a server holds exactly what it acknowledged, each event once.

Posts go on from several threads while processes are killed: all of them at once, the supervisor alone, the
keeper, or one worker; with settings that make it flush and merge files all the time. At full length
(``ACUMEN_TEST_SCALE=1``) some fifty times, at random moments but for those kills that wait until they are
known to fall within a flush or a merge; what they hit is counted.
"""

from __future__ import annotations

import random
import time
import urllib.parse
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.crash.aim import MISSED, Aim
from tests.crash.sender import COLLECTION, Record, Senders, TokenSender
from tests.support.scale import SCALE, examples
from tests.support.server import Served, ServedProject

RESTLESS = {
    "ACUMEN_FLUSH_SECONDS": "0.1",
    "ACUMEN_SHRED_SECONDS": "0.02",
    "ACUMEN_GRACE_SECONDS": "2",
    "ACUMEN_QUERY_TIMEOUT_SECONDS": "1",
    "ACUMEN_SEGMENT_BYTES": "65536",
    "ACUMEN_PARTIALS_EVENTS_MIN": "1",
    "ACUMEN_PARTIALS_SHARE": "1",
}
SENDERS = 4


def extract(served: Served, project: ServedProject, collection: str, name: str) -> list[Any]:
    """The value of one property in every event of a collection."""
    query = urllib.parse.urlencode({"event_collection": collection, "property_names": name})
    path = f"/3.0/projects/{project.id}/queries/extraction?{query}"
    reply = served.request("GET", path, headers={"Authorization": project.read_key})
    assert reply.status == 200, reply.body
    return [event[name] for event in reply.json["result"]]


TOTALS: dict[str, Any] = {
    "event_collection": COLLECTION,
    "analyses": {
        "events": {"analysis_type": "count"},
        "sum": {"analysis_type": "sum", "target_property": "n"},
    },
}


class Versions:
    """Answers of earlier versions, which no kill changes: merges go on, and superseded files are kept."""

    def __init__(self, served: Served, project: ServedProject) -> None:
        self._served, self._project = served, project
        self._known: dict[str, Any] = {}

    def remember(self) -> None:
        told = self._ask(explain=True)
        self._known[told["explain"]["snapshot"]["version"]] = told["result"]

    def verify(self) -> None:
        for version, result in self._known.items():
            assert self._ask(as_of=version)["result"] == result, version

    def _ask(self, **more: Any) -> Any:
        path = f"/3.0/projects/{self._project.id}/queries/multi_analysis"
        reply = self._served.request("POST", path, {**TOTALS, **more}, key=self._project.read_key)
        assert reply.status == 200, reply.body
        return reply.json


def verify(served: Served, project: ServedProject, record: Record) -> None:
    """Exactly the acknowledged events, each once; what had no answer at most once; and all is sound."""
    stored = Counter(extract(served, project, COLLECTION, "n"))
    doubled = {number for number, times in stored.items() if times > 1}
    lost = record.acknowledged - stored.keys()
    invented = stored.keys() - record.acknowledged - record.unknown
    assert (sorted(lost), sorted(doubled), sorted(invented)) == ([], [], [])
    # By what was kept of files, half of it perhaps while a process died.
    for _ in range(2):
        totals = served.ask(project, "multi_analysis", **TOTALS, max_age=0)
        assert totals == {"events": len(stored), "sum": sum(stored)}

    tokens = Counter(extract(served, project, f"{COLLECTION}_tokens", "token"))
    assert record.tokens - tokens.keys() == set()
    assert {token for token, times in tokens.items() if times > 1} == set()


def kill_once(served: Served, rng: random.Random, victim: str, aim: Aim | None = None) -> str:
    """Kill after a random while, with ``aim`` within a flush or merge, and bring the server back where it
    needs that. Says what was hit."""
    time.sleep(rng.uniform(0.05, 0.6))
    moment = MISSED if aim is None else aim.halt_keeper()
    if victim == "all":
        served.kill_all()
        served.start()
    elif victim == "supervisor":
        served.kill()
        served.start()
    else:
        served.kill(f"worker-{rng.randrange(served.workers)}" if victim == "worker" else victim)
    return f"{victim}, {moment}"


WITHIN_MIN = 10
"""Kills of one test that fall within a flush or merge, of fifteen that are aimed so."""


def check_tally(tally: Counter[str]) -> None:
    """Print what was hit, and hold that it is enough."""
    print("kills:", *(f"{count} × {what}" for what, count in sorted(tally.items())), sep="\n  ")  # noqa: T201
    within = sum(count for what, count in tally.items() if not what.endswith(MISSED))
    assert SCALE < 1 or within >= WITHIN_MIN, tally


@pytest.mark.parametrize(
    ("workers", "victims"),
    [
        (3, ["worker", "keeper, aimed", "worker", "all, aimed", "keeper, aimed"]),
        (1, ["all, aimed", "keeper, aimed", "all, aimed", "supervisor"]),
    ],
    ids=["three workers", "one worker"],
)
def test_what_was_acknowledged_is_there_once_after_every_kill(
    tmp_path: Path, workers: int, victims: list[str]
) -> None:
    rng = random.Random(workers)
    record, tally = Record(), Counter[str]()
    with Served(workers=workers, data=tmp_path / "data", env=RESTLESS) as served:
        project, aim = served.project, Aim(served)
        versions = Versions(served, project)
        for round_number in range(examples(5)):
            senders = Senders(served, project, record, SENDERS, seed=round_number)
            senders.start()
            try:
                for entry in victims:
                    victim, _, aimed = entry.partition(", ")
                    tally[kill_once(served, rng, victim, aim if aimed else None)] += 1
                time.sleep(0.3)
            finally:
                senders.stop()
            served.wait_ready()
            verify(served, project, record)
            versions.verify()
            versions.remember()
        assert len(record.acknowledged) > 50
        assert served.stop() == 0, served.output()
        served.start()
        verify(served, project, record)
        versions.verify()
        report = served.told("check")
        assert "No faults" in report.stdout, report.stdout
    check_tally(tally)


def test_posts_of_one_token_to_all_workers_one_of_them_killed_leave_one_row(tmp_path: Path) -> None:
    with Served(workers=3, data=tmp_path / "data", env=RESTLESS) as served:
        project = served.project
        for round_number in range(examples(10)):
            record = Record()
            event: dict[str, object] = {
                "token": f"only-{round_number}",
                "keen": {"uniqueness_token": f"only-{round_number}"},
            }
            senders = [TokenSender(served, project, record, event) for _ in range(6)]
            for sender in senders:
                sender.start()
            time.sleep(0.02 * (1 + round_number % 5))
            served.kill(f"worker-{round_number % 3}")
            for sender in senders:
                sender.join()
            served.wait_ready()
            tokens = Counter(extract(served, project, f"{COLLECTION}_tokens", "token"))
            assert record.tokens == {event["token"]}
            assert tokens[event["token"]] == 1
            assert all(times == 1 for times in tokens.values())
