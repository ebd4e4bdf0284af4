"""`python -m benchmarks [NAME]`: run all benchmarks or one, print the ratios, keep them in benchmarks/results.json."""

import importlib
import inspect
import json
import os
import pkgutil
import sys
import time
import traceback
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import Benchmark, Result

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "results.json"


def discover() -> dict[str, type[Benchmark]]:
    """Every benchmark in this folder by name. Raises ValueError when two share one."""
    found: dict[str, type[Benchmark]] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules([str(FOLDER)])):
        if module in ("harness", "__main__"):
            continue
        loaded = importlib.import_module(f"benchmarks.{module}")
        for _, kind in inspect.getmembers(loaded, inspect.isclass):
            if not issubclass(kind, Benchmark) or inspect.isabstract(kind) or kind.__module__ != loaded.__name__:
                continue
            if kind.name in found:
                raise ValueError(f"two benchmarks are called {kind.name}")
            found[kind.name] = kind
    return found


def keep(results: list[Result], path: Path = RESULTS) -> None:
    """Merge the results into the file, by name; those of other benchmarks stay."""
    known = {row["name"]: row for row in json.loads(path.read_text())} if path.is_file() else {}
    known |= {result.name: result.row() for result in results}
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps([known[name] for name in sorted(known)], ensure_ascii=False, indent=2) + "\n")
    draft.replace(path)


def show(result: Result, *, quick: bool) -> None:
    """One line per benchmark."""
    verdict = "not judged at this size" if quick else "ok" if result.ok else "MISSED"
    sign = "<=" if result.detail["better"] == "lower" else ">="
    print(
        f"{result.name:<20} ratio {result.ratio:<7} goal {sign} {result.goal:<5} spread {result.detail['spread']:<6} "
        f"scale {result.detail['scale']:<9} {verdict}",
        flush=True,
    )
    for spent in result.detail.get("cpu_seconds", [])[-1:]:
        print(f"{'':<20} cpu seconds of the last round: {spent}", flush=True)


def main(arguments: list[str]) -> int:
    """Exit code 0 when every benchmark ran and met its goal (SCALE=quick: ran)."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scrm.settings")
    import django

    django.setup()
    from benchmarks import merchants

    quick = harness.is_quick()
    kinds = discover()
    unknown = [name for name in arguments if name not in kinds]
    if unknown:
        print(f"no benchmark called {', '.join(unknown)}; there are: {', '.join(kinds) or 'none'}", file=sys.stderr)
        return 2
    # The server is a new one each time, and no benchmark may depend on another having been run before it.
    merchants.migrate_public()
    failed = False
    for name in arguments or list(kinds):
        began = time.monotonic()
        try:
            result = harness.run(kinds[name], quick=quick)
        except Exception:  # one that breaks must not keep the others from running
            traceback.print_exc()
            failed = True
            continue
        show(result, quick=quick)
        print(f"{'':<20} took {time.monotonic() - began:.0f} s", flush=True)
        failed = failed or not (quick or result.ok)
        if not quick:
            keep([result])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
