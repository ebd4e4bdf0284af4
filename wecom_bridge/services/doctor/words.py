"""WeCom's refusals in sentences: what it means, and what to do where in the console."""

import re

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wecom_bridge.gateway import CallError
from wecom_bridge.gateway.errors import address_in
from wecom_bridge.services.doctor.finding import Finding, bad, unknown

# Pages of WeCom's console.
AT_APP = gettext_lazy("「应用管理 › 应用 › 自建 › 本应用」")
AT_DOMAIN = gettext_lazy("「应用管理 › 本应用 › 网页授权及 JS-SDK › 设置可信域名」")
AT_IP = gettext_lazy("「应用管理 › 本应用 › 开发者接口 › 企业可信IP」")
AT_CALLBACK = gettext_lazy("「应用管理 › 本应用 › 功能 › 接收消息 › 设置 API 接收」")
AT_ALLOWED = gettext_lazy("「客户联系 › 可调用接口的应用」")
AT_RANGE = gettext_lazy("「应用管理 › 本应用 › 可见范围」")
AT_SERVING = gettext_lazy("「客户联系 › 权限配置 › 使用范围」")

_KNOWN: dict[int, tuple[str | Promise, str | Promise, Promise | None]] = {
    40001: (
        gettext_lazy("企业微信不认这个 Secret。"),
        gettext_lazy("Secret 可能抄错、已被重置,或应用已停用。到%(at)s重新查看 Secret,完整复制后在本系统里修改。"),
        AT_APP,
    ),
    40013: (
        gettext_lazy("企业微信里没有这个企业 ID。"),
        gettext_lazy("到%(at)s最下方核对企业 ID。"),
        gettext_lazy("「我的企业 › 企业信息」"),
    ),
    40091: (
        gettext_lazy("这个 Secret 属于另一家企业。"),
        gettext_lazy("确认登录的是同一家企业的管理后台,到%(at)s重新复制 Secret。"),
        AT_APP,
    ),
    40056: (
        gettext_lazy("没有这个 AgentId 的应用。"),
        gettext_lazy("到%(at)s核对 AgentId。"),
        AT_APP,
    ),
    301002: (
        gettext_lazy("AgentId 和 Secret 不是同一个应用的。"),
        gettext_lazy("到%(at)s把 AgentId 和 Secret 一起重新复制。"),
        AT_APP,
    ),
    50003: (gettext_lazy("应用已停用。"), gettext_lazy("到%(at)s重新启用应用。"), AT_APP),
    301007: (
        gettext_lazy("企业被企业微信封禁。"),
        gettext_lazy("请超级管理员登录管理后台查看封禁原因并申诉;解封前所有调用都会被拒绝。"),
        None,
    ),
    48002: (
        gettext_lazy("应用没有这个接口的权限。"),
        gettext_lazy("到%(at)s勾选本应用并保存。"),
        AT_ALLOWED,
    ),
    48004: (gettext_lazy("应用的授权已失效。"), gettext_lazy("到%(at)s重新勾选本应用。"), AT_ALLOWED),
    48006: (
        gettext_lazy("接口权限因长期未用被收回。"),
        gettext_lazy("到%(at)s重新勾选本应用。"),
        AT_ALLOWED,
    ),
    60011: (
        gettext_lazy("要读的成员或部门不在应用的可见范围里。"),
        gettext_lazy("到%(at)s加上门店所在的部门。"),
        AT_RANGE,
    ),
    60021: (
        gettext_lazy("要读的成员不在应用的可见范围里。"),
        gettext_lazy("到%(at)s加上门店所在的部门。"),
        AT_RANGE,
    ),
    84074: (
        gettext_lazy("成员没有开通客户联系。"),
        gettext_lazy("到%(at)s加上这些成员或他们的部门。"),
        AT_SERVING,
    ),
    84083: (
        gettext_lazy("成员不能使用客户联系。"),
        gettext_lazy("到%(at)s加上这些成员或他们的部门。"),
        AT_SERVING,
    ),
    45009: (
        gettext_lazy("调用次数超过限制,企业微信暂时不再应答。"),
        gettext_lazy("等一小时再检查;反复用错误的 Secret 也会这样。"),
        None,
    ),
}
_CODE = re.compile(r"^\[(\d+)\]")


def code_of(error: CallError) -> int | None:
    """The code that matters: of a secret that was refused earlier, the one it was refused with."""
    found = _CODE.match(error.message)
    return int(found.group(1)) if found else error.errcode


def in_our_words(text: str) -> str:
    """An error as kept (`[48002] api forbidden …`): what it means and what to do, where we know; else as it is."""
    found = _CODE.match(text)
    if found is None or int(found[1]) not in _KNOWN:
        return text
    finding = explain(CallError(text, errcode=int(found[1])))
    return f"{finding.saw}{finding.fix}"


def how_to_add(ip: str) -> str:
    """The one order in which the console lets an address be trusted."""
    shown = ip or _("本服务器的出口 IP")
    order = _(
        "按这个顺序:先在%(domain)s设好可信域名(或先设好回调),再到%(ip_page)s点「配置」填入 %(ip)s,保存后等约一分钟再检查。"
    )
    return order % {"domain": AT_DOMAIN, "ip_page": AT_IP, "ip": shown}


def explain(error: CallError) -> Finding:
    """The finding of a refused or failed call."""
    code = code_of(error)
    if code == 60020:
        ip = address_in(error.message)
        saw = _("企业微信拒绝了来自 %(ip)s 的调用:它不在企业可信IP里。") % {"ip": ip or _("本服务器")}
        return bad(saw, _("加进去之前,所有调用都会被拒绝。"), how_to_add(ip), errcode=code, ip=ip)
    if code in _KNOWN:
        meaning, fix, at = _KNOWN[code]
        return bad(f"{meaning} [{code}]", "", str(fix) % {"at": at} if at else str(fix), errcode=code)
    if code is None or error.retryable:
        return unknown(_("企业微信没有正常应答:%(error)s") % {"error": error}, _("过一会儿再检查一次。"), errcode=code)
    return bad(
        _("企业微信拒绝了这次调用:%(error)s") % {"error": error},
        "",
        _("按错误码到企业微信开发者中心查看含义:https://open.work.weixin.qq.com/devtool/query?e=%(code)s")
        % {"code": code},
        errcode=code,
    )
