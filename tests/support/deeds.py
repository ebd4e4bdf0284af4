"""What people, guides and the merchant do in a world, through the services that do it: each leaves its own marks behind."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from campaigns.models import Enrollment
from campaigns.services.sop_running import leave_all
from commerce.models import Order, Product
from commerce.services.orders import upsert_orders
from commerce.services.refunds import LateRefund, upsert_refunds
from commerce.services.rows import LineRow, OrderRow, RefundRow
from contacts.models import (
    Contact,
    ContactMerge,
    Follow,
    GroupChat,
    GroupMembership,
    GroupTag,
    Identity,
    Member,
    Stage,
    Store,
)
from contacts.services.consents import record_consent
from contacts.services.custom_values import set_values
from contacts.services.grouptags import put_on, take_off
from contacts.services.merging import merge_roots, undo_merge
from contacts.services.opt_out import end_opt_out, set_opt_out
from contacts.services.organisation import save_store
from contacts.services.ownership import assign_owner
from contacts.services.phones import add_phones
from contacts.services.stages import change_stage
from contacts.timeline import NewEvent, record_events
from tagging.models import FollowTag, Segment
from tagging.services.marks import mark_tags
from tagging.services.segment_pins import pin, unpin
from tagging.services.static_lists import fill_static
from tenants.audit import SYSTEM
from tests.reference.chance import CATEGORIES, KINDS, SOURCES, STATES, WAYS, World
from tests.reference.surroundings import CUSTOM
from tests.support import contacts as words
from wecom_bridge.contracts import MemberInfo, handlers_for
from wecom_bridge.models import Corp


@dataclass
class Life:
    """Somebody's part of a world. mine: whom she may touch, of several who act at once. segments: the followed ones."""

    r: Random
    world: World
    now: datetime
    mine: Callable[[int], bool]
    segments: list[Segment]

    @property
    def corp(self) -> Corp:
        """The world's."""
        return Corp.objects.get(corp_id=f"wwref{self.world.seed}")

    def contact(self, *, root: bool = True) -> Contact:
        """One of hers; root: a person, not a row merged into one."""
        rows = Contact.objects.filter(erased_at__isnull=True, **({"root__isnull": True} if root else {})).order_by("pk")
        return self.r.choice([row for row in rows if self.mine(row.root_id or row.pk)])

    def follow(self) -> Follow:
        """A relation of one of hers."""
        rows = Follow.objects.select_related("identity", "member", "contact").order_by("pk")
        return self.r.choice([row for row in rows if self.mine(row.contact.root_id or row.contact_id)])

    def one(self, pool: str) -> Any:
        """One of what trees may name."""
        return self.r.choice(self.world.pools[pool])

    def before(self) -> datetime:
        """Now or some time ago, often just where a window ends; now and then something that is still to come."""
        ago = self.r.choice((0, 0, 1, 2, 7, 30)) * 86_400_000_000 + self.r.choice(
            (-1, 0, 0, 1, 3_600_000_000, -7_200_000_000)
        )
        return self.now - timedelta(microseconds=ago)


def _number(life: Life) -> str:
    return f"D{life.r.randrange(10**12)}"


def _deliver(kind: Any, batch: Any) -> None:
    for handler in handlers_for(kind):
        handler(batch)


# --- Tags, stages, owners -----------------------------------------------------------------------------------------


def tag_on(life: Life) -> None:
    tags = life.r.sample(life.world.pools["tag"], 2)
    mark_tags([life.follow().pk], add=tags, origin="operator", by=SYSTEM, at=life.now)


def tag_off(life: Life) -> None:
    marks = [
        mark
        for mark in FollowTag.objects.order_by("pk").select_related("contact")
        if life.mine(mark.contact.root_id or mark.contact_id)
    ]
    mark = life.r.choice(marks)
    mark_tags([mark.follow_id], remove=[mark.tag_id], origin="operator", by=SYSTEM, at=life.now)


def stage(life: Life) -> None:
    to = Stage.objects.get(pk=life.one("stage"))
    change_stage([life.contact().pk], to, source="manual", reason="聊过", by=SYSTEM, at=life.now)


def owner(life: Life) -> None:
    to = life.r.choice([None, *Member.objects.filter(pk__in=life.world.pools["member"])])
    assign_owner([life.contact().pk], to, by=SYSTEM, at=life.now, must_be_friend=False)


# --- Relations ----------------------------------------------------------------------------------------------------


def deleted_by_her(life: Life) -> None:
    follow = life.follow()
    fact = words.event_fact("del_follow_user", follow.identity.value, follow.member.userid, life.now)
    _deliver("people", words.people_batch(events=(fact,), corp=life.corp, read_at=life.now))


def added_again(life: Life) -> None:
    follow = life.follow()
    _read(life, follow.identity.value, follow.member.userid, life.now - timedelta(minutes=life.r.randrange(90)))


def added_by_another(life: Life) -> None:
    identity = life.follow().identity
    guide = Member.objects.get(pk=life.one("member"))
    _read(life, identity.value, guide.userid, life.now - timedelta(minutes=life.r.randrange(90)))


def newcomer(life: Life) -> None:
    guide = Member.objects.get(pk=life.one("member"))
    _read(life, f"wmnew{_number(life)}", guide.userid, life.now)


def _read(life: Life, external: str, userid: str, added_at: datetime) -> None:
    """WeCom's word of somebody with one guide; where it is the whole truth, her other guides are gone."""
    r = life.r
    told = words.follow_info(
        userid, added_at, add_way=r.choice(WAYS), state=r.choice(STATES), remark=r.choice(("", "老客")),
        remark_mobiles=r.choice(((), ("13900000001",))),
    )  # fmt: skip
    row = words.person_row(external, told, name=r.choice(("王小美", "Wang", "小美")), complete=r.random() < 0.5)
    _deliver("people", words.people_batch(row, corp=life.corp, read_at=life.now))


def guide_leaves(life: Life) -> None:
    guide = Member.objects.get(pk=life.one("member"))
    status = life.r.choice(("active", "disabled", "inactive"))
    info = MemberInfo(guide.userid, guide.name, (1,), status, True)
    _deliver("members", words.members_batch(info, corp=life.corp, read_at=life.now))


# --- Orders -------------------------------------------------------------------------------------------------------


def orders(life: Life) -> None:
    r = life.r
    lines = tuple(
        LineRow("商品", Decimal(1), r.choice((0, 500, 1000)), f"REF{r.randrange(5)}", r.choice(CATEGORIES))
        for _ in range(r.randrange(3))
    )
    row = OrderRow(
        _number(life), r.choice((0, 500, 1000, 100_000)), life.before(), external_userid=life.follow().identity.value,
        store_id=r.choice((None, life.one("store"))), member_id=r.choice((None, life.one("member"))), lines=lines,
    )  # fmt: skip
    upsert_orders([row], source=r.choice(SOURCES), by=SYSTEM)


def _an_order(life: Life) -> Order:
    found = Order.objects.filter(contact__isnull=False).select_related("contact").order_by("pk")
    return life.r.choice([row for row in found if row.contact and life.mine(row.contact.root_id or row.contact.pk)])


def cancels(life: Life) -> None:
    order = _an_order(life)
    status = life.r.choice(("cancelled", "paid"))
    row = OrderRow(
        order.number,
        order.total_minor,
        order.ordered_at,
        status=status,
        member_id=order.member_id,
        store_id=order.store_id,
    )
    upsert_orders([row], source=order.source, by=SYSTEM)


def returns(life: Life) -> None:
    order = _an_order(life)
    refund = RefundRow(_number(life), life.r.choice((1, 500)), life.before())
    upsert_refunds([LateRefund(order.number, refund)], source=order.source, by=SYSTEM)


def product_moves(life: Life) -> None:
    """A product's category comes with the line that names it."""
    product = Product.objects.get(pk=life.one("product"))
    line = LineRow(product.name, Decimal(1), 500, product.code, life.r.choice(CATEGORIES))
    row = OrderRow(_number(life), 500, life.before(), external_userid=life.follow().identity.value, lines=(line,))
    upsert_orders([row], source="pos", by=SYSTEM)


# --- What is noted of her -----------------------------------------------------------------------------------------


def happens(life: Life) -> None:
    fact = NewEvent(
        life.r.choice(KINDS), life.before(), "product", _number(life), contact_id=life.contact(root=False).pk,
        member_id=life.one("member"), store_id=life.one("store"),
    )  # fmt: skip
    record_events([fact])


def fills_in(life: Life) -> None:
    drawn = _Drawn(life)
    key = life.r.choice(sorted(CUSTOM))
    value = None if life.r.random() < 0.3 else CUSTOM[key][1](drawn)  # type: ignore[arg-type]  # each maker takes what its own kind drew
    birthdays = {life.contact().pk: drawn.day()} if life.r.random() < 0.3 else None
    set_values({life.contact().pk: {key: value}}, by=SYSTEM, at=life.now, birthdays=birthdays)


class _Drawn:
    """What CUSTOM draws from."""

    def __init__(self, life: Life) -> None:
        self.r, self._now = life.r, life.now

    def day(self) -> Any:
        return (self._now + timedelta(days=self.r.choice((-365, -2, -1, 0, 1, 2, 7, 30)))).date()


def leaves_us_alone(life: Life) -> None:
    contact = life.contact()
    if life.r.random() < 0.6:
        set_opt_out(contact.pk, life.r.choice(("30", "90", "forever")), by=SYSTEM, at=life.now)
    else:
        end_opt_out(contact.pk, by=SYSTEM, at=life.now)


def consents(life: Life) -> None:
    day = (life.now - timedelta(days=life.r.choice((0, 1, 3)))).date()
    record_consent(
        life.contact().pk, purpose=life.r.choice(("messages", "profile", "sharing")), decision=life.r.choice(("given", "withdrawn")),
        channel="store", source="customer", evidence="登记表", on=day - timedelta(days=1), by=SYSTEM, at=life.now,
    )  # fmt: skip


def phone(life: Life) -> None:
    add_phones([(life.contact(root=False).pk, "+8613900000009", "manual")], now=life.now)


# --- Groups, stores, SOPs -----------------------------------------------------------------------------------------


def group_changes(life: Life) -> None:
    """WeCom's list of a group: somebody gone, somebody come."""
    chat = GroupChat.objects.get(pk=life.one("chat"))
    standing = list(GroupMembership.objects.filter(group=chat, left_at__isnull=True).order_by("pk"))
    kept = life.r.sample(standing, max(0, len(standing) - life.r.choice((0, 1, 3))))
    come = life.r.sample(list(Identity.objects.filter(kind="external").order_by("pk")), life.r.choice((0, 1, 2)))
    listed = [words.group_member(row.userid, row.joined_at, kind=row.kind) for row in kept]
    listed += [words.group_member(one.value, life.now) for one in come]
    info = words.group_info(chat.chat_id, "ref0", listed, name=chat.name, member_version=_number(life))
    _deliver("groups", words.groups_batch(info, corp=life.corp, read_at=life.now))


def group_is_tagged(life: Life) -> None:
    chat, tag = GroupChat.objects.get(pk=life.one("chat")), GroupTag.objects.get(pk=life.one("chat_tag"))
    if life.r.random() < 0.5:
        put_on([chat], tag, by=SYSTEM)
    else:
        take_off([chat], tag.pk, by=SYSTEM)


def store_changes(life: Life) -> None:
    store, r = Store.objects.get(pk=life.one("store")), life.r
    match r.randrange(3):
        case 0:
            store.is_open = not store.is_open
        case 1:
            store.region_id, store.dealer_id = life.one("region"), r.choice((None, life.one("dealer")))
        case 2:
            store.closed_on = r.choice((None, (life.now + timedelta(days=r.choice((-1, 0, 1, 2)))).date()))
    save_store(store, by=SYSTEM)


def leaves_a_sop(life: Life) -> None:
    runs = Enrollment.objects.filter(contact=life.contact(root=False), state="running")
    leave_all(runs, "exit_rule", life.now)


# --- People who are one, segments by hand -------------------------------------------------------------------------


def merges(life: Life) -> None:
    first, second = life.contact(), life.contact()
    if first.pk != second.pk:
        merge_roots([(first.pk, second.pk)], now=life.now, source="manual")


def parts(life: Life) -> None:
    merges_ = [
        one for one in ContactMerge.objects.filter(undone_at__isnull=True).order_by("-pk") if life.mine(one.kept_id)
    ]
    if merges_:
        undo_merge(merges_[0].pk, by=SYSTEM)


def pins(life: Life) -> None:
    segment = life.r.choice(life.segments)
    some = [life.contact(root=False).pk for _ in range(2)]
    if life.r.random() < 0.7:
        pin(segment, some, is_in=life.r.random() < 0.5, reason="", by=SYSTEM)
    else:
        unpin(segment, [*some, *Contact.objects.values_list("pk", flat=True)[:20]], by=SYSTEM)


def fills_a_list(life: Life) -> None:
    static = life.r.choice(list(Segment.objects.filter(kind="static", archived_at__isnull=True).order_by("pk")))
    how: Any = life.r.choice(("add", "remove"))
    fill_static(static, [life.contact(root=False).pk for _ in range(3)], how=how, by=SYSTEM)


def is_renamed(life: Life) -> None:
    """WeCom tells another name, and nothing of her guides."""
    follow = life.follow()
    row = words.person_row(follow.identity.value, name=life.r.choice(("王小美", "wang", "a_b", "100%")), complete=False)
    _deliver("people", words.people_batch(replace(row), corp=life.corp, read_at=life.now))


DEEDS: tuple[Callable[[Life], None], ...] = (
    tag_on, tag_on, tag_off, stage, owner, deleted_by_her, added_again, added_by_another, newcomer, guide_leaves, orders, orders, cancels,
    returns, product_moves, happens, happens, fills_in, fills_in, leaves_us_alone, consents, phone, group_changes, group_is_tagged,
    store_changes, leaves_a_sop, merges, parts, pins, fills_a_list, is_renamed,
)  # fmt: skip
