"""What a rule may do with SOPs: enrol her in one, or take her out of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.models import Enrollment, Sop, SopVersion
from campaigns.services.enrolling import enrol
from campaigns.services.sop_running import leave_all
from contacts.models import Contact, FactSource, Follow, Relation
from contacts.timeline import Fact
from scrm.lib.numbers import whole_number
from tagging import naming
from tagging.actions import Kind
from tagging.models import Rule

Action = Mapping[str, Any]


def _version(action: Action) -> SopVersion | None:
    """The latest released version of the SOP, while that runs."""
    rows = SopVersion.objects.filter(sop_id=action.get("sop") or 0, sop__state="on", released_at__isnull=False)
    return rows.select_related("sop").prefetch_related("steps").order_by("-number").first()


def _problems(action: Action) -> list[str]:
    if action.get("way") not in ("in", "out") or not Sop.objects.filter(pk=action.get("sop") or 0).exists():
        return [_("请选择 SOP")]
    return [] if action["way"] == "out" or _version(action) else [_("要加入的 SOP 没有在运行,请先启用它")]


def _words(action: Action) -> str:
    words = _("加入 SOP「%(name)s」") if action.get("way") == "in" else _("退出 SOP「%(name)s」")
    known = naming.by_id("sop", Sop.objects.all(), [action.get("sop")])
    return words % {"name": known.get(action.get("sop") or 0) or _("已删除")}


def _run(rule: Rule, root_ids: Sequence[int], action: Action, now: datetime) -> Mapping[int, Any]:
    runs = Enrollment.objects.filter(sop_id=action["sop"], contact_id__in=root_ids)
    if action["way"] == "out":
        leaving = set(runs.filter(state=Enrollment.State.RUNNING).values_list("contact_id", flat=True))
        leave_all(runs, "rule", now)
        return {pk: {"kind": "sop", "left": pk in leaving} for pk in root_ids}
    version = _version(action)
    assert version is not None  # checked before the rule ran
    facts = _facts(rule, root_ids, now)
    enrol(version, facts, now=now)
    keys = [fact.fact_key for fact in facts]
    entered = set(runs.filter(trigger_key__in=keys).values_list("contact_id", flat=True))
    return {pk: {"kind": "sop", "entered": pk in entered} for pk in root_ids}


def _facts(rule: Rule, root_ids: Sequence[int], now: datetime) -> list[Fact]:
    """One for each person: where she stands, with the friend who will write to her, her owner first."""
    family = Q(contact_id__in=root_ids) | Q(contact__root_id__in=root_ids)
    friends: dict[int, Any] = {}
    rows = Follow.objects.filter(family, relation=Relation.ACTIVE).order_by("added_at", "pk")
    for contact_id, root_id, identity_id, member_id in rows.values_list(
        "contact_id", "contact__root_id", "identity_id", "member_id"
    ):
        friends.setdefault(root_id or contact_id, []).append((member_id, identity_id))
    people = Contact.objects.filter(pk__in=root_ids).select_related("store").order_by("pk")
    facts = []
    for person in people:
        hers = friends.get(person.pk, [])
        member_id, identity_id = next((one for one in hers if one[0] == person.owner_id), (hers or [(None, None)])[-1])
        store = person.store
        facts.append(Fact(
            0, "rule", now, FactSource.PRODUCT.value, person.pk, identity_id, member_id, person.store_id,
            store.region_id if store else None, store.dealer_id if store else None, "",
            f"rule:{rule.pk}:{person.pk}:{now.timestamp():.6f}",
        ))  # fmt: skip
    return facts


def _from_post(post: QueryDict) -> dict[str, Any] | None:
    sop = whole_number(post.get("sop"))
    return {"sop": sop, "way": str(post.get("sop_way") or "in")} if sop else None


SOP = Kind(
    "sop", gettext_lazy("加入或退出 SOP"), problems=_problems, in_words=_words, run=_run, permission="sops.edit",
    claims=lambda action: {("sop", action.get("sop")): action.get("way")}, template="campaigns/rule_action.html",
    options=lambda action: {"sops": Sop.objects.exclude(state="off").order_by("name"), "sop": action.get("sop"), "way": action.get("way")},
    from_post=_from_post,
)  # fmt: skip
