"""What stands in the merchants today, made through the product's own services: welcome, rules, segments, a running SOP."""

from collections.abc import Callable
from datetime import time
from typing import Any

from accounts.models import User
from accounts.scope import EVERYTHING
from campaigns.models import Sop, WelcomeTemplate
from campaigns.services import sops, welcomes
from contacts.models import Stage
from demo.scenarios.model import POSTER, Scenario
from tagging.models import Rule, Segment, Tag
from tagging.services import rules, segments
from tenants.audit import SYSTEM, Actor

Say = Callable[[str], None]
Tree = dict[str, Any]
SOP_NAME = "新客7天"
SOP_STEPS = (
    (0, "1分钟看懂洁面后紧绷:多半是水温和手法。有空来{门店名},我教您👇"),
    (3, "新人礼还有4天:到店报{导购名}的名字可用。{门店名} {门店电话}"),
)


def prepare_living(scenario: Scenario, say: Say) -> None:
    """Make what is missing; what stands is left alone."""
    _welcome(scenario)
    for name, tree in _segments().items():
        if not Segment.objects.filter(name=name).exists():
            segments.save_segment(None, name=name, tree=tree, by=SYSTEM)
    _rules(scenario)
    if scenario.sop_author:
        _sop(scenario)
    say("welcome, segments, rules and SOP stand")


def _welcome(scenario: Scenario) -> None:
    if scenario.welcome and not WelcomeTemplate.objects.filter(is_default=True).exists():
        neutral = scenario.welcome.replace("{客户昵称}", "")
        welcomes.save_template(
            None, name="默认欢迎语", text=scenario.welcome, neutral_text=neutral, attachments=[], store=None, state="",
            priority=0, is_default=True, is_enabled=True, by=SYSTEM,
        )  # fmt: skip


def tree(*parts: dict[str, Any]) -> Tree:
    """All of these hold."""
    return {"version": 1, "root": {"all": list(parts)}}


def _segments() -> dict[str, Tree]:
    loyal = Stage.objects.get(key="loyal").pk
    friend = {"field": "contact.friends", "op": "gte", "value": 1}
    return {
        "近30天新加未购": tree(
            friend,
            {"field": "contact.first_added_at", "op": "within", "window": {"days": 30}},
            {"field": "order", "op": "never"},
        ),
        "60–120天未购老客": tree(
            friend,
            {"field": "order", "op": "never", "window": {"days": 60}},
            {"field": "order", "op": "count_at_least", "value": 1, "window": {"days": 120}},
        ),
        "忠诚且30天内生日": tree(
            friend,
            {"field": "contact.stage", "op": "in", "value": [loyal]},
            {"field": "birthday", "op": "upcoming", "value": 30},
        ),
        "试色海报来客": tree(friend, {"field": "follow.state", "op": "any", "value": [POSTER]}),
    }


def _rules(scenario: Scenario) -> None:
    """Stages by orders, and a tag for those the poster brings."""
    stages = {stage.key: stage.pk for stage in Stage.objects.all()}
    early = {"field": "contact.stage", "op": "in", "value": [stages["new"], stages["interested"]]}
    bought = {"field": "order", "op": "count_at_least", "value": 1}
    _rule("首购进阶段", tree(early, bought), [{"kind": "stage", "stage": stages["first_order"]}])
    tag = Tag.objects.filter(name=scenario.poster_tag, deleted_at__isnull=True).first()
    if tag is not None:
        came = {"field": "follow.state", "op": "any", "value": [POSTER]}
        _rule("试色海报来客打标签", tree(came), [{"kind": "tag", "add": [tag.pk]}])


def _rule(name: str, conditions: Tree, actions: list[dict[str, Any]]) -> None:
    if not Rule.objects.filter(name=name).exists():
        rules.enable_rule(rules.save_rule(None, name=name, tree=conditions, rule_actions=actions, by=SYSTEM), by=SYSTEM)


def _sop(scenario: Scenario) -> None:
    """A SOP of two steps, written by one and released by another."""
    if Sop.objects.filter(name=SOP_NAME).exists():
        return
    author, approver = _actor(scenario.sop_author), _actor(scenario.sop_approver)
    steps = [sops.Step(day=day, slot=time(15), text=text) for day, text in SOP_STEPS]
    only_poster = tree({"field": "follow.state", "op": "any", "value": [POSTER]})
    plan = sops.Plan(steps=steps, within=EVERYTHING, entry_tree=only_poster)
    version = sops.create_sop(SOP_NAME, plan, by=author)
    sops.submit_version(version.pk, by=author)
    sops.release_version(version.pk, by=approver, scope=EVERYTHING)


def _actor(username: str) -> Actor:
    user = User.objects.get(username=username)
    return Actor("user", user.pk, user.display_name)
