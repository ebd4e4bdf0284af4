"""What the programs of a demo or a test run get to know: addresses, secrets that last, and throw-away values."""

import json
import os
import secrets
import shutil
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.install import placeholder_settings as placeholder_settings

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".demo"
NEEDED_BYTES = 1024**3
SHOP_ZONE = timezone(timedelta(hours=8))  # China has one zone and no summer time


def lasting_secrets(folder: Path) -> dict[str, str]:
    """SECRET_KEY and FIELD_KEYS of this demo: made once, mode 600. Values in the environment win."""
    path = folder / "secrets.json"
    if not path.is_file():
        made = {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "FIELD_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        }
        write_private(path, json.dumps(made, indent=2))
    known: dict[str, str] = json.loads(path.read_text())
    return {name: os.environ.get(name) or value for name, value in known.items()}


def world_start(folder: Path) -> str:
    """The instant at which this demo's simulated world begins: the first start, kept, so that later ones see the same world."""
    path = folder / "world.json"
    if not path.is_file():
        # 10:20 in the shops of the demo: the morning's work lies open, the evening's deadline ahead.
        start = datetime.now(UTC).astimezone(SHOP_ZONE).replace(hour=10, minute=20, second=0, microsecond=0)
        write_private(path, json.dumps({"start": start.astimezone(UTC).isoformat(timespec="seconds")}))
    return str(json.loads(path.read_text())["start"])


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, at no moment otherwise; readers see the old text or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def check_disk(folder: Path, needed: int = NEEDED_BYTES) -> None:
    """Raises RuntimeProblem when the disk that holds the folder is (nearly) full."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RuntimeProblem(
            f"The disk that holds {folder} has {free / 1024**2:.0f} MB free and {needed / 1024**2:.0f} MB are needed. "
            "Free some space and run this again; nothing was started."
        )


def site_environment(web_port: int, simulator_port: int) -> dict[str, str]:
    """Settings of a site on this machine that talks to the simulator. Values in the environment win, ports excepted."""
    domain = os.environ.get("BASE_DOMAIN", "scrm.localhost")
    values = {
        "DEBUG": "0",
        "BASE_DOMAIN": domain,
        "PUBLIC_HOST": f"admin.{domain}",
        "SITE_SCHEME": "http",
        "ALLOW_SANDBOX": "1",
        "LOG_FORMAT": "text",
        "PYTHONUNBUFFERED": "1",
        # Static files come straight from their sources here; only an image collects them.
        "PYTHONWARNINGS": "ignore:No directory at:UserWarning",
    }
    values = {name: os.environ.get(name) or value for name, value in values.items()}
    simulator = f"http://127.0.0.1:{simulator_port}"
    return values | {
        "SITE_PORT": str(web_port),
        "PORT": str(web_port),
        "SIMULATOR_PORT": str(simulator_port),
        "SIMULATOR_URL": simulator,
        "WECOM_API_BASE": simulator,
        "WECOM_PAGES_BASE": simulator,
        # psycopg2 in a forked worker on macOS crashes while it looks for Kerberos tickets that nobody has.
        "PGGSSENCMODE": "disable",
    }
