"""The builder of conditions, for every page that has one: what its form posts, what its template shows, who is meant, and its own
answers to htmx (templates/conditions)."""

import json
from contextlib import suppress
from functools import cache
from itertools import islice
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.access import MemberRequest, requires
from accounts.scope import DataScope
from conditions import editor, moves, registry
from conditions.compiler import compile_tree
from conditions.estimating import estimate, removed_by
from conditions.posting import DEEPEST, MOST, Posted, is_monstrous, read_post
from conditions.registry import Asker, Field, Option
from conditions.render import in_words
from conditions.schema import closed_to, is_shaped, problems_of
from conditions.sweeps import room
from conditions.tree import EVERYONE, leaves, parse
from contacts.custom import asker_of
from contacts.queries import visible_contacts
from scrm.lib import clock
from scrm.lib.db.patience import TookTooLong, at_most
from tagging import simple

SAMPLE = 10
ABOUT_SECONDS, EXACT_SECONDS = 5, 15  # what a number may take; the second is below the time-out of scripts (htmx.ts)


def posted_tree(request: MemberRequest) -> tuple[dict[str, Any], list[str]]:
    """The tree as edited (in whichever mode), and what is wrong with pasted JSON; to be saved, also what she may not ask about."""
    with registry.asked_once(_fields_of(request)):
        tree, errors = _posted(request)
        if request.POST.get("save") and not errors:
            errors = [problem.message for problem in closed_to(asker_of(request), tree)]
    return tree, errors


def _posted(request: MemberRequest) -> tuple[dict[str, Any], list[str]]:
    post = request.POST
    if post.get("mode", "simple") == "simple":
        return simple.from_post(post).tree(), []
    edited = editor.to_tree(read_post(post, request.scope).root)
    if post.get("use_json"):
        return _pasted(post.get("json", ""), edited)
    if post.get("act") == "undo":
        return _parsed(post.get("before", "")) or edited, []
    return edited, []


def _pasted(text: str, edited: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The pasted tree, where the editor can show it, also with its faults; else the tree that was there."""
    try:
        tree = json.loads(text)
        problems = [str(problem) for problem in problems_of(tree)]
    except json.JSONDecodeError as error:
        at = {"line": error.lineno, "column": error.colno}
        return edited, [_("粘贴的内容不是 JSON:第 %(line)d 行第 %(column)d 个字符处读不下去,请检查括号和引号") % at]
    except (ValueError, RecursionError):
        return edited, [_("粘贴的内容不是 JSON,请检查括号和引号")]
    return (tree, problems) if _can_be_shown(tree) else (edited, problems)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        tree = json.loads(text)
        return tree if _can_be_shown(tree) else None
    except (ValueError, RecursionError):
        return None


def _can_be_shown(tree: Any) -> bool:
    """Whether it is well formed and the editor could read it back."""
    if not is_shaped(tree):
        return False
    if len(list(islice(leaves(parse(tree)), MOST + 1))) > MOST or _depth(tree["root"]) >= DEEPEST:
        return False
    return not is_monstrous(json.loads(editor.shape_of(editor.from_tree(tree))))


def _depth(node: dict[str, Any]) -> int:
    parts = [node["not"]] if "not" in node else node.get("all") or node.get("any") or node.get("of") or []
    return 1 + max((_depth(part) for part in parts), default=0)


def _fields_of(request: MemberRequest) -> dict[str, Any]:
    """The fields that this page asked about, see registry.asked_once."""
    known: dict[str, Any] = request.__dict__.setdefault("condition_fields", {})
    return known


def builder_context(
    request: MemberRequest, tree: dict[str, Any], *, mode: str, preview_url: str = ""
) -> dict[str, Any]:
    """What templates/conditions/_builder.html needs. A tree that three sentences cannot say opens in the tree editor.

    preview_url: what answers with the builder after a change; default the one for segments and rules.
    """
    with registry.asked_once(_fields_of(request)):
        asker = asker_of(request)
        is_sound = not problems_of(tree)
        sentences = _sentences(request, tree) if is_sound else None
        if mode == "simple" and sentences is None:
            mode = "tree"
        posted = _posted_editor(request, tree)
        root = posted.root if posted else editor.from_tree(tree, request.scope)
        editor.note_problems(root, problems_of(tree, asker))
        tree_json = json.dumps(tree, ensure_ascii=False, indent=2)
        use_json = request.POST.get("use_json")
        fields = editor.field_choices(asker, {leaf.field for leaf in leaves(parse(tree))})
        request.__dict__["condition_root"] = root
        if mode == "tree":
            editor.ask_options(root)
            _put_field_options(root, fields)
        return {
            "mode": mode,
            "preview_url": preview_url or reverse("tagging:condition_preview"),
            "tree": tree,
            "root": root,
            "shape": editor.shape_of(root),
            "kinds": editor.KINDS,
            "windows": editor.WINDOWS,
            "sentences": sentences,
            "why_tree": "" if sentences or not is_sound else _why_tree(tree),
            "simple_options": _simple_options(asker, request.scope, sentences) if mode == "simple" else {},
            "tree_json": tree_json,
            "json_text": request.POST.get("json", "") if use_json else tree_json,
            "json_open": bool(use_json),
            **_last_step(request, posted),
        }


def _put_field_options(root: editor.EditorGroup, fields: list[tuple[str, list[tuple[Field, str]]]]) -> None:
    """Each row's select of fields. Built here: as a template, it would take most of the time of a page with many rows."""
    known = [
        (escape(heading), [(one.key, escape(one.key), escape(_with_reason(one, why)), bool(why)) for one, why in items])
        for heading, items in fields
    ]

    @cache
    def options(chosen: str, label: str) -> SafeString:
        lines = [] if any(chosen == key for _h, items in known for key, *_ in items) else [_gone(chosen, label)]
        for heading, items in known:
            lines.append(f'<optgroup label="{heading}">')
            for key, value, text, is_closed in items:
                state = " selected" if key == chosen else " disabled" if is_closed else ""
                lines.append(f'<option value="{value}"{state}>{text}</option>')
            lines.append("</optgroup>")
        return SafeString("".join(lines))  # every part is escaped above

    for leaf in editor.leaves_of(root):
        leaf.field_options = options(leaf.raw.get("field", ""), str(leaf.field.label) if leaf.field else "")


def _with_reason(field: Field, why: str) -> str:
    return f"{field.label}({why})" if why else str(field.label)


def _gone(key: str, label: str) -> str:
    return format_html(
        '<option value="{}" selected>{}</option>', key, _("已不存在的字段 %(key)s") % {"key": label or key}
    )


def _posted_editor(request: MemberRequest, tree: dict[str, Any]) -> Posted | None:
    """The editor as posted, where it says this tree: it holds what a tree cannot, rows not yet filled and what is typed to find."""
    if request.POST.get("mode") != "tree":
        return None
    posted = read_post(request.POST, request.scope)
    return posted if editor.to_tree(posted.root) == tree else None


def _last_step(request: MemberRequest, posted: Posted | None) -> dict[str, Any]:
    """What the button did, the tree before it to undo it, and the control that has the focus now."""
    post = request.POST
    if posted is not None and posted.done:
        before = editor.to_tree(posted.before) if posted.before else EVERYONE
        focus = posted.focus
        letter = "f" if posted.done in ("add", "group") else "h"
        return {
            "done": moves.DONE[posted.done],
            "before": json.dumps(before, ensure_ascii=False),
            "focus": f"{letter}-{focus.dom}" if focus is not None else "",
        }
    if post.get("mode") == "tree" and post.get("use_json") and posted is None:
        before = editor.to_tree(read_post(post, request.scope).root)
        return {"done": moves.DONE["json"], "before": json.dumps(before, ensure_ascii=False), "focus": ""}
    return {"done": "", "before": "", "focus": ""}


def _why_tree(tree: dict[str, Any]) -> str:
    """Why three sentences cannot say a sound tree."""
    parts = tree["root"].get("all")
    if parts is None:
        return _("最外层不是「全部满足」")
    for index, part in enumerate(parts):
        rest = [*parts[:index], *parts[index + 1 :]]
        if simple.from_tree({**tree, "root": {"all": rest}}) is not None:
            return _("三句话里没有「%(words)s」") % {"words": in_words({"version": 1, "root": part})}
    return _("有几个条件不在三句话里")


def _sentences(request: MemberRequest, tree: dict[str, Any]) -> simple.Sentences | None:
    """The sentences that say the tree. Where she just chose what to ask by and nothing yet of it, the tree says nothing of that."""
    found = simple.from_tree(tree)
    if found is None or request.method != "POST" or request.POST.get("mode", "simple") != "simple":
        return found
    posted = simple.from_post(request.POST)
    return posted if posted.tree() == tree else found


def _simple_options(asker: Asker, scope: DataScope, sentences: simple.Sentences | None) -> dict[str, list[Any]]:
    """What the sentences offer; of products and stores only once she asks by them: there may be thousands."""
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
    if found["orders"] and sentences is not None and sentences.bought in ("product", "store"):
        narrowed = simple.PRODUCT if sentences.bought == "product" else simple.STORE
        found[f"{sentences.bought}s"] = _offered(narrowed, scope, {*sentences.products, *sentences.stores})
    return found


def _offered(narrowed: tuple[str, str], scope: DataScope, chosen: set[Any]) -> list[Option]:
    """The values of a trait that somebody may choose, and those that stand there already."""
    trait = registry.get(narrowed[0]).trait(narrowed[1])
    assert trait is not None
    if trait.offered is None or scope.sees_all:
        return list(trait.options())
    seen = {*trait.offered(scope).values_list("pk", flat=True), *chosen}
    return [option for option in trait.options() if option.value in seen]


def audience(request: MemberRequest, tree: dict[str, Any], people: Any = None) -> dict[str, Any]:
    """How many are meant within the scope, ten of them, the tree in words, or what is still missing. people: of whom, in place of
    everybody she sees. About how many at once; exactly when that is asked for, as the page does by itself after it. Where it is asked
    what each row takes away, that stands at the rows of builder_context."""
    with registry.asked_once(_fields_of(request)):
        found = {"sample": [], "words": "", "scope_is_all": request.scope.sees_all, "count": None, "is_slow": False}
        problems = problems_of(tree, asker_of(request))
        if problems:
            return {**found, "problems": problems}
        known = {**found, "problems": [], "words": in_words(tree)}
        of_everybody = people is None and request.scope.sees_all
        asked = visible_contacts(request.scope) if people is None else people
        if request.POST.get("part") == "count":
            return known | _exactly(asked, tree, sweep=of_everybody)
        known |= _about(asked, tree, everybody=of_everybody)
        if "exact" in request.POST:
            known |= _exactly(asked, tree, sweep=of_everybody)
        root = request.__dict__.get("condition_root")
        is_slow = "clauses" in request.POST and root is not None and not _note_removals(root, asked, tree, of_everybody)
        return {**known, "clauses_slow": is_slow}


def _exactly(asked: Any, tree: dict[str, Any], *, sweep: bool) -> dict[str, Any]:
    try:
        with at_most(EXACT_SECONDS), room():
            matching = compile_tree(tree, clock.now(), sweep=sweep)
            return {"count": asked.filter(matching).count(), "is_about": False}
    except TookTooLong:
        return {"is_slow": True, "seconds": EXACT_SECONDS}


def _about(asked: Any, tree: dict[str, Any], *, everybody: bool) -> dict[str, Any]:
    """About how many, and ten of them, the last added first; as far as it comes in time."""
    known: dict[str, Any] = {"is_slow": True, "seconds": ABOUT_SECONDS}
    with suppress(TookTooLong), at_most(ABOUT_SECONDS):
        found = estimate(tree, clock.now(), None if everybody else asked)
        known = {"count": found.number, "is_about": not found.is_exact, "count_words": found.in_words}
        rows = asked.filter(compile_tree(tree, clock.now())).select_related("stage")
        known["sample"] = list(rows.order_by("-last_added_at", "-pk")[:SAMPLE])
    return known


def _note_removals(root: editor.EditorGroup, asked: Any, tree: dict[str, Any], everybody: bool) -> bool:
    """At each row of the outermost box, how many it alone takes away. False where it took too long."""
    try:
        with at_most(EXACT_SECONDS):
            removals = removed_by(tree, clock.now(), None if everybody else asked)
    except TookTooLong:
        return False
    words = {one.path: one.removed.in_words for one in removals}
    for node in editor.nodes_of(root):
        node.removed = words.get(node.place, "")
    return True


def builder_answer(request: MemberRequest, context: dict[str, Any]) -> HttpResponse:
    """The part of the builder that htmx asked for: all but the controls, after a value was filled in; the exact number; or the whole."""
    part = request.POST.get("part")
    if part == "count":
        template = "conditions/_slow.html" if context["is_slow"] else "conditions/_count.html"
        answer = render(request, template, context)
        if context["is_slow"]:
            answer["HX-Retarget"] = "#audience-exact"  # the number that is known stays
        return answer
    return render(request, "conditions/_beside.html" if part == "audience" else "conditions/_builder.html", context)


@require_POST
@requires("segments.view")
def condition_preview(request: MemberRequest) -> HttpResponse:
    """The builder after a button or a change, with its count; for segments and rules."""
    tree, errors = posted_tree(request)
    builder = builder_context(request, tree, mode=request.POST.get("show") or request.POST.get("mode", "simple"))
    return builder_answer(request, {"errors": errors, **builder, **audience(request, builder["tree"])})
