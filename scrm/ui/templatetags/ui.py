"""Tags and filters of the house; docs/ui.md shows each in use. Built in: templates need no {% load %}."""

import json
import zlib
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django import template
from django.conf import settings
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, FileInput, RadioSelect, Select, Textarea
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from scrm.ui import assets, numbers
from scrm.ui.charts import Chart
from scrm.ui.toasts import TONES

register = template.Library()

PILL_ICONS = {
    "ok": "check",
    "warn": "triangle-alert",
    "bad": "x",
    "run": "loader-circle",
    "wait": "clock",
    "idle": "circle-dashed",
}


@register.simple_tag
def ui_styles() -> SafeString:
    """The style sheets of the page, and the mark of its tab."""
    sheets = format_html_join("\n", '<link rel="stylesheet" href="{}">', ((url,) for url in assets.style_urls()))
    return format_html('<link rel="icon" href="{}" type="image/svg+xml">\n{}', static(assets.current().mark), sheets)


@register.simple_tag
def ui_scripts() -> SafeString:
    """The one script of the page; ECharts follows by itself where there is a chart."""
    return format_html('<script type="module" src="{}"></script>', static(assets.current().script))


@register.simple_tag
def icon(name: str, css: str = "", label: str = "") -> SafeString:
    """An icon of frontend/icons.json. Without a label it is decoration and hidden from screen readers."""
    if not _icon_exists(name):
        if settings.DEBUG:
            raise template.TemplateSyntaxError(f"Icon {name!r} is not in frontend/icons.json")
        name = "circle"
    meaning = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html('<svg class="icon {}" {}><use href="{}"></use></svg>', css, meaning, assets.icon_url(name))


def _icon_exists(name: str) -> bool:
    return name in _icon_names()


def _icon_names() -> frozenset[str]:
    global _ICONS
    if _ICONS is None:
        path = Path(settings.FRONTEND_DIST).parent / "icons.json"
        _ICONS = frozenset(json.loads(path.read_text(encoding="utf-8")))
    return _ICONS


_ICONS: frozenset[str] | None = None


@register.simple_tag
def pill(text: str, tone: str = "idle", icon_name: str = "") -> SafeString:
    """A status: a word, an icon, and only then a colour. Tones: ok warn bad run wait idle."""
    return format_html(
        '<span class="pill pill-{}">{}{}</span>', tone, icon(icon_name or PILL_ICONS.get(tone, "circle-dashed")), text
    )


@register.simple_tag
def avatar(name: str, css: str = "") -> SafeString:
    """The initial of a name on a quiet ground that stays the same for the same name; decoration, so hidden."""
    text = name.strip()
    ground = zlib.crc32(text.encode()) % 6
    return format_html(
        '<span class="avatar avatar-{} {}" aria-hidden="true">{}</span>', ground, css, text[:1].upper() or "?"
    )


@register.inclusion_tag("ui/chart.html")
def chart(chart: Chart, size: str = "") -> dict[str, Any]:
    """A chart with its table beside it. Sizes: short, (normal), tall."""
    return {"chart": chart, "size": size, "data_id": f"chart-{chart.key}"}


@register.inclusion_tag("ui/field.html")
def field(bound: BoundField, label: str = "", optional: bool = True) -> dict[str, Any]:
    """A form field: label, control, help, and the error that says what to do."""
    widget = bound.field.widget
    return {
        "field": bound,
        "label": label or bound.label,
        "control": bound.as_widget(attrs={"class": _control_class(widget)}),
        "is_check": isinstance(widget, CheckboxInput),
        "is_group": isinstance(widget, RadioSelect | CheckboxSelectMultiple),
        "is_hidden": bound.is_hidden,
        "mark_optional": optional and not bound.field.required and not isinstance(widget, CheckboxInput),
    }


def _control_class(widget: Any) -> str:
    own = widget.attrs.get("class", "")
    for kind, css in (
        # Django would put the class on the wrapper too: groups are styled by .choices.
        (CheckboxSelectMultiple | RadioSelect, ""),
        (CheckboxInput, "checkbox checkbox-primary"),
        (Select, "select"),
        (Textarea, "textarea"),
        (FileInput, "file-input"),
    ):
        if isinstance(widget, kind):
            return f"{css} {own}".strip()
    return f"input {own}".strip()


@register.filter
def num(value: int | float | Decimal | None, digits: int = 0) -> str:
    return numbers.number(value, digits)


@register.filter
def pct(value: int | float | Decimal | None, digits: int = 1) -> str:
    return numbers.percent(value, digits)


@register.filter
def money(minor: int | None, currency: str = "CNY") -> str:
    return numbers.money(minor, currency)


@register.filter
def stamp(moment: datetime | None) -> str:
    """2026-11-23 10:20 in the tenant's time; a dash when unknown."""
    if not moment:
        return numbers.UNKNOWN
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M")


@register.filter
def day_time(moment: datetime | None) -> str:
    """11-23 10:20: for tables that stay within a year."""
    if not moment:
        return numbers.UNKNOWN
    return timezone.localtime(moment).strftime("%m-%d %H:%M")


@register.filter
def duration(seconds: int | float | None) -> str:
    """Time left, in words: 40 秒, 3 分钟, 2 小时 5 分."""
    if seconds is None:
        return numbers.UNKNOWN
    whole = int(seconds)
    if whole < 60:
        return _("%(n)d 秒") % {"n": max(whole, 1)}
    if whole < 3600:
        return _("%(n)d 分钟") % {"n": round(whole / 60)}
    return _("%(hours)d 小时 %(minutes)d 分") % {"hours": whole // 3600, "minutes": whole % 3600 // 60}


@register.filter
def ms(milliseconds: int | float | None) -> str:
    """A short time: 80 ms, 1.2 s; a dash when unknown."""
    if milliseconds is None or milliseconds == "":
        return numbers.UNKNOWN
    return f"{round(milliseconds)} ms" if milliseconds < 1000 else f"{round(milliseconds / 1000, 1):g} s"


@register.filter
def tone(message: Any) -> str:
    """The toast tone of a Django message."""
    return TONES.get(message.level, "info")
