"""Which families of calls the app may make: the harmless reading call of each, tried."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scrm.lib import clock
from wecom_bridge.gateway import CallError
from wecom_bridge.gateway.errors import NO_RELATION
from wecom_bridge.services.doctor import words
from wecom_bridge.services.doctor.finding import Check, Finding, bad, ok, warn
from wecom_bridge.services.doctor.patient import Patient


def probe(key: str, label: Promise, what_for: Promise, ask: Callable[[Patient], Any]) -> Check:
    """A check that a reading call is allowed. what_for: what stays away without it."""

    def run(patient: Patient) -> Finding:
        try:
            ask(patient)
        except CallError as error:
            found = words.explain(error)
            return Finding(found.state, found.saw, str(what_for), found.fix, found.facts)
        return ok(_("可以读取。"))

    return Check(f"api.{key}", "allowed", label, run, needs=("secret", "egress"))


def _customers(patient: Patient) -> None:
    """One member's first page; a member without customers (84061) is an answer too."""
    if not patient.serving():
        return
    try:
        patient.customers()
    except CallError as error:
        if error.errcode != NO_RELATION:
            raise


def _groups(patient: Patient) -> None:
    if patient.serving():
        patient.ask("groups", lambda: patient.gateway.get_group_page(patient.serving()[:1]))


def _sends(patient: Patient) -> None:
    """Mass sends of the last hour: a window that costs nothing."""
    now = clock.now()
    start, end = int((now - timedelta(hours=1)).timestamp()), int(now.timestamp())
    patient.ask(
        "sends",
        lambda: patient.gateway.get_groupmsg_list_v2(chat_type="single", start_time=start, end_time=end, limit=1),
    )


def check_unionid(patient: Patient) -> Finding | None:
    """Whether WeCom tells the unionid of WeChat customers, and which keys bind orders without it. Nothing to say while no
    WeChat customer was read. Raises CallError."""
    try:
        people = [row["external_contact"] for row in patient.customers()] if patient.serving() else []
    except CallError as error:
        if error.errcode != NO_RELATION:
            raise
        people = []
    wechat = [one for one in people if int(one.get("type") or 0) == 1]
    if not wechat:
        return None
    known = sum(1 for one in wechat if one.get("unionid"))
    if not known:
        return warn(
            _("企业微信没有给出客户的 unionid。"),
            _("订单只能按 external_userid 和手机号绑定到客户;小程序、公众号的订单带手机号才绑得上。"),
            _("需要 unionid 时,到「客户联系 › 客户 › API」下方绑定同主体的微信开发者账号,再同步一次。"),
            available=False,
        )
    if not patient.corp.open_account:
        return warn(
            _("企业微信给出了 unionid,但没有填写微信开放平台账号。"),
            _("不知道 unionid 属于哪个开放平台账号,订单就不能按它绑定。"),
            _("到「企业微信接入 › 修改」填写微信开放平台账号。"),
            available=True,
        )
    return ok(_("有 unionid;订单可按 unionid、external_userid 和手机号绑定。"), available=True)


def check_serving(patient: Patient) -> Finding:
    """get_follow_user_list. Raises CallError."""
    serving = patient.serving()
    if not serving:
        return bad(
            _("没有读到开通客户联系的成员。"),
            _("没有客户联系就没有客户可同步。"),
            _("先到%(serving)s加上导购,再到%(range)s把他们的部门加进来。")
            % {"serving": words.AT_SERVING, "range": words.AT_RANGE},
        )
    return ok(_("%(n)s 位成员开通了客户联系。") % {"n": len(serving)}, serving=len(serving))


CHECKS = (
    Check("api.serving", "allowed", gettext_lazy("客户联系成员"), check_serving, needs=("secret", "egress")),
    probe("customers", gettext_lazy("客户资料"), gettext_lazy("读不到客户,就没有客户列表和人群。"), _customers),
    probe("groups", gettext_lazy("客户群"), gettext_lazy("客户群和群发到群都用不了。"), _groups),
    probe("tags", gettext_lazy("企业标签"), gettext_lazy("标签不能双向同步。"), lambda patient: patient.tag_groups()),
    probe("sends", gettext_lazy("群发记录"), gettext_lazy("不能建群发任务,也算不出客户本月还能收几条。"), _sends),
    probe(
        "directory",
        gettext_lazy("通讯录"),
        gettext_lazy("不知道谁在哪个部门,客户归不到门店。"),
        lambda patient: patient.departments(),
    ),
    Check("unionid", "allowed", gettext_lazy("unionid 与绑定"), check_unionid, needs=("api.serving", "api.customers")),
)
