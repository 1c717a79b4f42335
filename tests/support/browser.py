"""Headless Chromium for tests of the pages: what a page wrote to the console and where it sent requests is kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

# Without these it tries to reach its maker at every start.
_OFFLINE = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]


def require_chromium() -> str:
    """The path of Chromium. Without it the test is skipped, or fails under CI=true."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        reason = "Chromium is not installed; .ci/run installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@contextmanager
def chromium() -> Iterator[Browser]:
    path = require_chromium()
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # it refuses to run as root with one
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*_OFFLINE, "--disable-gpu", *sandbox])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """A page with its own storage, and what went wrong in it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)


@contextmanager
def open_tab(browser: Browser, *, width: int = 1440, height: int = 900, dark: bool = False) -> Iterator[Tab]:
    """A new tab. At the end it fails the test for any console error or request to a second host.

    A test that provokes an error takes it out of `errors`.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale="en-GB"
    )
    tab = Tab(context.new_page())

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            tab.errors.append(message.text)

    tab.page.on("console", note)
    tab.page.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.page.on("request", lambda request: tab.hosts.add(urlsplit(request.url).netloc))
    try:
        yield tab
    finally:
        context.close()
    assert tab.errors == []
    assert len(tab.hosts - {""}) == 1


def sign_in(page: Page, key: str) -> None:
    """Fills in the form of a page that asks for a key."""
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
