"""服务状态: the bridge's live figures, as a page for the merchant and as text for whoever scrapes the platform."""

import hmac

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from accounts.access import MemberRequest, public, requires
from scrm.lib import clock
from wecom_bridge.figures import prometheus, sources


@require_safe
@requires("bridge.view")
def status(request: MemberRequest) -> HttpResponse:
    """Sections of every app that has figures. With ?part=figures only the part that renews itself."""
    now = clock.wall()
    sections = [(source, source.read(now)) for source in sources.all_sources()]
    context = {
        "sections": [{"source": source, "data": data} for source, data in sections if data is not None],
        "now": now,
    }
    template = "wecom_bridge/status.html"
    return render(request, f"{template}#figures" if request.GET.get("part") else template, context)


@require_safe
@public("for the platform's own monitoring, by a token of the settings; without one it does not exist")
def metrics(request: HttpRequest) -> HttpResponse:
    """GET with `Authorization: Bearer METRICS_TOKEN`; `?tenant=slug` for one merchant. 404 for anybody else."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    wanted = settings.METRICS_TOKEN
    slug = request.GET.get("tenant", "")
    # A NUL is no text to PostgreSQL.
    if not wanted or not hmac.compare_digest(given.encode(), wanted.encode()) or not slug.isprintable():
        raise Http404
    return HttpResponse(prometheus.render(slug), content_type=CONTENT_TYPE_LATEST)
