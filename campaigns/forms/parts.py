"""What several forms share: message text, one link, instants in the tenant's time."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from campaigns.models import Content
from campaigns.models.content import MessageClass

LOCAL_FORMAT = "%Y-%m-%dT%H:%M"


class InstantField(forms.DateTimeField):
    """A date and time as the tenant's clock shows it."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format=LOCAL_FORMAT)
        super().__init__(widget=widget, input_formats=[LOCAL_FORMAT, "%Y-%m-%dT%H:%M:%S"], **kwargs)


class MessageForm(forms.Form):
    """Text and at most one link. Limits that depend on the carrier are the service's."""

    text = forms.CharField(label=_("文字"), required=False, widget=forms.Textarea(attrs={"rows": 6, "x-model": "text"}))
    link_title = forms.CharField(label=_("链接标题"), required=False, max_length=60)
    link_url = forms.URLField(label=_("链接地址"), required=False, assume_scheme="https")
    link_desc = forms.CharField(label=_("链接描述"), required=False, max_length=160)

    def attachments(self) -> list[dict[str, Any]]:
        """The link in add_msg_template's shape, or nothing."""
        data = self.cleaned_data
        if not data.get("link_url"):
            return []
        link = {"title": data.get("link_title") or data["link_url"], "url": data["link_url"]}
        return [{"msgtype": "link", "link": link | ({"desc": data["link_desc"]} if data.get("link_desc") else {})}]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("link_title") and not data.get("link_url"):
            self.add_error("link_url", _("有标题的链接还要填地址。"))
        return data


def link_initial(attachments: list[dict[str, Any]]) -> dict[str, str]:
    """The form's values of the (first) link."""
    link: dict[str, str] = next((one["link"] for one in attachments if one.get("msgtype") == "link"), {})
    return {"link_title": link.get("title", ""), "link_url": link.get("url", ""), "link_desc": link.get("desc", "")}


class ClassField(forms.ChoiceField):
    """服务, 内容, 促销: it decides the caps."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", _("消息类别"))
        kwargs.setdefault("help_text", _("促销:每人每天 1 条、每周 2 条;各类合计每人每天 1 条。"))
        super().__init__(choices=MessageClass.choices, **kwargs)


def class_of(content: Content | None) -> str:
    return content.message_class if content else MessageClass.CONTENT
