"""A person at her screen: one log-in in a browser of its own, whose console must stay silent."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from scrm.runtime.environment import ROOT
from tests.frontend.browser import ARGUMENTS, find_chromium

DESK, PHONE = (1440, 900), (375, 812)
IMAGES = ROOT / "docs/images"
WAIT_MS = 15_000
WITH_PICTURES = os.environ.get("SCREENSHOTS") == "1"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that finds every merchant's host on this machine. No browser is an error, never a skip."""
    with sync_playwright() as playwright:
        hosts = "--host-resolver-rules=MAP *.scrm.localhost 127.0.0.1"
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=[*ARGUMENTS, hosts])
        yield browser
        browser.close()


class Desk:
    """One log-in at a screen of a size."""

    def __init__(self, browser: Browser, base_url: str, size: tuple[int, int]) -> None:
        width, height = size
        self.context = browser.new_context(
            base_url=base_url,
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
            viewport={"width": width, "height": height},
            is_mobile=size == PHONE,
            has_touch=size == PHONE,
        )
        self.context.set_default_timeout(WAIT_MS)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("response", self._note_refusal)

    def _note_refusal(self, response: Any) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.url}")

    def log_in(self, username: str, password: str) -> None:
        """Through the log-in page."""
        self.open("/login/")
        self.page.get_by_label("用户名").fill(username)
        self.page.get_by_label("密码").fill(password)
        self.press("登录")
        expect(self.page).not_to_have_url(re.compile("/login/"))

    def open(self, path: str) -> None:
        """Go to a page and let its first requests end."""
        self.page.goto(path)
        self.page.wait_for_load_state("networkidle")

    def press(self, name: str, within: Locator | None = None) -> None:
        """A button by its words."""
        (within or self.page).get_by_role("button", name=name, exact=True).click()
        self.page.wait_for_load_state("networkidle")

    def see(self, text: str) -> None:
        """These words are on the page."""
        expect(self.page.get_by_role("main").get_by_text(text).first).to_be_visible()

    def fits(self) -> None:
        """Nothing sticks out to the side."""
        assert self.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, self.page.url

    def picture(self, name: str) -> None:
        """docs/images/<name>.png, when SCREENSHOTS=1 asks for pictures."""
        if WITH_PICTURES:
            self.page.wait_for_load_state("networkidle")
            self.page.evaluate("document.fonts.ready")
            IMAGES.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(IMAGES / f"{name}.png"))

    def close(self) -> None:
        """Close the browser window; the console had nothing to complain of."""
        url = self.page.url
        self.context.close()
        assert self.complaints == [], url
