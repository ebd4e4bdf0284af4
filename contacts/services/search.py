"""What the text search looks through: names, remarks, their pinyin, the last digits of phones."""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from django.db.models import Q
from pypinyin import Style, lazy_pinyin

from contacts.models import Contact, ContactPhone, Follow
from scrm.lib.db.bulk import update_rows
from tenants import backfills

BACKFILL = "contacts.search_beginnings"


@lru_cache(maxsize=16384)
def _syllable(char: str) -> str:
    return lazy_pinyin(char, style=Style.NORMAL, errors="ignore")[0] if "\u3400" <= char <= "\u9fff" else ""


def pinyin_of(text: str) -> tuple[str, str]:
    """(syllables run together, initials) of the Chinese characters in a text: 王小雨 → ("wangxiaoyu", "wxy")."""
    syllables = [syllable for syllable in map(_syllable_or_empty, text) if syllable]
    return "".join(syllables), "".join(syllable[0] for syllable in syllables)


def _syllable_or_empty(char: str) -> str:
    try:
        return _syllable(char)
    except IndexError:  # a character without a reading
        return ""


def searchable(texts: Iterable[str], phones: Iterable[str] = ()) -> str:
    """One lower-case line to match parts against: each text, its syllables and initials, the last four digits of phones."""
    parts: dict[str, None] = {}
    for text in texts:
        text = text.strip().lower()
        if text and text not in parts:
            full, initials = pinyin_of(text)
            parts.update(dict.fromkeys(part for part in (text, full, initials) if part))
    parts.update(dict.fromkeys(phone[-4:] for phone in phones if len(phone) >= 4))
    return " ".join(parts)


def people_text(texts: Iterable[str], phones: Iterable[str] = ()) -> str:
    """What the search looks through for a person: `searchable`, and where in her names a short search may begin.

    The index knows parts of three letters, and beginnings of words from one letter on. So that "小雨" finds 王小雨 by the
    index too, what follows each later character is a word of its own.
    """
    names = [text.strip().lower() for text in texts]
    inner = dict.fromkeys(name[at : at + 2] for name in names for at in range(1, len(name)) if _begins(name, at))
    return " ".join([searchable(names, phones), *(part for part in inner if " " not in part)])


def _begins(name: str, at: int) -> bool:
    """Whether a search might begin here, and not only within a word of letters or digits."""
    return name[at].isalnum() and not (name[at - 1].isascii() and name[at - 1].isalnum() and name[at].isascii())


def matching(word: str) -> Q:
    """People whose search text has the word: any part of it from three characters on, the beginning of a word below."""
    if len(word) > 2 or not backfills.is_done(BACKFILL):
        return Q(search_text__contains=word)
    return Q(search_text__startswith=word) | Q(search_text__contains=f" {word}")


def refill(cursor: backfills.Cursor, limit: int) -> tuple[backfills.Cursor | None, int]:
    """The backfill: write the search texts of the next people anew."""
    people = Contact.objects.select_for_update().filter(root=None, pk__gt=cursor.get("after", 0)).order_by("pk")
    roots = list(people.values_list("pk", flat=True)[:limit])
    refresh_search(roots)
    return ({"after": roots[-1]} if len(roots) == limit else None), len(roots)


def refresh_search(contact_ids: Iterable[int]) -> None:
    """Rewrite the search text of people from their contacts' names, all remarks and phones; one merged into another means her root.
    Four statements at most, five where somebody is merged."""
    rows = _families(set(contact_ids))
    roots = {root_id or pk for pk, root_id, _name, _text in rows}
    if not roots:
        return
    texts: dict[int, list[str]] = {root: [] for root in roots}
    phones: dict[int, list[str]] = defaultdict(list)
    before: dict[int, str] = {}
    family: dict[int, int] = {}
    for pk, root_id, name, search_text in rows:
        family[pk] = root_id or pk
        texts[family[pk]].append(name)
        if root_id is None:
            before[pk] = search_text
    remarks = Follow.objects.filter(contact_id__any_of=set(family)).exclude(remark="").order_by("id")
    for contact_id, remark in remarks.values_list("contact_id", "remark"):
        texts[family[contact_id]].append(remark)
    noted = ContactPhone.objects.filter(contact_id__any_of=set(family)).order_by("id")
    for contact_id, phone in noted.values_list("contact_id", "phone"):
        phones[family[contact_id]].append(phone)
    written = [{"id": root, "search_text": people_text(texts[root], phones[root])} for root in sorted(roots)]
    update_rows(Contact, [row for row in written if row["search_text"] != before.get(int(str(row["id"])))])


def _families(contact_ids: set[int]) -> list[tuple[int, int | None, str, str]]:
    """(id, root, name, search text) of these contacts' roots and of every row merged into those, in the order of ids."""
    while contact_ids:
        people = Contact.objects.filter(Q(pk__any_of=contact_ids) | Q(root_id__any_of=contact_ids)).order_by("id")
        rows: list[tuple[int, int | None, str, str]] = list(people.values_list("pk", "root_id", "name", "search_text"))
        roots = {root_id or pk for pk, root_id, _name, _text in rows}
        if roots <= contact_ids:
            return rows
        contact_ids = roots
    return []
