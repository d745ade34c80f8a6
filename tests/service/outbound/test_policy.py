"""Which hosts and addresses may be addressed."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from service.outbound.errors import AddressRefused, BadAddress, HostRefused, OutboundError, SchemeRefused
from service.outbound.policy import Policy, policy_of
from service.outbound.urls import destination_of
from service.settings import BadSettings, load


def policy(hosts: str = "", networks: str = "", **given: Any) -> Policy:
    return policy_of(load(outbound_hosts=hosts, outbound_networks=networks, **given))


@pytest.mark.parametrize(
    ("hosts", "url", "lets"),
    [
        ("", "https://a.example.com/", False),
        ("a.example.com", "https://a.example.com/x?y=1", True),
        ("a.example.com", "https://A.Example.COM./x", True),
        ("A.example.com", "https://a.example.com:443/", True),
        ("a.example.com", "https://a.example.com:8443/", False),
        ("a.example.com:8443", "https://a.example.com:8443/", True),
        ("a.example.com:8443", "https://a.example.com/", False),
        ("a.example.com:*", "https://a.example.com:1234/", True),
        ("a.example.com", "https://b.a.example.com/", False),
        ("a.example.com", "https://a.example.com.evil.test/", False),
        ("*.example.com", "https://b.a.example.com/", True),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://badexample.com/", False),
        ("*.example.com:8443", "https://x.example.com:8443/", True),
        ("*", "https://anything.test/", True),
        ("*", "https://anything.test:22/", False),
        ("[2001:db8::1]", "https://[2001:DB8:0::1]/", True),
        ("b.test, a.test", "https://user:secret@a.test/", True),
        ("xn--bcher-kva.test", "https://bücher.test/", True),
        ("a.test", "https://а.test/", False),
        ("a.test", "https://a.test@b.test/", False),
        ("a.test", "https://b.test#@a.test/", False),
    ],
)
def test_hosts_are_let_through_by_the_list(hosts: str, url: str, lets: bool) -> None:
    if lets:
        destination_of(policy(hosts), url)
        return
    with pytest.raises(HostRefused) as raised:
        destination_of(policy(hosts), url)
    assert "ACUMEN_OUTBOUND_HOSTS" in str(raised.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://a.test/", SchemeRefused),
        ("ftp://a.test/", BadAddress),
        ("file:///etc/hosts", BadAddress),
        ("a.test/x", BadAddress),
        ("https:///x", BadAddress),
        ("https://a b.test/", BadAddress),
        ("https://a.test:99999/", BadAddress),
        ("https://a.test/\n", BadAddress),
        ("https://[::1/", BadAddress),
        ("https://a.test/" + "x" * 3_000, BadAddress),
    ],
)
def test_what_is_no_url_to_ask_is_refused(url: str, why: type[OutboundError]) -> None:
    with pytest.raises(why):
        destination_of(policy("*"), url)


def test_http_goes_out_where_the_operator_says_so() -> None:
    assert destination_of(policy("a.test", outbound_http=True), "http://a.test/").port == 80


NOT_PUBLIC = [
    "127.0.0.1",
    "127.9.9.9",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0a01:0203",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    with pytest.raises(AddressRefused) as raised:
        policy("*").check_addresses("a.test", [address])
    assert "ACUMEN_OUTBOUND_NETWORKS" in str(raised.value)
    assert address not in str(raised.value)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:4700::1111", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"]
)
def test_public_addresses_are_let_through(address: str) -> None:
    assert policy("*").check_addresses("a.test", [address]) == [address]


def test_one_refused_address_refuses_the_name() -> None:
    with pytest.raises(AddressRefused):
        policy("*").check_addresses("a.test", ["93.184.215.14", "10.0.0.1"])
    with pytest.raises(AddressRefused):
        policy("*").check_addresses("a.test", [])


def test_networks_of_the_operator_are_let_through() -> None:
    own = policy("*", "10.0.0.0/8, 169.254.1.1, fd12::/16")
    for address in ("10.1.2.3", "169.254.1.1", "::ffff:10.1.2.3", "fd12::1"):
        assert own.check_addresses("a.test", [address]) == [address]
    for address in ("11.0.0.1", "192.168.0.1", "169.254.169.254", "fd13::1"):
        if ipaddress.ip_address(address).is_global:
            continue
        with pytest.raises(AddressRefused):
            own.check_addresses("a.test", [address])


def test_a_named_host_may_have_letters_beyond_ascii() -> None:
    own = policy().naming("bücher.test")
    assert destination_of(own, "http://bücher.test/").host == "xn--bcher-kva.test"
    assert own.check_addresses("xn--bcher-kva.test", ["10.0.0.9"]) == ["10.0.0.9"]


def test_a_host_of_another_setting_is_named_but_not_into_the_metadata_of_a_cloud() -> None:
    own = policy().naming("mail.internal")
    own.check_host("MAIL.internal.", 25, 25)
    assert own.check_addresses("mail.internal", ["10.0.0.9"]) == ["10.0.0.9"]
    for address in ("169.254.169.254", "fd00:ec2::254", "224.0.0.1", "0.0.0.0"):
        with pytest.raises(AddressRefused):
            own.check_addresses("mail.internal", [address])
    with pytest.raises(HostRefused):
        own.check_host("other.internal", 25, 25)
    with pytest.raises(AddressRefused):
        own.check_addresses("other.internal", ["10.0.0.9"])


@pytest.mark.parametrize(
    "given",
    [
        {"outbound_hosts": "https://a.test"},
        {"outbound_hosts": "a.test/x"},
        {"outbound_hosts": "*a.test"},
        {"outbound_hosts": "a.*.test"},
        {"outbound_hosts": "a.test:x"},
        {"outbound_networks": "10.0.0.0/99"},
        {"outbound_proxy": "https://proxy.test"},
        {"outbound_proxy": "proxy.test:3128"},
    ],
)
def test_settings_that_mean_nothing_stop_the_start(given: dict[str, str]) -> None:
    with pytest.raises(BadSettings) as raised:
        load(**given)
    assert next(iter(given)).upper() in str(raised.value)
