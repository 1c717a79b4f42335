"""`clickmill audit` and `clickmill dlq` as operators run them, against a running pipeline."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.settings import Settings
from ingest.kafka.reader import fetched_bounds
from tests.integration.test_bad_input import produce
from tests.support.stack import Stack

NOON = int(datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0).timestamp() - 86_400) * 1000
DAY = datetime.fromtimestamp(NOON / 1000, UTC).date().isoformat()


def event(number: int, **fields: Any) -> dict[str, Any]:
    link = {"account_id": 401, "domain": "go.example", "link_id": "a"}
    return {"clicked_at": NOON + number * 1000, "event_id": f"e{number}", "visitor_id": f"v{number}", **link} | fields


def test_the_audit_accounts_for_everything_and_counts_days_again(stack: Stack) -> None:
    events = [event(number) for number in range(40)]
    events += [event(0), event(1, event_id="repeat"), event(90, user_agent="Googlebot/2.1"), event(91, method="HEAD")]
    events += [event(92, publisher_id=1, advertiser_id=2, network_id=3)]
    stack.send(events).raise_for_status()
    asyncio.run(produce(stack, [b"{", json.dumps([event(93), {}]).encode()]))
    stack.wait_counted()
    done = stack.run("audit", "--from", DAY, "--to", DAY)
    assert f"{DAY}: 42 clicks on links, 42 in the log" in done.stdout
    assert f"{DAY}: 1 clicks on placements, 1 in the log" in done.stdout
    assert "Everything adds up." in done.stdout
    total = next(line.split() for line in done.stdout.splitlines() if line.split()[0] == "all")
    # read, counted, bot, prefetch, duplicate, repeat, invalid, future, gaps, unverified
    assert total[1:] == ["48", "42", "1", "1", "1", "1", "2", "0", "0", "42"]


def test_the_lag_is_what_the_workers_have_not_counted(stack: Stack) -> None:
    stack.send([event(number, event_id=f"lag-{number}") for number in range(7)]).raise_for_status()
    stack.wait_counted()
    found = stack.admin("GET", "/admin/lag", None)
    ends = asyncio.run(fetched_bounds(Settings(kafka_url=stack.kafka), found["topic"]))
    assert {row["partition"]: row["end"] for row in found["partitions"]} == {p: end for p, (_, end, _) in ends.items()}
    assert sum(row["end"] - row["first"] for row in found["partitions"]) >= 1
    assert all(row["next"] + row["lag"] == row["end"] for row in found["partitions"])
    assert found["lag"] == 0


def test_the_audit_wants_two_days_in_order(stack: Stack) -> None:
    assert stack.run("audit", "--from", DAY, check=False).returncode == 2
    assert stack.run("audit", "--from", DAY, "--to", "2020-01-01", check=False).returncode == 1


def test_dead_letters_are_listed_corrected_and_replayed_once(stack: Stack, tmp_path: Path) -> None:
    account = {"account_id": 402, "domain": "go.example", "link_id": "a"}
    stack.admin("PUT", "/admin/catalog", {"accounts": [{"account_id": 402, "plan": "Business"}]})
    wrong = {**account, "clicked_at": "yesterday at noon"}
    soon = {**account, "clicked_at": int(time.time() * 1000) + 3_700_000, "ip": "203.0.113.9"}
    asyncio.run(produce(stack, [json.dumps(wrong).encode(), json.dumps(soon).encode()]))
    stack.wait_counted()
    letters = [json.loads(line) for line in stack.run("dlq", "list", "--json").stdout.splitlines()]
    [letter] = [letter for letter in letters if "yesterday" in (letter["raw"] or "")]
    assert (letter["reason"], letter["error"]) == ("invalid", "time_invalid")
    [early] = [letter for letter in letters if letter["reason"] == "future"]
    assert json.loads(early["raw"])["ip"].startswith("h:")
    listed = stack.admin("GET", "/admin/dead-letters", None)
    [view] = [view for view in listed["data"] if view["id"] == letter["id"]]
    assert (view["raw"], view["size"]) == (letter["raw"], len(json.dumps(wrong)))
    assert (len(listed["data"]), listed["complete"]) == (len(letters), True)
    assert sum(sum(errors.values()) for errors in listed["by_error"].values()) == len(letters)
    table = stack.run("dlq", "list", "--reason", "future").stdout
    assert early["id"] in table
    assert letter["id"] not in table

    corrected = tmp_path / "corrected.ndjson"
    corrected.write_text(json.dumps({"id": letter["id"], "event": {**account, "clicked_at": NOON}}) + "\n")
    for said in ("1 replayed", "0 replayed"):
        done = stack.run("dlq", "replay", "--corrected", str(corrected), check=False)
        assert said in done.stdout
        assert "still from the future" in done.stdout
    stack.wait_counted()
    assert stack.hours(stack.key("account", account_id=402), DAY) == [(12, 1, 0)]
    assert letter["id"] not in stack.run("dlq", "list").stdout
    assert letter["id"] not in str(stack.admin("GET", "/admin/dead-letters", None))
    assert "Everything adds up." in stack.run("audit").stdout
