"""Mass messages (企业群发): created here, sent only when the member confirms."""

from simulator.api import common, paging
from simulator.api.content import read_content
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.clock import wall
from simulator.world.masses import TASK_SENT, Mass, Task

DAY = 86_400
REMINDERS_A_DAY = 3
LIST_SPAN = 31 * DAY


@endpoint(
    "externalcontact/add_msg_template",
    Field("chat_type", default="single"),
    Field("external_userid", list, default=(), items=str, most=10_000),
    Field("chat_id_list", list, default=(), items=str, most=2000),
    Field("tag_filter", dict),
    Field("sender"),
    Field("allow_select", bool, default=False),
    Field("text", dict),
    Field("attachments", list, items=dict),
)
def add_mass(call: Call) -> dict:
    """One task per member. `fail_list` names recipients that are not the sender's customers."""
    if call["chat_type"] not in ("single", "group"):
        raise WeComError(40058, "invalid Request Parameter, chat_type")
    single = call["chat_type"] == "single"
    if single and not (call["sender"] or call["external_userid"] or call["tag_filter"]):
        raise WeComError(40058)
    if not single and not call["sender"]:
        raise WeComError(41009)
    text, attachments = read_content(call)
    named = common.known_member(call, call["sender"]) if call["sender"] else None
    wanted = _filter_sets(call) if single and not call["external_userid"] else []
    sender = common.in_range(call, named).userid if named else ""
    tasks, failed = _single_tasks(call, sender, wanted) if single else (_group_tasks(call, sender), [])
    if not any(tasks.values()):
        raise WeComError(41048)
    mass = call.corp.masses.new(call["chat_type"], call.now, text, attachments)
    mass.made_wall = wall()
    mass.tasks = {userid: Task(recipients) for userid, recipients in tasks.items() if recipients}
    return {"fail_list": failed, "msgid": mass.msgid}


def _single_tasks(call: Call, sender: str, wanted: list[set[str]]) -> tuple[dict[str, list], list[str]]:
    tasks: dict[str, list] = {}
    failed: list[str] = []
    if call["external_userid"]:
        for external_userid in dict.fromkeys(call["external_userid"]):
            number = call.corp.customers.number(external_userid)
            owner = _assignee(call, number, sender) if number is not None else None
            if owner is None or number is None:
                failed.append(external_userid)
            else:
                tasks.setdefault(owner, []).append(number)
        return tasks, failed
    for userid in [sender] if sender else [m.userid for m in call.view.servants()]:
        for number in call.corp.customers.numbers(userid)[0]:
            if _matches(call, userid, number, wanted) and (sender or _assignee(call, number, "") == userid):
                tasks.setdefault(userid, []).append(number)
    return tasks, failed


def _assignee(call: Call, number: int, sender: str) -> str | None:
    """The sender when she follows the customer; without a sender, the follower last in contact."""
    book = call.corp.customers
    if sender:
        return sender if book.exists(sender, number) else None
    followers = [userid for userid in book.followers(number) if call.view.serves(userid)]
    if len(followers) < 2:
        return followers[0] if followers else None
    eligible = [(found.last_contact, userid) for userid in followers if (found := book.follow(userid, number))]
    return max(eligible)[1] if eligible else None


def _filter_sets(call: Call) -> list[set[str]]:
    """tag_filter as sets: one of each set is needed. Raises WeComError 40058 or 40068."""
    groups = (call["tag_filter"] or {}).get("group_list") or []
    wanted = []
    for group in groups:
        tags = group.get("tag_list") if isinstance(group, dict) else None
        if not isinstance(tags, list) or not tags or len(tags) > 100:
            raise WeComError(40058, "invalid Request Parameter, tag_list")
        if any(not call.corp.tags.alive(tag) for tag in tags):
            raise WeComError(40068)
        wanted.append(set(tags))
    return wanted


def _matches(call: Call, userid: str, number: int, wanted: list[set[str]]) -> bool:
    if not wanted:
        return True
    follow = call.corp.customers.follow(userid, number)
    return follow is not None and all(tags.intersection(follow.tags) for tags in wanted)


def _group_tasks(call: Call, sender: str) -> dict[str, list]:
    """Groups of the sender: those listed, or all she owns."""
    book = call.corp.groups
    own = [book.chat_id(n) for n in book.living() if book.owner(n) == sender]
    if not call["chat_id_list"]:
        return {sender: own}
    return {sender: [chat_id for chat_id in dict.fromkeys(call["chat_id_list"]) if chat_id in set(own)]}


def _mass(call: Call) -> Mass:
    mass = call.corp.masses.masses.get(call["msgid"])
    if mass is None:
        raise WeComError(41047)
    return mass


@endpoint("externalcontact/remind_groupmsg_send", Field("msgid", missing=41046))
def remind_mass(call: Call) -> dict:
    """Remind the members who have not confirmed; at most three times in 24 hours."""
    mass = _mass(call)
    if mass.cancelled:
        raise WeComError(41093)
    recent = [at for at in mass.reminders if call.now - at < DAY]
    if len(recent) >= REMINDERS_A_DAY:
        raise WeComError(41094)
    mass.reminders.append(call.now)
    return {}


@endpoint("externalcontact/cancel_groupmsg_send", Field("msgid", missing=41046))
def cancel_mass(call: Call) -> dict:
    """Stop what is not sent yet; what is sent stays sent."""
    _mass(call).cancelled = True
    return {}


@endpoint(
    "externalcontact/get_groupmsg_list_v2",
    Field("chat_type", missing=40058),
    Field("start_time", int, missing=40058),
    Field("end_time", int, missing=40058),
    Field("creator"),
    Field("filter_type", int, default=2, least=0, most=2),
    Field("limit", int, default=50, least=1, most=100, clamp=True),
    Field("cursor"),
)
def list_masses(call: Call) -> dict:
    """Mass messages created within a span of at most a month: by the corp (0), by members (1), or both (2)."""
    if call["chat_type"] not in ("single", "group") or not 0 <= call["end_time"] - call["start_time"] <= LIST_SPAN:
        raise WeComError(40058)
    rows = [m for m in call.corp.masses.masses.values() if _listed(call, m)]
    scope = [call[name] for name in ("chat_type", "start_time", "end_time", "creator", "filter_type")]
    page, cursor = paging.page(rows, call["cursor"], call["limit"], scope)
    return {"group_msg_list": [_mass_shown(m) for m in page]} | ({"next_cursor": cursor} if cursor else {})


def _listed(call: Call, mass: Mass) -> bool:
    if mass.chat_type != call["chat_type"] or not call["start_time"] <= mass.create_time <= call["end_time"]:
        return False
    if call["creator"] and mass.creator != call["creator"]:
        return False
    creator = call.corp.directory.find(mass.creator)
    if creator is not None and not call.view.sees(creator):
        return False
    return call["filter_type"] in (2, mass.create_type)


def _mass_shown(mass: Mass) -> dict:
    shown: dict = {"msgid": mass.msgid, "create_time": mass.create_time, "create_type": mass.create_type}
    if mass.creator:
        shown["creator"] = mass.creator
    return shown | mass.content()


@endpoint(
    "externalcontact/get_groupmsg_task",
    Field("msgid", missing=41046),
    Field("limit", int, default=500, least=1, most=1000, clamp=True),
    Field("cursor"),
)
def list_tasks(call: Call) -> dict:
    """Each member's task: status 0 unsent, 2 sent. 41063 while the message is still being dispatched."""
    mass = _dispatched(call)
    rows, cursor = paging.page(list(mass.tasks.items()), call["cursor"], call["limit"], ["task", mass.msgid])
    listed = []
    for userid, task in rows:
        row = {"userid": userid, "status": task.status}
        listed.append(row | ({"send_time": task.send_time} if task.status == TASK_SENT else {}))
    return {"task_list": listed} | ({"next_cursor": cursor} if cursor else {})


def _dispatched(call: Call) -> Mass:
    mass = _mass(call)
    if mass.made_wall and wall() - mass.made_wall < call.sim.switches.mass_dispatch_seconds:
        raise WeComError(41063)
    return mass


@endpoint(
    "externalcontact/get_groupmsg_send_result",
    Field("msgid", missing=41046),
    Field("userid", missing=41009),
    Field("limit", int, default=500, least=1, most=1000, clamp=True),
    Field("cursor"),
)
def list_results(call: Call) -> dict:
    """Per recipient: 0 unsent, 1 sent, 2 not a friend, 3 quota. Of group messages only the sent ones are listed."""
    mass = _dispatched(call)
    found = call.corp.directory.find(call["userid"])
    if found is None:
        raise WeComError(40003)
    if not call.view.sees(found):
        raise WeComError(60011)
    task = mass.tasks.get(found.userid)
    single = mass.chat_type == "single"
    recipients = [r for r in task.recipients if single or r in task.results] if task else []
    if task and not single:
        recipients = [r for r in recipients if task.results[r][0] == 1]
    rows, cursor = paging.page(recipients, call["cursor"], call["limit"], ["result", mass.msgid, found.userid])
    listed = [_result_shown(call, found.userid, task, r) for r in rows] if task else []
    return {"send_list": listed} | ({"next_cursor": cursor} if cursor else {})


def _result_shown(call: Call, userid: str, task: Task, recipient: int | str) -> dict:
    status, at = task.results.get(recipient, (0, 0))
    if isinstance(recipient, int):
        who = {"external_userid": call.corp.customers.external_userid(recipient)}
    else:
        who = {"chat_id": recipient}
    return who | {"userid": userid, "status": status} | ({"send_time": at} if at else {})
