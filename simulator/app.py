"""The aiohttp application: WeCom's API, the control API and the page of hands."""

from pathlib import Path

from aiohttp import web

from simulator.api.dispatch import serve
from simulator.control import hands, routes
from simulator.control.answers import errors_as_json
from simulator.keys import SIMULATOR
from simulator.simulator import Simulator

PAGE = Path(__file__).parent / "control" / "page.html"
UPLOAD_MOST = 32 * 1024 * 1024


async def show_page(_request: web.Request) -> web.FileResponse:
    """The page of hands."""
    return web.FileResponse(PAGE)


def build(sim: Simulator) -> web.Application:
    """An application around `sim`, started and stopped with it."""
    app = web.Application(client_max_size=UPLOAD_MOST, middlewares=[errors_as_json])
    app[SIMULATOR] = sim
    app.router.add_get("/", show_page)
    app.add_routes(routes.routes)
    app.add_routes(hands.routes)
    app.router.add_route("*", "/cgi-bin/{path:.+}", serve)
    app.cleanup_ctx.append(_life)
    return app


async def _life(app: web.Application):
    await app[SIMULATOR].run()
    yield
    await app[SIMULATOR].close()
