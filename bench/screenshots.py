"""Pictures of the pages for the docs: `python -m bench.screenshots` writes docs/images from a demonstration."""

from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.support.browser import chromium, sign_in
from tests.support.stack import Stack, embedded_stack

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
_SIZES = {1440: 900, 390: 844}
_COLOURS = 128  # enough for flat colours, in half of the bytes


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        stack = embedded_stack(Path(name), "--demo")
        try:
            stack.wait_for_output("up", "From event sent to number served")
            with chromium() as browser:
                for width, height in _SIZES.items():
                    for theme in ("light", "dark"):
                        _take(browser, stack, width, height, theme)
        finally:
            stack.stop()


def _take(browser: Browser, stack: Stack, width: int, height: int, theme: str) -> None:
    keys = httpx.get(f"{stack.api}/demo-keys").json()
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        locale="en-GB",
    )
    page = context.new_page()
    for role, key in keys.items():
        page.goto(f"{stack.api}/dashboard")
        _sign_in(page, key)
        page.locator("[aria-label=Totals] .main data").wait_for()
        _save(page, f"dashboard-{role}-{width}-{theme}")
    page.goto(f"{stack.api}/playground")
    _sign_in(page, keys["publisher"])
    page.get_by_role("button", name="Send").click()
    _save(page, f"playground-{width}-{theme}")
    context.close()


def _sign_in(page: Page, key: str) -> None:
    sign_in(page, key)
    page.get_by_role("button", name="Sign out").wait_for()


def _save(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.wait_for_selector("[aria-busy=true]", state="detached")
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    IMAGES.mkdir(exist_ok=True)
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
