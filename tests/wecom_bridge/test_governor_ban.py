"""A banned gettoken: WeCom bans the address, so no merchant behind it asks."""

import pytest

from tenants.context import tenant_scope
from tests.support.wecom import make_corp
from wecom_bridge.gateway import CallError, gateway_for
from wecom_bridge.governor import limits
from wecom_bridge.governor.pace import Pace, Refused
from wecom_bridge.models import CallPace

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_banned_gettoken_is_left_alone_by_every_merchant_behind_the_address(wecom, globex):
    wecom.script("gettoken", errcode=45009)
    with pytest.raises(CallError):
        gateway_for(wecom.connect().corp).get_follow_users()
    assert CallPace.objects.get(api="gettoken").closed_scope == "address"
    with tenant_scope(globex):
        other = make_corp()
        theirs = Pace(other.pk, other.corp_id, limits.in_force(), "welcome")
        with pytest.raises(Refused) as refused:
            theirs.take("gettoken")
        assert refused.value.wait > 3500
        theirs.left(theirs.take("get_follow_user_list"), "ok")
