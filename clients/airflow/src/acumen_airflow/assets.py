"""Assets that change when Acumen has derived something."""

from __future__ import annotations

from urllib.parse import quote

from airflow.sdk import Asset, AssetWatcher

from acumen_airflow.hook import AcumenHook
from acumen_airflow.triggers import AcumenBucketTrigger


def pipeline_asset(
    pipeline: str,
    *,
    acumen_conn_id: str = AcumenHook.default_conn_name,
    poke_interval: float = 30.0,
) -> Asset:
    """The asset of a pipeline, for ``DAG(schedule=[pipeline_asset("revenue")])``: a run for each time that
    buckets were derived. Which, the run's ``triggering_asset_events`` say.
    """
    name = f"acumen://{quote(acumen_conn_id)}/pipelines/{quote(pipeline)}"
    trigger = AcumenBucketTrigger(pipeline, acumen_conn_id, poke_interval)
    return Asset(name=name, uri=name, watchers=[AssetWatcher(name=f"{name}#buckets", trigger=trigger)])
