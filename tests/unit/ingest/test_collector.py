"""From request body to events: how it is split, and which items are rejected."""

from __future__ import annotations

import json

import pytest

from ingest.collector import parse_body, split_items

NOW = 1_767_225_600_000
GOOD = {"clicked_at": NOW, "account_id": 1, "domain": "vvd.bz", "link_id": "a"}
A, B = json.dumps(GOOD).encode(), json.dumps(GOOD | {"link_id": "b"}).encode()
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("body", "items"),
    [
        (A, [A]),
        (b"[" + A + b", " + B + b"]", [A, B]),
        (A + b"\n" + B + b"\n", [A, B]),
        (A + b"\r\n\r\n" + B, [A, B]),
        (json.dumps(GOOD, indent=1).encode(), [json.dumps(GOOD, indent=1).encode()]),
        (b'{"x":\n{"y": 1}}', [b'{"x":\n{"y": 1}}']),
        (A + b"\n{broken\n" + B, [A, b"{broken", B]),
        (b"[" + A + b", {]", [b"[" + A + b", {]"]),
        (b"[]", [b"[]"]),
        (b"", [b""]),
        (b"\xff", [b"\xff"]),
        (b"[" * 100_000, [b"[" * 100_000]),
    ],
)
def test_a_body_is_taken_apart(body: bytes, items: list[bytes]) -> None:
    assert split_items(body, "application/json") == items


def test_ndjson_is_a_line_each_whatever_is_in_them() -> None:
    body = A + b"\n[1]\n\nnonsense"
    assert split_items(body, "application/x-ndjson; charset=utf-8") == [A, b"[1]", b"nonsense"]
    assert split_items(A, "application/x-ndjson") == [A]


def test_refused_items_are_named_by_their_index() -> None:
    late = json.dumps(GOOD | {"clicked_at": NOW + HOUR + 1}).encode()
    in_time = json.dumps(GOOD | {"clicked_at": NOW + HOUR}).encode()
    items = [b"3", A, late, in_time, b'{"clicked_at": 1}']
    clicks, rejected = parse_body(b"[" + b",".join(items) + b"]", "application/json", NOW + HOUR)
    assert [click.clicked_at for click in clicks] == [NOW, NOW + HOUR]
    assert [(one["index"], one["reason"], one["error"]) for one in rejected] == [
        (0, "invalid", "not_an_event"),
        (2, "future", "future"),
        (4, "invalid", "subject_missing"),
    ]
    assert all(one["message"] for one in rejected)


@pytest.mark.parametrize("body", [A, b"[" + A + b"," + B + b"]", A + b"\n" + B])
def test_a_body_without_a_fault_is_taken_whole(body: bytes) -> None:
    clicks, rejected = parse_body(body, "application/json", NOW)
    assert [click.link_id for click in clicks] == ["a", "b"][: len(clicks)]
    assert len(clicks) == body.count(b"clicked_at")
    assert clicks[0].domain == "https://vvd.bz"
    assert rejected == []


def test_an_array_in_a_line_of_ndjson_is_no_event() -> None:
    clicks, [rejected] = parse_body(b"[" + A + b"]\n" + B, "application/x-ndjson", NOW)
    assert (len(clicks), rejected["index"], rejected["error"]) == (1, 0, "not_an_event")
