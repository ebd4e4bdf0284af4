"""人群: list, one segment, the builder with its live count, members with why."""

import json
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from accounts.scope import data_scope
from conditions.explain import explain
from conditions.render import in_words
from conditions.schema import problems_of
from conditions.tree import EVERYONE
from contacts import advanced
from contacts.custom import asker_of
from contacts.queries import visible_contacts
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.paging import keyset_page
from tagging import segments as listeners
from tagging import simple
from tagging.models import Segment, SegmentEntry, SegmentPin
from tagging.queries import live_segments
from tagging.services import segment_state, segments
from tagging.views.builder import audience, builder_context, posted_tree
from tagging.views.how_listed import how_listed
from tenants.ledger.models import Job

PINS_SHOWN = 30
TONES = {"fresh": "ok", "building": "run", "stale": "wait", "failed": "bad"}


@require_GET
@requires("segments.view")
def segment_list(request: MemberRequest) -> HttpResponse:
    rows: list[Any] = list(live_segments())
    known = segment_state.as_of_many(rows, clock.now())
    for row in rows:
        row.tone, row.words, row.as_of = TONES[row.state], _words(row), known[row.pk]
    context = {
        "rows": rows,
        "ready_made": simple.available(asker_of(request)),
        "can_edit": "segments.edit" in request.permissions,
        "can_see_rfm": "orders.view" in request.permissions,
    }
    return render(request, "tagging/segment_list.html", context)


def _uses(request: MemberRequest, segment: Segment) -> tuple[list[listeners.Use], int]:
    """What uses it, as far as she may know it, and how many other things do."""

    def is_open(use: listeners.Use) -> bool:
        held = not use.permission or use.permission in request.permissions
        scope = data_scope(request.user, use.permission or None, grants=request.grants)
        return held and (not use.is_scoped or scope.sees_all)

    uses = list(listeners.uses_of(segment.pk))
    shown = [use for use in uses if is_open(use)]
    return shown, len(uses) - len(shown)


@require_GET
@requires("segments.view")
def segment_detail(request: MemberRequest, pk: int) -> HttpResponse:
    segment = get_object_or_404(Segment, pk=pk)
    entries = SegmentEntry.objects.filter(segment=segment, contact__in=visible_contacts(request.scope))
    page = keyset_page(
        entries.select_related("contact__stage", "contact__owner"),
        ("-entered_at", "-pk"),
        request.GET.get("cursor", ""),
    )
    now = clock.now()
    uses, hidden_uses = _uses(request, segment)
    context = {
        "segment": segment,
        "as_of": segment_state.as_of(segment, now),
        "is_counted": segment.kind == "static" or segment.fresh_at is not None,
        "is_stale": segment.archived_at is None and segment_state.is_stale(segment, now),
        "uses": uses,
        "hidden_uses": hidden_uses,
        "pins": SegmentPin.objects.filter(segment=segment).count(),
        "pinned": _pinned(request, segment),
        "can_import": "contacts.import" in request.permissions,
        "tone": TONES[segment.state],
        "words": _words(segment),
        "entries": page.rows,
        "total": entries.count(),
        "sees_all": request.scope.sees_all,
        "next_url": f"?cursor={page.next_cursor}" if page.next_cursor else "",
        "previous_url": f"?cursor={page.previous_cursor}" if page.previous_cursor else "",
        "job": Job.objects.filter(pk=segment.job_id).first() if segment.job_id else None,
        "can_edit": "segments.edit" in request.permissions and segment.archived_at is None,
        "tree_json": json.dumps(segment.tree, ensure_ascii=False, indent=2),
    }
    return render(request, "tagging/segment_detail.html", context)


def _pinned(request: MemberRequest, segment: Segment) -> list[SegmentPin]:
    """The latest pins of people she sees: of somebody kept out this is the only place that tells."""
    pins = SegmentPin.objects.filter(segment=segment, contact__in=visible_contacts(request.scope))
    return list(pins.select_related("contact").order_by("-pinned_at", "-pk")[:PINS_SHOWN])


@require_http_methods(["GET", "POST"])
@requires("segments.edit")
def segment_edit(request: MemberRequest, pk: int | None = None) -> HttpResponse:
    """The builder. A POST with `act` or a change of mode shows it again; `save` saves."""
    segment = get_object_or_404(live_segments(), pk=pk, kind="dynamic") if pk else None
    if request.method == "POST":
        tree, errors = posted_tree(request)
        if request.POST.get("save") and not errors:
            try:
                saved = segments.save_segment(segment, name=request.POST.get("name", ""), tree=tree, by=request.actor)
                return redirect("tagging:segment_detail", saved.pk)
            except UserError as error:
                errors = [str(error.message)]
        status = 422 if request.POST.get("save") else 200
        name = request.POST.get("name", "")
        builder = builder_context(request, tree, mode=request.POST.get("show") or request.POST.get("mode", "simple"))
    else:
        tree, name = _starting_point(request, segment)
        errors, status = [], 200
        builder = builder_context(request, tree, mode=request.GET.get("mode", "simple"))
    context = {"segment": segment, "name": name, "errors": errors, **builder, **audience(request, builder["tree"])}
    return render(request, "tagging/segment_edit.html", context, status=status)


def _starting_point(request: MemberRequest, segment: Segment | None) -> tuple[dict[str, Any], str]:
    if segment is not None:
        return segment.tree, segment.name
    if advanced.KEY in request.GET:
        return advanced.unpack(request.GET[advanced.KEY]), ""
    ready = next((one for one in simple.available(asker_of(request)) if one.key == request.GET.get("ready")), None)
    return (ready.make(), str(ready.name)) if ready else (EVERYONE, "")


@require_GET
@requires("segments.view")
def segment_why(request: MemberRequest, pk: int, contact_pk: int) -> HttpResponse:
    """Why this customer is in, or not."""
    segment = get_object_or_404(Segment, pk=pk)
    contact = get_object_or_404(visible_contacts(request.scope), pk=contact_pk)
    entry = SegmentEntry.objects.filter(segment=segment, contact=contact).select_related("segment").first()
    pinned = SegmentPin.objects.filter(segment=segment, contact_id__in=contact.family_ids).order_by("is_in").first()
    return _why(request, segment, contact, entry, pinned, clock.now())


def _why(
    request: MemberRequest,
    segment: Segment,
    contact: Any,
    entry: SegmentEntry | None,
    pinned: SegmentPin | None,
    now: datetime,
) -> HttpResponse:
    problems = problems_of(segment.tree)
    context = {
        "segment": segment,
        "contact": contact,
        "entered_at": entry.entered_at if entry else None,
        "came": how_listed(entry, contact.family_ids, request) if entry and segment.kind == "static" else None,
        "pin": pinned,
        "can_pin": segment.kind == "dynamic" and segment.archived_at is None and "segments.edit" in request.permissions,
        "clauses": []
        if problems or segment.kind == "static"
        else explain(segment.tree, contact.pk, now, asker_of(request)),
        "problems": problems,
        "now": now,
    }
    return render(request, "tagging/segment_why.html", context)


@require_POST
@requires("segments.edit")
def segment_act(request: MemberRequest, pk: int, act: str) -> HttpResponse:
    """rebuild, freeze, archive."""
    segment = get_object_or_404(live_segments(), pk=pk)
    if act == "freeze":
        frozen = segments.freeze_segment(
            segment, name=request.POST.get("name", "").strip()[:60] or _frozen_name(segment), by=request.actor
        )
        return redirect("tagging:segment_detail", frozen.pk)
    if act == "archive":
        segments.archive_segment(segment, by=request.actor)
        return redirect("tagging:segment_list")
    segments.request_rebuild(segment, by=request.actor)
    return redirect("tagging:segment_detail", segment.pk)


def _frozen_name(segment: Segment) -> str:
    from conditions.windows import zone

    return f"{segment.name[:42]} {clock.now().astimezone(zone()):%m-%d %H:%M:%S}"


def _words(segment: Segment) -> str:
    if segment.kind == "static":
        return _("固定名单")
    return in_words(segment.tree) if "root" in segment.tree else ""
