"""The format of embed tokens and what their conditions say: nothing is taken but what the maker wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.access_keys import DatasetScope, Names, Options
from service.auth.embed_conditions import EmbedGrant, TokenUse, granted, read_conditions
from service.auth.embed_tokens import BadToken, TokenLink, TokenSecrets, is_embed_token, read_token
from service.auth.origins import frame_ancestors, origin_of, read_origins
from service.errors import EmbedTokenExpired, OriginNotAllowed
from storage.catalog.keyring import public_id
from tests.support.embed import chained, embed_token, narrowed

KEY = "5F" * 32
OTHER = "A0" * 32
VECTORS = json.loads((Path(__file__).parents[2] / "clients" / "embed_vectors.json").read_bytes())
SHOP = "https://shop.example"


def opened(token: str, key: str = KEY) -> tuple[TokenLink, ...]:
    return read_token(token).opened(TokenSecrets.of(key))


def grant_of(*links: Any, options: Options = Options()) -> tuple[EmbedGrant, Options]:
    token = chained(KEY, *links)
    grant, left, _ = granted(
        opened(token), options, public_id=public_id(KEY), key_sees_dashboards=False, key_asks=True
    )
    return grant, left


# The format


@pytest.mark.parametrize("vector", VECTORS["tokens"], ids=lambda one: one["name"])
def test_tokens_of_other_makers_are_opened(vector: Any) -> None:
    assert public_id(vector["access_key"]) == vector["key_id"]
    secrets = TokenSecrets.of(vector["access_key"])
    assert [secrets.seal.hex(), secrets.chain.hex()] == [vector["seal_key"], vector["chain_key"]]
    links = opened(vector["token"], vector["access_key"])
    assert [link.conditions.decode() for link in links] == [one["conditions"] for one in vector["parts"]]
    assert [link.tag.hex() for link in links] == vector["tags"]
    for link in links:
        read_conditions(link.conditions)


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda one: one["name"])
def test_tokens_that_nobody_made_so_are_refused(vector: Any) -> None:
    for key in VECTORS["access_keys"].values():
        with pytest.raises(BadToken):
            token = read_token(vector["token"])
            if token.public_id != public_id(key):
                raise BadToken
            for link in token.opened(TokenSecrets.of(key)):
                read_conditions(link.conditions)


@given(st.integers(0, 2**16), st.integers(1, 255), st.integers(0, 3))
def test_no_byte_of_a_token_can_be_changed(at: int, flip: int, links: int) -> None:
    token = chained(KEY, *([{"queries": 5}] * (links + 1)))
    content = bytearray(token.encode())
    content[at % len(content)] ^= flip
    with pytest.raises(BadToken):
        changed = content.decode("latin-1")
        if not is_embed_token(changed):
            raise BadToken
        opened(changed)


def test_parts_can_not_be_left_out_moved_or_taken_from_another_token() -> None:
    token = chained(KEY, {"queries": 1}, {"queries": 2}, {"queries": 3})
    start, sealed, first, second, tag = token.rsplit(".", 4)
    other = chained(KEY, {"queries": 1}, {"queries": 2})
    parts = [
        f"{start}.{sealed}.{second}.{first}.{tag}",
        f"{start}.{sealed}.{first}.{tag}",
        f"{start}.{sealed}.{second}.{tag}",
        f"{start}.{sealed}.{tag}",
        f"{start}.{sealed}.{first}.{second}.{other.rpartition('.')[2]}",
        f"{other.rpartition('.')[0]}.{tag}",
        f"{start}.{first}.{sealed}.{second}.{tag}",
        f"{start}.{sealed}.{first}.{first}.{second}.{tag}",
        f"{start}.{sealed}.{first}.{second}",
        f"{start}.{sealed}.{first}.{second}.",
        f"{token}.{tag}",
        f"{token}=",
        f"{token} ",
        f" {token}",
        token.upper(),
        token.replace("ae1.", "ae1..", 1),
        f"ae2{token[3:]}",
    ]
    for text in parts:
        with pytest.raises(BadToken):
            opened(text)
    with pytest.raises(BadToken):
        opened(token, OTHER)
    assert len(opened(token)) == 3


def test_a_text_has_one_spelling() -> None:
    """Spare bits and padding would make other texts of the same token, each with a budget of its own."""
    token = embed_token(KEY, {"queries": 1})
    last = token[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for letter in alphabet:
        if letter != last:
            with pytest.raises(BadToken):
                opened(token[:-1] + letter)
    with pytest.raises(BadToken):
        opened(token.replace("-", "+").replace("_", "/") + "=")


def test_a_chain_has_eight_narrowings_and_a_token_8_kib() -> None:
    token = chained(KEY, *([{}] * 9))
    assert len(opened(token)) == 9
    with pytest.raises(BadToken):
        opened(narrowed(token))
    long = embed_token(KEY, {"saved_queries": ["x" * 6_200]})
    assert len(long) > 8_192
    with pytest.raises(BadToken):
        opened(long)


# What conditions say

GOOD: dict[str, list[Any]] = {
    "filters": [[], [{"property_name": "a", "operator": "eq", "property_value": 1}]],
    "saved_queries": [[], ["a"]],
    "dashboards": [["a", "a"]],
    "datasets": [["é"]],
    "expires_at": [0, 4_102_444_800],
    "origins": [[], [SHOP, "null", "no-origin"], ["http://localhost:3000", "http://[::1]:80"]],
    "queries": [1, 2**31 - 1],
    "allow": [[], ["queries", "extractions", "tail", "schema", "exports"]],
    "viewer": [{}, {"timeframe": True, "interval": False, "filters": ["a"]}],
}
BAD: dict[str, list[Any]] = {
    "filters": [
        None,
        {},
        "[]",
        [1],
        [{"property_name": "a", "operator": "eq"}],
        [{"property_name": "a", "operator": "equals", "property_value": 1}],
        [{"property_name": "a", "operator": "eq", "property_value": 1, "or": 2}],
        [{"property_name": "a", "operator": "regex", "property_value": "("}],
    ],
    "saved_queries": [None, "a", {"a": 1}, [1], [None], ["\ud800"]],
    "dashboards": [None, "a", [["a"]]],
    "datasets": [None, {}, [False]],
    "expires_at": [None, "0", -1, 1.5, 1e3, True, 2**60],
    "origins": [None, SHOP, [1], ["*"], ["https://*.shop.example"], [f"{SHOP}/a"], ["shop.example"]],
    "queries": [None, "1", -1, 0, 1.0, True, 2**31],
    "allow": [None, "queries", ["writes"], ["master"], [1], ["query_definition"], ["saved_queries"]],
    "viewer": [None, True, [], {"timezone": True}, {"timeframe": 1}, {"interval": None}, {"filters": "a"}],
}


@pytest.mark.parametrize(("name", "value"), [(name, one) for name, some in GOOD.items() for one in some])
def test_a_condition_that_is_understood(name: str, value: Any) -> None:
    read_conditions(json.dumps({name: value}).encode())


@pytest.mark.parametrize(("name", "value"), [(name, one) for name, some in BAD.items() for one in some])
def test_a_condition_that_is_not_understood_is_no_condition_less(name: str, value: Any) -> None:
    with pytest.raises(BadToken):
        read_conditions(json.dumps({name: value}).encode())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b'"a"',
        b"{",
        b"{}{}",
        b'{"queries":1,"queries":2}',
        b'{"viewer":{"timeframe":false,"timeframe":true}}',
        b'{"Queries":1}',
        b'{"queries":NaN}',
        b'{"filter":[]}',
        b'{"saved_queries":["\xff"]}',
        b"\xef\xbb\xbf{}",
        b"[" * 5_000,
        b'{"filters":' + b"[" * 2_000,
    ],
)
def test_what_is_no_object_of_conditions_is_refused(text: bytes) -> None:
    with pytest.raises(BadToken):
        read_conditions(text)


# What a chain leaves

words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=3)
conditions = st.fixed_dictionaries(
    {},
    optional={
        "saved_queries": words,
        "dashboards": words,
        "datasets": words,
        "expires_at": st.integers(0, 20),
        "origins": st.lists(st.sampled_from([SHOP, "https://b.example", "null", "no-origin"]), max_size=3),
        "queries": st.integers(1, 5),
        "allow": st.lists(st.sampled_from(list(TokenUse)), max_size=4),
        "viewer": st.fixed_dictionaries(
            {}, optional={"timeframe": st.booleans(), "interval": st.booleans(), "filters": words}
        ),
    },
)
lists = st.one_of(st.none(), words.map(frozenset))
key_options = st.builds(
    Options,
    saved=st.builds(Names, lists, words.map(frozenset)),
    cached=st.builds(Names, lists, words.map(frozenset)),
    datasets=st.builds(DatasetScope, st.just(frozenset({"read", "list"})), st.builds(Names, lists)),
    extraction=st.booleans(),
    embed_origins=st.one_of(st.none(), st.just(frozenset({SHOP}))),
)


def powers(grant: EmbedGrant, options: Options) -> set[tuple[str, str]]:
    """All that a token may do, as far as it is a set."""
    names = ["a", "b", "c", "d", "e"]
    held = {("saved", name) for name in names if options.saved.admit(name)}
    held |= {("cached", name) for name in names if options.cached.admit(name)}
    held |= {("dataset", name) for name in names if options.datasets.names.admit(name)}
    held |= {("operation", name) for name in options.datasets.operations}
    held |= {("dashboard", name) for name in names if grant.dashboards is None or name in grant.dashboards}
    held |= {("use", use) for use in grant.uses}
    held |= {("extraction", "")} if options.extraction else set()
    viewer = grant.viewer
    if viewer is not None:
        flags = [name for name in ("timeframe", "interval") if getattr(viewer, name)]
        held |= {("viewer", name) for name in (*flags, *(f"on {path}" for path in viewer.filters))}
    for origin in (SHOP, "https://b.example", "null", None, "https://else.example"):
        try:
            grant.check_origin([] if origin is None else [origin], [], lambda _: False)
            held.add(("origin", str(origin)))
        except OriginNotAllowed:
            pass
    for second in range(21):
        try:
            grant.check_expiry(second)
            held.add(("second", str(second)))
        except EmbedTokenExpired:
            pass
    return held


@given(st.lists(conditions, min_size=1, max_size=4), conditions, key_options)
def test_a_narrowing_never_adds_anything(links: list[Any], last: Any, options: Options) -> None:
    before, left = grant_of(*links, options=options)
    after, less = grant_of(*links, last, options=options)
    assert powers(after, less) <= powers(before, left)
    assert [(one.limit, one.expires_at) for one in before.budgets] == [
        (one.limit, one.expires_at) for one in after.budgets[: len(before.budgets)]
    ]


@given(conditions, key_options)
def test_a_token_reads_no_name_that_its_key_does_not(first: Any, options: Options) -> None:
    grant, left = grant_of(first, options=options)
    kinds = ("saved", "cached", "dataset", "operation")
    everything, _ = grant_of({})
    before = {one for one in powers(everything, options) if one[0] in kinds}
    assert {one for one in powers(grant, left) if one[0] in kinds} <= before
    assert options.extraction or not left.extraction
    assert left.datasets.operations <= {"read"}


def test_what_a_maker_does_not_allow_is_not_allowed() -> None:
    grant, options = grant_of({})
    assert (grant.uses, grant.viewer, options.extraction) == (frozenset(), None, False)
    grant, _ = grant_of({}, {"allow": list(TokenUse), "viewer": {"timeframe": True, "filters": ["a"]}})
    assert (grant.uses, grant.viewer) == (frozenset(), None)
    grant, _ = grant_of({"allow": ["queries"], "viewer": {"timeframe": True}}, {})
    assert grant.uses == {TokenUse.QUERIES}
    assert grant.viewer is not None
    assert grant.viewer.timeframe


# Origins


@pytest.mark.parametrize(
    ("origins", "origin", "referer", "allowed"),
    [
        ([SHOP], SHOP, None, True),
        ([SHOP], "https://evil.example", None, False),
        ([SHOP], "https://shop.example.evil.example", None, False),
        ([SHOP], "http://shop.example", None, False),
        ([SHOP], "https://shop.example:444", None, False),
        ([SHOP], "null", None, False),
        ([SHOP], None, None, False),
        ([SHOP], None, f"{SHOP}/cart?x=1", True),
        ([SHOP], None, "https://evil.example/?https://shop.example", False),
        ([SHOP], None, "https://shop.example@evil.example/", False),
        ([SHOP], None, "about:blank", False),
        ([SHOP], "https://evil.example", f"{SHOP}/", False),
        (["https://Shop.Example:443"], SHOP, None, True),
        (["null"], "null", None, True),
        (["null"], None, None, False),
        (["no-origin"], None, None, True),
        (["no-origin"], "no-origin", None, False),
        (["no-origin"], SHOP, None, False),
        (["no-origin"], None, f"{SHOP}/", False),
        ([], SHOP, None, False),
        ([SHOP], "https://acumen.example", None, True),
        ([SHOP], None, "https://acumen.example/3.0/projects/p", True),
    ],
)
def test_a_request_must_come_from_a_page_of_an_allowed_origin(
    origins: list[str], origin: str | None, referer: str | None, allowed: bool
) -> None:
    grant, _ = grant_of({"origins": origins})

    def check() -> None:
        origins_sent, referers = ([one] if one is not None else [] for one in (origin, referer))
        grant.check_origin(origins_sent, referers, lambda one: one == "https://acumen.example")

    if allowed:
        check()
    else:
        with pytest.raises(OriginNotAllowed):
            check()


def test_two_origins_in_one_request_are_none() -> None:
    grant, _ = grant_of({"origins": [SHOP, "no-origin"]})
    twice: list[str] = [f"{SHOP}/", f"{SHOP}/"]
    for origins, referers in (([SHOP, SHOP], list[str]()), (list[str](), twice)):
        with pytest.raises(OriginNotAllowed):
            grant.check_origin(origins, referers, lambda _: False)


def test_the_keys_origins_are_for_tokens_that_name_none() -> None:
    options = Options(embed_origins=frozenset({SHOP}))
    for links, wanted in (
        ([{}], SHOP),
        ([{}, {"queries": 1}], SHOP),
        ([{"origins": ["https://b.example"]}], "https://b.example"),
        ([{}, {"origins": ["https://b.example"]}], "'none'"),
        ([{"origins": [SHOP, "https://b.example", "null"]}, {"origins": [SHOP, "null"]}], SHOP),
        ([{"origins": []}], "'none'"),
    ):
        grant, _ = grant_of(*links, options=options)
        assert grant.frame_ancestors == wanted
    assert grant_of({})[0].frame_ancestors == "'none'"


def test_nothing_but_an_origin_gets_into_a_header() -> None:
    for text in ("https://a.example;script-src *", "https://a.example 'self'", "https://a b", "https://a\nb"):
        assert read_origins([text]) is None
    assert frame_ancestors([frozenset({SHOP, "null", "no-origin", "capacitor://localhost"})]) == SHOP
    assert read_origins([f"https://{number}.example" for number in range(101)]) is None


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://a.example/b", "https://a.example"),
        ("https://u:p@a.example:8443/b#c", "https://a.example:8443"),
        ("HTTP://A.example:80", "http://a.example"),
        ("data:text/html,x", None),
        ("//a.example/", None),
        ("https://[::1", None),
        ("", None),
    ],
)
def test_the_origin_of_an_address(address: str, origin: str | None) -> None:
    assert origin_of(address) == origin
