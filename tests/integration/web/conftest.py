"""One browser and one demonstration for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import chromium, require_chromium
from tests.support.page_clicks import PageClicks, send_page_clicks
from tests.support.stack import Stack, embedded_stack

expect.set_options(timeout=20_000)  # for a busy machine


@pytest.fixture(scope="module")  # while it is open, an event loop runs in this thread, where others may want theirs
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    require_chromium()
    stack = embedded_stack(tmp_path_factory.mktemp("demo"), "--demo")
    stack.wait_for_output("up", "From event sent to number served")
    yield stack
    stack.stop()


@pytest.fixture(scope="package")
def page_clicks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageClicks]:
    """A stack with clicks that are known, and no others."""
    require_chromium()
    stack = embedded_stack(tmp_path_factory.mktemp("page_clicks"))
    try:
        yield send_page_clicks(stack)
    finally:
        stack.stop()
