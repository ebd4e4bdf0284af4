"""The form of a store: what it is called, where it stands, when it is open."""

from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts import hours
from contacts.models import Dealer, Region, Store
from scrm.lib import clock
from scrm.lib.coordinates import from_gcj02, to_gcj02
from scrm.lib.errors import UserError
from tenants.context import current_tenant

PLACES = 6  # decimals of a degree: eleven centimetres
WEEK = tuple(f"day_{number}" for number in range(7))
_DATE = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class StoreForm(forms.ModelForm):
    """A store. Moving it to another region or dealer starts a new placement; history stays where it was.

    Coordinates stand in the form as they came (coord_source) and in the row as GCJ-02.
    """

    latitude = forms.DecimalField(
        label=gettext_lazy("纬度"), required=False, max_digits=13, decimal_places=10, help_text=gettext_lazy("中国境内在 3 到 54 之间。")
    )  # fmt: skip
    longitude = forms.DecimalField(
        label=gettext_lazy("经度"), required=False, max_digits=13, decimal_places=10, help_text=gettext_lazy("中国境内在 73 到 136 之间。")
    )  # fmt: skip
    special = forms.CharField(
        label=gettext_lazy("特殊日期"), required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("一行一天,如:2026-10-01 休息,或 2026-10-02 12:00-18:00。"),
    )  # fmt: skip

    # The row the page showed: what a colleague changed since is not written over unseen.
    seen = forms.CharField(required=False, max_length=16, widget=forms.HiddenInput)

    class Meta:
        model = Store
        fields = (
            "code", "name", "region", "dealer", "city", "address", "phone", "coord_source", "is_open", "opened_on", "closed_on",
        )  # fmt: skip
        labels = {
            "code": gettext_lazy("门店编码"), "name": gettext_lazy("门店名"), "region": gettext_lazy("大区"),
            "dealer": gettext_lazy("经销商/加盟商"), "city": gettext_lazy("城市"), "address": gettext_lazy("地址"),
            "phone": gettext_lazy("电话"), "coord_source": gettext_lazy("坐标系"), "is_open": gettext_lazy("营业中"),
            "opened_on": gettext_lazy("开店日期"), "closed_on": gettext_lazy("关店日期"),
        }  # fmt: skip
        help_texts = {
            "code": gettext_lazy("订单导入按它认门店,建议与收银系统一致。"), "dealer": gettext_lazy("直营店留空。"),
            "coord_source": gettext_lazy("高德、腾讯地图选 GCJ-02,百度地图选 BD-09,GPS 设备选 WGS-84。保存时统一换算成 GCJ-02。"),
            "is_open": gettext_lazy("暂停营业时取消勾选。"), "closed_on": gettext_lazy("从这一天起不再营业。"),
        }  # fmt: skip
        widgets = {"opened_on": _DATE, "closed_on": _DATE}

    field_order = (
        "code", "name", "region", "dealer", "city", "address", "phone", "latitude", "longitude", "coord_source",
        "is_open", "opened_on", "closed_on", *WEEK, "special",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        store = kwargs.get("instance")
        typed = _typed(store) if store else {}
        super().__init__(*args, **{**kwargs, "initial": typed | (kwargs.get("initial") or {})})
        for name, model, word in (("region", Region, _("未分大区")), ("dealer", Dealer, _("直营"))):
            standing = Q(archived_at__isnull=True) | Q(pk=getattr(self.instance, f"{name}_id"))
            field: Any = self.fields[name]
            field.queryset, field.empty_label = model.objects.filter(standing), word
            field.error_messages["invalid_choice"] = _("选的这一项已归档或不存在,请刷新页面后重新选择。")
        for name, label in zip(WEEK, hours.WEEKDAYS, strict=True):
            widget = forms.TextInput(attrs={"placeholder": "10:00-22:00"})
            self.fields[name] = forms.CharField(label=label, required=False, max_length=100, widget=widget)
        self.fields["seen"].initial = self.instance.digest if self.instance.pk else ""
        self.fields["coord_source"].required = False  # as it is, GCJ-02 for a new store
        self.order_fields(self.field_order)

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"].strip()
        taken = Store.objects.filter(code=code).exclude(pk=self.instance.pk).first()
        if taken is not None:
            where = _(",在已归档的门店里") if taken.archived_at else ""
            raise forms.ValidationError(_("编码已被门店「%(name)s」使用%(where)s,请换一个。") % {"name": taken.name, "where": where})  # fmt: skip
        return code

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        self._check_point(data)
        self._check_dates(data)
        self._read_hours(data)
        return data

    def _check_point(self, data: dict[str, Any]) -> None:
        if "latitude" in self.errors or "longitude" in self.errors:
            return
        latitude, longitude = data.get("latitude"), data.get("longitude")
        if (latitude is None) != (longitude is None):
            self.add_error("longitude" if longitude is None else "latitude", _("经度和纬度要一起填,或者都留空。"))
        elif latitude is not None and longitude is not None:
            if abs(latitude) > 90 >= abs(longitude):
                self.add_error("latitude", _("纬度在 -90 到 90 之间。经度和纬度填反了?请对调。"))
            elif abs(latitude) > 90 or abs(longitude) > 180:
                self.add_error("latitude", _("纬度在 -90 到 90 之间,经度在 -180 到 180 之间,请核对。"))

    def _check_dates(self, data: dict[str, Any]) -> None:
        opened, closed = data.get("opened_on"), data.get("closed_on")
        if opened and closed and closed <= opened:
            self.add_error("closed_on", _("关店日期要晚于开店日期,请核对。"))
        elif closed and closed <= _today() and data.get("is_open"):
            self.add_error("closed_on", _("关店日期已经到了,请取消勾选「营业中」,或清空关店日期。"))

    def _read_hours(self, data: dict[str, Any]) -> None:
        week, special = [], {}
        for name in WEEK:
            try:
                week.append(hours.parse_day(data.get(name, "")))
            except UserError as error:
                self.add_error(name, error.message)
        try:
            special = hours.parse_special(data.get("special", ""))
        except UserError as error:
            self.add_error("special", error.message)
        if not self.errors:
            self.instance.opening_hours = hours.build(week, special)

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # Django has it, the stubs do not
        if {"latitude", "longitude", "coord_source"} & set(self.changed_data) and not self.errors:
            _place(self.instance, self.cleaned_data)


def _today() -> date:
    return clock.local_day(clock.now(), current_tenant().time_zone)


def _typed(store: Store) -> dict[str, Any]:
    """What the row holds, as a person would type it."""
    found: dict[str, Any] = dict(zip(WEEK, hours.typed_week(store.opening_hours), strict=True))
    found["special"] = hours.typed_special(store.opening_hours)
    if store.latitude is not None and store.longitude is not None:
        point = from_gcj02(float(store.latitude), float(store.longitude), store.coord_source)
        found["latitude"], found["longitude"] = map(_rounded, point)
    return found


def _place(store: Store, data: dict[str, Any]) -> None:
    if data["latitude"] is None:
        store.latitude = store.longitude = None
        return
    point = to_gcj02(float(data["latitude"]), float(data["longitude"]), store.coord_source)
    store.latitude, store.longitude = map(_rounded, point)


def _rounded(degrees: float) -> Decimal:
    return Decimal(f"{degrees:.{PLACES}f}")
