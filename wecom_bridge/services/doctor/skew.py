"""This server's clock against WeCom's: signatures, tokens and the 20 seconds of a welcome are counted by it."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from wecom_bridge.services.doctor.finding import Check, Finding, bad, ok, unknown, warn
from wecom_bridge.services.doctor.patient import Patient

# The Date header has whole seconds and the way there takes some; beyond 5 s of the 20 s of a welcome it hurts.
WARN_SECONDS, BAD_SECONDS = 5, 60


def check_clock(patient: Patient) -> Finding:
    """How far our clock is from the Date of WeCom's answer."""
    skew = patient.hello.skew
    if skew is None:
        return unknown(_("企业微信的应答里没有时间。"))
    seconds = round(skew.total_seconds())
    if abs(seconds) <= WARN_SECONDS:
        return ok(_("与企业微信的时间一致。"), seconds=seconds)
    off = ngettext("%(n)s 秒", "%(n)s 秒", abs(seconds)) % {"n": abs(seconds)}
    saw = _("本服务器的时钟慢了 %(off)s。") if seconds > 0 else _("本服务器的时钟快了 %(off)s。")
    why = _("令牌、欢迎语的 20 秒和群发时间都按它计算。")
    fix = _("请运维在服务器上开启自动校时(NTP)。")
    judge = bad if abs(seconds) > BAD_SECONDS else warn
    return judge(saw % {"off": off}, why, fix, seconds=seconds)


CHECKS = (Check("clock", "app", gettext_lazy("服务器时钟"), check_clock, needs=("reach",)),)
