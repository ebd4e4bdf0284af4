"""Reading control requests and wording their answers."""

import json
from typing import Any

from aiohttp import web

from simulator.corp import Corp
from simulator.hands.errors import HandError
from simulator.keys import SIMULATOR
from simulator.simulator import Simulator


def answer(body: Any, status: int = 200) -> web.Response:
    """JSON with Chinese left readable."""
    return web.Response(
        text=json.dumps(body, ensure_ascii=False), status=status, content_type="application/json", charset="utf-8"
    )


def simulator_of(request: web.Request) -> Simulator:
    """The simulator this request is for."""
    return request.app[SIMULATOR]


async def body_of(request: web.Request) -> dict:
    """The JSON object of the body, empty for none. Raises HandError for anything else."""
    raw = await request.read()
    if not raw.strip():
        return {}
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise HandError("请求体不是 JSON") from error
    if not isinstance(body, dict):
        raise HandError("请求体应为 JSON 对象")
    return body


def corp_of(sim: Simulator, corp_id: str | None) -> Corp:
    """The corp named, or the only one. Raises HandError."""
    if corp_id:
        if corp_id not in sim.corps:
            raise HandError(f"没有企业 {corp_id}")
        return sim.corps[corp_id]
    if len(sim.corps) != 1:
        raise HandError("请指明 corp_id")
    return next(iter(sim.corps.values()))


@web.middleware
async def errors_as_json(request: web.Request, handler: Any) -> web.StreamResponse:
    """Impossible acts and missing or wrong parameters as 400 with the reason; WeCom's API is left alone."""
    if request.path.startswith("/cgi-bin/"):
        return await handler(request)
    try:
        return await handler(request)
    except HandError as error:
        return answer({"ok": False, "error": str(error)}, 400)
    except KeyError as error:
        return answer({"ok": False, "error": f"缺少参数 {error}"}, 400)
    except (TypeError, ValueError) as error:
        return answer({"ok": False, "error": str(error)}, 400)
