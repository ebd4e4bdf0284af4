"""Which row a person counted as at an instant, and what held for her then: merges and their undoing taken into account.

A row answers by its own records until it was merged, by those of the row it became from then on. Where that row has no
record yet, the others of the person answer, since some of her history may lie with them.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q

from contacts.models import ContactMerge

Record = tuple[Any, ...]  # its first item is the instant


@dataclass
class Lineage:
    """The merges of some people, undone ones too."""

    away: dict[int, list[tuple[datetime, datetime | None, int]]] = field(default_factory=dict)
    families: dict[int, frozenset[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, contact_ids: Iterable[int]) -> "Lineage":
        """One query for people who never merged, one more per generation of those who did."""
        known: set[int] = set()
        merges: dict[int, ContactMerge] = {}
        wanted = set(contact_ids)
        while wanted:
            known |= wanted
            found = ContactMerge.objects.filter(Q(gone_id__any_of=wanted) | Q(kept_id__any_of=wanted)).exclude(
                pk__in=merges
            )
            merges |= {merge.pk: merge for merge in found}
            wanted = {pk for merge in merges.values() for pk in (merge.kept_id, merge.gone_id)} - known
        return cls(_spans(merges.values()), _families(merges.values()))

    def family(self, contact_id: int) -> frozenset[int]:
        """The rows that count as one person with this one today, itself included."""
        return self.families.get(contact_id, frozenset((contact_id,)))

    def everybody(self, contact_ids: Iterable[int]) -> set[int]:
        """Every row whose records may answer for one of these."""
        found: set[int] = set()
        for pk in contact_ids:
            found |= self.family(pk) | {kept for _since, _until, kept in self.away.get(pk, ())}
        return found

    def row_at(self, contact_id: int, at: datetime) -> int:
        """The row that this one counted as at an instant."""
        seen = {contact_id}
        while True:
            spans = self.away.get(contact_id, [])
            home = next((kept for since, until, kept in spans if since <= at and (until is None or at < until)), None)
            if home is None or home in seen:
                return contact_id
            contact_id = home
            seen.add(home)

    def latest(self, records: Mapping[int, Sequence[Record]], contact_id: int, at: datetime) -> Record | None:
        """The last record up to an instant. records: contact id → its records in order of time."""
        own = _last(records.get(self.row_at(contact_id, at), ()), at)
        if own is not None:
            return own
        others = [found for pk in sorted(self.family(contact_id)) if (found := _last(records.get(pk, ()), at))]
        return max(others, key=lambda record: record[0], default=None)


def _last(records: Sequence[Record], at: datetime) -> Record | None:
    index = bisect_right([record[0] for record in records], at) - 1
    return records[index] if index >= 0 else None


def _spans(merges: Iterable[ContactMerge]) -> dict[int, list[tuple[datetime, datetime | None, int]]]:
    away: dict[int, list[tuple[datetime, datetime | None, int]]] = defaultdict(list)
    for merge in merges:
        away[merge.gone_id].append((merge.merged_at, merge.undone_at, merge.kept_id))
    return dict(away)


def _families(merges: Iterable[ContactMerge]) -> dict[int, frozenset[int]]:
    families: dict[int, frozenset[int]] = {}
    for merge in merges:
        if merge.undone_at is None:
            both = frozenset((merge.kept_id, merge.gone_id))
            both |= families.get(merge.kept_id, frozenset()) | families.get(merge.gone_id, frozenset())
            families |= dict.fromkeys(both, both)
    return families
