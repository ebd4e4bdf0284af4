"""小满面包房: one shop, four people, 620 customers, three groups."""

from simulator.scenarios.model import Channel, Department, Owner, Person, Scenario, Tag, TagGroup


def build() -> Scenario:
    """The small end: no regions, one approver, no unionid."""
    return Scenario(
        name="shop",
        corp_name="小满面包房",
        departments=(Department(1, "小满面包房", 0), Department(2, "南塘路店", 1)),
        people=(
            Person(2, "方小满", "fangxiaoman", position="店主", leader=True, customers=248),
            Person(2, "吴桐", "wutong", position="店员", customers=162),
            Person(2, "宋佳怡", "songjiayi", position="店员", customers=131),
            Person(2, "何晨", "hechen", position="烘焙师", customers=79),
        ),
        active=620,
        ever=668,
        relations=704,
        growth=((396, 0), (365, 214), (30, 571), (0, 620)),
        tag_groups=(
            TagGroup("口味", (Tag("爱吃甜", 208), Tag("无糖", 96), Tag("全麦", 121)), exclusive=True),
            TagGroup("来源", (Tag("门店扫码", 402), Tag("外卖卡", 133)), exclusive=True),
            TagGroup("触达", (Tag("免打扰", 11),), by="console"),
        ),
        channels=(
            Channel("counter", 1, recent=31, weight=6),
            Channel("takeaway_card", 1, recent=12, weight=3),
            Channel("", 3, recent=6, weight=1),
        ),
        owners=(Owner(2, "fangxiaoman"), Owner(1, "wutong")),
        group_names=("小满面包房·早鸟群", "小满面包房·下午茶群", "小满面包房·邻居群"),
        group_size=(42, 128),
        remark_notes=("无糖", "爱可颂", "生日蛋糕", "附近公司", "全麦"),
    )
