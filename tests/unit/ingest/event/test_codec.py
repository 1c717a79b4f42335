"""The event contract: every fault by name, both sides of each limit, and no value raises."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.event import (
    MAX_EVENT_ID,
    MAX_ID,
    MAX_LINK_ID,
    MAX_VISITOR_ID,
    Click,
    Fault,
    Rejected,
    clicked_at_ms,
    decode_one,
    decode_record,
    encode,
    ensure_event_id,
    normal_domain,
    partition_key,
    user_identity,
)
from ingest.event.validation import LATEST_MS, MAX_DOMAIN

LINK: dict[str, Any] = {"account_id": 1, "domain": "vvd.bz", "link_id": "a"}
AFFILIATE: dict[str, Any] = {"publisher_id": 1, "advertiser_id": 2, "network_id": 3}
GOOD: dict[str, Any] = {"clicked_at": 1_767_225_600_000, **LINK}


def fault_of(value: Any) -> Fault | None:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    outcome = decode_one(raw)
    assert decode_record(raw)[0] == outcome
    return outcome.fault if isinstance(outcome, Rejected) else None


def without(*names: str, **fields: Any) -> dict[str, Any]:
    return {name: value for name, value in (GOOD | fields).items() if name not in names}


FAULTS: dict[Fault, list[Any]] = {
    Fault.EMPTY: [b"", b" \n"],
    Fault.NOT_UTF8: [b'{"clicked_at": 1, "link_id": "\xff"}', b"\xff"],
    Fault.NOT_JSON: [b"{", b"[", b"nonsense", b'{"clicked_at": "x"', b"{}{}", b"\xef\xbb\xbf{}", b'{"x": "\\ud800"}'],
    Fault.TOO_DEEP: [b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"[" * 100_000],
    Fault.NOT_AN_EVENT: [3, "text", None, True],
    Fault.WRONG_TYPE: [without(account_id="1"), without(link_id=1), without(country=[]), without(account_id=1.5)],
    Fault.TIME_MISSING: [without("clicked_at"), {}],
    Fault.TIME_INVALID: [
        *(without(clicked_at=at) for at in ("yesterday", None, True, 1.5, "2026-01-01T00:00:00", -1, LATEST_MS + 1)),
        without(clicked_at="1969-12-31T23:59:59Z"),
        without(clicked_at="2026-13-01T00:00:00Z"),
        without(clicked_at=10**30),
    ],
    Fault.SUBJECT_MISSING: [{"clicked_at": 1}, without(*LINK, visitor_id="v")],
    Fault.LINK_INCOMPLETE: [*(without(name) for name in LINK), without(link_id=""), without("domain", **AFFILIATE)],
    Fault.AFFILIATE_INCOMPLETE: [without(publisher_id=1), without(publisher_id=1, advertiser_id=1)],
    Fault.ID_OUT_OF_RANGE: [
        without(account_id=0),
        without(account_id=-1),
        without(account_id=MAX_ID + 1),
        without(**AFFILIATE | {"network_id": 0}),
    ],
    Fault.DOMAIN_INVALID: [without(domain=text) for text in ("/", "two words", "https://", "a\u0000b", "http://[")],
    Fault.TEXT_TOO_LONG: [
        without(event_id="e" * (MAX_EVENT_ID + 1)),
        without(visitor_id="v" * (MAX_VISITOR_ID + 1)),
        without(link_id="l" * (MAX_LINK_ID + 1)),
        without(domain="d" * (MAX_DOMAIN + 1)),
        without(domain="d" * (MAX_DOMAIN + 1 - len("https://"))),
        without(domain="İ" * 200),  # 400 characters in lower case
    ],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_has_a_name(fault: Fault) -> None:
    for value in FAULTS[fault]:
        assert fault_of(value) == fault, value


def test_every_fault_is_tested() -> None:
    elsewhere = {Fault.TOMBSTONE, Fault.TOO_LARGE, Fault.UNDECODABLE}  # no value; a line of a file; ours
    assert set(FAULTS) | elsewhere == set(Fault)
    [tombstone] = decode_record(None)
    assert isinstance(tombstone, Rejected)
    assert tombstone.fault == Fault.TOMBSTONE


@pytest.mark.parametrize(
    "fields",
    [
        {"event_id": "e" * MAX_EVENT_ID},
        {"visitor_id": "v" * MAX_VISITOR_ID},
        {"link_id": "l" * MAX_LINK_ID},
        {"domain": "d" * (MAX_DOMAIN - len("https://"))},
        {"domain": "https://" + "d" * (MAX_DOMAIN - len("https://"))},
        {"account_id": MAX_ID},
        {"clicked_at": 0},
        {"clicked_at": LATEST_MS},
        {"clicked_at": "2026-01-01T00:00:00+05:30"},
        {"clicked_at": "9999-12-31T23:59:59Z"},
        {"unknown": {"deep": [1, 2]}},
        AFFILIATE,
    ],
)
def test_the_limits_themselves_are_allowed(fields: dict[str, Any]) -> None:
    assert fault_of(without(**fields)) is None


def test_an_affiliate_click_needs_no_link() -> None:
    assert fault_of({"clicked_at": 1, **AFFILIATE}) is None


def test_both_forms_of_time_are_the_same_moment() -> None:
    texts = ["2026-01-01T00:00:00Z", "2026-01-01T05:30:00+05:30", "2026-01-01t00:00:00.000z"]
    for text in texts:
        click = decode_one(json.dumps(without(clicked_at=text)).encode())
        assert isinstance(click, Click)
        assert clicked_at_ms(click) == 1_767_225_600_000
    assert clicked_at_ms(Click(datetime(2026, 1, 1, microsecond=999_600, tzinfo=UTC))) == 1_767_225_601_000


def test_the_bad_items_of_an_array_are_told_apart() -> None:
    items = [GOOD, {"clicked_at": 1}, GOOD, 3, {"clicked_at": True}]
    outcomes = decode_record(json.dumps(items).encode())
    found = [(o.index, o.fault, o.raw) if isinstance(o, Rejected) else None for o in outcomes]
    assert found == [
        None,
        (1, Fault.SUBJECT_MISSING, b'{"clicked_at": 1}'),
        None,
        (3, Fault.NOT_AN_EVENT, b"3"),
        (4, Fault.TIME_INVALID, b'{"clicked_at": true}'),
    ]


def test_a_record_always_gives_something() -> None:
    for value in (b"[]", b"", b"{}", None):
        assert len(decode_record(value)) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*GOOD, *AFFILIATE, "x"]), inner),
    max_leaves=12,
)
clicks = st.builds(
    Click,
    clicked_at=st.integers(0, LATEST_MS),
    event_id=st.none() | st.text(max_size=MAX_EVENT_ID),
    account_id=st.integers(1, MAX_ID),
    domain=st.just("https://vvd.bz"),
    link_id=st.text(min_size=1, max_size=20),
    visitor_id=st.none() | st.text(max_size=20),
    ip=st.none() | st.text(max_size=20),
    user_agent=st.none() | st.text(max_size=20),
    country=st.none() | st.text(max_size=4),
)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_value_is_clicks_or_rejected(value: bytes) -> None:
    outcomes = [*decode_record(value), decode_one(value)]
    for outcome in outcomes:
        if isinstance(outcome, Click):
            assert clicked_at_ms(outcome) >= 0
            assert partition_key(outcome)
        else:
            assert outcome.message


@given(clicks)
def test_what_is_encoded_decodes_to_the_same(click: Click) -> None:
    assert decode_record(encode(click)) == [click]


@given(
    st.text()
    | st.text("İßΣDd.:/ ", max_size=MAX_DOMAIN + 5)
    | st.from_regex(r"(https?://)?[A-Za-z0-9.-]{1,20}(:\d{1,4})?/{0,3}", fullmatch=True)
)
def test_a_normal_domain_stays_as_it_is(text: str) -> None:
    domain = normal_domain(text)
    assert domain is None or normal_domain(domain) == domain


def test_ways_to_write_a_domain() -> None:
    for text in ("vvd.bz", "VVD.bz/", " https://vvd.bz ", "https://vvd.bz//"):
        assert normal_domain(text) == "https://vvd.bz"
    assert normal_domain("http://vvd.bz") == "http://vvd.bz"


@given(clicks)
def test_a_retry_and_a_repeat_go_to_the_same_partition(click: Click) -> None:
    key = partition_key(click)
    retry = decode_one(encode(ensure_event_id(click)))
    assert isinstance(retry, Click)
    assert partition_key(retry) == key
    if user_identity(click):
        retry.clicked_at, retry.event_id, retry.referrer = 5, "another", "elsewhere"
        assert partition_key(retry) == key


def test_who_the_user_is() -> None:
    assert user_identity(Click(1)) is None
    assert user_identity(Click(1, visitor_id="v", ip="::1")) == user_identity(Click(1, visitor_id="v"))
    assert user_identity(Click(1, ip="::1")) != user_identity(Click(1, user_agent="::1"))
    assert len({partition_key(Click(1, **LINK)), partition_key(Click(1, **AFFILIATE))}) == 2


def test_a_stamp_is_a_fresh_uuid_and_keeps_what_there_is() -> None:
    first, second = ensure_event_id(Click(1)), ensure_event_id(Click(1))
    assert first.event_id != second.event_id
    assert first.event_id is not None
    assert first.event_id[14] == "7"
    assert first.id_assigned
    mine, empty = ensure_event_id(Click(1, event_id="mine")), ensure_event_id(Click(1, event_id=""))
    assert (mine.event_id, mine.id_assigned) == ("mine", False)
    assert (len(empty.event_id or ""), empty.id_assigned) == (36, True)
    assert b"id_assigned" not in encode(mine)
    assert b'"id_assigned":true' in encode(empty)
