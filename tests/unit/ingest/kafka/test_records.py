"""Records of the clicks topic: keys, bytes and sizes, without addresses."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from ingest.event import Click, Fault, decode_one, decode_record, partition_key
from ingest.event.addresses import AddressHasher
from ingest.event.validation import validate_size
from ingest.kafka.partitioner import murmur2, partition_for_key
from ingest.kafka.producer_connection import partitioner
from ingest.kafka.records import MAX_VALUE_BYTES, RecordPacker
from ingest.settings import Settings

ADDRESS = "192.0.2.1"
SECRET, OTHER = "secret of the tests", "another secret of the tests"


def click(**fields: Any) -> Click:
    return Click(1_767_225_600_000, account_id=1, domain="vvd.bz", link_id="a", **fields)


def packed(subject: Click, **settings: Any) -> tuple[bytes, Click]:
    key, value = RecordPacker(Settings(**settings)).pack(subject)
    made = decode_one(value)
    assert isinstance(made, Click)
    return key, made


@given(st.binary(min_size=1, max_size=70))
def test_the_partition_is_that_of_kafkas_own_clients(key: bytes) -> None:
    assert murmur2(key) == reference(key)
    for count in (1, 3, 12, 4096):
        assert partition_for_key(key, count) == DefaultPartitioner()(key, range(count), range(count))


def test_a_record_without_a_key_goes_to_any_partition() -> None:
    assert {partitioner(None, [0, 1, 2, 3], [1, 2]) for _ in range(100)} == {1, 2}
    assert {partitioner(None, [0, 1, 2], []) for _ in range(100)} == {0, 1, 2}


def test_addresses_do_not_reach_kafka() -> None:
    subject = click(ip=ADDRESS, user_agent="Mozilla", event_id="e")
    key, value = RecordPacker(Settings(visitor_secret=SECRET)).pack(subject)
    assert ADDRESS.encode() not in value
    assert subject.ip == ADDRESS, "the caller's click stays as it is"
    _, made = packed(subject, visitor_secret=SECRET)
    assert made.ip == AddressHasher(SECRET).hash_address(ADDRESS)
    for settings in ({"visitor_secret": SECRET, "keep_addresses": True}, {}):
        assert packed(subject, **settings)[1].ip == ADDRESS
    assert len({key, packed(subject)[0], packed(made)[0], packed(made, visitor_secret=OTHER)[0]}) == 1


@given(
    st.builds(
        click, ip=st.none() | st.text(), user_agent=st.none() | st.text(), visitor_id=st.none() | st.text(max_size=128)
    )
)
def test_a_retry_finds_its_partition_whatever_the_secret_is_and_whoever_sends_it(subject: Click) -> None:
    first, made = packed(subject, visitor_secret=SECRET)
    assert first == partition_key(subject) == packed(made, visitor_secret=OTHER)[0] == packed(subject)[0]
    again = Click(5, account_id=1, domain="VVD.bz/", link_id="a", event_id="x", referrer="r")
    again.visitor_id, again.ip, again.user_agent = subject.visitor_id, subject.ip, subject.user_agent
    assert partition_key(again) == first


def test_the_key_says_one_of_16_groups_of_an_address_and_no_more() -> None:
    keys = {partition_key(click(ip=f"198.51.{n // 256}.{n % 256}", user_agent="a")) for n in range(2000)}
    assert len(keys) == 16


def test_the_key_of_a_visitor_is_one_that_any_language_can_make() -> None:
    for subject, of in ((click(visitor_id="Zoë", ip=ADDRESS), "Zoë"), (click(), "1 a"), (click(user_agent="b"), "-b")):
        assert partition_key(subject) == f"{zlib.crc32(of.encode()):08x}".encode()
    group = f"{zlib.crc32(ADDRESS.encode()):08x}"[-1]
    assert partition_key(click(ip=ADDRESS, user_agent="b")) == f"{zlib.crc32(f'{group}b'.encode()):08x}".encode()


def test_clicks_of_a_partition_are_cut_where_a_record_is_full() -> None:
    clicks = [click(visitor_id="v", event_id=str(n), referrer="r" * 100_000) for n in range(12)]
    records = RecordPacker(Settings()).pack_many(clicks, 3)
    assert [len(record.values) for record in records] == [5, 5, 2]
    assert all(len(record.value) <= MAX_VALUE_BYTES for record in records)
    found = [item.event_id for record in records for item in decode_record(record.value) if isinstance(item, Click)]
    assert found == [str(n) for n in range(12)]
    [full] = RecordPacker(Settings()).pack_many([click(referrer="r" * (MAX_VALUE_BYTES - 500))], 3)
    assert len(full.value) <= MAX_VALUE_BYTES


def test_a_click_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 524288"):
        RecordPacker(Settings()).pack(click(referrer="\0" * 100_000))


@pytest.mark.parametrize("name", ["ip", "user_agent", "referrer", "country", "method", "purpose"])
def test_the_size_of_an_event_is_that_of_its_json(name: str) -> None:
    assert validate_size(click(**{name: "x" * 200_000})) is None
    assert validate_size(click(**{name: "\0" * 40_000})) is None
    for text in ("x" * 262_144, "\0" * 44_000, "漢" * 90_000):
        problem = validate_size(click(**{name: text}))
        assert problem is not None
        assert problem[0] is Fault.TOO_LARGE
    assert len(msgspec.json.encode(click(**{name: "\0" * 40_000}))) < 262_144
