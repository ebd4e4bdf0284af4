"""Who is on a page, and JS-SDK tickets (platform reference D)."""

from typing import Any

from wecom_bridge.gateway.core import Core
from wecom_bridge.gateway.lenient import number, text
from wecom_bridge.shapes.logins import Ticket, UserDetail, UserInfo


class Logins(Core):
    """身份验证."""

    def get_user_info(self, code: str) -> UserInfo:
        """auth/getuserinfo: the code of an in-app or browser log-in, 5 minutes (42003), once (40029, 42022) (D2).

        50001: the secret may not spend codes; 50002: out of range."""
        return read_info(self._call("auth/getuserinfo", lambda: self.client.logins.user_info(code)))

    def get_user_detail(self, user_ticket: str) -> UserDetail:
        """auth/getuserdetail: what the member agreed to show; 84014 expired, 84015 wrong ticket (D2)."""
        return read_detail(self._call("auth/getuserdetail", lambda: self.client.logins.user_detail(user_ticket)))

    def get_jsapi_ticket(self) -> Ticket:
        """get_jsapi_ticket, for wx.config: 400 calls an hour per corp, 100 per app (J). Use services.tickets, which keeps it."""
        return read_ticket(self._call("get_jsapi_ticket", self.client.logins.corp_ticket))

    def get_agent_ticket(self) -> Ticket:
        """ticket/get?type=agent_config, for wx.agentConfig: 100 calls an hour per app (J). Use services.tickets, which keeps it."""
        return read_ticket(self._call("ticket/get", self.client.logins.agent_ticket))


def read_info(answer: dict[str, Any]) -> UserInfo:
    """The old answer's UserId and OpenId are understood as well."""
    return UserInfo(
        userid=text(answer, "userid") or text(answer, "UserId"),
        user_ticket=text(answer, "user_ticket"),
        openid=text(answer, "openid") or text(answer, "OpenId"),
        external_userid=text(answer, "external_userid"),
    )


def read_detail(answer: dict[str, Any]) -> UserDetail:
    names = ("userid", "gender", "avatar", "qr_code", "mobile", "email", "biz_mail", "address")
    return UserDetail(**{name: text(answer, name) for name in names})


def read_ticket(answer: dict[str, Any]) -> Ticket:
    """Raises KeyError without a ticket: an empty one would be kept for two hours."""
    return Ticket(str(answer["ticket"]), number(answer, "expires_in", 7200))
