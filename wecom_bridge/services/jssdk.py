"""What a page shows the JS-SDK: a signature for the corp (wx.config) and one for the app (wx.agentConfig) (platform reference D3)."""

import secrets
from dataclasses import dataclass

from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.errors import TryLater, UserError
from wecom_bridge.gateway import CallError
from wecom_bridge.services import tickets
from wecom_bridge.weblinks import App


@dataclass(frozen=True)
class Signed:
    """One signature with what went into it besides the address."""

    timestamp: int
    nonce: str
    signature: str

    def shown(self) -> dict[str, int | str]:
        """As the SDK takes it."""
        return {"timestamp": self.timestamp, "nonceStr": self.nonce, "signature": self.signature}


def sign_page(app: App, url: str) -> tuple[Signed, Signed]:
    """For the corp and for the app. Raises UserError; RuntimeError inside a transaction where a ticket must be asked for."""
    try:
        return _sign(tickets.corp_ticket(app.corp), url), _sign(tickets.agent_ticket(app.corp), url)
    except CallError as error:
        if error.retryable:
            raise TryLater(_("企业微信现在没有回答,请过一会儿再试。"), code="wecom_unavailable") from error
        raise UserError(
            _("企业微信拒绝了签名请求(错误码 %(code)s)。请管理员在「接入体检」里查看。") % {"code": error.code}
        ) from error


def _sign(ticket: str, url: str) -> Signed:
    now, nonce = int(clock.wall().timestamp()), secrets.token_hex(8)
    return Signed(now, nonce, tickets.js_signature(ticket, nonce, now, url))
