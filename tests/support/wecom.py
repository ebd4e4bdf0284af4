"""WeCom in the tests: the simulator over HTTP, driven through its control API, and envelopes as it would send them."""

import base64
import json
import os
import secrets
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from scrm.lib import clock
from tenants.audit import SYSTEM
from tenants.context import current_tenant
from wecom_bridge.callbacks import envelope, parsing, rows
from wecom_bridge.models import Corp
from wecom_bridge.services.corps import Connection, connect_corp


class Wecom:
    """The control API of a running simulator; `url` is where it listens."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> Any:
        """The answer of `GET /control/<path>`."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer of `POST /control/<path>`."""
        return self._ask("POST", path, body or {})

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/control/{path}", data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} /control/{path}: {error.code} {error.read().decode()}") from None

    def reset(self) -> None:
        """As if freshly started."""
        self.post("reset", {"forget_callbacks": True})

    @property
    def corp(self) -> dict[str, Any]:
        """The (first) corp with its credentials."""
        found = self.get("corps")
        return dict((found["corps"] if isinstance(found, dict) else found)[0])

    def script(self, endpoint: str, **script: Any) -> None:
        """Say what the next calls of an endpoint shall meet: script("externalcontact/get", errcode=-1, times=2)."""
        self.post("script", {"endpoint": endpoint, **script})

    def calls(self, endpoint: str = "") -> list[dict[str, Any]]:
        """The calls received, oldest first."""
        found = self.get(f"calls?limit=1000&endpoint={endpoint}")
        return list(found["calls"])

    def hand(self, act: str, **body: Any) -> Any:
        """A deed of somebody in the client: hand("scan", userid=…)."""
        return self.post(f"hands/{act}", body)

    def connect(self, **overrides: Any) -> Connection:
        """Connect the simulator's corp to the tenant in scope."""
        corp = self.corp
        given = {
            "corp_id": corp["corp_id"],
            "name": corp["name"],
            "agent_id": str(corp["agent_id"]),
            "secret": corp["secret"],
            "token": corp["token"],
            "encoding_aes_key": corp["encoding_aes_key"],
            "by": SYSTEM,
            **overrides,
        }
        return connect_corp(**given)


@dataclass
class Sealed:
    """A callback ready to be posted."""

    query: dict[str, str]
    body: bytes


def seal(connection: Connection, xml: str | bytes, *, receiver: str | None = None, key: str | None = None) -> Sealed:
    """An envelope around a plaintext, encrypted and signed as WeCom does."""
    plain = xml.encode() if isinstance(xml, str) else xml
    encrypted = _encrypt(key or connection.encoding_aes_key, plain, receiver or connection.corp.corp_id)
    timestamp, nonce = str(int(time.time())), str(secrets.randbelow(10**10))
    signature = envelope.signature(connection.token, timestamp, nonce, encrypted)
    body = f"<xml><ToUserName><![CDATA[{connection.corp.corp_id}]]></ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    return Sealed({"msg_signature": signature, "timestamp": timestamp, "nonce": nonce}, body.encode())


def _encrypt(encoding_aes_key: str, plain: bytes, receiver: str) -> str:
    key = base64.b64decode(encoding_aes_key + "=")
    text = os.urandom(16) + len(plain).to_bytes(4, "big") + plain + receiver.encode()
    padding = 32 - len(text) % 32
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(text + bytes([padding]) * padding) + encryptor.finalize()).decode()


def forget_process() -> None:
    """What a web or worker process remembers of WeCom, and what all processes share of it, forgotten."""
    from wecom_bridge.callbacks import routes
    from wecom_bridge.figures import recorder
    from wecom_bridge.gateway import core, rates, tokens
    from wecom_bridge.governor import pace
    from wecom_bridge.services import tickets

    routes.forget()
    tickets.forget()
    for remembered in (tokens._known, tokens._asked, core._clients, recorder._tallies):
        remembered.clear()
    rates._redis().flushdb()
    pace.forget()


def event_xml(corp_id: str, event: str, change_type: str, created: int | None = None, **fields: str | int) -> str:
    """The plaintext of an event."""
    head = f"<ToUserName><![CDATA[{corp_id}]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName>"
    head += f"<CreateTime>{created or int(time.time())}</CreateTime><MsgType><![CDATA[event]]></MsgType>"
    head += f"<Event><![CDATA[{event}]]></Event><ChangeType><![CDATA[{change_type}]]></ChangeType>"
    return f"<xml>{head}{''.join(f'<{name}><![CDATA[{value}]]></{name}>' for name, value in fields.items())}</xml>"


def make_connection(**overrides: Any) -> Connection:
    """A corp that nobody answers for, for tests that call nothing."""
    given = {
        "corp_id": "ww" + secrets.token_hex(8),
        "name": "测试企业",
        "agent_id": "1000002",
        "secret": "s" * 43,
        "by": SYSTEM,
    }
    return connect_corp(**given | overrides)


def make_corp(**overrides: Any) -> Corp:
    """The corp of make_connection."""
    return make_connection(**overrides).corp


def arrive(
    connection: Connection,
    change: str,
    event: str = "change_external_contact",
    created: int | None = None,
    **fields: str | int,
) -> None:
    """An event lies in the inbox of the tenant in scope, as the callback view leaves it."""
    arrive_plain(connection, event_xml(connection.corp.corp_id, event, change, created, **fields))


def arrive_plain(connection: Connection, xml: str) -> None:
    """The same with the words given."""
    plain = xml.encode()
    row, _due = rows.build(connection.corp.pk, parsing.understand(plain, clock.now()), plain)
    rows.store(current_tenant(), row)


def app_event_xml(corp_id: str, event: str, userid: str, created: int | None = None, inner: str = "") -> str:
    """The plaintext of an event of the app, sent by a member: click, enter_agent, template_card_event …"""
    head = f"<ToUserName><![CDATA[{corp_id}]]></ToUserName><FromUserName><![CDATA[{userid}]]></FromUserName>"
    head += f"<CreateTime>{created or int(time.time())}</CreateTime><MsgType><![CDATA[event]]></MsgType>"
    return f"<xml>{head}<Event><![CDATA[{event}]]></Event>{inner}<AgentID>1000002</AgentID></xml>"
