"""Files that name customers: exports, uploads, and what imports rejected. One that names an erased person goes as a whole."""

import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape

from django.conf import settings

from tenants.erasure import Subject
from tenants.ledger.models import Job
from tenants.paths import tenant_dir

# Not the pictures of campaigns. `.part`: what an export that was given up left behind.
TABLES = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".upload", ".part"})
PIECE = 1 << 20
SHORT = 2  # characters of a word that is part of others: it is looked for as a whole cell
_BEGINS, _ENDS = rb"[,;\t\n\">']", rb"[,;\t\r\n\"<]"


def erase_files(subject: Subject, words: Sequence[str]) -> int:
    """Delete the files that name her: by an id, by her number as a cell, or by a name or remark of hers, since a file that names
    another of that name can be made again. How many."""
    needles = [key.encode() for key in subject.texts()]
    needles += _written(word for word in words if len(word) > SHORT)
    cells = _cells([word for word in words if len(word) <= SHORT])
    for pk in subject.pks("contacts.Contact"):
        needles += [f"\n{pk},".encode(), f">{pk}<".encode()]  # a line of CSV, a cell of XLSX
    count = 0
    for path in sorted(tenant_dir().rglob("*")):
        if path.suffix.lower() in TABLES and path.is_file() and _names(path, needles, cells):
            path.unlink(missing_ok=True)
            Job.objects.filter(file_path=str(path.relative_to(settings.MEDIA_ROOT))).update(file_path="")
            count += 1
    return count


def _written(words: Iterable[str]) -> list[bytes]:
    """Words as files have them: in either encoding, with the quotes of a CSV doubled, with the signs of an XLSX escaped."""
    forms = {form for word in words for form in (word, word.replace('"', '""'), escape(word))}
    return sorted({form.encode(encoding) for form in forms for encoding in ("utf-8", "gb18030")})


def _cells(words: Sequence[str]) -> re.Pattern[bytes] | None:
    """These words as whole cells."""
    return re.compile(_BEGINS + b"(?:" + b"|".join(map(re.escape, _written(words))) + b")" + _ENDS) if words else None


def _names(path: Path, needles: Sequence[bytes], cells: re.Pattern[bytes] | None) -> bool:
    """Whether one of these stands in the file, or in a part of it where it is packed."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return _stands_in(file, needles, cells)
    with zipfile.ZipFile(path) as book:
        for part in book.infolist():
            with book.open(part) as file:
                if _stands_in(file, needles, cells):
                    return True
    return False


def _stands_in(file: IO[bytes], needles: Sequence[bytes], cells: re.Pattern[bytes] | None) -> bool:
    longest = max(map(len, needles), default=0) + 10 * SHORT  # no short word with its ends is longer than that
    return any(
        any(needle in text for needle in needles) or (cells is not None and cells.search(text) is not None)
        for text in _pieces(file, longest)
    )


def _pieces(file: IO[bytes], longest: int) -> Iterator[bytes]:
    """The file a piece at a time, each with the end of the one before it; the last line ends as the others do."""
    rest = b""
    while piece := file.read(PIECE):
        yield rest + piece
        rest = (rest + piece)[-longest:]
    yield rest + b"\n"
