"""What IT enters."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from wecom_bridge.models import Corp, InboundEvent, OutboundCommand

MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
SECRET = forms.PasswordInput(attrs={"autocomplete": "new-password"})


class CorpForm(forms.Form):
    """A corp with its app. Secret fields are never filled in; left empty they keep what is stored."""

    name = forms.CharField(label=_("企业简称"), max_length=80, help_text=_("只在本系统里显示。"))
    corp_id = forms.CharField(
        label=_("企业 ID"), max_length=64, help_text=_("「我的企业 › 企业信息」最下方,以 ww 开头。")
    )
    agent_id = forms.CharField(label=_("应用 AgentId"), max_length=32, help_text=_("自建应用详情页可见。"))
    secret = forms.CharField(label=_("应用 Secret"), max_length=200, widget=SECRET, required=False)
    token = forms.CharField(
        label=_("回调 Token"),
        max_length=32,
        widget=SECRET,
        required=False,
        help_text=_("留空则自动生成,保存后显示一次。"),
    )
    encoding_aes_key = forms.CharField(
        label="EncodingAESKey",
        max_length=43,
        widget=SECRET,
        required=False,
        help_text=_("留空则自动生成,保存后显示一次。"),
    )
    open_account = forms.CharField(
        label=_("微信开放平台账号"),
        max_length=64,
        required=False,
        help_text=_("企业绑定了微信开发者账号时填写,用来跨企业识别同一位客户。"),
    )

    def __init__(self, *args: Any, is_new: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["secret"].required = is_new
        if not is_new:
            self.fields["corp_id"].disabled = True
            for name in ("secret", "token", "encoding_aes_key"):
                self.fields[name].help_text = _("已保存,不再显示。留空保持不变。")


class InboxFilterForm(forms.Form):
    """Which callbacks are listed, or replayed. events: (event, its name), offered beside whatever is typed."""

    event = forms.CharField(label=_("事件"), max_length=48, required=False)
    change_type = forms.CharField(label=_("变更类型"), max_length=48, required=False)
    corp = forms.ModelChoiceField(Corp.objects.none(), label=_("企业"), required=False, empty_label=_("全部"))
    since = forms.DateTimeField(label=_("收到时间从"), required=False, widget=MOMENT)
    until = forms.DateTimeField(label=_("到(不含)"), required=False, widget=MOMENT)
    state = forms.ChoiceField(required=False, choices=[("", ""), *InboundEvent.State.choices])

    def __init__(self, *args: Any, events: list[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.events = events
        field = self.fields["corp"]
        if isinstance(field, forms.ModelChoiceField):
            field.queryset = Corp.objects.order_by("id")
        self.fields["event"].widget.attrs["list"] = "known-events"


class OutboxFilterForm(forms.Form):
    """Which calls are listed. kinds: (kind, its name)."""

    kind = forms.ChoiceField(label=_("调用类型"), required=False)
    state = forms.ChoiceField(required=False, choices=[("", ""), *OutboundCommand.State.choices])

    def __init__(self, *args: Any, kinds: list[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["kind"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [("", _("全部")), *kinds]
