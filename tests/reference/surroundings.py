"""What a world has before its people: places, guides, stages, tags, segments, groups, products and fields of the merchant's own."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from commerce.models import Product
from contacts.models import CustomField, Dealer, GroupChat, GroupTag, GroupTagging, Member, Region, Stage, Store
from tagging.models import Segment, Tag, TagGroup
from tests.reference.chance import CATEGORIES, NAMES, SOURCES, STATES, WAYS, Chance, write
from wecom_bridge.models import Corp

CUSTOM: dict[str, tuple[str, Callable[[Chance], Any]]] = {
    "c_text": ("text", lambda b: b.r.choice(NAMES)),
    "c_long": ("long", lambda b: b.r.choice(("一行\n两行", "x" * 300, ""))),
    "c_int": ("int", lambda b: b.r.choice((0, 1, -1, 5, 6, 10**14))),
    "c_dec": ("dec", lambda b: b.r.choice((0, 0.1, 0.3, 5.5, -2.25, 5, 99999999999.9999))),
    "c_date": ("date", lambda b: b.day().isoformat()),
    "c_flag": ("flag", lambda b: b.r.choice((True, False))),
    "c_one": ("one", lambda b: b.r.choice(("o1", "o2", "o9"))),
    "c_many": ("many", lambda b: b.r.sample(("o1", "o2", "o3"), b.r.randint(0, 3))),
    "c_phone": ("phone", lambda b: b.r.choice(("+8613800000000", "+8613800000001"))),
    "c_url": ("url", lambda b: b.r.choice(("https://a.example/", "https://b.example/x?y=1"))),
}
WRONG = (
    None,
    "",
    5,
    0,
    True,
    False,
    "true",
    "5",
    "2026-02-30",
    "2026-2-3",
    "2026-W09-1",
    "20260301",
    "x",
    [],
    ["o1"],
    [1, None],
    {},
    {"a": 1},
    1.5,
)


class Surroundings(Chance):
    """Writes them, and says in `world.pools` what trees may name."""

    def add_organisation(self) -> None:
        """The corp, regions, dealers, stores, guides of every status, stages."""
        r = self.r
        self.corp = Corp.objects.create(corp_id=f"wwref{self.world.seed}", name="企业", created_at=self.now)
        regions = self.keep("region", (Region(name=f"参照大区{n}") for n in range(2)))
        dealers = self.keep("dealer", (Dealer(name=f"参照经销商{n}") for n in range(2)))
        today = self.now.astimezone(ZoneInfo(self.zone)).date()
        near = (None, None, *(today + timedelta(days=n) for n in (-1, 0, 1)))
        stores = self.keep("store", [
            Store(
                code=f"R{n}", name=f"参照门店{n}", region=self.maybe(r.choice(regions)), dealer=self.maybe(r.choice(dealers), 0.5),
                is_open=r.random() < 0.8, archived_at=self.maybe(self.now, 0.1), opened_on=r.choice(near), closed_on=r.choice(near),
            )
            for n in range(4)
        ])  # fmt: skip
        statuses = ("active", "active", "active", "left", "disabled", "inactive", "unknown")
        self.members = self.keep("member", [
            Member(corp=self.corp, userid=f"ref{n}", name=f"导购{n}", status=statuses[n], store=self.maybe(r.choice(stores)), has_customer_contact=True)
            for n in range(len(statuses))
        ])  # fmt: skip
        write([Stage(key=f"ref{n}", name=f"参照阶段{n}", order=900 + n) for n in range(2)])
        self.world.pools["stage"] = list(Stage.objects.filter(is_archived=False).values_list("pk", flat=True))[-4:]

    def add_dictionary(self) -> None:
        """Tags, segments, groups, products, custom fields, and the words of what has no table."""
        r = self.r
        groups = self.keep("tag_group", [
            TagGroup(kind="internal", name="普通组"), TagGroup(kind="internal", name="互斥组", is_exclusive=True),
            TagGroup(kind="corp", corp=self.corp, wecom_group_id="etref", name="企业组"),
        ])  # fmt: skip
        self.tags = write([
            Tag(group=groups[n % 3], corp=self.corp if n % 3 == 2 else None, name=f"标签{n}", wecom_tag_id=f"etref{n}" if n % 3 == 2 else None)
            for n in range(8)
        ] + [Tag(group=groups[0], name="已删", deleted_at=self.now)])  # fmt: skip
        self.world.pools["tag"] = [tag.pk for tag in self.tags if tag.deleted_at is None]
        self.segments = write([
            Segment(name=f"参照人群{n}", kind="static", state="fresh", created_at=self.now, archived_at=self.now if n == 3 else None) for n in range(4)
        ])  # fmt: skip
        self.world.pools["segment"] = [segment.pk for segment in self.segments if segment.archived_at is None]
        self.chats = write([
            GroupChat(corp=self.corp, chat_id=f"wrref{n}", name=f"群{n}", created_at=self.now, dismissed_at=self.now if n == 3 else None)
            for n in range(4)
        ])  # fmt: skip
        self.world.pools["chat"] = [chat.pk for chat in self.chats if chat.dismissed_at is None]
        marks = self.keep("chat_tag", [GroupTag(name=f"参照群标签{n}", created_at=self.now) for n in range(3)])
        pairs = {(r.choice(marks).pk, r.choice(self.chats).pk) for _ in range(4)}
        write([GroupTagging(tag_id=tag, group_id=chat, tagged_at=self.now) for tag, chat in pairs])
        self.products = self.keep("product", [
            Product(code=f"REF{n}", name=f"商品{n}", category=CATEGORIES[n % len(CATEGORIES)]) for n in range(5)
        ])  # fmt: skip
        options = [{"id": f"o{n}", "label": f"选项{n}", "archived": n == 3} for n in (1, 2, 3)]
        write([
            CustomField(key=key, label=f"参照{key}", type=kind, options=options if kind in ("one", "many") else [], created_at=self.now)
            for key, (kind, _value) in CUSTOM.items()
        ])  # fmt: skip
        self.world.custom = {key: kind for key, (kind, _value) in CUSTOM.items()}
        self.world.pools |= {
            "gender": [0, 1, 2], "relation": ["active", "by_customer", "by_guide", "transferred", "unknown"], "way": list(WAYS),
            "state": sorted({state for state in STATES if state}), "by": ["customer", "guide", "transfer", "unknown"],
            "origin": ["sync", "guide", "operator", "rule", "code", "import", "api"], "source": list(SOURCES),
            "category": [category for category in CATEGORIES if category], "consent": ["given", "withdrawn"],
            "outcome": ["excluded", "holdout", "sent", "failed"], "reason": ["opt_out", "cap", "refused"],
            "push_kind": ["broadcast", "sop", "one_to_one"], "enrolment": ["running", "done", "exited"], "option": ["o1", "o2"],
        }  # fmt: skip
