"""Forms of the platform's console."""

from django import forms
from django.utils.translation import gettext_lazy as _


class TenantForm(forms.Form):
    slug = forms.CharField(
        label=_("标识"), max_length=40, help_text=_("小写字母、数字和连字符,用在网址里,以后不能改。"),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )  # fmt: skip
    name = forms.CharField(label=_("商户名称"), max_length=80)
    time_zone = forms.CharField(label=_("时区"), max_length=64, initial="Asia/Shanghai")
    is_sandbox = forms.BooleanField(label=_("沙箱:可以调整它的时间,只用于演示和测试"), required=False)
