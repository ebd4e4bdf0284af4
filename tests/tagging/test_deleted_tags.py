"""What a deleted tag leaves behind, and a tag list that is cut short."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.scope import EVERYTHING
from campaigns.models import SopVersion
from campaigns.queries import audience
from campaigns.services.enrolling import _entering
from campaigns.services.sop_running import _matching
from conditions.models import DirtyMark
from conditions.people import people
from contacts.models import Stage
from contacts.services.stage_answers import answer
from tagging.models import FollowTag, Tag, TagGroup
from tagging.services.broken import break_readers_of_tags
from tagging.services.mirror import apply_tags, delete_tags
from tagging.services.tag_commands import forget_group
from tests.support import tagging
from tests.support.consuming import built, enabled, members, named, settle, tag_action
from tests.support.tagging import NOW, tree_of
from wecom_bridge.contracts import TagGroupInfo, TagInfo, TagsBatch

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


def test_a_deleted_tag_stops_what_reads_or_puts_it(at, corp, guide):
    tag = tagging.make_tag("老客", corp=corp)
    person = tagging.make_person("王姐")
    tagging.put_tag(tagging.make_relation(person, guide), tag)
    reads_it = built("有标签", tree_of({"field": "tag", "op": "none", "value": [tag.pk]}))
    puts_it = enabled(named("王姐们"), tag_action(tag))
    stays = enabled(named("王姐们"), tag_action(tagging.make_tag("别的")), name="别的")
    delete_tags(Tag.objects.filter(pk=tag.pk), NOW)
    settle()
    for row in (reads_it, puts_it, stays):
        row.refresh_from_db()
    assert (reads_it.state, puts_it.state, stays.state) == ("failed", "broken", "on")
    assert "需修复" in reads_it.last_error
    assert members(reads_it) == set()  # nobody slips into 没有该标签 because the tag is gone
    break_readers_of_tags([tag.pk])


def test_whoever_carried_a_deleted_tag_is_marked_without_being_read(at, corp, guide):
    tag, carriers = tagging.make_tag("老客", corp=corp), [tagging.make_person("王姐"), tagging.make_person("李姐")]
    for person in carriers:
        tagging.put_tag(tagging.make_relation(person, guide), tag)
    with CaptureQueriesContext(connection) as asked:
        delete_tags(Tag.objects.filter(pk=tag.pk), NOW)
    marked = DirtyMark.objects.filter(field_key="tag").values_list("contact_id", flat=True)
    assert set(marked) == {person.pk for person in carriers}
    table = f'FROM "{FollowTag._meta.db_table}"'
    assert not [one["sql"] for one in asked if one["sql"].startswith("SELECT") and table in one["sql"]]


def full_list(corp, tags, **deleted):
    told = [TagInfo(tag.wecom_tag_id, tag.name, 0, None) for tag in tags]
    group = TagGroupInfo("g", "组", 0, tuple(told))
    apply_tags(TagsBatch(corp, "reconcile", NOW, [group] if told else [], is_full=True, **deleted))


def test_a_tag_list_cut_short_deletes_nothing_it_does_not_name(at, corp):
    group = tagging.make_tag("标签0", corp=corp).group
    TagGroup.objects.filter(pk=group.pk).update(wecom_group_id="g")
    tags = [Tag.objects.get(), *(Tag.objects.create(group=group, corp=corp, name=f"标签{n}") for n in range(1, 30))]
    for tag in tags:
        tag.wecom_tag_id = f"et{tag.pk}"
        tag.save(update_fields=["wecom_tag_id"])

    full_list(corp, [])
    assert Tag.objects.filter(deleted_at__isnull=True).count() == 30
    full_list(corp, tags[:20], deleted_tag_ids=[tag.wecom_tag_id for tag in tags[20:]])
    assert Tag.objects.filter(deleted_at__isnull=True).count() == 20
    full_list(corp, tags[:18])
    assert Tag.objects.filter(deleted_at__isnull=True).count() == 18


def test_a_deleted_tag_group_stops_what_is_narrowed_by_it(at, corp):
    group = tagging.make_tag("油皮").group
    untagged = {"field": "tag", "op": "empty", "where": {"group": [group.pk]}}
    reads_it = built("没有肤质", tree_of(untagged))
    acts_on_it = enabled(tree_of(untagged), tag_action(tagging.make_tag("待补充")))
    forget_group(group)
    settle()
    for row in (reads_it, acts_on_it):
        row.refresh_from_db()
    assert (reads_it.state, acts_on_it.state) == ("failed", "broken")


def test_whatever_else_acts_on_a_condition_of_a_deleted_tag_takes_it_for_nobody(at, corp):
    tag = tagging.make_tag("老客", corp=corp)
    person = tagging.make_person("王姐")
    without = tree_of({"field": "tag", "op": "none", "value": [tag.pk]})
    stage = Stage.objects.create(key="s", name="未打标", order=1, rule=without)
    version = SopVersion(entry_tree=without, exit_tree=without)

    def meant() -> tuple[object, ...]:
        asked = (
            people().filter(pk=person.pk).annotate(answer=answer([stage], NOW)).values_list("answer", flat=True).get()
        )
        sent = audience.people({"tree": without}, within=EVERYTHING, now=NOW)
        return asked, _entering(version, {person.pk}, NOW), _matching(version, [person.pk], NOW), sent.count()

    assert meant() == (stage.pk, {person.pk}, {person.pk}, 1)
    delete_tags(Tag.objects.filter(pk=tag.pk), NOW)
    assert meant() == (None, set(), set(), 0)
