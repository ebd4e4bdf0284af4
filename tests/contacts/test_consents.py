"""同意记录: what a person allowed and forbade, append-only, with 免打扰 as part of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts.models import ConsentRecord, Contact, TimelineEvent
from contacts.services.consents import record_consent, standing_of
from contacts.services.merging import merge_roots
from contacts.services.opt_out import end_opt_out, set_opt_out
from scrm.lib import clock
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support.contacts import make_follow
from tests.support.core import log_in

pytestmark = pytest.mark.django_db


def form(**over: Any) -> dict[str, Any]:
    today = clock.now().date() - timedelta(days=1)
    known = {
        "purpose": "messages",
        "decision": "withdrawn",
        "channel": "store",
        "source": "customer",
        "evidence": "当面说的",
    }
    return known | {"on": today.isoformat()} | over


def note(person: Contact, **over: Any) -> ConsentRecord:
    words = form(**over) | {"on": over.get("on", clock.now().date() - timedelta(days=1))}
    return record_consent(person.pk, by=SYSTEM, at=clock.now(), **words)


def test_a_consent_is_written_shown_and_never_told_in_the_audit(acme_client: Client) -> None:
    person = make_follow().contact
    today = clock.local_day(clock.now(), "Asia/Shanghai").isoformat()
    assert f'name="on" value="{today}"' in acme_client.get(f"/contacts/{person.pk}/").content.decode()
    given = form(purpose="profile", decision="given")
    assert acme_client.post(f"/contacts/{person.pk}/consents/", given).status_code == 302
    record = ConsentRecord.objects.get()
    assert (record.noted_by_name, record.source) == (acme_client.user.display_name, "customer")
    page = acme_client.get(f"/contacts/{person.pk}/").content.decode()
    assert "当面说的" in page and "个性化推荐与打标签" in page
    assert TimelineEvent.objects.get(kind="consent.given").payload == {"purpose": "profile"}
    assert not AuditEntry.objects.filter(data__icontains="当面").exists()
    person.refresh_from_db()
    assert person.opt_out_since is None, "only messages are gated"


def test_messages_forbidden_are_no_messages_until_they_are_allowed_again(acme: Any) -> None:
    person = make_follow().contact
    note(person)
    person.refresh_from_db()
    assert (person.opt_out_until, person.opt_out_source, person.opt_out_since is None) == (None, "consent", False)
    note(person, decision="given", on=clock.now().date())
    person.refresh_from_db()
    assert person.opt_out_since is None
    kinds = list(ConsentRecord.objects.order_by("pk").values_list("decision", flat=True))
    assert kinds == ["withdrawn", "set", "given", "ended"]


def test_a_wish_for_quiet_of_another_cause_outlasts_a_consent(acme: Any) -> None:
    person = make_follow().contact
    set_opt_out(person.pk, "forever", by=SYSTEM, at=clock.now())
    note(person, decision="given")
    person.refresh_from_db()
    assert person.opt_out_since is not None


def test_a_wish_for_some_days_holds_again_when_what_covered_it_is_lifted(acme: Any) -> None:
    person = make_follow().contact
    until = set_opt_out(person.pk, "30", by=SYSTEM, at=clock.now()).opt_out_until
    note(person)
    note(person, decision="given")
    person.refresh_from_db()
    assert (person.opt_out_until, person.opt_out_source) == (until, "guide")
    with clock.shifted(timedelta(days=31)):  # by now it is over, and nothing of it comes back
        note(person)
        note(person, decision="given")
    person.refresh_from_db()
    assert person.opt_out_since is None


def test_an_older_word_that_is_noted_late_does_not_win(acme: Any) -> None:
    person = make_follow().contact
    note(person, decision="given", on=clock.now().date())
    note(person, on=clock.now().date() - timedelta(days=30))
    person.refresh_from_db()
    assert person.opt_out_since is None and standing_of([person.pk])[0].is_given


def test_every_setting_and_ending_of_quiet_is_part_of_the_record(acme: Any) -> None:
    person = make_follow().contact
    set_opt_out(person.pk, "30", by=SYSTEM, at=clock.now())
    set_opt_out(person.pk, "30", by=SYSTEM, at=clock.now())
    end_opt_out(person.pk, by=SYSTEM, at=clock.now())
    rows = list(ConsentRecord.objects.order_by("pk").values_list("decision", "source"))
    assert rows[0] == ("set", "system") and rows[-1] == ("ended", "system")


def test_a_merged_person_has_the_words_of_both_and_quiet_of_either(acme: Any) -> None:
    kept, gone = make_follow().contact, make_follow().contact
    note(gone)
    note(kept, purpose="sharing", decision="given")
    merge_roots([(kept.pk, gone.pk)], now=clock.now(), source="manual")
    kept = Contact.objects.get(pk=kept.pk)
    said = {one.purpose.value: one.is_given for one in standing_of(kept.family_ids) if one.last}
    assert said == {"messages": False, "sharing": True} and kept.opt_out_source == "consent"


@pytest.mark.parametrize(
    ("over", "sentence"),
    [
        ({"evidence": " "}, "必填|这个字段"),
        ({"on": "2999-01-01"}, "日期还没到"),
        ({"purpose": "opt_out"}, "选"),
        ({"decision": "maybe"}, "选"),
    ],
)
def test_what_is_no_consent_is_refused_and_nothing_is_kept(acme_client: Client, over: Any, sentence: str) -> None:
    person = make_follow().contact
    answer = acme_client.post(f"/contacts/{person.pk}/consents/", form(**over))
    assert answer.status_code == 422 and "返回客户页" in answer.content.decode()
    assert any(word in answer.content.decode() for word in sentence.split("|"))
    assert not ConsentRecord.objects.exists()


def test_who_may_only_look_sees_the_record_and_no_form(acme: Any) -> None:
    person = make_follow().contact
    note(person)
    watcher = log_in("region")
    page = watcher.get(f"/contacts/{person.pk}/").content.decode()
    assert "同意记录" in page and "记一条同意或撤回" not in page
    assert watcher.post(f"/contacts/{person.pk}/consents/", form()).status_code == 403


def test_a_hundred_records_cost_no_more_queries_than_one(acme_client: Client) -> None:
    person = make_follow().contact
    note(person)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            acme_client.get(f"/contacts/{person.pk}/")
        return len(caught)

    queries()  # what is asked once
    before = queries()
    for _day in range(20):
        note(person, purpose="profile")
    assert queries() == before
