"""Find every translatable string in Python sources and Django templates."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tokenize import TokenError

from babel.messages.extract import DEFAULT_KEYWORDS, extract
from django.utils.translation import TranslatorCommentWarning
from django.utils.translation.template import templatize

KEYWORDS = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
# Folders that hold no words of the product: environments, build output, tests, the simulator (a program of its own).
SKIPPED = frozenset(
    {
        "node_modules",
        "migrations",
        "tests",
        "benchmarks",
        "simulator",
        "staticfiles",
        "locale",
        "frontend",
        "__pycache__",
    }
)


@dataclass(frozen=True, order=True)
class Message:
    """One source string; `plural` is empty when there is no plural form, `context` when there is none."""

    id: str
    plural: str = ""
    context: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What gettext looks up: a catalogue holds one entry per context and singular."""
        return (self.context, self.id)


def from_python(source: str) -> set[Message]:
    """Messages of a Python module."""
    found = extract("python", BytesIO(source.encode()), keywords=KEYWORDS, options={"encoding": "utf-8"})
    return {_message(text, context) for _line, text, _comments, context in found if text}


def from_template(source: str, origin: str = "") -> set[Message]:
    """Messages of a Django template: its tags rewritten as calls, everything else blanked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TranslatorCommentWarning)
        calls = templatize(source, origin=origin)
    # The blanked text keeps its indentation, which the Python tokenizer would take seriously.
    return from_python("\n".join(line.strip() for line in calls.splitlines()))


def _message(text: str | tuple[str, ...], context: str | None) -> Message:
    if isinstance(text, str):
        return Message(text, context=context or "")
    return Message(text[0], text[1] if len(text) > 1 else "", context or "")


def source_files(root: Path) -> Iterator[Path]:
    """Python modules and templates below `root` that may hold words of the product, in a stable order."""
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or path.name in SKIPPED:
            continue
        if path.is_dir():
            yield from source_files(path)
        elif path.suffix in {".py", ".html", ".txt"} and (path.suffix == ".py" or "templates" in path.parts):
            yield path


def from_tree(root: Path) -> dict[Message, list[str]]:
    """Every message below `root` with the files (relative, sorted) it occurs in."""
    found: dict[Message, list[str]] = {}
    for path in source_files(root):
        source = path.read_text(encoding="utf-8")
        name = path.relative_to(root).as_posix()
        try:
            messages = from_python(source) if path.suffix == ".py" else from_template(source, name)
        except (SyntaxError, TokenError) as error:
            raise ValueError(f"{name} cannot be read: {error}") from error
        for message in messages:
            found.setdefault(message, []).append(name)
    return found
