"""Routes of the browser tests: the style pages, and answers of every kind a script must cope with."""

from django.http import HttpRequest, HttpResponse
from django.template import RequestContext, Template
from django.urls import path
from django.views.i18n import set_language

from scrm.lib.errors import UserError
from scrm.ui import toasts, views


def saved(request: HttpRequest) -> HttpResponse:
    return toasts.add_toast(HttpResponse('<p id="answer">已保存</p>'), "已给 2 位客户打标签", "ok")


def refused(request: HttpRequest) -> HttpResponse:
    raise UserError("审批已过期:请重新提交。")


def broken(request: HttpRequest) -> HttpResponse:
    return HttpResponse("no", status=500)


PAGE = """{% extends "base.html" %}{% block title %}试{% endblock %}{% block content %}{{ posted }}
<button type="button" hx-get="/saved/" hx-target="#answer-here" hx-swap="innerHTML">saved</button>
<button type="button" hx-get="/refused/" hx-target="#answer-here" hx-swap="innerHTML">refused</button>
<button type="button" hx-get="/broken/" hx-target="#answer-here" hx-swap="innerHTML">broken</button>
<button type="button" hx-get="/saved/" hx-target="#answer-here" hx-swap="innerHTML" hx-confirm="会覆盖现有内容。">asked</button>
<div id="answer-here"></div>{% endblock %}"""


def try_page(request: HttpRequest) -> HttpResponse:
    """Buttons that ask by htmx; after a post, what was posted."""
    posted = {key: request.POST.getlist(key) for key in ("ids", "select_all", "expected", "action")}
    return HttpResponse(Template(PAGE).render(RequestContext(request, {"posted": str(posted)})))


urlpatterns = [
    path("style/", views.style_page),
    path("try/", try_page),
    path("style/phone/", views.style_phone_page),
    path("saved/", saved),
    path("refused/", refused),
    path("broken/", broken),
    path("language/", set_language, name="set_language"),
]
