"""Two test processes side by side share one Valkey: each takes a database of its own there. Loaded before the settings are."""

import os
from urllib.parse import urlsplit, urlunsplit

_NAME = os.environ.get("PYTEST_XDIST_WORKER", "")

if _NAME.removeprefix("gw").isdecimal() and os.environ.get("REDIS_URL"):
    _number = int(_NAME.removeprefix("gw")) + 1
    os.environ["REDIS_URL"] = urlunsplit(urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{_number}"))
