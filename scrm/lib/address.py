"""Who is at the other end of a request."""

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme


def client_address(request: HttpRequest) -> str | None:
    """The client's IP address, or None when nobody we trust says one.

    Behind settings.PROXY_HOPS proxies of ours it is that entry of X-Forwarded-For, counted from the right: what stands
    further left was sent by the client and may be anything. Without a proxy the header means nothing.
    """
    peer = request.META.get("REMOTE_ADDR", "")
    hops = settings.PROXY_HOPS
    chain = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hops else []
    named = chain[-hops] if hops and len(chain) >= hops else ""
    return _address(named) or _address(peer)


def local_path(request: HttpRequest, url: str) -> str | None:
    """Path and query of an address of this same host, safe to redirect to; None for another's."""
    if not url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure()):
        return None
    parts = urlsplit(url)
    path = "/" + parts.path.lstrip("/\\")  # two slashes would name another host
    return f"{path}?{parts.query}" if parts.query else path


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip().partition("%")[0]))
    except ValueError:  # a socket file, a host name, nonsense
        return None
