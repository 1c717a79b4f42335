"""The pages in headless Chromium over `clickmill up --demo`: bytes of a first view, time to a number, event to pixel.

Each view is opened in a browser without a cache. The yardstick is a response of a few bytes from the same server in the
same browser, opened between the others: what starting a tab and a connection takes by itself.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from playwright.sync_api import Browser, CDPSession, Page

from bench.report.results import show
from tests.support.browser import chromium, sign_in
from tests.support.stack import Stack, embedded_stack

_YARDSTICK = "/healthz"
_VIEWS = {
    "start": "/",
    "playground": "/playground",
    "dashboard of a publisher": "/dashboard",
    "dashboard of an account": "/dashboard",
}
_ROLES = {"dashboard of a publisher": "publisher", "dashboard of an account": "account"}
_TOTAL = "section[aria-label=Totals] .main data"


def run(*, quick: bool = False) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        stack = embedded_stack(Path(name), "--demo")
        try:
            stack.wait_for_output("up", "From event sent to number served")
            with chromium() as browser:
                return _measured(browser, stack, 3 if quick else 9, 10 if quick else 40)
        finally:
            stack.stop()


def _measured(browser: Browser, stack: Stack, openings: int, events: int) -> dict[str, Any]:
    keys = httpx.get(f"{stack.api}/demo-keys").json()
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(openings + 1):
        found.setdefault("yardstick", []).append(_opened(browser, stack.api + _YARDSTICK, None))
        for view, path in _VIEWS.items():
            found.setdefault(view, []).append(_opened(browser, stack.api + path, keys.get(_ROLES.get(view))))
    warm = {view: rows[1:] for view, rows in found.items()}  # the first of each warms the server's caches
    views = [
        {"view": view, **{name: median(row[name] for row in rows) for name in rows[0]}} for view, rows in warm.items()
    ]
    return {"openings": openings, "views": views, "live": _event_to_pixel(browser, stack, events)}


def _opened(browser: Browser, address: str, key: str | None) -> dict[str, float]:
    """Bytes on the wire, milliseconds to the page, and from there, signed in, to its first number."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    try:
        page = context.new_page()
        session = context.new_cdp_session(page)
        received = _count_bytes(session)
        started = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("h1, h2, label, pre")
        shown = time.perf_counter()
        if key is not None:
            _sign_in(page, key)
            shown_number = time.perf_counter()
        page.wait_for_load_state("networkidle")
        return {
            "kilobytes": sum(received) / 1000,
            "page_ms": (shown - started) * 1000,
            "number_ms": 0.0 if key is None else (shown_number - shown) * 1000,
        }
    finally:
        context.close()


def _count_bytes(session: CDPSession) -> list[float]:
    received: list[float] = []
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    session.send("Network.enable")
    return received


def _sign_in(page: Page, key: str) -> None:
    sign_in(page, key)
    page.wait_for_selector(_TOTAL)


def _event_to_pixel(browser: Browser, stack: Stack, events: int) -> dict[str, float]:
    """Seconds from sending an event of an account of its own to its count in the page."""
    stack.admin("PUT", "/admin/catalog", {"accounts": [{"account_id": 990_001, "plan": "Enterprise"}]})
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{stack.api}/dashboard")
    link = {"account_id": 990_001, "domain": "go.example", "link_id": "a"}
    delays = []
    _sign_in(page, stack.key("account", account_id=990_001))
    page.get_by_role("checkbox", name="Live").check()
    for number in range(1, events + 1):
        sent = time.time()
        stack.send([{**link, "event_id": f"e{number}", "clicked_at": int(sent * 1000)}]).raise_for_status()
        page.wait_for_selector(f'{_TOTAL}[value="{number}"]')
        delays.append(time.time() - sent)
    context.close()
    delays.sort()
    return {"events": events, "p50_seconds": median(delays), "max_seconds": delays[-1]}


def table(result: dict[str, Any]) -> None:
    yardstick = result["views"][0]
    live = result["live"]
    show(
        "web: a first view without a cache, headless Chromium, `clickmill up --demo` beside it",
        ["view", "kB on the wire", "ms to the page", "of the yardstick", "ms from signing in to a number"],
        [
            (
                row["view"],
                row["kilobytes"],
                row["page_ms"],
                row["page_ms"] / yardstick["page_ms"],
                row["number_ms"] or "–",
            )
            for row in result["views"]
        ],
        [
            f"live: event sent → shown {live['p50_seconds']:.2f} s (p50), {live['max_seconds']:.2f} s (max of "
            f"{live['events']})"
        ],
    )
