"""Files that name customers: exports, and what imports rejected. One that names an erased person goes as a whole."""

from pathlib import Path

from django.conf import settings

from tenants.erasure import Subject
from tenants.ledger.models import Job
from tenants.paths import tenant_dir

FOLDERS = ("exports", "imports")
PIECE = 1 << 20


def erase_files(subject: Subject) -> int:
    """Delete the files that name her, by an id or as a line of an export that begins with her number; how many."""
    needles = [key.encode() for key in subject.texts()]
    needles += [f"\n{pk},".encode() for pk in subject.pks("contacts.Contact")]
    count = 0
    for folder in FOLDERS:
        for path in sorted(tenant_dir(folder).iterdir()):
            if path.is_file() and _names(path, needles):
                path.unlink(missing_ok=True)
                Job.objects.filter(file_path=str(path.relative_to(settings.MEDIA_ROOT))).update(file_path="")
                count += 1
    return count


def _names(path: Path, needles: list[bytes]) -> bool:
    """Whether one of these stands in the file, also across two pieces of it."""
    longest = max(map(len, needles), default=0)
    rest = b""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            text = rest + piece
            if any(needle in text for needle in needles):
                return True
            rest = text[-longest:]
    return False
