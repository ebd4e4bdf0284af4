"""Files that name customers: exports, uploads, and what imports rejected. One that names an erased person goes as a whole."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from django.conf import settings

from tenants.erasure import Subject
from tenants.ledger.models import Job
from tenants.paths import tenant_dir

TABLES = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".upload"})  # not the pictures of campaigns
PIECE = 1 << 20


def erase_files(subject: Subject, words: Sequence[str]) -> int:
    """Delete the files that name her: by an id, by her number as a cell, or by a name or remark of hers, since a file that names
    another of that name can be made again. How many."""
    needles = [key.encode() for key in subject.texts()]
    needles += [word.encode(encoding) for word in words for encoding in ("utf-8", "gb18030")]
    for pk in subject.pks("contacts.Contact"):
        needles += [f"\n{pk},".encode(), f">{pk}<".encode()]  # a line of CSV, a cell of XLSX
    count = 0
    for path in sorted(tenant_dir().rglob("*")):
        if path.suffix.lower() in TABLES and path.is_file() and _names(path, needles):
            path.unlink(missing_ok=True)
            Job.objects.filter(file_path=str(path.relative_to(settings.MEDIA_ROOT))).update(file_path="")
            count += 1
    return count


def _names(path: Path, needles: Sequence[bytes]) -> bool:
    """Whether one of these stands in the file, or in a part of it where it is packed."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return _stands_in(file, needles)
    with zipfile.ZipFile(path) as book:
        for part in book.infolist():
            with book.open(part) as file:
                if _stands_in(file, needles):
                    return True
    return False


def _stands_in(file: IO[bytes], needles: Sequence[bytes]) -> bool:
    return any(needle in text for text in _pieces(file, max(map(len, needles), default=0)) for needle in needles)


def _pieces(file: IO[bytes], longest: int) -> Iterator[bytes]:
    """The file a piece at a time, each with the end of the one before it."""
    rest = b""
    while piece := file.read(PIECE):
        yield rest + piece
        rest = (rest + piece)[-longest:]
