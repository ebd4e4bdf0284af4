"""Lists and segments under two connections: who is merged, archived or enabled meanwhile."""

import pytest
from django.db import connection, transaction

from conditions.schema import ConditionInvalid
from contacts.services.merging import merge_roots
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging.models import Rule, Segment, SegmentEntry
from tagging.services import rules, segments
from tagging.services.static_lists import fill_static
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support import tagging
from tests.support.consuming import enabled, members, named, tag_action
from tests.support.core import in_thread
from tests.support.tagging import tree_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_fields")]


def until_somebody_waits() -> None:
    """Until another connection waits for a lock."""
    begun = clock.wall()
    while (clock.wall() - begun).total_seconds() < 20:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody waits for us")


def in_segment(segment: Segment) -> object:
    return tree_of({"field": "segment", "op": "any", "value": [segment.pk]})


@pytest.mark.parametrize("by_freezing", [False, True])
def test_who_is_merged_while_she_goes_on_a_list_is_on_it_as_who_she_is_now(acme, by_freezing):
    kept, other = tagging.make_person("王姐"), tagging.make_person("王姐小号")
    source, fixed = (segments.create_list(name=name, by=SYSTEM) for name in ("来源", "名单"))
    fill_static(source, [other.pk], how="add", by=SYSTEM)

    def put():
        if by_freezing:
            return segments.freeze_segment(source, name="冻结", by=SYSTEM)
        return fill_static(fixed, [other.pk], how="add", by=SYSTEM) and fixed

    with transaction.atomic():
        merge_roots([(kept.pk, other.pk)], now=clock.now())
        thread = in_thread(put)
        until_somebody_waits()
    assert members(thread.result()) == {kept.pk}
    assert SegmentEntry.objects.exclude(contact=kept).count() == 0


def test_no_segment_is_saved_over_one_that_is_archived_meanwhile(acme):
    parent = segments.save_segment(None, name="上级", tree=named("王姐"), by=SYSTEM)
    tree = in_segment(parent)

    def save():
        with pytest.raises(ConditionInvalid):
            segments.save_segment(None, name="下级", tree=tree, by=SYSTEM)

    with transaction.atomic():
        segments.archive_segment(parent, by=SYSTEM)
        thread = in_thread(save)
        until_somebody_waits()
    thread.result()
    assert Segment.objects.count() == 1


def test_no_rule_is_enabled_over_a_segment_that_is_archived_meanwhile(acme):
    parent = segments.save_segment(None, name="上级", tree=named("王姐"), by=SYSTEM)
    rule = enabled(in_segment(parent), tag_action(tagging.make_tag("老客")))
    rules.disable_rule(rule, by=SYSTEM)

    def enable():
        with pytest.raises(UserError):
            rules.enable_rule(rule, by=SYSTEM)

    with transaction.atomic():
        segments.archive_segment(parent, by=SYSTEM)
        thread = in_thread(enable)
        until_somebody_waits()
    thread.result()
    assert Rule.objects.get().state != "on"


def test_archiving_twice_and_computing_an_archived_one_anew_change_and_record_nothing(acme):
    segment = segments.save_segment(None, name="王姐们", tree=named("王姐"), by=SYSTEM)
    segments.build_segment(segment)
    known = Segment.objects.get()
    segments.archive_segment(segment, by=SYSTEM)
    archived = Segment.objects.get()
    segments.archive_segment(known, by=SYSTEM)  # the row of before, as a second click has it
    segments.request_rebuild(known, by=SYSTEM)
    again = Segment.objects.get()
    assert (again.archived_at, again.state) == (archived.archived_at, archived.state)
    acts = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert acts == ["segment.saved", "segment.archived"]
