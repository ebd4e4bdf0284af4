"""Opening hours as people type them, and as a store keeps them.

    {"week": [[["10:00", "22:00"]], …seven days from Monday…], "special": {"2026-10-01": []}}

A day is a list of spans, empty when the store is shut; {} says that nobody told. Hours after midnight belong to the next day.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scrm.lib.errors import UserError

WEEKDAYS = (
    gettext_lazy("周一"), gettext_lazy("周二"), gettext_lazy("周三"), gettext_lazy("周四"), gettext_lazy("周五"),
    gettext_lazy("周六"), gettext_lazy("周日"),
)  # fmt: skip
SPANS_A_DAY, SPECIAL_DAYS = 4, 60
SHUT, WHOLE_DAY = ("休息", "休", "闭店"), ("全天", "24小时")
Spans = list[list[str]]

# Chinese keyboards write other colons, dashes and commas.
_SAME = str.maketrans(
    {"\uff1a": ":", **dict.fromkeys("~\uff5e\u2013\u2014\uff0d至到", "-"), **dict.fromkeys(",\uff0c、;\uff1b", " ")}
)
_SPAN = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?\s*(.*)")


def parse_day(text: str) -> Spans:
    """One day as typed: 10:00-14:00 16:00-22:00, 休息 or nothing. Raises UserError that says what to write instead."""
    text = text.strip()
    if not text or text in SHUT:
        return []
    if text in WHOLE_DAY:
        return [["00:00", "24:00"]]
    typed = re.sub(r"\s*-\s*", "-", text.translate(_SAME)).split()
    if len(typed) > SPANS_A_DAY:
        raise UserError(_("一天最多写 %(n)d 段营业时间。") % {"n": SPANS_A_DAY})
    spans = sorted(_span(part) for part in typed)
    for (_since, until), (since, _until) in pairwise(spans):
        if since < until:
            raise UserError(_("%(since)s 开始的一段和前一段(到 %(until)s)重叠了,请改成不重叠的时间。") % {"since": since, "until": until})  # fmt: skip
    return [list(span) for span in spans]


def _span(text: str) -> tuple[str, str]:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise UserError(
            _("看不懂「%(text)s」,请写成 10:00-22:00,多段用逗号隔开,不营业写「休息」。") % {"text": text[:40]}
        )
    numbers = [int(part) for part in found.groups()]
    since, until = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
    if max(numbers[1], numbers[3]) > 59 or until > 24 * 60 or since >= 24 * 60:
        raise UserError(_("「%(text)s」不是一天里的时间,请写 00:00 到 24:00 之间。") % {"text": text})
    if since >= until:
        raise UserError(
            _("「%(text)s」的结束不晚于开始。营业过零点的,当天写到 24:00,剩下的写在第二天。") % {"text": text}
        )
    return _clock(since), _clock(until)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def parse_special(text: str) -> dict[str, Spans]:
    """特殊日期, one a line: 2026-10-01 休息, or 2026-10-02 12:00-18:00. Raises UserError that names the line."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if len(lines) > SPECIAL_DAYS:
        raise UserError(_("特殊日期最多 %(n)d 天,请删掉已经过去的。") % {"n": SPECIAL_DAYS})
    found: dict[str, Spans] = {}
    for number, line in lines:
        try:
            day, spans = _special(line)
            if day in found:
                raise UserError(_("%(day)s 写了两次,请合成一行。") % {"day": day})
        except UserError as error:
            raise UserError(_("第 %(n)d 行:%(why)s") % {"n": number, "why": error.message}) from error
        found[day] = spans
    return dict(sorted(found.items()))


def _special(line: str) -> tuple[str, Spans]:
    found = _DATE.fullmatch(line)
    try:
        day = date(*(int(part) for part in found.groups()[:3])) if found else None
    except ValueError:
        day = None
    if found is None or day is None:
        raise UserError(_("看不懂日期,请写成 2026-10-01 休息,或 2026-10-01 12:00-18:00。"))
    if not found[4]:
        raise UserError(_("%(day)s 后面请写营业时间,或写「休息」。") % {"day": day.isoformat()})
    return day.isoformat(), parse_day(found[4])


def build(week: Sequence[Spans], special: Mapping[str, Spans]) -> dict[str, Any]:
    """What the store keeps; {} when nothing was typed at all."""
    return {"week": list(week), "special": dict(special)} if any(week) or special else {}


def say_day(spans: Spans) -> str:
    """A day in words, as it may be typed again."""
    return ", ".join(f"{since}-{until}" for since, until in spans) or str(_("休息"))


def typed_week(hours: Mapping[str, Any]) -> list[str]:
    """The seven days as typed; empty texts where nobody told."""
    week = hours.get("week") or []
    return [say_day(spans) for spans in week] if any(week) else [""] * 7


def typed_special(hours: Mapping[str, Any]) -> str:
    """The special days as typed, one a line."""
    return "\n".join(f"{day} {say_day(spans)}" for day, spans in (hours.get("special") or {}).items())


def on_day(hours: Mapping[str, Any], day: date) -> Spans | None:
    """The spans of a day, a special one first. None: nobody told."""
    special = hours.get("special") or {}
    if day.isoformat() in special:
        return list(special[day.isoformat()])
    week = hours.get("week") or []
    return list(week[day.weekday()]) if any(week) else None
