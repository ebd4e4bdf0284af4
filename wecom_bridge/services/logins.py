"""Whose code it is that somebody came back with from WeCom's log-in page."""

from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from scrm.lib.errors import TryLater, UserError
from wecom_bridge.gateway import CallError, gateway_for
from wecom_bridge.models import Corp
from wecom_bridge.shapes.logins import UserInfo

LONGEST_CODE = 512
SPENT = {40029, 42003, 42022}
WRONG_DOMAIN, OUT_OF_RANGE = 50001, {50002, 60011, 60111}


class CodeRefused(UserError):
    """The code is no code, used, or too old: a guess, or a page opened twice."""

    code = "code_refused"
    status = 400


class OutOfRange(UserError):
    """The member may not use the app."""

    code = "out_of_range"
    status = 403


class NoAnswer(TryLater):
    """WeCom does not answer, or not now."""

    code = "wecom_unavailable"
    status = 503


@sensitive_variables("code")
def who_is(corp: Corp, code: str) -> UserInfo:
    """Spend a code. Raises CodeRefused, OutOfRange, NoAnswer or UserError; RuntimeError inside a transaction."""
    if not code.isascii() or not code.isprintable() or len(code) > LONGEST_CODE:
        raise _spent()
    try:
        return gateway_for(corp).get_user_info(code)
    except CallError as error:
        raise _refusal(error) from None  # WeCom's words add nothing, and nothing of the call may travel on


def _refusal(error: CallError) -> UserError:
    if error.errcode in SPENT:
        return _spent()
    if error.errcode in OUT_OF_RANGE:
        return OutOfRange(_("您不在应用的可见范围里,不能用企业微信登录。请联系管理员把您加进可见范围。"))
    if error.errcode == WRONG_DOMAIN:
        return UserError(_("这个网址不是应用的可信域名(错误码 50001)。请管理员到「网页授权及 JS-SDK」里设置可信域名。"))
    if error.errcode == 48002:
        return UserError(_("应用没有识别成员身份的权限(错误码 48002)。请管理员在「接入体检」里查看。"))
    return NoAnswer(_("企业微信现在没有回答,请过一会儿再试,或用密码登录。"))


def _spent() -> CodeRefused:
    return CodeRefused(_("这次登录已经用过或过期了(登录码 5 分钟内有效,只能用一次)。请重新登录。"))
