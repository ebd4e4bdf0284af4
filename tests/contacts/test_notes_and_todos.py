"""跟进记录 and 待办: who may write what, for how long, and what the page, 今日 and the timeline say of it."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, Note, TimelineEvent, Todo
from contacts.services import notes, reminders, todos
from contacts.services.merging import merge_roots
from contacts.services.telling import working_instant
from contacts.successions import TakenOver
from scrm.lib import clock
from scrm.lib.errors import NotAllowed, UserError
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support.contacts import make_contact, make_follow, make_member, make_store
from tests.support.core import actor_of

pytestmark = pytest.mark.django_db

# Wednesday, 10:00 in Shanghai.
MORNING = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response.status_code
    return response.content.decode()


def write(client: Client, person: Contact, words: str = "想要敏感肌小样") -> Note:
    assert client.post(f"/contacts/{person.pk}/notes/", {"text": words}).status_code == 302
    return Note.objects.latest("pk")


def give(client: Client, person: Contact, **fields: Any) -> Any:
    member = fields.pop("member", person.owner)
    body = {"text": "送小样", "when": "1", "member": member.pk, "remind": "on", **fields}
    return client.post(f"/contacts/{person.pk}/todos/", body)


def test_a_note_says_who_wrote_it_and_stands_in_the_timeline(acme_client: Client) -> None:
    person = make_follow().contact
    note = write(acme_client, person, "想要敏感肌小样\n周末来")
    page = text(acme_client.get(f"/contacts/{person.pk}/"))
    assert "想要敏感肌小样<br>周末来" in page and note.author_name == acme_client.user.display_name
    fact = TimelineEvent.objects.get(kind="note.written")
    assert (fact.contact, fact.subject, fact.payload) == (person, f"note:{note.pk}", {})
    only = text(acme_client.get(f"/contacts/{person.pk}/timeline/", {"kind": "note.written"}, HTTP_HX_REQUEST="true"))
    assert "<strong>跟进记录</strong>" in only and "想要敏感肌小样" in only
    assert not AuditEntry.objects.filter(data__icontains="小样").exists()


def test_an_empty_or_endless_note_is_refused_with_a_sentence(acme_client: Client) -> None:
    person = make_follow().contact
    answer = acme_client.post(f"/contacts/{person.pk}/notes/", {"text": "  "}, HTTP_HX_REQUEST="true")
    assert 'id="person-notes"' in text(answer, 422)
    assert "返回客户页" in text(acme_client.post(f"/contacts/{person.pk}/notes/", {"text": ""}), 422)
    with pytest.raises(UserError, match="最多 1000 字"):
        notes.write_note(person.pk, "长" * 1001, by=actor_of(acme_client.user), at=clock.now())
    assert not Note.objects.exists()


def test_its_author_alone_may_put_it_right_and_only_for_a_while(acme_client: Client, actor: Any) -> None:
    person = make_follow().contact
    note = write(acme_client, person)
    acme_client.post(f"/contacts/{person.pk}/notes/{note.pk}/", {"text": "想要敏感肌正装"})
    note.refresh_from_db()
    assert (note.text, note.edited_at is None) == ("想要敏感肌正装", False)
    with pytest.raises(NotAllowed):
        notes.edit_note(note.pk, "别人改", by=actor, at=clock.now())

    author = actor_of(acme_client.user)
    with pytest.raises(UserError, match="30 分钟后不能再改"):
        notes.edit_note(note.pk, "太晚", by=author, at=note.written_at + notes.EDITABLE)
    with pytest.raises(UserError, match="30 分钟后不能再改"):
        notes.withdraw_note(note.pk, by=author, at=note.written_at + notes.EDITABLE)
    note.refresh_from_db()
    assert note.text == "想要敏感肌正装"


def test_a_note_taken_back_loses_its_words_everywhere(acme_client: Client) -> None:
    person = make_follow().contact
    note = write(acme_client, person, "写错了客户")
    acme_client.post(f"/contacts/{person.pk}/notes/{note.pk}/", {"withdraw": "1", "text": "写错了客户"})
    page = text(acme_client.get(f"/contacts/{person.pk}/"))
    assert "写错了客户" not in page and "已撤回" in page
    with pytest.raises(UserError, match="已经撤回"):
        notes.edit_note(note.pk, "再写", by=actor_of(acme_client.user), at=clock.now())


def test_the_system_and_tokens_write_neither(acme: Any) -> None:
    person = make_follow().contact
    with pytest.raises(NotAllowed):
        notes.write_note(person.pk, "自动", by=SYSTEM, at=clock.now())


def test_a_todo_is_given_in_one_tap_shown_next_and_done(acme_client: Client) -> None:
    person = make_follow().contact
    assert give(acme_client, person, when="3").status_code == 302
    todo = Todo.objects.get()
    assert clock.now() + timedelta(days=2) < todo.due_at < clock.now() + timedelta(days=4)
    assert todo.due_at.astimezone(UTC).hour == 2  # 10:00 in Shanghai
    assert (todo.reminder, todo.remind_at) == ("waiting", todo.due_at)
    page = text(acme_client.get(f"/contacts/{person.pk}/"))
    assert "<dt>下一步</dt><dd>送小样" in page and "已逾期" not in page

    panel = text(acme_client.post(f"/contacts/{person.pk}/todos/{todo.pk}/done/", {}, HTTP_HX_REQUEST="true"))
    assert 'id="person-todos"' in panel and "已完成" in panel
    todo.refresh_from_db()
    assert (todo.done_by_id, todo.done_by_name) == (acme_client.user.pk, acme_client.user.display_name)
    acme_client.post(f"/contacts/{person.pk}/todos/{todo.pk}/done/", {"done": "0"})
    todo.refresh_from_db()
    assert (todo.done_at, todo.done_by_name) == (None, "")
    kinds = list(TimelineEvent.objects.filter(subject=f"todo:{todo.pk}").order_by("pk").values_list("kind", flat=True))
    assert kinds == ["todo.created", "todo.done", "todo.reopened"]


def test_a_postponed_todo_is_due_and_reminds_at_its_new_time(acme_client: Client, actor: Any) -> None:
    person = make_follow().contact
    give(acme_client, person)
    todo = Todo.objects.get()
    url = f"/contacts/{person.pk}/todos/{todo.pk}/due/"
    before = todo.due_at
    assert 'id="person-todos"' in text(acme_client.post(url, {"when": "7"}, HTTP_HX_REQUEST="true"))
    todo.refresh_from_db()
    assert todo.due_at == before + timedelta(days=6) == todo.remind_at
    acme_client.post(url, {"when": "at", "due_at": "2020-01-01T10:00"})
    acme_client.post(url, {"when": "at"})
    todo.refresh_from_db()
    assert todo.due_at == before + timedelta(days=6)
    assert "待办改期" in text(acme_client.get(f"/contacts/{person.pk}/"))
    todos.finish_todo(todo.pk, by=actor, at=clock.now())
    with pytest.raises(UserError, match="已经完成"):
        todos.postpone_todo(todo.pk, before + timedelta(days=1), by=actor, at=clock.now())


def test_finishing_twice_writes_one_fact(acme_client: Client, actor: Any) -> None:
    person = make_follow().contact
    give(acme_client, person)
    todo = Todo.objects.get()
    first = todos.finish_todo(todo.pk, by=actor, at=clock.now())
    again = todos.finish_todo(todo.pk, by=actor, at=clock.now() + timedelta(hours=1))
    assert first.done_at == again.done_at
    assert TimelineEvent.objects.filter(kind="todo.done").count() == 1


def test_a_todo_without_a_time_to_come_is_refused(acme_client: Client) -> None:
    person = make_follow().contact
    assert "请选择到期时间" in text(give(acme_client, person, when="at", due_at=""), 422)
    assert give(acme_client, person, when="at", due_at="2020-01-01T10:00").status_code in (302, 422)
    assert give(acme_client, person, when="at", due_at="2999-01-01T10:00").status_code in (302, 422)
    assert give(acme_client, person, when="77").status_code == 422
    assert not Todo.objects.exists()


def test_a_todo_goes_only_to_a_guide_of_the_scope_who_knows_the_customer(log_in: Any) -> None:
    shop, other = make_store(), make_store()
    follow = make_follow(member=make_member(store=shop))
    far, stranger = make_follow(follow.contact, make_member(store=other)).member, make_member(store=shop)
    gone = make_follow(follow.contact, make_member(store=shop, status="left")).member
    client = log_in("store", scope=shop)
    for member in (far, stranger, gone):
        assert give(client, follow.contact, member=member).status_code == 422
    assert give(client, follow.contact, member=follow.member).status_code == 302
    assert Todo.objects.get().member == follow.member


def test_a_todo_is_given_to_another_guide_and_reminds_her(make_user: Any, log_in: Any) -> None:
    user = make_user(role="guide")
    lin, chen = make_member("林小雅", store=make_store(), user=user), make_member("陈婧", store=make_store())
    follow = make_follow(member=lin)
    make_follow(follow.contact, chen)
    client = log_in(user)
    give(client, follow.contact)
    todo = Todo.objects.get()
    Todo.objects.filter(pk=todo.pk).update(reminder="sent", remind_at=None)
    url = f"/contacts/{follow.contact_id}/todos/{todo.pk}/give/"
    assert f'<option value="{chen.pk}">' in text(client.get(f"/contacts/{follow.contact_id}/"))
    assert client.post(url, {"member": lin.pk}).status_code == 422
    assert client.post(url, {"member": make_member().pk}).status_code == 422
    assert client.post(url, {"member": chen.pk}).status_code == 302
    todo.refresh_from_db()
    assert (todo.member, todo.reminder, todo.remind_at) == (chen, "waiting", todo.due_at)
    fact = TimelineEvent.objects.get(kind="todo.given")
    assert (fact.member, fact.payload) == (chen, {}) and "我的待办" not in text(client.get("/today/"))
    assert "待办转给别的导购" in text(client.get(f"/contacts/{follow.contact_id}/"))
    third = make_follow(follow.contact, make_member(store=make_store())).member
    assert client.post(url, {"member": third.pk}).status_code == 422, (
        "it is not hers any more, but she may take it back"
    )
    client.post(f"/contacts/{follow.contact_id}/todos/{todo.pk}/done/")
    with pytest.raises(UserError, match="已经完成"):
        todos.give_todo(todo.pk, lin, by=actor_of(user), at=clock.now())


def test_an_overdue_todo_that_reminded_one_guide_reminds_the_next_at_once(acme_client: Client) -> None:
    follow = make_follow()
    other = make_follow(follow.contact, make_member(store=make_store())).member
    give(acme_client, follow.contact)
    before = Todo.objects.get()
    wish = reminders._wish(before)
    late = working_instant(before.due_at + timedelta(days=1))
    todo = todos.give_todo(before.pk, other, by=actor_of(acme_client.user), at=late)
    assert (todo.remind_at, todo.due_at) == (late, before.due_at) and reminders._wish(todo) != wish


def test_a_guide_sees_her_own_todos_in_today_with_the_overdue_marked(make_user: Any, log_in: Any) -> None:
    user = make_user(role="guide")
    lin = make_member("林小雅", store=make_store(), user=user)
    person = make_follow(make_contact("小圆子"), lin).contact
    client = log_in(user)
    assert "我的待办" not in text(client.get("/today/"))
    give(client, person)
    hers = Todo.objects.get()
    foreign = make_follow().contact
    Todo.objects.create(contact=foreign, member=foreign.owner, text="别人的事", due_at=hers.due_at, created_at=clock.now(),
                        author_id=1, author_name="x")  # fmt: skip
    page = text(client.get("/today/"))
    assert "送小样" in page and "小圆子" in page and "别人的事" not in page and "已逾期" not in page

    Todo.objects.filter(pk=hers.pk).update(due_at=clock.now() - timedelta(hours=1))
    assert "已逾期" in text(client.get("/today/"))
    assert "已逾期" in text(client.get(f"/contacts/{person.pk}/"))
    answer = client.post(f"/contacts/{person.pk}/todos/{hers.pk}/done/", {"next": "/today/"})
    assert answer["Location"] == "/today/"
    assert "我的待办" not in text(client.get("/today/"))
    away = client.post(f"/contacts/{person.pk}/todos/{hers.pk}/done/", {"next": "https://evil.example/"})
    assert away["Location"] == f"/contacts/{person.pk}/"


def test_a_customer_handed_over_leaves_no_todo_in_the_old_guides_today(make_user: Any, log_in: Any) -> None:
    user = make_user(role="guide")
    follow = make_follow(member=make_member(store=make_store(), user=user))
    client = log_in(user)
    give(client, follow.contact)
    follow.relation = "transferred"
    follow.save()
    assert "送小样" not in text(client.get("/today/"))


@pytest.mark.parametrize("path", ["notes/", "todos/"])
def test_writing_needs_the_permission_and_the_scope(log_in: Any, path: str) -> None:
    shop = make_store()
    person = make_follow(member=make_member(store=shop)).contact
    body = {"text": "x", "when": "1", "member": person.owner_id}
    assert log_in("approver").post(f"/contacts/{person.pk}/{path}", body).status_code == 403
    assert log_in("store", scope=make_store()).post(f"/contacts/{person.pk}/{path}", body).status_code == 404
    assert log_in("store", scope=shop).post(f"/contacts/{person.pk}/{path}", body).status_code == 302
    assert "写一条跟进记录" not in text(log_in("approver").get(f"/contacts/{person.pk}/"))


def test_a_note_of_one_customer_is_not_reached_through_another(acme_client: Client) -> None:
    first, second = make_follow().contact, make_follow().contact
    note = write(acme_client, first)
    give(acme_client, first)
    assert acme_client.post(f"/contacts/{second.pk}/notes/{note.pk}/", {"text": "x"}).status_code == 404
    assert acme_client.post(f"/contacts/{second.pk}/todos/{Todo.objects.get().pk}/done/").status_code == 404


def test_after_a_merge_the_kept_person_shows_both_branches(acme_client: Client) -> None:
    kept, gone = make_follow().contact, make_follow().contact
    write(acme_client, gone, "喜欢无香")
    give(acme_client, gone, text="回访")
    merge_roots([(kept.pk, gone.pk)], now=clock.now(), source="manual")
    page = text(acme_client.get(f"/contacts/{kept.pk}/"))
    assert "喜欢无香" in page and "回访" in page
    assert acme_client.post(f"/contacts/{kept.pk}/todos/{Todo.objects.get().pk}/done/").status_code == 302


def test_the_page_costs_the_same_with_many_notes_and_todos(acme_client: Client, actor: Any) -> None:
    person = make_follow().contact
    url = f"/contacts/{person.pk}/"

    def fill(number: int) -> None:
        for _number in range(number):
            notes.write_note(person.pk, "来过店里", by=actor, at=clock.now())
            todos.add_todo(
                person.pk, member=person.owner, text="回访", due_at=clock.now() + timedelta(days=2), remind=False,  # type: ignore[arg-type]
                by=actor, at=clock.now(),
            )  # fmt: skip

    def cost() -> int:
        acme_client.get(url)
        with CaptureQueriesContext(connection) as captured:
            text(acme_client.get(url))
        return len(captured)

    fill(2)
    few = cost()
    fill(12)
    assert cost() == few <= 48


def test_the_timeline_is_narrowed_by_who_did_it(acme_client: Client, make_user: Any, log_in: Any) -> None:
    shop = make_store()
    person = make_follow(member=make_member("林小雅", store=shop)).contact
    colleague = make_user(role="hq", display_name="李敏")
    write(acme_client, person, "第一条")
    write(log_in(colleague), person, "第二条")

    def shown(**query: Any) -> str:
        return text(acme_client.get(f"/contacts/{person.pk}/timeline/", query, HTTP_HX_REQUEST="true"))

    both = shown()
    assert "第一条" in both and "第二条" in both and "李敏" in both
    hers = shown(who=f"user:{colleague.pk}")
    assert "第二条" in hers and "第一条" not in hers
    assert "没有符合的记录" in shown(who="wecom")
    assert "没有符合的记录" in shown(who="member:999")
    assert "没有符合的记录" in shown(who="member:²")
    assert "第一条" in shown(who=f"user:{acme_client.user.pk}", kind="note.written")
    assert "没有符合的记录" in shown(who=f"user:{colleague.pk}", kind="opt_out.set")
    whole = text(acme_client.get(f"/contacts/{person.pk}/timeline/", {"who": f"user:{colleague.pk}"}))
    assert "基本资料" in whole and f'value="user:{colleague.pk}" selected' in whole


def test_a_narrowed_timeline_pages_without_losing_what_it_was_narrowed_to(acme_client: Client, actor: Any) -> None:
    person = make_follow().contact
    for number in range(25):
        notes.write_note(person.pk, f"第{number:02d}条", by=actor, at=clock.now() - timedelta(minutes=number))
    write(acme_client, person, "别人写的")
    first = acme_client.get(f"/contacts/{person.pk}/timeline/", {"who": f"user:{actor.id}"}, HTTP_HX_REQUEST="true")
    assert len(first.context["events"]) == 20
    assert f"who=user%3A{actor.id}" in text(first)
    [older] = re.findall(r'href="([^"]*cursor=[^"]+)">更早的', text(first))
    second = acme_client.get(unescape(older), HTTP_HX_REQUEST="true")
    assert len(second.context["events"]) == 5 and "别人写的" not in text(second)


@pytest.mark.parametrize(
    ("hour", "minute", "expected"),
    [(9, 0, (4, 9, 0)), (20, 59, (4, 20, 59)), (21, 0, (5, 9, 0)), (8, 59, (4, 9, 0)), (0, 0, (4, 9, 0))],
)
def test_reminders_wait_for_working_hours(acme: Any, hour: int, minute: int, expected: tuple[int, int, int]) -> None:
    at = datetime(2026, 3, 4, hour, minute, tzinfo=UTC) - timedelta(hours=8)
    moved = working_instant(at) + timedelta(hours=8)
    assert (moved.day, moved.hour, moved.minute) == expected


def test_a_person_erased_takes_notes_todos_and_edits_along(acme_client: Client) -> None:
    person = make_follow().contact
    write(acme_client, person)
    give(acme_client, person)
    TimelineEvent.objects.filter(contact=person).delete()
    person.delete()
    assert not Note.objects.exists() and not Todo.objects.exists()


def test_what_a_giver_had_to_do_goes_on_to_the_successor(acme: Any) -> None:
    old = make_follow(make_contact("王姐"), make_member("林小雅"))
    new = make_follow(old.contact, make_member("梅梅"), own=False)
    other = make_follow(make_contact("陈姐"), old.member)
    now = clock.now()

    def todo(follow: Any, **values: Any) -> Todo:
        return Todo.objects.create(
            contact=follow.contact, member=follow.member, text="送小样", created_at=now - timedelta(days=2), author_id=1,
            author_name="林小雅", **{"due_at": now - timedelta(hours=1), "reminder": "sent", **values},
        )  # fmt: skip

    going, done, hers = (
        todo(old),
        todo(old, done_at=now, done_by_id=1, done_by_name="林小雅"),
        todo(new, reminder="none"),
    )
    stays = todo(other)
    with CaptureQueriesContext(connection) as captured:
        todos.take_over([TakenOver(old.pk, new.pk)])
    assert len(captured) <= 16

    for one in (going, done, hers, stays):
        one.refresh_from_db()
    assert (going.member, going.reminder) == (new.member, "waiting") and going.remind_at >= now
    assert (done.member, hers.member, stays.member) == (old.member, new.member, old.member)
    todos.take_over([TakenOver(old.pk, new.pk)])
    assert Todo.objects.filter(member=new.member).count() == 2
