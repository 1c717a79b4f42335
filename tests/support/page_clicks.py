"""Clicks for tests of the pages, and what they must show: counted from the events alone, without the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.stack import Stack

ACCOUNT, PUBLISHER, GROUP = 7, 45, 151
ACCOUNT_ZONE, PUBLISHER_ZONE = "Europe/Berlin", "Asia/Seoul"
DOMAIN = "https://vvd.bz"
SPRING, AUTUMN = date(2025, 3, 30), date(2025, 10, 26)  # the clock of the account is set on these days
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
_LINKS = ["alpha", "beta", "gamma", "delta", "epsilon"]  # the first two are in the group
_DAYS, _STEP_SECONDS = 70, 3571
_CATALOG = {
    "accounts": [{"account_id": ACCOUNT, "name": "Reader", "plan": "Business", "time_zone": ACCOUNT_ZONE}],
    "links": [{"account_id": ACCOUNT, "domain": DOMAIN, "link_id": link, "grp_idx": GROUP} for link in _LINKS[:2]],
    "groups": [{"account_id": ACCOUNT, "grp_idx": GROUP, "name": "Newsletter"}],
    "publishers": [{"publisher_id": PUBLISHER, "name": "Example Publisher", "time_zone": PUBLISHER_ZONE}],
    "advertisers": [{"advertiser_id": n, "name": f"Shop {n}", "slug": f"shop-{n}"} for n in range(1, 9)],
    "networks": [{"network_id": n, "name": f"Net {n}"} for n in (1, 2)],
}

Wanted = Callable[[dict[str, Any]], bool]


@dataclass
class PageClicks:
    """The events that were sent, each of a visitor of its own, so that each counts."""

    stack: Stack
    events: list[dict[str, Any]] = field(default_factory=list)

    def send(self, events: list[dict[str, Any]]) -> None:
        for at in range(0, len(events), 500):
            assert self.stack.send(events[at : at + 500]).is_success
        self.events += events

    def count(
        self, zone: str, first: date, last: date, wanted: Wanted = lambda event: True, *, bots: bool = False
    ) -> int:
        """Events of the local days from `first` to `last`, of people or of bots."""
        clock = ZoneInfo(zone)
        return sum(
            first <= datetime.fromtimestamp(event["clicked_at"] / 1000, clock).date() <= last
            for event in self.events
            if wanted(event) and (event["user_agent"] == BOT) is bots
        )


def today(zone: str) -> date:
    return datetime.now(ZoneInfo(zone)).date()


def click(number: int, at: datetime, *, bot: bool = False) -> dict[str, Any]:
    return {
        "clicked_at": int(at.timestamp() * 1000),
        "event_id": f"page-{number}",
        "visitor_id": f"reader-{number}",
        "user_agent": BOT if bot else "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
        "account_id": ACCOUNT,
        "domain": DOMAIN,
        "link_id": _LINKS[number % len(_LINKS)],
        "publisher_id": PUBLISHER,
        "advertiser_id": 1 + number % 8,
        "network_id": 1 + number % 2,
    }


def send_page_clicks(stack: Stack) -> PageClicks:
    """Sends the catalogue and the clicks, and returns once they are counted."""
    clicks = PageClicks(stack)
    stack.admin("PUT", "/admin/catalog", _CATALOG)
    clicks.send([click(number, at, bot=bot) for number, (at, bot) in enumerate(_times())])
    stack.wait_counted()
    return clicks


def _times() -> Iterator[tuple[datetime, bool]]:
    """When people and bots click: less towards the past, once in every hour of the days on which the clock is set."""
    now = datetime.now(UTC) - timedelta(seconds=30)
    for step in range(_DAYS * 86_400 // _STEP_SECONDS):
        for copy in range(1 + (step % 7 == 0) + (step < 500)):
            yield now - timedelta(seconds=step * _STEP_SECONDS + copy), step % 10 == 3
    for day, hours in ((SPRING, 23), (AUTUMN, 25)):
        start = datetime(day.year, day.month, day.day, 0, 30, tzinfo=ZoneInfo(ACCOUNT_ZONE)).astimezone(UTC)
        yield from ((start + timedelta(hours=hour), False) for hour in range(hours))
