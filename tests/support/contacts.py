"""Makers of people and places, and batches as the bridge hands them over."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from contacts.models import (
    Clash,
    Contact,
    ContactPhone,
    CustomField,
    Dealer,
    DeletionAlarm,
    Duplicate,
    Follow,
    FollowPeriod,
    GroupChat,
    Identity,
    Member,
    MemberAccount,
    MemberPlacement,
    PhoneBatch,
    PhoneToAdd,
    Region,
    Relation,
    StaffChange,
    Stage,
    Store,
    StorePlacement,
)
from contacts.seeds import seed_stages
from contacts.services.custom_fields import Settings, add_field
from scrm.lib import clock
from tenants.audit import SYSTEM
from wecom_bridge.contracts import (
    EventFact,
    ExternalContactInfo,
    FollowInfo,
    GroupChatInfo,
    GroupMemberInfo,
    GroupsBatch,
    MemberInfo,
    MembersBatch,
    PeopleBatch,
    PersonRow,
)
from wecom_bridge.models import Corp

T0 = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)
_numbers = count(1)


def at(minutes: float = 0, *, days: float = 0) -> datetime:
    """An instant after the tests' T0."""
    return T0 + timedelta(minutes=minutes, days=days)


# --- Rows, written directly ---------------------------------------------------------------------------------------


def make_corp(**overrides: Any) -> Corp:
    """A corp; the same one for every call without overrides."""
    if not overrides:
        found = Corp.objects.order_by("pk").first()
        if found:
            return found
    number = next(_numbers)
    return Corp.objects.create(
        **{"corp_id": f"ww{number:08d}", "name": f"企业{number}", "created_at": clock.wall(), **overrides}
    )


def make_region(name: str = "", **overrides: Any) -> Region:
    return Region.objects.create(name=name or f"大区{next(_numbers)}", **overrides)


def make_dealer(name: str = "", **overrides: Any) -> Dealer:
    return Dealer.objects.create(name=name or f"经销商{next(_numbers)}", **overrides)


def make_store(
    name: str = "", *, region: Region | None = None, dealer: Dealer | None = None, **overrides: Any
) -> Store:
    """A store and its placement, open since long ago."""
    number = next(_numbers)
    fields = {
        "code": f"S{number:04d}",
        "name": name or f"门店{number}",
        "region": region,
        "dealer": dealer,
        **overrides,
    }
    store = Store.objects.create(**fields)
    StorePlacement.objects.create(store=store, region=region, dealer=dealer, placed_from=T0 - timedelta(days=800))
    return store


def make_member(name: str = "", *, store: Store | None = None, user: Any = None, **overrides: Any) -> Member:
    """An active guide, placed at her store since long ago; `user`: the log-in that is she."""
    number = next(_numbers)
    fields = {
        "corp": overrides.pop("corp", None) or make_corp(), "userid": f"guide{number}", "name": name or f"导购{number}",
        "status": Member.Status.ACTIVE, "has_customer_contact": True, "store": store, **overrides,
    }  # fmt: skip
    member = Member.objects.create(**fields)
    if store is not None:
        MemberPlacement.objects.create(member=member, store=store, placed_from=T0 - timedelta(days=800))
    if user is not None:
        MemberAccount.objects.create(user=user, member=member)
    return member


def make_stages() -> dict[str, Stage]:
    """The seven seeded stages, by key."""
    seed_stages()
    return {stage.key: stage for stage in Stage.objects.all()}


def make_field(label: str = "", type_: str = "text", options: Sequence[str] = (), **overrides: Any) -> CustomField:
    """A custom field, by the service: `key` and whatever Settings has."""
    label = label or f"字段{next(_numbers)}"
    known = Settings(label=label, options=[("", option, False) for option in options])
    key = overrides.pop("key", f"f{next(_numbers)}")
    return add_field(type_, replace(known, **overrides), key=key, by=SYSTEM)


def make_contact(name: str = "", **overrides: Any) -> Contact:
    """A person without relations."""
    name = name or f"客户{next(_numbers)}"
    now = clock.now()
    return Contact.objects.create(
        **{"name": name, "search_text": name, "created_at": now, "updated_at": now, **overrides}
    )


def make_identity(contact: Contact, *, corp: Corp | None = None, value: str = "", kind: str = "external") -> Identity:
    """An external_userid of the person by default."""
    corp = corp or make_corp()
    scope = corp.open_account if kind == "unionid" else corp.corp_id
    value = value or f"wm{next(_numbers):010d}"
    return Identity.objects.create(kind=kind, scope=scope, value=value, contact=contact, created_at=clock.now())


def make_follow(
    contact: Contact | None = None, member: Member | None = None, *, added_at: datetime | None = None, own: bool = True, **overrides: Any
) -> Follow:  # fmt: skip
    """A relation with its open (or, for another `relation`, ended) period; her guide owns her by default."""
    member = member or make_member(store=make_store())
    contact = contact or make_contact()
    added_at = added_at or clock.now() - timedelta(days=10)
    identity = overrides.pop("identity", None) or contact.identities.filter(
        kind="external", scope=member.corp.corp_id
    ).first() or make_identity(contact, corp=member.corp)  # fmt: skip
    fields = {
        "corp": member.corp, "identity": identity, "contact": contact, "member": member, "relation": Relation.ACTIVE,
        "relation_since": added_at, "relation_proved_at": added_at, "added_at": added_at, "synced_at": added_at, **overrides,
    }  # fmt: skip
    follow = Follow.objects.create(**fields)
    ended = follow.relation != Relation.ACTIVE
    by = {"by_customer": "customer", "by_guide": "guide", "transferred": "transfer"}.get(
        str(follow.relation), "unknown"
    )
    FollowPeriod.objects.create(
        follow=follow, added_at=added_at, add_way=follow.add_way, state=follow.state, source="callback",
        ended_at=follow.relation_since if ended else None, ended_by=by if ended else "", store=member.store,
    )  # fmt: skip
    root = contact.root or contact
    root.active_follows += not ended
    root.first_added_at = min(root.first_added_at or added_at, added_at)
    root.last_added_at = max(root.last_added_at or added_at, added_at)
    if own and root.owner_id is None:
        root.owner, root.store = member, member.store
    root.save()
    return follow


def make_group(name: str = "", *, owner: Member | None = None, **overrides: Any) -> GroupChat:
    """A customer group without members."""
    number = next(_numbers)
    corp = overrides.pop("corp", None) or (owner.corp if owner else make_corp())
    fields = {
        "corp": corp, "chat_id": f"wr{number:08d}", "name": name or f"客户群{number}", "owner": owner,
        "owner_userid": owner.userid if owner else "", "store": owner.store if owner else None, "created_at": T0, **overrides,
    }  # fmt: skip
    return GroupChat.objects.create(**fields)


def make_alarm(member: Member | None = None, **overrides: Any) -> DeletionAlarm:
    """A guide who deleted nine customers on the tests' first day."""
    member = member or make_member(store=make_store())
    fields = {"day": T0.date(), "deleted": 9, "bound": 5.0, "raised_at": T0, "store": member.store, **overrides}
    return DeletionAlarm.objects.create(member=member, **fields)


def make_staff_change(member: Member | None = None, kind: str = "moved", **overrides: Any) -> StaffChange:
    """An open change: by default of a guide whose department stands for another store now."""
    member = member or make_member(store=make_store())
    fields = {"from_store": member.store, "to_store": make_store() if kind == "moved" else None, "found_at": clock.now(), **overrides}  # fmt: skip
    return StaffChange.objects.create(member=member, kind=kind, **fields)


def make_phone(contact: Contact, phone: str = "+8613800138000", source: str = "manual") -> ContactPhone:
    """A phone noted on a person, without anybody being told."""
    return ContactPhone.objects.create(contact=contact, phone=phone, source=source, created_at=clock.now())


def make_duplicate(first: Contact | None = None, second: Contact | None = None, **overrides: Any) -> Duplicate:
    """Two friends of guides who share a phone."""
    low, high = sorted((first or make_follow().contact, second or make_follow().contact), key=lambda one: one.pk)
    fields = {"keys": ["phone:+8613800138000"], "found_at": clock.now(), **overrides}
    return Duplicate.objects.create(first=low, second=high, **fields)


def make_clash(contact: Contact | None = None, **overrides: Any) -> Clash:
    """A customer of one guide who added another just now."""
    contact = contact or make_follow().contact
    number, now = next(_numbers), clock.now()
    fields = {
        "member": make_member(), "other": contact.owner, "fact_key": f"follow.added:test:{number}", "added_at": now,
        "noticed_at": now, **overrides,
    }  # fmt: skip
    return Clash.objects.create(contact=contact, **fields)


def make_phone_to_add(member: Member | None = None, phone: str = "", **overrides: Any) -> PhoneToAdd:
    """A phone of a batch: 待添加 of a guide, else 待分配."""
    number, now = next(_numbers), clock.now()
    batch = overrides.pop("batch", None) or PhoneBatch.objects.create(name="名单.csv", import_id=number, created_at=now)
    held = (
        {"member": member, "had": [member.pk], "state": "to_add", "recycle_at": now + timedelta(days=7)}
        if member
        else {}
    )
    fields = {
        "phone": phone or f"+861390000{number % 10000:04d}",
        "created_at": now,
        "state_at": now,
        **held,
        **overrides,
    }
    return PhoneToAdd.objects.create(batch=batch, **fields)


# --- WeCom's words -------------------------------------------------------------------------------------------------


def follow_info(userid: str, created_at: datetime, **overrides: Any) -> FollowInfo:
    return FollowInfo(userid=userid, created_at=created_at, **overrides)


def person_row(
    external_userid: str, *follows: FollowInfo, name: str = "小圆子", complete: bool = True, **info: Any
) -> PersonRow:
    person = ExternalContactInfo(external_userid=external_userid, name=name, kind=1, **info)
    return PersonRow(person, tuple(follows), complete)


def event_fact(change_type: str, external_userid: str, userid: str, occurred_at: datetime, **fields: str) -> EventFact:
    """An event of change_external_contact."""
    return EventFact(
        event_id=next(_numbers), event="change_external_contact", change_type=change_type, occurred_at=occurred_at,
        received_at=occurred_at, fields={"ExternalUserID": external_userid, "UserID": userid, **fields},
    )  # fmt: skip


def people_batch(
    *rows: PersonRow, corp: Corp | None = None, source: str = "callback", read_at: datetime | None = None,
    events: Sequence[EventFact] = (), gone: Sequence[tuple[str, str]] = (), alongside: bool = False,
) -> PeopleBatch:  # fmt: skip
    # source: a plain string here, so that a test may name any; the contract knows its words.
    return PeopleBatch(corp or make_corp(), source, read_at or clock.now(), rows, events, gone, alongside)  # type: ignore[arg-type]


def members_batch(*members: MemberInfo, corp: Corp | None = None, **overrides: Any) -> MembersBatch:
    fields = {"source": "callback", "read_at": clock.now(), "members": members, **overrides}
    return MembersBatch(corp=corp or make_corp(), **fields)


def group_member(userid: str, joined_at: datetime, *, kind: int = 2, **overrides: Any) -> GroupMemberInfo:
    return GroupMemberInfo(
        userid=userid, kind=kind, joined_at=joined_at, join_scene=overrides.pop("join_scene", 3), **overrides
    )


def group_info(chat_id: str, owner: str, members: Iterable[GroupMemberInfo], **overrides: Any) -> GroupChatInfo:
    fields = {
        "name": "静安寺福利群",
        "created_at": T0,
        "notice": "",
        "admin_userids": (),
        "member_version": "v1",
        **overrides,
    }
    return GroupChatInfo(chat_id=chat_id, owner_userid=owner, members=tuple(members), **fields)


def groups_batch(*groups: GroupChatInfo, corp: Corp | None = None, **overrides: Any) -> GroupsBatch:
    fields = {"source": "callback", "read_at": clock.now(), "groups": groups, **overrides}
    return GroupsBatch(corp=corp or make_corp(), **fields)
