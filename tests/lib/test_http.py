"""Addresses typed in by people of a tenant are fetched from outside the house only."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scrm.lib import http


class Answers(BaseHTTPRequestHandler):
    """/hello, /to?<location>, /slow (drips), /big, /echo."""

    def log_message(self, *args):
        pass

    def _reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path, _mark, query = self.path.partition("?")
        if path == "/to":
            self._reply(302, Location=query)
        elif path == "/slow":
            self.send_response(200)
            self.end_headers()
            for _n in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        elif path == "/big":
            self._reply(200, b"x" * 200_000)
        else:
            self._reply(200, f"{self.headers['Host']} {self.headers.get('Authorization')}".encode())

    do_POST = do_GET


@pytest.fixture(scope="module")
def server():
    running = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()


def inside(url, **more):
    return http.fetch(url, allow_http=True, allow_private=True, **more)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "::1", "fe80::1", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "::"],
)  # fmt: skip
def test_an_internal_address_is_not_public(address):
    assert not http.is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "223.5.5.5", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_of_the_internet_is_public(address):
    assert http.is_public(address)


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "ftp://example.com/", "file:///etc/passwd", "https://user:pw@example.com/", "https://", "//x",
     "https://[::1", "https://example.com:99999/", "javascript:alert(1)", "https://127.0.0.1/", "https://localhost/",
     "https://2130706433/", "https://0x7f.1/", "https://[::ffff:127.0.0.1]/"],
)  # fmt: skip
def test_an_address_that_leads_inside_or_is_none_is_refused(url):
    with pytest.raises(http.Forbidden):
        http.fetch(url)


def test_a_public_name_with_one_internal_address_is_refused(monkeypatch):
    rows = [(2, 1, 6, "", ("8.8.8.8", 443)), (2, 1, 6, "", ("10.0.0.5", 443))]
    monkeypatch.setattr(http.socket, "getaddrinfo", lambda *args, **kwargs: rows)
    with pytest.raises(http.Forbidden):
        http.check_url("https://shop.example/")


def test_the_name_stays_in_the_host_header(server):
    port = server.rsplit(":", 1)[1]
    assert inside(f"http://localhost:{port}/hello").content.startswith(f"localhost:{port}".encode())


def test_a_redirect_inside_is_refused(server, monkeypatch):
    is_public = http.is_public
    seen = []

    def first_hop_only(address):
        seen.append(address)
        return len(seen) == 1 or is_public(address)

    monkeypatch.setattr(http, "is_public", first_hop_only)
    with pytest.raises(http.Forbidden):
        http.fetch(f"{server}/to?http://169.254.169.254/latest", allow_http=True)


def test_redirects_are_followed_and_bounded(server):
    assert inside(f"{server}/to?/hello").status == 200
    with pytest.raises(http.FetchFailed):
        inside(f"{server}/to?{server}/to?{server}/to?{server}/to?{server}/to?/hello")


def test_secrets_do_not_travel_to_another_host(server):
    port = server.rsplit(":", 1)[1]
    answer = inside(f"{server}/to?http://localhost:{port}/hello", headers={"Authorization": "Bearer x"})
    assert answer.content.endswith(b"None")


def test_size_is_limited(server):
    with pytest.raises(http.FetchFailed):
        inside(f"{server}/big", max_bytes=100_000)


def test_an_answer_that_drips_is_cut(server):
    began = time.monotonic()
    with pytest.raises(http.FetchFailed):
        inside(f"{server}/slow", total_seconds=0.5)
    assert time.monotonic() - began < 4


def test_nobody_there_is_a_failure():
    with pytest.raises(http.FetchFailed):
        inside("http://127.0.0.1:9/")
