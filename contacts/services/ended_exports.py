"""Files of 已删除与回流: one row a fact, with the guide and the store of then."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.scope import DataScope, scope_as_json, scope_from_json
from contacts.ended import LISTS, Narrowing, events_of, friends_left, kept_days, root_of, roots
from contacts.models import TimelineEvent
from contacts.services import exports
from contacts.services.opt_out import is_opted_out
from scrm.lib import clock
from scrm.lib.sheets import Cell
from tenants import audit
from tenants.audit import Actor
from tenants.context import current_tenant
from tenants.ledger.models import Job

KIND = "contacts.export_ended"


@transaction.atomic
def request_export(
    tab: str, wanted: Narrowing, scope: DataScope, *, by: Actor, permissions: frozenset[str], file_format: str
) -> Job:
    """Start the file of a tab of the page, under its filters. Audited. Raises UserError as exports.start does."""
    count = events_of(tab, scope, wanted).count()
    narrowing = asdict(wanted) | {"since": wanted.since.isoformat(), "until": wanted.until.isoformat()}
    params = {"tab": tab, "wanted": narrowing, "scope": scope_as_json(scope)}
    title = _("导出「%(name)s」%(count)s 条") % {"name": LISTS[tab], "count": f"{count:,}"}
    job = exports.start(KIND, title, params, count, by=by, permissions=permissions, file_format=file_format)
    audit.record("contacts.ended_exported", job, by=by, tab=tab, count=count, format=file_format)
    return job


def _heads(_params: Mapping[str, Any]) -> list[str]:
    return [
        _("客户编号"), _("昵称"), _("导购"), _("当时门店"), _("发生了什么"), _("时间"), _("保持天数"), _("免打扰"), _("仍是好友的导购"),
    ]  # fmt: skip


def _page(params: Mapping[str, Any], after: Any) -> tuple[exports.Rows, Any]:
    given = dict(params["wanted"])
    wanted = Narrowing(**given | {key: datetime.fromisoformat(given[key]) for key in ("since", "until")})
    events = events_of(params["tab"], scope_from_json(params["scope"]), wanted)
    if after is not None:
        at, pk = datetime.fromisoformat(after[0]), after[1]
        # The first column alone bounds the index scan.
        events = events.filter(Q(occurred_at__gte=at), Q(occurred_at__gt=at) | Q(pk__gt=pk))
    found = list(events.order_by("occurred_at", "pk")[: exports.PAGE])
    last = [found[-1].occurred_at.isoformat(), found[-1].pk] if len(found) == exports.PAGE else None
    return _rows(found), last


def _rows(events: Sequence[TimelineEvent]) -> list[list[Cell]]:
    friends, now = friends_left(roots(events)), clock.now()
    zone, rows = ZoneInfo(current_tenant().time_zone), []
    words = {"follow.added": _("回流"), "follow.deleted_by_customer": _("客户删"), "follow.deleted_by_guide": _("导购删"),
             "follow.transferred": _("已转移"), "follow.lost": _("原因未知")}  # fmt: skip
    for event in events:
        person, kept = root_of(event), kept_days(event)
        if person is None:
            continue
        friend = friends.get(person.pk)
        cells: list[Cell] = [
            person.pk, person.name, str(event.member or ""), str(event.store or ""), words[event.kind],
            event.occurred_at.astimezone(zone).strftime("%Y-%m-%d %H:%M"), "" if kept is None else kept, _("是") if is_opted_out(person, now) else "",
            str(friend.member) if friend else "",
        ]  # fmt: skip
        rows.append(cells)
    return rows


ENDED = exports.Source("ended", _heads, _page)
