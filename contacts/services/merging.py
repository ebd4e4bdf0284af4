"""Two contacts turn out to be one person: facts stay where they are, only roots change."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q

from contacts import marks
from contacts.models import Contact
from contacts.services.search import refresh_search
from contacts.services.standing import refresh_standing
from contacts.timeline import roots_of


def merge_roots(pairs: Iterable[tuple[int, int]], *, now: datetime) -> set[int]:
    """Make the older root of each pair the root of both; the roots that grew. Inside the caller's transaction.

    Owner, stage and opt-out of the remaining root stand; an empty one is taken over. An opt-out of either is kept, since it
    protects the person.
    """
    grown: set[int] = set()
    for first, second in pairs:
        roots = sorted(set(roots_of([first, second]).values()))
        if len(roots) == 2:
            _merge(roots[0], roots[1], now)
            grown.add(roots[0])
            grown.discard(roots[1])
    if grown:
        refresh_standing(grown, now=now)
        refresh_search(grown)
        marks.mark(grown, marks.EVERYTHING)
    return grown


def _merge(kept: int, gone: int, now: datetime) -> None:
    rows = {row.pk: row for row in Contact.objects.select_for_update().filter(pk__in=[kept, gone]).order_by("pk")}
    root, branch = rows[kept], rows[gone]
    Contact.objects.filter(Q(pk=gone) | Q(root_id=gone)).update(root_id=kept, updated_at=now)
    for column in ("name", "stage_id", "stage_since", "owner_id", "store_id", "birthday"):
        if not getattr(root, column):
            setattr(root, column, getattr(branch, column))
    if branch.opt_out_since and not (root.opt_out_since and root.opt_out_until is None):
        later = branch.opt_out_until is None or root.opt_out_until is None or branch.opt_out_until > root.opt_out_until
        if later:
            root.opt_out_since, root.opt_out_until = branch.opt_out_since, branch.opt_out_until
            root.opt_out_source = branch.opt_out_source
    root.updated_at = now
    root.save(
        update_fields=["name", "stage", "stage_since", "owner", "store", "birthday", "opt_out_since", "opt_out_until",
                       "opt_out_source", "updated_at"]
    )  # fmt: skip
