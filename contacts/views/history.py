"""The timeline of the customer page: what happened, narrowed by kind and by who did it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from accounts.models import User
from contacts.models import Contact, Member, Note, TimelineEvent, Todo
from contacts.queries import timeline_of
from contacts.timeline import kind_of, kinds_closed_to
from contacts.views.details import details_words
from scrm.lib import clock
from scrm.lib.numbers import whole_number
from scrm.lib.paging import keyset_page

PAGE = 20
WECOM = "wecom"  # facts that nobody did in this system: the customer's own acts, and what WeCom told
Option = dict[str, Any]


def timeline_context(request: HttpRequest, contact: Contact) -> dict[str, Any]:
    """A page of her facts, and what they can be narrowed to. A constant number of queries."""
    rows = timeline_of(contact)
    if closed := kinds_closed_to(request.permissions):  # type: ignore[attr-defined]  # as the account middleware made it
        rows = rows.exclude(kind__in=closed)
    seen = list(rows.order_by().values_list("kind", "actor", "member_id").distinct())
    kind, who = request.GET.get("kind", ""), request.GET.get("who", "")
    people = _names(actor for _kind, actor, _member in seen)
    narrowed = _by_who(rows.filter(kind=kind) if kind else rows, who)
    page = keyset_page(narrowed, ("-occurred_at", "-pk"), request.GET.get("cursor", ""), size=PAGE)
    words = _words(page.rows) | details_words(request, contact, page.rows)
    return {
        "events": [_event(row, people, words) for row in page.rows],
        "kinds": [
            {"key": key, "label": kind_of(key).label, "active": key == kind} for key in sorted({one[0] for one in seen})
        ],
        "doers": _doers(seen, people, who),
        "guides": _guides(seen, who),
        "is_narrowed": bool(kind or who),
        "narrowing": urlencode({"kind": kind, "who": who}),
        "next_cursor": page.next_cursor or "",
        "previous_cursor": page.previous_cursor or "",
    }


def _by_who(rows: Any, who: str) -> Any:
    if not who:
        return rows
    if who == WECOM:
        return rows.filter(actor="")
    if who.startswith("member:"):
        return rows.filter(member_id=whole_number(who.removeprefix("member:")) or 0)
    return rows.filter(actor=who)


def _names(actors: Iterable[str]) -> dict[str, str]:
    """Actor as the timeline stores one → in words."""
    wanted = set(actors)
    ids = {pk for one in wanted if one.startswith("user:") and (pk := whole_number(one.removeprefix("user:")))}
    users = dict(User.objects.filter(pk__in=ids).values_list("pk", "display_name"))
    names = {f"user:{pk}": users.get(pk) or _("已删除的账号") for pk in ids}
    for one in wanted - names.keys():
        kind = one.partition(":")[0]
        names[one] = {"": _("客户与企业微信"), "system": _("系统"), "token": _("接口")}.get(kind, one)
    return names


def _doers(seen: Sequence[tuple[str, str, int | None]], names: dict[str, str], who: str) -> list[Option]:
    actors = sorted({actor for _kind, actor, _member in seen}, key=lambda one: (not one, names[one], one))
    return [{"key": one or WECOM, "label": names[one], "active": (one or WECOM) == who} for one in actors]


def _guides(seen: Sequence[tuple[str, str, int | None]], who: str) -> list[Option]:
    members = Member.objects.filter(pk__in={member for _kind, _actor, member in seen if member}).order_by("name", "pk")
    return [{"key": f"member:{one.pk}", "label": str(one), "active": f"member:{one.pk}" == who} for one in members]


def _words(rows: Sequence[TimelineEvent]) -> dict[str, str]:
    """Subject → what was written: the words of notes and to-dos stand in their own rows alone, where they can be put right."""
    ids: dict[str, set[int]] = {"note": set(), "todo": set()}
    for row in rows:
        kind, _colon, pk = row.subject.partition(":")
        if kind in ids:
            ids[kind].add(whole_number(pk) or 0)
    found: dict[str, str] = {}
    if ids["note"]:
        notes = Note.objects.filter(pk__in=ids["note"]).values_list("pk", "text")
        found |= {f"note:{pk}": text or _("已撤回") for pk, text in notes}
    if ids["todo"]:
        found |= {f"todo:{pk}": text for pk, text in Todo.objects.filter(pk__in=ids["todo"]).values_list("pk", "text")}
    return found


def _event(row: TimelineEvent, people: dict[str, str], words: dict[str, str]) -> dict[str, Any]:
    kind = kind_of(row.kind)
    texts = [
        words.get(row.subject or row.fact_key, ""),
        kind.renderer(row) if kind.renderer else "",
        str(row.group or ""),
        str(row.member or ""),
        str(row.store or ""),
        _("操作:%(name)s") % {"name": people[row.actor]} if row.actor else "",
    ]
    return {
        "at": _short(row.occurred_at),
        "machine_at": row.occurred_at.isoformat(),
        "title": kind.label,
        "text": " · ".join(text for text in texts if text),
        "quiet": row.kind == "follow.lost",
    }


def _short(at: datetime) -> str:
    """11-23 10:20 of this year, 2025-11-23 of another."""
    local = timezone.localtime(at)
    return local.strftime("%m-%d %H:%M" if local.year == timezone.localtime(clock.now()).year else "%Y-%m-%d")
