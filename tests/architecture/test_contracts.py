"""The import contracts name every package; one that is not named would not be checked at all."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
CONTRACTS = {contract["id"]: contract for contract in CONFIG["contracts"]}
ROOMS = {"urls", "views", "tasks", "handlers", "forms", "services", "queries", "models"}
# Beside the product: programs without rooms.
FREE = {"scrm", "demo", "simulator", "benchmarks", "tests"}


def packages() -> list[Path]:
    return [path.parent for path in ROOT.glob("*/__init__.py") if path.parent.name not in FREE]


def has_rooms(folder: Path) -> bool:
    names = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    return len(names & ROOMS) > 1


def test_every_app_has_its_layer():
    layered = {word for layer in CONTRACTS["apps"]["layers"] for word in layer.replace(" ", "").split("|")}

    assert {folder.name for folder in packages()} <= layered


def test_every_package_with_rooms_is_a_container():
    found = set()
    for app in packages():
        folders = [app, *(path.parent for path in app.rglob("__init__.py"))]
        found |= {".".join(folder.relative_to(ROOT).parts) for folder in folders if has_rooms(folder)}

    assert found <= set(CONTRACTS["rooms"]["containers"])


def test_the_linter_reads_every_package():
    top = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}

    assert top == set(CONFIG["root_packages"])
