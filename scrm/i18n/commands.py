"""The command line of the pipeline, shared by `python -m scrm.i18n` and `manage.py messages`."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from scrm.i18n import catalogue
from scrm.i18n.extract import Message, from_tree

Say = Callable[[str], object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs: extract, missing, fill, check, compile."""
    parser.add_argument("verb", nargs="?", default="check", choices=["extract", "missing", "fill", "check", "compile"])
    parser.add_argument("file", nargs="?", type=Path, help="fill: JSON, source string → English (a pair for plurals)")
    parser.add_argument(
        "--check", action="store_true", help="with extract: change nothing, fail when something is missing or stale"
    )


def run(root: Path, verb: str, file: Path | None, check: bool, say: Say) -> int:
    """Carry out a verb; returns the exit status."""
    path = catalogue.po_path(root)
    if verb == "compile":
        for written in catalogue.compile_all(root):
            say(f"compiled {written.relative_to(root)}")
        return 0
    found = from_tree(root)
    if verb == "check" or check:
        problems = catalogue.check(path, found)
        for line in problems.lines():
            say(line)
        say(f"{len(found)} source strings, {'NOT complete' if problems else 'all translated'}")
        return 1 if problems else 0
    if verb == "missing":
        known = catalogue.read(path)
        bare = [m for m in sorted(found) if m.key not in known or not all(known[m.key][1])]
        empty = {_name(m): ["", ""] if m.plural else "" for m in bare}
        say(json.dumps(empty, ensure_ascii=False, indent=1))
        return 0
    given = json.loads(file.read_text(encoding="utf-8")) if verb == "fill" and file else None
    unused = catalogue.sync(path, found, given)
    for name in unused:
        say(f"no source has this string: {name!r}")
    say(f"{path.relative_to(root)}: {len(found)} entries")
    return 1 if unused else 0


def _name(message: Message) -> str:
    """How JSON names a message."""
    return f"{message.context}|{message.id}" if message.context else message.id
