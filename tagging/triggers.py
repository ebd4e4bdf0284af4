"""When a rule looks at somebody. Other apps register further kinds.

A trigger is stored as {"kind": …, **parameters}. Kinds of three sorts: `match` (who starts to match the tree; rule_running), those with
`events` (facts of the timeline, as a query: the same one finds them as they are recorded and, for a dry run, in the past), and those
without (segments, schedules), whose own services write the RuleEvents.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import ExtractHour, ExtractIsoWeekDay, ExtractMinute
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conditions.windows import zone
from contacts import timeline
from contacts.kinds import ADD_WAYS
from contacts.models import FactSource, GroupChat, Stage, TimelineEvent
from scrm.lib.numbers import whole_number
from tagging import naming
from tagging.queries import live_segments

Params = Mapping[str, Any]
# What the first sync tells is history. Of the other sources only what happened since the rule is on counts as news.
NEWS = tuple(source.value for source in FactSource if source != FactSource.BACKFILL)
WEEKDAYS = (
    (1, gettext_lazy("周一")), (2, gettext_lazy("周二")), (3, gettext_lazy("周三")), (4, gettext_lazy("周四")), (5, gettext_lazy("周五")),
    (6, gettext_lazy("周六")), (7, gettext_lazy("周日")),
)  # fmt: skip
MONEY_MOST = 10**12


@dataclass(frozen=True)
class Trigger:
    """problems(params): sentences, empty when it can be used. in_words(params): 客户添加好友. from_post: the parameters from the form
    whose part is `template`, drawn with options(params, permissions of who fills it in). kinds(params): kinds of facts it hears;
    events(params): those it answers to. permission: what it takes to use it at all."""

    key: str
    label: str | Promise
    template: str
    in_words: Callable[[Params], str]
    problems: Callable[[Params], list[str]] = lambda params: []
    from_post: Callable[[QueryDict], dict[str, Any]] = lambda post: {}
    options: Callable[[Params, Collection[str]], dict[str, Any]] = lambda params, permissions: {}
    kinds: Callable[[Params], frozenset[str]] = lambda params: frozenset()
    events: Callable[[Params], QuerySet[TimelineEvent]] | None = None
    permission: str = ""


_triggers: dict[str, Trigger] = {}


def register(trigger: Trigger) -> None:
    """Add a kind. Raises ValueError when the key is taken by another."""
    if _triggers.get(trigger.key, trigger) != trigger:
        raise ValueError(f"rule trigger {trigger.key} is registered twice")
    _triggers[trigger.key] = trigger


def all_triggers() -> list[Trigger]:
    """Every kind, in order of registration."""
    return list(_triggers.values())


def find(key: Any) -> Trigger | None:
    """The kind of a key, or None."""
    return _triggers.get(str(key))


def problems_of(params: Any) -> list[str]:
    """Why a trigger cannot be used; empty when it can."""
    trigger = find(params.get("kind")) if isinstance(params, dict) else None
    return trigger.problems(params) if trigger else [_("不认识的触发方式,请重新选择")]


def in_words(params: Params) -> str:
    """One line that says when."""
    trigger = find(params.get("kind"))
    return trigger.in_words(params) if trigger else _("不认识的触发方式")


def from_post(post: QueryDict) -> dict[str, Any]:
    """The trigger of a posted form."""
    trigger = find(post.get("trigger", "match"))
    return {"kind": trigger.key, **trigger.from_post(post)} if trigger else {"kind": post.get("trigger", "")}


def events_of(params: Params) -> QuerySet[TimelineEvent] | None:
    """The facts a trigger answers to, of any time; None for one that is not about facts."""
    trigger = find(params.get("kind"))
    if trigger is None or trigger.events is None:
        return None
    return trigger.events(params).filter(contact__isnull=False, source__in=NEWS)


# --- Starts to match --------------------------------------------------------------------------------------------

MATCH = Trigger(
    "match",
    gettext_lazy("客户开始符合条件"),
    "tagging/triggers/match.html",
    in_words=lambda params: _("客户开始符合条件"),
)

# --- A fact of the timeline -------------------------------------------------------------------------------------

ADDED, JOINED = "follow.added", "group.joined"
MOST_GROUPS, MOST_STATES, STATE = 200, 50, 64  # of one rule; characters of a state, as those we keep


def _ints(post: QueryDict, name: str) -> list[int]:
    """The numbers chosen, each once; what is no number stands as -1, which nothing is, for the check to refuse."""
    given = [whole_number(value) for value in post.getlist(name) if value]
    return list(dict.fromkeys(-1 if number is None else number for number in given))


def _event_from_post(post: QueryDict) -> dict[str, Any]:
    found: dict[str, Any] = {"event": post.get("event", "")}
    if found["event"] == ADDED:
        found |= {
            "ways": _ints(post, "ways"),
            "states": sorted(set(post.get("states", "").replace("\uff0c", " ").replace(",", " ").split())),
        }
    if found["event"] == JOINED:
        found["groups"] = _ints(post, "groups")
    weekdays = _ints(post, "weekdays")
    hours = [post.get("from", ""), post.get("to", "")]
    if weekdays or any(hours):
        found["weekdays"], found["from"], found["to"] = weekdays, hours[0] or "00:00", hours[1] or "24:00"
    return {key: value for key, value in found.items() if value}


def minute_of(text: Any) -> int | None:
    """Minutes since midnight of `09:30`; 24:00 is the end of the day; None for anything else."""
    if text == "24:00":
        return 24 * 60
    try:
        at = time.fromisoformat(str(text))
    except ValueError:
        return None
    return at.hour * 60 + at.minute


def _event_problems(params: Params) -> list[str]:
    if params.get("event") not in {kind.key for kind in timeline.all_kinds()}:
        return [_("请选择哪一种动态")]
    if text := _limits_problem(params):
        return [text]
    if "from" in params and (minute_of(params["from"]) is None or minute_of(params["to"]) is None):
        return [_("请把时段写成 09:00 到 18:00 这样")]
    if "from" in params and minute_of(params["from"]) == minute_of(params["to"]):
        return [_("时段的开始和结束不能一样")]
    groups = set(params.get("groups") or [])
    if groups - set(GroupChat.objects.filter(pk__in=groups).values_list("pk", flat=True)):
        return [_("选的客户群已经不在,请重新选择")]
    return []


def _limits_problem(params: Params) -> str:
    """Why what an event is narrowed by cannot be used; or ""."""
    ways, weekdays = params.get("ways") or [], params.get("weekdays") or []
    groups, states = params.get("groups") or [], params.get("states") or []
    if not set(ways) <= set(ADD_WAYS):
        return _("选的添加方式里有不认识的,请重新选择")
    if not set(weekdays) <= {day for day, _label in WEEKDAYS}:
        return _("选的周几里有不认识的,请重新选择")
    if len(groups) > MOST_GROUPS:
        return _("一条规则最多选 %(most)d 个客户群,请改小范围或分成几条规则") % {"most": MOST_GROUPS}
    if len(states) > MOST_STATES or any(len(state) > STATE or "\x00" in state for state in states):
        text = _("渠道最多写 %(most)d 个,每个最多 %(length)d 个字,请删掉一些或分成几条规则")
        return text % {"most": MOST_STATES, "length": STATE}
    return ""


def _event_words(params: Params) -> str:
    words = _("客户动态「%(kind)s」") % {"kind": timeline.kind_of(params.get("event", "")).label}
    limits = []
    if params.get("groups"):
        known = naming.by_id("group chat", GroupChat.objects.only("name"), params["groups"])
        names = [known[pk].name for pk in sorted(params["groups"]) if pk in known]
        limits.append(_("群:%(names)s") % {"names": "、".join(name or _("未命名群") for name in names)})
    if params.get("ways"):
        limits.append(
            _("添加方式:%(names)s") % {"names": "、".join(str(ADD_WAYS.get(way, way)) for way in params["ways"])}
        )
    if params.get("states"):
        limits.append(_("渠道:%(names)s") % {"names": "、".join(params["states"])})
    if params.get("weekdays"):
        limits.append("、".join(str(label) for day, label in WEEKDAYS if day in params["weekdays"]))
    if params.get("from"):
        limits.append(f"{params['from']}–{params['to']}")
    return words + (_("(%(limits)s)") % {"limits": ",".join(limits)} if limits else "")


def _event_rows(params: Params) -> QuerySet[TimelineEvent]:
    rows = TimelineEvent.objects.filter(kind=params.get("event", ""))
    if params.get("groups"):
        rows = rows.filter(group_id__in=params["groups"])
    if params.get("ways"):
        rows = rows.filter(payload__add_way__in=params["ways"])
    if params.get("states"):
        rows = rows.filter(payload__state__in=params["states"])
    return _within_hours(rows, params)


def _within_hours(rows: QuerySet[TimelineEvent], params: Params) -> QuerySet[TimelineEvent]:
    """By the hour at which it happened, in the merchant's time; a span over midnight counts by the day each fact is of."""
    if params.get("weekdays"):
        rows = rows.annotate(_weekday=ExtractIsoWeekDay("occurred_at", tzinfo=zone())).filter(
            _weekday__in=params["weekdays"]
        )
    if not params.get("from"):
        return rows
    since, until = minute_of(params["from"]) or 0, minute_of(params["to"]) or 0
    rows = rows.annotate(
        _minute=ExtractHour("occurred_at", tzinfo=zone()) * 60 + ExtractMinute("occurred_at", tzinfo=zone())
    )
    after, before = Q(_minute__gte=since), Q(_minute__lt=until)
    return rows.filter(after & before if since < until else after | before)


def _event_options(params: Params, permissions: Collection[str]) -> dict[str, Any]:
    """The kinds of facts she sees; one that stands is shown nevertheless, told apart."""
    groups = GroupChat.objects.order_by("-pk").values_list("pk", "name")[:200] if params.get("event") == JOINED else ()
    return {
        "event_kinds": [
            (kind.key, kind.label, kind.permission not in permissions)
            for kind in timeline.all_kinds()
            if kind.permission in permissions or kind.key == params.get("event")
        ],
        "ways": list(ADD_WAYS.items()) if params.get("event") == ADDED else [],
        "groups": list(groups),
        "weekdays": WEEKDAYS,
        "states": " ".join(params.get("states") or []),
    }


EVENT = Trigger(
    "event", gettext_lazy("发生一件事"), "tagging/triggers/event.html", in_words=_event_words, problems=_event_problems,
    from_post=_event_from_post, options=_event_options, kinds=lambda params: frozenset({str(params.get("event", ""))}),
    events=_event_rows,
)  # fmt: skip

# --- Stages -----------------------------------------------------------------------------------------------------


def _stage_problems(params: Params) -> list[str]:
    stage = Stage.objects.filter(pk=params.get("stage") or 0).first()
    return [] if stage and params.get("way") in ("enter", "leave") else [_("请选择阶段")]


def _stage_words(params: Params) -> str:
    stage = naming.by_id("stage", Stage.objects.all(), [params.get("stage")]).get(params.get("stage") or 0)
    name = stage.name if stage else _("已删除")
    words = _("进入阶段「%(name)s」") if params.get("way") == "enter" else _("离开阶段「%(name)s」")
    return words % {"name": name}


def _stage_rows(params: Params) -> QuerySet[TimelineEvent]:
    """The fact says where to and where from by id; one of before it did says where from by the name of then alone."""
    rows = TimelineEvent.objects.filter(kind="stage.changed")
    if params.get("way") == "enter":
        return rows.filter(subject=f"stage:{params.get('stage')}")
    name = Stage.objects.filter(pk=params.get("stage") or 0).values_list("name", flat=True).first()
    by_name = Q(payload__from=name or "") & ~Q(payload__has_key="from_id")
    return rows.filter(Q(payload__from_id=params.get("stage")) | by_name)


STAGE = Trigger(
    "stage", gettext_lazy("进入或离开一个阶段"), "tagging/triggers/stage.html", in_words=_stage_words, problems=_stage_problems,
    from_post=lambda post: {"stage": next(iter(_ints(post, "trigger_stage")), 0), "way": post.get("stage_way", "enter")},
    options=lambda params, permissions: {"stage_list": Stage.objects.filter(is_archived=False)},
    kinds=lambda params: frozenset({"stage.changed"}), events=_stage_rows,
)  # fmt: skip

# --- Orders -----------------------------------------------------------------------------------------------------


def _order_from_post(post: QueryDict) -> dict[str, Any]:
    given = post.get("amount", "").strip()
    if not given:
        return {}
    try:
        return {"at_least": round(float(given) * 100)}
    except (ValueError, OverflowError):
        return {"at_least": -1}


def _order_problems(params: Params) -> list[str]:
    least = params.get("at_least", 0)
    good = type(least) is int and 0 <= least <= MONEY_MOST
    return [] if good else [_("金额请写成 0 或更大的数字,例如 199.00")]


def _order_words(params: Params) -> str:
    if not params.get("at_least"):
        return _("客户下单")
    return _("客户下单,金额至少 %(amount)s 元") % {"amount": f"{params['at_least'] / 100:,.2f}"}


def _order_rows(params: Params) -> QuerySet[TimelineEvent]:
    rows = TimelineEvent.objects.filter(kind="order.paid")
    return rows.filter(payload__amount_minor__gte=params["at_least"]) if params.get("at_least") else rows


ORDER = Trigger(
    "order", gettext_lazy("客户下单"), "tagging/triggers/order.html", in_words=_order_words, problems=_order_problems,
    from_post=_order_from_post, kinds=lambda params: frozenset({"order.paid"}), events=_order_rows,
    options=lambda params, permissions: {"amount": f"{params['at_least'] / 100:.2f}" if params.get("at_least") else ""},
)  # fmt: skip

# --- Segments ---------------------------------------------------------------------------------------------------


def _segment_name(params: Params) -> str | None:
    segment = naming.by_id("segment", live_segments(), [params.get("segment")]).get(params.get("segment") or 0)
    return segment.name if segment else None


def _segment_words(params: Params) -> str:
    words = _("进入人群「%(name)s」") if params.get("way") == "enter" else _("离开人群「%(name)s」")
    return words % {"name": _segment_name(params) or _("已归档")}


SEGMENT = Trigger(
    "segment", gettext_lazy("进入或离开一个人群"), "tagging/triggers/segment.html", in_words=_segment_words,
    problems=lambda params: [] if _segment_name(params) and params.get("way") in ("enter", "leave") else [_("请选择人群")],
    from_post=lambda post: {"segment": next(iter(_ints(post, "trigger_segment")), 0), "way": post.get("segment_way", "enter")},
    options=lambda params, permissions: {"segment_list": live_segments() if "segments.view" in permissions else []},
    permission="segments.view",
)  # fmt: skip

# --- Schedules --------------------------------------------------------------------------------------------------

EVERY = (("day", gettext_lazy("每天")), ("week", gettext_lazy("每周")), ("month", gettext_lazy("每月")))


def _schedule_from_post(post: QueryDict) -> dict[str, Any]:
    every = post.get("every", "day")
    found: dict[str, Any] = {"every": every, "time": post.get("time", "")}
    if every == "week":
        found["weekday"] = next(iter(_ints(post, "weekday")), 1)
    if every == "month":
        found["day"] = next(iter(_ints(post, "day")), 1)
    return found


def _schedule_problems(params: Params) -> list[str]:
    at = minute_of(params.get("time"))
    if params.get("every") not in dict(EVERY) or at is None or at == 24 * 60:
        return [_("请选择每天、每周或每月的几点")]
    if params["every"] == "week" and params.get("weekday") not in range(1, 8):
        return [_("请选择周几")]
    if params["every"] == "month" and params.get("day") not in range(1, 32):
        return [_("请选择几号")]
    return []


def _schedule_words(params: Params) -> str:
    every, at = params.get("every"), params.get("time", "")
    if every == "week":
        return _("每%(day)s %(time)s") % {"day": dict(WEEKDAYS).get(params.get("weekday", 0), ""), "time": at}
    if every == "month":
        return _("每月 %(day)s 号 %(time)s(没有这一天的月份取最后一天)") % {"day": params.get("day"), "time": at}
    return _("每天 %(time)s") % {"time": at}


SCHEDULE = Trigger(
    "schedule", gettext_lazy("定时"), "tagging/triggers/schedule.html", in_words=_schedule_words, problems=_schedule_problems,
    from_post=_schedule_from_post,
    options=lambda params, permissions: {"every_list": EVERY, "weekdays": WEEKDAYS, "days": range(1, 32)},
)  # fmt: skip

for _trigger in (MATCH, EVENT, SEGMENT, STAGE, ORDER, SCHEDULE):
    register(_trigger)
