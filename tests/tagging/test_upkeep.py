"""Near-duplicates, tags nobody uses, and how much room is left in WeCom."""

from datetime import timedelta

import pytest

from scrm.lib import clock
from tagging import similar
from tagging.models import Rule, Tag, TagCapacity
from tagging.services import capacity
from tagging.services.tag_commands import COMMANDS
from tests.support import tagging
from tests.support.tagging import tree_of
from wecom_bridge.contracts import Refusal
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("VIP 客户", "vip客户", similar.WRITTEN),
        ("敏感肌(重)", "敏感肌(重)", similar.WRITTEN),
        ("敏感皮", "敏感肌", similar.SYNONYM),
        ("油皮", "油性皮肤", None),
        ("银卡", "隐卡", similar.SOUNDS),
        ("周年庆到店", "周年庆进店", similar.ONE_APART),
        ("周年庆到店", "周年庆到店客", similar.ONE_APART),
        ("周年庆到店客", "周年庆到店", similar.ONE_APART),
        ("油皮", "干皮", None),
        ("2024春", "2025春", None),
        ("春季1", "春季", None),
        ("重要", "一般", None),
        ("!!!", "???", None),
    ],
)
def test_names_that_may_mean_the_same(acme, one, other, reason):
    found = similar.Index([tagging.make_tag(other)]).like(one)
    assert [likeness.reason for likeness in found] == ([reason] if reason else [])


def test_a_near_duplicate_is_asked_about_and_never_refused(acme_client, corp):
    tagging.make_tag("敏感肌", corp=corp, definition="换季泛红")
    new = {"name": "肤质", "tags": "敏感皮\n油皮"}
    asked = acme_client.post("/tags/groups/", new)
    assert asked.status_code == 200 and not Tag.objects.filter(name="油皮").exists()
    page = asked.content.decode()
    assert "仍要新建" in page and "换季泛红" in page and 'value="敏感皮\n油皮"' in page
    assert acme_client.post("/tags/groups/", {**new, "anyway": "1"}).status_code == 302
    assert "敏感皮" in acme_client.get("/tags/similar/").content.decode()
    group = Tag.objects.get(name="油皮").group
    assert acme_client.post(f"/tags/groups/{group.pk}/tags/", {"tags": "敏感皮肤"}).status_code == 200
    oily = Tag.objects.get(name="油皮")
    assert acme_client.post(f"/tags/{oily.pk}/rename/", {"name": "敏感 肌"}).status_code == 200
    assert acme_client.post(f"/tags/{oily.pk}/rename/", {"name": "油 皮"}).status_code == 302  # its own old name


def test_unused_is_neither_put_for_90_days_nor_named(acme_client, corp, guide):
    long_ago = clock.now() - timedelta(days=91)
    follow = tagging.make_relation(tagging.make_person("王姐"), guide)
    names = ("没人用", "规则在用", "刚打过", "新建的")
    idle, named, put, _new = (
        tagging.make_tag(name, created_at=None if name != "新建的" else clock.now()) for name in names
    )
    Rule.objects.create(
        name="r", tree=tree_of({"field": "tag", "op": "any", "value": [named.pk]}), created_at=clock.now()
    )
    tagging.put_tag(follow, idle, tagged_at=long_ago)
    tagging.put_tag(follow, put, tagged_at=clock.now() - timedelta(days=89))
    page = acme_client.get("/tags/unused/").content.decode()
    assert [name for name in names if f">{name}<" in page] == ["没人用"]


def test_the_room_left_is_counted_forecast_and_corrected_by_a_refusal(acme_client, corp):
    now = clock.now()
    group = tagging.make_tag("旧", corp=corp, created_at=now - timedelta(days=200)).group
    for n in range(6):
        tagging.make_tag(f"新{n}", group, corp=corp, created_at=now - timedelta(days=10))
    tagging.make_tag("走了", group, corp=corp, created_at=now - timedelta(days=300), deleted_at=now - timedelta(days=5))
    [found] = capacity.capacities(now)
    assert (found.used, found.limit, found.grown, found.tone) == (7, 3000, 5, "")
    assert found.full_on is None, "more than ten years off is no forecast"
    waiting = Tag.objects.create(group=group, corp=corp, name="第八个", is_ours=True)
    command = OutboundCommand(kind="tag.create", corp=corp, subject_id=waiting.pk, payload={})
    next(kind for kind in COMMANDS if kind.name == "tag.create").on_refused(command, Refusal(40126, "corp tag limit"))
    waiting.refresh_from_db()
    assert "上限" in waiting.last_error and TagCapacity.objects.get().limit == 7
    waiting.delete()
    [full] = capacity.capacities(now)
    assert (full.limit, full.tone, full.is_learnt, full.full_on) == (7, "bad", True, now.date())
    assert "快用完了" in acme_client.get("/tags/").content.decode()
    TagCapacity.objects.update(limit=12)
    [slack] = capacity.capacities(now)
    assert slack.full_on == (now + timedelta(days=90)).date()
    TagCapacity.objects.update(limit=5)
    assert capacity.capacities(now)[0].limit == 3000, "more stand than it once allowed"
