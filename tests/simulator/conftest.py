"""A running simulator with two corps, a client for it, and a receiver for its callbacks. Nothing here needs a database."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from simulator import crypto
from simulator.clock import parse_instant
from simulator.threaded import ThreadedSimulator

START = parse_instant("2026-03-20T10:20:00+08:00")


class Client:
    """Calls one corp of a running simulator."""

    def __init__(self, url, corp):
        self.url, self.corp = url, corp
        self.corp_id = corp["corp_id"]
        self.http = requests.Session()
        self._token = ""

    def token(self, kind="secret"):
        params = {"corpid": self.corp_id, "corpsecret": self.corp[kind]}
        return self.http.get(f"{self.url}/cgi-bin/gettoken", params=params).json()["access_token"]

    def _params(self, params):
        self._token = self._token or self.token()
        return {"access_token": self._token} | params

    def get(self, path, **params):
        return self.http.get(f"{self.url}/cgi-bin/{path}", params=self._params(params)).json()

    def post(self, path, body=None, **params):
        return self.http.post(f"{self.url}/cgi-bin/{path}", json=body or {}, params=self._params(params)).json()

    def control(self, path, body=None, **params):
        if body is None:
            return self.http.get(f"{self.url}/control/{path}", params={"corp_id": self.corp_id} | params).json()
        return self.http.post(f"{self.url}/control/{path}", json=body).json()

    def hand(self, act, **body):
        answer = self.control(f"hands/{act}", {"corp_id": self.corp_id} | body)
        assert answer["ok"], answer
        return answer

    def wait_quiet(self, seconds=40):
        deadline = time.monotonic() + seconds
        while not self.control("quiet")["quiet"]:
            assert time.monotonic() < deadline, "the simulator did not become quiet"
            time.sleep(0.02)


class Receiver:
    """An HTTP server that notes what it is sent and answers what `script` says (200 when empty), with `words`."""

    def __init__(self, corp):
        self.corp, self.requests, self.script, self.delay = corp, [], [], 0
        self.words = b"success"
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                receiver.answer_verification(self)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((dict(parse_qsl(urlsplit(self.path).query)), dict(self.headers), body))
                time.sleep(receiver.delay)
                self.reply(receiver.script.pop(0) if receiver.script else 200, receiver.words)

            def reply(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer_verification(self, handler):
        query = dict(parse_qsl(urlsplit(handler.path).query))
        expected = crypto.signature(self.corp["token"], query["timestamp"], query["nonce"], query["echostr"])
        if query["msg_signature"] != expected:
            return handler.reply(401, b"")
        plain, _ = crypto.decrypt(self.corp["encoding_aes_key"], query["echostr"])
        return handler.reply(200, plain)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="session")
def running():
    with ThreadedSimulator(["chain", "shop"], seed=7, start=START) as simulator:
        yield simulator


def _client(running, position):
    requests.post(f"{running.url}/control/reset", json={"forget_callbacks": True}).raise_for_status()
    return Client(running.url, requests.get(f"{running.url}/control/corps").json()["corps"][position])


@pytest.fixture
def chain(running):
    return _client(running, 0)


@pytest.fixture
def shop(running):
    return _client(running, 1)


@pytest.fixture
def receiver(shop):
    """The shop's callbacks arrive here."""
    server = Receiver(shop.corp)
    saved = shop.control(f"corps/{shop.corp_id}/callback", {"url": f"http://127.0.0.1:{server.port}/cb"})
    assert saved["ok"], saved
    yield server
    server.close()
