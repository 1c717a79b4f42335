"""Hashes of addresses: equal for equal addresses, and no address is left in the bytes of an event."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.event.addresses import AddressHasher, address_group

ADDRESSES = AddressHasher("secret")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["ip", "iP", 'a"ip', "x"]), inner),
    max_leaves=12,
)


@given(st.text(min_size=1))
def test_a_hash_hangs_on_the_secret_and_stays_as_it_is(address: str) -> None:
    hashed = ADDRESSES.hash_address(address)
    assert hashed == AddressHasher("secret").hash_address(address) == ADDRESSES.hash_address(hashed)
    assert hashed != AddressHasher("another").hash_address(address)
    assert address not in hashed or len(address) < 3
    assert (
        address_group(hashed) == address_group(address) == address_group(AddressHasher("another").hash_address(address))
    )


def test_what_only_looks_like_a_hash_is_hashed() -> None:
    for text in ("h:" + "0" * 31, "h:" + "g" * 32, "h:" + "0" * 33, "h:" + "0" * 32 + "\n", "::1"):
        assert ADDRESSES.hash_address(text) != text
    assert ADDRESSES.hash_address("") == ""


def hidden(value: Any) -> Any:
    """The expected value, from the parsed one."""
    if isinstance(value, dict):
        return {
            name: ADDRESSES.hash_address(inner) if name == "ip" and isinstance(inner, str) else hidden(inner)
            for name, inner in value.items()
        }
    return [hidden(inner) for inner in value] if isinstance(value, list) else value


def without_addresses_that_are_no_text(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: inner for name, inner in value.items() if name not in ("ip", 'a"ip') or isinstance(inner, str)}
        return {name: without_addresses_that_are_no_text(inner) for name, inner in kept.items() if name != 'a"ip'}
    return [without_addresses_that_are_no_text(inner) for inner in value] if isinstance(value, list) else value


@given(values.map(without_addresses_that_are_no_text), st.booleans(), st.sampled_from([None, 1]))
def test_every_address_of_a_json_text_is_hashed_and_nothing_else(value: Any, escaped: bool, indent: int | None) -> None:
    raw = json.dumps(value, ensure_ascii=escaped, indent=indent).encode()
    found = ADDRESSES.hide_addresses(raw)
    assert json.loads(found) == hidden(value)
    assert ADDRESSES.hide_addresses(found) == found


def test_names_and_values_may_be_escaped_given_twice_or_cut_off() -> None:
    address = ADDRESSES.hash_address("192.0.2.7").encode()
    raw = rb'[{"\u0069p" : "192.0\u002e2.7", "ip":"192.0.2.7", "n": 1.50}, {"x":{"ip":"192.0.2.7"}}]'
    assert ADDRESSES.hide_addresses(raw) == (
        rb'[{"\u0069p" : "%b", "ip":"%b", "n": 1.50}, {"x":{"ip":"%b"}}]' % (address, address, address)
    )
    assert b"192.0" not in ADDRESSES.hide_addresses(b'{"clicked_at": 1, "ip": "192.0.2')
    assert b"192.0" not in ADDRESSES.hide_addresses(b'{"ip": "192.0.2.7"}\n{"ip": "192.0.2.7"}')


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (b'{"ip": 3221225991}', b'{"ip": 0}'),
        (b'{"ip": ["192.0.2.7", "::1"]}', b'{"ip": []}'),
        (b'{"ip": {"v4": "192.0.2.7"}}', b'{"ip": {}}'),
        (b'{"ip": null, "link_id": "ip"}', b'{"ip": null, "link_id": "ip"}'),
        (b'{"ip": ""}', b'{"ip": ""}'),
        (b"\xff\x00ip", b"\xff\x00ip"),
        (b"", b""),
    ],
)
def test_an_address_that_is_no_text_is_emptied(raw: bytes, left: bytes) -> None:
    assert ADDRESSES.hide_addresses(raw) == left


def test_they_can_be_kept() -> None:
    raw = b'{"ip": "192.0.2.7"}'
    assert AddressHasher("secret", keep=True).hide_addresses(raw) == raw


@pytest.mark.parametrize(
    "part", [b'"ip":', b'"ip":"', b'"ip":[', b'"ip"   ', b'"', b'\\"', b'"ip":"\\', b'"ip":[1,', b"\\u0069", b'"ip":-']
)
def test_hostile_bytes_take_linear_time_and_space(part: bytes) -> None:
    raw = part * (1_000_000 // len(part))
    started = time.process_time()
    found = ADDRESSES.hide_addresses(raw)
    assert time.process_time() - started < 3
    assert len(found) <= 6 * len(raw)
