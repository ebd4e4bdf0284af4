"""The entry rule of a lifecycle stage: here, because the condition builder lives in this layer."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from conditions.schema import problems_of
from conditions.tree import EVERYONE
from contacts.models import Stage
from contacts.services import stage_rules
from contacts.services.stage_answers import unfinished
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number
from tagging.views.builder import audience, builder_context, posted_tree


@require_http_methods(["GET", "POST"])
@requires("stages.edit")
def stage_rule(request: MemberRequest, pk: int) -> HttpResponse:
    """By hand only, or by a condition; a POST with `act` or a change of mode shows the builder again, `save` saves."""
    stage = get_object_or_404(Stage, pk=pk, is_archived=False)
    tree, by_hand, leads_back = stage.rule or EVERYONE, stage.rule is None, stage.leads_back
    errors: list[str] = []
    status, mode = 200, request.GET.get("mode", "simple")
    if request.method == "POST":
        tree, errors = posted_tree(request)
        by_hand, leads_back = request.POST.get("entry") != "rule", request.POST.get("leads_back") == "on"
        mode = request.POST.get("show") or request.POST.get("mode", "simple")
        status = 422 if errors and request.POST.get("save") and not by_hand else 200
        if request.POST.get("save") and (by_hand or not errors):
            try:
                stage_rules.save_rule(pk, tree=None if by_hand else tree, leads_back=leads_back, by=request.actor)
                messages.success(request, _("「%(name)s」的进入条件已保存") % {"name": stage.name})
                return redirect("contacts:stage_list") if by_hand else redirect("tagging:stage_rule", pk=pk)
            except UserError as error:
                errors, status = [str(error.message)], 422
    builder = builder_context(request, tree, mode=mode)
    noting = unfinished().first()
    is_saved = request.method == "GET" and stage.rule is not None and not problems_of(stage.rule) and noting is None
    context = {
        "stage": stage,
        "by_hand": by_hand,
        "leads_back": leads_back,
        "errors": errors,
        "noting": noting,
        "entering": stage_rules.entering(stage, clock.now()).count() if is_saved else 0,
        **builder,
        **audience(request, builder["tree"]),
    }
    return render(request, "tagging/stage_rule.html", context, status=status)


@require_POST
@requires("stages.edit")
def stage_rule_apply(request: MemberRequest, pk: int) -> HttpResponse:
    """Move who matches already; the count the person saw must still be true."""
    get_object_or_404(Stage, pk=pk, is_archived=False)
    expected = whole_number(request.POST.get("expected"))
    count = stage_rules.apply_rule(pk, expected=-1 if expected is None else expected, by=request.actor)
    messages.success(request, _("正在移入 %(count)d 位客户") % {"count": count})
    return redirect("contacts:stage_list")
