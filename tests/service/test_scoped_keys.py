"""Scoped keys, as clients of every age make them."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from keen import scoped_keys

from service.scoped_keys import Scope, scope_of
from tests.support.server import Reply, Served, ServedProject

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


@given(st.data())
def test_who_holds_a_key_can_not_take_its_filters_away(data: st.DataObject) -> None:
    """The initialisation vector says what the first block decrypts to, and is the holder's to change."""
    key = bytes.fromhex(encrypted({"filters": FILTERS, "allowed_operations": ["read"]}, MASTERS[0]))
    position, bits = data.draw(st.sampled_from([(8, 0x07), (7, 0x20), *((n, 1) for n in range(2, 9))]))
    changed = bytearray(key)
    changed[position] ^= bits
    scope = scope_of(changed.hex(), MASTERS[0])
    assert scope is None or scope.filters == FILTERS


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
    project = served.new_project(master_key=os.urandom(length // 2).hex())
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
    # Filters that can not be understood must not open what they were to close.
    for filters in ([{"property_name": "a"}], "x", 5, [{"property_name": "a", "operator": "regex"}]):
        assert ask(served, project, key("read", filters=filters)).status == 401
    other = served.new_project("Other", master_key=os.urandom(32).hex())
    assert ask(served, other, key("read")).status == 401
