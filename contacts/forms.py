"""Forms of people and places."""

from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models import Dealer, Member, Region, Stage, Store


class StageForm(forms.Form):
    """Move a person to a stage by hand, with the reason."""

    stage = forms.ModelChoiceField(Stage.objects.none(), label=_("新阶段"), empty_label=_("请选择"))
    reason = forms.CharField(label=_("原因"), max_length=200, help_text=_("写给同事看:为什么现在是这个阶段。"))

    def __init__(self, *args: Any, current_id: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["stage"].queryset = Stage.objects.filter(is_archived=False).exclude(pk=current_id or 0)  # type: ignore[attr-defined]  # the stubs call every form field a plain Field


class OwnerForm(forms.Form):
    """Credit a person to another of her friends among the guides."""

    member = forms.ModelChoiceField(
        Member.objects.none(), label=_("归属导购"), empty_label=_("请选择"), help_text=_("只能选择她现在的好友导购。")
    )

    def __init__(self, *args: Any, members: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["member"].queryset = members  # type: ignore[attr-defined]  # the stubs call every form field a plain Field


class StoreForm(forms.ModelForm):
    """A store. Moving it to another region or dealer starts a new placement; history stays where it was."""

    class Meta:
        model = Store
        fields = ("code", "name", "region", "dealer", "city", "address", "phone", "is_open")
        labels = {
            "code": _("门店编码"), "name": _("门店名"), "region": _("大区"), "dealer": _("经销商/加盟商"), "city": _("城市"),
            "address": _("地址"), "phone": _("电话"), "is_open": _("营业中"),
        }  # fmt: skip
        help_texts = {"code": _("订单导入按它认门店,建议与收银系统一致。"), "dealer": _("直营店留空。")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, model in (("region", Region), ("dealer", Dealer)):
            standing = Q(archived_at__isnull=True) | Q(pk=getattr(self.instance, f"{name}_id"))
            self.fields[name].queryset = model.objects.filter(standing)  # type: ignore[attr-defined]  # the stubs call every form field a plain Field
        self.fields["region"].empty_label = _("未分大区")  # type: ignore[attr-defined]  # the stubs call every form field a plain Field
        self.fields["dealer"].empty_label = _("直营")  # type: ignore[attr-defined]  # the stubs call every form field a plain Field


class RegionForm(forms.ModelForm):
    class Meta:
        model = Region
        fields = ("name", "order")
        labels = {"name": _("大区名"), "order": _("排序")}


class DealerForm(forms.ModelForm):
    class Meta:
        model = Dealer
        fields = ("name",)
        labels = {"name": _("经销商名")}


class MemberStoreForm(forms.Form):
    """Where a member works, set by hand."""

    store = forms.ModelChoiceField(
        Store.objects.filter(archived_at__isnull=True), label=_("门店"), required=False, empty_label=_("不属于门店")
    )
