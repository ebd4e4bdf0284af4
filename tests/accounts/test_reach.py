"""A permission reaches as far as the grant that gives it."""

import pytest

from accounts.models import Role, RoleGrant
from accounts.permissions import all_permissions
from accounts.scope import permissions_of
from contacts.models import MemberAccount
from tests.support import contacts as people
from tests.support.core import log_in, make_user

pytestmark = pytest.mark.django_db


def wide() -> set[str]:
    return {one.code for one in all_permissions() if one.tenant_wide}


def test_what_cannot_be_kept_within_a_place_is_given_by_a_grant_over_everything_alone():
    region = people.make_region()
    assert wide() >= {"users.manage", "roles.manage", "tokens.manage", "org.edit", "rules.edit", "orders.import"}

    assert not permissions_of(make_user("hq", region)) & wide()
    assert permissions_of(make_user("hq")) >= wide()


@pytest.mark.parametrize(
    "path",
    ["/settings/users/", "/settings/roles/", "/settings/tokens/", "/rules/new/", "/org/departments/", "/bridge/"],
)
def test_an_administrator_of_a_region_does_not_act_for_the_whole_merchant(path):
    hers = log_in("hq", scope=people.make_region())

    assert hers.get(path).status_code == 403
    assert log_in("hq").get(path).status_code == 200


def test_she_cannot_grant_herself_more():
    hers = log_in("hq", scope=people.make_region())
    everything = f"{Role.objects.get(key='hq').pk}:all:0"

    answer = hers.post(f"/settings/users/{hers.user.pk}/", {"display_name": "x", "grants": [everything]})

    assert answer.status_code == 403
    assert not RoleGrant.objects.filter(user=hers.user, scope_kind="all").exists()


def test_a_guide_does_not_credit_a_shared_customer_to_herself():
    mine, other = people.make_member(), people.make_member()
    contact = people.make_follow(member=other).contact
    people.make_follow(contact, mine)
    contact.owner = other
    contact.save(update_fields=["owner"])
    guide = log_in("guide")
    MemberAccount.objects.create(user=guide.user, member=mine)

    answer = guide.post(f"/contacts/{contact.pk}/owner/", {"member": mine.pk})

    contact.refresh_from_db()
    assert answer.status_code == 403 and contact.owner == other


def test_rows_behind_numbers_need_the_permission_to_see_customers_and_orders():
    content, growth = log_in("content"), log_in(make_user(permissions=["reports.view", "contacts.view"]))

    for path in ("/reports/lifecycle/rows/", "/reports/funnel/rows/sent/", "/reports/days/added/"):
        assert content.get(path).status_code == 403
        assert growth.get(path).status_code == 200
    for path in ("/reports/funnel/rows/orders/", "/reports/days/orders/"):
        assert growth.get(path).status_code == 403
