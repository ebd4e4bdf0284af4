"""Who is on a page, and JS-SDK tickets (platform reference D)."""

from wecom_bridge.gateway.core import Core
from wecom_bridge.shapes.logins import Ticket, UserDetail, UserInfo
from wecom_bridge.shapes.pieces import Row, integer, needed, text


class Logins(Core):
    """身份验证."""

    def get_user_info(self, code: str) -> UserInfo:
        """auth/getuserinfo: the code of an in-app or browser log-in, 5 minutes (42003), once (40029, 42022) (D2).

        50001: the secret may not spend codes; 50002: out of range."""
        return self._fetch("auth/getuserinfo", read_info, code=code)

    def get_user_detail(self, user_ticket: str) -> UserDetail:
        """auth/getuserdetail: what the member agreed to show; 84014 expired, 84015 wrong ticket (D2)."""
        return self._ask("auth/getuserdetail", {"user_ticket": user_ticket}, read_detail, under="")

    def get_jsapi_ticket(self) -> Ticket:
        """get_jsapi_ticket, for wx.config: 400 calls an hour per corp, 100 per app (J). Use services.tickets, which keeps it."""
        return self._fetch("get_jsapi_ticket", read_ticket)

    def get_agent_ticket(self) -> Ticket:
        """ticket/get?type=agent_config, for wx.agentConfig: 100 calls an hour per app (J). Use services.tickets, which keeps it."""
        return self._fetch("ticket/get", read_ticket, type="agent_config")


def read_info(answer: Row) -> UserInfo:
    """The old answer's UserId and OpenId are understood as well."""
    return UserInfo(
        userid=text(answer, "userid") or text(answer, "UserId"),
        user_ticket=text(answer, "user_ticket"),
        openid=text(answer, "openid") or text(answer, "OpenId"),
        external_userid=text(answer, "external_userid"),
    )


def read_detail(answer: Row) -> UserDetail:
    names = ("userid", "gender", "avatar", "qr_code", "mobile", "email", "biz_mail", "address")
    return UserDetail(**{name: text(answer, name) for name in names})


def read_ticket(answer: Row) -> Ticket:
    """Raises Malformed without a ticket: an empty one would be kept for two hours."""
    return Ticket(needed(answer, "ticket"), integer(answer, "expires_in", 7200))
