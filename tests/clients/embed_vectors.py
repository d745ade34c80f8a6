"""Embed tokens made by hand from their description, with fixed keys and nonces.

``python -m tests.clients.embed_vectors`` writes ``embed_vectors.json``, which the server and both SDKs are
held to. Each token has what a maker needs (key, conditions as text, nonces) and what it passes on the way;
each refused one has the reason, which a server must not tell.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PLACE = Path(__file__).with_suffix(".json")
KEYS = {"shop": "5F" * 32, "other": "A07C" * 16, "latin": "clé-ключ-鍵"}
"""Access keys; the last is none that a server makes, and shows that a key counts as UTF-8."""


def text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def derived(key: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 without salt, of one block: the key of RFC 5869's first output."""
    return mac(mac(bytes(32), key), info + b"\x01")


def key_id(key: str) -> str:
    return hashlib.sha256(b"acumen key id v1\0" + key.encode()).hexdigest()[:32]


def made(key: str, parts: list[tuple[str, bytes]]) -> dict[str, Any]:
    """A token of these conditions, the first sealed under the key and each other under the tag before it."""
    seal, chain = (derived(key.encode(), b"acumen embed v1 " + info) for info in (b"seal", b"chain"))
    (first, nonce), *narrower = parts
    head = f"ae1.{key_id(key)}"
    head += "." + text_of(nonce + AESGCM(seal).encrypt(nonce, first.encode(), head.encode()))
    tag = mac(chain, head.encode())
    tags = [tag]
    for conditions, nonce in narrower:
        narrow = derived(tag, b"acumen embed v1 narrow")
        sealed = text_of(nonce + AESGCM(narrow).encrypt(nonce, conditions.encode(), b"ae1"))
        head, tag = f"{head}.{sealed}", mac(tag, sealed.encode())
        tags.append(tag)
    return {
        "key_id": key_id(key),
        "seal_key": seal.hex(),
        "chain_key": chain.hex(),
        "tags": [tag.hex() for tag in tags],
        "token": f"{head}.{text_of(tag)}",
    }


def compact(**conditions: Any) -> str:
    return json.dumps(conditions, ensure_ascii=False, separators=(",", ":"))


def part(number: int, conditions: str) -> tuple[str, bytes]:
    return conditions, bytes(range(12 * number, 12 * number + 12))


OF_CUSTOMER = [{"property_name": "customer.id", "operator": "eq", "property_value": "c1"}]
IN_UMLAUT = [{"property_name": "stadt", "operator": "in", "property_value": ["Köln", "Zürich", "東京"]}]
EVERYTHING = compact(
    filters=OF_CUSTOMER,
    saved_queries=["revenue", "daily-orders"],
    dashboards=["sales"],
    datasets=["by-country"],
    expires_at=4102444800,
    origins=["https://shop.example", "null"],
    queries=500,
    allow=["queries", "tail"],
    viewer={"timeframe": True, "interval": True, "filters": ["country", "plan"]},
)
GOOD: dict[str, tuple[str, list[str]]] = {
    "no conditions": ("shop", ["{}"]),
    "every condition": ("shop", [EVERYTHING]),
    "spaces and line ends in the conditions": ("shop", ['{ "saved_queries" :\n ["revenue"] }\n']),
    "text beyond ASCII": ("shop", [compact(filters=IN_UMLAUT)]),
    "a key beyond ASCII": ("latin", [compact(saved_queries=["revenue"])]),
    "another key": ("other", [compact(saved_queries=["revenue"], expires_at=4102444800)]),
    "narrowed once": ("shop", [EVERYTHING, compact(saved_queries=["revenue"], queries=20)]),
    "narrowed by nothing": ("shop", [compact(saved_queries=["revenue"]), "{}"]),
    "narrowed twice": (
        "shop",
        [
            compact(saved_queries=["revenue", "daily-orders"]),
            compact(filters=OF_CUSTOMER, expires_at=4102444800),
            compact(saved_queries=["revenue"], origins=["https://shop.example"]),
        ],
    ),
    "narrowed eight times": (
        "shop",
        [compact(saved_queries=["revenue"]), *(compact(queries=100 - n) for n in range(8))],
    ),
}


def tokens() -> list[dict[str, Any]]:
    listed, number = [], 0
    for name, (key, conditions) in GOOD.items():
        parts = [part((number + n) % 21, text) for n, text in enumerate(conditions)]
        number += len(parts)
        shown = [{"conditions": text, "nonce": nonce.hex()} for text, nonce in parts]
        listed.append({"name": name, "access_key": KEYS[key], "parts": shown, **made(KEYS[key], parts)})
    return listed


def flipped(text: str, at: int) -> str:
    """The text with the lowest bit of the byte in it flipped that stands at this place, once decoded."""
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[at] ^= 1
    return text_of(bytes(raw))


def refused() -> list[dict[str, str]]:
    """Tokens that no server may take, though each key of the file is one of the project."""
    by_name = {one["name"]: one["token"] for one in tokens()}
    whole, twice = by_name["every condition"], by_name["narrowed twice"]
    version, known, sealed, tag = whole.split(".")
    *head, first, second, last = twice.split(".")
    shop = KEYS["shop"]
    cases = {
        "a byte of the nonce flipped": f"{version}.{known}.{flipped(sealed, 0)}.{tag}",
        "a byte of the ciphertext flipped": f"{version}.{known}.{flipped(sealed, 20)}.{tag}",
        "the last byte of the seal flipped": f"{version}.{known}.{flipped(sealed, -1)}.{tag}",
        "the first byte of the tag flipped": f"{version}.{known}.{sealed}.{flipped(tag, 0)}",
        "the last byte of the tag flipped": f"{version}.{known}.{sealed}.{flipped(tag, 31)}",
        "the tag cut": f"{version}.{known}.{sealed}.{tag[:-4]}",
        "the tag padded": f"{version}.{known}.{sealed}.{tag}=",
        "no tag": f"{version}.{known}.{sealed}",
        "an empty tag": f"{version}.{known}.{sealed}.",
        "another version": f"ae2.{known}.{sealed}.{tag}",
        "the id of a key that is not there": f"{version}.{'0' * 32}.{sealed}.{tag}",
        "the id of another key": f"{version}.{key_id(KEYS['other'])}.{sealed}.{tag}",
        "an id in capitals": f"{version}.{known.upper()}.{sealed}.{tag}",
        "a narrowing left out at the end": ".".join([*head, first, last]),
        "a narrowing left out at the start": ".".join([*head, second, last]),
        "all narrowings left out": ".".join([*head, last]),
        "narrowings in another order": ".".join([*head, second, first, last]),
        "a byte of a narrowing flipped": ".".join([*head, flipped(first, 15), second, last]),
        "a narrowing twice": ".".join([*head, first, second, second, last]),
        "a narrowing of another token": ".".join([version, known, sealed, first, last]),
        "an unknown condition": made(shop, [part(1, '{"saved_query":["revenue"]}')])["token"],
        "an unknown condition in a narrowing": made(
            shop, [part(1, '{"saved_queries":["revenue"]}'), part(2, '{"expires":4102444800}')]
        )["token"],
        "conditions that are a list": made(shop, [part(1, "[]")])["token"],
        "conditions that are no JSON": made(shop, [part(1, "{saved_queries}")])["token"],
        "conditions that are empty": made(shop, [part(1, "")])["token"],
        "nine narrowings": made(shop, [part(n, "{}") for n in range(10)])["token"],
        "more than 8 KiB": made(shop, [part(1, compact(saved_queries=["r" * 200] * 31))])["token"],
    }
    return [{"name": name, "token": token} for name, token in cases.items()]


def expired() -> dict[str, Any]:
    parts = [part(3, compact(saved_queries=["revenue"], expires_at=1700000000))]
    narrowed = [part(4, compact(saved_queries=["revenue"])), part(5, compact(expires_at=1700000000))]
    return {
        "expired": made(KEYS["shop"], parts)["token"],
        "expired by a narrowing": made(KEYS["shop"], narrowed)["token"],
    }


def vectors() -> dict[str, Any]:
    return {
        "about": "Embed tokens of format version 1, made by tests/clients/embed_vectors.py. `tokens` are "
        "good; `refused` are 401 InvalidApiKeyError though all `access_keys` are live; `expired` are 401 "
        "EmbedTokenExpiredError. `conditions` are the sealed text, byte for byte in UTF-8.",
        "access_keys": KEYS,
        "tokens": tokens(),
        "refused": refused(),
        "expired": [{"name": name, "token": token} for name, token in expired().items()],
    }


def rendered() -> str:
    return json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PLACE.write_text(rendered(), encoding="utf-8")
