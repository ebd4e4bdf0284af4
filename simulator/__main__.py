"""`python -m simulator --port 9400 --scenario shop --seed 7`"""

import argparse
import json
import logging
import time
from pathlib import Path

from aiohttp import web

from simulator.app import build
from simulator.chaos.recipes import RECIPES
from simulator.clock import parse_instant
from simulator.simulator import Simulator
from simulator.state import StateFile


def switch(text: str) -> tuple[str, object]:
    """A switch as the command line writes it: `block_ip=true`."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=JSON, such as block_ip=true") from error


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="simulator", description="A WeCom to develop, demonstrate and test against.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9400)
    parser.add_argument(
        "--scenario", action="append", help="shop, chain, empty or scale[:members=…,customers=…]; repeatable"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--start", help="domain time of the beginning, ISO 8601; now if absent")
    parser.add_argument(
        "--switch", action="append", default=[], type=switch, metavar="NAME=JSON", help="set a switch; repeatable"
    )
    parser.add_argument(
        "--chaos", action="append", default=[], metavar="RECIPE", help=f"{', '.join(RECIPES)}; repeatable"
    )
    parser.add_argument("--prerender", action="store_true", help="render every customer before answering")
    parser.add_argument("--state", type=Path, help="keep the worlds in this file across restarts")
    return parser.parse_args()


def make(options: argparse.Namespace) -> Simulator:
    """The simulator the command line asks for. Raises ValueError for a wrong value."""
    start = parse_instant(options.start) if options.start else None
    sim = Simulator(options.scenario or ["shop"], options.seed, start)
    if options.state:
        state = StateFile(options.state, (tuple(options.scenario or ["shop"]), options.seed, options.start))
        print(f"simulator: {sim.keep_in(state) or 'taken up from ' + str(options.state)}", flush=True)
    sim.preset(dict(options.switch), tuple(options.chaos))
    if options.prerender:
        prerender(sim)
    return sim


def prerender(sim: Simulator) -> None:
    """Fill the fragment cache, so that pages are served from memory."""
    for corp in sim.corps.values():
        for guide in corp.directory.servants():
            for number in corp.customers.numbers(guide.userid)[0]:
                corp.customers.fragment(guide.userid, number)


def main() -> None:
    """Serve until interrupted; prints where it listens and the corps it hosts."""
    options = parse()
    logging.basicConfig(level=logging.WARNING)
    began = time.perf_counter()
    try:
        sim = make(options)
    except ValueError as error:
        raise SystemExit(f"simulator: {error}") from error
    for corp in sim.corps.values():
        print(f"{corp.scenario.corp_name}  corp_id {corp.corp_id}  agent_id {corp.agent_id}", flush=True)
    took = time.perf_counter() - began
    print(f"simulator: http://{options.host}:{options.port}/  ({took:.1f} s)", flush=True)
    web.run_app(build(sim), host=options.host, port=options.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
