"""Forms of orders."""

from django import forms
from django.utils.translation import gettext_lazy as _


class ImportForm(forms.Form):
    """A file and the name of where it comes from."""

    source = forms.CharField(
        label=_("来源名称"),
        max_length=24,
        help_text=_("同一来源里订单号唯一,例如 pos、youzan、taobao。再次导入请用同一个名称。"),
    )
    file = forms.FileField(
        label=_("订单文件"),
        help_text=_("CSV(UTF-8 或 GBK)或 XLSX,不超过 20 MB、200,000 行。"),
        widget=forms.FileInput(attrs={"accept": ".csv,.xlsx,.txt"}),
    )
