"""The playground in a browser, over `clickmill up --demo`: what it shows is held against the API's own answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import some
from tests.support.axe import assert_accessible
from tests.support.browser import Tab, open_tab, sign_in
from tests.support.stack import ADMIN_KEY, Stack

HOSTILE = "<img src=x onerror=alert(1)>\u202e"
OWNERS: dict[str, dict[str, int]] = {"account": {"account_id": 1}, "publisher": {"publisher_id": 1}, "ingest": {}}


@pytest.fixture(scope="module")
def keys(demo: Stack) -> dict[str, str]:
    """A key of every role."""
    return {"admin": ADMIN_KEY, **{role: demo.key(role, **owner) for role, owner in OWNERS.items()}}


def open_playground(tab: Tab, demo: Stack, key: str = "", query: str = "") -> Page:
    tab.page.goto(f"{demo.api}/playground{query}")
    expect(tab.page.get_by_role("heading", level=1)).to_be_visible()
    if key:
        sign_in_well(tab.page, key)
    return tab.page


def sign_in_well(page: Page, key: str) -> None:
    sign_in(page, key)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def send(page: Page, status: str = "200") -> str:
    """Sends what the form holds and waits for the answer. Returns the address that was asked."""
    with page.expect_response(lambda response: "/assets/" not in response.url) as asked:
        page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".facts")).to_contain_text(status)
    return asked.value.url


def numbers(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)


def test_every_call_and_every_tool_is_listed(browser: Browser, demo: Stack) -> None:
    document = demo.http.get(f"{demo.api}/api/v1/schema").json()
    calls = [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]
    tools = [f"TOOL {tool['name']}" for tool in demo.http.get(f"{demo.api}/api/v1/tools").json()["tools"]]
    with open_tab(browser) as tab:
        page = open_playground(tab, demo)
        listed = page.locator(".calls a small")
        expect(listed).to_have_text(calls + tools)
        page.get_by_label("Search calls").fill("group list")
        expect(listed).to_have_text(["GET /api/link-group/v2/list", "GET /api/link-group/v1/list"])
        page.get_by_role("link", name="Start").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Every click, counted once")


def test_keys_of_every_role_sign_in_and_a_wrong_one_does_not(
    browser: Browser, demo: Stack, keys: dict[str, str]
) -> None:
    with open_tab(browser) as tab:
        page = open_playground(tab, demo)
        sign_in(page, "cm_wrong")
        expect(page.get_by_role("alert")).to_contain_text("key")
        assert [error for error in tab.errors if "401" in error]
        tab.errors.clear()
        for role, key in keys.items():
            sign_in_well(page, key)
            expect(page.locator("header")).to_contain_text(role)
            fits = {"account": 3, "publisher": 3, "admin": 3, "ingest": 0}[role]
            expect(page.locator(".examples button:enabled")).to_have_count(fits)
            page.get_by_role("button", name="Sign out").click()
            expect(page.locator(".examples button:enabled")).to_have_count(0)


@pytest.mark.parametrize(
    ("role", "examples"),
    [
        ("publisher", {"The last 31 days": "start_date=", "Page by page": "page=2"}),
        ("admin", {"One publisher": "publisher_id="}),
        (
            "account",
            {
                "A day of one link": "linkId=",
                "A day of a group": "grpIdx=",
                "A day of the account": "clicksByHour&ymd=",
            },
        ),
    ],
)
def test_examples_show_the_numbers_of_the_api(
    browser: Browser, demo: Stack, keys: dict[str, str], role: str, examples: dict[str, str]
) -> None:
    key = keys[role]
    with open_tab(browser) as tab:
        page = open_playground(tab, demo, key)
        for example, part_of_address in examples.items():
            page.get_by_role("button", name=example).click()
            expect(page).to_have_url(re.compile(part_of_address))
            if role == "account":
                page.get_by_role("button", name="Yesterday").click()  # traffic leaves it as it is
            else:
                page.get_by_label("end_date").fill(page.get_by_label("start_date").input_value())
            url = send(page)
            assert key not in page.url + url
            header = {"Authorization": f"APIKey {key}"} if role == "account" else {"X-Api-Key": key}
            answer = demo.http.get(url, headers=header).json()
            expect(page.locator(".json .number")).to_have_text(some(numbers(answer)))


def test_an_address_holds_call_and_parameters(browser: Browser, demo: Stack, keys: dict[str, str]) -> None:
    query = "?call=clicksByHour&ymd=2026-01-31&linkId=it%27s+a+%22link%22&domain=go.example&fill=1&call.body=x"
    with open_tab(browser) as tab:
        page = open_playground(tab, demo, query=query)
        for _ in range(2):
            expect(page.get_by_label("ymd")).to_have_value("2026-01-31")
            expect(page.get_by_label("linkId")).to_have_value('it\'s a "link"')
            expect(page.get_by_label("fill")).to_be_checked()
            page.reload()
        page.get_by_label("linkId").fill("other")
        expect(page).to_have_url(re.compile("linkId=other&"))
        page.get_by_role("link", name="/api/statistics/v2/clicks-by-date").click()
        expect(page.get_by_label("linkId")).to_have_value("other")  # what both calls have stays
        expect(page.get_by_label("startYmd")).not_to_have_value("")
        page.go_back()
        expect(page.get_by_label("ymd")).to_have_value("2026-01-31")
        page.go_forward()
        expect(page.get_by_label("startYmd")).to_be_visible()
        page.goto(f"{demo.api}/playground?call={HOSTILE}")
        expect(page.get_by_role("alert")).to_contain_text("There is no call <img src=x")


def test_it_works_from_the_keyboard_alone(browser: Browser, demo: Stack, keys: dict[str, str]) -> None:
    with open_tab(browser) as tab:
        page = open_playground(tab, demo, query="?call=getOwnKey")
        page.get_by_label("Search calls").focus()
        for key in ("Tab",) * 100:
            if page.evaluate("document.activeElement.maxLength") == 512:
                break
            page.keyboard.press(key)
        page.keyboard.type(keys["account"])
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Send", exact=True)).to_be_focused()
        page.keyboard.press("Control+Enter")
        expect(page.locator(".json")).to_contain_text('"role": "account"')
        page.locator(".fold").focus()
        page.keyboard.press("Enter")
        expect(page.locator(".fold")).to_have_attribute("aria-expanded", "false")


def test_it_fits_a_phone(browser: Browser, demo: Stack, keys: dict[str, str]) -> None:
    with open_tab(browser, width=360, height=740) as tab:
        page = open_playground(tab, demo)
        sign_in_well(page, keys["publisher"])
        page.get_by_role("button", name="Show all").click()
        page.get_by_role("link", name="/api/v1/key").click()
        expect(page.get_by_role("button", name="Show all")).to_be_visible()  # it closes itself
        send(page)
        expect(page.locator(".facts")).to_be_in_viewport()
        page.get_by_role("button", name="Go", exact=True).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_text_of_the_api_is_no_markup(browser: Browser, demo: Stack, keys: dict[str, str]) -> None:
    demo.admin("PUT", "/admin/catalog", {"groups": [{"account_id": 1, "grp_idx": 666, "name": HOSTILE}]})
    with open_tab(browser) as tab:
        page = open_playground(tab, demo, keys["account"])
        page.get_by_role("link", name="/api/link-group/v2/list").click()
        page.get_by_label("grpIdx").fill("666")
        send(page)
        expect(page.locator(".json")).to_contain_text("<img src=x onerror=alert(1)>\\u{202e}")
        assert page.locator("main img").count() == 0


def test_a_large_answer_is_drawn_a_part_at_a_time(browser: Browser, demo: Stack, keys: dict[str, str]) -> None:
    large = {
        "data": [
            {"id": 9007199254740993 + number, "text": "x" * 200_000 if not number else "y"} for number in range(20_000)
        ]
    }
    with open_tab(browser) as tab:
        page = open_playground(tab, demo, keys["publisher"])
        page.route("**/api/v1/clicks?*", lambda route: route.fulfill(json=large))
        send(page)
        assert page.evaluate("document.querySelectorAll('.json *').length") < 5000
        expect(page.locator(".json")).to_contain_text("9007199254740993")  # to the last digit
        page.get_by_role("button", name="100 more of 19,900").click()
        expect(page.get_by_role("button", name="100 more of 19,800")).to_be_visible()


def test_samples_hold_a_variable_in_place_of_the_key(browser: Browser, demo: Stack, keys: dict[str, str]) -> None:
    with open_tab(browser) as tab:
        page = open_playground(tab, demo, keys["account"], "?call=mcp:get_clicks_by_hour&ymd=2026-01-31")
        for language in ("curl", "Python", "JavaScript", "Go", "PHP"):
            page.get_by_role("button", name=language, exact=True).click()
            code = page.get_by_role("region", name="Program").inner_text()
            assert "CLICKMILL_KEY" in code
            assert "tools/call" in code
            assert keys["account"] not in page.content()


def test_a_sentence_becomes_a_call(browser: Browser, demo: Stack) -> None:
    with open_tab(browser) as tab:
        page = open_playground(tab, demo)
        page.get_by_label("Say what you need").fill("clicks of publisher 1338 in March as CSV, blorb")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Not understood: blorb")).to_be_visible()
        expect(page.get_by_label("publisher_id")).to_have_value("1338")
        expect(page.get_by_label("Format")).to_have_value("text/csv")
        expect(page).to_have_url(re.compile(r"start_date=20\d\d-03-01&"))
        page.locator(".integration").get_by_role("link").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("over time")
        page.get_by_label("Say what you need").fill("bake me a cake")
        page.keyboard.press("Enter")
        expect(page.get_by_text("No call was recognised.")).to_be_visible()


def test_a_tool_of_mcp_is_called(browser: Browser, demo: Stack, keys: dict[str, str]) -> None:
    with open_tab(browser) as tab:
        page = open_playground(tab, demo, keys["account"], "?call=mcp:api_request")
        page.get_by_label("path").fill("/api/v1/key")
        send(page)
        expect(page.locator(".json")).to_contain_text('"account_id": 1')
        page.get_by_label("path").fill("/api/v1/clicks")
        send(page)
        expect(page.get_by_role("alert")).to_contain_text("The tool failed")


def test_a_call_that_changes_something_asks_first(browser: Browser, demo: Stack, keys: dict[str, str]) -> None:
    with open_tab(browser) as tab:
        page = open_playground(tab, demo, keys["admin"], "?call=createKey")
        page.get_by_label("Body").fill('{"role": ')
        expect(page.get_by_text("Not JSON")).to_be_visible()
        page.get_by_label("Body").fill('{"role": "ingest", "name": "of the playground"}')
        before = demo.http.get(f"{demo.api}/admin/keys", headers={"X-Api-Key": ADMIN_KEY}).json()
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_role("button", name="Cancel").click()
        assert demo.http.get(f"{demo.api}/admin/keys", headers={"X-Api-Key": ADMIN_KEY}).json() == before
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_role("button", name="Send it").click()
        expect(page.locator(".facts")).to_contain_text("201")
        expect(page.locator(".json")).to_contain_text('"name": "of the playground"')


def test_failures_are_said(browser: Browser, demo: Stack) -> None:
    key = demo.admin("POST", "/admin/keys", {"role": "publisher", "publisher_id": 1})
    with open_tab(browser) as tab:
        page = tab.page
        page.route("**/api/v1/schema", lambda route: route.abort())
        page.goto(f"{demo.api}/playground")
        expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
        page.unroute("**/api/v1/schema")
        page.get_by_role("button", name="Try again").click()
        sign_in_well(page, key["key"])
        page.route("**/api/v1/clicks?*", lambda route: route.abort())
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
        page.unroute("**/api/v1/clicks?*")
        page.route(
            "**/api/v1/clicks?*",
            lambda route: route.fulfill(status=503, body="<b>Away</b>", content_type="text/html"),
        )
        send(page, "503")
        expect(page.get_by_role("region", name="Body")).to_contain_text("<b>Away</b>")
        page.unroute("**/api/v1/clicks?*")
        page.get_by_role("link", name="/api/statistics/v2/clicks-by-hour").click()
        send(page, "401")
        expect(page.get_by_role("alert")).to_contain_text("the key of an account is required")
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()  # the key is good elsewhere
        demo.admin("DELETE", f"/admin/keys/{key['id']}", None)
        send(page, "401")
        expect(page.get_by_label("API key")).to_be_visible()
        tab.errors.clear()


@pytest.mark.parametrize("dark", [False, True])
def test_everybody_can_use_it(browser: Browser, demo: Stack, keys: dict[str, str], dark: bool) -> None:
    with open_tab(browser, dark=dark) as tab:
        page = open_playground(tab, demo)
        assert_accessible(page)
        sign_in_well(page, keys["publisher"])
        send(page)
        page.get_by_text("Statuses").click()
        assert_accessible(page)
