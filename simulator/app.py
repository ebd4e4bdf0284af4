"""The aiohttp application: WeCom's API, the control API and the page of hands."""

from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from simulator.api.dispatch import serve
from simulator.control import app_hands, chaos, codes, hands, jssdk, login_pages, rights, routes, taskhands
from simulator.control.answers import errors_as_json
from simulator.keys import SIMULATOR
from simulator.simulator import Simulator

PAGE = Path(__file__).parent / "control" / "page.html"
UPLOAD_MOST = 32 * 1024 * 1024


async def show_page(_request: web.Request) -> web.FileResponse:
    """The page of hands."""
    return web.FileResponse(PAGE)


@web.middleware
async def note_changes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever is not read only may have changed a world, which is then due to be saved."""
    try:
        return await handler(request)
    finally:
        if request.method not in ("GET", "HEAD"):
            request.app[SIMULATOR].touched = True


def build(sim: Simulator) -> web.Application:
    """An application around `sim`, started and stopped with it."""
    app = web.Application(client_max_size=UPLOAD_MOST, middlewares=[note_changes, errors_as_json])
    app[SIMULATOR] = sim
    app.router.add_get("/", show_page)
    app.add_routes(routes.routes)
    app.add_routes(codes.routes)
    app.add_routes(app_hands.routes)
    app.add_routes(chaos.routes)
    app.add_routes(rights.routes)
    app.add_routes(hands.routes)
    app.add_routes(login_pages.routes)
    app.add_routes(jssdk.routes)
    app.add_routes(taskhands.routes)
    app.router.add_route("*", "/cgi-bin/{path:.+}", serve)
    app.cleanup_ctx.append(_life)
    return app


async def _life(app: web.Application) -> AsyncIterator[None]:
    await app[SIMULATOR].run()
    yield
    await app[SIMULATOR].close()
