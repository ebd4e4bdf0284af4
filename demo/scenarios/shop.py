"""小满面包房: one shop, four people, one approver: the small end."""

from demo.scenarios.model import MonthSales, Scenario, StoreData, UserData

SCENARIO = Scenario(
    slug="xiaoman",
    name="小满面包房",
    world="shop",
    stores=(StoreData(2, "XM1", "南塘路店", "宁波", phone="0574-8700-0001", address="南塘路 18 号"),),
    users=(
        UserData(
            "fangxiaoman", "方小满", "hq", userid="fangxiaoman", key="hq",
            extra_roles=(("operator", "all", ""), ("approver", "all", ""), ("guide", "self", ""), ("it", "all", "")),
        ),
        UserData("wutong", "吴桐", "guide", "self", userid="wutong", key="guide"),
    ),
    stages={"new": 98, "interested": 141, "first_order": 168, "repeat": 112, "loyal": 47, "dormant": 36, "lapsed": 18},
    new_without_order=38,
    month=MonthSales(buyers=176, orders=402, net_minor=1_929_600, all_channels_minor=6_120_000, unbound_orders=9, refunds=3),
    products=(
        ("KS-01", "海盐可颂", "面包", 1_800),
        ("QM-01", "全麦欧包", "面包", 2_600),
        ("DG-01", "生日蛋糕 6 寸", "蛋糕", 16_800),
        ("BG-01", "原味贝果", "面包", 1_500),
        ("TS-01", "吐司整条", "面包", 2_800),
    ),
    exclusive_groups=("口味",),
    gone=48,
    loyal_birthdays=4,
    poster_tag="门店扫码",
    welcome="{客户昵称}你好呀,我是{门店名}的{导购名},今天出炉时间 8:00 和 15:00,想留面包直接跟我说~",
)  # fmt: skip
