"""Fetching addresses that people of a tenant typed in: never from inside the house, never without end.

The name is resolved here, every address it has must be public, and the connection goes to exactly the address that was
checked, so that a second look-up cannot answer differently. Redirects are followed by the same rules.
"""

import ipaddress
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS = 3.0, 5.0, 15.0
MAX_BYTES = 10 * 1024 * 1024
MAX_REDIRECTS = 3
_CHUNK = 64 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
# Networks that are "global" to the ipaddress module and still lead inside: carrier NAT, and IPv4 wrapped in IPv6.
_WRAPPED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2002::/16"), ipaddress.ip_network("2001::/32"))


class Forbidden(Exception):
    """The address may not be fetched: scheme, credentials, port, or where it leads. The text says which."""


class FetchFailed(Exception):
    """The address may be fetched and did not answer properly: time, size, status, connection."""


@dataclass(frozen=True)
class Fetched:
    """The answer at the end of the redirects."""

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes


def fetch(
    url: str,
    *,
    method: str = "GET",
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    allow_http: bool = False,
    allow_private: bool = False,
    max_bytes: int = MAX_BYTES,
    total_seconds: float = TOTAL_SECONDS,
) -> Fetched:
    """The answer to a request, whatever its status. Raises Forbidden and FetchFailed.

    allow_http: also plain http. allow_private: also private addresses (a sandbox's own receiver; never from user input).
    A POST that is redirected becomes a GET without its body, except by 307 and 308.
    """
    stop = time.monotonic() + total_seconds
    for _hop in range(MAX_REDIRECTS + 1):
        parts = _checked(url, allow_http=allow_http)
        address = _resolve(parts, allow_private=allow_private)
        answer = _ask(parts, address, method, data, headers or {}, stop, max_bytes)
        target = answer.headers.get("Location")
        if answer.status not in _REDIRECTS or not target:
            return answer
        url = urljoin(url, target)
        if answer.status not in (307, 308):
            method, data = "GET", None
        headers = _without_secrets(headers or {}, parts, urlsplit(url))
    raise FetchFailed(f"more than {MAX_REDIRECTS} redirects")


def check_url(url: str, *, allow_http: bool = False, allow_private: bool = False) -> None:
    """Whether the address may be fetched, for the form where it is typed in. Raises Forbidden, FetchFailed if it has no address."""
    _resolve(_checked(url, allow_http=allow_http), allow_private=allow_private)


def _checked(url: str, *, allow_http: bool) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Forbidden("not an address") from None
    if parts.scheme != "https" and not (allow_http and parts.scheme == "http"):
        raise Forbidden("only https addresses")
    if parts.username or parts.password:
        raise Forbidden("no user name or password in the address")
    if not parts.hostname or port == 0:
        raise Forbidden("no host in the address")
    return parts


def _resolve(parts: SplitResult, *, allow_private: bool) -> str:
    """An address of the host, after all of its addresses passed. Raises Forbidden for one that leads inside."""
    host = str(parts.hostname)
    try:
        found = socket.getaddrinfo(host, _port(parts), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise FetchFailed(f"{host} has no address") from None
    addresses = [str(row[4][0]).split("%")[0] for row in found]
    if not allow_private:
        for address in addresses:
            if not is_public(address):
                raise Forbidden(f"{host} leads to an internal address")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if ip.is_site_local or any(ip in network for network in _WRAPPED):
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


class _Pinned(HTTPAdapter):
    """Connects to the checked address, while certificate and Host header stay those of the name."""

    def __init__(self, host: str) -> None:
        self._host = host
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, assert_hostname=self._host, server_hostname=self._host)


def _ask(
    parts: SplitResult,
    address: str,
    method: str,
    data: bytes | None,
    headers: Mapping[str, str],
    stop: float,
    max_bytes: int,
) -> Fetched:
    shown = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=f"{shown}:{_port(parts)}", fragment="").geturl()
    with requests.Session() as session:
        session.trust_env = False  # a proxy would resolve the name again
        if parts.scheme == "https":
            session.mount("https://", _Pinned(str(parts.hostname)))
        try:
            answer = session.request(
                method,
                target,
                data=data,
                headers={**headers, "Host": parts.netloc, "Accept-Encoding": "identity"},
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                stream=True,
            )
            content = _read(answer, stop, max_bytes)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise FetchFailed(f"{parts.hostname} did not answer ({type(error).__name__})") from None
    return Fetched(parts.geturl(), answer.status_code, answer.headers, content)


def _read(answer: requests.Response, stop: float, max_bytes: int) -> bytes:
    """The body as it comes in, piece by piece: a server that drips must meet the limit of time too."""
    content = bytearray()
    while chunk := answer.raw.read1(_CHUNK):
        content += chunk
        if len(content) > max_bytes:
            raise FetchFailed(f"more than {max_bytes} bytes")
        if time.monotonic() > stop:
            raise FetchFailed("took too long")
    return bytes(content)


def _without_secrets(headers: Mapping[str, str], before: SplitResult, after: SplitResult) -> dict[str, str]:
    """What may travel on to another host: nothing that identifies us."""
    if (before.scheme, before.netloc) == (after.scheme, after.netloc):
        return dict(headers)
    return {name: value for name, value in headers.items() if name.lower() in ("accept", "user-agent", "content-type")}
