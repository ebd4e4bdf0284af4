"""Small random worlds: rows of everything the fields read, with instants and days where answers change."""

from tests.reference.chance import World
from tests.reference.happenings import Happenings


def build(seed: int, *, people: int = 40) -> World:
    """Write a world into the tenant in scope and say what there is. The same seed makes the same world, ids apart."""
    made = Happenings(seed, people)
    made.add_organisation()
    made.add_dictionary()
    made.add_contacts()
    made.add_relations()
    made.add_groups()
    made.add_orders()
    made.add_history()
    made.add_campaigns()
    return made.world
