"""Forms of custom fields: their settings, and the values of one person."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Role
from contacts import custom
from contacts.models import Contact, CustomField
from contacts.services.custom_fields import Settings
from contacts.services.custom_values import BIRTHDAY
from contacts.services.details import digest_of
from scrm.lib.errors import UserError

Type = CustomField.Type
TYPE_HELP = {
    Type.TEXT: gettext_lazy("一行字,最多 200 字,例如昵称、口味"), Type.LONG_TEXT: gettext_lazy("可以换行,最多 2000 字,例如过敏史"),
    Type.INTEGER: gettext_lazy("例如家庭人数"), Type.DECIMAL: gettext_lazy("最多 4 位小数,例如身高、面积"),
    Type.DATE: gettext_lazy("年月日,可按天数筛选,例如会员到期日"), Type.FLAG: gettext_lazy("例如是否养宠物"),
    Type.CHOICE: gettext_lazy("从选项里选一个,例如肤质"), Type.CHOICES: gettext_lazy("从选项里选几个,例如关注功效"),
    Type.PHONE: gettext_lazy("会检查号码,例如家人电话"), Type.URL: gettext_lazy("http:// 或 https:// 开头的网址"),
}  # fmt: skip


class FieldForm(forms.Form):
    """The settings of a field of a given type. Options: known ones by id, new ones a line each."""

    label = forms.CharField(label=gettext_lazy("字段名"), max_length=20)
    section = forms.CharField(
        label=gettext_lazy("分组"), max_length=20, required=False, help_text=gettext_lazy("同一分组的字段在客户页上排在一起,例如「护肤档案」。")
    )  # fmt: skip
    new_options = forms.CharField(
        label=gettext_lazy("新增选项"), required=False, widget=forms.Textarea(attrs={"rows": 5}), help_text=gettext_lazy("每行一个。")
    )  # fmt: skip
    lowest = forms.DecimalField(label=gettext_lazy("最小值"), required=False, max_digits=20, decimal_places=4)
    highest = forms.DecimalField(label=gettext_lazy("最大值"), required=False, max_digits=20, decimal_places=4)
    max_length = forms.IntegerField(label=gettext_lazy("最多字数"), required=False, min_value=1)
    is_required = forms.BooleanField(
        label=gettext_lazy("必填"), required=False, help_text=gettext_lazy("保存客户资料时不能留空。")
    )
    in_list = forms.BooleanField(
        label=gettext_lazy("显示在客户列表"), required=False, help_text=gettext_lazy("只对所有人可见的字段有效。")
    )
    in_conditions = forms.BooleanField(
        label=gettext_lazy("可用作条件"), required=False, initial=True,
        help_text=gettext_lazy("用来筛选客户、建人群、设规则和阶段。看不到这个字段的人不能用它建条件,但能看到用它建好的人群里有谁。"),
    )  # fmt: skip
    see_roles = forms.MultipleChoiceField(
        label=gettext_lazy("谁能看"), required=False, widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("一个都不选,表示能看这位客户的人都能看。"),
    )  # fmt: skip
    edit_roles = forms.MultipleChoiceField(
        label=gettext_lazy("谁能改"), required=False, widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("一个都不选,表示能看这个字段、又能修改客户资料的人都能改。"),
    )  # fmt: skip
    is_masked = forms.BooleanField(
        label=gettext_lazy("隐去中间几位"), required=False,
        help_text=gettext_lazy("看的时候是 138****5678 这样;有「查看完整手机号」权限的人可以显示完整内容,会留下记录。"),
    )  # fmt: skip
    data_class = forms.ChoiceField(
        label=gettext_lazy("是否个人信息"), choices=CustomField.DataClass.choices,
        help_text=gettext_lazy("个人信息的内容不写进操作记录。"),
    )  # fmt: skip
    api = forms.ChoiceField(label=gettext_lazy("接口"), choices=CustomField.Api.choices)
    key = forms.CharField(
        label=gettext_lazy("字段标识"), required=False, max_length=40,
        help_text=gettext_lazy("接口和条件里用的名字,小写字母、数字和下划线;留空会按拼音生成,之后不能改。"),
    )  # fmt: skip

    def __init__(self, data: Any, type_: str, *, field: CustomField | None = None) -> None:
        self.standing = field
        self.type = Type(type_)
        super().__init__(data, initial=_initial(field) if field else None)
        roles = [(str(pk), name) for pk, name in Role.objects.order_by("order", "pk").values_list("pk", "name")]
        for name in ("see_roles", "edit_roles"):
            self.fields[name].choices = roles  # type: ignore[attr-defined]  # the stubs call every form field a plain Field
        for name in self._unfit():
            del self.fields[name]
        if field is not None and field.has_options:
            self._add_known(field.options)

    def _unfit(self) -> list[str]:
        """What means nothing to this type, or cannot change any more."""
        is_choice = self.type in (Type.CHOICE, Type.CHOICES)
        names = [] if is_choice else ["new_options"]
        names += [] if self.type in custom.NUMBERS else ["lowest", "highest"]
        names += [] if self.type in (Type.TEXT, Type.LONG_TEXT, Type.URL) else ["max_length"]
        names += [] if self.type in custom.MASKABLE else ["is_masked"]
        return names + ([] if self.standing is None else ["key"])

    def _add_known(self, options: Sequence[Mapping[str, Any]]) -> None:
        for option in options:
            name = f"option-{option['id']}"
            self.fields[name] = forms.CharField(
                label=_("选项「%(label)s」") % {"label": option["label"]}, max_length=30, initial=option["label"]
            )
            self.fields[f"{name}-off"] = forms.BooleanField(
                label=_("停用「%(label)s」") % {"label": option["label"]},
                required=False,
                initial=bool(option.get("archived")),
            )
        self.order_fields(
            ["label", "section", *(name for name in self.fields if name.startswith("option-")), "new_options"]
        )

    def settings(self) -> Settings:
        """What the form says."""
        data = self.cleaned_data
        known = [
            (option["id"], data[f"option-{option['id']}"], data[f"option-{option['id']}-off"])
            for option in (self.standing.options if self.standing and self.standing.has_options else [])
        ]
        fresh = [("", line, False) for line in data.get("new_options", "").splitlines()]
        return Settings(
            label=data["label"], section=data["section"], options=[*known, *fresh], is_required=data["is_required"],
            lowest=data.get("lowest"), highest=data.get("highest"), max_length=data.get("max_length"),
            see_roles=[int(pk) for pk in data["see_roles"]], edit_roles=[int(pk) for pk in data["edit_roles"]],
            is_masked=data.get("is_masked", False), data_class=data["data_class"], api=data["api"], in_list=data["in_list"],
            in_conditions=data["in_conditions"],
        )  # fmt: skip


def _initial(field: CustomField) -> dict[str, Any]:
    plain = (
        "label",
        "section",
        "lowest",
        "highest",
        "max_length",
        "is_required",
        "in_list",
        "in_conditions",
        "is_masked",
        "data_class",
        "api",
    )
    return {name: getattr(field, name) for name in plain} | {
        "see_roles": [str(pk) for pk in field.see_roles],
        "edit_roles": [str(pk) for pk in field.edit_roles],
    }


# --- One person ------------------------------------------------------------------------------------------------------


class DetailsForm(forms.Form):
    """客户资料 of one person: the fields the user may edit, each with what she saw. Only what she changed is changed.

    A masked value does not come into the page: left empty it stays, and it is cleared by a box of its own.
    """

    birthday = forms.DateField(
        label=gettext_lazy("生日"), required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"), input_formats=["%Y-%m-%d"],
    )  # fmt: skip

    def __init__(self, data: Any, contact: Contact, editable: Sequence[CustomField]) -> None:
        self.contact, self.editable = contact, editable
        super().__init__(data, initial={"birthday": contact.birthday})
        self._watch("birthday", contact.birthday and contact.birthday.isoformat())
        for field in editable:
            value = contact.custom.get(field.key)
            self.fields[f"f-{field.key}"] = _control(field, value)
            self._watch(f"f-{field.key}", value)
            if field.is_masked and value is not None:
                label = _("清除「%(label)s」") % {"label": field.label}
                self.fields[f"clear-{field.key}"] = forms.BooleanField(label=label, required=False)

    def _watch(self, name: str, value: Any) -> None:
        self.fields[f"seen-{name}"] = forms.CharField(
            widget=forms.HiddenInput, required=False, max_length=16, initial=digest_of(value)
        )

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        self.changed: dict[str, Any] = {}
        self.seen = {field.key: data.get(f"seen-f-{field.key}", "") for field in self.editable}
        self.seen[BIRTHDAY] = data.get("seen-birthday", "")
        for field in self.editable:
            if f"f-{field.key}" in self.errors:
                continue
            try:
                self._read(field, data)
            except UserError as error:
                self.add_error(f"f-{field.key}", error.message)
        return data

    def _read(self, field: CustomField, data: Mapping[str, Any]) -> None:
        given, standing = data.get(f"f-{field.key}"), self.contact.custom.get(field.key)
        given = given.replace("\r\n", "\n") if isinstance(given, str) else given
        if field.is_masked and not given:
            if not data.get(f"clear-{field.key}"):
                if standing is None and field.is_required:
                    raise UserError(_("「%(label)s」必填,请填写。") % {"label": field.label})
                return
        elif given == _as_typed(field, standing) and digest_of(standing) == self.seen[field.key]:
            if standing is None and field.is_required:
                raise UserError(_("「%(label)s」必填,请填写。") % {"label": field.label})
            return  # as it stood, whatever limits the field has by now
        value = custom.parse(field, given)
        if value is None and field.is_required:
            raise UserError(_("「%(label)s」必填,请填写。") % {"label": field.label})
        if digest_of(value) != self.seen[field.key]:
            self.changed[field.key] = given if value is not None else None

    @property
    def birthday_changed(self) -> bool:
        day = self.cleaned_data.get("birthday")
        return digest_of(day and day.isoformat()) != self.seen[BIRTHDAY]

    def with_fresh_eyes(self, contact: Contact) -> "DetailsForm":
        """The same answers, given by who has now seen how things stand; what she did not answer stands as it is now."""
        assert isinstance(self.data, QueryDict)
        data = self.data.copy()
        fresh = DetailsForm(None, contact, self.editable)
        answered = {f"f-{key}" for key in self.changed} | ({"birthday"} if self.birthday_changed else set())
        for name in fresh.fields:
            if name not in answered:
                value = fresh[name].value()
                data.setlist(name, value if isinstance(value, list) else ["" if value is None else value])
        return DetailsForm(data, contact, self.editable)


def _as_typed(field: CustomField, value: Any) -> Any:
    """A value as its control gives it back when nobody touches it."""
    if field.type == Type.CHOICES:
        return list(value) if isinstance(value, list) else []
    if field.type == Type.FLAG:
        return {True: "1", False: "0"}.get(value, "") if isinstance(value, bool) else ""
    if field.type == Type.CHOICE:
        return value if isinstance(value, str) else ""
    return custom.shown(field, value)


def _control(field: CustomField, value: Any) -> forms.Field:
    rest: dict[str, Any] = {"label": field.label, "required": False}
    if not field.is_masked:
        rest["initial"] = _as_typed(field, value)
    elif value is not None:
        rest["help_text"] = _("现在是 %(text)s。不改就留空。") % {"text": custom.masked(field, value)}
    if field.has_options:
        chosen = value if isinstance(value, list) else [value]
        options = [(one["id"], one["label"]) for one in field.options if not one.get("archived") or one["id"] in chosen]
        if field.type == Type.CHOICES:
            return forms.MultipleChoiceField(choices=options, widget=forms.CheckboxSelectMultiple, **rest)
        return forms.ChoiceField(choices=[("", _("未填")), *options], **rest)
    if field.type == Type.FLAG:
        return forms.ChoiceField(choices=[("", _("未填")), ("1", _("是")), ("0", _("否"))], **rest)
    return forms.CharField(widget=_widget(field), strip=True, **rest)


def _widget(field: CustomField) -> forms.Widget:
    if field.type == Type.LONG_TEXT:
        return forms.Textarea(attrs={"rows": 3})
    if field.type in custom.NUMBERS:
        return forms.TextInput(attrs={"inputmode": "decimal"})
    kind = {Type.DATE: "date", Type.PHONE: "tel", Type.URL: "url"}.get(Type(field.type), "text")
    return forms.TextInput(attrs={"type": kind})
