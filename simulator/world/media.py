"""Temporary media: kept three days of wall time, shared by the apps of one corp."""

from dataclasses import dataclass

from simulator.world.ids import digest_text

LIFE = 3 * 86_400


@dataclass
class Media:
    """An uploaded file. `use` is `message` (media/upload) or `moment`, `product` (media/upload_attachment)."""

    media_id: str
    kind: str
    use: str
    filename: str
    content_type: str
    content: bytes
    created: float


class MediaStore:
    """All uploads of one corp."""

    def __init__(self, key: str) -> None:
        self._key, self._added = key, 0
        self._rows: dict[str, Media] = {}

    def add(self, kind: str, use: str, filename: str, content_type: str, content: bytes, wall: float) -> Media:
        """Keep a file and name it; those whose time is over go."""
        self._rows = {key: row for key, row in self._rows.items() if wall - row.created < LIFE}
        self._added += 1
        media_id = "3" + digest_text(self._key, "media", self._added, length=64)
        row = self._rows[media_id] = Media(media_id, kind, use, filename, content_type, content, wall)
        return row

    def copy(self, media_id: str, wall: float) -> str:
        """The same file under another id, as lists of what was published name it."""
        row = self._rows[media_id]
        return self.add(row.kind, row.use, row.filename, row.content_type, row.content, wall).media_id

    def find(self, media_id: str, wall: float) -> Media | None:
        """The file while it lives."""
        row = self._rows.get(media_id)
        return row if row and wall - row.created < LIFE else None
