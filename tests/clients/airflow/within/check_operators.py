"""Operators and the connection: what is sent, asked, checked and extracted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import Connection, task

from acumen_airflow.hook import AcumenHook
from acumen_airflow.operators import (
    AcumenCheckOperator,
    AcumenExtractOperator,
    AcumenQueryOperator,
    AcumenSendOperator,
)
from acumen_client import Acumen, P

ORDERS = [{"price": 7, "at": "2026-01-01T10:00:00Z"}, {"price": 5, "at": "2026-01-01T11:00:00Z"}]


def test_a_list_is_sent_once_however_often_the_task_is_run(
    runs: Any, client: Acumen, collection: str
) -> None:
    def make() -> None:
        AcumenSendOperator(task_id="send", collection=collection, events=ORDERS, timestamp="at")

    assert runs(make)["send"] == {"total": 2, "new": 2, "duplicates": 0, "refused": 0}
    assert runs(make, times=2)["send"] == {"total": 2, "new": 0, "duplicates": 2, "refused": 0}
    assert runs(make, day=2)["send"]["new"] == 2  # another run: other events
    count = client.count(
        collection, timeframe={"start": "2026-01-01T10:00:00Z", "end": "2026-01-01T11:00:00Z"}
    )
    assert count.value == 2


def test_an_edition_and_a_token_of_the_source(runs: Any, collection: str) -> None:
    def make(**given: Any) -> Any:
        return lambda: AcumenSendOperator(task_id="send", collection=collection, events=ORDERS, **given)

    assert runs(make(token="at"))["send"]["new"] == 2
    assert runs(make(token="at"), day=2)["send"]["duplicates"] == 2  # the same orders, by whichever run
    assert runs(make())["send"]["new"] == 2
    assert runs(make(edition="again"))["send"]["new"] == 2
    assert runs(make(token="id"))["send"] == "failed"  # no event has it


def test_the_output_of_a_task_is_sent(runs: Any, client: Acumen, collection: str) -> None:
    @task
    def load() -> list[dict[str, Any]]:
        return [*ORDERS, {"price": 1, "note": "{{ not rendered }}"}]

    def make() -> None:
        AcumenSendOperator(task_id="send", collection=collection, events=load())

    assert runs(make)["send"]["new"] == 3
    assert client.select_unique(collection, "note").value == ["{{ not rendered }}"]


def written(folder: Path, name: str) -> str:
    path = folder / name
    if name.endswith(".csv"):
        path.write_text(
            "id,price,user.vip,zip,keen.timestamp\n1,7,true,01234,2026-01-01T10:00:00Z\n2,5.5,false,1,\n"
        )
    elif name.endswith(".parquet"):
        rows = [{"id": 1, "price": 7, "user": {"vip": True}, "zip": "01234"}, {"id": 2, "price": 5.5}]
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        rows = [{"id": 1, "price": 7, "user": {"vip": True}, "zip": "01234"}, {"id": 2, "price": 5.5}]
        path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return str(path)


@pytest.mark.parametrize("name", ["orders.ndjson", "orders.csv", "orders.parquet"])
def test_files_are_sent(runs: Any, client: Acumen, collection: str, tmp_path: Path, name: str) -> None:
    file = written(tmp_path, name)

    def make() -> None:
        AcumenSendOperator(task_id="send", collection=collection, file=file)
        AcumenSendOperator(task_id="far", collection=collection, file=f"file://{file}", token="id")

    assert runs(make)["send"]["new"] == 2
    assert client.sum(collection, "price").value == 25
    assert client.select_unique(collection, "user.vip", filters=P("zip") == "01234").value == [True]


def test_a_bad_line_and_refused_events_fail_the_task(
    runs: Any, client: Acumen, collection: str, tmp_path: Path, capfd: Any
) -> None:
    (tmp_path / "bad.ndjson").write_text('{"a": 1}\n[2]\n')

    def make() -> None:
        AcumenSendOperator(task_id="line", collection=collection, file=str(tmp_path / "bad.ndjson"))
        events = [{"a": 1}, {"keen": {"timestamp": "never"}}]
        AcumenSendOperator(task_id="refused", collection=collection, events=events)
        AcumenSendOperator(task_id="allowed", collection=collection, events=events, allow_refused=1)

    found = runs(make)
    said = "".join(capfd.readouterr())
    assert found["line"] == found["refused"] == "failed"
    assert "bad.ndjson, line 2 is no event" in said
    assert "1 of 2 events were refused" in said
    assert found["allowed"] == {"total": 2, "new": 1, "duplicates": 0, "refused": 1}


def test_questions_are_rendered_bounded_and_asked(runs: Any, client: Acumen, collection: str) -> None:
    client.record_many(collection, ORDERS)

    def make() -> None:
        of = {"event_collection": "{{ params.collection }}"}
        given: Any = {"params": {"collection": collection}}
        AcumenQueryOperator(task_id="count", analysis="count", parameters=of, **given)
        per_price = {**of, "group_by": ["price"], "target_property": "price"}
        AcumenQueryOperator(task_id="groups", analysis="sum", parameters=per_price, **given)
        AcumenQueryOperator(task_id="large", analysis="sum", parameters=per_price, xcom_bytes_max=20, **given)
        sql = {"sql": f"SELECT sum(price) AS total FROM {collection}"}
        AcumenQueryOperator(task_id="sql", analysis="sql", parameters=sql)

    found = runs(make)
    assert found["count"] == 2
    assert {row["price"]: row["result"] for row in found["groups"]} == {5: 5, 7: 7}
    assert found["large"] == "failed"
    assert found["sql"] == [{"total": 12}]


def test_checks_say_what_was_expected_and_found(
    runs: Any, client: Acumen, collection: str, capfd: Any
) -> None:
    client.record_many(collection, ORDERS)

    def make() -> None:
        of = {"event_collection": collection}
        AcumenCheckOperator(task_id="enough", analysis="count", parameters=of, expect=">= 2")
        AcumenCheckOperator(task_id="few", analysis="count", parameters=of, expect="> {{ 1 + 1 }}")
        grouped = {**of, "group_by": ["price"]}
        AcumenCheckOperator(task_id="each", analysis="count", parameters=grouped, expect="between 2 and 3")
        several = {
            **of,
            "analyses": {
                "n": {"analysis_type": "count"},
                "p": {"analysis_type": "sum", "target_property": "price"},
            },
        }
        AcumenCheckOperator(
            task_id="of", analysis="multi_analysis", parameters=several, expect="== 12", of="p"
        )
        AcumenCheckOperator(task_id="which", analysis="multi_analysis", parameters=several, expect="== 12")

    found = runs(make)
    said = "".join(capfd.readouterr())
    assert (found["enough"], found["of"]) == (2, {"n": 2, "p": 12})
    assert found["few"] == found["each"] == found["which"] == "failed"
    assert f"Expected count of {collection} > 2, and found 2." in said
    assert "price=7: 1" in said
    assert "say 'of' which" in said


@pytest.mark.parametrize("ending", ["ndjson", "csv.gz", "parquet"])
def test_events_are_extracted_to_whole_files(
    runs: Any, client: Acumen, collection: str, tmp_path: Path, ending: str
) -> None:
    client.record_many(collection, ORDERS)
    path = tmp_path / "out" / f"orders.{ending}"

    def make() -> None:
        filters = [{"property_name": "price", "operator": "gt", "property_value": 5}]
        AcumenExtractOperator(
            task_id="near", collection=collection, path=str(path), parameters={"filters": filters}
        )
        far = f"file://{tmp_path}/far.{ending}"
        AcumenExtractOperator(task_id="far", collection=collection, path=far)
        AcumenExtractOperator(
            task_id="wrong", collection=collection, path=f"{path}", parameters={"filters": 1}
        )

    found = runs(make)
    assert found["near"] == str(path)
    assert [one.name for one in path.parent.iterdir()] == [path.name]  # nothing unfinished beside it
    if ending == "parquet":
        assert pq.read_table(path)["price"].to_pylist() == [7]
    assert (tmp_path / f"far.{ending}").stat().st_size > 0
    assert found["wrong"] == "failed"


@pytest.mark.parametrize(
    ("password", "extra", "works", "said"),
    [
        ("master", {}, True, "the key for asking"),
        (None, {"write_key": "write", "read_key": "read"}, True, "the key for asking and the write key"),
        (None, {"write_key": "write"}, True, "the write key"),
        ("wrong", {}, False, "401"),
        (None, {"write_key": "read"}, False, "403"),
        (None, {}, False, "has no key"),
    ],
)
def test_a_connection_is_tested(
    monkeypatch: pytest.MonkeyPatch, password: str | None, extra: dict[str, str], works: bool, said: str
) -> None:
    given = json.loads(os.environ["AIRFLOW_CONN_ACUMEN_DEFAULT"])
    keys = {
        "master": given["password"],
        "write": os.environ["ACUMEN_WRITE_KEY"],
        "read": os.environ["ACUMEN_READ_KEY"],
    }
    given |= {
        "password": keys.get(password or "", password),
        "extra": {name: keys[key] for name, key in extra.items()},
    }
    monkeypatch.setenv("AIRFLOW_CONN_TRIED", json.dumps(given))
    worked, text = AcumenHook("tried").test_connection()
    assert (worked, said in text) == (works, True), text


def test_addresses() -> None:
    from acumen_airflow.hook import client_options

    def url(**given: Any) -> str:
        made = Connection(conn_id="c", conn_type="acumen", login="P", password="K", **given)
        return str(client_options(made, {})["url"])

    assert url(host="acumen.example") == "https://acumen.example"
    assert url(host="acumen.example", port=8443) == "https://acumen.example:8443"
    assert url(host="localhost", schema="http", port=8000) == "http://localhost:8000"
    assert url(host="http://localhost:8000/", port=1) == "http://localhost:8000"
    with pytest.raises(ValueError, match="no host"):
        url()
