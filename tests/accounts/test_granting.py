"""Roles on their page: what each permission allows, when a change takes effect, and that nobody gives what she lacks."""

from datetime import timedelta

import pytest

from accounts import presets
from accounts.models import Role, RoleGrant
from accounts.permissions import all_permissions
from accounts.presets import PRESETS, give_later
from accounts.services import links, roles, users
from accounts.services.users import Grant
from contacts.models import MemberAccount
from scrm.lib import clock
from scrm.lib.errors import NotAllowed, UserError
from tenants import backfills
from tenants.audit import SYSTEM
from tenants.ledger.models import Backfill
from tests.support.contacts import make_member, make_region
from tests.support.core import actor_of, grant, log_in, make_user

pytestmark = pytest.mark.django_db


def role(key):
    return Role.objects.get(key=key)


def test_every_permission_says_what_it_allows_and_stands_on_the_page(acme):
    client = log_in("hq")
    page = client.get(f"/settings/roles/{role('guide').pk}/").content.decode()
    for one in all_permissions():
        assert str(one.says), f"{one.code}: say in one sentence what a holder can do"
        shown = not one.code.startswith("platform.")
        assert (f'value="{one.code}"' in page) == shown
        assert (str(one.says) in page) == shown and (str(one.group) in page) == shown
    assert page.count(" checked") == len(role("guide").permissions)


def test_a_change_takes_effect_at_the_next_request(acme):
    hq, guide = log_in("hq"), log_in("guide")
    assert guide.get("/contacts/").status_code == 200
    hq.post(f"/settings/roles/{role('guide').pk}/", {"name": "导购", "permissions": ["today.use"]})
    assert guide.get("/contacts/").status_code == 403
    hq.post(f"/settings/roles/{role('guide').pk}/", {"name": "导购", "permissions": ["today.use", "contacts.view"]})
    assert guide.get("/contacts/").status_code == 200


def test_nobody_ticks_a_permission_she_does_not_hold(acme):
    make_user("hq")
    it = log_in("it")
    page = it.get(f"/settings/roles/{role('service').pk}/").content.decode()
    assert "您自己没有这项权限" in page
    body = {"name": "客服", "permissions": [*role("service").permissions, "contacts.export"]}
    answer = it.post(f"/settings/roles/{role('service').pk}/", body)
    assert answer.status_code == 422 and "「导出客户」" in answer.content.decode()
    assert "contacts.export" not in role("service").permissions
    with pytest.raises(NotAllowed):
        roles.create_role("夜班", ["contacts.view"], by=actor_of(it.user))

    body["permissions"] = ["contacts.view", "jobs.view"]  # takes away what she lacks, gives what she holds
    assert it.post(f"/settings/roles/{role('service').pk}/", body).status_code == 302
    assert role("service").permissions == ["contacts.view", "jobs.view"]


def test_nobody_grants_a_role_or_a_reach_beyond_her_own(acme):
    region = make_region("华东")
    make_user("hq")
    keeper = make_user(permissions=["users.manage", "roles.manage", "org.view"])
    grant(keeper, role("region"), region)
    by, wanted = actor_of(keeper), role("region").pk

    def create(name, *given):
        return users.create_user(username=name, display_name=name, grants=given, by=by)[0]

    assert create("here", Grant(wanted, "region", region.pk)).grants.count() == 1
    for number, spot in enumerate([("all", 0), ("region", make_region().pk), ("self", 0)]):
        with pytest.raises(NotAllowed, match="查看客户"):
            create(f"beyond{number}", Grant(wanted, *spot))
    with pytest.raises(NotAllowed):
        users.edit_user(keeper.pk, display_name="x", grants=[Grant(role("hq").pk)], by=by)


def test_what_a_colleague_holds_already_stays_when_she_is_edited(acme):
    boss, it = make_user("hq"), make_user("it")
    held = [Grant(role("hq").pk), Grant(role("it").pk)]
    users.edit_user(boss.pk, display_name="李敏", grants=held, by=actor_of(it))
    assert set(boss.grants.values_list("role__key", flat=True)) == {"hq", "it"}


def test_the_log_in_link_of_somebody_who_holds_more_is_not_handed_out(acme):
    boss, it = make_user("hq"), log_in("it")
    with pytest.raises(NotAllowed):
        links.issue_link(boss, by=actor_of(it.user))
    answer = it.post(f"/settings/users/{boss.pk}/link/")
    assert answer.status_code == 403 and "/welcome/" not in answer.content.decode()
    assert links.issue_link(make_user("it"), by=actor_of(it.user))


def test_the_account_of_somebody_who_holds_more_is_not_tied_to_a_member_who_logs_in_with_wecom(acme):
    boss, it, member = make_user("hq"), log_in("it"), make_member()
    answer = it.post(f"/org/members/{member.pk}/account/", {"user": boss.pk})
    assert answer.status_code == 403 and "不能交给别人" in answer.content.decode()
    assert not MemberAccount.objects.exists()
    it.post(f"/org/members/{member.pk}/account/", {"user": make_user("it").pk})
    assert MemberAccount.objects.get().member == member


def test_hq_can_let_everybody_in_and_bring_back_what_nobody_holds(acme):
    hq = actor_of(make_user("hq"))
    for preset in PRESETS:
        users.create_user(username=f"u-{preset.key}", display_name="x", grants=[Grant(role(preset.key).pk)], by=hq)
    for one in Role.objects.all():
        codes = [code for code in one.permissions if code != "contacts.unmask"]
        roles.edit_role(one.pk, name=one.name, permissions=codes, by=hq)
    roles.edit_role(role("service").pk, name="客服", permissions=["contacts.unmask"], by=hq)
    assert role("service").permissions == ["contacts.unmask"]


def test_the_last_who_manages_roles_keeps_it_whatever_way_it_is_taken(acme):
    boss = make_user("hq")
    by = actor_of(boss)
    without = [code for code in role("hq").permissions if code != "roles.manage"]
    with pytest.raises(UserError, match="至少要有一位"):
        roles.edit_role(role("hq").pk, name="总部", permissions=without, by=by)
    with pytest.raises(UserError, match="至少要有一位"):
        users.edit_user(boss.pk, display_name="x", grants=[Grant(role("guide").pk, "self")], by=by)
    RoleGrant.objects.create(
        user=make_user(None, is_active=False), role=role("it"), scope_kind="all"
    )  # closed: no keeper
    with pytest.raises(UserError, match="至少要有一位"):
        roles.edit_role(role("hq").pk, name="总部", permissions=without, by=by)


# --- permissions that came later --------------------------------------------------------------------------------------


def test_new_permissions_reach_the_preset_roles_of_a_merchant_once(acme, monkeypatch):
    make_user("hq")
    Role.objects.update(permissions=["contacts.view", "users.manage", "roles.manage"])
    own = Role.objects.create(name="夜班", permissions=["contacts.view"])
    monkeypatch.setattr(backfills, "_backfills", {})
    monkeypatch.setattr(presets, "LATER", {"accounts.probe": ("stages.edit", "handover.manage")})
    presets.register_later()
    Backfill.objects.filter(name="accounts.probe").delete()

    def drain():
        backfills.drain(clock.wall() + timedelta(seconds=20))

    drain()
    holders = {key for key, held in Role.objects.values_list("key", "permissions") if "handover.manage" in held}
    assert holders == {"hq", "operator", "region", "store"}
    assert "stages.edit" not in role("store").permissions and "contacts.export" not in role("hq").permissions
    own.refresh_from_db()
    assert own.permissions == ["contacts.view"]

    roles.edit_role(role("store").pk, name="店长", permissions=["contacts.view"], by=SYSTEM)
    drain()
    assert role("store").permissions == ["contacts.view"]
    assert Backfill.objects.get(name="accounts.probe").state == "done"


def test_what_the_merchant_took_away_before_stays_taken_away(acme):
    make_user("hq")
    roles.edit_role(role("store").pk, name="店长", permissions=["contacts.view"], by=SYSTEM)
    assert give_later(("handover.manage",)) == 0
    assert role("store").permissions == ["contacts.view"]


def test_every_permission_that_came_later_belongs_to_a_preset():
    meant = {code for preset in PRESETS for code in preset.permissions}
    assert {code for codes in presets.LATER.values() for code in codes} <= meant
