"""Open days asked of a `clickmill up` that counts meanwhile: hours of today, of accounts and of their links."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx

from bench.load.api_load import Request, each_once
from bench.load.api_questions import ACCOUNTS_ASKED, first_questions, numbers, questions

ADMIN = "admin key of the benchmarks"
SECONDS = 12.0  # more than `asked` takes
_ALONE = 80  # questions one after the other; the others over four connections


def account_keys(url: str, accounts: list[int]) -> list[str]:
    """A key for each account, all of which get the plan with every call."""
    admin = httpx.Client(base_url=url, headers={"X-Api-Key": ADMIN}, timeout=30)
    known = [{"account_id": account, "plan": "Business", "time_zone": "UTC"} for account in accounts]
    admin.put("/admin/catalog", json={"accounts": known}).raise_for_status()
    made = [admin.post("/admin/keys", json={"role": "account", "account_id": account}) for account in accounts]
    return [str(answer.raise_for_status().json()["key"]) for answer in made]


def open_requests(url: str) -> list[Request]:
    """Each question once, so that no answer is remembered. The accounts' keys and plans are known by then."""
    keys, port = {"account": account_keys(url, ACCOUNTS_ASKED)}, urlsplit(url).port or 80
    each_once([question.request(port, keys) for question in first_questions() if question.endpoint == "hourly"])
    return [questions()[number].request(port, keys) for number in numbers("hourly", is_open=True)]


def asked(requests: list[Request]) -> dict[str, Any]:
    """Milliseconds by the number of connections."""
    return {
        "1": each_once(requests[:_ALONE]).rounded(),
        "4": each_once(requests[_ALONE:], connections=4).rounded(),
    }
