"""The cache that is bounded by bytes, against a slow, obvious one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from service.queries.byte_bounded_cache import SHARE_MAX, ByteBoundedCache
from tests.support.scale import examples

BYTES_MAX = 40
STEPS = st.tuples(
    st.sampled_from(["get", "put", "drop"]), st.sampled_from("abcdef"), st.integers(0, BYTES_MAX // 3)
)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_the_least_recently_used_make_room(steps: list[tuple[str, str, int]]) -> None:
    cache: ByteBoundedCache[str, int] = ByteBoundedCache(BYTES_MAX)
    reference: list[tuple[str, int, int]] = []
    for number, (action, key, size) in enumerate(steps):
        known = next((one for one in reference if one[0] == key), None)
        if action == "get":
            assert cache.get(key) == (None if known is None else known[1])
        if action == "put":
            cache.put(key, number, size)
        if action == "drop":
            cache.drop(key)
        if known is not None:
            reference.remove(known)
        if action == "get" and known is not None:
            reference.append(known)
        if action == "put" and size <= BYTES_MAX // SHARE_MAX:
            reference.append((key, number, size))
        while sum(one[2] for one in reference) > BYTES_MAX:
            reference.pop(0)
        assert cache.bytes == sum(one[2] for one in reference)
    assert {key: cache.get(key) for key in "abcdef"} == {
        **dict.fromkeys("abcdef"),
        **{key: value for key, value, _ in reference},
    }
