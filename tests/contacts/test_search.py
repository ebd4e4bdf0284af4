"""What a search in the customer list finds, and that the index finds it."""

import pytest
from django.db import connection

from contacts.filters import search_people
from contacts.models import Contact
from contacts.services import search
from contacts.services.inbound import apply_people
from contacts.services.merging import merge_roots
from scrm.lib import clock
from tenants.ledger.models import Backfill
from tests.support.contacts import follow_info, make_contact, make_follow, people_batch, person_row

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def filled(acme):
    """A merchant whose search texts are of this release."""
    Backfill.objects.create(name=search.BACKFILL, state="done", updated_at=clock.wall())


@pytest.fixture
def people():
    """王小雨 with a remark, 欧阳静 and A-Vip客户."""
    return [person("王小雨", "老客-张江店"), person("欧阳静"), person("A-Vip客户")]


def person(name, remark=""):
    follow = make_follow(make_contact(name=name), remark=remark)
    search.refresh_search([follow.contact_id])
    return follow.contact_id


def found(text):
    return sorted(search_people(Contact.objects.filter(root=None), text).values_list("name", flat=True))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("王小雨", ["王小雨"]), ("小雨", ["王小雨"]), ("雨", ["王小雨"]), ("王", ["王小雨"]), ("阳静", ["欧阳静"]), ("静", ["欧阳静"]),
        ("张江", ["王小雨"]), ("江店", ["王小雨"]), ("wx", ["王小雨"]), ("wxy", ["王小雨"]), ("xiaoyu", ["王小雨"]), ("wangx", ["王小雨"]),
        ("vip", ["A-Vip客户"]), ("vi", ["A-Vip客户"]), ("客户", ["A-Vip客户"]), ("老客 小雨", ["王小雨"]), ("小雨 静", []), ("ip", []),
    ],
)  # fmt: skip
def test_a_name_is_found_by_what_people_type(people, text, names):
    assert found(text) == names


@pytest.mark.parametrize("text", ["%", "_", "\\", "小%", "'"])
def test_signs_of_the_query_language_are_letters(people, text):
    assert found(text) == []


@pytest.mark.parametrize("text", ["小雨", "雨", "wx", "阳静客"])
def test_short_and_long_words_are_looked_up_in_the_index(people, text):
    query = search_people(Contact.objects.all(), text)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_indexscan = off")
        plan = query.order_by().explain()
    conditions = [line for line in plan.splitlines() if "Index Cond" in line]
    assert "contact_search" in plan and conditions and all("~~" in line for line in conditions)


def test_texts_of_an_older_release_are_searched_whole_until_they_are_written_anew():
    old = person("王小雨")
    Contact.objects.filter(pk=old).update(search_text="王小雨 wangxiaoyu wxy")
    assert found("小雨") == []
    Backfill.objects.filter(name=search.BACKFILL).delete()
    assert found("小雨") == ["王小雨"]

    cursor, rows = search.refill({}, 1)
    assert rows == 1
    assert search.refill(cursor, 1) == (None, 0)
    Backfill.objects.create(name=search.BACKFILL, state="done", updated_at=clock.wall())
    assert found("小雨") == ["王小雨"]


def test_what_wecom_says_of_a_row_merged_into_another_is_found_of_the_person(acme):
    """A name, a remark and a phone of the merged row are hers: the callback that brings them must not fall over."""
    kept, gone = make_follow(make_contact(name="王小雨")), make_follow(make_contact(name="小圆子"))
    merge_roots([(kept.contact_id, gone.contact_id)], now=clock.now(), source="manual")
    told = follow_info(gone.member.userid, gone.added_at, remark="老客", remark_mobiles=("13900005678",))
    row = person_row(gone.identity.value, told, name="大圆子")

    apply_people(people_batch(row, corp=gone.corp, read_at=clock.now()))

    assert [found(text) for text in ("大圆", "老客", "5678")] == [["王小雨"]] * 3
    assert found("小圆") == []
