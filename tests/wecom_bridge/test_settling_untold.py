"""An answer without its list is no word that the list is empty: what is in doubt stays so, and nothing is done twice."""

from datetime import timedelta

import pytest

from scrm.lib import clock
from wecom_bridge.settling.contact_ways import settle_add_contact_way
from wecom_bridge.settling.moments import settle_moment
from wecom_bridge.settling.transfers import settle_group_transfer, settle_transfer

pytestmark = pytest.mark.django_db(transaction=True)


def moment(gateway, long_ago):
    asked = {"visible_range": {"sender_list": {"user_list": ["wutong"]}}, "text": {"content": "新品到店"}}
    return settle_moment(gateway, asked=asked, since=clock.now(), sent_at=long_ago)


def transfer(gateway, long_ago):
    pair = {"handover_userid": "wutong", "takeover_userid": "hechen"}
    return settle_transfer(gateway, external_userid=["wmA"], since=clock.now(), sent_at=long_ago, **pair)


def groups(gateway, long_ago):
    asked = {"chat_id_list": ["wrNone"], "new_owner": "hechen", "resigned": True}
    return settle_group_transfer(gateway, sent_at=long_ago, **asked)


def contact_way(gateway, long_ago):
    window = {"start": clock.now() - timedelta(minutes=10), "end": clock.now() + timedelta(minutes=10)}
    return settle_add_contact_way(gateway, state="ours", sent_at=long_ago, **window)


@pytest.mark.parametrize(
    ("settle", "endpoint"),
    [
        (moment, "get_moment_list"),
        (transfer, "transfer_result"),
        (groups, "groupchat/list"),
        (contact_way, "list_contact_way"),
    ],
)
@pytest.mark.parametrize("said", [{}, {"next_cursor": ""}])
def test_a_list_that_is_absent_leaves_it_unknown_and_an_empty_one_does_not(wecom, gateway, settle, endpoint, said):
    long_ago = clock.wall() - timedelta(hours=1)
    wecom.script(f"externalcontact/{endpoint}", body={"errcode": 0, "errmsg": "ok"} | said, times=1)

    assert settle(gateway, long_ago) is None
    found = settle(gateway, long_ago)
    assert found is not None and not found.done
