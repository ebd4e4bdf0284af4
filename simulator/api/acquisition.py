"""Customer acquisition links (获客助手). Only the app may call; it sees the links it made."""

from typing import Any

from simulator.api import paging, serving
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.callbacks import events
from simulator.clock import local, wall
from simulator.corp import APP
from simulator.world.acquisition import Link

DAY = 86_400
PREFERRED_MOST = 1000
SPAN_DAYS, HISTORY_DAYS = 30, 180
CORP_WIDE, LISTED = 1, 2

LINK_ID = Field("link_id", missing=40058)
OPTIONAL = (Field("skip_verify", bool), Field("mark_source", bool), Field("priority_option", dict))


@endpoint(
    "externalcontact/customer_acquisition/list_link",
    Field("limit", int, default=100, least=1, most=100),
    Field("cursor"),
    secrets=(APP,),
)
def list_links(call: Call) -> dict:
    """Ids of the app's links, oldest first."""
    rows = [link.link_id for link in call.corp.acquisition.links.values() if link.by == call.kind]
    listed, cursor = paging.page(rows, call["cursor"], call["limit"], "links")
    return {"link_id_list": listed, "next_cursor": cursor}


def _link(call: Call) -> Link:
    link = call.corp.acquisition.links.get(call["link_id"])
    if link is None or link.by != call.kind:
        raise WeComError(call.sim.switches.unknown_link_errcode, "invalid link_id")
    return link


@endpoint("externalcontact/customer_acquisition/get", LINK_ID, secrets=(APP,))
def get_link(call: Call) -> dict:
    """One link with its range."""
    link = _link(call)
    shown: dict = {
        "link": {
            "link_name": link.name,
            "url": serving.address(call, f"ca/{link.code}"),
            "create_time": link.created,
            "skip_verify": link.skip_verify,
            "mark_source": link.mark_source,
        },
        "range": {"user_list": link.users, "department_list": link.departments},
    }
    return shown | ({"priority_option": link.priority} if link.priority else {})


@endpoint(
    "externalcontact/customer_acquisition/create_link",
    Field("link_name", missing=40058, most=30),
    Field("range", dict, missing=40058),
    *OPTIONAL,
    secrets=(APP,),
)
def create_link(call: Call) -> dict:
    """Make a link. 41095 when the corp has as many as it may."""
    desk, now = call.corp.acquisition, call.now
    users, departments = _range(call)
    extra = {"mark_source": call.sim.switches.mark_source_default} | _options(call)
    if len(desk.links) >= call.sim.switches.acquisition_links_most:
        raise WeComError(41095)
    link = desk.new(call["link_name"], now, users, departments, by=call.kind, **extra)
    url = serving.address(call, f"ca/{link.code}")
    return {"link": {"link_id": link.link_id, "link_name": link.name, "url": url, "create_time": now}}


def _range(call: Call) -> tuple[list[str], list[int]]:
    """Users and departments given, both within who may use the assistant. Raises WeComError 40058 and those of `chosen`."""
    given = call["range"]
    users, departments = given.get("user_list") or [], given.get("department_list") or []
    sound = isinstance(users, list) and all(isinstance(userid, str) for userid in users)
    sound = sound and isinstance(departments, list) and all(type(row) is int for row in departments)
    if not sound or not 1 <= len(users) + len(departments) <= call.sim.switches.acquisition_range_most:
        raise WeComError(40058, "invalid Request Parameter, range")
    users = serving.chosen(call, users, departments)
    permit, directory = call.corp.acquisition.permit, call.corp.directory
    allowed = {row.id for party in permit["department_list"] for row in directory.below(party)}
    covered = {member.userid for member in directory.in_departments(allowed)} | set(permit["user_list"])
    if not covered.issuperset(users) or not allowed.issuperset(departments):
        raise WeComError(60011)
    return users, departments


def _options(call: Call) -> dict[str, Any]:
    """skip_verify, mark_source and the preference, as far as given. Raises WeComError 48002, 40058 or 40003."""
    given = {name: call[name] for name in ("skip_verify", "mark_source") if call[name] is not None}
    option = call["priority_option"]
    if option is None:
        return given
    if not call.sim.switches.acquisition_priority_allowed:
        raise WeComError(48002)
    kind, wanted = option.get("priority_type"), option.get("priority_userid_list") or []
    if kind not in (CORP_WIDE, LISTED) or not isinstance(wanted, list) or len(wanted) > PREFERRED_MOST:
        raise WeComError(40058, "invalid Request Parameter, priority_option")
    if kind == LISTED and not wanted:
        raise WeComError(40058, "invalid Request Parameter, priority_userid_list")
    if not all(isinstance(userid, str) for userid in wanted):
        raise WeComError(40058, "invalid Request Parameter, priority_userid_list")
    clean: dict = {"priority_type": kind}
    if kind == LISTED:
        clean["priority_userid_list"] = serving.chosen(call, wanted, [])
    return given | {"priority": clean}


@endpoint(
    "externalcontact/customer_acquisition/update_link",
    LINK_ID,
    Field("link_name", most=30),
    Field("range", dict),
    *OPTIONAL,
    secrets=(APP,),
)
def update_link(call: Call) -> dict:
    """Change what is given; `range` overwrites."""
    link = _link(call)
    changes = _options(call)
    if call["range"] is not None:
        changes["users"], changes["departments"] = _range(call)
    if call["link_name"]:
        changes["name"] = call["link_name"]
    for name, value in changes.items():
        setattr(link, name, value)
    return {}


@endpoint("externalcontact/customer_acquisition/delete_link", LINK_ID, secrets=(APP,))
def delete_link(call: Call) -> dict:
    """The link leads nowhere from now on; by the API it causes no event (switch `callbacks_on_api_writes`)."""
    link = _link(call)
    del call.corp.acquisition.links[link.link_id]
    if call.sim.switches.callbacks_on_api_writes:
        call.sim.emit(call.corp, events.acquisition("delete_link", LinkId=link.link_id))
    return {}


@endpoint(
    "externalcontact/customer_acquisition/customer",
    LINK_ID,
    Field("limit", int, default=1000, least=1, most=1000),
    Field("cursor"),
    secrets=(APP,),
)
def list_customers(call: Call) -> dict:
    """Whom the link brought; chat_status 1 once she wrote. `state` is absent without a channel."""
    link = _link(call)
    leads, cursor = paging.page(link.leads, call["cursor"], call["limit"], ["leads", link.link_id])
    rows: list[dict] = []
    for lead in leads:
        who = call.corp.customers.external_userid(lead.number)
        row = {"external_userid": who, "userid": lead.userid, "chat_status": int(lead.messages > 0)}
        rows.append(row | ({"state": lead.state} if lead.state else {}))
    return {"customer_list": rows, "next_cursor": cursor}


@endpoint(
    "externalcontact/customer_acquisition/statistic",
    LINK_ID,
    Field("start_time", int, missing=40058),
    Field("end_time", int, missing=40058),
    method="GET|POST",
    secrets=(APP,),
)
def link_statistic(call: Call) -> dict:
    """Clicks and adds on whole days, both ends included, of at most 30 days within the last 180."""
    link = _link(call)
    start, last = _midnight(call["start_time"]), _midnight(call["end_time"])
    oldest = _midnight(call.now) - HISTORY_DAYS * DAY
    if not oldest <= start <= last or last - start >= SPAN_DAYS * DAY or last > call.now:
        raise WeComError(40058, "invalid Request Parameter, start_time or end_time")
    end = last + DAY
    clicks = [who for at, who in link.clicks if start <= at < end]
    known = {who for who in clicks if who}
    new = {lead.number for lead in link.leads if start <= lead.at < end}
    return {"click_link_customer_cnt": len(known) + clicks.count(""), "new_customer_cnt": len(new)}


def _midnight(instant: int) -> int:
    try:
        return int(local(instant).replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
    except (ValueError, OverflowError, OSError) as error:
        raise WeComError(40058, "invalid Request Parameter, start_time or end_time") from error


@endpoint("externalcontact/customer_acquisition/get_chat_info", Field("chat_key", missing=40058), secrets=(APP,))
def get_chat_info(call: Call) -> dict:
    """Who is behind a ChatKey, within 30 minutes of its event."""
    found = call.corp.acquisition.find_key(call["chat_key"], wall())
    if found is None or found.link.by != call.kind:
        raise WeComError(40058, "invalid chat_key")
    info: dict = {"recv_msg_cnt": found.messages, "link_id": found.link.link_id}
    if found.lead.state:
        info["state"] = found.lead.state
    who = call.corp.customers.external_userid(found.lead.number)
    return {"userid": found.lead.userid, "external_userid": who, "chat_info": info}


@endpoint("externalcontact/customer_acquisition_quota", method="GET|POST", secrets=(APP,))
def get_quota(call: Call) -> dict:
    """All quota ever had, what is left, and by when it ends."""
    desk = call.corp.acquisition
    rows = [{"expire_date": quota.expires, "balance": quota.left} for quota in desk.living(call.now) if quota.left]
    return {"total": desk.total, "balance": desk.balance(call.now), "quota_list": rows}


@endpoint("externalcontact/customer_acquisition_app/get_permit", method="GET", secrets=(APP,))
def get_permit(call: Call) -> dict:
    """Who may be put into a link's range."""
    return dict(call.corp.acquisition.permit)
