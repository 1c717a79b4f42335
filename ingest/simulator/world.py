"""Accounts, links, affiliates and users of the simulated clicks, from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

ACCOUNTS = (  # (name, plan, time zone, domain); the first is the busiest
    ("Hanok Books", "Business", "Asia/Seoul", "https://hanok.example"),
    ("Mumbai Eats", "Premium", "Asia/Kolkata", "https://eat.example"),
    ("Fjord Outdoor", "Business Plus", "Europe/Oslo", "https://fjord.example"),
    ("Prairie News", "Enterprise", "America/Chicago", "https://prairie.example"),
    ("Solo Baker", "Personal", "UTC", "https://bake.example"),
)
PUBLISHERS = (  # (name, time zone)
    ("Deal Digest", "UTC"),
    ("Travel Notes", "America/New_York"),
    ("Gadget Weekly", "Asia/Seoul"),
    ("Cook at Home", "Asia/Kolkata"),
)
ADVERTISERS = ("Alpha Store", "Blue Harbor", "Cedar & Co", "Delta Air Tours", "Echo Sound", "Fern Fashion")
NETWORKS = ("Awin", "Impact", "Rakuten")
GROUPS = ("Newsletter", "Social", "Search ads")
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile "
    "Safari/537.36",
)
BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Twitterbot/1.0",
)
COUNTRIES = ("KR", "IN", "US", "NO", "DE", "GB", "JP")

_LINKS = 200
_USERS = 5000
_LETTERS = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True, slots=True)
class Link:
    """A short link, its group, and its placement if it has one."""

    account_id: int
    domain: str
    link_id: str
    grp_idx: int
    placement: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class User:
    """A user: half of them have a visitor id, the others only address and user agent."""

    visitor_id: str | None
    ip: str
    user_agent: str
    country: str


class World:
    """Links by rank, with Zipf weights, and users; the same for equal seeds."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        self.links = [_link(draw, rank) for rank in range(_LINKS)]
        self.cumulative_weights = list(accumulate(1 / (rank + 1) for rank in range(_LINKS)))
        self.users = [_user(draw, number) for number in range(_USERS)]


def _link(draw: random.Random, rank: int) -> Link:
    account = rank % len(ACCOUNTS)
    return Link(
        account_id=account + 1,
        domain=ACCOUNTS[account][3],
        link_id="".join(draw.choices(_LETTERS, k=6)),
        grp_idx=draw.randrange(len(GROUPS) + 1),
        placement=_placement(draw) if draw.random() < 0.7 else None,
    )


def _placement(draw: random.Random) -> tuple[int, int, int]:
    publisher, advertiser, network = (draw.randrange(len(some)) + 1 for some in (PUBLISHERS, ADVERTISERS, NETWORKS))
    return publisher, advertiser, network


def _user(draw: random.Random, number: int) -> User:
    return User(
        visitor_id=f"visitor-{draw.getrandbits(48):012x}" if number % 2 else None,
        ip=f"198.18.{number // 256}.{number % 256}",  # a reserved range (RFC 2544)
        user_agent=draw.choice(BROWSERS),
        country=draw.choice(COUNTRIES),
    )


def demo_catalog(seed: int) -> dict[str, list[dict[str, Any]]]:
    """Names of everything in the simulated clicks of that seed, as the body of `PUT /admin/catalog`."""
    links = [
        {"account_id": link.account_id, "domain": link.domain, "link_id": link.link_id, "grp_idx": link.grp_idx}
        for link in World(seed).links
    ]
    return {
        "accounts": [
            {"account_id": number, "name": name, "plan": plan, "time_zone": zone}
            for number, (name, plan, zone, _) in enumerate(ACCOUNTS, 1)
        ],
        "links": links,
        "groups": [
            {"account_id": account, "grp_idx": number, "name": name}
            for account in range(1, len(ACCOUNTS) + 1)
            for number, name in enumerate(GROUPS, 1)
        ],
        "publishers": [
            {"publisher_id": number, "name": name, "time_zone": zone}
            for number, (name, zone) in enumerate(PUBLISHERS, 1)
        ],
        "advertisers": [
            {"advertiser_id": number, "name": name, "slug": _slug(name)} for number, name in enumerate(ADVERTISERS, 1)
        ],
        "networks": [{"network_id": number, "name": name} for number, name in enumerate(NETWORKS, 1)],
    }


def _slug(name: str) -> str:
    return "-".join(name.lower().replace("&", "and").split())
