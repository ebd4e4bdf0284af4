"""The rule of 业绩归属: whom it names, what it never touches, and that choosing another moves nobody until it is applied."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.scope import EVERYTHING
from contacts import longjobs
from contacts.models import Contact, Member, OwnershipChange, TimelineEvent
from contacts.policy import OwnerRule, people_policy
from contacts.services import bulk, owner_rules
from contacts.services.crediting import Claim, Ties, claim_of, decide
from contacts.services.ownership import assign_owner
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.audit import Actor
from tenants.context import current_tenant
from tenants.ledger.models import AuditEntry, Job
from tenants.models import Tenant
from tests.support.commerce import make_order
from tests.support.consuming import settle
from tests.support.contacts import at, event_fact, follow_info, make_member, make_store, people_batch, person_row
from tests.support.core import log_in
from wecom_bridge.contracts import handlers_for

pytestmark = pytest.mark.django_db
HQ = Actor("user", 1, "李敏")


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The rule that holds from now on."""
    monkeypatch.setattr(current_tenant(), "policy", {})  # put back at the end
    return lambda kind, basis="": owner_rules.save_rule(kind, basis, tells_clashes=True, by=HQ)


def guides() -> tuple[Member, Member]:
    return make_member("林小雅", store=make_store()), make_member("梅梅", store=make_store())


def seen(
    *follows: tuple[Member, datetime], source: str = "callback", external: str = "wm1", when: float = 900
) -> Contact:
    """WeCom shows a customer with these guides."""
    row = person_row(external, *[follow_info(member.userid, added) for member, added in follows])
    for handler in handlers_for("people"):
        handler(people_batch(row, source=source, read_at=at(when)))
    return Contact.objects.get(identities__value=external)


def left(member: Member, when: float, external: str = "wm1") -> None:
    event = event_fact("del_follow_user", external, member.userid, at(when))
    for handler in handlers_for("people"):
        handler(people_batch(read_at=at(when), events=[event]))


def owner(person: Contact) -> Member | None:
    return Contact.objects.get(pk=person.pk).owner


def run(kind: str) -> Job:
    job = owner_rules.start(kind, by=HQ)
    _drain()
    job.refresh_from_db()
    return job


def _drain() -> None:
    longjobs.drain(clock.wall() + timedelta(seconds=20))


def test_by_the_latest_adding_she_goes_along_and_back_when_that_guide_is_gone(choose: Any) -> None:
    lin, mei = guides()
    choose("latest")
    person = seen((lin, at(1)))
    assert owner(person) == lin
    seen((lin, at(1)), (mei, at(50)))
    assert owner(person) == mei and Contact.objects.get().store == mei.store
    change = OwnershipChange.objects.latest("pk")
    assert (change.from_member, change.to_member, change.changed_at, change.reason) == (lin, mei, at(50), "latest_add")
    assert TimelineEvent.objects.get(kind="owner.changed").payload["to"] == str(mei)
    left(mei, 200)
    assert owner(person) == lin
    left(lin, 300)  # nobody is her friend: who owned her last still does
    assert owner(person) == lin


def test_by_the_first_adding_later_guides_change_nothing() -> None:
    lin, mei = guides()
    person = seen((lin, at(1)))
    seen((lin, at(1)), (mei, at(50)))
    left(lin, 200)
    assert owner(person) == lin and OwnershipChange.objects.count() == 1


def test_what_somebody_decided_is_left_alone_by_every_rule(choose: Any) -> None:
    lin, mei = guides()
    person = seen((lin, at(1)), (mei, at(50)))
    assign_owner([person.pk], mei, by=HQ, at=at(60))
    for kind in ("first", "latest", "store"):
        choose(kind, "added_first")
        seen((lin, at(1)), (mei, at(50)), (make_member(store=lin.store), at(100 + len(kind))))
        assert run(owner_rules.APPLY).result["moved"] == 0
        assert owner(person) == mei


def test_an_undone_bulk_change_gives_the_owner_back_to_the_rule_and_the_store_to_her(choose: Any) -> None:
    choose("latest")
    (lin, mei), elsewhere = guides(), make_store()
    person = seen((lin, at(1)), (mei, at(50)))
    Contact.objects.filter(pk=person.pk).update(store=elsewhere)
    change = bulk.start("owner", Contact.objects.all(), {"member": lin.pk}, EVERYTHING, by=HQ, expected=1)
    person.refresh_from_db()
    assert (person.owner, person.store) == (lin, lin.store)
    bulk.ask_undo(change.pk, EVERYTHING, by=HQ)
    person.refresh_from_db()
    assert (person.owner, person.store) == (mei, elsewhere)
    reasons = person.ownership_changes.order_by("changed_at", "pk").values_list("reason", flat=True)
    assert list(reasons) == ["latest_add", "manual", "latest_add"]
    third = make_member(store=make_store())
    seen((lin, at(1)), (mei, at(50)), (third, at(100)))
    assert owner(person) == third, "as before the change, the rule decides"


def test_by_store_a_friend_of_the_store_of_her_purchase_owns(choose: Any) -> None:
    lin, mei = guides()
    choose("store", "bought_last")
    person = seen((lin, at(1)), (mei, at(50)))
    assert owner(person) == lin  # nothing bought yet: the store of her first adding
    settle()
    make_order(person, ordered_at=at(60), store_id=mei.store_id)
    settle()
    assert owner(person) == mei
    make_order(person, ordered_at=at(30), store_id=lin.store_id)  # an older one, imported later
    settle()
    assert owner(person) == mei and run(owner_rules.COUNT).result["moved"] == 0
    left(mei, 200)  # no friend in that store any more
    assert owner(person) == lin


def test_choosing_a_rule_moves_nobody_and_the_count_says_whom_it_would_move(choose: Any) -> None:
    lin, mei = guides()
    people = [seen((lin, at(1)), (mei, at(50)), external=f"wm{n}") for n in range(3)]
    assign_owner([people[0].pk], mei, by=HQ, at=at(60))
    choose("latest")
    assert [owner(person) for person in people] == [mei, lin, lin]
    job = run(owner_rules.COUNT)
    assert (job.state, job.done, job.result["moved"]) == ("done", 3, 2)
    assert [owner(person) for person in people] == [mei, lin, lin]
    assert run(owner_rules.APPLY).result["moved"] == 2
    assert [owner(person) for person in people] == [mei, mei, mei]
    assert OwnershipChange.objects.filter(reason="latest_add", changed_at__gt=at(800)).count() == 2  # from now on
    assert run(owner_rules.COUNT).result["moved"] == 0
    choose("first")
    assert run(owner_rules.APPLY).result["moved"] == 2
    assert [owner(person) for person in people] == [mei, lin, lin]


def test_a_rule_changed_under_way_ends_the_job_with_a_sentence(choose: Any) -> None:
    lin, _mei = guides()
    seen((lin, at(1)))
    job = owner_rules.start(owner_rules.APPLY, by=HQ)
    with pytest.raises(UserError, match="还在进行"):
        owner_rules.start(owner_rules.COUNT, by=HQ)
    choose("latest")
    _drain()
    job.refresh_from_db()
    assert (job.state, "改过" in job.last_error) == ("failed", True)


def test_the_first_sync_takes_the_rule_that_holds(choose: Any) -> None:
    lin, mei = guides()
    choose("latest")
    person = seen((lin, at(1)), (mei, at(50)), source="backfill")
    assert owner(person) == mei
    change = OwnershipChange.objects.get()
    assert (change.changed_at, change.reason) == (at(50), "latest_add")


def test_the_page_saves_counts_and_applies(acme_client: Client, acme: Tenant, monkeypatch: Any) -> None:
    lin, mei = guides()
    seen((lin, at(1)), (mei, at(50)))
    assert acme_client.post("/ownership/", {"kind": "latest", "basis": "added_last"}).status_code == 302
    policy = Tenant.objects.get(pk=acme.pk).policy["contacts"]
    assert policy == {"owner_rule": "latest", "owner_basis": "added_last", "tells_clashes": False}
    monkeypatch.setattr(current_tenant(), "policy", {"contacts": policy})  # as a worker reads it afterwards
    assert acme_client.post("/ownership/start/", {"what": "count"}).status_code == 302
    _drain()
    page = acme_client.get("/ownership/")
    assert page.context["can_apply"] and "1 位的归属会变" in page.content.decode()
    assert acme_client.post("/ownership/start/", {"what": "apply"}).status_code == 302
    _drain()
    assert owner(Contact.objects.get()) == mei
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {"owner_rule.saved", "owner_rule.applied"}
    assert acme_client.post("/ownership/", {"kind": "nobody"}).status_code in (302, 422)
    assert acme_client.post("/ownership/start/", {"what": "sell"}).status_code == 404
    assert log_in("store", scope=lin.store).get("/ownership/").status_code == 403


def test_an_unreadable_policy_keeps_the_first_adding(monkeypatch: Any) -> None:
    unreadable = {"contacts": {"owner_rule": "best", "owner_basis": 7, "tells_clashes": "yes"}}
    monkeypatch.setattr(current_tenant(), "policy", unreadable)
    assert (people_policy().owner_rule, people_policy().tells_clashes) == (OwnerRule(), True)


def test_a_tie_of_one_second_goes_to_the_smaller_member() -> None:
    ties = Ties({1: (8, "active"), 2: (7, "active")}, [(at(1), 1, 1, None), (at(1), 2, 2, None)])
    for kind in ("first", "latest", "store"):
        claim = claim_of(ties, OwnerRule(kind), {}, owned=False)
        assert claim is not None and claim.member_id == 7
    assert claim_of(Ties(), OwnerRule(), {}, owned=False) is None


def test_an_owner_without_any_record_is_nobodys_to_change() -> None:
    assert decide(7, [], Claim(8, at(1), "first_add"), reclaim=True, thorough=True) == "keep"
    taken = OwnershipChange(to_member_id=7, reason="merge", changed_at=at(5))
    assert decide(7, [taken], Claim(8, at(1), "first_add"), reclaim=True, thorough=True) == "keep"
