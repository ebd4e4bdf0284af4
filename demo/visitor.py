"""A visitor without a browser: logs in, reads pages, posts forms with their CSRF token, over real HTTP with the site's Host header."""

import json
import re
from dataclasses import dataclass
from html import unescape
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit

_CSRF = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
MAX_REDIRECTS = 5


class Refused(RuntimeError):
    """A page answered otherwise than expected; the message says what and shows the beginning of the page's words."""


@dataclass(frozen=True)
class Page:
    """An answer: where it finally came from, its status and its text."""

    path: str
    status: int
    text: str

    def find(self, pattern: str) -> str:
        """The first group of a pattern, HTML entities resolved. Raises Refused when the page has no such text."""
        match = re.search(pattern, self.text, re.DOTALL)
        if match is None:
            raise Refused(f"{self.path} does not show {pattern!r}: {words_of(self.text)[:400]}")
        return unescape(match.group(1))

    def all(self, pattern: str) -> list[str]:
        """Every first group of a pattern."""
        return [unescape(found) for found in re.findall(pattern, self.text, re.DOTALL)]


class Visitor:
    """One log-in's view of a host. `connect` is host:port, as info.json gives it."""

    def __init__(self, connect: str, host: str, *, token: str = "") -> None:
        self.connect, self.host, self.token = connect, host, token
        self.cookies: dict[str, str] = {}

    def log_in(self, username: str, password: str) -> Page:
        """Through the log-in page. Raises Refused when it does not let her in."""
        page = self.submit("/login/", {"username": username, "password": password}, see="/login/")
        if page.path.startswith("/login/"):
            raise Refused(f"{username} cannot log in on {self.host}: {words_of(page.text)[:300]}")
        return page

    def get(self, path: str, expect: int = 200) -> Page:
        """A page, redirects followed. Raises Refused for another status."""
        return self._checked(self._walk("GET", path, None), expect)

    def submit(self, path: str, fields: dict[str, Any], *, see: str, expect: int = 200) -> Page:
        """Post a form as it stands on the page `see`. Lists repeat the field."""
        token = self.get(see).find(_CSRF.pattern)
        body = urlencode({**fields, "csrfmiddlewaretoken": token}, doseq=True).encode()
        return self._checked(self._walk("POST", path, body), expect)

    def api(self, method: str, path: str, body: Any = None, expect: tuple[int, ...] = (200, 201, 202)) -> Any:
        """A call of /api/v1/ with the token; the decoded answer. Raises Refused."""
        data = json.dumps(body, ensure_ascii=False).encode() if body is not None else None
        status, text, _location = self._request(
            method, path, data, {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        )
        if status not in expect:
            raise Refused(f"{method} {path}: {status} {text[:400]}")
        return json.loads(text) if text else {}

    def _checked(self, page: Page, expect: int) -> Page:
        if page.status != expect:
            raise Refused(f"{page.path}: {page.status} instead of {expect}: {words_of(page.text)[:500]}")
        return page

    def _walk(self, method: str, path: str, body: bytes | None) -> Page:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Referer": f"http://{self._site()}{path}"}
        for _hop in range(MAX_REDIRECTS):
            status, text, location = self._request(method, path, body, headers)
            if status not in (301, 302, 303):
                return Page(path, status, text)
            parts = urlsplit(location)
            method, body = "GET", None
            path = parts.path + (f"?{parts.query}" if parts.query else "")
        raise Refused(f"{path}: too many redirects")

    def _site(self) -> str:
        return f"{self.host}:{self.connect.rsplit(':', 1)[1]}"

    def _request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, str, str]:
        connection = HTTPConnection(self.connect, timeout=60)
        try:
            cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            sent = {"Host": self._site(), "Accept-Language": "zh-Hans", **headers}
            connection.request(method, path, body, {**sent, "Cookie": cookies} if cookies else sent)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            for line in answer.headers.get_all("Set-Cookie", []):
                for name, morsel in SimpleCookie(line).items():
                    self.cookies[name] = morsel.value
            return answer.status, text, answer.headers.get("Location", "")
        finally:
            connection.close()


def words_of(html: str) -> str:
    """The text of a page, without its tags, for messages."""
    body = re.sub(r"(?s)<(script|style|svg)\b.*?</\1>", " ", html)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())
