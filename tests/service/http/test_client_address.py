"""Whose address counts as the client's when requests come through proxies."""

from __future__ import annotations

from typing import Any

import pytest

from service.http.client_address import client_ip_finder
from service.settings import load


def scope(peer: str | None, *headers: tuple[str, str]) -> dict[str, Any]:
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    return {"client": (peer, 1234) if peer else None, "headers": pairs}


FORWARDED = ("x-forwarded-for", "6.6.6.6, 203.0.113.7, 10.0.0.2")


@pytest.mark.parametrize(
    ("trusted", "peer", "headers", "expected"),
    [
        ("", "10.0.0.1", [FORWARDED], "10.0.0.1"),
        ("10.0.0.0/8", "192.0.2.1", [FORWARDED], "192.0.2.1"),
        ("10.0.0.0/8", "10.0.0.1", [FORWARDED], "203.0.113.7"),
        ("10.0.0.1", "10.0.0.1", [FORWARDED], "10.0.0.2"),
        ("0.0.0.0/0", "10.0.0.1", [FORWARDED], "6.6.6.6"),
        ("10.0.0.0/8", "10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", [("x-forwarded-for", "8.8.8.8, unknown")], "10.0.0.1"),
        (
            "10.0.0.0/8",
            "10.0.0.1",
            [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "8.8.8.8")],
            "8.8.8.8",
        ),
        ("10.0.0.0/8", "10.0.0.1", [("x-forwarded-for", "8.8.8.8:4711")], "8.8.8.8"),
        ("10.0.0.0/8", "10.0.0.1", [("forwarded", 'for="[2001:db8::7]:80";proto=https')], "2001:db8::7"),
        ("10.0.0.0/8", "::ffff:10.0.0.1", [("x-forwarded-for", "8.8.8.8")], "8.8.8.8"),
        ("::1", "::1", [("x-forwarded-for", "2001:db8::9")], "2001:db8::9"),
        ("10.0.0.0/8", None, [FORWARDED], ""),
        ("", "::ffff:203.0.113.9", [], "203.0.113.9"),
        ("10.0.0.0/8", "::ffff:203.0.113.9", [FORWARDED], "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", [("x-forwarded-for", "::FFFF:203.0.113.9")], "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", [("forwarded", 'for=192.0.2.43;host="a,for=198.51.100.7"')], "192.0.2.43"),
        ("10.0.0.0/8", "10.0.0.1", [("forwarded", "for=192.0.2.43;xfor=198.51.100.7")], "192.0.2.43"),
        ("10.0.0.0/8", "10.0.0.1", [("forwarded", "xfor=198.51.100.7")], "10.0.0.1"),
        (
            "10.0.0.0/8",
            "10.0.0.1",
            [("forwarded", 'by="for=198.51.100.7";For="192.0.2.43:99"')],
            "192.0.2.43",
        ),
        ("10.0.0.0/8", "10.0.0.1", [("forwarded", r'for="192.0.2\.43"; proto=http')], "192.0.2.43"),
        ("10.0.0.0/8", "10.0.0.1", [("forwarded", 'host="x\\",for=6.6.6.6", for=192.0.2.43')], "192.0.2.43"),
        ("10.0.0.0/8", "10.0.0.1", [("forwarded", "for=198.51.100.7, for=_hidden")], "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", [("forwarded", "for=198.51.100.7, proto=http")], "10.0.0.1"),
        (
            "10.0.0.0/8",
            "10.0.0.1",
            [("forwarded", "for=192.0.2.43"), ("forwarded", "for=10.0.0.9")],
            "192.0.2.43",
        ),
        ("10.0.0.0/8", "10.0.0.1", [("forwarded", 'for="198.51.100.7')], "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", [("forwarded", "for = 198.51.100.7, for=192.0.2.43")], "192.0.2.43"),
        ("10.0.0.0/8", "10.0.0.1", [("forwarded", 'host="for=6.6.6.6, for=192.0.2.43')], "192.0.2.43"),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_not_trusted(
    trusted: str, peer: str | None, headers: list[tuple[str, str]], expected: str
) -> None:
    find = client_ip_finder(load(trusted_proxies=trusted).trusted_proxies)
    assert find(scope(peer, *headers)) == expected
