"""gettoken and the tokens it gave: one per secret, the same one while it is valid."""

import math
import secrets
from typing import TYPE_CHECKING

from simulator.api.errors import WeComError
from simulator.clock import wall
from simulator.corp import TOKEN_LIFE, AccessToken

if TYPE_CHECKING:
    from simulator.simulator import Simulator

BAN = 3600.0
WRONG_SECRETS_BEFORE_BAN = 10
KEEP = 1000


class TokenOffice:
    """Tokens of all corps of the process, by value and by (corp, secret kind)."""

    def __init__(self) -> None:
        self._by_value: dict[str, AccessToken] = {}
        self._current: dict[tuple[str, str], AccessToken] = {}
        self._wrong: dict[str, int] = {}
        self._banned: dict[str, float] = {}

    def issue(self, sim: "Simulator", given: dict, ip: str) -> dict:
        """The answer of gettoken. Raises WeComError 41002, 41004, 40013, 40091, 40001, 45009."""
        if self._banned.get(ip, 0) > wall():
            raise WeComError(45009)
        corp_id, secret = given.get("corpid", ""), given.get("corpsecret", "")
        if not corp_id:
            raise WeComError(41002)
        if not secret:
            raise WeComError(41004)
        if corp_id not in sim.corps:
            raise WeComError(40013)
        if sim.switches.block_ip:
            raise WeComError(60020)
        kind = self._kind(sim, corp_id, secret, ip)
        token = self._valid(corp_id, kind)
        return {
            "errcode": 0,
            "errmsg": "ok",
            "access_token": token.value,
            "expires_in": math.ceil(token.expires - wall()),
        }

    def _kind(self, sim: "Simulator", corp_id: str, secret: str, ip: str) -> str:
        for kind, value in sim.corps[corp_id].secrets.items():
            if value == secret:
                return kind
        if any(secret in corp.secrets.values() for corp in sim.corps.values()):
            raise WeComError(40091)
        self._wrong[ip] = self._wrong.get(ip, 0) + 1
        if sim.switches.wrong_secret_bans_ip and self._wrong[ip] >= WRONG_SECRETS_BEFORE_BAN:
            self._banned[ip] = wall() + BAN
        raise WeComError(40001)

    def _valid(self, corp_id: str, kind: str) -> AccessToken:
        token = self._current.get((corp_id, kind))
        if token is None or token.revoked or token.expires <= wall():
            self._forget_oldest()
            token = AccessToken(secrets.token_urlsafe(64), corp_id, kind, wall() + TOKEN_LIFE)
            self._current[corp_id, kind] = self._by_value[token.value] = token
        return token

    def _forget_oldest(self) -> None:
        """Of ended tokens the last are enough: a forgotten one is unknown instead of expired."""
        current = {token.value for token in self._current.values()}
        ended = [value for value in self._by_value if value not in current] if len(self._by_value) >= KEEP else []
        for value in ended[: KEEP // 2]:
            del self._by_value[value]

    def find(self, value: str) -> AccessToken | None:
        """The token of that value, valid or not."""
        return self._by_value.get(value)

    def check(self, value: str) -> AccessToken:
        """The valid token of that value. Raises WeComError 41001, 40014 or 42001."""
        if not value:
            raise WeComError(41001)
        token = self._by_value.get(value)
        if token is None or token.revoked:
            raise WeComError(40014)
        if token.expires <= wall():
            raise WeComError(42001)
        return token

    def end(self, value: str, *, expire: bool) -> None:
        """End one token early: as expired (42001) or as unknown (40014)."""
        token = self._by_value.get(value)
        if token:
            token.expires, token.revoked = (0.0, False) if expire else (token.expires, True)

    def invalidate(self, corp_id: str = "", kind: str = "", *, expire: bool = True) -> int:
        """End tokens early: as expired (42001), or as unknown (40014). Returns how many."""
        ended = 0
        for (owner, of_kind), token in list(self._current.items()):
            if corp_id in ("", owner) and kind in ("", of_kind):
                token.expires, token.revoked = (0.0, False) if expire else (token.expires, True)
                ended += 1
                del self._current[owner, of_kind]
        return ended
