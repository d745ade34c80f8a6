"""Where dashboards are exported from and applied to: a data folder, or a server over HTTP."""

from __future__ import annotations

import json
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from service.cli.boards.board_files import BoardFile, Definitions, Json, QueryFile, without_unsaid
from service.cli.errors import CannotDo
from service.errors import ApiError
from service.queries import dashboards
from storage.catalog.catalog import Catalog, system_clock

_PATIENCE_SECONDS = 60.0


class BoardStore(Protocol):
    def definitions(self) -> Definitions: ...
    def put_query(self, name: str, query: QueryFile) -> None: ...
    def put_board(self, name: str, board: BoardFile) -> None: ...
    def remove_board(self, name: str) -> None: ...


class CatalogStore:
    """The project of a data folder, with or without a server running on it."""

    def __init__(self, catalog: Catalog, project_id: str) -> None:
        self._catalog = catalog
        self._project_id = project_id

    def definitions(self) -> Definitions:
        found = Definitions()
        for query in self._catalog.saved_queries.of_project(self._project_id):
            texts = json.loads(query.query), json.loads(query.metadata)
            found.queries[query.name] = QueryFile(*texts, query.refresh_rate)
        for board in self._catalog.dashboards.of_project(self._project_id):
            document = self._catalog.dashboards.document(self._project_id, board.name)
            if document is not None:
                metadata = without_unsaid(json.loads(board.metadata))
                found.boards[board.name] = BoardFile(json.loads(document), metadata)
        return found

    def put_query(self, name: str, query: QueryFile) -> None:
        self._catalog.saved_queries.put(
            self._project_id,
            name,
            name,
            query=json.dumps(query.query, separators=(",", ":")),
            metadata=json.dumps(query.metadata, separators=(",", ":")),
            refresh_rate=query.refresh_rate,
        )

    def put_board(self, name: str, board: BoardFile) -> None:
        old = self._catalog.dashboards.find(self._project_id, name)
        shared = {} if old is None else _shared(dashboards.described(old))
        try:
            dashboards.store(
                self._catalog, self._project_id, name, board.document, shared | board.metadata, system_clock()
            )
        except ApiError as error:
            raise CannotDo(error.message) from None

    def remove_board(self, name: str) -> None:
        self._catalog.dashboards.remove(self._project_id, name)


class UrlStore:
    """The project of a server, with its master key."""

    def __init__(self, client: httpx.Client, project_id: str) -> None:
        self._client = client
        self._boards = f"/projects/{quote(project_id, safe='')}/dashboards"
        self._saved = f"/3.0/projects/{quote(project_id, safe='')}/queries/saved"

    def definitions(self) -> Definitions:
        found = Definitions()
        for query in self._call("GET", self._saved):
            found.queries[query["query_name"]] = QueryFile(
                query["query"], query["metadata"], query["refresh_rate"]
            )
        for board in self._call("GET", f"{self._boards}/metadata"):
            document = self._call("GET", self._board(board["id"]))
            found.boards[board["id"]] = BoardFile(document, without_unsaid(board))
        return found

    def put_query(self, name: str, query: QueryFile) -> None:
        body = {"query": query.query, "metadata": query.metadata, "refresh_rate": query.refresh_rate}
        self._call("PUT", f"{self._saved}/{quote(name, safe='')}", body)

    def put_board(self, name: str, board: BoardFile) -> None:
        listed: list[Json] = self._call("GET", f"{self._boards}/metadata")
        shared = next((_shared(one) for one in listed if one["id"] == name), {})
        said = json.dumps(shared | board.metadata)
        self._call("PUT", self._board(name), board.document, {"X-Keen-Blob-Metadata": said})

    def remove_board(self, name: str) -> None:
        self._call("DELETE", self._board(name))

    def _board(self, name: str) -> str:
        return f"{self._boards}/{quote(name, safe='')}"

    def _call(self, method: str, path: str, body: Any = None, headers: Json | None = None) -> Any:
        """The JSON of an answer. Raises CannotDo."""
        try:
            reply = self._client.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise CannotDo(f"The server did not answer: {error}.") from None
        if reply.status_code < 300:
            return reply.json() if reply.content else None
        try:
            said = str(reply.json()["message"])
        except (ValueError, KeyError, TypeError):
            said = f"HTTP {reply.status_code}"
        raise CannotDo(f"The server refused {method} {path}: {said}")


def client_of(url: str, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=url, headers={"authorization": key}, timeout=_PATIENCE_SECONDS, trust_env=False
    )


def _shared(described: Json) -> Json:
    """Whom a dashboard is shared with by Keen's dashboard creator: it stays as it is."""
    return {name: described[name] for name in ("isPublic", "publicAccessKey") if described.get(name)}
