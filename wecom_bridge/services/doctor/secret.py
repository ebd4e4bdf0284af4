"""The app's Secret: does gettoken take it."""

from dataclasses import replace
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wecom_bridge.gateway import CallError
from wecom_bridge.services.doctor import words
from wecom_bridge.services.doctor.finding import Check, Finding, ok, unknown
from wecom_bridge.services.doctor.patient import Patient


def check_secret(patient: Patient) -> Finding:
    """A token is there, or is given. A Secret refused before is not tried again: WeCom bans an address that insists."""
    refused_at = patient.credential.broken_at if patient.credential else None
    try:
        patient.ask("token", lambda: patient.gateway.warm_token())  # type: ignore[func-returns-value]  # asked for its refusal alone
    except CallError as error:
        if words.code_of(error) == 60020:
            return unknown(_("企业微信先看 IP:加进可信IP以前,Secret 是否正确还看不出来。"), errcode=60020)
        found = words.explain(error)
        return _not_again(found, refused_at) if refused_at and error.held else found
    return ok(_("Secret 有效。"))


def _not_again(found: Finding, refused_at: datetime) -> Finding:
    """What WeCom said when it was asked, and that entering a Secret is what lets it be asked again."""
    at = timezone.localtime(refused_at).strftime("%Y-%m-%d %H:%M")
    saw = _("%(saw)s 这是 %(at)s 的答复,之后没有再试。") % {"saw": found.saw, "at": at}
    fix = _("%(fix)s 处理后到「企业微信接入 › 修改」填入 Secret 并保存,才会再试。") % {"fix": found.fix}
    return replace(found, saw=saw, fix=fix)


CHECKS = (Check("secret", "app", gettext_lazy("应用 Secret"), check_secret, needs=("reach",)),)
