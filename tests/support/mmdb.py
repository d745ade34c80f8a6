"""Writes small databases in MaxMind's format: networks and the records that addresses in them have."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MARKER = b"\xab\xcd\xefMaxMind.com"
_STRING, _DOUBLE, _UINT32, _MAP, _ARRAY = 2, 3, 6, 7, 11


def write_mmdb(path: Path, networks: Mapping[str, Any]) -> Path:
    """A database of both address families; networks must not hold one another."""
    tree: list[Any] = [None, None]
    for network, record in networks.items():
        _insert(tree, _bits(network), record)
    path.write_bytes(_file(tree))
    return path


def city(name: str, *, country: tuple[str, str], at: tuple[float, float], **more: Any) -> dict[str, Any]:
    """A record as MaxMind's city databases have them; ``country`` is code and name, ``at`` longitude and
    latitude."""
    return {
        "city": {"names": {"en": name, "de": "?"}},
        "country": {"iso_code": country[0], "names": {"en": country[1]}},
        "location": {"longitude": at[0], "latitude": at[1]},
        **more,
    }


def _bits(network: str) -> list[int]:
    """The bits of the network's prefix, an IPv4 one where IPv6 has it: in ::/96."""
    given = ipaddress.ip_network(network)
    number, length = int(given.network_address), given.prefixlen
    if given.version == 4:
        length += 96
    return [number >> (127 - place) & 1 for place in range(length)]


def _insert(tree: list[Any], bits: list[int], record: Any) -> None:
    for bit in bits[:-1]:
        if tree[bit] is None:
            tree[bit] = [None, None]
        tree = tree[bit]
    tree[bits[-1]] = (record,)


def _file(tree: list[Any]) -> bytes:
    nodes = [tree]
    for node in nodes:
        nodes += [child for child in node if isinstance(child, list)]
    numbers = {id(node): number for number, node in enumerate(nodes)}
    data, words = b"", []
    for node in nodes:
        for child in node:
            if isinstance(child, tuple):
                words.append(len(nodes) + 16 + len(data))
                data += _encode(child[0])
            else:
                words.append(len(nodes) if child is None else numbers[id(child)])
    metadata = {
        "node_count": len(nodes),
        "record_size": 32,
        "ip_version": 6,
        "database_type": "Test",
        "languages": ["en"],
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_700_000_000,
        "description": {"en": "for tests"},
    }
    return struct.pack(f">{len(words)}I", *words) + bytes(16) + data + MARKER + _encode(metadata)


def _encode(value: Any) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        return _head(_STRING, len(text)) + text
    if isinstance(value, float):
        return _head(_DOUBLE, 8) + struct.pack(">d", value)
    if isinstance(value, int):
        return _head(_UINT32, 4) + struct.pack(">I", value)
    if isinstance(value, list):
        return _head(_ARRAY, len(value)) + b"".join(map(_encode, value))
    return _head(_MAP, len(value)) + b"".join(_encode(name) + _encode(child) for name, child in value.items())


def _head(kind: int, size: int) -> bytes:
    assert size < 285
    long = bytes([size - 29]) if size >= 29 else b""
    first = min(size, 29)
    return (bytes([first, kind - 7]) if kind > 7 else bytes([kind << 5 | first])) + long
