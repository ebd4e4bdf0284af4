"""A shop in which every page of tags, segments and rules has something to show: good, bad, busy and empty."""

from datetime import timedelta
from typing import Any

from contacts.models import GroupTag, GroupTagging, GroupTagSet, Stage
from scrm.lib import clock
from tagging.models import (
    PreTag,
    RfmGrid,
    RuleMatch,
    RuleSlot,
    Segment,
    SegmentChange,
    SegmentSize,
    Tag,
    TagGroup,
    TagMerge,
)
from tagging.services import rule_backfill, rule_dry_run, rules, segments
from tagging.services.segment_pins import pin
from tenants.audit import SYSTEM
from tenants.ledger.models import Job
from tests.support import tagging
from tests.support.contacts import make_group
from tests.support.tagging import tree_of

NAMES = ("王姐-敏感肌-静安", "A静", "小圆子", "🌸阿May", "李敏", "陈晨")


class Showroom:
    """Acme as it looks after some months of work. Fields are rows by what they show."""

    def __init__(self) -> None:
        self.now = clock.now()
        self.corp = tagging.make_corp(name="蔓枝护肤")
        self.guide = tagging.make_member(self.corp, name="林小雅")
        mate = tagging.make_member(self.corp, name="周晓")
        self.stages = [
            Stage.objects.create(key=f"k{n}", name=name, order=n) for n, name in enumerate(("新添加", "有意向", "首购"))
        ]
        self._tags()
        self.people = [self._person(number, name) for number, name in enumerate(NAMES)]
        second = tagging.make_relation(self.people[0], mate)
        tagging.put_tag(second, self.dry, origin="guide")  # two of an exclusive group
        tagging.put_tag(second, self.priced, origin="rule", state="failed", last_error="已不是好友")
        self._dictionary()
        self._segments()
        self._rules()
        self._group_tags()

    def _person(self, number: int, name: str) -> Any:
        at = self.now - timedelta(days=number * 9)
        person = tagging.make_person(
            name, owner=self.guide, stage=self.stages[number % 3], first_added_at=at, last_added_at=at, active_follows=1
        )
        tagging.put_tag(tagging.make_relation(person, self.guide, added_at=at), self.oily, tagged_at=at)
        return person

    def _tags(self) -> None:
        self.skin = TagGroup.objects.create(
            kind="corp", corp=self.corp, wecom_group_id="eg1", name="肤质", order=9, is_exclusive=True, is_ours=True,
            note="看过皮肤、问过使用习惯才打",
        )  # fmt: skip
        self.worth = TagGroup.objects.create(
            kind="corp", corp=self.corp, wecom_group_id="eg2", name="价值", order=8, is_ours=False,
            last_error="企业微信没有接受:标签组名已存在(40071)",
        )  # fmt: skip
        ours = {"corp": self.corp, "is_ours": True}
        self.oily = tagging.make_tag(
            "油皮", self.skin, **ours, colour="teal", definition="T 区出油明显,下午需要补妆的客户", order=3
        )
        self.dry, self.sensitive, self.delicate = (
            tagging.make_tag(name, self.skin, **ours) for name in ("干皮", "敏感肌", "敏感皮")
        )
        self.priced = tagging.make_tag("价格敏感", self.worth, corp=self.corp)
        self.waiting = Tag.objects.create(group=self.worth, corp=self.corp, name="高客单≥¥800", is_ours=True)
        self.inner = tagging.make_tag("黑名单")
        Tag.objects.update(created_at=self.now - timedelta(days=200))

    def _dictionary(self) -> None:
        kinds: Any = PreTag.State
        for number, state in enumerate(kinds):
            PreTag.objects.create(
                import_id=1, kind="phone", value=f"+86138001380{number:02}", tag_ids=[self.sensitive.pk], state=state,
                contact=self.people[1] if state == kinds.APPLIED else None, created_at=self.now,
                consumed_at=self.now if state == kinds.APPLIED else None, expires_at=self.now + timedelta(days=90),
            )  # fmt: skip
        old = tagging.make_tag("油性皮肤", self.skin, corp=self.corp)
        job = Job.objects.create(
            kind="tagging.merge", title="合并标签「敏感皮」", state="running", total=900, done=300, created_at=self.now
        )
        self.busy_merge = TagMerge.objects.create(
            old=old, kept=self.oily, state="moving", relations=900, created_at=self.now, job_id=job.pk
        )
        self.failed_merge = TagMerge.objects.create(
            old=self.inner, kept=self.sensitive, state="failed", created_at=self.now,
            last_error="SOP「新客 7 天」开始用旧标签,请先在那里改用保留的标签。",
        )  # fmt: skip

    def _segments(self) -> None:
        tree = tree_of(
            {
                "all": [
                    {"field": "tag", "op": "any", "value": [self.oily.pk]},
                    {"any": [{"field": "contact.name", "op": "contains", "value": "静"}]},
                ]
            }
        )
        self.tree = tree
        self.segment = segments.save_segment(None, name="油皮客户", tree=tree, by=SYSTEM)
        segments.build_segment(self.segment)
        pin(self.segment, [self.people[4].pk], is_in=True, reason="店长确认过的老客", by=SYSTEM)
        segments.build_segment(self.segment)
        inside = tree_of({"field": "segment", "op": "any", "value": [self.segment.pk]})
        segments.save_segment(None, name="油皮客户里的新客", tree=inside, by=SYSTEM)
        today = self.now.date()
        for back in range(14):
            SegmentSize.objects.update_or_create(
                segment=self.segment, day=today - timedelta(days=back),
                defaults={"size": 40 - back, "counted_at": self.now},
            )  # fmt: skip
        for kind, person in (("enter", self.people[0]), ("leave", self.people[5])):
            SegmentChange.objects.create(
                segment=self.segment, contact=person, kind=kind, cause="change", tree_version=1,
                changed_at=self.now - timedelta(days=1),
            )  # fmt: skip
        self.broken = segments.save_segment(None, name="条件里的标签没有了", tree=tree, by=SYSTEM)
        Segment.objects.filter(pk=self.broken.pk).update(
            state="failed", last_error="条件里的标签「小样已领」已删除,请修改条件"
        )
        self.list = segments.create_list(name="门店活动报名", by=SYSTEM)
        RfmGrid.objects.create(
            pk=1, computed_at=self.now, due_at=self.now + timedelta(days=1), days=[7, 30, 90, 180], times=[2, 3, 5],
            cells=[[r, f, 40 * (5 - r) * (4 - f) + 3, 4_000_000, 90] for r in range(5) for f in range(4)],
        )  # fmt: skip

    def _rules(self) -> None:
        put = [
            {"kind": "tag", "add": [self.priced.pk], "whose": "owner"},
            {"kind": "stage", "stage": self.stages[1].pk},
        ]
        self.rule = rules.save_rule(None, name="油皮关怀", tree=self.tree, rule_actions=put, by=SYSTEM)
        self.rule = rules.save_rule(
            self.rule, name="油皮关怀", tree=self.tree, rule_actions=put, takes_back=True, daily_cap=2, by=SYSTEM
        )
        self.draft = rules.save_rule(
            None, name="每周一唤醒", tree=tree_of({"all": []}), by=SYSTEM,
            trigger={"kind": "schedule", "every": "week", "weekday": 1, "time": "09:30"},
            rule_actions=[{"kind": "todo", "text": "问问上次的面霜用得怎样", "hours": 24, "to": "guide"}],
        )  # fmt: skip
        RuleSlot.objects.create(
            rule=self.draft, slot_at=self.now - timedelta(days=7), rule_version=1, seen_at=self.now, is_missed=True
        )
        against = [{"kind": "tag", "remove": [self.priced.pk], "whose": "owner"}]
        other = rules.save_rule(
            None, name="下单去掉价格敏感", tree=tree_of({"all": []}), rule_actions=against,
            trigger={"kind": "order", "at_least": 80_000}, by=SYSTEM,
        )  # fmt: skip
        rules.enable_rule(other, by=SYSTEM)
        rules.enable_rule(self.rule, by=SYSTEM)
        for number, person in enumerate(self.people[2:5]):
            done: dict[str, Any] = {"actions": [{"kind": "tag"}]} if number else {"skipped": "loop"}
            RuleMatch.objects.create(
                rule=self.rule, contact=person, rule_version=2, entered_at=self.now - timedelta(hours=number),
                outcome=done,
            )  # fmt: skip
        tagging.put_tag(
            self.people[3].follows.get(), self.priced, origin="rule", rule=self.rule, state="failed",
            last_error="已不是好友",
        )  # fmt: skip
        self._trials()

    def _trials(self) -> None:
        dry = rule_dry_run.start(self.rule, 7, by=SYSTEM)
        days = [
            {"day": (self.now - timedelta(days=back)).date().isoformat(), "people": 9 - back, "calls": 9 - back}
            for back in range(7)
        ]
        ids = [person.pk for person in self.people]
        Job.objects.filter(pk=dry.pk).update(state="done", done=7, result={"days": days, "ids": ids, "is_more": False})
        count = rules.count_matching(self.rule)
        rule_backfill.start(self.rule, expected=count, by=SYSTEM)

    def _group_tags(self) -> None:
        group = make_group("静安寺店福利群", owner=self.guide)
        kept = GroupTagSet.objects.create(name="用途", created_at=self.now)
        for name, tag_set in (("福利群", kept), ("老客群", kept), ("春节活动", None)):
            tag = GroupTag.objects.create(name=name, tag_set=tag_set, created_at=self.now)
            GroupTagging.objects.create(tag=tag, group=group, tagged_at=self.now)

    def pages(self) -> dict[str, str]:
        """Name → address of every page there is of tags, segments and rules."""
        person, segment, rule = self.people[0].pk, self.segment.pk, self.rule.pk
        return {
            "tags": "/tags/",
            "tags-narrowed": "/tags/?q=xyz",
            "tag": f"/tags/{self.oily.pk}/",
            "tag-group": f"/tags/groups/{self.skin.pk}/",
            "tag-group-foreign": f"/tags/groups/{self.worth.pk}/",
            "tag-conflicts": f"/tags/groups/{self.skin.pk}/conflicts/",
            "pretags": "/tags/pre/",
            "unused": "/tags/unused/",
            "similar": "/tags/similar/",
            "merges": "/tags/merges/",
            "merge-busy": f"/tags/merges/{self.busy_merge.pk}/",
            "merge-failed": f"/tags/merges/{self.failed_merge.pk}/",
            "merge-ask": f"/tags/{self.delicate.pk}/merge/?kept={self.sensitive.pk}",
            "group-tags": "/groups/tags/",
            "segments": "/segments/",
            "segment": f"/segments/{segment}/",
            "segment-broken": f"/segments/{self.broken.pk}/",
            "segment-list": f"/segments/{self.list.pk}/",
            "segment-history": f"/segments/{segment}/history/",
            "segment-why": f"/segments/{segment}/why/{self.people[4].pk}/",
            "segment-new": "/segments/new/",
            "segment-edit": f"/segments/{segment}/edit/",
            "list-new": "/segments/lists/new/",
            "rfm": "/segments/rfm/",
            "contact-where": "/contacts/where/",
            "stage-rule": f"/stages/{self.stages[1].pk}/rule/",
            "rules": "/rules/",
            "rule": f"/rules/{rule}/",
            "rule-draft": f"/rules/{self.draft.pk}/",
            "rule-history": f"/rules/{rule}/history/",
            "rule-edit": f"/rules/{rule}/edit/",
            "rule-new": "/rules/new/",
            "rule-dry": f"/rules/{rule}/dry/",
            "rule-backfill": f"/rules/{rule}/backfill/",
            "rule-why": f"/rules/{rule}/why/{self.people[3].pk}/",
            "contact": f"/contacts/{person}/",
        }
