"""The guide's mass sends: confirming tasks, and sending on her own."""

from typing import TYPE_CHECKING

from simulator.hands.errors import HandError
from simulator.world.directory import LEFT
from simulator.world.masses import TASK_UNSENT, Mass, Task

if TYPE_CHECKING:
    from simulator.corp import Corp
    from simulator.simulator import Simulator


def open_tasks(corp: "Corp", userid: str = "") -> list[tuple[Mass, str]]:
    """(mass message, userid) of every task still to be confirmed, oldest first."""
    return [
        (mass, owner)
        for mass in corp.masses.masses.values()
        for owner, task in mass.tasks.items()
        if task.status == TASK_UNSENT and not mass.cancelled and userid in ("", owner) and _present(corp, owner)
    ]


def _present(corp: "Corp", userid: str) -> bool:
    found = corp.directory.find(userid)
    return found is not None and found.status != LEFT


def confirm(sim: "Simulator", corp: "Corp", msgid: str, userid: str) -> dict:
    """确认发送. Raises HandError when there is no such task, it is sent, or the message was cancelled."""
    mass = corp.masses.masses.get(msgid)
    if mass is None or userid not in mass.tasks:
        raise HandError("没有这个群发任务")
    if not _present(corp, userid):
        raise HandError("成员已离职")
    if mass.cancelled:
        raise HandError("该群发已被停止")
    if mass.tasks[userid].status != TASK_UNSENT:
        raise HandError("该任务已发送")
    uses_quota = not mass.create_type or sim.switches.personal_sends_use_quota
    rule, now = sim.switches.quota_rule, sim.clock.now()
    tally = corp.masses.confirm(mass, userid, now, rule, use_quota=uses_quota)
    return {"msgid": msgid, "userid": userid, "results": {str(status): count for status, count in tally.items()}}


def send_personally(
    sim: "Simulator", corp: "Corp", userid: str, numbers: list[int], words: str, at: int | None = None
) -> Mass:
    """The guide sends a mass message of her own making; it is final at once."""
    now = sim.clock.now() if at is None else at
    mass = corp.masses.new("single", now, {"content": words}, [], creator=userid)
    mass.tasks[userid] = Task(list(numbers))
    corp.masses.confirm(mass, userid, now, sim.switches.quota_rule, use_quota=sim.switches.personal_sends_use_quota)
    return mass
