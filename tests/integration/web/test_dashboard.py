"""The dashboard in a browser: what it shows is what the API answers and what was sent."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect
from pyarrow import parquet

from tests.support.axe import assert_accessible
from tests.support.browser import Tab, open_tab, sign_in
from tests.support.page_clicks import (
    ACCOUNT,
    ACCOUNT_ZONE,
    AUTUMN,
    DOMAIN,
    GROUP,
    PUBLISHER,
    PUBLISHER_ZONE,
    SPRING,
    PageClicks,
    click,
    today,
)
from tests.support.stack import ADMIN_KEY

MONTH = timedelta(days=30)
MAX_BYTES = 150_000  # of the first view


@pytest.fixture(scope="module")
def keys(page_clicks: PageClicks) -> dict[str, str]:
    stack = page_clicks.stack
    return {
        "account": stack.key("account", account_id=ACCOUNT),
        "publisher": stack.key("publisher", publisher_id=PUBLISHER),
        "admin": ADMIN_KEY,
    }


@contextmanager
def dashboard(browser: Browser, clicks: PageClicks, key: str, query: str = "", **options: Any) -> Iterator[Tab]:
    with open_tab(browser, **options) as tab:
        tab.page.goto(f"{clicks.stack.api}/dashboard{query}")
        sign_in(tab.page, key)
        expect(tab.page.get_by_label("Totals").locator("data").first).to_be_visible()
        yield tab
        assert key not in tab.page.url + tab.page.content()


def paths_asked_for(page: Page) -> list[str]:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(urlsplit(request.url).path)

    page.on("request", note)
    return asked


def shows(page: Page, clicks: int) -> None:
    """The clicks of the chosen range, written as a number."""
    expect(page.get_by_label("Totals").locator("data").first).to_have_text(f"{clicks:,}")


def day_marks(page: Page) -> Any:
    return page.get_by_role("figure", name="Clicks by day").locator("[data-mark]")


def test_the_first_view_shows_the_last_30_days_and_today(
    browser: Browser, page_clicks: PageClicks, keys: dict[str, str]
) -> None:
    for role, zone in (("account", ACCOUNT_ZONE), ("publisher", PUBLISHER_ZONE), ("admin", "UTC")):
        with open_tab(browser) as tab:
            asked = paths_asked_for(tab.page)
            tab.page.goto(f"{page_clicks.stack.api}/dashboard")
            asked.clear()
            sign_in(tab.page, keys[role])
            last = today(zone)
            of_days = PUBLISHER_ZONE if role == "admin" else zone  # days are those of each publisher
            shows(tab.page, page_clicks.count(of_days, last - MONTH, last))
            expect(day_marks(tab.page)).to_have_count(31)
            expect(tab.page.locator(".waiting")).to_have_count(0)
            expect(tab.page.locator(".status")).to_contain_text(f"Time zone {zone}")
            assert len([path for path in asked if path.startswith("/api/")]) <= 6, asked


def test_a_wrong_key_is_told_and_a_right_one_opens_the_view_of_the_address(
    browser: Browser, page_clicks: PageClicks, keys: dict[str, str]
) -> None:
    first, last = today(ACCOUNT_ZONE) - timedelta(days=9), today(ACCOUNT_ZONE) - timedelta(days=3)
    with open_tab(browser) as tab:
        tab.page.goto(f"{page_clicks.stack.api}/dashboard?from={first}&to={last}&bots=1&grpIdx={GROUP}")
        sign_in(tab.page, "wrong")
        expect(tab.page.get_by_role("alert")).to_contain_text("not known")
        assert [error for error in tab.errors if "401" in error]
        tab.errors.clear()
        for _ in range(2):  # the second time after a reload, which forgets the key
            sign_in(tab.page, keys["account"])
            in_group = lambda event: event["link_id"] in ("alpha", "beta")  # noqa: E731
            shows(tab.page, page_clicks.count(ACCOUNT_ZONE, first, last, in_group))
            bots = page_clicks.count(ACCOUNT_ZONE, first, last, in_group, bots=True)
            expect(tab.page.get_by_label("Totals").locator("data").nth(1)).to_have_text(str(bots))
            tab.page.reload()


def test_keys_change_days_and_comparison_and_back_leads_back(
    browser: Browser, page_clicks: PageClicks, keys: dict[str, str]
) -> None:
    last = today(ACCOUNT_ZONE)
    with dashboard(browser, page_clicks, keys["account"]) as tab:
        page = tab.page
        for key, first, until in (
            ("w", last - timedelta(days=6), last),
            ("ArrowLeft", last - timedelta(days=13), last - timedelta(days=7)),
            ("d", last, last),
            ("m", last - MONTH, last),
        ):
            page.keyboard.press(key)
            shows(page, page_clicks.count(ACCOUNT_ZONE, first, until))
        page.go_back()
        page.go_back()
        shows(page, page_clicks.count(ACCOUNT_ZONE, last - timedelta(days=13), last - timedelta(days=7)))
        page.keyboard.press("x")
        before = page_clicks.count(ACCOUNT_ZONE, last - timedelta(days=20), last - timedelta(days=14))
        expect(page.locator(".comparison data")).to_have_text(str(before))
        assert parse_qs(urlsplit(page.url).query)["compare"] == ["previous"]
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Help")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog", name="Help")).to_be_hidden()


def test_a_day_that_is_not_over_is_compared_with_as_much_of_another(
    browser: Browser, page_clicks: PageClicks, keys: dict[str, str]
) -> None:
    with dashboard(browser, page_clicks, keys["account"], "?compare=weekday") as tab:
        expect(tab.page.locator(".comparison")).to_contain_text("Both are counted up to the same time")
        parameters = {"from": str(today(ACCOUNT_ZONE) - MONTH), "to": str(today(ACCOUNT_ZONE)), "compare": "weekday"}
        answer = page_clicks.stack.http.get(
            f"{page_clicks.stack.api}/api/insights/v1/series", params=parameters, headers={"X-Api-Key": keys["account"]}
        ).json()
        before = sum(row["clicks"] for row in answer["compare"])
        expect(tab.page.locator(".comparison data")).to_have_text(str(before))


def test_from_account_to_group_to_link_and_back(
    browser: Browser, page_clicks: PageClicks, keys: dict[str, str]
) -> None:
    first, last = today(ACCOUNT_ZONE) - MONTH, today(ACCOUNT_ZONE)

    def counted(*links: str) -> int:
        return page_clicks.count(ACCOUNT_ZONE, first, last, lambda event: event["link_id"] in links)

    with dashboard(browser, page_clicks, keys["account"]) as tab:
        page = tab.page
        group = page.get_by_role("region", name="Groups").get_by_role("row").nth(1)
        expect(group).to_contain_text(f"{GROUP}Newsletter2{counted('alpha', 'beta')}")
        group.get_by_role("button", name=str(GROUP)).click()
        shows(page, counted("alpha", "beta"))
        page.get_by_role("region", name="Top links").get_by_role("button", name="vvd.bz/beta").click()
        shows(page, counted("beta"))
        expect(page.get_by_label("Where you are")).to_contain_text(f"{DOMAIN}/beta")
        page.get_by_role("link", name=f"Group {GROUP}").click()
        shows(page, counted("alpha", "beta"))
        page.get_by_role("link", name=f"Account {ACCOUNT}").click()
        shows(page, page_clicks.count(ACCOUNT_ZONE, first, last))


@pytest.mark.parametrize(("day", "bars", "note"), [(SPRING, 23, "23 hours"), (AUTUMN, 25, "25 hours")])
def test_a_day_on_which_the_clock_is_set_has_its_own_hours(
    browser: Browser, page_clicks: PageClicks, keys: dict[str, str], day: date, bars: int, note: str
) -> None:
    with dashboard(browser, page_clicks, keys["account"], f"?from={day}&to={day}") as tab:
        hours = tab.page.get_by_role("figure", name=re.compile("Clicks by hour, "))
        marks = hours.locator("[data-mark]")
        expect(marks).to_have_count(bars)
        expect(hours).to_contain_text(note)
        labels = [str(mark.get_attribute("aria-label")) for mark in marks.all()]
        assert all(": 1 click," in label for label in labels)
        assert [at for at, label in enumerate(labels) if "again" in label] == ([3] if bars == 25 else [])
        shows(tab.page, page_clicks.count(ACCOUNT_ZONE, day, day))


def test_live_mode_moves_when_clicks_arrive(
    browser: Browser, page_clicks: PageClicks, keys: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    last = today(PUBLISHER_ZONE)
    with dashboard(browser, page_clicks, keys["publisher"]) as tab:
        before = page_clicks.count(PUBLISHER_ZONE, last - MONTH, last)
        shows(tab.page, before)
        tab.page.get_by_role("checkbox", name="Live").check()
        expect(tab.page.locator(".dot.streaming")).to_be_visible()
        sent = time.monotonic()
        page_clicks.send([click(100_000 + number, datetime.now(UTC)) for number in range(3)])
        tab.page.wait_for_function(
            "text => document.querySelector('.totals data').textContent === text", arg=f"{before + 3:,}"
        )
        with capsys.disabled():
            print(f"\nevent to pixel: {time.monotonic() - sent:.2f} s")


def test_charts_and_tables_become_files(
    browser: Browser, page_clicks: PageClicks, keys: dict[str, str], tmp_path: Path
) -> None:
    first, last = today(PUBLISHER_ZONE) - MONTH, today(PUBLISHER_ZONE)
    with dashboard(browser, page_clicks, keys["publisher"]) as tab:

        def saved(button: str) -> bytes:
            with tab.page.expect_download() as download:
                tab.page.get_by_role("button", name=button).click()
            path = tmp_path / "file"
            download.value.save_as(path)
            return path.read_bytes()

        total = page_clicks.count(PUBLISHER_ZONE, first, last)
        for button, days in (("Clicks by day: CSV", 31), ("All rows: CSV", None)):
            rows = list(csv.DictReader(io.StringIO(saved(button).decode())))
            assert sum(int(row["Clicks"]) for row in rows) == total
            assert days is None or len(rows) == days
        assert sum(parquet.read_table(io.BytesIO(saved("All rows: Parquet")))["click_count"].to_pylist()) == total
        picture = saved("Clicks by day: PNG")
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 5_000
        assert total == sum(
            row["click_count"] for row in page_clicks.stack.clicks(str(first), str(last), keys["publisher"])
        )


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("role", "query"), [("account", "?bots=1"), ("publisher", "?compare=previous"), ("admin", "")])
def test_everybody_can_use_it_on_a_phone_too(
    browser: Browser, page_clicks: PageClicks, keys: dict[str, str], role: str, query: str, dark: bool
) -> None:
    with dashboard(browser, page_clicks, keys[role], query, width=390, dark=dark) as tab:
        expect(tab.page.locator(".waiting")).to_have_count(0)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert_accessible(tab.page)


def test_a_chart_is_read_with_the_keyboard(browser: Browser, page_clicks: PageClicks, keys: dict[str, str]) -> None:
    with dashboard(browser, page_clicks, keys["account"]) as tab:
        page = tab.page
        last = day_marks(page).last
        for _ in range(30):
            page.keyboard.press("Tab")
            if last.evaluate("mark => mark === document.activeElement"):
                break
        page.keyboard.press("ArrowLeft")
        expect(day_marks(page).nth(29)).to_be_focused()
        page.keyboard.press("Enter")
        yesterday = today(ACCOUNT_ZONE) - timedelta(days=1)
        assert parse_qs(urlsplit(page.url).query)["day"] == [str(yesterday)]


def test_the_first_view_is_small(browser: Browser, page_clicks: PageClicks, keys: dict[str, str]) -> None:
    with open_tab(browser) as tab:
        sizes: list[int] = []
        network = tab.page.context.new_cdp_session(tab.page)
        network.send("Network.enable")
        network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        tab.page.goto(f"{page_clicks.stack.api}/dashboard")
        sign_in(tab.page, keys["account"])
        expect(tab.page.locator(".waiting")).to_have_count(0)
        assert 20_000 < sum(sizes) <= MAX_BYTES
