"""The pictures of the studio in docs/images: python tools/studio_screenshots.py RUNS (a folder of finished runs)."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
WAIT = 60_000  # milliseconds
TALLEST = 2600  # pixels
COLOURS = 96  # keeps a picture small
LOOKS = (("steer", 1440, "light"), ("steer", 360, "dark"), ("runs", 1440, "dark"), ("runs", 360, "light"))


def steer(page: Page) -> None:
    """Build a vector from the starter pairs, write both ways, read the next token and the dose strip."""
    if not page.locator("#vector option").count():
        page.fill("#name", "starter, mean difference")
        page.click("#build")
        expect(page.locator("#recipe")).to_contain_text("48 pairs")
    page.locator("#builder").evaluate("details => details.open = false")
    page.fill("#coefficient", "0.2")
    page.press("#coefficient", "Tab")
    page.click("#write")
    expect(page.locator("#steered-end")).to_contain_text("tokens")
    page.click("#next")
    expect(page.locator("#next-table tbody tr")).to_have_count(10)
    page.click("#strip")
    expect(page.locator("#chart circle")).to_have_count(21)


def runs(page: Page) -> None:
    """Open the cell in the middle of the first heat map."""
    page.click("nav a[href='#runs']")
    expect(page.locator("#verdict")).not_to_be_empty()
    cells = page.locator("#heat button")
    cells.nth(cells.count() // 2).click()
    expect(page.locator("#cell article").first).to_be_visible()


def shoot(browser: Browser, address: str) -> None:
    """One picture per look."""
    for what, width, scheme in LOOKS:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        page.goto(address)
        expect(page.locator("#facts")).to_contain_text("layers")
        (steer if what == "steer" else runs)(page)
        height = min(TALLEST, page.evaluate("document.documentElement.scrollHeight")) if what == "steer" else 900
        clip = {"x": 0, "y": 0, "width": width, "height": height}
        taken = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip)))
        taken.convert("RGB").quantize(COLOURS).save(IMAGES / f"studio-{what}-{width}-{scheme}.png", optimize=True)
        context.close()


def main() -> None:
    """Start a studio on the embedded model, take the pictures, end it."""
    command = [sys.executable, "-c", "from steerlab.cli import main; main()", "studio", "--no-browser", "--port", "0"]
    expect.set_options(timeout=WAIT)
    with subprocess.Popen([*command, "--runs", sys.argv[1]], stdout=subprocess.PIPE, text=True) as studio:
        assert studio.stdout is not None
        address = studio.stdout.readline().split()[1]
        try:
            with sync_playwright() as started:
                browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                shoot(browser, address)
                browser.close()
        finally:
            studio.terminate()


if __name__ == "__main__":
    main()
