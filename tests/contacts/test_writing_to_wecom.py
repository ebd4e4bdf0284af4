"""Remarks and reminders on their way to WeCom and back, against the simulator over HTTP."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from contacts.models import ContactPhone, Follow, Member, RemarkEdit, TimelineEvent, Todo
from contacts.services import inbound, remarks, reminders, todos
from contacts.services.remarks import Remark
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants.audit import Actor
from tests.support.contacts import (
    follow_info,
    make_contact,
    make_follow,
    make_identity,
    make_member,
    make_store,
    people_batch,
    person_row,
)
from tests.support.core import actor_of, make_user
from tests.support.wecom import Wecom
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services import outbox

pytestmark = pytest.mark.django_db(transaction=True)
SOON = timedelta(seconds=20)
# Wednesday, 10:00 in Shanghai.
MORNING = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)


@pytest.fixture
def follow(wecom: Wecom) -> Follow:
    """A relation that WeCom knows, with a guide who has a log-in."""
    corp = wecom.connect().corp
    userid = next(row["userid"] for row in wecom.get("members")["members"] if row["contact"])
    external = wecom.hand("add", userid=userid)["external_userid"]
    member = make_member("林小雅", store=make_store(), corp=corp, userid=userid, user=make_user(role="guide"))
    person = make_contact("小圆子")
    identity = make_identity(person, corp=corp, value=external)
    return make_follow(person, member, identity=identity, remark="小圆子")


@pytest.fixture
def guide(follow: Follow) -> Actor:
    return actor_of(follow.member.account.user)


def send() -> None:
    outbox.drain(clock.wall() + SOON)


def standing(follow: Follow) -> Remark:
    follow.refresh_from_db()
    return remarks.wished(follow, remarks.open_edits([follow.pk]).get(follow.pk, []))


def edit(follow: Follow, by: Actor, **changes: Any) -> RemarkEdit | None:
    now = standing(follow)
    return remarks.edit_remark(follow.pk, now._replace(**changes), seen=now.digest, by=by, at=clock.now())


def told(wecom: Wecom, follow: Follow) -> dict[str, Any]:
    """What WeCom has on the relation."""
    answer = wecom.get(f"customers/{follow.identity.value}")
    return dict(next(row for row in answer["follows"] if row["userid"] == follow.member.userid))


def test_an_edit_travels_and_stands_here_once_wecom_took_it(wecom: Wecom, follow: Follow, guide: Actor) -> None:
    assert edit(follow, guide, remark="王姐-敏感肌", remark_mobiles=("138 1234 5678",))
    follow.refresh_from_db()
    assert follow.remark == "小圆子" and standing(follow).remark == "王姐-敏感肌"
    assert not ContactPhone.objects.exists()
    send()
    follow.refresh_from_db()
    assert (follow.remark, follow.remark_mobiles, follow.remarked_at is None) == ("王姐-敏感肌", ["13812345678"], False)
    [call] = wecom.calls("externalcontact/remark")
    assert "description" not in str(call.get("body", call))
    assert ContactPhone.objects.get().phone == "+8613812345678"
    follow.contact.refresh_from_db()
    assert "wangjie" in follow.contact.search_text
    fact = TimelineEvent.objects.get(kind="follow.remarked")
    assert fact.payload == {"fields": ["remark", "remark_mobiles"]} and fact.actor == f"user:{guide.id}"
    assert told(wecom, follow)["remark"] == "王姐-敏感肌"


def test_the_last_phone_taken_off_is_gone_in_wecom_too(wecom: Wecom, follow: Follow, guide: Actor) -> None:
    edit(follow, guide, remark_mobiles=("13812345678",))
    send()
    edit(follow, guide, remark_mobiles=())
    send()
    follow.refresh_from_db()
    assert follow.remark_mobiles == [] and not ContactPhone.objects.exists()
    assert told(wecom, follow).get("mobiles", told(wecom, follow).get("remark_mobiles")) == []


def test_two_edits_run_one_after_the_other_and_the_later_stands(wecom: Wecom, follow: Follow, guide: Actor) -> None:
    edit(follow, guide, remark="第一")
    edit(follow, guide, remark="第二", description="爱喝茶")
    assert standing(follow) == Remark("第二", "爱喝茶")
    send()
    follow.refresh_from_db()
    assert (follow.remark, follow.description) == ("第二", "爱喝茶")
    assert told(wecom, follow)["remark"] == "第二"
    assert set(RemarkEdit.objects.values_list("state", flat=True)) == {"done"}


def test_a_refusal_is_said_in_words_and_can_be_tried_again(
    wecom: Wecom, follow: Follow, guide: Actor, log_in: Any
) -> None:
    wecom.script("externalcontact/remark", errcode=84061, times=1)
    client: Client = log_in(follow.member.account.user)
    url = f"/contacts/{follow.contact_id}/follows/{follow.pk}/remark/"
    seen = client.get(url).context["form"].standing.digest
    assert client.post(url, {"remark": "王姐", "description": "", "phone": "", "seen": seen}).status_code == 302
    assert "同步中" in client.get(f"/contacts/{follow.contact_id}/").content.decode()
    send()
    page = client.get(f"/contacts/{follow.contact_id}/").content.decode()
    assert "同步失败" in page and "客户已不是这位导购的好友" in page and "同步中" not in page
    assert "按上次的内容重试" in client.get(url).content.decode()

    assert client.post(f"{url}retry/").status_code == 302
    assert client.post(f"{url}retry/").status_code == 404
    send()
    follow.refresh_from_db()
    assert follow.remark == "王姐"
    assert sorted(RemarkEdit.objects.values_list("state", flat=True)) == ["done", "replaced"]


def test_whoever_saw_older_words_is_asked_to_look_again(follow: Follow, guide: Actor, log_in: Any) -> None:
    seen = standing(follow).digest
    edit(follow, guide, remark="王姐")
    with pytest.raises(Conflict):
        remarks.edit_remark(follow.pk, Remark("李姐"), seen=seen, by=guide, at=clock.now())
    url = f"/contacts/{follow.contact_id}/follows/{follow.pk}/remark/"
    client = log_in(follow.member.account.user)
    answer = client.post(url, {"remark": "李姐", "seen": seen})
    assert answer.status_code == 302 and answer["Location"] == url
    assert "请看过现在的内容再改" in client.get(url).content.decode()
    assert standing(follow).remark == "王姐"


def test_what_wecom_says_later_wins_and_what_was_read_before_does_not(
    wecom: Wecom, follow: Follow, guide: Actor
) -> None:
    before = clock.now()
    edit(follow, guide, remark="王姐")
    send()

    def read(remark: str, read_at: datetime) -> None:
        row = person_row(follow.identity.value, follow_info(follow.member.userid, follow.added_at, remark=remark))
        with transaction.atomic():
            inbound.apply_people(people_batch(row, corp=follow.corp, read_at=read_at))
        follow.refresh_from_db()

    read("小圆子", before)
    assert follow.remark == "王姐"
    read("王姐改名", clock.now())
    assert follow.remark == "王姐改名"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"remark": "长" * 21}, "「备注」最多 20 字,现在有 21 字"),
        ({"description": "长" * 151}, "「描述」最多 150 字"),
        ({"remark_company": "长" * 21}, "「备注企业」最多 20 字"),
        ({"remark_mobiles": ("12",)}, "「12」不是有效的电话号码"),
        ({"remark_mobiles": tuple(f"1381234567{n}" for n in range(6))}, "最多 5 个"),
    ],
)
def test_what_wecom_would_refuse_never_leaves(
    follow: Follow, guide: Actor, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        edit(follow, guide, **changes)
    assert not OutboundCommand.objects.exists()


def test_nothing_changed_asks_wecom_nothing(follow: Follow, guide: Actor) -> None:
    assert edit(follow, guide) is None
    assert not OutboundCommand.objects.exists()


def test_a_company_is_noted_of_wechat_customers_only(follow: Follow, guide: Actor) -> None:
    follow.contact.kind = 2
    follow.contact.save()
    with pytest.raises(UserError, match="不能备注"):
        edit(follow, guide, remark_company="某某公司")


def test_an_ended_relation_takes_no_edit(follow: Follow, guide: Actor) -> None:
    Follow.objects.filter(pk=follow.pk).update(relation="by_guide")
    with pytest.raises(UserError, match="不再接受"):
        edit(follow, guide, remark="王姐")


def test_only_the_own_follow_or_one_of_the_scope_is_edited(follow: Follow, make_user: Any, log_in: Any) -> None:
    person, other_store = follow.contact, make_store()
    colleague = make_user(role="guide")
    make_follow(person, make_member(store=follow.member.store, corp=follow.corp, user=colleague))
    url = f"/contacts/{person.pk}/follows/{follow.pk}/remark/"
    assert log_in(follow.member.account.user).get(url).status_code == 200
    assert (
        log_in(colleague).get(url).status_code == 404
    )  # she sees the customer, not what a colleague noted, to change it
    assert log_in("store", scope=follow.member.store).get(url).status_code == 200
    make_follow(person, make_member(store=other_store, corp=follow.corp))
    assert log_in("store", scope=other_store).get(url).status_code == 404
    assert log_in("approver").get(url).status_code == 403
    assert url not in log_in(colleague).get(f"/contacts/{person.pk}/").content.decode()


def test_phones_stay_masked_in_the_form_and_are_kept_or_taken_off(follow: Follow, guide: Actor, log_in: Any) -> None:
    Follow.objects.filter(pk=follow.pk).update(remark_mobiles=["13812345678", "13900001111"])
    client = log_in(follow.member.account.user)
    url = f"/contacts/{follow.contact_id}/follows/{follow.pk}/remark/"
    page = client.get(url)
    assert "138****5678" in page.content.decode() and "13812345678" not in page.content.decode()
    body = {"remark": "小圆子", "keep": ["1"], "phone": "13700002222", "seen": page.context["form"].standing.digest}
    assert client.post(url, body).status_code == 302
    assert RemarkEdit.objects.get().remark_mobiles == ["13900001111", "13700002222"]


# --- Reminders --------------------------------------------------------------------------------------------------


def inbox(wecom: Wecom, member: Member) -> list[dict[str, Any]]:
    """What she saw: a message that WeCom swallowed as the same once more is kept there, marked."""
    rows = wecom.get(f"members/{member.userid}/inbox")["messages"]
    return [row for row in rows if not row.get("dropped")]


def todo_of(follow: Follow, by: Actor, due_in: timedelta, **overrides: Any) -> Todo:
    now = clock.now()
    return todos.add_todo(
        follow.contact_id,
        member=follow.member,
        text="送<小样>",
        due_at=now + due_in,
        remind=True,
        by=by,
        at=now,
        **overrides,
    )


def drain() -> None:
    reminders.NOTICE.drain(clock.wall() + SOON)
    send()


def test_a_due_todo_reminds_its_guide_once(wecom: Wecom, follow: Follow, guide: Actor) -> None:
    with clock.shifted(MORNING - clock.wall()):
        todo = todo_of(follow, guide, timedelta(hours=2))
        drain()
        assert inbox(wecom, follow.member) == [] and reminders.NOTICE.next_due() == todo.due_at
    with clock.shifted(todo.due_at + timedelta(minutes=1) - clock.wall()):
        drain()
        drain()
        [row] = inbox(wecom, follow.member)
        todo.refresh_from_db()
    card = row["content"]
    assert (
        "送〈小样〉" in card["description"] and "小圆子" in card["description"] and "03-04 12:00" in card["description"]
    )
    assert re.fullmatch(rf"https?://acme\.testserver(:\d+)?/contacts/{follow.contact_id}/", card["url"])
    assert (todo.reminder, todo.remind_at) == ("sent", None)
    assert OutboundCommand.objects.filter(kind="todo.remind").count() == 1


def test_what_is_done_in_time_reminds_nobody(wecom: Wecom, follow: Follow, guide: Actor) -> None:
    with clock.shifted(MORNING - clock.wall()):
        todo = todo_of(follow, guide, timedelta(hours=2))
        todos.finish_todo(todo.pk, by=guide, at=clock.now())
    with clock.shifted(todo.due_at + timedelta(minutes=1) - clock.wall()):
        drain()
        todos.reopen_todo(todo.pk, by=guide, at=clock.now())
        drain()
    assert inbox(wecom, follow.member) == []
    assert reminders.NOTICE.count_due() == 0


def test_done_between_the_command_and_the_call_reminds_nobody(wecom: Wecom, follow: Follow, guide: Actor) -> None:
    with clock.shifted(MORNING - clock.wall()):
        todo = todo_of(follow, guide, timedelta(hours=2))
    with clock.shifted(todo.due_at + timedelta(minutes=1) - clock.wall()):
        reminders.NOTICE.drain(clock.wall() + SOON)
        todos.finish_todo(todo.pk, by=guide, at=clock.now())
        send()
    todo.refresh_from_db()
    assert inbox(wecom, follow.member) == [] and todo.reminder == "none"


def test_postponed_between_the_command_and_the_call_reminds_at_the_new_time_alone(
    wecom: Wecom, follow: Follow, guide: Actor
) -> None:
    with clock.shifted(MORNING - clock.wall()):
        todo = todo_of(follow, guide, timedelta(hours=2))
    with clock.shifted(todo.due_at + timedelta(minutes=1) - clock.wall()):
        reminders.NOTICE.drain(clock.wall() + SOON)
        todo = todos.postpone_todo(todo.pk, MORNING + timedelta(days=1), by=guide, at=clock.now())
        send()
        assert inbox(wecom, follow.member) == []
    with clock.shifted(todo.due_at + timedelta(minutes=1) - clock.wall()):
        drain()
    todo.refresh_from_db()
    assert len(inbox(wecom, follow.member)) == 1 and todo.reminder == "sent"


def test_the_night_keeps_a_reminder_until_the_morning(wecom: Wecom, follow: Follow, guide: Actor) -> None:
    evening = MORNING + timedelta(hours=12)  # 22:00
    with clock.shifted(MORNING - clock.wall()):
        todo = todo_of(follow, guide, timedelta(hours=10))  # due 20:00, but nobody drained before the night
    with clock.shifted(evening - clock.wall()):
        drain()
        assert inbox(wecom, follow.member) == []
        assert reminders.NOTICE.next_due() == MORNING + timedelta(hours=23)
    with clock.shifted(MORNING + timedelta(hours=23, minutes=1) - clock.wall()):
        drain()
    assert len(inbox(wecom, follow.member)) == 1
    todo.refresh_from_db()
    assert todo.reminder == "sent"


def test_a_guide_the_app_cannot_reach_is_said_on_the_todo(wecom: Wecom, follow: Follow, guide: Actor) -> None:
    with clock.shifted(MORNING - clock.wall()):
        todo = todo_of(follow, guide, timedelta(hours=2))
    wecom.script("message/send", errcode=81013, times=1)
    with clock.shifted(todo.due_at + timedelta(minutes=1) - clock.wall()):
        drain()
    todo.refresh_from_db()
    assert (todo.reminder, todo.reminder_error) == ("failed", "导购不在应用的可见范围里,收不到应用消息")


def test_a_guide_who_left_is_not_written_to(wecom: Wecom, follow: Follow, guide: Actor) -> None:
    with clock.shifted(MORNING - clock.wall()):
        todo = todo_of(follow, guide, timedelta(hours=2))
    Member.objects.filter(pk=follow.member_id).update(status="left")
    with clock.shifted(todo.due_at + timedelta(minutes=1) - clock.wall()):
        drain()
    todo.refresh_from_db()
    assert todo.reminder == "failed" and not OutboundCommand.objects.exists()


def test_a_lost_answer_is_settled_without_a_second_message(wecom: Wecom, follow: Follow, guide: Actor) -> None:
    with clock.shifted(MORNING - clock.wall()):
        todo = todo_of(follow, guide, timedelta(hours=2))
    with clock.shifted(todo.due_at + timedelta(minutes=1) - clock.wall()):
        drain()
        # As if the worker had died between the call and its result.
        OutboundCommand.objects.update(state="unknown", sent_at=clock.wall(), result={}, next_attempt_at=clock.wall())
        Todo.objects.update(reminder="sending")
        send()
    todo.refresh_from_db()
    assert todo.reminder == "sent"
    assert len(inbox(wecom, follow.member)) == 1
