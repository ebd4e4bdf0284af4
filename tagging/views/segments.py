"""人群: list, one segment, the builder with its live count, members with why."""

import json
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from conditions import editor, registry
from conditions.compiler import compile_tree
from conditions.explain import explain
from conditions.registry import Asker
from conditions.render import in_words
from conditions.schema import closed_to, problems_of
from conditions.tree import EVERYONE, leaves, parse
from contacts import advanced
from contacts.counting import Count, count_rows
from contacts.custom import asker_of
from contacts.queries import visible_contacts
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.paging import keyset_page
from tagging import simple
from tagging.matching import matching_people
from tagging.models import Segment, SegmentEntry
from tagging.queries import live_segments
from tagging.services import segments
from tenants.ledger.models import Job

TONES = {"fresh": "ok", "building": "run", "stale": "wait", "failed": "bad"}
SAMPLE = 10


@require_GET
@requires("segments.view")
def segment_list(request: MemberRequest) -> HttpResponse:
    rows: list[Any] = list(live_segments())
    for row in rows:
        row.tone, row.words = TONES[row.state], _words(row)
    context = {
        "rows": rows,
        "ready_made": simple.available(asker_of(request)),
        "can_edit": "segments.edit" in request.permissions,
        "can_see_rfm": "orders.view" in request.permissions,
    }
    return render(request, "tagging/segment_list.html", context)


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
    context = {
        "segment": segment,
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


def posted_tree(request: MemberRequest) -> tuple[dict[str, Any], list[str]]:
    """The tree as edited (in whichever mode), and what is wrong with pasted JSON; to be saved, also what she may not ask about."""
    tree, errors = _posted(request)
    if request.POST.get("save") and not errors:
        errors = [problem.message for problem in closed_to(asker_of(request), tree)]
    return tree, errors


def _posted(request: MemberRequest) -> tuple[dict[str, Any], list[str]]:
    mode = request.POST.get("mode", "simple")
    if request.POST.get("use_json"):
        try:
            tree = json.loads(request.POST.get("json", ""))
        except ValueError:
            return EVERYONE, [_("粘贴的内容不是 JSON,请检查括号和引号")]
        problems = problems_of(tree)
        return (EVERYONE, [str(problem) for problem in problems]) if problems else (tree, [])
    if mode == "simple":
        return simple.from_post(request.POST).tree(), []
    return editor.to_tree(editor.from_post(request.POST)), []


def builder_context(
    request: MemberRequest, tree: dict[str, Any], *, mode: str, preview_url: str = ""
) -> dict[str, Any]:
    """What templates/conditions/_builder.html needs. A tree that three sentences cannot say opens in the tree editor.

    preview_url: what answers with the builder after a change; default the one for segments and rules.
    """
    is_sound = not problems_of(tree)
    sentences = simple.from_tree(tree) if is_sound else None
    if mode == "simple" and sentences is None:
        mode = "tree"
    root, asker = editor.from_tree(tree, request.scope), asker_of(request)
    return {
        "mode": mode,
        "preview_url": preview_url or reverse("tagging:condition_preview"),
        "tree": tree,
        "root": root,
        "shape": editor.shape_of(root),
        "kinds": editor.KINDS,
        "windows": editor.WINDOWS,
        "fields": editor.field_choices(asker, {leaf.field for leaf in leaves(parse(tree))}),
        "sentences": sentences,
        "simple_options": _simple_options(asker) if mode == "simple" else {},
        "tree_json": json.dumps(tree, ensure_ascii=False, indent=2),
    }


def _simple_options(asker: Asker) -> dict[str, list[Any]]:
    found = {}
    for name, key in (
        ("stages", simple.STAGE),
        ("tags", simple.TAG),
        ("categories", simple.CATEGORY),
        ("orders", simple.ORDER),
    ):
        known = registry.find(key)
        usable = known is not None and not known.why_unavailable and not known.is_closed_to(asker)
        found[name] = list(known.options()) if usable and known and known.options else ([True] if usable else [])
    return found


def audience(request: MemberRequest, tree: dict[str, Any], people: Any = None) -> dict[str, Any]:
    """The live count within the scope, ten of them, the tree in words, or what is still missing. people: of whom; counted as the
    customer list counts."""
    problems = problems_of(tree, asker_of(request))
    if problems:
        return {"problems": problems, "words": "", "count": None, "sample": []}
    if people is None:
        visible = visible_contacts(request.scope).filter(pk__in=matching_people(tree, clock.now()).values("pk"))
        counted = Count(visible.count(), True)
    else:
        visible = people.filter(compile_tree(tree, clock.now()))
        counted = count_rows(visible)
    sample = list(visible.select_related("stage", "owner").order_by("-last_added_at", "-pk")[:SAMPLE])
    found = {"count": counted.number, "is_about": not counted.is_exact, "sample": sample}
    return {"problems": [], "words": in_words(tree), **found}


@require_POST
@requires("segments.view")
def condition_preview(request: MemberRequest) -> HttpResponse:
    """The builder after a button or a change, with its count; for segments and rules."""
    tree, errors = posted_tree(request)
    builder = builder_context(request, tree, mode=request.POST.get("show") or request.POST.get("mode", "simple"))
    context = {"errors": errors, **builder, **audience(request, builder["tree"])}
    return render(request, "conditions/_builder.html", context)


@require_GET
@requires("segments.view")
def segment_why(request: MemberRequest, pk: int, contact_pk: int) -> HttpResponse:
    """Why this customer is in, or not."""
    segment = get_object_or_404(Segment, pk=pk)
    contact = get_object_or_404(visible_contacts(request.scope), pk=contact_pk)
    entry = SegmentEntry.objects.filter(segment=segment, contact=contact).first()
    return _why(request, segment, contact, entry.entered_at if entry else None, clock.now())


def _why(
    request: MemberRequest, segment: Segment, contact: Any, entered_at: datetime | None, now: datetime
) -> HttpResponse:
    problems = problems_of(segment.tree)
    context = {
        "segment": segment,
        "contact": contact,
        "entered_at": entered_at,
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
