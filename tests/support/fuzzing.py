"""How many odd inputs a test makes up: few in every run, FUZZ times as many when somebody has the time (`make gates` does)."""

import os


def often(examples: int) -> int:
    """`examples`, or FUZZ times as many."""
    return examples * int(os.environ.get("FUZZ", "1"))
