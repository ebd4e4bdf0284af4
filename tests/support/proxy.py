"""A reverse proxy in a thread that passes requests on, spoilt as careless proxies spoil them."""

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class Proxy:
    """`with Proxy(port, query=…, body=…, answer=…) as proxy:` then HTTP to `proxy.port`.

    query, body and answer change what passes through; `redirect` answers 301 instead; `status` answers that instead.
    """

    def __init__(
        self,
        behind: int,
        *,
        query: Callable[[str], str] = str,
        body: Callable[[bytes], bytes] = bytes,
        answer: Callable[[bytes], bytes] = bytes,
        redirect: str = "",
        status: int = 0,
        largest: int = 1_000_000,
    ) -> None:
        self.behind, self.query, self.body, self.answer = behind, query, body, answer
        self.redirect, self.status, self.largest = redirect, status, largest
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.port = self._server.server_address[1]

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler_of(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass("GET", None)

        def do_POST(self) -> None:
            self._pass("POST", self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def _pass(self, method: str, body: bytes | None) -> None:
            if proxy.redirect:
                self._answer(301, b"", {"Location": proxy.redirect})
            elif proxy.status or (body and len(body) > proxy.largest):
                self._answer(proxy.status or 413, b"<html>no</html>", {})
            else:
                self._forward(method, body)

        def _forward(self, method: str, body: bytes | None) -> None:
            parts = urlsplit(self.path)
            query = proxy.query(parts.query)
            behind = http.client.HTTPConnection("127.0.0.1", proxy.behind, timeout=10)
            sent = proxy.body(body) if body is not None else None
            behind.request(
                method,
                f"{parts.path}?{query}" if query else parts.path,
                sent,
                {"Host": self.headers["Host"], "Content-Type": "text/xml"},
            )
            answer = behind.getresponse()
            self._answer(answer.status, proxy.answer(answer.read()), {})
            behind.close()

        def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_parts: Any) -> None:
            """Quiet."""

    return Handler
