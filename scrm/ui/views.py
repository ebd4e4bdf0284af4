"""The living style page: every component with sample content, without touching a database."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from scrm.ui import samples


def style_page(request: HttpRequest) -> HttpResponse:
    """Desktop components."""
    return render(request, "ui/style.html", _context())


def style_phone_page(request: HttpRequest) -> HttpResponse:
    """Guide components, on the phone shell."""
    return render(request, "ui/style_phone.html", {"phone_nav": samples.PHONE_NAV, "today_count": 3})


def _context() -> dict[str, object]:
    return {
        "stats": samples.STATS,
        "tabs": samples.TABS,
        "rows": samples.ROWS,
        "source_chart": samples.SOURCE_CHART,
        "trend_chart": samples.TREND_CHART,
        "form": samples.SampleForm({"name": "周末到店·小样派送", "message_class": "promo", "deadline": "22 点"}),
        "tag_names": samples.TAG_NAMES,
        "steps": samples.STEPS,
        "checks": samples.CHECKS,
        "message": samples.MESSAGE,
        "attachments": samples.ATTACHMENTS,
        "events": samples.EVENTS,
        "first_steps": samples.FIRST_STEPS,
    }
