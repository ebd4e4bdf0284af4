"""预打标签: what waits for whom, pasting more, matching again, stopping a file."""

import csv
import io
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, requires
from contacts.models import ImportRun
from contacts.phones import normalise_phone, show_phone
from contacts.services.imports import running
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number
from scrm.lib.paging import keyset_page, pager
from scrm.lib.privacy import mask_text
from tagging.models import PreTag, Tag, TagGroup
from tagging.queries import live_tags
from tagging.services import pretags
from tagging.services.exclusive import rivals_among
from tagging.services.pretag_imports import DAYS, KIND

MOST_LINES = 5_000
State = PreTag.State
TONES = {State.WAITING: "run", State.APPLIED: "ok", State.CLASH: "warn", State.VOID: "bad"}


@require_GET
@requires("tags.edit")
def pretag_list(request: MemberRequest) -> HttpResponse:
    """Every pre-tag by state; keys masked."""
    _refuse_part(request)
    counts = dict(PreTag.objects.order_by().values_list("state").annotate(n=Count("pk")))
    state = request.GET.get("state", "")
    rows = PreTag.objects.filter(state=state) if state in State.values else PreTag.objects.all()
    page = keyset_page(rows.select_related("contact"), ("-pk",), request.GET.get("cursor", ""))
    names = dict(Tag.objects.filter(pk__in={pk for row in page.rows for pk in row.tag_ids}).values_list("pk", "name"))
    files = dict(ImportRun.objects.filter(pk__in={row.import_id for row in page.rows}).values_list("pk", "file_name"))
    now = clock.now()
    context = {
        "tabs": [
            {"label": label, "url": f"?state={key}", "active": key == (state if state in State.values else ""), "count": n}
            for key, label, n in [("", _("全部"), sum(counts.values())), *((one.value, one.label, counts.get(one, 0)) for one in State)]
        ],
        "rows": [_shown(row, names, files, now) for row in page.rows],
        "groups": _choices(),
        "days": DAYS,
        "can_import": "contacts.import" in request.permissions,
        "most": MOST_LINES,
        "again": pretags.last_again(),
        **pager(request, page),
    }  # fmt: skip
    return render(request, "tagging/tag_pre.html", context)


def _refuse_part(request: MemberRequest) -> None:
    """A key may be anybody's."""
    if not request.scope.sees_all:
        raise PermissionDenied


def _shown(row: PreTag, names: dict[int, str], files: dict[int, str], now: Any) -> dict[str, Any]:
    expired = row.state in pretags.OPEN and row.expires_at <= now
    return {
        "row": row,
        "key": mask_text(show_phone(row.value)),
        "tags": [names.get(pk, _("已删除")) for pk in row.tag_ids],
        "file": files.get(row.import_id, ""),
        "state": _("已过期") if expired else State(row.state).label,
        "tone": "idle" if expired else TONES[State(row.state)],
        "is_open": row.state in pretags.OPEN,
    }


def _choices() -> list[tuple[str, list[Tag]]]:
    groups: dict[str, list[Tag]] = {}
    for tag in (
        live_tags().exclude(group__kind=TagGroup.Kind.PERSONAL).order_by("-group__order", "group_id", "-order", "pk")
    ):
        if tag.group.kind == TagGroup.Kind.INTERNAL or tag.wecom_tag_id:
            groups.setdefault(tag.group.name, []).append(tag)
    return list(groups.items())


@require_POST
@requires("contacts.import")
def pretag_paste(request: MemberRequest) -> HttpResponse:
    """Pasted lines become a file of the import, which is tried and confirmed there."""
    if "tags.edit" not in request.permissions:
        raise PermissionDenied
    _refuse_part(request)
    lines = [line.strip() for line in request.POST.get("lines", "").splitlines() if line.strip()]
    ids = {int(value) for value in request.POST.getlist("tags") if whole_number(value) is not None}
    tags = [f"{tag.group.name}/{tag.name}" for _name, group in _choices() for tag in group if tag.pk in ids]
    if not lines or not tags:
        raise UserError(_("请粘贴手机号或 unionid,每行一个,并至少选一个标签"))
    if clash := rivals_among(ids):
        raise UserError(clash)
    if len(lines) > MOST_LINES:
        raise UserError(_("一次最多粘贴 %(n)s 行,更多请上传文件") % {"n": f"{MOST_LINES:,}"})
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_("手机号"), "unionid", _("标签"), _("有效天数")])
    for line in lines:
        is_phone = bool(normalise_phone(line))
        writer.writerow(
            [line if is_phone else "", "" if is_phone else line, "、".join(tags), request.POST.get("days", "")]
        )
    name = _("粘贴的预打标签") + f" {clock.now():%m%d%H%M}.csv"
    upload = SimpleUploadedFile(name, out.getvalue().encode("utf-8-sig"), "text/csv")
    run = running.take_upload(KIND, upload, request.scope, by=request.actor)
    return redirect("contacts:import", pk=run.pk)


@require_POST
@requires("tags.edit", many=True)
def pretag_retry(request: MemberRequest) -> HttpResponse:
    _refuse_part(request)
    count = pretags.try_again(by=request.actor)
    if count is None:
        messages.success(request, _("在等的较多,正在按现在的客户逐条再匹配,进度见本页"))
    else:
        messages.success(request, _("已按现在的客户再匹配一次,打上 %(n)d 条") % {"n": count})
    return redirect("tagging:pretag_list")


@require_POST
@requires("tags.edit")
def pretag_stop(request: MemberRequest) -> HttpResponse:
    """Of one file, what still waits."""
    _refuse_part(request)
    count = pretags.stop(whole_number(request.POST.get("file", "")) or 0, by=request.actor)
    messages.success(request, _("这个文件里还在等的 %(n)d 条已停止") % {"n": count})
    return redirect("tagging:pretag_list")
