"""蔓枝护肤: 24 stores, 118 guides, 11,704 customers."""

from demo.scenarios.model import MonthSales, Outcome, Scenario, StoreData, UserData

_DEALER = "锦禾商贸"
_EAST = ("上海静安寺", "上海五角场", "上海世纪大道", "杭州湖滨", "杭州城西", "南京新街口", "苏州观前", "无锡三阳", "宁波天一",
         "合肥淮河路", "温州五马街")  # fmt: skip
_SOUTH = ("广州北京路", "广州天河", "深圳东门", "深圳海岸", "佛山祖庙", "东莞东城", "厦门中山路", "福州东街口")
_WEST = ("成都春熙", "成都盐市口", "重庆解放碑", "昆明南屏街", "贵阳喷水池")
_OF_DEALER = {"温州五马街", "佛山祖庙", "昆明南屏街", "贵阳喷水池"}
_REGIONS = {"华东": _EAST, "华南": _SOUTH, "西南": _WEST}


def _stores() -> tuple[StoreData, ...]:
    rows: list[StoreData] = []
    for region, names in _REGIONS.items():
        for name in names:
            number = 101 + len(rows)
            dealer = _DEALER if name in _OF_DEALER else ""
            phone = f"400-820-{number:04d}"
            rows.append(StoreData(number, f"MZ{number}", f"{name}店", name[:2], region, dealer, phone, f"{name}商圈"))
    return tuple(rows)


SCENARIO = Scenario(
    slug="manzhi",
    name="蔓枝护肤",
    world="chain",
    regions=tuple(_REGIONS),
    dealers=(_DEALER,),
    stores=_stores(),
    users=(
        UserData("limin", "李敏", "hq", userid="limin", key="hq", extra_roles=(("operator", "all", ""),)),
        UserData("hejia", "何佳", "approver", userid="hejia", key="approver"),
        UserData("zhouting", "周婷", "region", "region", "华东", userid="zhouting", key="region"),
        UserData(
            "chenjing", "陈婧", "store", "store", "上海静安寺店", userid="chenjing", key="store",
            extra_roles=(("guide", "self", ""),),
        ),
        UserData("linxiaoya", "林小雅", "guide", "self", userid="linxiaoya", key="guide"),
        UserData("gaoyuan", "高远", "it", userid="gaoyuan", key="it"),
    ),
    stages={
        "new": 1873, "interested": 2341, "first_order": 2926, "repeat": 2107, "loyal": 878, "dormant": 1053, "lapsed": 526,
    },
    new_without_order=611,
    month=MonthSales(
        buyers=2130, orders=3077, net_minor=96_002_400, all_channels_minor=428_600_000, unbound_orders=212, refunds=64
    ),
    products=(
        ("XH-001", "舒缓修护精华 30ml", "修护", 32_800),
        ("XH-002", "屏障修护霜 50g", "修护", 25_900),
        ("JM-001", "氨基酸洁面 120g", "洁面", 12_800),
        ("BS-001", "玻尿酸补水面膜 5片", "面膜", 9_900),
        ("KL-001", "抗老紧致眼霜 15ml", "抗老", 39_900),
        ("KL-002", "胜肽抗老面霜 50g", "抗老", 46_800),
        ("MB-001", "烟酰胺亮肤水 150ml", "美白", 19_800),
        ("FS-001", "轻薄防晒乳 50ml", "防晒", 15_900),
    ),
    exclusive_groups=("肤质", "来源", "价值"),
    gone=1156,
    loyal_birthdays=73,
    repair=("敏感肌", "修护", 486),
    broadcast=Outcome(
        excluded={"quota": 118, "not_friend": 97, "cap": 84, "opt_out": 61, "no_guide": 42},
        holdout=301, guides=104, confirmed_guides=88, confirmed=4843, not_friend=49, quota=68, expired=874,
        planned_buyers=389, holdout_buyers=14,
    ),
    poster_tag="门店扫码",
    sop_author="limin",
    sop_approver="hejia",
    welcome=(
        "{客户昵称}您好,我是{门店名}的{导购名}。护肤有疑问随时问我。新人礼:7天内任选正装减30元,点下方小程序领取~"
    ),
)  # fmt: skip
