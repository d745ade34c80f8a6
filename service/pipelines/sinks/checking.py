"""Whether the sinks of a folder can be delivered to, and those be told who are to be."""

from __future__ import annotations

import json
from collections.abc import Iterable

from query.transforms.fields import InvalidPipeline
from service.exports.request import is_mailed_to
from service.pipelines.connections.checking import check_connection, check_secrets
from service.pipelines.definition import PipelineDefinition
from service.pipelines.sinks.definition import FolderSink, PluginSink, TableSink, WebhookSink
from service.plugins.secret_settings import secrets_in
from service.settings import Settings
from storage.catalog.catalog import Catalog


def check_targets(
    catalog: Catalog, project_id: str, definitions: Iterable[PipelineDefinition], settings: Settings
) -> None:
    """Raises InvalidPipeline."""
    for definition in definitions:
        place = f"pipelines.{definition.name}"
        for number, sink in enumerate(definition.sinks):
            if isinstance(sink, FolderSink) and settings.sink_folder is None:
                raise InvalidPipeline(
                    f"{place}.sinks[{number}].folder",
                    "cannot be delivered to: the server's ACUMEN_SINK_FOLDER is not set.",
                )
            if isinstance(sink, PluginSink):
                wanted = secrets_in(json.loads(sink.settings))
                check_secrets(catalog, project_id, f"{place}.sinks[{number}]", wanted)
            if isinstance(sink, TableSink):
                at = f"{place}.sinks[{number}].connection"
                check_connection(catalog, project_id, settings, at, sink.connection)
            if isinstance(sink, WebhookSink):
                _check_webhook(catalog, project_id, f"{place}.sinks[{number}]", sink.webhook)
        for number, recipient in enumerate(definition.notify):
            if recipient.means == "webhook":
                _check_webhook(catalog, project_id, f"{place}.notify[{number}]", recipient.address)
            elif recipient.address != definition.owner:
                _check_mail(settings, f"{place}.notify[{number}].email", recipient.address)


def _check_webhook(catalog: Catalog, project_id: str, place: str, name: str) -> None:
    if catalog.webhooks.find(project_id, name) is None:
        known = ", ".join(one.name for one in catalog.webhooks.of_project(project_id))
        raise InvalidPipeline(
            f"{place}.webhook", f"there is no webhook '{name:.100}'. The project has: {known or 'none'}."
        )


def _check_mail(settings: Settings, place: str, address: str) -> None:
    if not settings.smtp_host:
        raise InvalidPipeline(place, "this server sends no mail: ACUMEN_SMTP_HOST is not set.")
    if not is_mailed_to(address, settings.mail_domains):
        raise InvalidPipeline(
            place, "this server mails only to the domains of ACUMEN_MAIL_DOMAINS, and this is none of them."
        )
