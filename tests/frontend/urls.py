"""Routes of the browser tests: the style pages, and answers of every kind a script must cope with."""

from django.contrib import messages
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


ROWS = """{% extends "base.html" %}{% block title %}名单{% endblock %}{% block content %}
<form method="post" action="/try/" x-data="bulk" data-total="5">{% csrf_token %}
  <div id="rows" data-list-total="5">
    <table class="table-dense"><tbody>{% for pk in pks %}<tr><td>
      <input type="checkbox" data-row value="{{ pk }}" x-on:change="flip" aria-label="{{ pk }}">
    </td></tr>{% endfor %}</tbody></table>
    {% include "ui/pager.html" with total=5 shown=pks|length previous_url=previous next_url=next target="#rows" %}
  </div>
  <div class="bulk-bar" x-show="any" x-cloak>{% include "ui/bulk_bar.html" %}<button name="action" value="tag">post</button></div>
</form>{% endblock %}"""


def rows(request: HttpRequest) -> HttpResponse:
    """Five rows on two pages; turning the page leaves a message behind."""
    second = "after" in request.GET
    if second:
        messages.info(request, "第二页")
    context = {
        "pks": [4, 5] if second else [1, 2, 3],
        "previous": "/rows/" if second else "",
        "next": "" if second else "/rows/?after=3",
    }
    return HttpResponse(Template(ROWS).render(RequestContext(request, context)))


urlpatterns = [
    path("style/", views.style_page),
    path("try/", try_page),
    path("style/phone/", views.style_phone_page),
    path("rows/", rows),
    path("saved/", saved),
    path("refused/", refused),
    path("broken/", broken),
    path("language/", set_language, name="set_language"),
]
