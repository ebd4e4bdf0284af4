"""What a reader may choose on a report, validated at the edge."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from analytics.definitions import WINDOWS
from analytics.queries import Place
from campaigns.models import Push
from contacts.models import Member, Region, Store

MAX_SPAN_DAYS = 400
GROUPING_CHOICES = [("region", _("按大区")), ("store", _("按门店")), ("guide", _("按导购"))]


@dataclass(frozen=True)
class Choice:
    """The validated choice, with defaults for what was left out."""

    place: Place
    grouping: str
    window_days: int
    push: Push | None


class ReportForm(forms.Form):
    """GET parameters of a report. The offered places are those the reader may see."""

    region = forms.ModelChoiceField(Region.objects.none(), label=_("大区"), required=False, empty_label=_("全部大区"))
    store = forms.ModelChoiceField(Store.objects.none(), label=_("门店"), required=False, empty_label=_("全部门店"))
    guide = forms.ModelChoiceField(Member.objects.none(), label=_("导购"), required=False, empty_label=_("全部导购"))
    by = forms.ChoiceField(choices=GROUPING_CHOICES, label=_("分组"), required=False)

    def __init__(
        self, data: Any, *, regions: QuerySet[Region], stores: QuerySet[Store], members: QuerySet[Member]
    ) -> None:
        super().__init__(data)
        offers = {"region": regions, "store": stores, "guide": members}
        for name, rows in offers.items():
            self.fields[name].queryset = rows  # type: ignore[attr-defined]  # the stubs call every form field a plain Field

    def choice(self) -> Choice:
        """The choice; fields that do not validate count as not chosen, and the form shows their error."""
        self.is_valid()
        picked = getattr(self, "cleaned_data", {})

        def pk(name: str) -> int:
            row = picked.get(name)
            return row.pk if row else 0

        return Choice(
            place=Place(pk("region"), pk("store"), pk("guide")),
            grouping=picked.get("by") or "region",
            window_days=int(picked.get("window") or 7),
            push=picked.get("push"),
        )


class FunnelForm(ReportForm):
    push = forms.ModelChoiceField(Push.objects.none(), label=_("群发"), required=False, empty_label=_("近 90 天全部"))
    window = forms.TypedChoiceField(
        choices=[(days, format_lazy(_("{days} 天内"), days=days)) for days in WINDOWS], coerce=int, empty_value=None,
        label=_("下单窗口"), required=False, initial=7,
    )  # fmt: skip

    def __init__(self, data: Any, *, pushes: QuerySet[Push], **offers: Any) -> None:
        super().__init__({"window": "7", **data.dict()} if hasattr(data, "dict") else data, **offers)
        self.fields["push"].queryset = pushes  # type: ignore[attr-defined]  # the stubs call every form field a plain Field
        self.fields["push"].label_from_instance = push_label  # type: ignore[attr-defined]  # the stubs call every form field a plain Field


def push_label(push: Push) -> str:
    """「会员日双倍积分」 with its day, so that two of the same name can be told apart."""
    return f"{push.title} · {push.notify_at:%m-%d}"


class SpanForm(forms.Form):
    """Two tenant days, both included; the last seven by default."""

    start = forms.DateField(label=_("从"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    end = forms.DateField(label=_("到"), required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, data: Any, *, today: date) -> None:
        self.today = today
        week_ago = today - timedelta(days=6)
        super().__init__({"start": week_ago.isoformat(), "end": today.isoformat(), **data.dict()})

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        start, end = found.get("start"), found.get("end")
        if start and end and not timedelta() <= end - start <= timedelta(days=MAX_SPAN_DAYS):
            self.add_error("end", _("结束日期不能早于开始日期,也不能超过 400 天,请重新选择。"))
        return found

    def span(self) -> tuple[date, date]:
        """The chosen days; the last seven when the choice does not hold."""
        if self.is_valid() and self.cleaned_data.get("start") and self.cleaned_data.get("end"):
            return self.cleaned_data["start"], self.cleaned_data["end"]
        return self.today - timedelta(days=6), self.today
