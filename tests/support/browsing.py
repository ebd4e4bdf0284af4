"""Pages of acme in a real browser: a site over HTTP, a Chromium, and what every page must satisfy."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer
from django.db import connections
from playwright.sync_api import Browser, sync_playwright

from tests.frontend.browser import ARGUMENTS, find_chromium
from tests.frontend.lints import ROOT
from tests.frontend.test_browser import Quiet

AXE = ROOT / "frontend/node_modules/axe-core/axe.min.js"


class _Handler(WSGIHandler):
    """A request's thread closes its connections, so that the tables can be cleared after the test."""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        try:
            return super().__call__(environ, start_response)
        finally:
            connections.close_all()


@contextmanager
def served() -> Iterator[str]:
    """Acme's pages over HTTP; the browser takes acme.testserver for this machine."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(StaticFilesHandler(_Handler()))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://acme.testserver:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser that finds the site."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright's loop runs beside; nothing here is asynchronous
    with sync_playwright() as playwright:
        rule = "--host-resolver-rules=MAP acme.testserver 127.0.0.1"
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=[*ARGUMENTS, rule])
        yield browser
        browser.close()
    os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE")


@pytest.fixture
def site(acme: Any) -> Iterator[str]:
    """The address of acme's pages."""
    with served() as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of a file."""
    with launched() as browser:
        yield browser


def open_page(chromium: Browser, site: str, client: Any, width: int = 1440) -> Any:
    """A page of somebody logged in; what its console complains about gathers in page.complaints."""
    context = chromium.new_context(locale="zh-CN", viewport={"width": width, "height": 900 if width > 500 else 812})
    context.add_cookies([{"name": key, "value": morsel.value, "url": site} for key, morsel in client.cookies.items()])
    page: Any = context.new_page()
    page.emulate_media(reduced_motion="reduce")  # nothing is still moving when it is looked at
    page.complaints = []
    # Over plain HTTP to a name that is not localhost, browsers say they ignore this header.
    page.on(
        "console",
        lambda said: (
            page.complaints.append(said.text) if said.type == "error" and "Opener-Policy" not in said.text else None
        ),
    )
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    return page


def check(page: Any, name: str) -> None:
    """Nothing overflows, axe finds nothing serious, the console is quiet."""
    assert [fault for fault in faults(page, name) if fault[1] in ("serious", "critical", "")] == []


def faults(page: Any, name: str, part: str | None = "html") -> list[tuple[str, str, Any]]:
    """(what, how bad, where) of everything that is wrong with a page as it stands. part: what of it axe looks at, None for
    nothing. SHOTS: a folder for
    pictures."""
    width = page.viewport_size["width"]
    folder = os.environ.get("SHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}-{width}.png"), full_page=True)
    page.wait_for_function(
        "document.documentElement && document.readyState !== 'loading'"
    )  # between two pages there is no document
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    found = _violations(page, part) if part else []
    where = f"{name} at {width}"
    wrong = [
        (f"{where}: {one['id']}", one["impact"], [node["html"][:140] for node in one["nodes"][:3]]) for one in found
    ]
    wrong += [(f"{where}: says in its console", "", said) for said in page.complaints]
    return wrong + ([(f"{where}: too wide", "", wide)] if wide > 0 else [])


def _violations(page: Any, part: str) -> list[dict[str, Any]]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate(
        "part => axe.run(part, {resultTypes: ['violations'], preload: false})", part
    )["violations"]
    return found
