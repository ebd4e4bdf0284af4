"""What is open without a log-in: the super-admin's 接入清单, and the file by which WeCom checks a domain."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.access import public
from wecom_bridge import queries
from wecom_bridge.models import VerifyFile
from wecom_bridge.services import checklist, onboarding


@public("whoever holds the signed link is the super-admin it was made for")
@never_cache
@require_safe
def checklist_page(request: HttpRequest, token: str) -> HttpResponse:
    """The steps with their ticks. With ?part=steps only these, brought up to date. 404 for a link that is no longer good."""
    link = checklist.find_link(token)
    if link is None:
        raise Http404
    is_part = bool(request.GET.get("part"))
    if is_part:
        checklist.look_again(link.corp)
    stages = onboarding.list_stages(link.corp)
    context = {
        "corp": link.corp,
        "link": link,
        "stages": stages,
        "is_ready": onboarding.is_ready(stages),
        "files": queries.list_verify_files(),
    }
    template = "wecom_bridge/checklist.html"
    return render(request, f"{template}#steps" if is_part else template, context)


@public("WeCom's console fetches it to see that the domain is ours")
@require_safe
def verify_file(request: HttpRequest, name: str) -> HttpResponse:
    """WW_verify_….txt as it was uploaded, on this merchant's own hosts alone."""
    row = get_object_or_404(VerifyFile, name=name)
    return HttpResponse(row.content, content_type="text/plain")
