"""What a deleted tag leaves behind, and a tag list that is cut short."""

import pytest

from tagging.models import Tag, TagGroup
from tagging.services.broken import break_readers_of_tags
from tagging.services.mirror import apply_tags, delete_tags
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
