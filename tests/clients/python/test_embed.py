"""Embed tokens: as the vectors have them, and as they can be opened by hand."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from acumen_client import P, embed_token, narrow_embed_token
from acumen_client.embed import narrowed, sealed
from tests.clients.embed_filters import CASES, taken_by_server
from tests.clients.embed_vectors import GOOD, KEYS, PLACE, derived, key_id, mac, rendered, text_of
from tests.support.scale import examples

VECTORS: dict[str, Any] = json.loads(PLACE.read_text(encoding="utf-8"))
KEY = KEYS["shop"]


class Refused(Exception):
    """The token is none of this key."""


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def opened(token: str, key: str) -> list[Any]:
    """What a token says, part by part, opened step by step as the format is described."""
    version, known, first, *narrower, tag = token.split(".")
    if (version, known) != ("ae1", key_id(key)):
        raise Refused
    seal, chain = (derived(key.encode(), b"acumen embed v1 " + info) for info in (b"seal", b"chain"))
    keys, sealed_parts = [seal], [first, *narrower]
    expected = mac(chain, f"{version}.{known}.{first}".encode())
    for part in narrower:
        keys.append(derived(expected, b"acumen embed v1 narrow"))
        expected = mac(expected, part.encode())
    if text_of(expected) != tag:
        raise Refused
    said = []
    for number, (part_key, part) in enumerate(zip(keys, sealed_parts, strict=True)):
        associated = f"{version}.{known}".encode() if number == 0 else b"ae1"
        nonce, box = raw(part)[:12], raw(part)[12:]
        try:
            said.append(json.loads(AESGCM(part_key).decrypt(nonce, box, associated)))
        except InvalidTag:
            raise Refused from None
    return said


def test_the_file_of_vectors_is_what_its_script_writes() -> None:
    assert PLACE.read_text(encoding="utf-8") == rendered()


@pytest.mark.parametrize("vector", VECTORS["tokens"], ids=[one["name"] for one in VECTORS["tokens"]])
def test_a_token_of_the_vectors_is_made(vector: dict[str, Any]) -> None:
    first, *narrower = (
        (part["conditions"].encode(), bytes.fromhex(part["nonce"])) for part in vector["parts"]
    )
    token = sealed(vector["access_key"], *first)
    for conditions, nonce in narrower:
        token = narrowed(token, conditions, nonce)
    assert token == vector["token"]
    assert opened(token, vector["access_key"]) == [json.loads(part["conditions"]) for part in vector["parts"]]


def test_the_vectors_cover_what_a_token_can_say() -> None:
    said = {name for conditions in GOOD.values() for text in conditions[1] for name in json.loads(text)}
    assert said == {
        "filters",
        "saved_queries",
        "dashboards",
        "datasets",
        "expires_at",
        "origins",
        "queries",
        "allow",
        "viewer",
    }


CHANGED = [one for one in VECTORS["refused"] if "condition" not in one["name"]]


@pytest.mark.parametrize(
    "vector",
    [one for one in CHANGED if one["name"] not in ("nine narrowings", "more than 8 KiB")],
    ids=lambda one: one["name"],
)
def test_a_changed_token_of_the_vectors_opens_with_no_key(vector: dict[str, str]) -> None:
    for key in KEYS.values():
        with pytest.raises((Refused, ValueError)):
            opened(vector["token"], key)


def test_a_token_says_what_was_asked() -> None:
    before = time.time()
    token = embed_token(
        KEY,
        filters=[
            P("customer.id") == "customer one",
            {"property_name": "plan", "operator": "ne", "property_value": None},
        ],
        saved_queries=["revenue"],
        dashboards=("sales",),
        datasets={"by-country"},
        expires_in=60,
        origins=["https://shop.example"],
        queries=5,
        allow=["queries"],
        viewer={"timeframe": True, "filters": ("country",)},
    )
    (said,) = opened(token, KEY)
    assert before + 60 <= said.pop("expires_at") <= time.time() + 61
    assert said == {
        "filters": [
            {"property_name": "customer.id", "operator": "eq", "property_value": "customer one"},
            {"property_name": "plan", "operator": "ne", "property_value": None},
        ],
        "saved_queries": ["revenue"],
        "dashboards": ["sales"],
        "datasets": ["by-country"],
        "origins": ["https://shop.example"],
        "queries": 5,
        "allow": ["queries"],
        "viewer": {"timeframe": True, "filters": ["country"]},
    }
    assert KEY not in token
    assert "customer" not in token and "country" not in token


def test_a_token_expires_after_an_hour_unless_told() -> None:
    now = time.time()
    (usual,) = opened(embed_token(KEY), KEY)
    assert usual.keys() == {"expires_at"}
    assert now + 3600 <= usual["expires_at"] <= time.time() + 3601
    (later,) = opened(embed_token(KEY, expires_in=timedelta(days=1)), KEY)
    assert now + 86400 <= later["expires_at"] <= time.time() + 86401
    assert opened(embed_token(KEY, expires_in=None), KEY) == [{}]


@pytest.mark.parametrize(
    "instant", [datetime(2030, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 1_893_456_000, 1_893_455_999.5]
)
def test_a_token_ends_at_an_instant(instant: Any) -> None:
    ends = 1_893_456_000
    assert opened(embed_token(KEY, expires_at=instant), KEY)[0]["expires_at"] == ends
    assert opened(narrow_embed_token(embed_token(KEY), expires_at=instant), KEY)[1] == {"expires_at": ends}


def test_a_narrowed_token_ends_when_the_given_one_does_unless_told() -> None:
    token = embed_token(KEY, expires_in=timedelta(days=30))
    assert opened(narrow_embed_token(token, queries=3), KEY)[1] == {"queries": 3}


def test_every_token_is_another() -> None:
    assert len({embed_token(KEY, expires_in=None) for _ in range(50)}) == 50


NAMES = st.lists(st.text(max_size=8), max_size=3)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=9))
def test_narrowing_adds_and_takes_nothing_away(names: list[list[str]]) -> None:
    first, *others = names
    token = embed_token(KEY, saved_queries=first, expires_in=None)
    for more in others:
        token = narrow_embed_token(token, saved_queries=more, expires_in=None)
    assert opened(token, KEY) == [{"saved_queries": listed} for listed in names]


def test_it_can_be_narrowed_eight_times() -> None:
    token = embed_token(KEY)
    for _ in range(8):
        token = narrow_embed_token(token)
    with pytest.raises(ValueError, match="8 times"):
        narrow_embed_token(token)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"saved_queries": "revenue"}, "must be a list"),
        ({"saved_queries": [1]}, "must be a list of texts"),
        ({"allow": ["writes"]}, "allow may hold"),
        ({"viewer": {"limit": True}}, "a viewer may change"),
        ({"viewer": {"timeframe": "yes"}}, "must be True or False"),
        ({"queries": 0}, "1 or more"),
        ({"queries": 1.5}, "an integer"),
        ({"queries": True}, "an integer"),
        ({"expires_in": 0}, "above 0"),
        ({"expires_at": datetime(2030, 1, 1)}, "needs a zone"),
        ({"expires_at": "2030-01-01"}, "a datetime with a zone"),
        ({"origins": ["https://shop.example/"]}, "no origin"),
        ({"origins": ["shop.example"]}, "no origin"),
        ({"expires_in": float("nan")}, "above 0"),
        ({"saved_queries": ["r" * 200] * 40}, "bytes"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_a_condition_that_is_none_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        embed_token(KEY, **options)
    with pytest.raises(ValueError, match=message):
        narrow_embed_token(embed_token(KEY), **options)


@pytest.mark.parametrize("filters", CASES, ids=str)
def test_filters_are_refused_that_a_server_would_refuse(filters: list[Any]) -> None:
    if taken_by_server(filters):
        assert opened(embed_token(KEY, filters=filters), KEY)[0]["filters"] == filters
    else:
        with pytest.raises((ValueError, TypeError), match="filter"):
            embed_token(KEY, filters=filters)


@pytest.mark.parametrize("key", ["", None, b"bytes"])
def test_a_key_is_a_text(key: Any) -> None:
    with pytest.raises(ValueError, match="access_key"):
        embed_token(key)


@pytest.mark.parametrize("token", ["", "ae1.x.y", "ae2.a.b.c", KEY, "ae1.a.b.!!!", "ae1.a.b.QUJD", None])
def test_what_is_no_token_is_not_narrowed(token: Any) -> None:
    with pytest.raises(ValueError, match="embed token"):
        narrow_embed_token(token)


def test_without_the_extra_it_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "import acumen_client\n"
        "try: acumen_client.embed_token('k')\n"
        "except acumen_client.ConfigurationError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'acumen-client[embed]'" in done.stdout
