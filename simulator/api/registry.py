"""The table of endpoints, and what a handler is given."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulator.api.fields import Field
from simulator.corp import APP, CONTACT, Corp
from simulator.world.ranges import View

if TYPE_CHECKING:
    from simulator.simulator import Simulator

ANY_SECRET = (APP, CONTACT)


@dataclass
class Call:
    """One call that passed every general check. `args` holds the declared parameters; `now` is domain time."""

    sim: "Simulator"
    corp: Corp
    kind: str
    args: dict[str, Any]
    now: int
    request: web.Request
    upload: Any = None

    def __getitem__(self, name: str) -> Any:
        return self.args[name]

    @cached_property
    def view(self) -> View:
        """Members and departments in the visible range of the caller's secret."""
        return self.corp.view(self.kind)


Handler = Callable[[Call], "dict | bytes | web.StreamResponse"]


@dataclass(frozen=True)
class Endpoint:
    """How a path is called and checked. `switch` names a concurrency limit; `upload` reads a multipart file.

    `method` is GET, POST, or both as `GET|POST` where sources disagree.
    """

    path: str
    method: str
    handler: Handler
    fields: tuple[Field, ...]
    secrets: tuple[str, ...]
    concurrency: str = ""
    upload: bool = False
    per_minute: str = ""  # the switch with a limit of its own, in place of that of all APIs


ENDPOINTS: dict[str, Endpoint] = {}


def endpoint(
    path: str,
    *fields: Field,
    method: str = "POST",
    secrets: tuple[str, ...] = ANY_SECRET,
    concurrency: str = "",
    upload: bool = False,
    per_minute: str = "",
) -> Callable[[Handler], Handler]:
    """Register the handler of `/cgi-bin/<path>`.

    It returns the fields beside errcode and errmsg, the whole body as bytes, or a finished response.
    """

    def register(handler: Handler) -> Handler:
        ENDPOINTS[path] = Endpoint(path, method, handler, fields, secrets, concurrency, upload, per_minute)
        return handler

    return register
