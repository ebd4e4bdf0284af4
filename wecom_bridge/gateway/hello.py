"""A question anybody may ask WeCom: without a token it refuses (41001), and says in doing so from which address we came and
what time it is. Nothing is needed for it, so it is asked before anything else works."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import requests
from django.conf import settings

from scrm.lib import clock
from wecom_bridge.client import CONNECT_SECONDS
from wecom_bridge.gateway.core import refuse_in_transaction
from wecom_bridge.gateway.errors import address_in

READ_SECONDS = 5.0


@dataclass(frozen=True)
class Hello:
    """failure: why there was no answer, empty when there was one. ip: where WeCom saw us. skew: WeCom's clock minus ours."""

    failure: str = ""
    ip: str = ""
    skew: timedelta | None = None


def say_hello() -> Hello:
    """Ask once. Never raises for a network that fails; RuntimeError inside a transaction."""
    refuse_in_transaction()
    before = clock.wall()
    try:
        answer = requests.get(
            f"{settings.WECOM_API_BASE}/cgi-bin/get_api_domain_ip", timeout=(CONNECT_SECONDS, READ_SECONDS)
        )
    except requests.RequestException as error:
        return Hello(failure=_kind(error))
    half = (clock.wall() - before) / 2
    return Hello(ip=address_in(answer.text[:2_000]), skew=_skew(answer.headers.get("Date", ""), before + half))


def _kind(error: requests.RequestException) -> str:
    """ssl, timeout or connection."""
    if isinstance(error, requests.exceptions.SSLError):
        return "ssl"
    return "timeout" if isinstance(error, requests.Timeout) else "connection"


def _skew(date: str, at: datetime) -> timedelta | None:
    try:
        return parsedate_to_datetime(date) - at
    except (TypeError, ValueError):
        return None
