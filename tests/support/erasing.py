"""A person of whom every table that can say something does, and how she is erased."""

from datetime import date, timedelta
from typing import Any

from campaigns.models import (
    Delivery,
    DeliveryMove,
    Dispatch,
    Enrollment,
    MassSend,
    MassSendResult,
    Sop,
    SopVersion,
    WelcomeSend,
)
from contacts.models import (
    BulkChange,
    Clash,
    ConsentRecord,
    Contact,
    ContactPhone,
    DetailChange,
    Duplicate,
    ErasureRequest,
    Follow,
    GroupMembership,
    ImportRow,
    ImportRun,
    Note,
    RemarkEdit,
    SavedView,
    SharedPhone,
    StageTransition,
    Todo,
)
from contacts.services import erasing
from contacts.services.merging import merge_roots
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from tagging.models import (
    FollowTag,
    PreTag,
    Rule,
    RuleEvent,
    RuleMatch,
    Segment,
    SegmentEntry,
    SegmentPin,
    TagMerge,
    TagMergeMove,
)
from tenants import audit, erasure
from tenants.audit import SYSTEM
from tenants.ledger.models import IdempotentRequest, Job
from tenants.paths import tenant_dir
from tests.support import campaigns
from tests.support.commerce import make_order
from tests.support.contacts import (
    make_contact,
    make_follow,
    make_group,
    make_identity,
    make_member,
    make_phone_to_add,
    make_stages,
    make_store,
)
from tests.support.core import make_user
from tests.support.tagging import make_tag, tree_of
from wecom_bridge.models import DriftRow, InboundEvent, OutboundCommand, StagedRow, SyncRun, SyncUnit

EXTERNAL, OTHER_EXTERNAL, UNION = "wmERASEME0001abcd", "wmERASEME0002abcd", "oUNIONeraseme0001"


PHONE = "+8613912345678"


# Words of hers, none of which may stand anywhere afterwards.
WORDS = (EXTERNAL, OTHER_EXTERNAL, UNION, "13912345678", "欧阳小圆子", "圆子-敏感肌", "喜欢木质香", "圆子商贸", "周末来店试香", "给圆子送小样",
         "圆子爱香群昵称", "圆子说太干", "当面签字的纸条", "圆子另一个名字", "圆子不要打扰")  # fmt: skip


def ask(contact: Contact, **over: Any) -> ErasureRequest:
    words = {
        "asked_by": "customer",
        "reason": "来信",
        "typed": str(contact.pk),
        "by": SYSTEM,
        "at": clock.now(),
        **over,
    }
    return erasing.request_erasure(contact.pk, **words)


def work(request: ErasureRequest) -> ErasureRequest:
    for _piece in range(400):
        erasing.advance(request.pk)
        request.refresh_from_db()
        if request.is_over or request.state == ErasureRequest.State.WAITING:
            break
    return request


def erase(contact: Contact) -> ErasureRequest:
    return work(ask(contact))


def traces(words: Any = WORDS) -> dict[str, int]:
    """Rows of any table that hold one of these texts."""
    models = [model for model in erasure.tenant_models() if erasure.is_searchable(model)]
    found = {model._meta.label: erasure.count_traces(model, [list(words)], 0)[0][0] for model in models}
    return {label: count for label, count in found.items() if count}


def full_person() -> Contact:
    """Somebody of whom every table that can say something does."""
    now, store = clock.now(), make_store()
    lin, mei = make_member("林小雅", store=store), make_member("梅梅", store=store)
    corp, stages = lin.corp, make_stages()
    person = make_contact(
        "欧阳小圆子", corp_name="圆子商贸", custom={"香调": "喜欢木质香"}, search_text="欧阳小圆子 ouyang 5678"
    )
    branch = make_contact("圆子另一个名字", birthday=date(1990, 5, 6))
    make_identity(person, corp=corp, value=EXTERNAL)
    make_identity(person, corp=corp, value=UNION, kind="unionid")
    make_identity(branch, corp=corp, value=OTHER_EXTERNAL)
    follow = make_follow(
        person,
        lin,
        remark="圆子-敏感肌",
        description="喜欢木质香",
        remark_company="圆子商贸",
        remark_mobiles=["13912345678"],
    )
    make_follow(branch, mei)
    merge_roots([(person.pk, branch.pk)], now=now, source="manual")
    ContactPhone.objects.create(contact=person, phone=PHONE, source=f"remark:{follow.pk}", created_at=now)
    Note.objects.create(contact=branch, text="圆子说太干", author_id=1, author_name="林小雅", written_at=now)
    todo = Todo.objects.create(
        contact=person, member=lin, text="给圆子送小样", due_at=now, created_at=now, author_id=1, author_name="林小雅"
    )
    RemarkEdit.objects.create(follow=follow, remark="圆子-敏感肌", state="done", asked_at=now, settled_at=now)
    ConsentRecord.objects.create(
        contact=person, purpose="profile", decision="given", channel="store", source="customer", evidence="当面签字的纸条",
        decided_at=now, noted_at=now, noted_by_name="林小雅",
    )  # fmt: skip
    StageTransition.objects.create(
        contact=person, to_stage=stages["repeat"], changed_at=now, source="manual", reason="周末来店试香"
    )
    group = make_group("静安寺福利群", owner=lin, notice="有事找 13912345678")
    joined = now - timedelta(days=3)
    GroupMembership.objects.create(
        group=group,
        kind=2,
        userid=EXTERNAL,
        name="欧阳小圆子",
        group_nickname="圆子爱香群昵称",
        contact=person,
        joined_at=joined,
    )
    GroupMembership.objects.create(group=group, kind=2, userid="wmFRIEND", invitor_userid=EXTERNAL, joined_at=now)
    record_events([
        NewEvent("group.joined", joined, "callback", f"group.joined:{group.pk}:{EXTERNAL}:1", contact_id=person.pk,
                 group_id=group.pk, payload={"userid": EXTERNAL, "scene": 3}),
        NewEvent("follow.added", now, "callback", "follow.added:pair:0123:1", contact_id=person.pk, member_id=lin.pk,
                 subject="pair:0123", payload={"state": "门店码", "note": "欧阳小圆子"}),
        NewEvent("group.left", now, "callback", f"group.left:{group.pk}:{OTHER_EXTERNAL}:9", group_id=group.pk,
                 payload={"userid": OTHER_EXTERNAL}),
    ])  # fmt: skip
    _bought(person)
    _tagged(person, follow)
    _written_to(person, follow, lin)
    _in_the_books(person, follow, todo, corp)
    _in_the_lists(person, branch, lin, mei)
    return Contact.objects.get(pk=person.pk)


def _in_the_lists(person: Contact, branch: Contact, lin: Any, mei: Any) -> None:
    """What colleagues did with many, or because she is like somebody."""
    now, other = clock.now(), make_contact("别人")
    DetailChange.objects.create(contact=person, key="skin", before=None, after="喜欢木质香", changed_at=now)
    Duplicate.objects.create(first=person, second=other, keys=[f"phone:{PHONE}"], found_at=now)
    SharedPhone.objects.create(phone=PHONE, people=9, found_at=now)
    Clash.objects.create(
        contact=person, member=lin, other=mei, fact_key=f"follow.added:{EXTERNAL}", added_at=now, noticed_at=now
    )
    make_phone_to_add(phone=PHONE)
    make_phone_to_add(phone=PHONE, state="added", contact=person, name="圆子另一个名字", remark="圆子说太干")
    BulkChange.objects.create(kind="tags", title=f"找 {PHONE}", params={"q": PHONE}, total=1, created_at=now)
    SavedView.objects.create(owner=make_user(), name="找人", filters={"q": PHONE}, created_at=now, changed_at=now)
    run = ImportRun.objects.create(kind="contacts", file_name="老客.csv", file_digest="0", created_at=now)
    ImportRow.objects.create(
        run=run,
        line=2,
        key_kind="external",
        key=EXTERNAL,
        values={"phone": PHONE},
        target_id=person.pk,
        outcome="updated",
    )


def _bought(person: Contact) -> None:
    make_order(person, phone=PHONE, total_minor=31_200, external_userid=EXTERNAL, unionid=UNION)


def _tagged(person: Contact, follow: Follow) -> None:
    now = clock.now()
    FollowTag.objects.create(follow=follow, contact=person, tag=make_tag("敏感肌"), origin="guide", tagged_at=now)
    PreTag.objects.create(import_id=1, kind="phone", value=PHONE, created_at=now, expires_at=now)
    merge = TagMerge.objects.create(old=make_tag("敏感皮"), kept=make_tag("敏感肤质"), created_at=now)
    TagMergeMove.objects.create(
        merge=merge, follow=follow, contact=person, had_kept=False, origin="guide", tagged_at=now, moved_at=now
    )
    segment = Segment.objects.create(name="老客", tree=tree_of({"all": []}), size=1, created_at=now)
    SegmentEntry.objects.create(segment=segment, contact=person, entered_at=now)
    SegmentPin.objects.create(segment=segment, contact=person, is_in=True, reason=f"{PHONE} 来电", pinned_at=now)
    rule = Rule.objects.create(name="规则", tree=tree_of({"all": []}), actions=[], created_at=now)
    RuleMatch.objects.create(rule=rule, contact=person, rule_version=1, entered_at=now)
    RuleEvent.objects.create(
        rule=rule, contact=person, rule_version=1, trigger_key=f"fact:{person.pk}", happened_at=now, written_at=now
    )


def _written_to(person: Contact, follow: Follow, lin: Any) -> None:
    now = clock.now()
    with campaigns.at_time(campaigns.local(11)):
        first, second = (campaigns.units(campaigns.released(campaigns.make_customers(1, lin)))[0] for _time in range(2))
    delivery = Delivery.objects.create(
        push=first.push, target=f"c{person.pk}", contact=person, follow=follow, dispatch=second, state="sent", sent_at=now,
        external_userid=EXTERNAL, note="圆子不要打扰", frozen_at=now,
    )  # fmt: skip
    DeliveryMove.objects.create(
        delivery=delivery, from_dispatch=first, to_dispatch=second, from_follow=follow, from_member=lin,
        from_external_userid=EXTERNAL, moved_at=now,
    )  # fmt: skip
    Dispatch.objects.filter(pk=first.pk).update(note=f"{EXTERNAL} 刚来过")
    WelcomeSend.objects.create(
        corp=lin.corp, member_userid=lin.userid, external_userid=EXTERNAL, state="sent", received_at=now
    )
    sent = MassSend.objects.create(corp=lin.corp, msgid="m1", chat_type="single", create_type=0, created_at=now)
    sop = Sop.objects.create(name="新客7天", state="on", created_at=now)
    version = SopVersion.objects.create(sop=sop, number=1, trigger="follow_added", created_at=now)
    Enrollment.objects.create(
        version=version, sop=sop, target=f"c{person.pk}", contact=person, follow=follow, entered_at=now,
        trigger_key=f"group.joined:1:{EXTERNAL}:1",
    )  # fmt: skip
    MassSendResult.objects.create(corp=lin.corp, mass_send=sent, userid=lin.userid, target=EXTERNAL, status=1)


def _in_the_books(person: Contact, follow: Follow, todo: Todo, corp: Any) -> None:
    now = clock.now()
    done = {"state": "done", "settled_at": now, "next_attempt_at": now, "created_at": now, "lane": "outbound"}
    OutboundCommand.objects.create(
        corp=corp,
        kind="todo.remind",
        policy="once",
        entity_key=f"todo:{todo.pk}",
        payload={"text": "客户:欧阳小圆子 给圆子送小样"},
        **done,
    )
    OutboundCommand.objects.create(
        corp=corp,
        kind="tag.mark",
        policy="idempotent",
        entity_key="else",
        payload={"external_userid": EXTERNAL},
        **done,
    )
    InboundEvent.objects.create(
        corp=corp, digest="d1", lane="inbound", event="change_external_contact", change_type="edit_external_contact",
        entity_key=f"{corp.pk}:p:{EXTERNAL}", body=f"<xml><ExternalUserID>{EXTERNAL}</ExternalUserID></xml>", occurred_at=now,
        received_at=now, next_attempt_at=now,
    )  # fmt: skip
    run = SyncRun.objects.create(corp=corp, state="done", started_at=now, finished_at=now)
    SyncUnit.objects.create(run=run, kind="write", key=EXTERNAL, cursor="")
    StagedRow.objects.create(run=run, kind="contacts", unit_key="lin", key=EXTERNAL, payload={"name": "欧阳小圆子"})
    DriftRow.objects.create(
        run=run,
        entity="follow",
        key=f"{EXTERNAL}/lin",
        kind="different",
        before={"remark": "圆子-敏感肌"},
        found_at=now,
    )
    audit.record("contact.details_changed", person, by=SYSTEM, remark="圆子-敏感肌")
    audit.record("probe.done", by=SYSTEM, phones=[PHONE])
    Job.objects.create(kind="probe", title="t", params={"query": f"q={EXTERNAL}"}, state="done", created_at=now)
    IdempotentRequest.objects.create(
        token_id=1, key="k", request_digest="d", status=200, body={"phone": PHONE}, created_at=now
    )
    (tenant_dir("exports") / "contacts-1.csv").write_text(f"编号,昵称\n{person.pk},欧阳小圆子\n", encoding="utf-8")
    (tenant_dir("imports") / "rejects-1.csv").write_text(f"行号,手机\n2,{PHONE}\n", encoding="utf-8")
    (tenant_dir("exports") / "contacts-2.csv").write_text("编号,昵称\n1,别人\n", encoding="utf-8")
