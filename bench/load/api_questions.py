"""The queries of the API's benchmark, the same list in the client's and the server's process."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal
from urllib.parse import quote, urlencode

from bench.data.api_data import DAYS, PUBLISHERS, first_day, link_domain, link_id, today
from bench.data.events import ACCOUNTS, LINKS
from bench.load.api_load import Request

_dice = random.Random(1)
LARGEST = 1  # the account and publisher of the most popular link
ACCOUNTS_ASKED = [LARGEST, *_dice.sample(range(2, ACCOUNTS + 1), 50)]
PUBLISHERS_ASKED = [LARGEST, *_dice.sample(range(2, PUBLISHERS + 1), 50)]
EACH = 240


@dataclass(frozen=True, slots=True)
class Question:
    """A listing of a publisher, or the hours of an account or of one of its links."""

    endpoint: Literal["daily", "hourly"]
    owner: int
    first: date
    last: date
    link: int | None = None

    def request(self, port: int, keys: dict[str, list[str]]) -> Request:
        origin = f"http://127.0.0.1:{port}"
        if self.endpoint == "daily":
            key = keys["publisher"][PUBLISHERS_ASKED.index(self.owner)]
            query = urlencode({"start_date": self.first, "end_date": self.last})
            return Request(f"{origin}/api/v1/clicks?{query}", {"X-Api-Key": key})
        key = keys["account"][ACCOUNTS_ASKED.index(self.owner)]
        link = "" if self.link is None else f"&linkId={link_id(self.link)}&domain={quote(link_domain(self.link))}"
        url = f"{origin}/api/statistics/v2/clicks-by-hour?ymd={self.last}{link}"
        return Request(url, {"Authorization": f"APIKey {key}", "User-Agent": "bench"})


def questions() -> list[Question]:
    """`EACH` closed days, then open ones, of each endpoint, all different; the last dozens are of the largest owner."""
    dice = random.Random(2)
    made: dict[Question, None] = {}
    for is_open in (False, True):
        for endpoint in ("daily", "hourly"):
            wanted = len(made) + EACH
            while len(made) < wanted:
                made[_question(dice, endpoint, is_open)] = None
    for days in range(2, 2 + 12):
        day = today() - timedelta(days=days)
        made[Question("hourly", LARGEST, day, day)] = None
    return list(made)


def first_questions() -> list[Question]:
    """One of every owner, on a day of its own: afterwards plans and names are cached, as in a running API."""
    day = first_day()
    accounts = [Question("hourly", owner, day, day) for owner in ACCOUNTS_ASKED]
    return [*accounts, *(Question("daily", owner, day, day) for owner in PUBLISHERS_ASKED)]


def numbers(endpoint: Literal["daily", "hourly", "largest"], *, is_open: bool = False) -> range:
    """Their positions in `questions`."""
    if endpoint == "largest":
        return range(4 * EACH, 4 * EACH + 12)
    start = (2 * is_open + (endpoint == "hourly")) * EACH
    return range(start, start + EACH)


def _question(dice: random.Random, endpoint: str, is_open: bool) -> Question:
    # Two days ago is over in every zone.
    last = today() - timedelta(days=0 if is_open else dice.randint(2, DAYS - 9))
    if endpoint == "daily":
        return Question("daily", dice.choice(PUBLISHERS_ASKED[1:]), last - timedelta(days=dice.randint(0, 7)), last)
    owner = dice.choice(ACCOUNTS_ASKED[1:])
    links = range(owner - 1, LINKS, ACCOUNTS)
    link = dice.choice([None, *dice.sample(links, 3), *dice.sample(links, 3)])
    return Question("hourly", owner, last, last, link)
