"""Where the application keeps its simulator."""

from aiohttp import web

from simulator.simulator import Simulator

SIMULATOR = web.AppKey("simulator", Simulator)
