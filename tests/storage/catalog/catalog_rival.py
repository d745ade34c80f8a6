"""One of several processes that want the same things of one catalog; run by test_processes.

Arguments: data folder, own number, rounds. Waits for a line on stdin, prints one JSON object.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import Claim
from storage.schema import LaneKind

TTL_US = 10**12


def main() -> None:
    data, number, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sys.stdin.readline()
    catalog = Catalog.prepare(data)
    project, created = catalog.projects.ensure_first()
    collection = catalog.collections.ensure(project.id, "purchases")
    log_id = catalog.logs.create()
    order = random.Random(number)
    won: dict[str, list[int]] = {}
    schemas: list[list[str]] = []
    for turn in range(rounds):
        tokens = [f"{turn}.{token}" for token in range(20)]
        order.shuffle(tokens)
        wanted = [
            Claim("c", token, log_id, turn * 20 + index, b"", b"", 1) for index, token in enumerate(tokens)
        ]
        for winner in catalog.claims.take(wanted, 1, TTL_US):
            won[winner.token] = [winner.log_id, winner.ordinal]
        paths = [f"p{turn}", f"P{turn}", f"own{number}.{turn}"]
        order.shuffle(paths)
        kinds = [(path, kind) for path in paths for kind in (LaneKind.NUMBER, LaneKind.STRING)]
        made = catalog.collections.add_lanes(collection.id, kinds, 10_000)
        schemas.append([f"{lane.path}|{lane.kind}|{lane.column}" for lane in made.schema.lanes])
        catalog.claims.take([Claim("own", f"{number}.{turn}", log_id, turn, b"", b"", 1)], 1, TTL_US)
    catalog.close()
    answer = {
        "project": project.id,
        "created": created,
        "collection": collection.id,
        "log": log_id,
        "won": won,
        "schemas": schemas,
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
