"""The way out: does WeCom answer at all, from which address do we come, and does the app trust it."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wecom_bridge.gateway import CallError
from wecom_bridge.services.doctor import words
from wecom_bridge.services.doctor.finding import Check, Finding, bad, ok, unknown, warn
from wecom_bridge.services.doctor.patient import Patient


def check_reach(patient: Patient) -> Finding:
    """WeCom's API answers this server."""
    hello = patient.hello
    if not hello.failure:
        return ok(_("企业微信接口有应答。"), ip=hello.ip)
    saw = {
        "ssl": _("到企业微信的加密连接被打断(证书不可信)。"),
        "timeout": _("企业微信接口在几秒内没有应答。"),
    }.get(hello.failure, _("连不上企业微信接口。"))
    fix = _("请运维检查本服务器的 DNS、防火墙和上网代理,放行到 qyapi.weixin.qq.com 的 443 端口,且不要替换证书。")
    return bad(saw, _("连不上就什么都读不到,也发不出。"), fix, failure=hello.failure)


def check_trusted_ip(patient: Patient) -> Finding:
    """企业可信IP: a harmless call passes. Remembers the address, to notice when it changes."""
    ip = patient.hello.ip
    try:
        patient.serving()
    except CallError as error:
        code = words.code_of(error)
        if code in (None, 60020):
            return words.explain(error)
        if code not in (48002, 60011, 84074):  # anything else was said before, or without, looking at the address
            return unknown(_("Secret 还没通过,看不出 IP 是否可信。"), words.how_to_add(ip), ip=ip)
    earlier = str(patient.before["egress"].facts.get("ip", "")) if "egress" in patient.before else ""
    if ip and earlier and earlier != ip:
        saw = _("出口 IP 从 %(before)s 变成了 %(now)s,现在仍被接受。") % {"before": earlier, "now": ip}
        why = _("多个出口轮换时,没加进可信IP的那个会让一部分调用失败。")
        return warn(saw, why, words.how_to_add(f"{earlier};{ip}"), ip=ip)
    return ok(_("出口 IP %(ip)s 已被信任。") % {"ip": ip} if ip else _("调用被接受。"), ip=ip)


CHECKS = (
    Check("reach", "app", gettext_lazy("连到企业微信"), check_reach),
    Check("egress", "ip", gettext_lazy("企业可信IP"), check_trusted_ip, needs=("reach",)),
)
