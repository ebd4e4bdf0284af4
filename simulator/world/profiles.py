"""What a customer and a relation look like in the beginning, as the fields of WeCom's answers."""

from dataclasses import dataclass, field

from simulator.world.base import BaseWorld
from simulator.world.draw import Shuffle, draw
from simulator.world.ids import IdMint, digest_letters
from simulator.world.names import nickname, plain_name

CORP_NAMES = ["远山设计", "青禾贸易", "南桥物业", "云栈科技", "百味餐饮"]
PERSONAL_TAGS = ["常来", "需回访", "老乡", "闺蜜介绍"]


@dataclass
class Follow:
    """One relation as WeCom keeps it. Times are Unix seconds of the domain clock; tags are corp tag ids; `greeted` when
    its welcome code was used."""

    createtime: int
    add_way: int = 1
    state: str = ""
    remark: str = ""
    description: str = ""
    mobiles: list[str] = field(default_factory=list)
    company: str = ""
    tags: list[str] = field(default_factory=list)
    personal_tags: list[str] = field(default_factory=list)
    oper_userid: str = ""
    half: bool = False
    deleted_by_customer: bool = False
    chatting: bool = False
    greeted: bool = False
    last_contact: int = 0
    remark_pic_mediaid: str = ""


@dataclass
class Customer:
    """A person outside; `type` 1 uses WeChat, 2 uses WeCom. `phone` is true but unseen unless a guide noted it."""

    external_userid: str
    name: str
    type: int
    gender: int
    phone: str
    unionid: str = ""
    avatar: str = ""
    corp_name: str = ""
    position: str = ""

    def public(self) -> dict:
        """The `external_contact` object; keys that do not apply are absent."""
        shown: dict = {
            "external_userid": self.external_userid,
            "name": self.name,
            "type": self.type,
            "avatar": self.avatar,
            "gender": self.gender,
        }
        if self.type == 2:
            shown |= {"position": self.position, "corp_name": self.corp_name, "corp_full_name": self.corp_name}
            shown["external_profile"] = {"external_attr": []}
        elif self.unionid:
            shown["unionid"] = self.unionid
        return shown


class TagShares:
    """Which customers carry a scenario's tag, in exact numbers: windows over one shuffle per exclusive group."""

    def __init__(self, base: BaseWorld, tag_ids: dict[tuple[str, str], str]) -> None:
        self._windows: list[tuple[Shuffle, int, int, str]] = []
        for group in base.scenario.tag_groups:
            begin = 0
            for tag in group.tags:
                key = group.name if group.exclusive else f"{group.name}/{tag.name}"
                shuffle = Shuffle(base.active, base.key, "tag", key)
                first = begin if group.exclusive else 0
                self._windows.append((shuffle, first, first + tag.customers, tag_ids[group.name, tag.name]))
                begin += tag.customers

    def of(self, customer: int) -> list[str]:
        """The corp tag ids the customer carries in the beginning, on the first follower's side."""
        return [tag for shuffle, low, high, tag in self._windows if low <= shuffle(customer) < high]


class Profiles:
    """Draws people and relations on demand."""

    def __init__(self, base: BaseWorld, shares: TagShares) -> None:
        self.base, self.shares = base, shares
        self.unionids = IdMint(base.key, "unionid", length=27)
        self._store_words = {row.id: row.name.replace("上海", "")[:2] for row in base.scenario.departments}

    def kind(self, number: int) -> int:
        """2 for the 1 in 200 who uses WeCom, else 1."""
        return 2 if draw(self.base.key, "person", number) % 200 == 7 else 1

    def customer(self, number: int, external_userid: str, name: str = "") -> Customer:
        """The person behind `number`; 6 in 10 go by a nickname, 1 in 200 uses WeCom."""
        roll = draw(self.base.key, "person", number)
        kind = 2 if roll % 200 == 7 else 1
        shown = nickname(roll >> 16) if (roll >> 8) % 100 < 60 and kind == 1 else plain_name(roll >> 16)
        person = Customer(
            external_userid=external_userid,
            name=name or shown,
            type=kind,
            gender=(2, 2, 2, 2, 1, 0)[(roll >> 32) % 6],
            phone=f"1{(38, 39, 58, 77, 86, 91)[(roll >> 36) % 6]}{(roll >> 4) % 100_000_000:08d}",
            avatar=f"https://wx.qlogo.cn/mmhead/{digest_letters(self.base.key, number, length=24)}/0",
        )
        if kind == 2:
            person.corp_name = CORP_NAMES[(roll >> 40) % len(CORP_NAMES)]
            person.position = "职员"
        elif self.base.scenario.unionid:
            person.unionid = "o" + self.unionids.body(number)
        return person

    def follow(self, guide: int, number: int, person: Customer) -> Follow:
        """The relation of `guide` and customer `number` in the beginning."""
        base = self.base
        second = base.first_guide(number) != guide
        roll = draw(base.key, "follow", number, guide)
        state, add_way = base.channel(number, second=second)
        created = base.second_added_at(number) if second else base.added_at(number)
        userid = base.guides[guide].userid
        return Follow(
            createtime=created,
            add_way=add_way,
            state=state,
            remark=self._remark(roll, guide, person),
            description=("", "", "", "", "生日已记", "常带朋友来")[(roll >> 8) % 6],
            mobiles=[person.phone] if (roll >> 16) % 100 < 18 else [],
            tags=[] if second else self.shares.of(number),
            personal_tags=[PERSONAL_TAGS[(roll >> 24) % 4]] if (roll >> 20) % 100 < 5 else [],
            oper_userid=userid if (roll >> 28) % 2 else person.external_userid,
            last_contact=created,
        )

    def _remark(self, roll: int, guide: int, person: Customer) -> str:
        """The name as it came, or what guides make of it: 王姐-敏感肌-静安."""
        notes = self.base.scenario.remark_notes
        if (roll >> 32) % 100 >= 45 or not notes:
            return person.name
        call = plain_name(roll >> 40) if (roll >> 36) % 3 else person.name
        store = self._store_words.get(self.base.guides[guide].department, "")
        return "-".join([call, notes[(roll >> 48) % len(notes)], store][: 2 + (roll >> 44) % 2])[:20]
