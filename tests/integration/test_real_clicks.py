"""Real click logs in, and every number out, compared with a count of the files."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import pytest

from tests.integration.conftest import started
from tests.support import bot_oracle
from tests.support.stack import Stack

DATA = Path(__file__).parents[3] / "shared" / "data"
FEEDS = [DATA / "usagov-2012-03-16.jsonl", *sorted(DATA.glob("usagov-2011-12-31-*.jsonl.gz"))]
ACCESS_LOG = DATA / "apache-access-2015-05.log"

needs_data = pytest.mark.skipif(not ACCESS_LOG.exists(), reason="the real click logs are not beside this checkout")

Hours = dict[tuple[Any, ...], tuple[int, int]]


def is_bot(user_agent: str) -> bool:
    return bot_oracle.kind(user_agent) is not None


def numeric_id(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=6).digest())


def feed_clicks() -> Iterator[dict[str, Any]]:
    for path in FEEDS:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            yield from (click for click in map(json.loads, lines) if "_heartbeat_" not in click)


class Oracle:
    """The expected numbers, counted from the lines of the feeds as docs/importers.md says."""

    def __init__(self, zone: str) -> None:
        self.days: Counter[tuple[str, int, int, int]] = Counter()
        self.accounts: set[int] = set()
        clicks: Counter[tuple[Any, ...]] = Counter()
        users: defaultdict[tuple[Any, ...], set[tuple[Any, ...]]] = defaultdict(set)
        slots: set[tuple[Any, ...]] = set()
        for line in feed_clicks():
            account, local = numeric_id(line["l"]), datetime.fromtimestamp(line["t"], ZoneInfo(zone))
            self.accounts.add(account)
            if is_bot(line["a"]):
                continue
            user = tuple(line.get(field) or "" for field in ("a", "tz", "c", "gr", "cy"))
            if (slot := (user, account, line["hh"], line["h"], line["t"] // 5)) in slots:
                continue  # the same visitor on the same link within five seconds
            slots.add(slot)
            day = local.date().isoformat()
            self.days[day, numeric_id(urlsplit(line["u"]).hostname or ""), account, numeric_id(line["hh"])] += 1
            for scope in ((account,), (account, line["hh"], line["h"])):
                clicks[day, local.hour, *scope] += 1
                users[day, local.hour, *scope].add(user)
        self.hours: Hours = {key: (count, len(users[key])) for key, count in clicks.items()}


def served_hours(stack: Stack, oracle: Oracle) -> Hours:
    """Every hour of every account and link of the oracle, from the hourly statistics."""
    found: Hours = {}
    keys = {account: stack.key("account", account_id=account) for account in oracle.accounts}
    for day, account, *link in {(day, *scope) for day, _, *scope in oracle.hours}:
        query = {"domain": f"https://{link[0]}", "linkId": link[1]} if link else {}
        for hour, clicks, users in stack.hours(keys[account], day, **query):
            found[day, hour, account, *link] = clicks, users
    return found


def served_days(stack: Stack) -> Counter[tuple[str, int, int, int]]:
    rows = stack.clicks("2011-12-30", "2012-03-18")
    return Counter(
        {
            (row["click_date"], row["advertiser_id"], row["publisher_id"], row["network_id"]): row["click_count"]
            for row in rows
        }
    )


@needs_data
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
@pytest.mark.parametrize("kind", ["embedded", "kafka"])
def test_every_daily_and_hourly_number_of_the_bitly_feeds(kind: str, zone: str, tmp_path: Path) -> None:
    oracle = Oracle(zone)
    assert sum(clicks for key, (clicks, _) in oracle.hours.items() if len(key) == 3) > 6900
    with started(kind, tmp_path) as stack:
        catalog = {
            "accounts": [{"account_id": n, "plan": "Business", "time_zone": zone} for n in oracle.accounts],
            "publishers": [{"publisher_id": n, "name": f"p{n}", "time_zone": zone} for n in oracle.accounts],
        }
        stack.admin("PUT", "/admin/catalog", catalog)
        for path in FEEDS:
            stack.run("import", str(path), "--format", "bitly")
        stack.wait_counted()
        assert served_days(stack) == oracle.days
        assert served_hours(stack, oracle) == oracle.hours
        if zone == "UTC":
            for path in FEEDS:
                stack.run("import", str(path), "--format", "bitly")
            stack.wait_counted()
            assert served_days(stack) == oracle.days, "a second import changes nothing"


@needs_data
def test_the_access_log_counts_people_and_reports_the_malformed_line(tmp_path: Path) -> None:
    clicks: set[tuple[Any, ...]] = set()
    for line in ACCESS_LOG.read_text().splitlines():
        found = re.fullmatch(r'(\S+) .* \[(.*?)\] "(\S+) (\S+) .*" \d+ \S+ "[^"]*" "([^"]*)"', line)
        if found and found[3] != "HEAD" and not is_bot(found[5]):
            at = datetime.strptime(found[2], "%d/%b/%Y:%H:%M:%S %z")
            path = unquote(found[4].partition("?")[0])
            clicks.add((at.date().isoformat(), at.timestamp() // 5, found[1], found[5], path))
    requests = Counter(day for day, *_ in clicks)
    with started("embedded", tmp_path) as stack:
        stack.admin("PUT", "/admin/catalog", {"accounts": [{"account_id": 1, "plan": "Business"}]})
        done = stack.run("import", str(ACCESS_LOG), "--format", "combined", "--domain", "www.example", check=False)
        assert done.returncode == 1
        assert "9,999 clicks accepted" in done.stdout
        assert "1 lines rejected" in done.stdout
        stack.wait_counted()
        key = stack.key("account", account_id=1)
        for day, count in requests.items():
            assert sum(clicks for _, clicks, _ in stack.hours(key, day)) == count, day
    assert len(requests) == 4
