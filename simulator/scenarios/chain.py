"""蔓枝护肤: 24 stores in three regions, 118 guides, 11,704 customers."""

from simulator.scenarios.model import Channel, Department, Owner, Person, Scenario, Tag, TagGroup

REGIONS = {
    2: ("华东大区", 54, ["上海静安寺", "上海五角场", "上海世纪大道", "杭州湖滨", "杭州城西", "南京新街口", "苏州观前",
                     "无锡三阳", "宁波天一", "合肥淮河路", "温州五马街"]),
    3: ("华南大区", 40, ["广州北京路", "广州天河", "深圳东门", "深圳海岸", "佛山祖庙", "东莞东城", "厦门中山路",
                     "福州东街口"]),
    4: ("西南大区", 24, ["成都春熙", "成都盐市口", "重庆解放碑", "昆明南屏街", "贵阳喷水池"]),
}  # fmt: skip
HEADQUARTERS = 5
JINGAN, HUBIN = 101, 104
NAMED = {
    (JINGAN, 0): Person(JINGAN, "陈婧", "chenjing", position="店长", leader=True, customers=236),
    (JINGAN, 1): Person(JINGAN, "林小雅", "linxiaoya", customers=428),
    (HUBIN, 1): Person(HUBIN, "王悦", "wangyue", customers=412),
}
OTHER_OWNERS = 29
CHANNELS = (
    Channel("store_counter", 1, recent=338, weight=60),
    Channel("tester_card", 1, recent=121, weight=14),
    Channel("parcel_card", 1, recent=96, weight=10),
    Channel("oa_menu", 1, recent=58, weight=8),
    Channel("xiaohongshu", 1, recent=47, weight=4),
    Channel("cobrand_yingjian", 1, recent=44, weight=1),
    Channel("referral", 1, recent=31, weight=2),
    Channel("", 10, recent=7, weight=1),
)
TAG_GROUPS = (
    TagGroup("肤质", (Tag("油皮", 2104), Tag("干皮", 2488), Tag("敏感肌", 1376)), exclusive=True),
    TagGroup("关注功效", (Tag("抗老", 1902), Tag("美白", 1544), Tag("祛痘", 871), Tag("敏感皮", 46))),
    TagGroup("来源", (Tag("门店扫码", 7310), Tag("小红书", 402), Tag("公众号", 958)), exclusive=True),
    TagGroup("价值", (Tag("高客单≥¥800", 914), Tag("价格敏感", 1260)), exclusive=True),
    TagGroup("触达", (Tag("免打扰", 203),), by="console"),
)


def _stores() -> list[tuple[int, str, int, int]]:
    """(department, name, region, guides) of each store; a region's guides are spread evenly, the rest to the first."""
    rows = []
    for region, (_name, guides, names) in REGIONS.items():
        each, rest = divmod(guides, len(names))
        for position, name in enumerate(names):
            rows.append((101 + len(rows), name, region, each + (position < rest)))
    return rows


def _departments() -> tuple[Department, ...]:
    regions = [Department(region, name, 1) for region, (name, _guides, _names) in REGIONS.items()]
    stores = [Department(number, name, region) for number, name, region, _guides in _stores()]
    return (Department(1, "蔓枝护肤", 0), *regions, Department(HEADQUARTERS, "总部", 1), *stores)


def _people() -> tuple[Person, ...]:
    office = [
        Person(HEADQUARTERS, "李敏", "limin", position="私域负责人", leader=True, contact=False),
        Person(HEADQUARTERS, "何佳", "hejia", position="审批", contact=False),
        Person(HEADQUARTERS, "高远", "gaoyuan", position="IT", contact=False),
        Person(2, "周婷", "zhouting", position="大区经理", leader=True, contact=False),
    ]
    guides = []
    for number, _name, _region, count in _stores():
        for seat in range(count):
            plain = Person(number, position="店长" if seat == 0 else "导购", leader=seat == 0)
            guides.append(NAMED.get((number, seat), plain))
    return (*office, *guides)


def build() -> Scenario:
    """96 groups: 陈婧 owns 4, 王悦 5, and 29 other guides 3 each."""
    return Scenario(
        name="chain",
        corp_name="蔓枝护肤",
        departments=_departments(),
        people=_people(),
        active=11_704,
        ever=12_860,
        relations=13_942,
        growth=((396, 0), (365, 6318), (30, 10_962), (0, 11_704)),
        tag_groups=TAG_GROUPS,
        channels=CHANNELS,
        owners=(Owner(4, "chenjing"), Owner(5, "wangyue"), *(Owner(3) for _ in range(OTHER_OWNERS))),
        remark_notes=("敏感肌", "油皮", "干皮", "抗老", "爱问价", "老客", "会员日必来", "美白"),
        unionid=True,
    )
