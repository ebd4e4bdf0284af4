"""JS-SDK tickets: one per corp, one per app, the same while they live; both are asked for sparingly."""

import hashlib
import math
import secrets
from collections import Counter

from simulator.api.errors import WeComError
from simulator.switches import Switches

TICKET_LIFE = 7200
CORP, AGENT = "corp", "agent_config"


class TicketOffice:
    """Tickets of all corps of the process and how often they were asked for; wall time."""

    def __init__(self) -> None:
        self._current: dict[tuple[str, str], tuple[str, float]] = {}
        self._asked: Counter[tuple] = Counter()

    def issue(self, switches: Switches, corp_id: str, secret_kind: str, ticket: str, wall: float) -> dict:
        """The answer of get_jsapi_ticket or ticket/get. Raises WeComError 45009 above 400 an hour per corp, 100 per app."""
        self._count(switches, corp_id, secret_kind, ticket, wall)
        key = (corp_id, ticket if ticket == CORP else f"{ticket}/{secret_kind}")
        value, ends = self._current.get(key, ("", 0.0))
        if ends <= wall:
            value, ends = self._current[key] = (secrets.token_urlsafe(64), wall + TICKET_LIFE)
        return {"ticket": value, "expires_in": math.ceil(ends - wall)}

    def _count(self, switches: Switches, corp_id: str, secret_kind: str, ticket: str, wall: float) -> None:
        slot = int(wall // 3600)
        limits = {
            (corp_id, "", ticket): switches.tickets_per_corp_hour,
            (corp_id, secret_kind, ticket): switches.tickets_per_app_hour,
        }
        for who, most in limits.items():
            if self._asked[*who, slot] >= most:
                raise WeComError(45009)
        for who in limits:
            self._asked[*who, slot] += 1

    def judge(self, corp_id: str, secret_kind: str, ticket: str, signed: dict, wall: float) -> int:
        """What a page that presents this signature meets: 0, 40093 (wrong), or 42012 (signed with the other ticket)."""
        for kind in (CORP, AGENT):
            value, ends = self._current.get((corp_id, kind if kind == CORP else f"{kind}/{secret_kind}"), ("", 0.0))
            if ends > wall and signed.get("signature") == _signature(value, signed):
                return 0 if kind == ticket else 42012
        return 40093


def _signature(ticket: str, signed: dict) -> str:
    parts = f"jsapi_ticket={ticket}&noncestr={signed['noncestr']}&timestamp={signed['timestamp']}&url={signed['url']}"
    return hashlib.sha1(parts.encode(), usedforsecurity=False).hexdigest()
