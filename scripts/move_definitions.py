"""Move saved queries, datasets, access keys and dashboards from Keen to Acumen, or between Acumens.

    MASTER_KEY=… move_definitions.py save FILE --url https://api.keen.io --project P
    MASTER_KEY=… move_definitions.py load FILE --url http://127.0.0.1:8000 --project P

The first command writes the definitions of a project into a file, which holds the text of access keys: keep
it as one keeps keys. The second makes them in another project. It can be run again: saved queries are
replaced, and datasets, keys and dashboards of a name that is there already are left alone. Every access key
gets a new text; standard output has a line ``old new name`` for each. A public dashboard gets the new text of
its key, and is private where that key was not made in the same run. Needs Python 3.9 or newer, nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SAVED, DATASETS, KEYS, DASHBOARDS = "saved_queries", "datasets", "access_keys", "dashboards"
KEEN, KEEN_DASHBOARDS = "https://api.keen.io", "https://dashboard-service.k-n.io"
PAGE = 100
SECONDS = 120.0

Json = dict[str, Any]


class Refused(Exception):
    """An answer that is no success; the text has its status and message."""

    def __init__(self, what: str, status: int, message: str) -> None:
        super().__init__(f"{what}: {status} {message}")
        self.status = status


class Project:
    """A project of a server that speaks Keen's API."""

    def __init__(self, url: str, project_id: str, master_key: str, dashboards_url: str | None = None) -> None:
        url = url.rstrip("/")
        elsewhere = dashboards_url or (KEEN_DASHBOARDS if url == KEEN else url)
        self._base = f"{url}/3.0/projects/{project_id}"
        self._dashboards = f"{elsewhere.rstrip('/')}/projects/{project_id}/dashboards"
        self._key = master_key
        self.new_keys: dict[str, str] = {}
        """Old text of an access key → the new one, of those that were made."""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. Raises Refused."""
        return self._call(method, self._base + path, body)

    def dashboard(self, method: str, name: str, path: str = "", body: Any = None) -> Any:
        return self._call(method, f"{self._dashboards}/{_quoted(name)}{path}", body)

    def _call(self, method: str, url: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": self._key, "Content-Type": "application/json"}
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(f"{method} {url}", error.code, _message(error.read())) from None
        return json.loads(text) if text else None

    def saved_queries(self) -> list[Json]:
        found: list[Json] = self.call("GET", "/queries/saved")
        return found

    def datasets(self) -> Iterator[Json]:
        after = ""
        while True:
            page = self.call("GET", f"/datasets?limit={PAGE}{after}")
            yield from page["datasets"]
            if not page.get("next_page_url") or not page["datasets"]:
                return
            after = "&after_name=" + _quoted(page["datasets"][-1]["dataset_name"])

    def access_keys(self) -> Iterator[Json]:
        number = 1
        while True:
            page = self.call("GET", f"/keys?page={number}&per_page={PAGE}")
            yield from page
            if len(page) < PAGE:
                return
            number += 1

    def dashboards(self) -> Iterator[Json]:
        for metadata in self._call("GET", f"{self._dashboards}/metadata", None):
            yield {"metadata": metadata, "document": self.dashboard("GET", metadata["id"])}


def main(arguments: list[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    try:
        project = Project(args.url, args.project, _master_key(args), args.dashboards_url)
        if args.command == "save":
            return save(project, args.file)
        return load(project, json.loads(args.file.read_text(encoding="utf-8")))
    except (Refused, OSError, ValueError) as error:
        say(f"move_definitions: {error}")
        return 1


def save(project: Project, file: Path) -> int:
    """Write all definitions of the project into the file, which only its owner may read."""
    found: dict[str, list[Json]] = {}
    for name, read in (
        (SAVED, project.saved_queries),
        (DATASETS, project.datasets),
        (KEYS, project.access_keys),
        (DASHBOARDS, project.dashboards),
    ):
        try:
            found[name] = list(read())
        except (Refused, urllib.error.URLError) as error:
            # Not every plan of Keen's had all of them, and dashboards are a service of their own.
            if name != DASHBOARDS and getattr(error, "status", 0) not in (403, 404):
                raise
            say(f"no {name}: {error}")
            found[name] = []
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as opened:
        json.dump(found, opened, indent=1)
    say(", ".join(f"{len(found[name])} {name}" for name in found) + f" saved in {file}")
    return 0


def load(project: Project, found: dict[str, list[Json]]) -> int:
    """Make all definitions in the project; 1 where one was refused, which does not stop the others."""
    failed = 0
    for name, make in (
        (SAVED, make_saved),
        (DATASETS, make_dataset),
        (KEYS, make_key),
        (DASHBOARDS, make_dashboard),
    ):
        made = 0
        there = _names(project) if name == KEYS and found.get(name) else set()
        for definition in found.get(name, ()):
            try:
                made += make(project, definition, there)
            except Refused as error:
                failed += 1
                say(str(error))
        say(f"{name}: {made} of {len(found.get(name, ()))} made")
    return 1 if failed else 0


def make_saved(project: Project, definition: Json, _: set[str]) -> int:
    body: Json = {
        "query": _without_nulls(definition["query"]),
        "refresh_rate": definition.get("refresh_rate") or 0,
    }
    if definition.get("metadata") is not None:
        body["metadata"] = definition["metadata"]
    project.call("PUT", f"/queries/saved/{_quoted(definition['query_name'])}", body)
    return 1


def make_dataset(project: Project, definition: Json, _: set[str]) -> int:
    path = f"/datasets/{_quoted(definition['dataset_name'])}"
    try:
        project.call("GET", path)
    except Refused as error:
        if error.status != 404:
            raise
    else:
        say(f"the dataset {definition['dataset_name']} is there already")
        return 0
    query = {key: value for key, value in definition["query"].items() if key != "project_id"}
    body = {"query": _without_nulls(query), "index_by": definition["index_by"]}
    project.call("PUT", path, {**body, "display_name": definition.get("display_name") or ""})
    return 1


def make_key(project: Project, definition: Json, there: set[str]) -> int:
    if definition["name"] in there:
        say(f"an access key with the name {definition['name']} is there already")
        return 0
    body = {key: definition[key] for key in ("name", "is_active", "permitted")}
    made = project.call("POST", "/keys", {**body, "options": _without_nulls(definition.get("options") or {})})
    print(definition.get("key", "-"), made["key"], definition["name"])
    project.new_keys[definition.get("key", "-")] = made["key"]
    return 1


def make_dashboard(project: Project, definition: Json, _: set[str]) -> int:
    metadata = dict(definition["metadata"])
    name = metadata["id"]
    try:
        project.dashboard("GET", name, "/metadata")
    except Refused as error:
        if error.status != 404:
            raise
    else:
        say(f"the dashboard {name} is there already")
        return 0
    key = project.new_keys.get(metadata.get("publicAccessKey") or "")
    if metadata.get("isPublic") and key is None:
        say(f"the dashboard {name} is not public any more: its access key was not made here")
        metadata["isPublic"] = False
    metadata["publicAccessKey"] = key
    project.dashboard("PUT", name, body=definition["document"])
    project.dashboard("PUT", name, "/metadata", metadata)
    return 1


def _names(project: Project) -> set[str]:
    return {key["name"] for key in project.access_keys()}


def _without_nulls(value: Json) -> Json:
    """What was not set is written as null in an answer, and may not be in a request."""
    return {key: one for key, one in value.items() if one is not None}


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _master_key(args: argparse.Namespace) -> str:
    """Raises OSError, or ValueError where it was given as a word: everybody who lists processes sees it."""
    if args.master_key is not None:
        raise ValueError("give the key in a file, with --master-key-file, or in the variable MASTER_KEY")
    if args.master_key_file == "-":
        return sys.stdin.read().strip()
    if args.master_key_file:
        return Path(args.master_key_file).read_text(encoding="utf-8").strip()
    return os.environ.get("MASTER_KEY", "")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("save", "write definitions into a file"), ("load", "make them in a project")):
        command = commands.add_parser(name, help=text)
        command.add_argument("file", type=Path)
        command.add_argument("--url", required=True, help="https://api.keen.io or your Acumen")
        command.add_argument("--project", required=True)
        command.add_argument("--dashboards-url", help="default: Keen's, or where --url is Acumen, that one")
        command.add_argument(
            "--master-key-file", help="a file with it; '-': standard input (default: the variable MASTER_KEY)"
        )
        command.add_argument("--master-key", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
