"""Forms of people and places."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from contacts.models import ConsentRecord, Dealer, ErasureRequest, Member, Region, Stage, Store
from contacts.services.remarks import Remark
from scrm.lib.privacy import mask_text


class StageForm(forms.Form):
    """Move a person to a stage by hand, with the reason."""

    stage = forms.ModelChoiceField(Stage.objects.none(), label=_("新阶段"), empty_label=_("请选择"))
    reason = forms.CharField(label=_("原因"), max_length=200, help_text=_("写给同事看:为什么现在是这个阶段。"))
    # The stage the page showed: who was moved since is not moved again unseen.
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, current_id: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["seen"].initial = current_id
        self.fields["stage"].queryset = Stage.objects.filter(is_archived=False).exclude(pk=current_id or 0)  # type: ignore[attr-defined]  # the stubs call every form field a plain Field


class OwnerForm(forms.Form):
    """Credit a person to another of her friends among the guides."""

    member = forms.ModelChoiceField(
        Member.objects.none(), label=_("归属导购"), empty_label=_("请选择"), help_text=_("只能选择她现在的好友导购。")
    )
    # The owner the page showed: who was credited to somebody since is not credited to another unseen.
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, members: Any, current_id: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["member"].queryset = members  # type: ignore[attr-defined]  # the stubs call every form field a plain Field
        self.fields["seen"].initial = current_id


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


class NoteForm(forms.Form):
    """跟进记录. Limits are the service's."""

    text = forms.CharField(
        label=_("跟进内容"), max_length=1000, widget=forms.Textarea(attrs={"rows": 3, "maxlength": 1000})
    )


LOCAL_FORMAT = "%Y-%m-%dT%H:%M"
SOON = (("1", _("明天 10:00")), ("3", _("3 天后")), ("7", _("一周后")), ("at", _("选时间")))


class DueForm(forms.Form):
    """When a to-do is due: a usual time in one tap, or one of her own."""

    when = forms.ChoiceField(label=_("什么时候"), choices=SOON, initial="1")
    due_at = forms.DateTimeField(
        label=_("时间"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=LOCAL_FORMAT),
        input_formats=[LOCAL_FORMAT, "%Y-%m-%dT%H:%M:%S"],
    )

    def __init__(self, *args: Any, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.now = now

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("when", "at") != "at":
            morning = timezone.localtime(self.now).replace(hour=10, minute=0, second=0, microsecond=0)
            data["due_at"] = morning + timedelta(days=int(data["when"]))
        elif not data.get("due_at") and "due_at" not in self.errors:
            self.add_error("due_at", _("请选择到期时间。"))
        return data


class TodoForm(DueForm):
    """待办: what, when, by whom."""

    text = forms.CharField(label=_("要做什么"), max_length=200)
    member = forms.ModelChoiceField(Member.objects.none(), label=_("由谁做"), empty_label=None)
    remind = forms.BooleanField(
        label=_("到时用应用消息提醒"), required=False, initial=True, help_text=_("21:00–09:00 不打扰,顺延到 09:00。")
    )

    def __init__(self, *args: Any, members: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["member"].queryset = members  # type: ignore[attr-defined]  # the stubs call every form field a plain Field


class RemarkForm(forms.Form):
    """What a guide notes of a customer in WeCom. Phones stand masked: known ones are kept or taken off, a new one is added."""

    remark = forms.CharField(label=_("备注"), required=False, max_length=64)
    description = forms.CharField(
        label=_("描述"), required=False, max_length=400, widget=forms.Textarea(attrs={"rows": 3})
    )
    remark_company = forms.CharField(label=_("备注企业"), required=False, max_length=64)
    keep = forms.MultipleChoiceField(
        label=_("备注手机号"), required=False, widget=forms.CheckboxSelectMultiple, help_text=_("取消勾选就是移除。")
    )
    phone = forms.CharField(label=_("添加手机号"), required=False, max_length=40)
    seen = forms.CharField(widget=forms.HiddenInput, required=False, max_length=32)

    def __init__(self, data: Any = None, *, standing: Remark, has_company: bool) -> None:
        self.standing = standing
        phones = [(str(n), mask_text(phone)) for n, phone in enumerate(standing.remark_mobiles)]
        kept = {"keep": [key for key, _phone in phones], "seen": standing.digest}
        super().__init__(data, initial=standing._asdict() | kept)
        self.fields["keep"].choices = phones  # type: ignore[attr-defined]  # the stubs call every form field a plain Field
        if not phones:
            del self.fields["keep"]
        if not has_company:
            del self.fields["remark_company"]

    def wanted(self) -> Remark:
        """The notes as the form wishes them."""
        data = self.cleaned_data
        kept = [self.standing.remark_mobiles[int(key)] for key in data.get("keep", [])]
        company = data.get("remark_company", self.standing.remark_company)
        phones = (*kept, *([data["phone"]] if data["phone"] else []))
        return Remark(data["remark"], data["description"], company, phones)


class ConsentForm(forms.Form):
    """What a person allowed or forbade, and how that is known."""

    purpose = forms.ChoiceField(
        label=_("事项"),
        choices=[one for one in ConsentRecord.Purpose.choices if one[0] != ConsentRecord.Purpose.OPT_OUT],
    )
    decision = forms.ChoiceField(
        label=_("客户的决定"),
        choices=[(one.value, one.label) for one in (ConsentRecord.Decision.GIVEN, ConsentRecord.Decision.WITHDRAWN)],
    )
    channel = forms.ChoiceField(
        label=_("在哪里表示的"),
        choices=[one for one in ConsentRecord.Channel.choices if one[0] != ConsentRecord.Channel.PRODUCT],
    )
    source = forms.ChoiceField(
        label=_("谁说的"),
        choices=[one for one in ConsentRecord.Source.choices if one[0] != ConsentRecord.Source.SYSTEM],
    )
    on = forms.DateField(label=_("哪一天"), widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}))
    evidence = forms.CharField(
        label=_("依据"), max_length=300, help_text=_("例如:到店时当面说的,或纸质表单放在哪里。只追加,不能改。")
    )


class ErasureForm(forms.Form):
    """Who asked for the removal of a person, why, and her number typed by hand."""

    asked_by = forms.ChoiceField(label=_("谁提出的"), choices=ErasureRequest.AskedBy.choices)
    reason = forms.CharField(
        label=_("理由"), max_length=300, help_text=_("例如来信的日期和编号。删除完成时会一并清除。")
    )
    typed = forms.CharField(
        label=_("输入客户编号以确认"), max_length=20, widget=forms.TextInput(attrs={"inputmode": "numeric"})
    )


class ImportFileForm(forms.Form):
    """A file, and what it holds."""

    kind = forms.ChoiceField(label=_("导入什么"), widget=forms.RadioSelect)
    file = forms.FileField(
        label=_("文件"), widget=forms.FileInput(attrs={"accept": ".csv,.xlsx,.txt"}),
        help_text=_("CSV(UTF-8 或 GBK)或 XLSX,第一行写列名,不超过 200 MB、1,000,000 行。"),
    )  # fmt: skip

    def __init__(self, *args: Any, kinds: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [(kind.key, kind.label) for kind in kinds]  # type: ignore[attr-defined]  # the stubs call every form field a plain Field
        if kinds and not self.initial.get("kind"):
            self.initial["kind"] = kinds[0].key
