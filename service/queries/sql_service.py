"""Running SQL of analysts: given a slot, answered by a process of its own, ended when the client has left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from query.engine.engine import CancelToken, Deadline, Engine
from query.untrusted.answer import SqlAnswer, Surroundings, answer_sql
from query.untrusted.messages import Format
from query.untrusted.processes import SqlProcesses
from service.auth.principal import Caller, Permission
from service.limits.query_scheduler import QueryScheduler
from service.queries.query_service import QueryService, check_may_explain
from service.queries.sight import SourceReader
from service.queries.sql_request import read_request
from service.settings import Settings
from service.telemetry.metrics import SQL
from storage.paths import DataFolder, encode_project

NAMES_MAX = 100_000


class SqlService:
    """Answers the statements of one worker. Methods belong to its event loop."""

    def __init__(
        self,
        settings: Settings,
        folder: DataFolder,
        reader: SourceReader,
        engine: Engine,
        queries: QueryService,
    ) -> None:
        self._limits = settings.sql_limits
        self._folder, self._reader, self._engine, self._queries = folder, reader, engine, queries
        self._slots = QueryScheduler(settings.sql_slots, settings.sql_queue_max, settings.query_wait_seconds)
        self.processes = SqlProcesses(folder.tmp / "sql", settings.sql_idle_seconds)

    async def ask(
        self,
        caller: Caller,
        read: Callable[[], Any],
        accepted: Format,
        gone: Callable[[], Awaitable[None]],
    ) -> SqlAnswer:
        """The answer to one statement. ``read`` returns the body; ``gone`` returns once the client has left.

        Raises QueryError, and RateLimited where as many queries run as are allowed.
        """

        def work(token: CancelToken) -> SqlAnswer:
            query = read_request(read(), self._limits, accepted)
            if query.explain:
                check_may_explain(caller)
            return answer_sql(
                query,
                self._surroundings(caller),
                self._engine,
                self.processes,
                limits=self._queries.limits,
                sql_limits=self._limits,
                deadline=Deadline.after(self._limits.timeout_seconds, token),
            )

        async with self._slots.one(caller.project.id):
            return await self._queries.during(caller, SQL, work, gone)

    def _surroundings(self, caller: Caller) -> Surroundings:
        project_id = caller.project.id
        return Surroundings(
            sources=lambda name: self._reader.source(project_id, name),
            names=lambda: self._reader.collection_names(project_id, NAMES_MAX),
            forced=caller.filters_for(Permission.QUERIES),
            suggests=Permission.SCHEMA in caller.permissions and not caller.is_filtered,
            folder=str(self._folder.events / encode_project(project_id)),
            project_id=project_id,
        )

    def close(self) -> None:
        """End what runs and waits. Blocks."""
        self.processes.close()
