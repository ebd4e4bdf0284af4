"""The pages: the composer's way, the approver's page, 今日, and how many queries each costs."""

import re
from datetime import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Role
from accounts.scope import EVERYTHING
from campaigns.models import Approval, Broadcast, Delivery, Dispatch, Enrollment, Sop, WelcomeSend
from campaigns.services import sops
from campaigns.services.sops import Plan, Step
from contacts.models import Contact, MemberAccount
from scrm.lib import clock
from tagging.models import Segment, SegmentEntry
from tests.support import campaigns as make
from tests.support import contacts as people

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _morning(monkeypatch):
    """Requests enter the tenant's scope, and with it its own clock: the tenant's offset makes it MORNING."""
    from tenants.models import Tenant

    offset = int((make.MORNING - clock.wall()).total_seconds())
    Tenant.objects.filter(slug="acme").update(clock_offset_seconds=offset, is_sandbox=True)
    with make.at_time(make.MORNING):
        yield


@pytest.fixture
def segment():
    customers = make.make_customers(3)
    row = Segment.objects.create(name="近30天新加未购", kind="static", size=3, state="fresh", created_at=clock.now())
    SegmentEntry.objects.bulk_create(
        [SegmentEntry(segment=row, contact=one, entered_at=clock.now()) for one in customers]
    )
    return row


def follow(answer):
    assert answer.status_code == 302, answer.content.decode()[:2000]
    return answer["Location"]


def test_the_composer_leads_from_content_to_a_request(log_in, segment):
    client = log_in("operator")
    page = client.post("/broadcasts/new/", {"name": "周末到店", "message_class": "content", "text": "{门店名}等您"})
    audience = follow(page)
    assert re.fullmatch(r"/broadcasts/\d+/audience/", audience)

    chosen = {
        "segment": segment.pk,
        "holdout_percent": 0,
        "notify_at": "2026-03-03T10:00",
        "confirm_by": "2026-03-03T20:30",
    }
    preflight = follow(client.post(audience, chosen))
    shown = client.get(preflight).content.decode()
    assert "发送前体检" in shown and "定时发送" not in shown
    assert '<div class="preview-head">林小雅</div>' in shown, "who the sample text names sends it, too"

    detail = follow(client.post(preflight.replace("preflight", "submit")))
    assert "待审批" in client.get(detail).content.decode()
    broadcast = Broadcast.objects.get()
    assert broadcast.state == "submitted"
    assert (broadcast.notify_at, broadcast.confirm_by) == (make.local(10), make.local(20, 30))


def test_the_preflight_of_a_segment_being_computed_says_so_and_cannot_be_submitted(log_in, segment):
    broadcast = make.make_draft([], audience={"segment": segment.pk})
    Segment.objects.update(state="building")

    shown = log_in("operator").get(f"/broadcasts/{broadcast.pk}/preflight/").content.decode()

    assert "人群「近30天新加未购」计算中" in shown and f"/segments/{segment.pk}/" in shown
    assert "disabled>提交审批</button>" in shown


def test_the_composer_refuses_the_customers_name_and_says_why(log_in):
    answer = log_in("operator").post(
        "/broadcasts/new/", {"name": "x", "message_class": "content", "text": "{客户昵称}您好"}
    )
    assert answer.status_code == 422
    assert "一个任务只有一份文字" in answer.content.decode()


def test_an_approver_passes_a_request_on_its_page(log_in):
    draft = make.make_draft(make.make_customers(2))
    approval = make.submit(draft)
    client = log_in("approver")
    assert f"/approvals/{approval.pk}/" in client.get("/approvals/").content.decode()
    page = client.get(f"/approvals/{approval.pk}/").content.decode()
    assert "周末到店领小样,静安寺店等您" in page
    assert "与提交时相同" in page
    Contact.objects.filter(pk=draft.audience["contacts"][0]).update(opt_out_since=clock.now())
    assert "较提交 -1" in client.get(f"/approvals/{approval.pk}/").content.decode()

    follow(client.post(f"/approvals/{approval.pk}/approve/"))
    draft.refresh_from_db()
    assert draft.state == "running"


def test_the_difference_to_the_last_request_is_shown(log_in):
    from campaigns.services import broadcasts

    draft = make.make_draft(make.make_customers(2), text="新品立减 198 元")
    make.submit(draft)
    broadcasts.edit_broadcast(draft.pk, broadcasts.Draft(text="新品立减 189 元"), by=make.author())
    approval = make.submit(draft)

    page = log_in("approver").get(f"/approvals/{approval.pk}/").content.decode()
    assert "<del>新品立减 198 元</del>" in page and "<ins>新品立减 189 元</ins>" in page


def test_a_request_beyond_her_reach_is_not_there_for_a_store_manager(log_in):
    approval = make.submit(make.make_draft(make.make_customers(1)))
    other = log_in("store", scope=people.make_store())
    assert str(approval.pk) not in other.get("/approvals/").content.decode()
    assert other.get(f"/approvals/{approval.pk}/").status_code == 404
    assert other.post(f"/approvals/{approval.pk}/approve/").status_code == 404


@pytest.fixture
def guide(log_in):
    """A guide's browser, with a unit waiting."""
    member = people.make_member("林小雅", store=people.make_store("静安寺店"))
    push = make.released(make.make_customers(3, member))
    client = log_in("guide")
    MemberAccount.objects.create(user=client.user, member=member)
    client.unit = make.units(push)[0]
    client.push = push
    return client


def test_today_says_first_how_many_taps_follow(guide):
    page = guide.get("/today/").content.decode()
    assert "1 次「发送」" in page
    assert page.index("1 次「发送」") < page.index(guide.push.title)
    assert "3 位客户" in page and "静安寺店等您" in page


def test_a_guide_agrees_and_is_led_to_wecom(guide):
    follow(guide.post(f"/today/{guide.unit.pk}/agree/"))
    assert Dispatch.objects.get(pk=guide.unit.pk).state == "agreed"
    make.give_task(guide.unit)
    assert "去企业微信点「发送」" in guide.get("/today/").content.decode()


def test_a_guide_leaves_somebody_out_and_skips(guide):
    first = Delivery.objects.filter(dispatch=guide.unit)[0]
    follow(guide.post(f"/today/{guide.unit.pk}/exclude/", {"people": [first.pk], "reason": "刚联系过"}))
    assert "导购排除" in guide.get(f"/today/{guide.unit.pk}/").content.decode()
    follow(guide.post(f"/today/{guide.unit.pk}/skip/", {"reason": "on_leave"}))
    assert make.states(guide.push) == {"skipped": 3}


def test_another_guides_unit_is_not_found(guide, log_in):
    other = log_in("guide")
    for path in ("", "agree/", "skip/", "exclude/"):
        answer = other.get(f"/today/{guide.unit.pk}/") if not path else other.post(f"/today/{guide.unit.pk}/{path}")
        assert answer.status_code == 404


def test_every_number_of_the_detail_opens_into_its_rows(acme_client, guide):
    page = acme_client.get(f"/broadcasts/{guide.push.broadcast.pk}/").content.decode()
    assert "待导购确认 0/1" in page
    links = re.findall(r'href="(/broadcasts/\d+/people/\?[^"]+)">(\d+)<', page)
    assert links
    for url, number in links:
        rows = acme_client.get(url.replace("&amp;", "&")).content.decode()
        assert f"共 {number} 条" in rows


def test_a_released_broadcast_shows_the_text_of_a_real_unit(acme_client, guide):
    shown = acme_client.get(f"/broadcasts/{guide.push.broadcast.pk}/").content.decode()

    assert guide.unit.text == "周末到店领小样,静安寺店等您。林小雅"
    assert guide.unit.text in shown and "静安寺店的这一份" in shown


def test_stopping_says_the_exact_numbers(log_in, guide):
    client = log_in("operator")
    url = f"/broadcasts/{guide.push.broadcast.pk}/"
    assert "还没发出的 3 人不再发送" in client.get(url).content.decode()
    follow(client.post(f"{url}stop/"))
    assert make.states(guide.push) == {"stopped": 3}


def test_the_status_part_answers_alone(acme_client, guide):
    part = acme_client.get(f"/broadcasts/{guide.push.broadcast.pk}/status/", HTTP_HX_REQUEST="true").content.decode()
    assert part.strip().startswith("<div") and "<html" not in part


def queries_of(client, url):
    client.get(url)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def test_pages_cost_the_same_for_few_and_many(acme_client, guide, log_in):
    """Per page: session, user, grants, and what it shows; measured 6 to 21."""
    member = guide.unit.sender
    manager = log_in("store", scope=member.store)
    detail = f"/broadcasts/{guide.push.broadcast.pk}/"
    pages = [
        (acme_client, "/broadcasts/"),
        (acme_client, detail),
        (manager, detail),
        (manager, "/approvals/"),
        (guide, "/today/"),
    ]
    make.submit(make.make_draft(make.make_customers(1, member)))
    before = [queries_of(client, url) for client, url in pages]
    for _ in range(4):
        make.released(make.make_customers(2, member))
        make.submit(make.make_draft(make.make_customers(1, member)))
    assert [queries_of(client, url) for client, url in pages] == before
    assert max(before) <= 25


def test_a_sop_is_written_released_and_read(log_in):
    client = log_in("operator")
    form = {
        "name": "新客7天", "trigger": "follow_added", "exit": "", "holdout_percent": 0,
        "steps-TOTAL_FORMS": 2, "steps-INITIAL_FORMS": 0,
        "steps-0-day": 0, "steps-0-slot": "10:00", "steps-0-message_class": "content", "steps-0-text": "欢迎来{门店名}",
        "steps-1-day": 3, "steps-1-slot": "10:00", "steps-1-message_class": "promotion", "steps-1-text": "第三天",
    }  # fmt: skip
    detail = follow(client.post("/sops/new/", form))
    follow(client.post(f"{detail}submit/"))
    approval = Approval.objects.get()
    approver = log_in("approver")
    assert "欢迎来静安寺店" in approver.get(f"/approvals/{approval.pk}/").content.decode()
    follow(approver.post(f"/approvals/{approval.pk}/approve/"))

    shown = client.get(detail).content.decode()
    assert "运行中" in shown and "第 3 天" in shown
    for path in ("/sops/", f"{detail}people/", f"{detail}edit/"):
        assert client.get(path).status_code == 200


def test_a_welcome_is_written_with_a_preview_and_its_outcomes_shown(log_in):
    client = log_in("operator")
    assert client.get("/welcomes/").status_code == client.get("/welcomes/new/").status_code == 200
    form = {
        "name": "默认",
        "text": "{客户昵称}您好",
        "neutral_text": "",
        "priority": 0,
        "is_default": "on",
        "is_enabled": "on",
    }
    refused = client.post("/welcomes/new/", form)
    assert refused.status_code == 422 and "不带昵称" in refused.content.decode()
    follow(client.post("/welcomes/new/", {**form, "neutral_text": "您好"}))
    WelcomeSend.objects.create(
        corp=people.make_corp(),
        code_digest="x",
        member_userid="a",
        external_userid="b",
        state="sent",
        latency_ms=800,
        received_at=clock.wall(),
    )
    page = client.get("/welcomes/").content.decode()
    assert "0.8" in page
    assert client.get("/welcomes/rows/?state=sent").status_code == 200


def test_the_presets_know_our_permissions():
    codes = {code for role in Role.objects.all() for code in role.permissions}
    assert {"broadcasts.view", "broadcasts.edit", "broadcasts.approve", "today.use", "welcomes.edit"} <= codes
    assert Approval.objects.count() == 0


def test_only_who_sees_the_whole_push_may_stop_it(log_in, guide):
    """Her own store's editor may look at it, and not end it for the other stores."""
    other = people.make_member(store=people.make_store())
    push = make.released([*make.make_customers(1, guide.unit.sender), *make.make_customers(1, other)], name="两家店")
    hers = log_in("operator", scope=guide.unit.store)

    page = hers.get(f"/broadcasts/{push.broadcast.pk}/").content.decode()
    answer = hers.post(f"/broadcasts/{push.broadcast.pk}/stop/")

    push.refresh_from_db()
    assert "停止</button>" not in page and answer.status_code == 403 and push.stop_wanted_at is None


def test_who_sees_only_one_store_may_not_pause_or_rewrite_everybodys_sop(log_in, guide):
    version = sops.create_sop("新客7天", Plan(steps=[Step(0, time(10), "欢迎")], within=EVERYTHING), by=make.author())
    Enrollment.objects.create(
        version=version, sop=version.sop, target=f"c{guide.push.deliveries.first().contact_id}",
        contact=guide.push.deliveries.first().contact, trigger_key="x", entered_at=clock.now(),
    )  # fmt: skip
    Sop.objects.update(state="on")
    hers = log_in("operator", scope=guide.unit.store)

    page = hers.get(f"/sops/{version.sop_id}/")
    assert page.status_code == 200 and "/pause/" not in page.content.decode()
    for act in ("pause", "submit", "edit"):
        assert hers.post(f"/sops/{version.sop_id}/{act}/", {"running": "0"}).status_code == 403, act
    assert Sop.objects.get().state == "on"


def test_an_approver_reads_which_groups_were_picked(log_in):
    guide = people.make_member(store=people.make_store())
    draft = make.make_group_draft([people.make_group(owner=guide, name="静安护肤一群")])
    approval = make.submit(draft)

    assert "静安护肤一群" in log_in("approver").get(f"/approvals/{approval.pk}/").content.decode()
