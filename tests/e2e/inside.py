"""What a test asks for inside the merchant, in a process with the stack's settings: `python -m tests.e2e.inside SLUG FUNCTION JSON`.

Only preparation that has no page of its own, or whose page is not the subject of the test. Each function returns what JSON can hold.
"""

import json
import os
import sys
from typing import Any


def make_user(username: str, name: str, role: str, password: str) -> int:
    """A log-in with a preset role over everything; its id."""
    from django.contrib.auth.hashers import make_password

    from accounts.models import Role, RoleGrant, User
    from scrm.lib import clock

    fields = {"display_name": name, "password": make_password(password), "created_at": clock.wall()}
    user, _is_new = User.objects.update_or_create(username=username, defaults=fields)
    RoleGrant.objects.get_or_create(user=user, role=Role.objects.get(key=role), scope_kind="all", scope_id=0)
    return int(user.pk)


def tag_newcomers(tag: str) -> dict[str, Any]:
    """An enabled rule: whoever was first added within a day is tagged; those of before are left alone. The tag's ids."""
    from tagging.models import Tag
    from tagging.services import rules
    from tenants.audit import SYSTEM

    row = Tag.objects.get(name=tag, deleted_at__isnull=True, wecom_tag_id__isnull=False)
    came = {"field": "contact.first_added_at", "op": "within", "window": {"days": 1}}
    tree = {"version": 1, "root": {"all": [came]}}
    rule = rules.save_rule(
        None, name=f"新客打「{tag}」", tree=tree, rule_actions=[{"kind": "tag", "add": [row.pk]}], by=SYSTEM
    )
    rules.enable_rule(rule, by=SYSTEM)
    return {"id": row.pk, "wecom_id": row.wecom_tag_id}


def welcome_everybody(text: str) -> None:
    """One enabled default welcome."""
    from campaigns.models import WelcomeTemplate
    from campaigns.services import welcomes
    from tenants.audit import SYSTEM

    standing = WelcomeTemplate.objects.filter(is_default=True).first()
    welcomes.save_template(
        standing, name="默认欢迎语", text=text, neutral_text="", attachments=[], store=None,
        state="", priority=0, is_default=True, is_enabled=True, by=SYSTEM,
    )  # fmt: skip


def release_to_everybody(name: str, text: str, author: int, approver: int) -> dict[str, Any]:
    """A broadcast to every friend, approved, to be told of at once; each guide's unit agreed to. Its push and units."""
    from datetime import timedelta

    from accounts.scope import EVERYTHING
    from campaigns.models import Dispatch
    from campaigns.services import agreeing, approvals, broadcasts
    from contacts.models import Contact
    from scrm.lib import clock
    from tenants.audit import Actor

    friends = Contact.objects.filter(follows__relation="active").distinct().values_list("pk", flat=True)
    now = clock.now()
    draft = broadcasts.Draft(
        name=name, message_class="service", text=text, audience={"contacts": list(friends)}, within=EVERYTHING,
        notify_at=now + timedelta(seconds=1), confirm_by=now + timedelta(hours=9),
    )  # fmt: skip
    broadcast = broadcasts.create_broadcast(draft, by=Actor("user", author, "作者"))
    broadcasts.submit_broadcast(broadcast.pk, by=Actor("user", author, "作者"))
    released = approvals.approve_broadcast(broadcast.pk, by=Actor("user", approver, "审批人"), scope=EVERYTHING)
    units = list(Dispatch.objects.filter(push_id=released.push_id))
    for unit in units:
        agreeing.agree(unit.pk, member_ids=[unit.sender_id], by=Actor("user", author, "导购"))
    return {"push": released.push_id, "units": len(units), "planned": sum(unit.planned for unit in units)}


def read_ledger() -> None:
    """Have the corp's mass sends read now, as the composer does when somebody opens it."""
    from campaigns.services import ledger

    for corp in ledger.connected_corps():
        ledger.start_reading(corp.pk)


def reconcile() -> int:
    """Read everything from WeCom again and compare; the run's id."""
    from tenants.audit import SYSTEM
    from wecom_bridge.models import Corp
    from wecom_bridge.services.sync.runs import start_sync

    return int(start_sync(Corp.objects.get(), by=SYSTEM).pk)


def compare() -> int:
    """Read everything from WeCom and list what differs, changing nothing; the run's id."""
    from tenants.audit import SYSTEM
    from wecom_bridge.models import Corp
    from wecom_bridge.services.sync.runs import start_sync

    return int(start_sync(Corp.objects.get(), by=SYSTEM, compare_only=True).pk)


def check_rollups() -> dict[str, Any]:
    """Compare the rollups with their rows."""
    from analytics.services.check import check_rollups

    found = check_rollups()
    return {"checked": found.checked, "differing": found.differing, "differences": found.differences}


def look_again(push: int) -> int:
    """Ask WeCom now what became of a push."""
    from campaigns.services import polling

    return polling.refresh_push(push)


def mark_one_after_the_other(tags: list[str], follows: int) -> list[dict[str, Any]]:
    """Each tag on each of so many relations, a deed per tag: who they are, with the tags in WeCom's ids."""
    from contacts.models import Follow
    from tagging.models import Tag
    from tagging.services.marks import mark_tags
    from tenants.audit import SYSTEM

    chosen = list(
        Follow.objects.filter(relation="active").select_related("identity", "member").order_by("pk")[:follows]
    )
    rows = [Tag.objects.get(name=name, deleted_at__isnull=True) for name in tags]
    for row in rows:
        mark_tags([follow.pk for follow in chosen], add=[row.pk], origin="operator", by=SYSTEM)
    ids = [row.wecom_tag_id for row in rows]
    return [{"external_userid": one.identity.value, "userid": one.member.userid, "tags": ids} for one in chosen]


def add_corp_tag(group: str, name: str) -> int:
    """A tag of our own, made in WeCom too; its id."""
    from tagging.models import Tag, TagGroup
    from tagging.services import dictionary
    from tenants.audit import SYSTEM
    from wecom_bridge.models import Corp

    standing = TagGroup.objects.filter(name=group, kind="corp", deleted_at__isnull=True).first()
    if standing is None:
        dictionary.create_group(name=group, tag_names=[name], corp=Corp.objects.get(), is_exclusive=False, by=SYSTEM)
    else:
        dictionary.add_tags(standing, [name], by=SYSTEM)
    return int(Tag.objects.get(name=name, deleted_at__isnull=True).pk)


def rename_corp_tag(tag: int, name: str) -> None:
    """Another name for it, in WeCom too."""
    from tagging.models import Tag
    from tagging.services import dictionary
    from tenants.audit import SYSTEM

    dictionary.rename_tag(Tag.objects.get(pk=tag), name, by=SYSTEM)


def delete_corp_tag(tag: int) -> None:
    """Away with it, in WeCom too."""
    from tagging.models import Tag
    from tagging.services import dictionary
    from tenants.audit import SYSTEM

    dictionary.delete_tag(Tag.objects.get(pk=tag), by=SYSTEM)


def rename_corp_group(tag: int, name: str) -> None:
    """Another name for the group of a tag, in WeCom too."""
    from tagging.models import Tag
    from tagging.services import dictionary
    from tenants.audit import SYSTEM

    group = Tag.objects.select_related("group").get(pk=tag).group
    dictionary.save_group(group, name=name, note="", owner_id=None, is_exclusive=False, by=SYSTEM)


def delete_corp_group(tag: int) -> None:
    """Away with the group of a tag, in WeCom too."""
    from tagging.models import Tag
    from tagging.services import dictionary
    from tenants.audit import SYSTEM

    dictionary.delete_group(Tag.objects.select_related("group").get(pk=tag).group, by=SYSTEM)


def wecom_tags() -> list[dict[str, Any]]:
    """The corp's tags as WeCom lists them now."""
    from dataclasses import asdict

    from wecom_bridge.gateway import gateway_for
    from wecom_bridge.models import Corp

    return [asdict(group) for group in gateway_for(Corp.objects.get()).get_tag_groups()]


def remind_one(push: int) -> int:
    """WeCom reminds the guide of the first unit; how many were reminded."""
    from django.db import transaction

    from campaigns.models import Dispatch
    from campaigns.services import polling
    from tenants.audit import SYSTEM

    unit = Dispatch.objects.filter(push_id=push).order_by("id").values_list("pk", flat=True).first()
    with transaction.atomic():
        return polling.remind(push, by=SYSTEM, dispatch_ids=[int(unit or 0)])


def stop(push: int) -> None:
    """Stop what is not sent."""
    from django.db import transaction

    from campaigns.services import stopping
    from tenants.audit import SYSTEM

    with transaction.atomic():
        stopping.stop_push(push, by=SYSTEM)


def edit_remark(follow: int, remark: str) -> None:
    """Another remark for a customer, as her guide writes it on our page."""
    from contacts.models import Follow
    from contacts.services import remarks
    from scrm.lib import clock
    from tenants.audit import SYSTEM

    now = remarks.wished(Follow.objects.get(pk=follow), remarks.open_edits([follow]).get(follow, []))
    remarks.edit_remark(follow, now._replace(remark=remark), seen=now.digest, by=SYSTEM, at=clock.now())


def remind_soon(follow: int, author: int) -> None:
    """A to-do for the follow's guide, due in a moment, with a reminder."""
    from datetime import timedelta

    from contacts.models import Follow
    from contacts.services import todos
    from scrm.lib import clock
    from tenants.audit import Actor

    now, row = clock.now(), Follow.objects.select_related("contact", "member").get(pk=follow)
    todos.add_todo(
        row.contact.root_pk, member=row.member, text="送小样", due_at=now + timedelta(seconds=1), remind=True,
        by=Actor("user", author, "作者"), at=now,
    )  # fmt: skip


def link(user: int, member: int) -> None:
    """A log-in is that member of WeCom."""
    from accounts.models import User
    from contacts.models import Member
    from contacts.services.organisation import link_member
    from tenants.audit import SYSTEM

    link_member(User.objects.get(pk=user), Member.objects.get(pk=member), by=SYSTEM)


def hand_over(giver: str, taker: str) -> dict[str, int]:
    """A guide at work hands all her customers and groups to another: the plan, its rows, the customers among them."""
    from contacts.models import HandoverSplit, Member
    from contacts.services.handover import planning
    from contacts.services.handover.eligibility import preview
    from scrm.lib import clock
    from tenants.audit import SYSTEM

    plan = planning.open_plan(Member.objects.get(userid=giver), by=SYSTEM)
    given = planning.Settings([Member.objects.get(userid=taker)], None, HandoverSplit.EVEN.value)
    seen = preview(planning.change_plan(plan.pk, given, by=SYSTEM), clock.now())
    planning.start_plan(plan.pk, expected=seen.eligible, by=SYSTEM)
    customers = sum(1 for line in seen.people if not line.reason)
    return {"plan": plan.pk, "rows": seen.eligible, "customers": customers}


def ask_for_unassigned() -> None:
    """Have WeCom's list of leavers' customers read."""
    from contacts.services.handover import unassigned
    from tenants.audit import SYSTEM

    unassigned.ask(by=SYSTEM)


def main() -> None:
    import django

    django.setup()
    from tenants.context import tenant_scope
    from tenants.models import Tenant

    slug, function, given = sys.argv[1:4]
    with tenant_scope(Tenant.objects.get(slug=slug)):
        result: Any = globals()[function](**json.loads(given))
    print(json.dumps(result, default=str))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scrm.settings")
    main()
