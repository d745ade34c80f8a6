"""Whether this server may use a connection of a folder."""

from __future__ import annotations

from collections.abc import Iterable

from query.transforms.fields import InvalidPipeline
from service.outbound.errors import OutboundRefused
from service.outbound.policy import policy_of
from service.pipelines.connections.definition import POSTGRES_PORT, HttpConnection, PostgresConnection
from service.settings import Settings
from storage.catalog.catalog import Catalog


def check_connection(
    catalog: Catalog,
    project_id: str,
    settings: Settings,
    place: str,
    connection: HttpConnection | PostgresConnection,
) -> None:
    """Raises InvalidPipeline where the policy refuses its host, or a secret is not set."""
    policy = policy_of(settings)
    try:
        if isinstance(connection, PostgresConnection):
            host, port = connection.parameters["host"], int(connection.parameters.get("port", POSTGRES_PORT))
            policy.check_host(host, port, POSTGRES_PORT)
        else:
            # It imports an HTTP client, which takes memory: only where there is such a connection.
            from service.outbound.urls import destination_of

            destination_of(policy, connection.url)
    except OutboundRefused as error:
        raise InvalidPipeline(place, str(error)) from None
    check_secrets(catalog, project_id, place, connection.secrets)


def check_secrets(catalog: Catalog, project_id: str, place: str, wanted: Iterable[str]) -> None:
    """Raises InvalidPipeline."""
    known = {one.name for one in catalog.secrets.of_project(project_id)}
    for secret in wanted:
        if secret not in known:
            raise InvalidPipeline(
                place, f"there is no secret '{secret}': set it by 'acumen secrets set {secret}'."
            )
