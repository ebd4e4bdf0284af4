"""Tags over many people at once, and taken back through the same commands."""

from datetime import timedelta

import pytest

from accounts.scope import EVERYTHING
from contacts.models import BulkChange, Contact, Follow, Relation
from contacts.services import bulk
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging.models import FollowTag, Tag
from tagging.services.marks import mark_tags
from tests.support import tagging
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db
GOING = FollowTag.State.REMOVING


@pytest.fixture
def people(guide):
    found = [
        tagging.make_person(f"客户{n}", owner=guide, last_added_at=clock.now(), active_follows=1) for n in range(4)
    ]
    for person in found:
        tagging.make_relation(person, guide)
    return found


def start(actor, people, add=(), remove=(), whose="owner"):
    chosen = Contact.objects.filter(pk__in=[person.pk for person in people])
    params = {"add": [tag.pk for tag in add], "remove": [tag.pk for tag in remove], "whose": whose}
    return bulk.start("tag", chosen, params, EVERYTHING, by=actor, expected=len(people))


def tags_of(person):
    marks = FollowTag.objects.filter(contact=person, state__in=("on", "adding"))
    return set(marks.values_list("tag__name", flat=True))


def test_every_chosen_person_is_accounted_for(actor, people, corp):
    tag, foreign = tagging.make_tag("敏感肌", corp=corp), tagging.make_corp()
    tagging.put_tag(people[0].follows.get(), tag)
    Follow.objects.filter(contact=people[1]).update(relation=Relation.DELETED_BY_GUIDE)
    elsewhere = tagging.make_person("别家", last_added_at=clock.now(), active_follows=1)
    tagging.make_relation(elsewhere, tagging.make_member(foreign))
    change = start(actor, [*people, elsewhere], add=[tag])
    assert (change.total, change.changed, change.unchanged, change.refused) == (5, 2, 1, 2)
    assert dict(bulk.count_reasons(change, "refused")) == {"已没有好友关系": 1, "标签属于另一个企业微信": 1}
    assert OutboundCommand.objects.count() == 2


def test_an_undo_takes_off_what_was_put_on_and_puts_back_what_it_replaced(actor, people, corp):
    dry, oily = tagging.make_tag("干皮", corp=corp), None
    dry.group.is_exclusive = True
    dry.group.save()
    oily = tagging.make_tag("油皮", dry.group, corp=corp)
    vip = tagging.make_tag("老会员")
    first, second, third, fourth = people
    for person in (first, second):
        tagging.put_tag(person.follows.get(), dry)
    change = start(actor, people, add=[oily, vip])
    assert tags_of(first) == {"油皮", "老会员"}
    # One goes off by hand, one is put on anew by hand, one relation ends: none of the three is as the change left her.
    mark_tags([second.follows.get().pk], remove=[oily.pk], origin="operator", by=actor)
    mark_tags([third.follows.get().pk], remove=[vip.pk], origin="operator", by=actor)
    mark_tags(
        [third.follows.get().pk], add=[vip.pk], origin="operator", by=actor, at=clock.now() + timedelta(seconds=1)
    )
    Follow.objects.filter(contact=fourth).update(relation=Relation.DELETED_BY_CUSTOMER)

    bulk.ask_undo(change.pk, EVERYTHING, by=actor)

    change.refresh_from_db()
    assert (change.undone, change.kept, change.stuck) == (1, 3, 0)
    assert tags_of(first) == {"干皮"}
    assert FollowTag.objects.get(contact=first, tag=oily).state == GOING
    assert tags_of(second) == {"老会员"} and tags_of(third) == {"油皮", "老会员"}
    bulk.ask_undo(change.pk, EVERYTHING, by=actor)
    assert BulkChange.objects.get().undone == 1


def test_a_tag_deleted_since_cannot_come_back(actor, people):
    tag = tagging.make_tag("老会员")
    tagging.put_tag(people[0].follows.get(), tag)
    change = start(actor, people[:1], remove=[tag])
    Tag.objects.filter(pk=tag.pk).update(deleted_at=clock.now())
    bulk.ask_undo(change.pk, EVERYTHING, by=actor)
    change.refresh_from_db()
    assert (change.undone, change.kept, change.stuck) == (0, 0, 1)


def test_nothing_to_put_on_or_both_sides_is_refused(actor, people):
    tag = tagging.make_tag("老会员")
    for add, remove in (([], []), ([tag], [tag])):
        with pytest.raises(UserError):
            start(actor, people, add=add, remove=remove)
    assert not BulkChange.objects.exists()
