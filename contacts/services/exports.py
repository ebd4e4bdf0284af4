"""Exporting the customer list: a CSV file made in the background, page by page, for whoever asked and nobody else."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.http import QueryDict
from django.utils.translation import gettext as _

from accounts.scope import DataScope
from contacts import listing, longjobs
from contacts.models import Contact, Follow
from contacts.queries import family_of, listed_contacts
from scrm.lib import clock
from scrm.lib.sheets import as_text
from tenants import audit
from tenants.audit import Actor
from tenants.context import current_tenant
from tenants.ledger.models import Job
from tenants.paths import tenant_dir

KIND = "contacts.export"
PAGE = 1000


@transaction.atomic
def request_export(query: str, scope: DataScope, *, by: Actor) -> Job:
    """Start the export of what the filters find within the scope; audited with the filter and the count."""
    count = listing.narrowed(listed_contacts(scope), QueryDict(query)).count()
    params = {"query": query, "scope": _packed(scope)}
    job = longjobs.start(KIND, _("导出客户 %(count)s 位") % {"count": f"{count:,}"}, params=params, by=by, total=count)
    audit.record("contacts.exported", job, by=by, query=query, count=count)
    return job


def export_step(job: Job, deadline: datetime) -> bool:
    """Write further pages until the slice is over. The file is cut back to what the last committed step wrote."""
    path = tenant_dir("exports") / f"contacts-{job.pk}.csv"
    people = listing.narrowed(listed_contacts(_unpacked(job.params["scope"])), QueryDict(job.params["query"])).order_by(
        "pk"
    )
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(int(job.result.get("bytes", 0)))
        file.seek(0, io.SEEK_END)
        if not job.result.get("bytes"):
            file.write("\ufeff".encode() + _csv([_heads()]))
        while clock.wall() < deadline:
            page = list(
                people.filter(pk__gt=job.result.get("after", 0)).select_related("owner", "store", "stage")[:PAGE]
            )
            file.write(_csv(_lines(page)))
            file.flush()
            job.done += len(page)
            job.result = {**job.result, "bytes": file.tell(), "after": page[-1].pk if page else 0}
            job.save(update_fields=["done", "result"])
            if len(page) < PAGE:
                job.file_path = str(path.relative_to(settings.MEDIA_ROOT))
                return True
    return False


def file_of(job: Job) -> Path | None:
    """The finished file of a job, if it still stands within the tenant's own folder."""
    if not job.file_path:
        return None
    path = (Path(settings.MEDIA_ROOT) / job.file_path).resolve()
    own = (Path(settings.MEDIA_ROOT) / current_tenant().schema_name).resolve()
    return path if path.is_relative_to(own) and path.is_file() else None


def _heads() -> list[str]:
    return [
        _("客户编号"),
        _("昵称"),
        _("备注"),
        _("性别"),
        _("阶段"),
        _("归属导购"),
        _("门店"),
        _("首次添加"),
        _("最近添加"),
        _("好友数"),
    ]


def _lines(people: Sequence[Contact]) -> list[list[str]]:
    family = family_of(person.pk for person in people)
    remarks: dict[int, list[str]] = {}
    for contact_id, remark in (
        Follow.objects.filter(contact_id__in=family).exclude(remark="").values_list("contact_id", "remark")
    ):
        remarks.setdefault(family[contact_id], []).append(remark)
    zone = ZoneInfo(current_tenant().time_zone)
    return [
        [
            str(person.pk), person.name, ";".join(remarks.get(person.pk, [])), str(person.get_gender_display()),
            str(person.stage or ""), str(person.owner or ""), str(person.store or ""), _time(person.first_added_at, zone),
            _time(person.last_added_at, zone), str(person.active_follows),
        ]
        for person in people
    ]  # fmt: skip


def _time(at: datetime | None, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M") if at else ""


def _csv(lines: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([list(map(as_text, line)) for line in lines])
    return text.getvalue().encode()


def _packed(scope: DataScope) -> dict[str, Any]:
    return {
        "user_id": scope.user_id, "sees_all": scope.sees_all, "own": scope.own, "region_ids": sorted(scope.region_ids),
        "dealer_ids": sorted(scope.dealer_ids), "store_ids": sorted(scope.store_ids),
    }  # fmt: skip


def _unpacked(data: dict[str, Any]) -> DataScope:
    ids = {name: frozenset(data[name]) for name in ("region_ids", "dealer_ids", "store_ids")}
    return DataScope(user_id=data["user_id"], sees_all=data["sees_all"], own=data["own"], **ids)
