"""One text means one instant, wherever it is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.instants import MAX_INSTANT_US, MIN_INSTANT_US, format_instant, parse_instant, parse_instants
from tests.support.scale import examples

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = 1_704_110_400_000_000  # 2024-01-01T12:00:00Z


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01T12:00:00Z",
        "2024-01-01T12:00:00.000Z",
        "2024-01-01T12:00:00,000Z",
        "2024-01-01T12:00Z",
        "2024-01-01T12:00",
        "2024-01-01 12:00:00",
        "2024-01-01t12:00:00z",
        "2024-01-01T12:00:00",
        "2024-01-01T12:00:00+00:00",
        "2024-01-01T12:00:00.000+0000",
        "2024-01-01T12:00:00-00",
        "2024-01-01T14:00:00+02:00",
        "2024-01-01T14:00:00+02",
        "2024-01-01T04:30-0730",
        "2024-01-02T02:59:00+14:59",
    ],
)
def test_spellings_of_noon(text: str) -> None:
    assert parse_instant(text) == NOON


@pytest.mark.parametrize(
    ("text", "instant_us"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:00.1Z", 100_000),
        ("1970-01-01T00:00:00.123456Z", 123_456),
        ("1970-01-01T00:00:00.1234569Z", 123_456),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("1969-12-31T23:59:59.9999999999999Z", -1),
        ("1969-12-31T23:59:59,9999999999999+00:00", -1),
        ("0001-01-01", MIN_INSTANT_US),
        ("9999-12-31T23:59:59.999999", MAX_INSTANT_US),
        ("2000-02-29", 951_782_400_000_000),
    ],
)
def test_values(text: str, instant_us: int) -> None:
    assert parse_instant(text) == instant_us


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024",
        "2024-01",
        "20240101",
        "2024-W01-1",
        "2024-W01-1T12:00:00Z",
        "20240101T120000Z",
        "20240101T12:00:00.000Z",
        "2024-001",
        "2024-1-1",
        "24-01-01",
        "2023-02-29",
        "2024-13-01",
        "2024-01-01T",
        "2024-01-01Z",
        "2024-01-01T12",
        "2024-01-01T12Z",
        "2024-01-01x12:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T23:60:00Z",
        "2024-01-01T23:59:60Z",
        "2024-01-01T12:00:00.Z",
        "2024-01-01T12:00:Z",
        "2024-01-01T12:00:00 Z",
        "2024-01-01T12:00:00.1234567 Z",
        "2024-01-01T12+01:00",
        "2024-01-01 12+0100",
        "2024-01-01T12:00:00:00Z",
        "2024-01-01T12:00.5Z",
        "2024-01-01T12:00:00+24:00",
        "2024-01-01T12:00:00+01:60",
        "2024-01-01T12:00:00+01:00:30",
        "2024-01-01T12:00:00+00:00Z",
        "2024-01-01T12:00:00ZZ",
        " 2024-01-01",
        "2024-01-01\n",
        "٢٠٢٤-01-01",
        "0000-01-01",
        "10000-01-01",
        "-001-01-01",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2024-01-01T12:00:00." + "0" * 100 + "Z",
        "\ud800024-01-01",
    ],
)
def test_what_is_no_instant(text: str) -> None:
    assert parse_instant(text) is None
    assert parse_instants([text]) is None


def as_us(value: datetime) -> int:
    return (value - EPOCH) // timedelta(microseconds=1)


moments = st.datetimes(
    min_value=datetime(1, 1, 2),
    max_value=datetime(9999, 12, 30),
    timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@settings(max_examples=examples(300), deadline=None)
@given(moments)
def test_every_iso_text_of_the_library_reads_as_its_instant(moment: datetime) -> None:
    assert parse_instant(moment.isoformat()) == as_us(moment)
    assert parse_instant(moment.isoformat(" ").replace(".", ",")) == as_us(moment)
    assert parse_instant(moment.strftime("%Y-%m-%dT%H:%M:%S.%f%z").rjust(31, "0")) == as_us(moment)
    assert parse_instant(moment.replace(tzinfo=None).isoformat() + "Z") == as_us(moment.replace(tzinfo=UTC))


@settings(max_examples=examples(300), deadline=None)
@given(st.integers(MIN_INSTANT_US, MAX_INSTANT_US))
def test_what_is_written_reads_back(instant_us: int) -> None:
    text = format_instant(instant_us)
    assert parse_instant(text) == instant_us
    assert len(text) == (27 if instant_us % 1000 else 24)


@settings(max_examples=examples(500), deadline=None)
@given(st.text(alphabet="0123456789-:T.Zz+ ,", max_size=70))
def test_no_text_fails(text: str) -> None:
    instant_us = parse_instant(text)
    assert instant_us is None or MIN_INSTANT_US <= instant_us <= MAX_INSTANT_US


SPELLED = st.one_of(
    st.integers(MIN_INSTANT_US, MAX_INSTANT_US).map(format_instant),
    st.from_regex(
        r"20[0-9]{2}-(W?[01][0-9])-[0-3][0-9][Tt ]2[0-9]:?[0-6][0-9]:?[0-6][0-9]([.,][0-9]*)?[Zz]?",
        fullmatch=True,
    ),
    st.from_regex(r"20[0-9]{6}T?[0-9]{0,6}(\.[0-9]{0,11})?Z?", fullmatch=True),
    st.text("0123456789-:.TZW +", max_size=30),
)


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(SPELLED, min_size=1, max_size=3), st.integers(0, 30), st.sampled_from(list("0Z-:T. 9+\u0661"))
)
def test_many_are_read_as_each_by_itself(texts: list[str], at: int, other: str) -> None:
    texts = [*texts, texts[0][:at] + other + texts[0][at + 1 :]]
    each = [parse_instant(text) for text in texts]
    assert parse_instants(texts) == (None if None in each else each)
    for text, instant in zip(texts, each, strict=True):
        assert parse_instants([text]) == (None if instant is None else [instant])
