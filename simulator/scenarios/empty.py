"""A corp on its first day: one department, one member, nobody else."""

from simulator.scenarios.model import Department, Person, Scenario


def build() -> Scenario:
    """The smallest corp that can be connected."""
    return Scenario(
        name="empty",
        corp_name="新店",
        departments=(Department(1, "新店", 0),),
        people=(Person(1, "张敏", "zhangmin", position="店长", leader=True),),
    )
