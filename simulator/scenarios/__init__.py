"""Worlds as data. `load("chain")` or `load("scale:members=100,customers=50000")` gives a Scenario."""

from simulator.scenarios import chain, chain1500, empty, scale, shop
from simulator.scenarios.model import Scenario

BUILDERS = {
    "shop": shop.build,
    "chain": chain.build,
    "chain1500": chain1500.build,
    "empty": empty.build,
    "scale": scale.build,
}


def load(spec: str) -> Scenario:
    """The scenario named by `spec`: a name, then optionally `:key=number,…`.

    Raises ValueError for an unknown name or parameter.
    """
    name, _, tail = spec.partition(":")
    if name not in BUILDERS:
        raise ValueError(f"unknown scenario {name!r}; known: {', '.join(sorted(BUILDERS))}")
    parameters: dict[str, int] = {}
    for pair in filter(None, tail.split(",")):
        key, _, value = pair.partition("=")
        parameters[key.strip()] = int(value)
    try:
        return BUILDERS[name](**parameters)
    except TypeError as error:
        raise ValueError(f"scenario {name!r} does not take these parameters: {tail}") from error
