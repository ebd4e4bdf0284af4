"""Groups handed to another owner: of owners who left, and of owners at work."""

from simulator.api.errors import TEXTS, WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.api.transfers import TWICE, account_problem, successor
from simulator.hands.transfers import complete_group
from simulator.world.directory import LEFT, Member
from simulator.world.groups import INHERITING
from simulator.world.transfers import INHERITED, GroupHandover

_CHATS = Field("chat_id_list", list, missing=40058, items=str, most=100)
_OWNER = Field("new_owner", missing=41009)
OVER_A_DAY, TOO_OFTEN = 45009, 40128


@endpoint("externalcontact/groupchat/transfer", _CHATS, _OWNER)
def transfer_groups(call: Call) -> dict:
    """Groups whose owner left. Answers those that failed, each with its code."""
    return _transfer(call, resigned=True)


@endpoint("externalcontact/groupchat/onjob_transfer", _CHATS, _OWNER)
def transfer_groups_at_work(call: Call) -> dict:
    """Groups whose owner is at work; each at most twice in 90 days."""
    return _transfer(call, resigned=False)


def _transfer(call: Call, *, resigned: bool) -> dict:
    new = successor(call, call["new_owner"])
    failed = []
    for chat_id in dict.fromkeys(call["chat_id_list"]):
        code = _refusal(call, chat_id, new, resigned=resigned)
        if code:
            failed.append({"chat_id": chat_id, "errcode": code, "errmsg": TEXTS[code]})
        else:
            _start(call, chat_id, new, resigned=resigned)
    return {"failed_chat_list": failed}


def _refusal(call: Call, chat_id: str, new: Member, *, resigned: bool) -> int:
    """Why this group does not get the new owner, 0 when it does."""
    book, switches = call.corp.groups, call.sim.switches
    number = book.number(chat_id)
    if number is None:
        return 90501
    group = book.get(number)
    if group.dismissed:
        return 49008
    if call.corp.transfers.group_waiting(chat_id):
        return 90507
    if group.owner == new.userid:
        return 90504
    owner = call.corp.directory.find(group.owner)
    has_left = owner is None or owner.status == LEFT
    if resigned and not has_left:
        return 90508 if group.inheriting == INHERITED else 90500
    if not resigned and has_left:
        return 90502
    code = account_problem(call, owner, new, resigned=resigned) if owner else 0
    if code:
        return code
    if new.userid not in group.members and len(group.members) >= switches.group_transfer_full_at:
        return 90503
    if call.corp.transfers.groups_today(group.owner, new.userid, call.now) >= switches.group_transfers_per_day:
        return OVER_A_DAY
    often = call.corp.transfers.group_recent(chat_id, call.now, switches.transfer_twice_in_days)
    return TOO_OFTEN if not resigned and often >= TWICE else 0


def _start(call: Call, chat_id: str, new: Member, *, resigned: bool) -> None:
    """Of an owner at work at once; of one who left when the switch says."""
    number = call.corp.groups.number(chat_id)
    if number is None:
        raise WeComError(90501)
    seconds = call.sim.switches.group_transfer_seconds if resigned else 0
    row = GroupHandover(chat_id, call.corp.groups.owner(number), new.userid, resigned, call.now + seconds)
    call.corp.transfers.groups.append(row)
    if seconds:
        call.corp.groups.edit(number).inheriting = INHERITING
    else:
        complete_group(call.sim, call.corp, row)
