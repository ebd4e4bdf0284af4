"""A chain of 1,500 stores: 24,000 guides and a million customers, the largest corp the product is made for."""

from simulator.scenarios.model import Channel, Department, Owner, Person, Scenario, Tag, TagGroup

REGIONS = {
    "华东大区": ("上海", "杭州", "南京", "苏州", "无锡", "宁波", "合肥", "温州", "济南", "青岛"),
    "华南大区": ("广州", "深圳", "佛山", "东莞", "珠海", "厦门", "福州", "南宁", "海口", "中山"),
    "华北大区": ("北京", "天津", "石家庄", "太原", "呼和浩特", "保定", "唐山", "廊坊", "邯郸", "大同"),
    "华中大区": ("武汉", "长沙", "郑州", "南昌", "洛阳", "宜昌", "襄阳", "株洲", "岳阳", "九江"),
    "西南大区": ("成都", "重庆", "昆明", "贵阳", "绵阳", "德阳", "遵义", "大理", "南充", "宜宾"),
    "北方大区": ("沈阳", "大连", "长春", "哈尔滨", "西安", "兰州", "银川", "西宁", "乌鲁木齐", "咸阳"),
}
PLACES = (
    "人民广场", "中山路", "解放路", "万象城", "大悦城", "银泰", "万达", "火车站", "大学城", "滨江", "湖滨", "老城厢",
    "新天地", "体育场", "高新区", "开发区", "步行街", "会展中心", "南门", "北门", "东门", "西门", "凯德", "龙湖", "吾悦",
)  # fmt: skip
FIRST_CITY, FIRST_STORE = 1_001, 10_001


def _departments(stores: int) -> tuple[Department, ...]:
    """The root, regions, cities, and stores given to the cities in turn."""
    rows = [Department(1, "蔓枝连锁", 0)]
    cities: list[Department] = []
    for number, (region, names) in enumerate(REGIONS.items()):
        rows.append(Department(2 + number, region, 1))
        cities += [Department(FIRST_CITY + len(cities) + n, name, 2 + number) for n, name in enumerate(names)]
    for number in range(stores):
        turn, place = divmod(number, len(cities))
        name = PLACES[turn % len(PLACES)] + (f"{turn // len(PLACES) + 1}店" if turn >= len(PLACES) else "")
        rows.append(Department(FIRST_STORE + number, cities[place].name + name, cities[place].id))
    return (*rows[: 1 + len(REGIONS)], *cities, *rows[1 + len(REGIONS) :])


def _people(stores: int, guides: int) -> tuple[Person, ...]:
    """A manager of each region, who serves nobody herself, and the guides of each store, its head first."""
    managers = [
        Person(2 + number, userid=f"region{number + 1}", position="大区经理", leader=True, contact=False)
        for number in range(len(REGIONS))
    ]
    seats = [(store, seat) for store in range(stores) for seat in range(guides)]
    staff = [
        Person(
            FIRST_STORE + store,
            userid=f"s{store + 1:04d}g{seat + 1:02d}",
            position="导购" if seat else "店长",
            leader=not seat,
        )
        for store, seat in seats
    ]
    return (*managers, *staff)


def build(stores: int = 1_500, guides: int = 16, customers: int = 1_000_000) -> Scenario:
    """`guides` in each of `stores`; one customer in ten has two followers, each store's head owns two groups."""
    return Scenario(
        name="chain1500",
        corp_name="蔓枝连锁",
        departments=_departments(stores),
        people=_people(stores, guides),
        active=customers,
        ever=customers * 105 // 100,
        relations=customers + (customers // 10 if stores * guides > 1 else 0),
        growth=((396, 0), (365, customers // 2), (30, customers * 94 // 100), (0, customers)),
        tag_groups=(
            TagGroup("肤质", tuple(Tag(name, customers // 6) for name in ("油皮", "干皮", "敏感肌")), exclusive=True),
            TagGroup("关注功效", tuple(Tag(name, customers // 8) for name in ("抗老", "美白", "祛痘", "修护"))),
            TagGroup("来源", tuple(Tag(name, customers // 5) for name in ("门店扫码", "小红书")), exclusive=True),
            TagGroup("触达", (Tag("免打扰", customers // 50),), by="console"),
        ),
        channels=(
            Channel("store_counter", 1, weight=6),
            Channel("parcel_card", 1, weight=2),
            Channel("oa_menu", 1, weight=1),
            Channel("", 10, weight=1),
        ),
        owners=tuple(Owner(2, f"s{store + 1:04d}g01") for store in range(stores)),
        remark_notes=("敏感肌", "油皮", "干皮", "抗老", "老客", "会员日必来"),
        unionid=True,
    )
