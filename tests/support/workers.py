"""What a test process needs before the settings are loaded: a Valkey of its own, and memory that is not searched in vain."""

import gc
import os
from urllib.parse import urlsplit, urlunsplit

_NAME = os.environ.get("PYTEST_XDIST_WORKER", "")

# Two test processes side by side share one Valkey: each takes a database of its own there.
if _NAME.removeprefix("gw").isdecimal() and os.environ.get("REDIS_URL"):
    _number = int(_NAME.removeprefix("gw")) + 1
    os.environ["REDIS_URL"] = urlunsplit(urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{_number}"))

# What is loaded and collected stays to the end: looking through it for garbage takes a quarter of that time, and finds none.
gc.disable()


def pytest_collection_finish() -> None:
    """From here on garbage is looked for among what tests make."""
    gc.enable()
    gc.freeze()
