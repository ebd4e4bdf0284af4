"""How long calls will take at least: what pages tell before a backfill, and what it takes then."""

import time
from datetime import timedelta

import pytest

from contacts.models import Follow
from scrm.lib import clock
from tagging import causes
from tagging.models import Tag
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM
from tests.support.governor import set_limit
from wecom_bridge.figures import recorder
from wecom_bridge.models import OutboundCommand
from wecom_bridge.paces import ASSUMED_SECONDS, LEAST_MEASURED, least_seconds
from wecom_bridge.services import outbox
from wecom_bridge.services.sync import drive, runs

MARK = "mark_tag"


def measured(seconds: float, calls: int) -> None:
    """So many calls took so long each."""
    for _ in range(calls):
        recorder.observe("call", MARK, 0, seconds)
    recorder.flush()


@pytest.mark.django_db
def test_calls_that_may_run_three_at_once_take_a_third_of_their_sum(acme):
    """mark_tag: 5 at once (contact 2.1), of which a backfill may have 60 %, so 3; 5,400 a minute are never reached that way."""
    assert least_seconds(MARK, 0, priority=causes.LOW) == 0
    assert least_seconds(MARK, 3000, priority=causes.LOW) == pytest.approx(1000 * ASSUMED_SECONDS)
    assert least_seconds(MARK, 3001, priority=causes.LOW) == pytest.approx(1001 * ASSUMED_SECONDS)
    assert least_seconds(MARK, 3000, priority=50) == pytest.approx(750 * ASSUMED_SECONDS)  # commands: 80 %, so 4


@pytest.mark.django_db
def test_what_calls_took_lately_is_what_they_will_take(acme):
    measured(0.5, LEAST_MEASURED - 1)
    assert least_seconds(MARK, 300, priority=causes.LOW) == pytest.approx(100 * ASSUMED_SECONDS)
    measured(0.5, 1)
    assert least_seconds(MARK, 300, priority=causes.LOW) == pytest.approx(100 * 0.5)
    for _ in range(500):  # what WeCom refused was quick and marked nothing
        recorder.observe("call", MARK, 45009, 0.001)
    recorder.flush()
    assert least_seconds(MARK, 300, priority=causes.LOW) == pytest.approx(100 * 0.5)


@pytest.mark.django_db
def test_where_the_windows_are_narrower_they_decide(acme):
    measured(0.01, LEAST_MEASURED)
    set_limit(mark_tag__minute=100)  # 90 % of it, and of that 60 %
    assert least_seconds(MARK, 540, priority=causes.LOW) == pytest.approx(600)
    set_limit(mark_tag__day=1000)
    assert least_seconds(MARK, 540, priority=causes.LOW) == pytest.approx(600)
    assert least_seconds(MARK, 1081, priority=causes.LOW) == pytest.approx(2 * 86_400)


@pytest.mark.django_db(transaction=True)
def test_a_backfill_s_calls_take_about_as_long_as_was_said(wecom):
    corp = wecom.connect().corp
    runs.start_sync(corp, by=SYSTEM)
    drive.drain(clock.wall() + timedelta(seconds=60))
    tag = Tag.objects.filter(group__kind="corp", wecom_tag_id__isnull=False).order_by("pk").first()
    follows = list(
        Follow.objects.filter(relation="active").exclude(follow_tags__tag=tag).values_list("pk", flat=True)[:30]
    )
    with causes.in_no_haste():
        assert mark_tags(follows, add=[tag.pk], origin="operator", by=SYSTEM) == 30
    wecom.script("externalcontact/mark_tag", delay=0.2, times=30)
    said = least_seconds(MARK, 30, priority=causes.LOW)
    began = time.monotonic()
    while OutboundCommand.objects.exclude(state="done").exists():
        outbox.drain(clock.wall() + timedelta(seconds=20))
    took = time.monotonic() - began
    assert said == pytest.approx(10 * 0.2)
    assert said <= took < 4 * said
