"""The welcome's form."""

from django import forms
from django.utils.translation import gettext_lazy as _

from campaigns.forms.parts import MessageForm
from contacts.models import Store


class WelcomeForm(MessageForm):
    name = forms.CharField(label=_("名称"), max_length=60, help_text=_("只在后台看到。"))
    neutral_text = forms.CharField(
        label=_("不带昵称的备用文字"), required=False, widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("文字里有{客户昵称}时必填:20 秒内取不到名字就用它。"),
    )  # fmt: skip
    store = forms.ModelChoiceField(Store.objects.all(), label=_("门店"), required=False, empty_label=_("不限门店"))
    state = forms.CharField(label=_("渠道(活码的 state)"), required=False, max_length=64)
    priority = forms.IntegerField(
        label=_("优先级"), initial=0, min_value=0, max_value=100, help_text=_("同时符合时,数大的先用。")
    )
    is_default = forms.BooleanField(label=_("默认:其他都不符合时用它"), required=False)
    is_enabled = forms.BooleanField(label=_("启用"), required=False, initial=True)
    field_order = ("name", "text", "neutral_text", "link_title", "link_url", "link_desc", "store", "state", "priority")
