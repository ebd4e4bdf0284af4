"""The composer's forms: 内容, then 人群 with its times."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.scope import DataScope
from campaigns.forms.parts import ClassField, InstantField, MessageForm
from contacts.models import GroupChat
from contacts.queries import visible_groups
from tagging.queries import live_segments

KEEP = 0


class ContentForm(MessageForm):
    name = forms.CharField(label=_("名称"), max_length=60, help_text=_("只在后台看到,客户看不到。"))
    message_class = ClassField()
    field_order = ("name", "message_class", "text", "link_title", "link_url", "link_desc")


class AudienceForm(forms.Form):
    """Who, when, and how many are held out."""

    segment = forms.TypedChoiceField(label=_("发给哪个人群"), coerce=int, empty_value=None)
    holdout_percent = forms.IntegerField(
        label=_("对照组(不触达)%"), min_value=0, max_value=50, initial=0,
        help_text=_("从能触达的客户里随机留出,用来衡量增量。0 = 不留。"),
    )  # fmt: skip
    notify_at = InstantField(label=_("通知时间"), help_text=_("到点后,导购同意的才会成为企业微信任务。"))
    confirm_by = InstantField(label=_("确认截止时间"), help_text=_("到点还没点「发送」的任务会停止,计为超时未确认。"))

    def __init__(self, *args: Any, kept: str = "", **kwargs: Any) -> None:
        """kept: an audience chosen elsewhere (picked customers, a tree), in words; it may stay."""
        super().__init__(*args, **kwargs)
        segments = [(row.pk, f"{row.name}({row.size})") for row in live_segments()]
        first = [(KEEP, kept)] if kept else [("", _("请选择"))]
        self.fields["segment"].choices = [*first, *segments]  # type: ignore[attr-defined]  # the stubs call every form field a plain Field

    def audience(self) -> dict[str, Any] | None:
        """The audience chosen; None keeps the one that is there."""
        chosen = self.cleaned_data["segment"]
        return None if chosen == KEEP else {"segment": chosen}


class GroupAudienceForm(forms.Form):
    """Which groups, and when."""

    groups = forms.TypedMultipleChoiceField(label=_("发到哪些客户群"), coerce=int, widget=forms.CheckboxSelectMultiple)
    notify_at = InstantField(label=_("通知时间"), help_text=_("到点后,群主同意的才会成为企业微信任务。"))
    confirm_by = InstantField(label=_("确认截止时间"), help_text=_("到点还没点「发送」的任务会停止,计为超时未确认。"))

    def __init__(self, *args: Any, scope: DataScope, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = (
            visible_groups(scope)
            .filter(dismissed_at__isnull=True)
            .select_related("owner", "store")
            .order_by("store__name", "pk")
        )
        self.fields["groups"].choices = [(row.pk, _group_label(row)) for row in rows]  # type: ignore[attr-defined]  # the stubs call every form field a plain Field

    def audience(self) -> dict[str, Any]:
        return {"groups": self.cleaned_data["groups"]}


def _group_label(group: GroupChat) -> str:
    owner = str(group.owner) if group.owner else "—"
    store = group.store.name if group.store else "—"
    return f"{group.name or group.chat_id} · {store} · {owner} · {group.member_count}"
