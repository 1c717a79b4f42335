"""Events in, numbers out, over every stack, through the public calls."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.support.stack import ADMIN_KEY, Stack

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0).timestamp() - 86_400
TODAY = datetime.fromtimestamp(NOON, UTC).date().isoformat()


def event(account: int, link: str, **fields: Any) -> dict[str, Any]:
    return {
        "clicked_at": int(NOON * 1000),
        "account_id": account,
        "domain": "go.example",
        "link_id": link,
    } | fields


def subscribe(stack: Stack, account: int, plan: str = "Business", zone: str = "UTC") -> str:
    stack.admin("PUT", "/admin/catalog", {"accounts": [{"account_id": account, "plan": plan, "time_zone": zone}]})
    return stack.key("account", account_id=account)


def test_clicks_and_users_of_a_link_by_hour(stack: Stack) -> None:
    key = subscribe(stack, 101)
    events = [
        event(101, "a", visitor_id=f"v{n % 3}", event_id=f"101-{n}", clicked_at=int((NOON + 5 * n) * 1000))
        for n in range(10)
    ]
    answer = stack.send(events, stack.key("ingest"))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 10, "rejected": []})
    stack.wait_counted()
    assert stack.hours(key, TODAY, linkId="a", domain="https://go.example") == [(12, 10, 3)]
    assert stack.hours(key, TODAY) == [(12, 10, 3)]


def test_clicks_by_day_for_an_admin_and_a_publisher(stack: Stack) -> None:
    affiliate = {"publisher_id": 201, "advertiser_id": 7, "network_id": 9}
    stack.admin("PUT", "/admin/catalog", {"publishers": [{"publisher_id": 201, "name": "P"}]})
    stack.send([{"clicked_at": int(NOON * 1000), **affiliate} for _ in range(5)]).raise_for_status()
    stack.wait_counted()
    for key in (ADMIN_KEY, stack.key("publisher", publisher_id=201)):
        rows = stack.clicks(TODAY, TODAY, key, publisher_id=201)
        assert [(row["publisher_name"], row["advertiser_id"], row["click_count"]) for row in rows] == [("P", 7, 5)]


def test_a_retried_event_counts_once(stack: Stack) -> None:
    key = subscribe(stack, 102)
    for _ in range(3):
        stack.send([event(102, "a", event_id="102-same", visitor_id="v")]).raise_for_status()
    stack.wait_counted()
    assert stack.hours(key, TODAY) == [(12, 1, 1)]


def test_a_visitor_on_the_same_link_within_five_seconds_counts_once(stack: Stack) -> None:
    key = subscribe(stack, 109)
    for link, seconds in (("a", 0), ("a", 1.5), ("a", 4.999), ("a", 5), ("b", 0)):
        stack.send([event(109, link, visitor_id="v", clicked_at=int((NOON + seconds) * 1000))]).raise_for_status()
    stack.wait_counted()
    assert stack.hours(key, TODAY) == [(12, 3, 1)]


def test_bots_and_prefetches_are_not_clicks(stack: Stack) -> None:
    key = subscribe(stack, 103)
    stack.send(
        [
            event(
                103,
                "a",
                user_agent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            ),
            event(103, "a", purpose="prefetch"),
            event(103, "a", method="HEAD"),
            event(
                103,
                "a",
                user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
                ip="::1",
            ),
        ]
    ).raise_for_status()
    stack.wait_counted()
    assert stack.hours(key, TODAY) == [(12, 1, 1)]


def test_hours_are_those_of_the_account(stack: Stack) -> None:
    key = subscribe(stack, 104, zone="Asia/Kolkata")
    stack.send([event(104, "a")]).raise_for_status()
    stack.wait_counted()
    assert stack.hours(key, TODAY) == [(17, 1, 0)]


def test_the_good_events_of_a_request_are_counted_beside_bad_ones(stack: Stack) -> None:
    key = subscribe(stack, 105)
    answer = stack.send([event(105, "a"), {"link_id": "a"}, event(105, "a", clicked_at="2099-01-01T00:00:00Z")])
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    assert [(bad["index"], bad["reason"], bad["error"]) for bad in answer.json()["rejected"]] == [
        (1, "invalid", "time_missing"),
        (2, "future", "future"),
    ]
    stack.wait_counted()
    assert stack.hours(key, TODAY) == [(12, 1, 0)]


def test_light_load_is_served_within_two_seconds(stack: Stack) -> None:
    key = subscribe(stack, 106)
    waits = []
    for number in range(1, 6):
        started = time.monotonic()
        stack.send([event(106, "a")]).raise_for_status()
        while sum(clicks for _, clicks, _ in stack.hours(key, TODAY)) < number:
            time.sleep(0.02)
        waits.append(time.monotonic() - started)
    assert sorted(waits)[2] < 2.0, waits


def test_keys_of_the_wrong_role_are_refused(stack: Stack) -> None:
    account, ingest = subscribe(stack, 107), stack.key("ingest")
    assert stack.send([event(107, "a")], account).status_code == 403
    assert stack.send([event(107, "a")], "nonsense").status_code == 401
    for key, status in ((account, 403), (ingest, 403), ("nonsense", 401)):
        answer = httpx.get(f"{stack.api}/api/v1/clicks", headers={"X-Api-Key": key})
        assert answer.status_code == status


def test_a_revoked_key_stops_within_thirty_seconds(stack: Stack) -> None:
    made = stack.admin("POST", "/admin/keys", {"role": "ingest"})
    assert stack.send([event(108, "a")], made["key"]).status_code == 202
    stack.run("keys", "revoke", made["id"])
    deadline = time.monotonic() + 30
    while stack.send([event(108, "a")], made["key"]).status_code == 202:
        assert time.monotonic() < deadline
        time.sleep(1)


def test_mcp_answers_what_rest_answers(stack: Stack) -> None:
    key = subscribe(stack, 110)
    stack.send([event(110, "a", event_id="110-1", visitor_id="v")]).raise_for_status()
    stack.wait_counted()
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "get_clicks_by_hour", "arguments": {"ymd": TODAY}},
    }
    answer = stack.http.post(f"{stack.api}/mcp", json=message, headers={"X-Api-Key": key}).json()["result"]
    rows = answer["structuredContent"]["result"]
    assert [(row["hour"], row["acesCnt"], row["pernCnt"]) for row in rows] == stack.hours(key, TODAY) == [(12, 1, 1)]
