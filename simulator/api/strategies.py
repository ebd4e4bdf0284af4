"""Strategies (规则组) of customer contact and of moments: the same six calls under two names.

An app sees and changes only what it made; the 客户联系 secret sees all.
"""

from collections.abc import Callable

from simulator.api import common, paging
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.corp import CONTACT, Corp
from simulator.world.strategies import Strategy, StrategyBook

NAME_MOST = 30
PAGE = Field("limit", int, default=1000, least=1, most=1000, clamp=True)
Book = Callable[[Corp], StrategyBook]


def own(call: Call, book: StrategyBook, strategy_id: int) -> Strategy:
    """The strategy, if this secret may see it. Raises WeComError: the code for an unknown one is open (a switch)."""
    row = book.rows.get(strategy_id)
    if row is None or (call.kind != CONTACT and row.by != call.kind):
        raise WeComError(call.sim.switches.unknown_strategy_errcode)
    return row


def _admins(call: Call, given: list[str]) -> list[str]:
    return list(dict.fromkeys(common.members(call, given)))


def _range(call: Call, given: list[dict]) -> list[dict]:
    """The entries in their shortest form. Raises WeComError 40058, 40031 or 60123."""
    clean = []
    for item in given:
        if item.get("type") == 1 and isinstance(item.get("userid"), str):
            clean.append({"type": 1, "userid": common.members(call, [item["userid"]])[0]})
        elif item.get("type") == 2 and type(item.get("partyid")) is int:
            if item["partyid"] not in call.corp.directory.departments:
                raise WeComError(60123)
            clean.append({"type": 2, "partyid": item["partyid"]})
        else:
            raise WeComError(40058, "invalid Request Parameter, range")
    return clean


def _privilege(book: StrategyBook, given: dict) -> dict[str, bool]:
    """Every privilege with its value; what is not given is not granted, unknown names are ignored."""
    if any(not isinstance(value, bool) for value in given.values()):
        raise WeComError(40058, "invalid Request Parameter, privilege")
    return {name: given.get(name, False) for name in book.privileges}


def _install(prefix: str, book_of: Book, *, tagged: bool) -> None:
    """The six calls of one kind; `tagged` strategies own tags, which go with them."""

    @endpoint(f"externalcontact/{prefix}/list", Field("cursor"), PAGE)
    def list_strategies(call: Call) -> dict:
        """Ids of those this secret may see."""
        rows = [r.strategy_id for r in book_of(call.corp).rows.values() if call.kind in (CONTACT, r.by)]
        page, cursor = paging.page(rows, call["cursor"], call["limit"], [prefix, call.kind])
        return {"strategy": [{"strategy_id": one} for one in page], "next_cursor": cursor}

    @endpoint(f"externalcontact/{prefix}/get", Field("strategy_id", int, missing=40058))
    def get_strategy(call: Call) -> dict:
        """One in full, without its range."""
        return {"strategy": own(call, book_of(call.corp), call["strategy_id"]).shown()}

    @endpoint(f"externalcontact/{prefix}/get_range", Field("strategy_id", int, missing=40058), Field("cursor"), PAGE)
    def get_range(call: Call) -> dict:
        """Members and departments of one."""
        row = own(call, book_of(call.corp), call["strategy_id"])
        page, cursor = paging.page(row.range, call["cursor"], call["limit"], [prefix, "range", row.strategy_id])
        return {"range": page, "next_cursor": cursor}

    @endpoint(
        f"externalcontact/{prefix}/create",
        Field("parent_id", int, default=0),
        Field("strategy_name", missing=40058, most=NAME_MOST),
        Field("admin_list", list, missing=40058, items=str),
        Field("privilege", dict, default={}),
        Field("range", list, missing=40058, items=dict),
    )
    def create_strategy(call: Call) -> dict:
        """A new one, on its own or below another."""
        book = book_of(call.corp)
        if call["parent_id"]:
            own(call, book, call["parent_id"])
        admins, wanted = _admins(call, call["admin_list"]), _range(call, call["range"])
        privilege = _privilege(book, call["privilege"])
        row = book.new(call["strategy_name"], call["parent_id"], call.now, call.kind)
        row.admin_list, row.range, row.privilege = admins, wanted, privilege
        return {"strategy_id": row.strategy_id}

    @endpoint(
        f"externalcontact/{prefix}/edit",
        Field("strategy_id", int, missing=40058),
        Field("strategy_name", most=NAME_MOST),
        Field("admin_list", list, items=str),
        Field("privilege", dict),
        Field("range_add", list, default=(), items=dict),
        Field("range_del", list, default=(), items=dict),
    )
    def edit_strategy(call: Call) -> dict:
        """Change what is given; the range by what is added and removed."""
        book = book_of(call.corp)
        row = own(call, book, call["strategy_id"])
        adding, removing = _range(call, call["range_add"]), _range(call, call["range_del"])
        admins = None if call["admin_list"] is None else _admins(call, call["admin_list"])
        privilege = None if call["privilege"] is None else _privilege(book, call["privilege"])
        row.strategy_name = call["strategy_name"] or row.strategy_name
        row.admin_list = row.admin_list if admins is None else admins
        row.privilege = row.privilege if privilege is None else privilege
        row.range = [item for item in row.range if item not in removing]
        row.range += [item for item in adding if item not in row.range]
        return {}

    @endpoint(f"externalcontact/{prefix}/del", Field("strategy_id", int, missing=40058))
    def delete_strategy(call: Call) -> dict:
        """Gone, with those below it and with the tags of all."""
        row = own(call, book_of(call.corp), call["strategy_id"])
        gone = book_of(call.corp).delete(row.strategy_id)
        if tagged:
            call.corp.strategy_tags.delete_of(gone)
        return {}


_install("customer_strategy", lambda corp: corp.strategies, tagged=True)
_install("moment_strategy", lambda corp: corp.moment_strategies, tagged=False)
