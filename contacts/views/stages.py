"""客户阶段: what stages there are, in which order, for how long, and putting one out of use; and moving many at once."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from conditions.render import in_words
from conditions.schema import problems_of
from contacts import listing
from contacts.models import Contact, Stage
from contacts.services import bulk, stage_editing
from contacts.views.people import list_url, selected_people, selection_of
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number


class StageSettingsForm(forms.Form):
    """A stage's name and what holds for who stands in it."""

    name = forms.CharField(label=gettext_lazy("阶段名"), max_length=20)
    max_days = forms.IntegerField(
        label=gettext_lazy("停留上限(天)"), required=False, min_value=1, max_value=stage_editing.LONGEST,
        help_text=gettext_lazy("停留超过这么多天的客户算超期,会出现在看板和超期客户里。留空表示不限。"),
    )  # fmt: skip
    needs_reason = forms.BooleanField(label=gettext_lazy("人工移入时必须写原因"), required=False)


@require_GET
@requires("stages.edit")
def stage_list(request: MemberRequest) -> HttpResponse:
    """The stages in order, how people enter each, and how many the customer list finds there; in those put out of use all who are left,
    never added ones too."""
    standing = Contact.objects.filter(root__isnull=True, stage__isnull=False).order_by()
    counts = {
        pk: (listed, people)
        for pk, listed, people in standing.values_list("stage_id").annotate(
            listed=Count("pk", filter=Q(last_added_at__isnull=False)), people=Count("pk")
        )
    }
    rows = [
        {
            "stage": stage,
            "people": counts.get(stage.pk, (0, 0))[stage.is_archived],
            "url": list_url(stage=stage.pk),
            "rule": in_words(stage.rule) if stage.rule else "",
            "is_broken": bool(stage.rule and problems_of(stage.rule)),
        }
        for stage in Stage.objects.all()
    ]
    context = {
        "rows": [row for row in rows if not row["stage"].is_archived],
        "archived": [row for row in rows if row["stage"].is_archived],
    }
    return render(request, "contacts/stage_list.html", context)


@require_http_methods(["GET", "POST"])
@requires("stages.edit")
def stage_edit(request: MemberRequest, pk: int | None = None) -> HttpResponse:
    """Add one or change one."""
    stage = get_object_or_404(Stage, pk=pk) if pk else None
    initial = {key: getattr(stage, key) for key in ("name", "max_days", "needs_reason")} if stage else {}
    form = StageSettingsForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            stage_editing.save_stage(pk, by=request.actor, **form.cleaned_data)
            return redirect("contacts:stage_list")
        except UserError as error:
            for key in error.fields or (None,):
                form.add_error(key, error.message)
    context = {"form": form, "stage": stage}
    return render(request, "contacts/stage_edit.html", context, status=422 if form.errors else 200)


@require_POST
@requires("stages.edit")
def stage_shift(request: MemberRequest, pk: int) -> HttpResponse:
    """One place up or down."""
    get_object_or_404(Stage, pk=pk)
    stage_editing.shift_stage(pk, later=request.POST.get("to") == "later", by=request.actor)
    return redirect("contacts:stage_list")


@require_http_methods(["GET", "POST"])
@requires("stages.edit")
def stage_archive(request: MemberRequest, pk: int) -> HttpResponse:
    """Put a stage out of use: first how many stand in it and where they would go, then the deed."""
    stage = get_object_or_404(Stage, pk=pk)
    error, status = "", 200
    if request.method == "POST":
        target, expected = (whole_number(request.POST.get(key)) for key in ("target", "expected"))
        try:
            job = stage_editing.archive_stage(
                pk, target_id=target, expected=-1 if expected is None else expected, by=request.actor
            )
        except UserError as refused:
            error, status = refused.message, refused.status
            stage.refresh_from_db()
        else:
            text = _("「%(name)s」已停用") if job is None else _("「%(name)s」已停用,其中的客户正在移走")
            messages.success(request, text % {"name": stage.name})
            return redirect("contacts:stage_list")
    context = {
        "stage": stage,
        "error": error,
        "count": stage_editing.count_people(stage),
        "uses": list(stage_editing.uses_of(stage.pk)),
        "targets": Stage.objects.filter(is_archived=False).exclude(pk=pk),
    }
    return render(request, "contacts/stage_archive.html", context, status=status)


@require_POST
@requires("stages.edit")
def stage_restore(request: MemberRequest, pk: int) -> HttpResponse:
    """In use again, as the last one."""
    stage = get_object_or_404(Stage, pk=pk)
    stage_editing.restore_stage(stage.pk, by=request.actor)
    return redirect("contacts:stage_list")


# --- Many at once, from the customer list -----------------------------------------------------------------------


def ask(request: HttpRequest, people: Any, chosen: listing.Selection) -> HttpResponse:
    """To which stage, and why."""
    stages = Stage.objects.filter(is_archived=False)
    context = {"chosen": chosen, "count": people.count(), "stages": stages, "movers": list(stage_editing.movers())}
    return render(request, "contacts/bulk_stage.html", context)


@require_POST
@requires("contacts.edit", many=True)
def bulk_stage(request: MemberRequest) -> HttpResponse:
    """Do it, or begin to."""
    chosen = selection_of(request)
    people = selected_people(request, chosen)
    stage = Stage.objects.filter(pk=whole_number(request.POST.get("stage")) or 0).first()
    if stage is None:
        raise UserError(_("请选择要移到的阶段。"))
    params = {"stage": stage.pk, "reason": clean_text(request.POST.get("reason", "").strip(), 200)}
    change = bulk.start("stage", people, params, request.scope, by=request.actor, expected=chosen.expected)
    return redirect("contacts:bulk_change", pk=change.pk)


BULK = listing.BulkAction("stage", gettext_lazy("改阶段"), 20, "route", "contacts.edit", ask)
