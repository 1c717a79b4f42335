"""Queries of today's hours, of accounts and of their links, to a `clickmill up` under load."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx

from bench.load.api_load import Request, each_once
from bench.load.api_questions import ACCOUNTS_ASKED, first_questions, numbers, questions

ADMIN = "admin key of the benchmarks"
SECONDS = 12.0  # longer than `asked` takes
_ALONE = 80  # queries one after the other; the rest over four connections


def account_keys(url: str, accounts: list[int]) -> list[str]:
    """Puts all accounts on the largest plan. Returns a key for each."""
    admin = httpx.Client(base_url=url, headers={"X-Api-Key": ADMIN}, timeout=30)
    known = [{"account_id": account, "plan": "Business", "time_zone": "UTC"} for account in accounts]
    admin.put("/admin/catalog", json={"accounts": known}).raise_for_status()
    made = [admin.post("/admin/keys", json={"role": "account", "account_id": account}) for account in accounts]
    return [str(answer.raise_for_status().json()["key"]) for answer in made]


def open_requests(url: str) -> list[Request]:
    """Each query once, so that no response is cached. Keys and plans are cached by then."""
    keys, port = {"account": account_keys(url, ACCOUNTS_ASKED)}, urlsplit(url).port or 80
    each_once([question.request(port, keys) for question in first_questions() if question.endpoint == "hourly"])
    return [questions()[number].request(port, keys) for number in numbers("hourly", is_open=True)]


def asked(requests: list[Request]) -> dict[str, Any]:
    """Latencies in milliseconds, by number of connections."""
    return {
        "1": each_once(requests[:_ALONE]).rounded(),
        "4": each_once(requests[_ALONE:], connections=4).rounded(),
    }
