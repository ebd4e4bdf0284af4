"""What each secret of a corp may see and call, as its administrator sets it in the console."""

from aiohttp import web

from simulator.control.answers import answer, body_of, corp_of, simulator_of
from simulator.corp import APP, Corp
from simulator.hands.errors import HandError
from simulator.hands.people import guide_of
from simulator.world.directory import VisibleRange

routes = web.RouteTableDef()


def _kind(corp: Corp, body: dict) -> str:
    kind = body.get("kind") or APP
    if kind not in corp.secrets:
        raise HandError(f"kind 应为 {'、'.join(corp.secrets)}")
    return kind


@routes.post("/control/corps/{corp_id}/range")
async def set_range(request: web.Request) -> web.Response:
    """What a secret (`kind`) sees: `members`, `departments`; neither means everything. It narrows silently what the app's range in
    the console (hand `console_range`, shown by agent/get and told to members) leaves."""
    sim, body = simulator_of(request), await body_of(request)
    corp = corp_of(sim, request.match_info["corp_id"])
    kind, members, departments = _kind(corp, body), body.get("members"), body.get("departments")
    if members is None and departments is None:
        corp.ranges.pop(kind, None)
        return answer({"ok": True, "members": len(corp.view(kind).present())})
    unknown = [row for row in departments or [] if row not in corp.directory.departments]
    if unknown:
        raise HandError(f"没有部门 {unknown[0]}")
    userids = frozenset(guide_of(corp, userid).userid.lower() for userid in members or [])
    corp.ranges[kind] = VisibleRange(userids, frozenset(departments or []))
    return answer({"ok": True, "members": len(corp.view(kind).present())})


@routes.post("/control/corps/{corp_id}/permissions")
async def set_permissions(request: web.Request) -> web.Response:
    """The APIs a secret (`kind`) may not call any more, `withdrawn`, as paths or patterns; an empty list gives all back."""
    sim, body = simulator_of(request), await body_of(request)
    corp = corp_of(sim, request.match_info["corp_id"])
    patterns = [str(row).removeprefix("/").removeprefix("cgi-bin/") for row in body["withdrawn"]]
    corp.withdrawn[_kind(corp, body)] = patterns
    return answer({"ok": True, "withdrawn": corp.withdrawn})
