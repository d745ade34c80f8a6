"""Runs the specification against any server of the API, in fresh collections of one of its projects.

    python -m tests.spec.run --url https://acumen.example.com --project 5f… --master-key-file key.txt

Ends with status 0 where every case holds, 1 where one does not, and 2 where it could not be run.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from tests.spec.cases import FOLDER, BadSpecification, Case, File, faults, files, own_name

Send = Callable[[str, str, bytes | None], tuple[int, Any]]
"""Method, path below the project and body → status, and the JSON of the answer (None where it has none)."""
BATCH_EVENTS = 1_000
BUSY_TRIES = 20
"""So often a request is sent that is answered 429."""
BUSY_SECONDS = 5
"""To the next try, where the server does not say when."""


class CannotRun(Exception):
    """The server does not take what the specification needs."""


@dataclass(frozen=True)
class Failure:
    case: Case
    method: str
    status: int
    body: Any
    faults: list[str]

    def __str__(self) -> str:
        expected = json.dumps(self.case.expected, ensure_ascii=False)
        got = json.dumps(self.body, ensure_ascii=False)
        return "\n".join(
            (
                f"FAILED {self.case.file}: {self.case.name} (by {self.method})",
                f"  asked     {self.case.asked()}",
                f"  expected  {_cut(expected)}",
                f"  got       {self.status} {_cut(got)}",
                *(f"  differs   {fault}" for fault in self.faults),
            )
        )


def new_suffix() -> str:
    """What makes the names of collections this run's own. Taken out of answers again."""
    return f"_{secrets.token_hex(4)}"


def record(file: File, suffix: str, send: Send) -> None:
    """Sends a file's events. Raises CannotRun."""
    for collection, events in file.events.items():
        name = own_name(collection, suffix)
        if name == collection:
            events = [{**event, "run": suffix} for event in events]
        for start in range(0, len(events), BATCH_EVENTS):
            batch = {name: events[start : start + BATCH_EVENTS]}
            status, verdicts = send("POST", "events", json.dumps(batch).encode())
            refused = status != 200 or not all(one["success"] for one in verdicts[name])
            if refused:
                raise CannotRun(
                    f"{file.name}: the events were refused: {status} {_cut(json.dumps(verdicts))}"
                )


def ask(case: Case, suffix: str, send: Send) -> list[Failure]:
    """Asks the question in each way; what failed."""
    found = []
    for method in case.methods:
        status, body = send(method, *case.request(method, suffix))
        body = json.loads(json.dumps(body).replace(suffix, ""))
        wrong = faults(case, status, body)
        if wrong:
            found.append(Failure(case, method, status, body, wrong))
    return found


@dataclass
class _Run:
    """One run against a server."""

    send: Send
    wait_seconds: float
    keep: bool
    held: int = 0
    failed: int = 0
    left_out: list[str] = field(default_factory=list)

    def file(self, file: File, cases: Sequence[Case]) -> None:
        """Raises CannotRun."""
        suffix = new_suffix()
        clocked = [case for case in cases if case.now is not None]
        self.left_out += [f"{file.name}: {case.name}" for case in clocked]
        wanted = [case for case in cases if case.now is None]
        if not wanted:
            print(f"{file.name}: needs a clock that can be set")
            return
        try:
            record(file, suffix, self.send)
            time.sleep(self.wait_seconds)
            held = sum(self.case(case, suffix) for case in wanted)
        finally:
            if not self.keep:
                self._clean(file, suffix)
        print(f"{file.name}: {held} of {len(wanted)} hold", flush=True)

    def case(self, case: Case, suffix: str) -> bool:
        failures = ask(case, suffix, self.send)
        for failure in failures:
            print(failure, flush=True)
        self.failed += bool(failures)
        self.held += not failures
        return not failures

    def _clean(self, file: File, suffix: str) -> None:
        for collection in file.events:
            name = own_name(collection, suffix)
            path = f"events/{quote(name, safe='')}"
            if name == collection:
                of_run = {"property_name": "run", "operator": "eq", "property_value": suffix}
                path += f"?{urlencode({'filters': json.dumps([of_run])})}"
            self.send("DELETE", path, None)

    def closing(self) -> str:
        text = f"{self.held} cases hold, {self.failed} do not"
        if self.left_out:
            text += f"; {len(self.left_out)} need a clock that can be set, and were left out: "
            text += "; ".join(self.left_out)
        return text


def _sender(client: httpx.Client, project: str) -> Send:
    def send(method: str, path: str, body: bytes | None) -> tuple[int, Any]:
        try:
            for _ in range(BUSY_TRIES):
                reply = client.request(method, f"/3.0/projects/{project}/{path}", content=body)
                if reply.status_code != httpx.codes.TOO_MANY_REQUESTS:
                    break
                time.sleep(float(reply.headers.get("retry-after", BUSY_SECONDS)))
            return reply.status_code, reply.json() if reply.content else None
        except (httpx.HTTPError, ValueError) as error:
            raise CannotRun(f"{method} {path}: {error}") from None

    return send


def main(arguments: Sequence[str] | None = None) -> int:
    given = _options().parse_args(arguments)
    key = given.master_key or Path(given.master_key_file).read_text().strip()
    headers = {"authorization": key, "content-type": "application/json"}
    try:
        chosen = list(_chosen(files(given.folder), given.only))
        with httpx.Client(base_url=given.url, headers=headers, timeout=60) as client:
            run = _Run(_sender(client, given.project), given.wait, given.keep)
            for file, cases in chosen:
                run.file(file, cases)
    except (BadSpecification, CannotRun) as error:
        print(error, file=sys.stderr)
        return 2
    print(run.closing())
    return 1 if run.failed else 0


def _chosen(found: Iterable[File], only: str) -> Iterable[tuple[File, list[Case]]]:
    for file in found:
        cases = [case for case in file.cases if only in f"{file.name}: {case.name}"]
        if cases:
            yield file, cases


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m tests.spec.run", description="Ask a server the questions of the specification."
    )
    options.add_argument("--url", required=True, help="of the server, without a path")
    options.add_argument("--project", required=True, help="the project's id")
    keys = options.add_mutually_exclusive_group(required=True)
    keys.add_argument("--master-key", help="the project's master key; others see it in the list of processes")
    keys.add_argument("--master-key-file", help="a file that holds it")
    options.add_argument("--only", default="", help="cases whose 'file: name' holds this text")
    options.add_argument(
        "--folder", type=Path, default=FOLDER, help="of other files than the specification's"
    )
    options.add_argument("--wait", type=float, default=0.0, help="seconds after recording, 0 by default")
    options.add_argument("--keep", action="store_true", help="leave the collections in the project")
    return options


def _cut(text: str) -> str:
    return text if len(text) <= 2_000 else text[:2_000] + "…"


if __name__ == "__main__":
    sys.exit(main())
