"""A WeCom that answers the same token until it ends is not asked every minute."""

from datetime import timedelta

import pytest
from django.db.models import F

from scrm.lib import clock
from wecom_bridge.gateway import gateway_for, tokens
from wecom_bridge.models import CorpCredential

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_last_minutes_of_a_repeated_token_cost_a_handful_of_questions(wecom):
    gateway = gateway_for(wecom.connect().corp)
    gateway.warm_token()
    row, minute = CorpCredential.objects.get(), timedelta(minutes=1)
    same = {"errcode": 0, "errmsg": "ok", "access_token": row.access_token, "expires_in": 7200}
    wecom.script("gettoken", body=same, times=50)
    now = clock.wall()
    CorpCredential.objects.update(
        access_token_expires_at=now + timedelta(minutes=25), access_token_asked_at=now - timedelta(minutes=95)
    )
    for left in range(25, 1, -1):
        tokens._known.clear()
        tokens._asked.clear()
        gateway.warm_token()
        # A minute passes; a repeated token ends when the first one would have.
        CorpCredential.objects.update(
            access_token_expires_at=clock.wall() + timedelta(minutes=left - 1),
            access_token_asked_at=F("access_token_asked_at") - minute,
        )
    assert 3 <= len(wecom.calls("gettoken")) - 1 <= 6
