"""Users, roles, tokens, audit: the services' rules and the pages' way through them."""

import pytest
from django.db import IntegrityError, transaction

from accounts import scope
from accounts.models import ApiToken, LoginSession, Role, RoleGrant, User
from accounts.presets import PRESETS
from accounts.services import roles, tokens, users
from accounts.services.users import Grant
from scrm.lib.crypto import token_digest
from scrm.lib.errors import Conflict, UserError
from tenants import audit
from tenants.ledger.models import AuditEntry
from tests.support.core import log_in, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def keeper(acme):
    """Somebody who can always let people in."""
    return make_user("hq")


@pytest.fixture
def stores(monkeypatch):
    """An organisation of two stores."""
    names = {1_000_001: "静安寺店", 1_000_002: "五角场店"}
    monkeypatch.setitem(
        scope._places, "store", lambda ids: [(pk, name) for pk, name in names.items() if ids is None or pk in ids]
    )


def role(key):
    return Role.objects.get(key=key)


def test_every_merchant_has_the_ten_preset_roles(acme):
    names = list(Role.objects.order_by("order").values_list("name", flat=True))
    assert names == ["总部", "私域运营", "内容", "客服", "用户增长", "大区", "店长", "导购", "审批", "IT"]
    assert {preset.key for preset in PRESETS} == set(Role.objects.values_list("key", flat=True))


def test_a_new_user_gets_a_link_and_no_password(keeper, actor, stores):
    user, token = users.create_user(
        username=" Chen ", display_name="陈婧", by=actor,
        grants=[Grant(role("store").pk, "store", 1_000_001), Grant(role("guide").pk, "self")],
    )  # fmt: skip

    assert user.username == "chen" and not user.has_usable_password() and len(token) > 30
    assert scope.data_scope(user).store_ids == {1_000_001}
    assert scope.data_scope(user, "today.use").own
    entry = AuditEntry.objects.get(action="user.created")
    assert entry.subject_id == str(user.pk) and set(entry.data["roles"]) == {"店长", "导购"}


def test_a_taken_name_is_refused_whatever_its_case(keeper, actor):
    users.create_user(username="chen", display_name="x", grants=[], by=actor)
    with pytest.raises(Conflict):
        users.create_user(username="CHEN", display_name="y", grants=[], by=actor)


def test_the_database_itself_refuses_a_name_that_differs_by_case(acme):
    make_user(username="chen")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_user(username="Chen")
    assert User.objects.get_by_natural_key(" CHEN ").username == "chen"


def test_a_grant_over_a_place_names_a_place_of_this_merchant(keeper, actor, stores):
    with pytest.raises(UserError, match="门店"):
        users.create_user(username="a", display_name="a", by=actor, grants=[Grant(role("store").pk, "store", 7)])
    with pytest.raises(UserError):
        users.create_user(username="b", display_name="b", by=actor, grants=[Grant(role("region").pk, "region", 1)])


def test_the_last_keeper_stays(acme):
    keeper = make_user("hq")
    other = audit.Actor("user", 1, "x")
    with pytest.raises(UserError, match="至少要有一位"):
        users.set_active(keeper.pk, False, by=other)
    with pytest.raises(UserError, match="至少要有一位"):
        users.edit_user(keeper.pk, display_name="x", grants=[], by=other)
    with pytest.raises(UserError, match="至少要有一位"):
        roles.edit_role(role("hq").pk, name="总部", permissions=["contacts.view"], by=other)
    assert User.objects.get(pk=keeper.pk).is_active and "users.manage" in role("hq").permissions

    make_user("it")
    assert not users.set_active(keeper.pk, False, by=other).is_active


def test_nobody_closes_herself(keeper):
    make_user("hq")
    with pytest.raises(UserError, match="自己"):
        users.set_active(keeper.pk, False, by=audit.Actor("user", keeper.pk, "x"))


def test_closing_an_account_ends_its_sessions(keeper, actor, anonymous):
    user = make_user(username="lin")
    anonymous.post("/login/", {"username": "lin", "password": "correct-horse-42"})
    users.set_active(user.pk, False, by=actor)
    assert not LoginSession.objects.filter(user=user).exists()
    assert anonymous.get("/account/sessions/").status_code == 302


def test_preset_roles_are_edited_never_deleted(keeper, actor):
    edited = roles.edit_role(role("guide").pk, name="顾问", permissions=["audit.view"], by=actor)
    assert edited.name == "顾问" and edited.key == "guide"
    with pytest.raises(Conflict, match="预设"):
        roles.delete_role(edited.pk, by=actor)


def test_a_role_somebody_holds_is_not_deleted(keeper, actor):
    made = roles.create_role("夜班", ["audit.view"], by=actor)
    user = make_user(None)
    RoleGrant.objects.create(user=user, role=made, scope_kind="all")
    with pytest.raises(Conflict):
        roles.delete_role(made.pk, by=actor)
    user.grants.all().delete()
    roles.delete_role(made.pk, by=actor)
    assert not Role.objects.filter(pk=made.pk).exists()


def test_unknown_permissions_are_refused(keeper, actor):
    with pytest.raises(UserError, match=r"moon\.fly"):
        roles.create_role("x", ["moon.fly"], by=actor)


def test_a_token_is_shown_once_and_stored_as_a_digest(keeper, actor):
    token, text = tokens.create_token("POS", ["*"], by=actor)
    prefix, _dot, secret = text.partition(".")
    assert (token.prefix, token.token_digest) == (prefix, token_digest(secret))
    assert text not in str(list(ApiToken.objects.values())) and secret not in str(list(ApiToken.objects.values()))
    assert tokens.revoke_token(token.pk, by=actor).revoked_at == tokens.revoke_token(token.pk, by=actor).revoked_at
    assert AuditEntry.objects.filter(action="token.revoked").count() == 1
    with pytest.raises(UserError):
        tokens.create_token("x", ["nothing:read"], by=actor)


def test_the_pages_make_edit_and_close_a_user(keeper, stores):
    client = log_in(keeper)
    guide = role("guide").pk

    made = client.post(
        "/settings/users/new/", {"username": "lin", "display_name": "林小雅", "grants": [f"{guide}:self:0"]}
    )
    assert made.status_code == 200 and "/welcome/" in made.content.decode()
    user = User.objects.get(username="lin")
    page = client.get("/settings/users/").content.decode()
    assert "林小雅" in page and "导购 · 本人" in page and "未登录过" in page

    store = role("store").pk
    assert client.get(f"/settings/users/{user.pk}/").status_code == 200
    client.post(f"/settings/users/{user.pk}/", {"display_name": "林小雅", "grants": [f"{store}:store:1000002"]})
    assert user.grants.get().scope_id == 1_000_002
    assert "店长 · 五角场店" in client.get("/settings/users/?q=林").content.decode()

    assert "/welcome/" in client.post(f"/settings/users/{user.pk}/link/").content.decode()
    client.post(f"/settings/users/{user.pk}/active/", {"active": "0"})
    assert not User.objects.get(pk=user.pk).is_active
    assert "林小雅" in client.get("/settings/users/?closed=1").content.decode()


def test_a_refused_form_says_why_beside_its_field(keeper):
    client = log_in(keeper)
    response = client.post("/settings/users/new/", {"username": keeper.username, "display_name": "x"})
    assert response.status_code == 422
    assert "已被使用" in response.content.decode()


def test_the_users_page_asks_few_queries_however_many_there_are(keeper, django_assert_max_num_queries):
    client = log_in(keeper)
    for _user in range(30):
        make_user("guide")
    with django_assert_max_num_queries(16):
        client.get("/settings/users/")


def test_the_roles_and_tokens_pages(keeper):
    client = log_in(keeper)
    assert "私域运营" in client.get("/settings/roles/").content.decode()
    client.post("/settings/roles/new/", {"name": "夜班", "permissions": ["audit.view"]})
    made = Role.objects.get(name="夜班")
    client.post(f"/settings/roles/{made.pk}/", {"name": "夜班长", "permissions": ["audit.view", "jobs.view"]})
    made.refresh_from_db()
    assert (made.name, made.permissions) == ("夜班长", ["audit.view", "jobs.view"])
    client.post(f"/settings/roles/{made.pk}/delete/")
    assert not Role.objects.filter(pk=made.pk).exists()

    shown = client.post("/settings/tokens/", {"name": "POS", "scopes": ["*"], "days": "90"}).content.decode()
    token = ApiToken.objects.get()
    assert f"{token.prefix}." in shown and f"{token.prefix}." not in client.get("/settings/tokens/").content.decode()
    client.post(f"/settings/tokens/{token.pk}/revoke/")
    token.refresh_from_db()
    assert token.revoked_at


def test_the_audit_page_filters_and_pages_by_keyset(keeper):
    for number in range(60):
        audit.record("probe.done", by=audit.Actor("user", 1, f"人{number}"))
    audit.record("probe.other", by=audit.SYSTEM)
    client = log_in(keeper)

    first = client.get("/settings/audit/?action=probe.done")
    rows = first.context["page"].rows
    assert [row.actor_name for row in rows] == [f"人{number}" for number in range(59, 9, -1)]
    second = client.get(f"/settings/audit/?action=probe.done&cursor={first.context['page'].next_cursor}")
    assert [row.actor_name for row in second.context["page"].rows] == [f"人{number}" for number in range(9, -1, -1)]
    assert second.context["page"].next_cursor is None
    assert len(client.get("/settings/audit/?actor=人7").context["page"].rows) == 1
