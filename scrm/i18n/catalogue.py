"""The English catalogue: kept in step with the sources, checked, compiled."""

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from scrm.i18n.extract import Message

HEADER = (
    'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n"Language: en\\n"\n'
    '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
)
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[sd]|\{\w*\}")
HAN = re.compile(r"[\u3400-\u9fff]")
# Words of WeCom's own console may stand in 「」 or in brackets, as the reader finds them there.
QUOTED = re.compile(r"「[^」]*」|\([^)]*\)")

Translation = tuple[str, ...]
Key = tuple[str, str]


@dataclass
class Problems:
    """What keeps a catalogue from being complete and true; each a list of lines for people."""

    missing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    untranslated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.missing or self.stale or self.untranslated or self.wrong)

    def lines(self) -> Iterator[str]:
        """Every problem with its kind."""
        for kind in ("missing", "stale", "untranslated", "wrong"):
            for text in getattr(self, kind):
                yield f"{kind}: {text}"


def po_path(root: Path, language: str = "en") -> Path:
    """Where a language's catalogue lies."""
    return root / "locale" / language / "LC_MESSAGES" / "django.po"


def read(path: Path) -> dict[Key, tuple[Message, Translation]]:
    """The entries of a .po file by (context, singular); none when there is no file. Fuzzy entries count as untranslated."""
    if not path.exists():
        return {}
    entries: dict[Key, tuple[Message, Translation]] = {}
    for entry in read_po(BytesIO(path.read_bytes()), locale="en"):
        if not entry.id:
            continue
        ids, texts = _tuple(entry.id), _tuple(entry.string or "")
        message = Message(ids[0], ids[1] if len(ids) > 1 else "", entry.context or "")
        entries[message.key] = (message, ("",) * len(texts) if entry.fuzzy else texts)
    return entries


def _tuple(value: str | Sequence[str]) -> Translation:
    return (value,) if isinstance(value, str) else tuple(value)


def write(path: Path, entries: Mapping[Message, Translation], places: Mapping[Message, Sequence[str]]) -> None:
    """Write a .po file, sorted, with file names but no line numbers, so that an edit elsewhere changes nothing here."""
    catalogue = Catalog(locale="en")
    for message in sorted(entries):
        texts = entries[message]
        catalogue.add(
            (message.id, message.plural) if message.plural else message.id,
            (texts + ("", ""))[:2] if message.plural else texts[0],
            locations=[(name, None) for name in places.get(message, ())],  # type: ignore[misc]  # no line: it would change daily
            context=message.context or None,
        )
    body = BytesIO()
    write_po(body, catalogue, width=0, omit_header=True, sort_output=False, include_lineno=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".django.")
    with os.fdopen(handle, "wb") as file:
        file.write(HEADER.encode() + body.getvalue())
    _publish(Path(name), path)


def _publish(draft: Path, path: Path) -> None:
    """A reader sees the old file or the new one, never half of it."""
    draft.chmod(0o644)
    draft.replace(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One writer at a time: two terminals must not undo each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def sync(
    path: Path, found: Mapping[Message, Sequence[str]], given: Mapping[str, str | Sequence[str]] | None = None
) -> list[str]:
    """Bring the catalogue in step with the sources and add translations.

    `given` maps a source string (or "context|string") to its English, a pair for plurals.
    Returns the keys of `given` that no source uses.
    """
    with locked(path):
        known = read(path)
        entries = {message: known[message.key][1] if message.key in known else ("",) for message in found}
        names = {(f"{m.context}|{m.id}" if m.context else m.id): m for m in found}
        unused = []
        for name, text in (given or {}).items():
            if name in names:
                entries[names[name]] = _tuple(text)
            else:
                unused.append(name)
        write(path, entries, found)
    return unused


def check(path: Path, found: Mapping[Message, Sequence[str]]) -> Problems:
    """Compare the catalogue with the sources; an empty (false) result means complete."""
    problems, known = Problems(), read(path)
    wanted = {message.key: message for message in found}
    for key, message in sorted(wanted.items()):
        if key not in known or known[key][0].plural != message.plural:
            problems.missing.append(f"{message.id!r} ({', '.join(found[message])})")
            continue
        texts = known[key][1]
        if not all(texts) or len(texts) != (2 if message.plural else 1):
            problems.untranslated.append(repr(message.id))
        elif complaint := _complaint(message, texts):
            problems.wrong.append(f"{message.id!r}: {complaint}")
    problems.stale = [repr(known[key][0].id) for key in sorted(known) if key not in wanted]
    return problems


def _complaint(message: Message, texts: Translation) -> str:
    """What is wrong with a translation, or nothing."""
    wanted = set(PLACEHOLDER.findall(message.plural or message.id))
    if set(PLACEHOLDER.findall(texts[-1])) != wanted:
        return f"placeholders differ: {texts[-1]!r}"
    # "one customer" may leave its number out, but may not name another value.
    if not set(PLACEHOLDER.findall(texts[0])) <= wanted:
        return f"placeholders differ: {texts[0]!r}"
    for text in texts:
        if HAN.search(PLACEHOLDER.sub("", QUOTED.sub("", text))):  # a variable keeps its Chinese name
            return f"still Chinese: {text!r}"
    return ""


def compile_all(root: Path) -> list[Path]:
    """Compile each .po newer than its .mo; returns what was written."""
    written = []
    for source in sorted(root.glob("locale/*/LC_MESSAGES/django.po")):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns:
            continue
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".django.")
        with os.fdopen(handle, "wb") as file:
            write_mo(file, read_po(BytesIO(source.read_bytes()), locale=source.parts[-3]))
        _publish(Path(name), target)
        written.append(target)
    return written
