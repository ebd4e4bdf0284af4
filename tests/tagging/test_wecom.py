"""Tags to WeCom and back, through the outbox and the first sync, against the simulator."""

from collections import Counter
from datetime import timedelta

import pytest

from conditions import dirty
from conditions.drain import drain_batch
from conditions.models import DirtyMark
from contacts.models import Follow, TimelineEvent
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging.models import FollowTag, Tag, TagGroup
from tagging.services import dictionary, ordering
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM
from wecom_bridge.contracts import TagGroupInfo, TagInfo, TagsBatch
from wecom_bridge.models import OutboundCommand, SyncRun, SyncUnit
from wecom_bridge.services import outbox
from wecom_bridge.services.sync import drive, runs

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(wecom):
    """Connected and read for the first time."""
    connection = wecom.connect()
    runs.start_sync(connection.corp, by=SYSTEM)
    drive.drain(clock.wall() + timedelta(seconds=60))
    return connection.corp


def send():
    outbox.drain(clock.wall() + timedelta(seconds=20))


def read_again(corp):
    runs.start_sync(corp, by=SYSTEM)
    drive.drain(clock.wall() + timedelta(seconds=60))


def told(wecom, follow):
    """The tag ids WeCom has on a follow."""
    answer = wecom.get(f"customers/{follow.identity.value}")
    found = next(row for row in answer["follows"] if row["userid"] == follow.member.userid)
    return set(found["tags"])


def free_pair():
    """A corp tag and a follow without any."""
    follow = (
        Follow.objects.filter(relation="active", follow_tags__isnull=True).select_related("identity", "member").first()
    )
    return follow, Tag.objects.filter(group__kind="corp", wecom_tag_id__isnull=False).order_by("pk").first()


def test_the_first_sync_mirrors_the_dictionary_and_who_carries_what(wecom, corp):
    assert Tag.objects.filter(group__kind="corp").count() >= 3
    carried = FollowTag.objects.count()
    assert carried > 50
    assert set(FollowTag.objects.values_list("origin", "state").distinct()) == {("sync", "on")}
    events = TimelineEvent.objects.filter(kind="tag.added")
    assert events.count() == carried
    assert set(events.values_list("source", flat=True)) == {"backfill"}
    assert not DirtyMark.objects.filter(field_key="tag", is_backfill=False).exists()
    looked_at = DirtyMark.objects.filter(field_key__in=("tag", dirty.EVERYTHING), is_backfill=True)
    assert set(FollowTag.objects.values_list("contact_id", flat=True)) <= set(
        looked_at.values_list("contact_id", flat=True)
    )
    while drain_batch():
        pass
    runs.start_sync(corp, by=SYSTEM)
    drive.drain(clock.wall() + timedelta(seconds=60))
    assert FollowTag.objects.count() == carried
    assert TimelineEvent.objects.filter(kind__startswith="tag.").count() == carried


def test_a_mark_travels_and_comes_back_settled(wecom, corp):
    follow, tag = free_pair()
    other = Tag.objects.filter(group__kind="corp").exclude(pk=tag.pk).exclude(group=tag.group).first() or tag
    changed = mark_tags([follow.pk], add={tag.pk, other.pk}, origin="operator", by=SYSTEM)
    assert mark_tags([follow.pk], add=[tag.pk], origin="operator", by=SYSTEM) == 0
    assert changed == len({tag.pk, other.pk})
    send()
    [command] = OutboundCommand.objects.filter(kind="tag.mark")
    assert command.state == "done"
    assert len(wecom.calls("externalcontact/mark_tag")) == 1
    assert told(wecom, follow) == {tag.wecom_tag_id, other.wecom_tag_id}
    assert set(FollowTag.objects.filter(follow=follow).values_list("state", flat=True)) == {"on"}
    mark_tags([follow.pk], remove=[tag.pk], origin="operator", by=SYSTEM)
    send()
    assert not FollowTag.objects.filter(follow=follow, tag=tag).exists()
    assert told(wecom, follow) == {other.wecom_tag_id} - {tag.wecom_tag_id}
    kinds = Counter(
        TimelineEvent.objects.filter(identity=follow.identity, source="product").values_list("kind", flat=True)
    )
    assert kinds == {"tag.added": changed, "tag.removed": 1}


def test_what_wecom_refuses_says_why(wecom, corp):
    follow, tag = free_pair()
    wecom.script("externalcontact/mark_tag", errcode=84061, times=1)
    mark_tags([follow.pk], add=[tag.pk], origin="operator", by=SYSTEM)
    send()
    mark = FollowTag.objects.get(follow=follow, tag=tag)
    assert (mark.state, mark.last_error) == ("failed", "已不是好友,不能打标签")
    assert DirtyMark.objects.filter(contact_id=follow.contact_id, field_key="tag").count() == 2


def test_a_wish_taken_back_before_it_left_is_never_made(wecom, corp):
    follow, tag = free_pair()
    mark_tags([follow.pk], add=[tag.pk], origin="operator", by=SYSTEM)
    mark_tags([follow.pk], remove=[tag.pk], origin="operator", by=SYSTEM)
    send()
    assert not FollowTag.objects.filter(follow=follow).exists()
    assert told(wecom, follow) == set()
    assert sorted(OutboundCommand.objects.values_list("state", flat=True)) == ["cancelled", "done"]


def test_tags_are_created_renamed_and_deleted_in_wecom(wecom, corp):
    group = dictionary.create_group(name="会员日", tag_names=["来过", "没来"], corp=corp, is_exclusive=True, by=SYSTEM)
    send()
    group.refresh_from_db()
    tags = list(group.tags.order_by("pk"))
    assert group.wecom_group_id and all(tag.wecom_tag_id for tag in tags)
    dictionary.rename_tag(tags[0], "到店", by=SYSTEM)
    dictionary.delete_tag(tags[1], by=SYSTEM)
    send()
    assert list(OutboundCommand.objects.exclude(state="done")) == []
    read_again(corp)
    assert list(Tag.objects.filter(group=group, deleted_at__isnull=True).values_list("name", flat=True)) == ["到店"]
    assert TagGroup.objects.filter(name="会员日").count() == 1


def test_groups_are_renamed_ordered_and_deleted_in_wecom_and_a_foreign_one_is_refused_in_words(wecom, corp):
    group = dictionary.create_group(
        name="会员日", tag_names=["甲", "乙", "丙"], corp=corp, is_exclusive=False, by=SYSTEM
    )
    send()
    group.refresh_from_db()
    names = dict(group.tags.values_list("name", "pk"))
    ordering.order_tags(group, [names["丙"], names["甲"], names["乙"]], by=SYSTEM)
    dictionary.save_group(group, name="到店日", note="", owner_id=None, is_exclusive=False, by=SYSTEM)
    beside = list(ordering.groups_in_order(group).values_list("pk", flat=True))
    ordering.order_groups(group, [group.pk, *(pk for pk in beside if pk != group.pk)], by=SYSTEM)
    send()
    read_again(corp)
    group.refresh_from_db()
    assert group.name == "到店日" and ordering.groups_in_order(group).first() == group and group.order > 0
    assert [tag.name for tag in ordering.tags_in_order(group)] == ["丙", "甲", "乙"]

    # The console reorders: one event without a TagType, and the list is read again.
    told = [Tag.objects.get(pk=names[name]).wecom_tag_id for name in ("乙", "丙", "甲")]
    before = len(wecom.calls("externalcontact/get_corp_tag_list"))
    wecom.hand("console_order_tags", group=group.wecom_group_id, ids=told)
    event = next(one["event"] for one in reversed(wecom.get("callbacks")["callbacks"]))
    assert (event["ChangeType"], event["Id"], "TagType" in event) == ("shuffle", group.wecom_group_id, False)
    read_again(corp)
    assert len(wecom.calls("externalcontact/get_corp_tag_list")) > before
    assert [tag.name for tag in ordering.tags_in_order(group)] == ["乙", "丙", "甲"]

    # A group that turns out not to be ours: WeCom's no becomes a sentence, the name is as before, and it is not offered again.
    wecom.script("externalcontact/edit_corp_tag", errcode=60011, times=1)
    dictionary.save_group(group, name="别的名字", note="", owner_id=None, is_exclusive=False, by=SYSTEM)
    send()
    group.refresh_from_db()
    assert (group.name, group.is_ours) == ("到店日", False) and "不是本系统创建" in group.last_error
    with pytest.raises(UserError):
        dictionary.delete_group(group, by=SYSTEM)
    TagGroup.objects.filter(pk=group.pk).update(is_ours=True)
    dictionary.delete_group(group, by=SYSTEM)
    send()
    assert not Tag.objects.filter(group=group, deleted_at__isnull=True).exists()
    assert TagGroup.objects.get(pk=group.pk).deleted_at is not None


def test_deleting_a_tag_that_wecom_no_longer_has_is_done(wecom, corp):
    """A call whose answer was lost is made again; or somebody in WeCom was faster and the callback is on its way."""
    group = dictionary.create_group(name="会员日", tag_names=["来过", "没来"], corp=corp, is_exclusive=True, by=SYSTEM)
    send()
    wecom.post("switches", {"callback_drop": 1})
    tag = group.tags.order_by("pk").first()
    dictionary.delete_tag(tag, by=SYSTEM)
    wecom.hand("console_delete_tag", id=tag.wecom_tag_id)

    send()

    tag.refresh_from_db()
    command = OutboundCommand.objects.get(kind="tag.delete")
    assert (command.state, command.errcode, command.last_error) == ("done", 0, "")
    assert tag.deleted_at is not None and tag.last_error == ""
    assert [call["errcode"] for call in wecom.calls("externalcontact/del_corp_tag")] == [40068]


def test_tags_that_swap_names_and_come_before_the_answer_are_the_same_rows(acme):
    from tagging.services.mirror import apply_tags
    from tests.support import tagging

    corp = tagging.make_corp()
    waiting = dictionary.create_group(name="等级", tag_names=["甲"], corp=corp, is_exclusive=False, by=SYSTEM)

    def tell(first, second):
        tags = (TagInfo("et1", first, 1, None), TagInfo("et2", second, 0, None))
        batch = TagsBatch(corp, "callback", clock.now(), groups=(TagGroupInfo("eg1", "等级", 0, tags),))
        apply_tags(batch)

    tell("甲", "乙")
    assert waiting.tags.get(name="甲").wecom_tag_id == "et1"
    tell("乙", "甲")
    assert dict(Tag.objects.values_list("wecom_tag_id", "name")) == {"et1": "乙", "et2": "甲"}
    assert TagGroup.objects.count() == 1


def test_a_reading_older_than_our_own_command_does_not_undo_it(wecom, corp):
    """The echo of the command is lost; the run read the follow before."""
    carried = FollowTag.objects.filter(tag__group__kind="corp").exclude(follow__member__userid="hechen")
    off = carried.select_related("follow__identity", "follow__member", "tag").order_by("pk").first()
    bare, tag = free_pair()
    assert bare.member.userid != "hechen"
    wecom.script("externalcontact/batch/get_by_user", errcode=-1, match={"userid_list": ["hechen"]}, times=1)
    run = runs.start_sync(corp, by=SYSTEM)
    drive.drain(clock.wall() + timedelta(seconds=60))
    assert SyncRun.objects.get(pk=run.pk).step == "customers"

    mark_tags([off.follow_id], remove=[off.tag_id], origin="operator", by=SYSTEM)
    mark_tags([bare.pk], add=[tag.pk], origin="operator", by=SYSTEM)
    send()
    SyncUnit.objects.update(next_attempt_at=None)
    drive.drain(clock.wall() + timedelta(seconds=60))

    run.refresh_from_db()
    assert (run.state, run.drift_counts) == ("done", {})
    assert not FollowTag.objects.filter(follow=off.follow_id, tag=off.tag_id).exists()
    assert FollowTag.objects.get(follow=bare, tag=tag).state == "on"
    assert off.tag.wecom_tag_id not in told(wecom, off.follow)

    wecom.hand("tag", userid=off.follow.member.userid, external_userid=off.follow.identity.value,
               add=[off.tag.wecom_tag_id])  # fmt: skip
    runs.start_sync(corp, by=SYSTEM)
    drive.drain(clock.wall() + timedelta(seconds=60))
    assert FollowTag.objects.filter(follow=off.follow_id, tag=off.tag_id).exists(), "a later reading is believed"
