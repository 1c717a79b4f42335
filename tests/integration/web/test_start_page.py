"""The first page and the pages of errors, in a browser, over `clickmill up --demo`."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.support.axe import assert_accessible
from tests.support.browser import open_tab
from tests.support.stack import ADMIN_KEY, Stack


@pytest.mark.parametrize("width", [390, 1440])
def test_it_says_what_this_is_and_leads_on(browser: Browser, demo: Stack, width: int) -> None:
    with open_tab(browser, width=width) as tab:
        tab.page.goto(demo.api)
        expect(tab.page.get_by_role("heading", level=1)).to_have_text("Every click, counted once")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is cut off"
        tab.page.get_by_role("link", name=re.compile("OpenAPI")).click()
        assert tab.page.url == f"{demo.api}/api/v1/schema"


@pytest.mark.parametrize("role", ["account", "publisher"])
def test_one_click_signs_in_with_a_key_of_the_demonstration(browser: Browser, demo: Stack, role: str) -> None:
    with open_tab(browser) as tab:
        tab.page.goto(demo.api)
        tab.page.get_by_role("button", name=f"Sign in as {role}").click()
        expect(tab.page.locator("header")).to_contain_text(f"{role} 1")
        key = demo.http.get(f"{demo.api}/demo-keys").json()[role]
        assert key not in tab.page.url
        stored = tab.page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
        assert key not in stored
        tab.page.get_by_role("button", name="Sign out").click()
        expect(tab.page.locator("header")).not_to_contain_text(f"{role} 1")


def test_the_demonstration_offers_no_key_that_may_change_anything(demo: Stack) -> None:
    keys = demo.http.get(f"{demo.api}/demo-keys").json()
    assert keys.keys() == {"account", "publisher"}
    assert ADMIN_KEY not in keys.values()


def test_the_theme_is_that_of_the_system_until_one_is_chosen(browser: Browser, demo: Stack) -> None:
    with open_tab(browser, dark=True) as tab:
        ground = "getComputedStyle(document.body).backgroundColor"
        tab.page.goto(demo.api)
        dark = tab.page.evaluate(ground)
        tab.page.get_by_role("button", name="System").click()
        expect(tab.page.get_by_role("button", name="Light")).to_be_visible()
        light = tab.page.evaluate(ground)
        assert light != dark
        tab.page.reload()
        expect(tab.page.get_by_role("button", name="Light")).to_be_visible()
        assert tab.page.evaluate(ground) == light


@pytest.mark.parametrize("dark", [False, True])
def test_everybody_can_use_it(browser: Browser, demo: Stack, dark: bool) -> None:
    with open_tab(browser, dark=dark) as tab:
        tab.page.goto(demo.api)
        tab.page.get_by_role("button", name="Sign in as account").click()
        expect(tab.page.locator("header")).to_contain_text("account 1")
        assert_accessible(tab.page)


def test_a_page_that_cannot_be_read_fails_the_check(browser: Browser, demo: Stack) -> None:
    with open_tab(browser) as tab:
        tab.page.goto(demo.api)
        tab.page.get_by_role("heading", level=1).evaluate("heading => heading.style.color = '#eee'")
        with pytest.raises(AssertionError, match="color-contrast"):
            assert_accessible(tab.page)


def test_a_wrong_address_leads_to_a_page_with_a_way_back(browser: Browser, demo: Stack) -> None:
    with open_tab(browser) as tab:
        tab.page.goto(f"{demo.api}/no-such-page")
        expect(tab.page.get_by_role("heading", level=1)).to_have_text("404 · Not Found")
        tab.page.get_by_role("link", name="Start page").click()
        expect(tab.page.get_by_role("heading", level=1)).to_have_text("Every click, counted once")
        assert [error for error in tab.errors if "404" in error], "the browser reports the status"
        tab.errors.clear()
