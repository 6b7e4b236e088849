"""Make the pictures of the example's page: start `python manage.py runserver`, then `python docs/images/shoot.py`.

Needs `playwright` and `pillow`, and Chromium: the one named as an argument, else playwright's own.
"""  # noqa: INP001 - a script, no package

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

SITE = "http://127.0.0.1:8000/"
HERE = Path(__file__).parent


def ask(page: Page, name: str) -> None:
    """Ask through the form, and keep the page as a picture."""
    page.goto(SITE)
    page.get_by_label("Question").fill("Tell me a joke about opentelemetry")
    page.get_by_label("Provider and model").select_option("groq")
    page.get_by_role("button").click()
    page.locator("#answer").wait_for()
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    picture.quantize(96, dither=Image.Dither.NONE).save(HERE / name, optimize=True)


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=sys.argv[1] if sys.argv[1:] else None)
    page = browser.new_page(viewport={"width": 820, "height": 760}, device_scale_factor=2)
    ask(page, "example-live.png")
    ask(page, "example-cached.png")
    browser.close()
