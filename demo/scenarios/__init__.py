"""The two merchants of the demo, as data."""

from demo.scenarios import chain, shop
from demo.scenarios.model import Scenario

SCENARIOS: tuple[Scenario, ...] = (chain.SCENARIO, shop.SCENARIO)
