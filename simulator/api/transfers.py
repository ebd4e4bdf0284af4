"""Hand-overs (客户继承): customers of members at work and of those who left, and the list of who waits for a successor."""

from simulator.api import common, paging
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.world.directory import ACTIVE, LEFT, Member
from simulator.world.transfers import Handover

YEAR = 365 * 86_400
PAGE = 1000
PAGED_RECORDS = 50_000
TWICE = 2
_WHO = (Field("handover_userid", missing=41009), Field("takeover_userid", missing=41009))


def known_member(call: Call, userid: str) -> Member:
    """A member in range, at work or gone. Raises WeComError 40003 or 60011."""
    found = call.corp.directory.find(userid)
    if found is None:
        raise WeComError(40003)
    if not call.view.sees(found):
        raise WeComError(60011)
    return found


def successor(call: Call, userid: str) -> Member:
    """A member who may take over. Raises WeComError 40003, 60011, 84074 or 41054."""
    found = common.member(call, userid)
    if found.status != ACTIVE:
        raise WeComError(41054)
    return found


def account_problem(call: Call, old: Member, new: Member, *, resigned: bool) -> int:
    """Why WeCom refuses these two: 40143 banned, 40098 without a real name, 40205 not logged in for a year; 0: it does not."""
    if old.banned or new.banned:
        return 40143
    if not new.verified:
        return 40098
    if not call.sim.switches.transfer_login_rule:
        return 0
    if resigned and call.now - old.left_at > YEAR:
        return 40205
    until = old.left_at if resigned else call.now
    fresh = _logged_in(old, until) and _logged_in(new, call.now)
    return 0 if fresh else 40205


def _logged_in(member: Member, until: int) -> bool:
    return member.last_login is None or until - member.last_login <= YEAR


def _transfer(call: Call, *, resigned: bool) -> dict:
    old, new = known_member(call, call["handover_userid"]), successor(call, call["takeover_userid"])
    if not resigned and old.status == LEFT:
        raise WeComError(40003)
    return {"customer": [_start(call, old, new, one, resigned=resigned) for one in call["external_userid"]]}


def _start(call: Call, old: Member, new: Member, external_userid: str, *, resigned: bool) -> dict:
    number = call.corp.customers.number(external_userid)
    code = 40096 if number is None else _refusal(call, old, new, number, resigned=resigned)
    if number is not None and not code:
        due = call.now + call.sim.switches.transfer_seconds
        message = "" if resigned else call["transfer_success_msg"] or ""
        call.corp.transfers.begin(Handover(old.userid, new.userid, number, resigned, due, message))
    return {"external_userid": external_userid, "errcode": code}


def _refusal(call: Call, old: Member, new: Member, number: int, *, resigned: bool) -> int:
    """Why this customer is not handed over, 0 when she is."""
    if resigned and old.status != LEFT:
        return 40097
    if old is new:
        return 40130
    book, follow = call.corp.customers, call.corp.customers.follow(old.userid, number)
    if follow is None:
        return 40131
    if follow.half:
        return 84061
    code = account_problem(call, old, new, resigned=resigned)
    if code:
        return code
    waiting, switches = call.corp.transfers.waiting(number), call.sim.switches
    if waiting is not None:
        return 40129 if waiting.handover == old.userid else 40100
    if not resigned and call.corp.transfers.recent(number, call.now, switches.transfer_twice_in_days) >= TWICE:
        return 40128
    if book.follow(new.userid, number) is None and book.count(new.userid) >= switches.transfer_customers_most:
        return 40099
    return 0


@endpoint(
    "externalcontact/transfer_customer",
    *_WHO,
    Field("external_userid", list, missing=41035, items=str, most=100),
    Field("transfer_success_msg", most=200),
)
def transfer_customers(call: Call) -> dict:
    """Customers of a member at work: each has a code of her own, 0 when the hand-over has begun."""
    return _transfer(call, resigned=False)


@endpoint(
    "externalcontact/resigned/transfer_customer",
    *_WHO,
    Field("external_userid", list, missing=41035, items=str, most=100),
)
def transfer_resigned(call: Call) -> dict:
    """Customers of a member who left."""
    return _transfer(call, resigned=True)


def _results(call: Call, *, resigned: bool) -> dict:
    old, new = known_member(call, call["handover_userid"]), known_member(call, call["takeover_userid"])
    rows = call.corp.transfers.between(old.userid, new.userid, resigned=resigned)
    page, cursor = paging.page(rows, call["cursor"], PAGE, ["transfers", resigned, old.userid, new.userid])
    return {"customer": [_shown(call, row) for row in page]} | ({"next_cursor": cursor} if cursor else {})


def _shown(call: Call, row: Handover) -> dict:
    external_userid = call.corp.customers.external_userid(row.number)
    return {"external_userid": external_userid, "status": row.status, "takeover_time": row.at}


@endpoint("externalcontact/transfer_result", *_WHO, Field("cursor"))
def list_transfers(call: Call) -> dict:
    """Status 1 done, 2 waiting, 3 refused, 4 takeover is full, 5 came to nothing; of those waiting the time is an estimate."""
    return _results(call, resigned=False)


@endpoint("externalcontact/resigned/transfer_result", *_WHO, Field("cursor"))
def list_resigned_transfers(call: Call) -> dict:
    """The same for customers of a member who left."""
    return _results(call, resigned=True)


@endpoint(
    "externalcontact/get_unassigned_list",
    Field("page_id", int, default=0, least=0),
    Field("page_size", int, default=PAGE, least=1, most=PAGE, clamp=True),
    Field("cursor"),
)
def list_unassigned(call: Call) -> dict:
    """Customers of members who left and for whom no hand-over runs, by when their member left. Pages by number end at 50,000."""
    size, begin = call["page_size"], call["page_id"] * call["page_size"]
    if call["cursor"]:
        (begin,) = paging.read(call["cursor"], "unassigned")
    elif begin >= PAGED_RECORDS:
        raise WeComError(40058, "invalid Request Parameter, page_id")
    rows = _unassigned(call)
    page, end = rows[begin : begin + size], begin + size
    more = end < len(rows)
    cursor = {"next_cursor": paging.make([end], "unassigned")} if more else {}
    return {"info": page, "is_last": not more} | cursor


def _unassigned(call: Call) -> list[dict]:
    book, rows = call.corp.customers, []
    for member in sorted(call.view.gone(), key=lambda row: (row.left_at, row.userid)):
        for number in book.numbers(member.userid)[0]:
            if call.corp.transfers.waiting(number) is None:
                row = {"handover_userid": member.userid, "external_userid": book.external_userid(number)}
                rows.append(row | {"dimission_time": member.left_at})
    return rows
