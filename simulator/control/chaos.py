"""Chaos over HTTP: rules put in force, listed with their counters, and taken away."""

from aiohttp import web

from simulator.chaos.recipes import RECIPES
from simulator.control.answers import answer, body_of, corp_of, simulator_of
from simulator.hands.errors import HandError

routes = web.RouteTableDef()


@routes.get("/control/chaos")
async def list_rules(request: web.Request) -> web.Response:
    """Rules in force with what each did, and the recipes there are."""
    return answer({"rules": simulator_of(request).chaos.shown(), "recipes": sorted(RECIPES)})


@routes.post("/control/chaos")
async def add_rules(request: web.Request) -> web.Response:
    """One rule `{target, kind, rate, seed, corp_id, …}`, or a recipe's: `{"recipe": name, "seed": n, "corp_id": …}`."""
    sim, body = simulator_of(request), await body_of(request)
    if body.get("corp_id"):
        corp_of(sim, body["corp_id"])
    if "recipe" in body:
        rules = sim.chaos.add_recipe(body["recipe"], int(body.get("seed", 0)), body.get("corp_id") or "")
    else:
        rules = [sim.chaos.add(body)]
    return answer({"ok": True, "rules": [rule.shown() for rule in rules]})


@routes.delete("/control/chaos")
async def clear_rules(request: web.Request) -> web.Response:
    """No chaos any more; events held back still come."""
    simulator_of(request).chaos.clear()
    return answer({"ok": True})


@routes.delete("/control/chaos/{id}")
async def remove_rule(request: web.Request) -> web.Response:
    """Take one rule away."""
    if not simulator_of(request).chaos.remove(int(request.match_info["id"])):
        raise HandError("没有这条规则")
    return answer({"ok": True})
