"""Every day: load the orders of the day before, wait until their revenue is derived, check it and report it.

Needs a connection ``acumen_default`` with the master key, and the pipeline beside this file, applied.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, task

from acumen_airflow.assets import pipeline_asset
from acumen_airflow.operators import AcumenCheckOperator, AcumenQueryOperator, AcumenSendOperator
from acumen_airflow.sensors import AcumenPipelineSensor

# Runs that were started by hand or by an asset have no date of their own, but all have a time to begin at.
DAY = "(params.day or (dag_run.run_after - macros.timedelta(days=1)) | ds)"
START = "{{ " + DAY + " }}T00:00:00Z"
END = "{{ macros.ds_add(" + DAY + ", 1) }}T00:00:00Z"
TIMEFRAME = {"start": START, "end": END}


@task
def load(start: str) -> list[dict[str, Any]]:
    """The orders of the day, as some other system would give them."""
    day = start.removesuffix("T00:00:00Z")
    return [
        {"order": f"{day}-1", "price": 40, "country": "DE", "at": f"{day}T08:00:00Z"},
        {"order": f"{day}-2", "price": 25, "country": "FR", "at": f"{day}T12:30:00Z"},
        {"order": f"{day}-3", "price": 35, "country": "DE", "at": f"{day}T23:59:59Z"},
    ]


@task
def report(rows: list[dict[str, Any]]) -> str:
    """What people get to read."""
    text = ", ".join(f"{row['country']} {row['result']}" for row in rows)
    print(f"Revenue: {text}")
    return text


with DAG(
    "daily_revenue",
    schedule="0 1 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={"day": ""},
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
) as dag:
    send = AcumenSendOperator(task_id="send", collection="orders", events=load(START), timestamp="at")
    wait = AcumenPipelineSensor(task_id="wait", pipeline="revenue", since=START, until=END, timeout=3600)
    check = AcumenCheckOperator(
        task_id="check",
        analysis="sum",
        parameters={"event_collection": "revenue", "target_property": "orders", "timeframe": TIMEFRAME},
        expect=">= 3",
    )
    ask = AcumenQueryOperator(
        task_id="ask",
        analysis="sum",
        parameters={
            "event_collection": "revenue",
            "target_property": "total",
            "group_by": ["country"],
            "order_by": [{"property_name": "country", "direction": "ASC"}],
            "timeframe": TIMEFRAME,
        },
    )
    send >> wait >> check >> ask
    report(ask.output)


revenue = pipeline_asset("revenue")

with DAG("revenue_changed", schedule=[revenue], start_date=datetime(2026, 1, 1), catchup=False) as changed:

    @task
    def days(triggering_asset_events: Any = None) -> list[str]:
        """The days whose revenue was derived, for the first time or again."""
        told = [event.extra["payload"] for event in triggering_asset_events[revenue]]
        return sorted({bucket["start"][:10] for one in told for bucket in one["buckets"]})

    days()
