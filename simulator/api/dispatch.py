"""One way in for every `/cgi-bin/` call, checking in WeCom's order.

Token (41001, 40014, 42001) → address and permission (60020, 48002) → frequency (45009) → form (40058) → required
parameters → what only the handler knows: ids, visible range, relation, business rule.
"""

import asyncio
import json
import random
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader, web

from simulator.api import fields as declared
from simulator.api.errors import WeComError, error_message
from simulator.api.registry import ENDPOINTS, Call, Endpoint
from simulator.api.scripts import Script
from simulator.chaos.rules import Rule
from simulator.clock import wall
from simulator.corp import AccessToken
from simulator.keys import SIMULATOR

if TYPE_CHECKING:
    from simulator.simulator import Simulator

JSON_TYPE = "application/json; charset=UTF-8"
LOGGED_BODY = 4000
DRIPS = 10


def as_json(body: dict | bytes) -> web.Response:
    """A body as WeCom sends it: raw UTF-8, HTTP 200 also for errors."""
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return web.Response(body=raw, headers={"Content-Type": JSON_TYPE})


async def serve(request: web.Request) -> web.StreamResponse:
    """The aiohttp handler of `/cgi-bin/{path}`."""
    sim = request.app[SIMULATOR]
    path = request.match_info["path"]
    began = wall()
    trip = Trip(sim, request, path)
    try:
        response = await trip.run()
    except WeComError as error:
        trip.errcode = error.code
        response = as_json({"errcode": error.code, "errmsg": error_message(error, trip.ip)})
    finally:
        sim.calls.add(
            at=began,
            path=path,
            method=request.method,
            corp_id=trip.corp_id,
            errcode=trip.errcode,
            http_status=trip.http_status,
            ms=round((wall() - began) * 1000, 1),
            args=trip.logged(),
            scripted=trip.script is not None,
            chaos=trip.rule.id if trip.rule else 0,
            executed=trip.executed,
        )
    return response


class Trip:
    """One call on its way through the checks."""

    def __init__(self, sim: "Simulator", request: web.Request, path: str) -> None:
        self.sim, self.request, self.path = sim, request, path
        self.ip = request.remote or "127.0.0.1"
        self.given: dict[str, Any] = {}
        self.corp_id = request.query.get("corpid", "")
        self.errcode: int | None = 0
        self.http_status = 200
        self.script: Script | None = None
        self.rule: Rule | None = None
        self.executed = False

    async def run(self) -> web.StreamResponse:
        """The answer, or a WeComError."""
        raw = await self.request.read() if self._has_json() else b""
        self.given = {key: value for key, value in self.request.query.items() if key != "access_token"}
        await self._latency()
        form_error = self._read_json(raw)
        corp_id = self.corp_id or self._corp_of_token()
        self.script = self.sim.scripts.take(self.path, corp_id, self.given)
        if self.script is not None:
            return await self._scripted(self.script, form_error)
        struck = self.sim.chaos.call(self.path, corp_id)
        if struck is None:
            return await self._answer(form_error)
        self.rule, fault = struck
        try:
            return await self._scripted(fault, form_error)
        finally:
            self.rule.executed += self.executed

    def logged(self) -> dict:
        """The parameters for the call log: no secret, nothing long."""
        shown = {key: value for key, value in self.given.items() if key != "corpsecret"}
        return shown if len(str(shown)) < LOGGED_BODY else {"…": "longer than the log keeps"}

    def _has_json(self) -> bool:
        return self.request.method == "POST" and not self.request.content_type.startswith("multipart/")

    def _corp_of_token(self) -> str:
        token = self.sim.tokens.find(self.request.query.get("access_token", ""))
        return token.corp_id if token else ""

    async def _latency(self) -> None:
        """Wait as told; a call whose concurrency is limited waits later, while it counts as running."""
        low, high = self.sim.switches.latency_ms
        spot = ENDPOINTS.get(self.path)
        if high and not (spot and spot.concurrency):
            await asyncio.sleep(random.uniform(low, high) / 1000)

    def _read_json(self, raw: bytes) -> WeComError | None:
        """Parse the body whatever its Content-Type says; the error waits until its turn in the order of checks."""
        if not raw.strip():
            return None
        try:
            body = json.loads(raw)
        except ValueError:
            return WeComError(40058, note=" Warning: wrong json format. ")
        if not isinstance(body, dict):
            return WeComError(40058, note=" Warning: wrong json format. ")
        self.given = self.given | body
        return None

    async def _answer(self, form_error: WeComError | None) -> web.StreamResponse:
        if self.path == "gettoken":
            issued = self.sim.tokens.issue(self.sim, self.given, self.ip)
            self.executed = True
            return as_json(issued)
        spot = ENDPOINTS.get(self.path)
        if spot is None:
            raise web.HTTPNotFound(text="unknown endpoint")
        token = self.sim.tokens.check(self.request.query.get("access_token", ""))
        self.corp_id = token.corp_id
        if self.sim.switches.block_ip:
            raise WeComError(60020)
        if token.kind not in spot.secrets or not self.sim.corps[token.corp_id].permits(token.kind, self.path):
            raise WeComError(48002)
        own = getattr(self.sim.switches, spot.per_minute) if spot.per_minute else None
        self.sim.governor.admit(self.sim.switches, token.corp_id, self.ip, self.path, wall(), per_minute=own)
        if not spot.concurrency:
            return await self._handle(spot, token, form_error)
        self.sim.governor.enter(token.corp_id, self.path, getattr(self.sim.switches, spot.concurrency))
        try:
            low, high = self.sim.switches.latency_ms
            await asyncio.sleep(random.uniform(low, high) / 1000)  # the time during which others count as concurrent
            return await self._handle(spot, token, form_error)
        finally:
            self.sim.governor.leave(token.corp_id, self.path)

    async def _handle(self, spot: Endpoint, token: AccessToken, form_error: WeComError | None) -> web.StreamResponse:
        if self.request.method not in spot.method.split("|"):
            raise WeComError(40058 if spot.method == "POST" else 40063)
        if form_error:
            raise form_error
        upload = await self._read_upload() if spot.upload else None
        args = declared.read(spot.fields, self.given)
        corp = self.sim.corps[token.corp_id]
        call = Call(self.sim, corp, token.kind, args, self.sim.clock.now(), self.request, upload)
        result = spot.handler(call)
        self.executed = True
        if isinstance(result, dict):
            return as_json({"errcode": 0, "errmsg": "ok"} | result)
        return as_json(result) if isinstance(result, bytes) else result

    async def _read_upload(self) -> tuple[str, str, bytes] | None:
        """(file name, content type, bytes) of the form field `media`."""
        if not self.request.content_type.startswith("multipart/"):
            return None
        async for part in await self.request.multipart():
            if isinstance(part, BodyPartReader) and part.name == "media":
                content = bytes(await part.read())
                return part.filename or "file", part.headers.get("Content-Type", "application/octet-stream"), content
        return None

    async def _scripted(self, script: Script, form_error: WeComError | None) -> web.StreamResponse:
        true_answer: web.StreamResponse | None = None
        if script.runs:
            try:
                true_answer = await self._answer(form_error)
            except WeComError as error:
                self.errcode = error.code
                true_answer = as_json({"errcode": error.code, "errmsg": error_message(error, self.ip)})
        if script.delay:
            await asyncio.sleep(script.delay)
        if not script.faulty and true_answer is not None:
            return await self._dripped(script.drip, true_answer) if script.drip else true_answer
        return await self._fault(script, true_answer)

    async def _fault(self, script: Script, true_answer: web.StreamResponse | None) -> web.StreamResponse:
        self.errcode = script.errcode
        if script.close:
            self._hang_up()
            return web.Response()
        if script.body is not None:
            return as_json(script.body)
        if script.http_status is not None:
            self.http_status = script.http_status
            return web.Response(status=script.http_status, text=script.errmsg or "bad gateway")
        if script.errcode is not None:
            self._end_token(script.errcode)
            self._block(script.errcode)
            raise WeComError(script.errcode, script.errmsg)
        return await self._truncated(script, true_answer)

    def _end_token(self, errcode: int) -> None:
        """A rule that says a token ended ends it, so that asking for another one brings another one."""
        if self.rule and errcode in (40014, 42001):
            self.sim.tokens.end(self.request.query.get("access_token", ""), expire=errcode == 42001)

    def _block(self, errcode: int) -> None:
        """Where the switch says so, a rule's 45009 is a window that overflowed: what follows is refused as well."""
        if self.rule and errcode == 45009 and self.sim.switches.chaos_45009_blocks:
            self.sim.governor.block(self.corp_id or self._corp_of_token(), self.path, wall())

    async def _truncated(self, script: Script, answer: web.StreamResponse | None) -> web.StreamResponse:
        response, body = await self._begin(answer)
        size = len(body) // 2 if script.half else script.truncate or 0
        await response.write(body[: min(size, len(body) - 1)])
        self._hang_up()
        return response

    async def _dripped(self, seconds: float, answer: web.StreamResponse) -> web.StreamResponse:
        response, body = await self._begin(answer)
        step = -(-len(body) // DRIPS)
        for begin in range(0, len(body), step):
            await response.write(body[begin : begin + step])
            await asyncio.sleep(seconds / DRIPS)
        return response

    async def _begin(self, answer: web.StreamResponse | None) -> tuple[web.StreamResponse, bytes]:
        """(an answer whose head is out and promises the whole body, that body)."""
        body = answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b"{}"
        response = web.StreamResponse(headers={"Content-Type": JSON_TYPE, "Content-Length": str(len(body))})
        await response.prepare(self.request)
        return response, body

    def _hang_up(self) -> None:
        if self.request.transport is not None:
            self.request.transport.close()
