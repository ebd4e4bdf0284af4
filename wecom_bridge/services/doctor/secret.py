"""The app's Secret: does gettoken take it."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wecom_bridge.gateway import CallError
from wecom_bridge.services.doctor import words
from wecom_bridge.services.doctor.finding import Check, Finding, ok, unknown
from wecom_bridge.services.doctor.patient import Patient


def check_secret(patient: Patient) -> Finding:
    """A token is there, or is given. A Secret refused before is not tried again here: WeCom bans an address that insists."""
    try:
        patient.ask("token", lambda: patient.gateway.warm_token())  # type: ignore[func-returns-value]  # asked for its refusal alone
    except CallError as error:
        if words.code_of(error) == 60020:
            return unknown(_("企业微信先看 IP:加进可信IP以前,Secret 是否正确还看不出来。"), errcode=60020)
        return words.explain(error)
    return ok(_("Secret 有效。"))


CHECKS = (Check("secret", "app", gettext_lazy("应用 Secret"), check_secret, needs=("reach",)),)
