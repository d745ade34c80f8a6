"""The components of a worker that the routes use."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from service.auth.principal import Tenants
from service.bodies.reader import BodyReader
from service.imports.previewer import Previewer
from service.limits.embed_budgets import EmbedBudgets
from service.limits.quotas import Quotas
from service.limits.rate_limiter import RateLimits
from service.people.accounts import Accounts
from service.pictures.painter import Painter
from service.pipelines.freshness.standings import PipelineStandings
from service.queries.live_tails import LiveTails
from service.queries.profiles import Profiles
from service.queries.query_service import QueryService
from service.queries.sql_service import SqlService
from service.saved_queries.result_cache import ResultCache
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.refusals import Refusals
from service.threads import in_thread
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.keyring import Keyring

if TYPE_CHECKING:
    # What it takes to ask a provider is imported where there is one.
    from service.people.openid import OpenIdLogIn

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Lifecycle:
    """Whether this worker should be sent requests."""

    stopping: bool = False
    closed_because: str | None = None
    """Why events are refused at present; None while they are accepted."""
    damaged_logs: tuple[int, ...] = ()
    """Logs with unreadable bytes: events are accepted, but no query can be answered in full."""


@dataclass(frozen=True)
class Parts:
    settings: Settings
    catalog: Catalog
    tenants: Tenants
    query_service: QueryService
    saved: ResultCache
    bodies: BodyReader
    metrics: Metrics
    rates: RateLimits
    refusals: Refusals
    quotas: Quotas
    budgets: EmbedBudgets
    painter: Painter
    tails: LiveTails
    accounts: Accounts
    catalog_executor: Executor
    """Threads for catalog access, which may wait for a disk."""
    profiles: Profiles
    previewer: Previewer
    sql: SqlService
    pipelines: PipelineStandings
    openid: OpenIdLogIn | None = None
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    clock: Callable[[], int] = system_clock
    """The present, in µs, to which timeframes are relative."""

    async def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the work, run on a thread that may wait for a disk."""
        return await in_thread(self.catalog_executor, work, *args, **kwargs)

    @property
    def keyring(self) -> Keyring:
        return self.catalog.keyring
