"""The callback address, from outside: we knock at it as WeCom does, and say who on the way spoils what."""

from collections import Counter
from datetime import datetime, timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scrm.lib import clock
from wecom_bridge.callbacks import knocks
from wecom_bridge.models import InboundEvent
from wecom_bridge.services.doctor import knocking, words
from wecom_bridge.services.doctor.finding import Check, Finding, State, bad, ok, warn
from wecom_bridge.services.doctor.patient import Patient

RECENT = timedelta(hours=1)
QUIET = timedelta(days=3)

# What a refused call says about the console's settings (or about what lies between).
_CAUSES: dict[str, tuple[Promise, Promise]] = {
    "wrong signature": (
        gettext_lazy("控制台里的 Token 与本系统的不一致,或中间的代理改了内容"),
        gettext_lazy("到%(at)s重新填写 Token;不知道是多少,就在本系统「重新生成回调密钥」后一起重填。"),
    ),
    "wrong key": (
        gettext_lazy("控制台里的 EncodingAESKey 与本系统的不一致"),
        gettext_lazy("到%(at)s重新填写 EncodingAESKey;不知道是多少,就在本系统「重新生成回调密钥」后一起重填。"),
    ),
    "meant for another corp": (
        gettext_lazy("回调来自另一家企业,企业 ID 对不上"),
        gettext_lazy("核对本系统里的企业 ID,以及这个网址是不是填到了另一家企业的%(at)s。"),
    ),
    "no signature": (gettext_lazy("网址后面的参数没有传到"), knocking.PASS_QUERY),
    "a plus became a blank": (gettext_lazy("参数被代理多解码了一次,加号变成了空格"), knocking.PASS_QUERY),
    "body too large": (gettext_lazy("请求正文超过 256 KB"), knocking.PASS_BODY),
}
_SPOILT_BODY = (gettext_lazy("请求正文在路上被截断或改写"), knocking.PASS_BODY)


def check_address(patient: Patient) -> Finding:
    """The self-test: a GET as WeCom verifies, a POST as WeCom tells, both through the public address."""
    if patient.route is None or patient.credential is None or not patient.credential.callback_token:
        return bad(_("还没有回调网址。"), _("没有回调,新加的客户要等到夜里核对才看得到。"), _("先保存企业的接入信息。"))
    found = knocking.examine(patient.route, patient.corp)
    last = _last_arrival(patient)
    if found.state == State.UNKNOWN and last and clock.wall() - last < QUIET:
        # Many a house does not let a server reach its own public address; that WeCom reaches it is what counts.
        return warn(found.saw, _("企业微信自己能到达,所以回调是通的,只是没法从这里自测。"), found.fix, **found.facts)
    return found


def _last_arrival(patient: Patient) -> datetime | None:
    """When WeCom last came by with the right keys, for an event or a verification."""
    latest = InboundEvent.objects.filter(corp=patient.corp).order_by("-received_at").values("received_at").first()
    verified = knocks.recall(patient.route.opaque).verified_at if patient.route else None
    return max((at for at in (latest and latest["received_at"], verified) if at), default=None)


def check_arrivals(patient: Patient) -> Finding:
    """Whether WeCom itself has come by: the console's side, which our own knock cannot prove."""
    last = _last_arrival(patient)
    since = max(last or clock.wall() - RECENT, clock.wall() - RECENT)
    refusals = knocks.recall(patient.route.opaque).refusals if patient.route else []
    refused = Counter(cause for at, cause in refusals if at > since)
    if refused:
        return _refused(refused)
    fix = _("到%(at)s填入回调网址、Token 和 EncodingAESKey,点保存。") % {"at": words.AT_CALLBACK}
    if last is None:
        return bad(_("企业微信还没有来过。"), _("控制台里还没有保存回调,新客户和退群都不会实时到达。"), fix)
    if clock.wall() - last > QUIET:
        why = _("这几天没有任何新客户或变动才会这样;否则是回调断了。")
        return warn(_("三天以上没有收到回调。"), why, fix, last=last.isoformat())
    return ok(_("企业微信的回调能到达。"), last=last.isoformat())


def _refused(causes: Counter[str]) -> Finding:
    cause, times = causes.most_common(1)[0]
    meaning, fix = _CAUSES.get(cause, _SPOILT_BODY)
    saw = _("最近一小时拒绝了 %(n)s 次回调:%(meaning)s。") % {"n": times, "meaning": meaning}
    why = _("被拒绝的回调企业微信最多再送三次,之后就丢了。")
    return bad(saw, why, str(fix) % {"at": words.AT_CALLBACK}, causes=dict(causes))


CHECKS = (
    Check("callback", "callback", gettext_lazy("回调网址自测"), check_address),
    Check("arrivals", "callback", gettext_lazy("企业微信的回调"), check_arrivals),
)
