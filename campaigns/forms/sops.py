"""The SOP's form: what starts it, when one leaves, and its days."""

from datetime import time
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from campaigns.forms.parts import ClassField
from campaigns.policy import send_policy
from campaigns.services.sops import MAX_DAY, Step
from campaigns.triggers import all_triggers

# Leaving by condition, ready-made; the tree as conditions.schema takes it.
EXITS: dict[str, dict[str, Any]] = {
    "bought": {"version": 1, "root": {"field": "order", "op": "count_at_least", "value": 1}},
}


class SopForm(forms.Form):
    name = forms.CharField(label=_("名称"), max_length=60)
    trigger = forms.ChoiceField(label=_("什么时候开始"))
    exit = forms.ChoiceField(
        label=_("什么时候退出"), required=False, choices=[("", _("走完或免打扰")), ("bought", _("下单后也退出"))]
    )
    holdout_percent = forms.IntegerField(
        label=_("对照组(不触达)%"),
        min_value=0,
        max_value=50,
        initial=0,
        help_text=_("整个 SOP 都不发给他们,用来衡量增量。"),
    )

    def __init__(self, *args: Any, is_new: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["trigger"].choices = [(one.key, one.label) for one in all_triggers()]  # type: ignore[attr-defined]  # the stubs call every form field a plain Field
        if not is_new:
            self.fields["name"].disabled = True


class StepForm(forms.Form):
    day = forms.IntegerField(
        label=_("第几天"), min_value=0, max_value=MAX_DAY, help_text=_("0 = 添加当天的下一个时段。")
    )
    slot = forms.TypedChoiceField(label=_("发送时段"), coerce=time.fromisoformat)
    message_class = ClassField(help_text="")
    text = forms.CharField(label=_("文字"), widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        slots = send_policy().slots
        self.fields["slot"].choices = [(f"{slot:%H:%M}", f"{slot:%H:%M}") for slot in slots]  # type: ignore[attr-defined]  # the stubs call every form field a plain Field

    def step(self) -> Step:
        data = self.cleaned_data
        return Step(day=data["day"], slot=data["slot"], text=data["text"], message_class=data["message_class"])


StepFormSet = forms.formset_factory(StepForm, extra=2, can_delete=True, max_num=20, validate_max=True)


def steps_of(formset: Any) -> list[Step]:
    """The filled, undeleted days."""
    filled = [form for form in formset.forms if form.has_changed() or form.initial]
    return [form.step() for form in filled if form not in formset.deleted_forms and form.cleaned_data.get("text")]
