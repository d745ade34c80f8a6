"""Scoped keys, as clients of every age make them."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from keen import scoped_keys

from service.auth.scoped_keys import Scope, is_written, scope_of
from tests.query import strategies
from tests.support.server import TAKES_SCOPED_KEYS, Reply, Served, ServedProject

MASTERS = ["0123456789ABCDEF" * 4, "0123456789abcdef" * 2]
FILTERS = [{"property_name": "customer.id", "operator": "eq", "property_value": "eu"}]


def encrypted(options: Any, master: str, *, pad: bool = True) -> str:
    """As OpenSSL does, which always pads; or without, where the text fills its last block."""
    key, size = (bytes.fromhex(master), 16) if len(master) == 64 else (master.encode(), 32)
    text = json.dumps(options).encode()
    if pad:
        text += bytes([size - len(text) % size]) * (size - len(text) % size)
    vector = os.urandom(16)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return vector.hex() + (encryptor.update(text) + encryptor.finalize()).hex()


@pytest.mark.parametrize("master", MASTERS)
@given(names=st.lists(st.text(max_size=20), max_size=3))
def test_what_the_python_sdk_encrypts_is_read(master: str, names: list[str]) -> None:
    filters = [{"property_name": name, "operator": "exists", "property_value": True} for name in names]
    key = scoped_keys.encrypt(master, {"allowed_operations": ["read"], "filters": filters})
    text = key.decode() if isinstance(key, bytes) else key
    assert scope_of(text, master) == Scope(frozenset({"read"}), filters)
    assert scope_of(text.upper(), master) == Scope(frozenset({"read"}), filters)


@pytest.mark.parametrize("master", MASTERS)
@given(length=st.integers(0, 64))
def test_every_length_of_padding_is_understood(master: str, length: int) -> None:
    options = {"allowed_operations": ["write"], "filters": ["y" * length]}
    wanted = Scope(frozenset({"write"}), ["y" * length])
    assert scope_of(encrypted(options, master), master) == wanted
    size = 16 if len(master) == 64 else 32
    if len(json.dumps(options)) % size == 0:
        assert scope_of(encrypted(options, master, pad=False), master) == wanted


@pytest.mark.parametrize(
    "options", [[], 5, "x", {"allowed_operations": "read"}, {"allowed_operations": [1]}, {"x": 1}]
)
def test_what_is_not_understood_permits_nothing(options: Any) -> None:
    assert scope_of(encrypted(options, MASTERS[0]), MASTERS[0]) is None


WRITERS: list[dict[str, Any]] = [{}, {"separators": (",", ":")}, {"ensure_ascii": False}]


@pytest.mark.parametrize("written", WRITERS)
@given(name=st.text(max_size=30), value=strategies.scalars)
def test_what_json_writers_write_is_taken(written: dict[str, Any], name: str, value: Any) -> None:
    options = {
        "filters": [{"property_name": name, "operator": "eq", "property_value": value}],
        "allowed_operations": ["read"],
    }
    assert is_written(json.dumps(options, **written))


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1, "b":2}',
        '{"a" : 1}',
        '{"a": 1,"b": 2}',
        ' {"a":1}',
        '{"a":1}\n',
        '{"\\u0061":1}',
        '{"a":"\\u0020"}',
        '{"a":NaN}',
        '{"a":"\t"}',
    ],
)
def test_what_no_json_writer_writes_is_refused(text: str) -> None:
    assert not is_written(text)


def sealed(text: bytes) -> str:
    """The text as it is, padded, under the first master key."""
    text += bytes([16 - len(text) % 16]) * (16 - len(text) % 16)
    encryptor = Cipher(algorithms.AES(bytes.fromhex(MASTERS[0])), modes.CBC(bytes(16))).encryptor()
    return bytes(16).hex() + (encryptor.update(text) + encryptor.finalize()).hex()


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        (b'{"allowed_operations":["read"],"filters":[]}', True),
        (b'{"allowed_operations": ["read"], "filters": []}', True),
        (b'{"allowed_operations":["read"], "filters":[]}', False),
        (b'{"allowed_operations":["read","other"],"filters":[]}', False),
        (b'{"allowed_operations":["read"],"filters":[],"more":1}', False),
        (b'{"allowed_operations":["read"],"filters":[],"filters":[]}', False),
        (b'{"allowed_operations":["read"],"filters":[{"a":1,"a":1}]}', False),
        ('{"allowed_operations":["read"],"filters":[]}'.encode("utf-16"), False),
        (b'{"allowed_operations":["read"],"filters":["\xff"]}', False),
    ],
)
def test_a_scoped_key_holds_what_a_client_writes_and_nothing_else(text: bytes, is_taken: bool) -> None:
    assert (scope_of(sealed(text), MASTERS[0]) is not None) == is_taken


@given(st.binary(min_size=0, max_size=200))
def test_garbage_is_no_key(data: bytes) -> None:
    assert scope_of(data.hex(), MASTERS[0]) is None
    assert scope_of(data.decode("latin-1"), MASTERS[1]) is None


def ask(served: Served, project: ServedProject, key: str, analysis: str = "count") -> Reply:
    path = f"/3.0/projects/{project.id}/queries/{analysis}"
    return served.request("POST", path, {"event_collection": "c"}, key=key)


def write(served: Served, project: ServedProject, key: str) -> Reply:
    return served.request("POST", f"/3.0/projects/{project.id}/events/c", {"new": True}, key=key)


@pytest.mark.parametrize("length", [64, 32])
def test_a_scoped_key_does_what_it_says_under_its_filters(served: Served, length: int) -> None:
    project = served.new_project(master_key=os.urandom(length // 2).hex(), preferences=TAKES_SCOPED_KEYS)
    served.record(project, "c", {"customer": {"id": "eu"}}, {"customer": {"id": "us"}})

    def key(*operations: str, filters: Any = FILTERS) -> str:
        made = scoped_keys.encrypt(
            project.master_key, {"allowed_operations": list(operations), "filters": filters}
        )
        return made.decode() if isinstance(made, bytes) else str(made)

    assert ask(served, project, key("read")).json == {"result": 1}
    assert ask(served, project, key("read", filters=[])).json == {"result": 2}
    assert write(served, project, key("read")).status == 403
    assert write(served, project, key("write")).status == 201
    assert ask(served, project, key("write")).status == 403
    both = key("read", "write")
    assert (ask(served, project, both).status, write(served, project, both).status) == (200, 201)
    assert ask(served, project, key()).status == 403
    # Filters that cannot be understood must not open what they were to close.
    for filters in ([{"property_name": "a"}], "x", 5, [{"property_name": "a", "operator": "regex"}]):
        assert ask(served, project, key("read", filters=filters)).status == 401
    other = served.new_project("Other", preferences=TAKES_SCOPED_KEYS, master_key=os.urandom(32).hex())
    assert ask(served, other, key("read")).status == 401


def scoped(project: ServedProject, filters: Any) -> str:
    made = scoped_keys.encrypt(project.master_key, {"allowed_operations": ["read"], "filters": filters})
    return made.decode() if isinstance(made, bytes) else str(made)


def until(served: Served, project: ServedProject, key: str, status: int) -> Reply:
    """The answer to a question, once it has this status."""
    deadline = time.monotonic() + 120
    while (reply := ask(served, project, key)).status != status:
        assert time.monotonic() < deadline, reply.body
        time.sleep(0.05)
    return reply


def set_preferences(served: Served, project: ServedProject, *assignments: str) -> Any:
    given = [part for one in assignments for part in ("--set", one)]
    return json.loads(served.told("projects", "update", project.id, *given).stdout)["preferences"]


def test_a_project_takes_scoped_keys_where_its_preferences_say_so(served: Served) -> None:
    project = served.new_project(preferences={"ours": 1})
    served.record(project, "c", {"customer": {"id": "eu"}}, {"customer": {"id": "us"}})
    filtered, unfiltered = scoped(project, FILTERS), scoped(project, [])

    refused = ask(served, project, filtered)
    assert (refused.status, refused.json["error_code"]) == (401, "InvalidApiKeyError")
    assert refused.json["message"].startswith("This project does not accept scoped keys.")
    assert write(served, project, filtered).json["message"] == refused.json["message"]
    assert f"acumen projects update {project.id} --set scoped_keys=true" in served.output()

    assert set_preferences(served, project, "scoped_keys=true") == {"ours": 1, "scoped_keys": True}
    assert until(served, project, filtered, 200).json == {"result": 1}
    refused = ask(served, project, unfiltered)
    assert refused.status == 401
    assert refused.json["message"].startswith("This project does not accept scoped keys without filters.")

    set_preferences(served, project, "scoped_keys_without_filters=true")
    assert until(served, project, unfiltered, 200).json == {"result": 2}
    assert set_preferences(served, project, "scoped_keys=") == {
        "ours": 1,
        "scoped_keys_without_filters": True,
    }
    until(served, project, filtered, 401)
    assert ask(served, project, unfiltered).status == 401


def test_a_project_keeps_no_preference_that_is_spelt_wrong(served: Served, project: ServedProject) -> None:
    for assignment, told in (
        ("scopedkeys=true", "Did you mean 'scoped_keys'?"),
        ("scoped_keys=1", "'preferences.scoped_keys' must be true or false. You specified: 1."),
        ("scoped_keys=yes", "The value of 'scoped_keys' is not JSON"),
        ("scoped_keys", "must be NAME=VALUE"),
    ):
        done = served.run("projects", "update", project.id, "--set", assignment, check=False)
        assert done.returncode == 1
        assert told in done.stderr
