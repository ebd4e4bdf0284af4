"""Departments and members (通讯录), as a self-built app reads them."""

from simulator.api import common, paging
from simulator.api.errors import WeComError
from simulator.api.fields import Field
from simulator.api.registry import Call, endpoint
from simulator.scenarios.model import Department
from simulator.world.directory import Member


def _department_id(call: Call, department: int) -> int:
    """The department when it exists and is in range. Raises WeComError 60003 or 60011."""
    if department not in call.corp.directory.departments:
        raise WeComError(60003)
    if not call.view.sees_department(department):
        raise WeComError(60011)
    return department


def _wanted(call: Call) -> list[Department]:
    if call["id"] is None:
        return call.view.departments()
    return call.corp.directory.below(_department_id(call, call["id"]))


def _order(row: Department) -> int:
    return 100_000_000 - row.id


@endpoint("department/list", Field("id", int), method="GET")
def list_departments(call: Call) -> dict:
    """A department with its descendants, or all."""
    wanted = _wanted(call)
    leaders = {row.id: [m.userid for m in call.view.in_departments({row.id}) if m.leader] for row in wanted}
    rows = [
        {
            "id": row.id,
            "name": row.name,
            "name_en": "",
            "department_leader": leaders[row.id],
            "parentid": row.parent,
            "order": _order(row),
        }
        for row in wanted
    ]
    return {"department": rows}


@endpoint("department/simplelist", Field("id", int), method="GET")
def list_department_ids(call: Call) -> dict:
    """The same as ids only."""
    return {"department_id": [{"id": r.id, "parentid": r.parent, "order": _order(r)} for r in _wanted(call)]}


def _in_department(call: Call) -> list[Member]:
    wanted = {_department_id(call, call["department_id"])}
    if call["fetch_child"]:
        wanted = {row.id for row in call.corp.directory.below(call["department_id"])}
    return call.view.in_departments(wanted)


@endpoint("user/simplelist", Field("department_id", int, missing=40058), Field("fetch_child", int), method="GET")
def list_member_names(call: Call) -> dict:
    """Direct members of a department: userid, name, departments."""
    rows = [{"userid": m.userid, "name": m.name, "department": m.departments} for m in _in_department(call)]
    return {"userlist": rows}


@endpoint("user/list", Field("department_id", int, missing=40058), Field("fetch_child", int), method="GET")
def list_members(call: Call) -> dict:
    """Direct members of a department in full."""
    return {"userlist": [_shown(call, m) for m in _in_department(call)]}


@endpoint("user/list_id", Field("cursor"), Field("limit", int, default=10_000, least=1, most=10_000))
def list_member_ids(call: Call) -> dict:
    """One row per member and department."""
    pairs = [{"userid": m.userid, "department": d} for m in call.view.present() for d in m.departments]
    rows, cursor = paging.page(pairs, call["cursor"], call["limit"], "user/list_id")
    return {"dept_user": rows, "next_cursor": cursor}


@endpoint("user/get", Field("userid", missing=41009), method="GET")
def get_member(call: Call) -> dict:
    """One member. 60111 when unknown or gone, 60011 when outside the visible range."""
    found = common.known_member(call, call["userid"], unknown=60111)
    if not call.view.sees(found):
        raise WeComError(60011)
    return _shown(call, found)


def _shown(call: Call, found: Member) -> dict:
    """Newly made apps get no avatar, gender, mobile, email, biz_mail, qr_code or address; a switch restores them."""
    shown = {
        "userid": found.userid,
        "name": found.name,
        "department": found.departments,
        "order": [0] * len(found.departments),
        "position": found.position,
        "is_leader_in_dept": [int(found.leader)] * len(found.departments),
        "direct_leader": [],
        "telephone": "",
        "alias": found.alias,
        "main_department": found.departments[0],
        "extattr": {"attrs": []},
        "status": found.status,
        "external_position": found.position,
        "external_profile": {"external_corp_name": call.corp.scenario.corp_name, "external_attr": []},
    }
    if call.sim.switches.sensitive_member_fields:
        personal = {
            "mobile": found.mobile,
            "gender": "0",
            "email": "",
            "biz_mail": "",
            "avatar": "",
            "thumb_avatar": "",
        }
        shown |= personal | {"qr_code": "", "address": ""}
    return shown
