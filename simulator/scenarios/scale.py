"""A corp of any size, for benchmarks."""

from simulator.scenarios.model import Channel, Department, Owner, Person, Scenario, Tag, TagGroup

PER_STORE = 20


def build(members: int = 100, customers: int = 50_000, groups: int = 0, extra: int = 10) -> Scenario:
    """`members` guides in stores of 20, `customers` active, `groups` of them owned in turn; `extra` percent of the
    customers have a second follower."""
    stores = max(1, -(-members // PER_STORE))
    departments = (Department(1, "规模测试", 0),) + tuple(
        Department(100 + n, f"第{n + 1:04d}店", 1) for n in range(stores)
    )
    people = tuple(
        Person(100 + n // PER_STORE, userid=f"guide{n + 1:05d}", leader=n % PER_STORE == 0) for n in range(members)
    )
    each, rest = divmod(groups, max(members, 1))
    owners = tuple(Owner(each + (n < rest), person.userid) for n, person in enumerate(people) if each + (n < rest))
    return Scenario(
        name="scale",
        corp_name="规模测试",
        departments=departments,
        people=people,
        active=customers,
        ever=customers,
        relations=customers + (customers * extra // 100 if members > 1 else 0),
        growth=((396, 0), (365, customers // 2), (30, customers * 94 // 100), (0, customers)),
        tag_groups=(
            TagGroup("等级", tuple(Tag(name, customers // 5) for name in ("普通", "银卡", "金卡")), exclusive=True),
            TagGroup("关注", tuple(Tag(f"关注{n + 1}", customers // 10) for n in range(10))),
        ),
        channels=(Channel("code_1", 1, weight=6), Channel("code_2", 1, weight=3), Channel("", 3, weight=1)),
        owners=owners,
        unionid=True,
    )
