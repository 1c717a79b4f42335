"""The dashboard while keys end and servers restart, with hostile text, and what only an admin sees."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect

from tests.integration.test_bad_input import produce
from tests.support.axe import assert_accessible
from tests.support.browser import Tab, open_tab, sign_in
from tests.support.page_clicks import ACCOUNT, ACCOUNT_ZONE, GROUP, PUBLISHER, PageClicks, click, today
from tests.support.stack import ADMIN_KEY

IMAGE = '<img src=x onerror="window.hacked = 1">'
FORMULA = '=HYPERLINK("http://evil.example","here")'
RIGHT_TO_LEFT = "\u202eright to left"
MONTH = timedelta(days=30)


@contextmanager
def signed_in(browser: Browser, clicks: PageClicks, key: str, query: str = "", width: int = 1440) -> Iterator[Tab]:
    with open_tab(browser, width=width) as tab:
        tab.page.goto(f"{clicks.stack.api}/dashboard{query}")
        sign_in(tab.page, key)
        expect(tab.page.get_by_role("button", name="Sign out")).to_be_visible()
        yield tab


def total(page: Page) -> Locator:
    return page.get_by_label("Totals").locator("data").first


def status(clicks: PageClicks, key: str) -> int:
    return clicks.stack.http.get(f"{clicks.stack.api}/api/v1/key", headers={"X-Api-Key": key}).status_code


def test_an_admin_makes_rotates_and_revokes_a_key_which_is_shown_once(
    browser: Browser, page_clicks: PageClicks
) -> None:
    with signed_in(browser, page_clicks, ADMIN_KEY, "?view=keys") as tab:
        page = tab.page
        page.get_by_label("Id of the publisher").fill(str(PUBLISHER))
        page.get_by_label("Name", exact=True).fill("by hand")
        page.get_by_role("button", name="Make key").click()
        shown = page.get_by_role("status", name="The new key").locator("code")
        first = shown.inner_text()
        assert status(page_clicks, first) == 200
        assert_accessible(page)
        page.get_by_role("button", name="I have kept it").click()
        expect(page.get_by_role("status")).to_have_count(0)
        page.get_by_role("button", name="Rotate by hand").click()
        page.get_by_role("button", name="ends at once").click()
        second = shown.inner_text()
        page.get_by_role("button", name="I have kept it").click()
        assert (status(page_clicks, first), status(page_clicks, second)) == (401, 200)
        page.get_by_role("button", name="Revoke by hand").click()
        page.get_by_role("button", name="Revoke it").click()
        expect(page.get_by_role("button", name="Revoke by hand")).to_have_count(0)
        assert status(page_clicks, second) == 401
        assert first not in page.content()
        assert second not in page.content()


def test_an_admin_sees_whether_the_numbers_add_up(browser: Browser, page_clicks: PageClicks) -> None:
    audit = page_clicks.stack.admin("GET", "/admin/audit", None)
    counted = sum(part["events"].get("counted", 0) for part in audit["partitions"])
    with signed_in(browser, page_clicks, ADMIN_KEY, "?view=health") as tab:
        expect(tab.page.locator(".verdict")).to_contain_text("Yes.")
        ledger = tab.page.get_by_role("region", name="Ledger by reason", exact=True)
        expect(ledger.get_by_role("row").nth(1)).to_contain_text(f"{counted:,}")
        partitions = tab.page.get_by_role("region", name="Partitions", exact=True)
        expect(partitions.get_by_role("row").nth(1).locator("td").nth(3)).to_have_text("0")  # waiting
        assert_accessible(tab.page)


def test_an_admin_sees_dead_letters_and_reads_their_beginning_as_text(
    browser: Browser, page_clicks: PageClicks
) -> None:
    bad = produce(page_clicks.stack, [f"{IMAGE}{'x' * 100_000}".encode()])
    with ThreadPoolExecutor(1) as thread:  # in this one the loop of Playwright runs
        thread.submit(asyncio.run, bad).result()
    page_clicks.stack.wait_counted()
    with signed_in(browser, page_clicks, ADMIN_KEY, "?view=health") as tab:
        letters = tab.page.get_by_role("region", name="Dead letters", exact=True)
        expect(letters).to_contain_text("1 × invalid: not_json")
        expect(letters).to_contain_text(IMAGE)
        expect(letters).to_contain_text(f"{len(IMAGE) + 100_000:,}")
        assert tab.page.evaluate("[document.images.length, window.hacked]") == [0, None]


def test_an_admin_finds_an_account_and_goes_to_its_clicks(browser: Browser, page_clicks: PageClicks) -> None:
    with signed_in(browser, page_clicks, ADMIN_KEY, "?view=accounts") as tab:
        accounts = tab.page.get_by_role("region", name="Accounts", exact=True)
        expect(accounts).to_contain_text(ACCOUNT_ZONE)
        for search, rows in (("nobody", 1), ("read", 2)):
            tab.page.get_by_label("Search accounts").fill(search)
            tab.page.keyboard.press("Enter")
            expect(accounts.get_by_role("row")).to_have_count(rows)
        expect(accounts).not_to_have_class(re.compile("stale"))
        assert_accessible(tab.page)
        accounts.get_by_role("link", name=str(ACCOUNT), exact=True).click()
        expect(tab.page.get_by_role("region", name="Top links", exact=True)).to_be_visible()
        assert f"account_id={ACCOUNT}" in tab.page.url


def test_a_key_that_is_revoked_ends_the_page_and_another_one_continues_it(
    browser: Browser, page_clicks: PageClicks
) -> None:
    made = page_clicks.stack.admin("POST", "/admin/keys", {"role": "publisher", "publisher_id": PUBLISHER})
    with signed_in(browser, page_clicks, made["key"], "?live=1&by=network") as tab:
        expect(tab.page.locator(".dot.streaming")).to_be_visible()
        page_clicks.stack.admin("DELETE", f"/admin/keys/{made['id']}", None)
        expect(tab.page.get_by_role("button", name="Sign in")).to_be_visible(timeout=20_000)
        expect(tab.page.get_by_role("alert")).to_be_visible()
        assert tab.page.url.endswith("?live=1&by=network")
        assert tab.page.get_by_label("Totals").count() == 0, "nothing is left of what the key saw"
        sign_in(tab.page, page_clicks.stack.key("publisher", publisher_id=PUBLISHER))
        expect(tab.page.locator(".legend")).to_contain_text("Net 1")
        tab.errors[:] = [error for error in tab.errors if "401" not in error]


def test_hostile_text_is_text_on_the_page_in_files_and_pictures(
    browser: Browser, page_clicks: PageClicks, tmp_path: Path
) -> None:
    csv.field_size_limit(2_000_000)
    stack, now = page_clicks.stack, datetime.now(UTC)
    names = [IMAGE, FORMULA, RIGHT_TO_LEFT, "M" * 1_000_000]
    advertisers = [{"advertiser_id": 101 + at, "name": name, "slug": name[:9]} for at, name in enumerate(names)]
    groups = [{"account_id": ACCOUNT, "grp_idx": 901 + at, "name": name} for at, name in enumerate(names)]
    stack.admin("PUT", "/admin/catalog", {"advertisers": advertisers, "groups": groups})
    page_clicks.send(
        [
            {
                **click(200_000 + at, now),
                "link_id": name[:1024],
                "advertiser_id": 101 + at % 4,
                "event_id": name[:64] + str(at),
            }
            for at, name in enumerate(names * 60)
        ]
    )
    stack.wait_counted()
    owners = ({"role": "account", "account_id": ACCOUNT}, {"role": "publisher", "publisher_id": PUBLISHER})
    for owner, name, file in zip(owners, ("Top links", "Top advertisers"), ("Groups", "Top advertisers"), strict=True):
        with signed_in(browser, page_clicks, stack.admin("POST", "/admin/keys", owner)["key"], width=390) as tab:
            page = tab.page
            listed = page.get_by_role("region", name=name, exact=True)
            expect(listed).to_contain_text(IMAGE)
            expect(listed).to_contain_text("=HYPERLINK")
            expect(page.locator(".waiting")).to_have_count(0)
            assert page.evaluate("[document.images.length, window.hacked]") == [0, None]
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            assert max(len(text) for text in page.locator("bdi").all_inner_texts()) <= 200
            for button in (f"{file}: CSV", "Clicks by day: CSV", "Clicks by day: PNG"):
                with page.expect_download() as download:
                    page.get_by_role("button", name=button).click()
                download.value.save_as(tmp_path / button)
            cells = [cell for row in csv.reader(io.StringIO((tmp_path / f"{file}: CSV").read_text())) for cell in row]
            assert f"'{FORMULA}" in cells
            assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]
            assert (tmp_path / "Clicks by day: PNG").read_bytes().startswith(b"\x89PNG")
            listed.get_by_role("button", name="onerror").click()
            expect(page.get_by_label("Where you are")).to_be_visible()
            expect(total(page)).to_have_text("60")


def test_a_page_outlives_a_restart_of_the_server(browser: Browser, page_clicks: PageClicks) -> None:
    last = today(ACCOUNT_ZONE)
    stack, key = page_clicks.stack, page_clicks.stack.key("account", account_id=ACCOUNT)
    with signed_in(browser, page_clicks, key, f"?live=1&grpIdx={GROUP}") as tab:
        expect(tab.page.locator(".dot.streaming")).to_be_visible()
        before = total(tab.page).inner_text()
        stack.processes["up"].stop()
        expect(tab.page.get_by_role("alert").first).to_contain_text(
            "What was there before is still shown", timeout=20_000
        )
        expect(total(tab.page)).to_have_text(before)
        stack.processes["up"].start()
        stack.wait_ready(stack.api)
        page_clicks.send([{**click(300_000, datetime.now(UTC)), "link_id": "alpha"}])
        counted = page_clicks.count(
            ACCOUNT_ZONE, last - MONTH, last, lambda event: event["link_id"] in ("alpha", "beta")
        )
        expect(total(tab.page)).to_have_text(f"{counted:,}", timeout=60_000)
        expect(tab.page.get_by_role("alert")).to_have_count(0, timeout=20_000)
        tab.errors[:] = [error for error in tab.errors if "Failed to load resource" not in error]
