"""待合并: pairs that may be one person, with what speaks for it; phones on too many people; the search of everybody."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, requires
from accounts.models import User
from accounts.scope import DataScope
from contacts.counting import count_rows
from contacts.models import Contact, ContactPhone, Duplicate, Follow, Member, SharedPhone
from contacts.phones import show_phone
from contacts.queries import family_of, listed_contacts
from contacts.services import duplicates
from contacts.views.exports import job_status
from scrm.lib import clock
from scrm.lib.paging import keyset_page, pager
from scrm.lib.privacy import mask_text
from tenants.ledger.models import Job

_State = Duplicate.State
TONES = {_State.OPEN: "wait", _State.MERGED: "ok", _State.REFUSED: "idle", _State.LAPSED: "idle"}


def visible_duplicates(scope: DataScope) -> QuerySet[Duplicate]:
    """Pairs of whom the user sees both."""
    rows = Duplicate.objects.all()
    if scope.sees_all:
        return rows
    people = listed_contacts(scope).values("pk")
    first = Q(first__in=people) | Q(first__root__in=people)
    return rows.filter(first, Q(second__in=people) | Q(second__root__in=people))


def tabs_of(request: MemberRequest, active: str) -> list[dict[str, Any]]:
    """The pages of one subject. What no part of the organisation can see is left out for whoever sees a part."""
    rows = visible_duplicates(request.scope)
    listed = reverse("contacts:duplicate_list")
    pages = [
        ("open", _("待合并"), listed, exact(rows.filter(state=_State.OPEN))),
        ("refused", _("不是同一人"), f"{listed}?state=refused", None),
    ]
    if request.scope.sees_all:
        pages.append(("shared", _("公用号码"), reverse("contacts:shared_list"), SharedPhone.objects.count()))
    pages.append(("merges", _("合并记录"), reverse("contacts:merge_list"), None))
    return [{"label": label, "url": url, "active": key == active, "count": n} for key, label, url, n in pages]


def exact(rows: Any) -> int | None:
    """How many, where that was counted and not estimated."""
    count = count_rows(rows)
    return count.number if count.is_exact else None


@require_GET
@requires("contacts.merge")
def duplicate_list(request: MemberRequest) -> HttpResponse:
    """Pairs, the latest found first, each with its evidence."""
    state = "refused" if request.GET.get("state") == "refused" else "open"
    found = visible_duplicates(request.scope).filter(state=state)
    page = keyset_page(
        found.select_related("first__owner", "first__store", "second__owner", "second__store"),
        ("-found_at", "-pk"), request.GET.get("cursor", ""),
    )  # fmt: skip
    deciders = User.objects.in_bulk({row.decided_by_id for row in page.rows if row.decided_by_id})
    evidence = _evidence(page.rows)
    last = Job.objects.filter(kind=duplicates.FIND).order_by("-pk").first()
    context = {
        "tabs": tabs_of(request, state),
        "state": state,
        "rows": [
            {
                "pair": row,
                "people": [{"person": one, "says": evidence[row.pk][one.pk]} for one in (row.first, row.second)],
                "who": deciders.get(row.decided_by_id or 0),
            }
            for row in page.rows
        ],
        "total": count_rows(found),
        "counted": exact(found),
        "search": _status(last) if last and not last.is_over else None,
        "searched_at": last.finished_at if last else None,
        "most": duplicates.MOST,
        **pager(request, page),
    }
    return render(request, "contacts/duplicate_list.html", context)


def _evidence(rows: Sequence[Duplicate]) -> dict[int, dict[int, list[str]]]:
    """Proposal → person → what of hers speaks for it, in how many places and by whom noted. Four queries."""
    ends = {pk for row in rows for pk in (row.first_id, row.second_id)}
    family = family_of(ends)
    phones = {key.removeprefix("phone:") for row in rows for key in row.keys if key.startswith("phone:")}
    noted = ContactPhone.objects.filter(contact_id__in=family, phone__in=phones).order_by("pk")
    places: dict[tuple[int, str], list[str]] = defaultdict(list)
    for contact_id, phone, source in noted.values_list("contact_id", "phone", "source"):
        places[family[contact_id], phone].append(source)
    names = _noters({source for found in places.values() for source in found})
    return {
        row.pk: {
            pk: [_say(key, places.get((pk, key.removeprefix("phone:")), []), names) for key in row.keys]
            for pk in (row.first_id, row.second_id)
        }
        for row in rows
    }


def _noters(sources: set[str]) -> dict[str, str]:
    """Source of a phone → who noted it."""
    follows = {int(pk): source for source in sources if (pk := source.removeprefix("remark:")).isdecimal()}
    members = dict(Follow.objects.filter(pk__in=follows).values_list("pk", "member_id"))
    guides = Member.objects.in_bulk(set(members.values()))
    labels = {"order": _("订单"), "import": _("导入"), "manual": _("人工填写")}
    found = {source: labels.get(source.split(":")[0], _("其他来源")) for source in sources}
    return found | {source: str(guides[members[pk]]) for pk, source in follows.items() if pk in members}


def _say(key: str, sources: list[str], names: dict[str, str]) -> str:
    if not key.startswith("phone:"):
        return _("同一个 unionid")
    who = "、".join(dict.fromkeys(names[source] for source in sources)) or _("原来的记录已不在")
    text = _("%(phone)s · %(count)d 处:%(who)s")
    return text % {"phone": masked(key.removeprefix("phone:")), "count": len(sources), "who": who}


def masked(phone: str) -> str:
    """A number as lists show it."""
    return mask_text(show_phone(phone))


def _pair_or_404(request: MemberRequest, pk: int) -> Duplicate:
    return get_object_or_404(visible_duplicates(request.scope), pk=pk)


@require_POST
@requires("contacts.merge")
def duplicate_refuse(request: MemberRequest, pk: int) -> HttpResponse:
    """不是同一人."""
    duplicates.refuse([_pair_or_404(request, pk)], by=request.actor)
    return redirect("contacts:duplicate_list")


@require_POST
@requires("contacts.merge")
def duplicate_reopen(request: MemberRequest, pk: int) -> HttpResponse:
    """It was a slip."""
    duplicates.reopen(_pair_or_404(request, pk), by=request.actor)
    return redirect("contacts:duplicate_list")


@require_POST
@requires("contacts.merge")
def search(request: MemberRequest) -> HttpResponse:
    """Look through everybody now, not only tonight."""
    duplicates.start_search(by=request.actor)
    return redirect("contacts:duplicate_list")


@require_GET
@requires("contacts.merge")
def search_status(request: MemberRequest, pk: int) -> HttpResponse:
    """The progress fragment."""
    job = get_object_or_404(Job, pk=pk, kind=duplicates.FIND)
    return render(request, "ui/progress.html", _status(job))


def _status(job: Job) -> dict[str, Any]:
    url = reverse("contacts:duplicate_status", args=[job.pk])
    is_done = job.state == Job.State.DONE
    return {
        **job_status(job), "url": url, "result": _("已查完") if is_done else job.last_error,
        "result_url": reverse("contacts:duplicate_list") if is_done else "", "result_label": _("看结果"),
    }  # fmt: skip


# --- Phones on too many people --------------------------------------------------------------------------------------


@require_GET
@requires("contacts.merge")
def shared_list(request: MemberRequest) -> HttpResponse:
    """Numbers that prove nothing, because too many people have them. Whoever sees a part of the people sees none of them."""
    found = SharedPhone.objects.all() if request.scope.sees_all else SharedPhone.objects.none()
    page = keyset_page(found, ("-people", "-pk"), request.GET.get("cursor", ""))
    context = {
        "tabs": tabs_of(request, "shared"),
        "rows": [{"line": line, "phone": masked(line.phone)} for line in page.rows],
        "total": found.count(),
        "most": duplicates.MOST,
        **pager(request, page),
    }
    return render(request, "contacts/shared_list.html", context)


@require_GET
@requires("contacts.merge")
def shared_phone(request: MemberRequest, pk: int) -> HttpResponse:
    """Who has the number."""
    lines = SharedPhone.objects.all() if request.scope.sees_all else SharedPhone.objects.none()
    line = get_object_or_404(lines, pk=pk)
    carriers = ContactPhone.objects.filter(phone=line.phone).values_list("contact_id", "contact__root_id")
    people = Contact.objects.filter(pk__any_of={root_id or contact_id for contact_id, root_id in carriers})
    page = keyset_page(people.select_related("owner", "store"), ("pk",), request.GET.get("cursor", ""))
    context = {
        "line": line, "phone": masked(line.phone), "rows": page.rows, "total": people.count(), "as_of": clock.now(),
        **pager(request, page),
    }  # fmt: skip
    return render(request, "contacts/shared_phone.html", context)
