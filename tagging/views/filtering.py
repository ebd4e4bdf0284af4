"""高级筛选 of the customer list: here, because the condition builder lives in this layer."""

from dataclasses import replace
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts.access import MemberRequest, requires
from conditions.schema import problems_of, validate
from conditions.tree import EVERYONE, is_everyone
from contacts import advanced
from contacts.views.looking import Look, looked_at
from scrm.lib.errors import UserError
from tagging.views.builder import audience, builder_answer, builder_context, posted_tree


@require_http_methods(["GET", "POST"])
@requires("contacts.view")
def contact_where(request: MemberRequest) -> HttpResponse:
    """The builder over what the list shows; `save` leads back to the list under the condition. For htmx the builder alone."""
    look = looked_at(request)
    tree, status = EVERYONE, 200
    errors: list[str] = []
    mode = request.POST.get("show") or request.POST.get("mode", "simple")
    if request.method == "POST":
        tree, errors = posted_tree(request)
        status = 422 if errors and request.POST.get("save") else 200
        if request.POST.get("save") and not errors:
            try:
                return redirect(_list_url(look, tree))
            except UserError as error:
                errors, status = [str(error.message)], 422
    elif advanced.KEY in look.query:
        try:
            tree = advanced.unpack(str(look.query[advanced.KEY]))
        except UserError as error:
            errors = [str(error.message)]
    back_url = f"{reverse('contacts:contact_list')}?{look.here}"
    builder = builder_context(request, tree, mode=mode, preview_url=f"{request.path}?{request.GET.urlencode()}")
    context: dict[str, Any] = {
        "errors": errors,
        "back_url": back_url,
        "others": [str(one) for one in look.applied if one.key != advanced.KEY],
        **builder,
        **audience(request, builder["tree"], _others(look)),
    }
    if "HX-Request" in request.headers:
        return builder_answer(request, context)
    return render(request, "tagging/contact_where.html", context, status=status)


def _others(look: Look) -> Any:
    """The people under the list's other filters."""
    query = look.query.copy()
    query.pop(advanced.KEY, None)
    return replace(look, query=query).people


def _list_url(look: Look, tree: dict[str, Any]) -> str:
    """The list under the tree. Raises UserError for a tree that cannot be used, or is too long for an address."""
    packed = "" if not problems_of(tree) and is_everyone(tree) else advanced.pack(validate(tree, look.asker))
    return f"{reverse('contacts:contact_list')}?{look.address(**{advanced.KEY: packed})}"
