"""设置 → 企业微信登录: what to fill in at WeCom, and whether a guide's first log-in makes her account."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, requires
from contacts.models import WecomLoginRule
from contacts.services import wecom_login
from wecom_bridge import weblinks
from wecom_bridge.models import Corp


@require_GET
@requires("users.manage")
def login_settings(request: MemberRequest) -> HttpResponse:
    """Each connected corp with the addresses to copy, and its switch."""
    makers = set(WecomLoginRule.objects.filter(makes_accounts=True).values_list("corp_id", flat=True))
    cards = [
        {
            "corp": app.corp,
            "makes_accounts": app.corp.pk in makers,
            "values": [
                (_("可信域名、授权回调域"), request.get_host()),
                (_("应用主页"), request.build_absolute_uri("/today/")),
                (
                    _("聊天工具栏页面"),
                    request.build_absolute_uri(reverse("contacts:toolbar", args=[app.corp.pk])),
                ),
            ],
        }
        for app in weblinks.connected_apps()
    ]
    return render(request, "contacts/wecom_settings.html", {"cards": cards})


@require_POST
@requires("users.manage")
def login_rule(request: MemberRequest, pk: int) -> HttpResponse:
    """Turn the switch."""
    corp = get_object_or_404(Corp, pk=pk)
    wecom_login.set_rule(corp, makes_accounts=request.POST.get("makes_accounts") == "1", by=request.actor)
    messages.success(request, _("已保存。"))
    return redirect("contacts:wecom_settings")
